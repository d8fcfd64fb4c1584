//! Paths of a site, those among them that lead somewhere else.

use std::os::unix::fs::symlink;

use super::*;

/// A site in `public`, with something beside it.
fn site() -> (tempfile::TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("public");
    for file in [
        "public/index.php",
        "public/login.php",
        "public/logo.svg",
        "public/readme.md",
        "public/upload.jpg",
        "public/secret.php.bak",
        "public/lib.inc",
        "public/data.sqlite",
        "public/.htaccess",
        "public/.well-known/security.txt",
        "public/.well-known/site.conf",
        "public/docs/index.html",
        "public/admin/index.php",
        "public/empty/x",
        "public/composer.json",
        "public/vendor/app.css",
        "public/a b.txt",
        "outside.php",
        "outside.txt",
    ] {
        let file = folder.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "x").unwrap();
    }
    symlink("../outside.php", root.join("out.php")).unwrap();
    symlink("../outside.txt", root.join("out.txt")).unwrap();
    symlink("upload.jpg", root.join("disguised.php")).unwrap();
    symlink("login.php", root.join("source.txt")).unwrap();
    symlink("logo.svg", root.join("also.svg")).unwrap();
    symlink("login.php", root.join("enter.php")).unwrap();
    let site = Site::of(&root.join("index.php")).unwrap();
    (folder, site)
}

fn run(site: &Site, path: &str) -> (String, String, String) {
    match site.find(path) {
        Place::Script(script) => {
            let file = script.file.strip_prefix(site.root()).unwrap().to_str().unwrap().to_owned();
            (file, script.name, script.info)
        }
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn scripts_are_run_with_what_follows_them() {
    let (_folder, site) = site();
    for (path, file, name, info) in [
        ("/login.php", "login.php", "/login.php", ""),
        ("/index.php/blog/1", "index.php", "/index.php", "/blog/1"),
        ("/login.php/", "login.php", "/login.php", "/"),
        ("/login.php/a%20b/", "login.php", "/login.php", "/a b/"),
        ("/login.php/x.php", "login.php", "/login.php", "/x.php"),
        ("/%6Cogin.php", "login.php", "/login.php", ""),
        ("/", "index.php", "/index.php", ""),
        ("/admin/", "admin/index.php", "/admin/index.php", ""),
        ("/enter.php", "login.php", "/enter.php", ""),
    ] {
        assert_eq!(run(&site, path), (file.into(), name.into(), info.into()), "{path}");
    }
}

#[test]
fn everything_that_is_not_there_is_the_front_controllers() {
    let (_folder, site) = site();
    for path in [
        "/blog/1",
        "/nothing.php",
        "/upload.jpg/x.php",
        "/upload.jpg/index.php",
        "/logo.svg/",
        "//login.php",
        "/admin//index.php",
        "/empty/",
        "/empty",
        "/out.php",
        "/out.txt",
        "/LOGIN.PHP",
        "/index.php5",
    ] {
        assert_eq!(run(&site, path), ("index.php".into(), "/index.php".into(), String::new()), "{path}");
    }
}

#[test]
fn files_are_sent_and_sources_are_not() {
    let (_folder, site) = site();
    let file = |path: &str| Place::File(site.root().join(path));
    assert_eq!(site.find("/logo.svg"), file("logo.svg"));
    assert_eq!(site.find("/also.svg"), file("logo.svg"));
    assert_eq!(site.find("/readme.md"), file("readme.md"));
    assert_eq!(site.find("/a%20b.txt"), file("a b.txt"));
    assert_eq!(site.find("/docs/"), file("docs/index.html"));
    assert_eq!(site.find("/vendor/app.css"), file("vendor/app.css"));
    assert_eq!(site.find("/.well-known/security.txt"), file(".well-known/security.txt"));
    assert_eq!(site.find("/.well-known/site.conf"), file(".well-known/site.conf"));
    assert_eq!(site.find("/docs"), Place::Folder);
    assert_eq!(site.find("/admin"), Place::Folder);
    for path in [
        "/secret.php.bak",
        "/lib.inc",
        "/data.sqlite",
        "/.htaccess",
        "/.git/config",
        "/docs/.env",
        "/composer.json",
        "/Composer.JSON",
        "/source.txt",
        "/disguised.php",
        "/%2ehtaccess",
    ] {
        assert_eq!(site.find(path), Place::Nothing, "{path}");
    }
}

#[test]
fn packages_are_no_part_of_a_site_that_is_the_whole_release() {
    let (folder, _) = site();
    let root = folder.path().join("public");
    std::fs::write(root.join("vendor/autoload.php"), "<?php").unwrap();
    let site = Site::of(&root.join("index.php")).unwrap();
    for path in ["/vendor/autoload.php", "/vendor/app.css", "/vendor/", "/vendor"] {
        assert_eq!(site.find(path), Place::Nothing, "{path}");
    }
}

#[test]
fn what_is_no_path_is_refused() {
    let (_folder, site) = site();
    for path in [
        "",
        "*",
        "login.php",
        "/../outside.txt",
        "/docs/../../outside.php",
        "/%2e%2e/outside.txt",
        "/./login.php",
        "/docs%2findex.html",
        "/docs\\index.html",
        "/docs%5cindex.html",
        "/login.php%00.txt",
        "/a%0ab",
        "/%ff",
    ] {
        assert_eq!(site.find(path), Place::Malformed, "{path}");
    }
    assert_eq!(site.find(&format!("/{}", "a".repeat(300))), Place::Malformed);
}

#[test]
fn a_front_controller_is_a_script_below_its_folder() {
    let (folder, _) = site();
    for odd in ["public/logo.svg", "public/none.php", "public/out.php", "none/index.php", "public", ""] {
        assert!(Site::of(&folder.path().join(odd)).is_err(), "{odd}");
    }
}
