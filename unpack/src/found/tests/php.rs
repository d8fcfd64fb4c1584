//! Sites of PHP as people have them, and their packages.

use super::*;

/// How a site of PHP is served, or why not, and what is not done.
fn served(files: &[(&str, &str)]) -> (Option<Result<String, String>>, Vec<String>) {
    let found = said(&tree(files), Found::default());
    assert_eq!(found.validate(), Ok(()));
    let served = found.php.map(|said| {
        assert_eq!(said.origin, Origin::PhpSite);
        said.command.map(|words| words.join(" "))
    });
    (served, found.left)
}

const INDEX: (&str, &str) = ("index.php", "<?php");
const PUBLIC: (&str, &str) = ("public/index.php", "<?php");
const SLIM: (&str, &str) =
    ("composer.json", r#"{"require": {"php": "^8.1", "ext-pdo": "*", "slim/slim": "^3.12"}}"#);

#[test]
fn a_site_has_a_front_controller() {
    for (what, files, front) in [
        ("one file", &[INDEX][..], Some("index.php")),
        ("Symfony, Laravel, Slim", &[PUBLIC, SLIM, ("vendor/autoload.php", "")], Some("public/index.php")),
        ("with one at the top that leads there", &[INDEX, PUBLIC], Some("public/index.php")),
        ("Yii, Drupal", &[("web/index.php", ""), ("composer.json", "{}")], Some("web/index.php")),
        ("CakePHP", &[INDEX, ("webroot/index.php", "")], Some("webroot/index.php")),
        (
            "extensions alone",
            &[INDEX, ("composer.json", r#"{"require": {"php": "*", "ext-gd": "*"}}"#)],
            Some("index.php"),
        ),
        ("what Composer could not read", &[INDEX, ("composer.json", "{")], Some("index.php")),
        (
            "packages elsewhere",
            &[
                INDEX,
                ("composer.json", r#"{"require": {"a/b": "*"}, "config": {"vendor-dir": "./lib/"}}"#),
                ("lib/autoload.php", ""),
            ],
            Some("index.php"),
        ),
        ("a folder by that name", &[("index.php/x", "")], None),
        ("a library", &[SLIM, ("src/App.php", "")], None),
        ("nothing", &[], None),
    ] {
        let command = front.map(|front| Ok(format!("kennel-php {front}")));
        assert_eq!(served(files).0, command, "{what}");
    }
}

#[test]
fn packages_that_are_asked_for_are_there() {
    let why = |files| served(files).0.unwrap().unwrap_err();
    let missing = "composer.json requires slim/slim, and there is no vendor/autoload.php: `composer install --no-dev` makes it, and with a composer.lock the host does";
    assert_eq!(why(&[PUBLIC, SLIM]), missing);
    assert_eq!(why(&[PUBLIC, SLIM, ("vendor/slim/slim/x.php", "")]), missing);
}

#[test]
fn rules_of_another_web_server_are_said() {
    let left = |files| served(files).1;
    let said = "public/.htaccess: paths without a file are public/index.php's, and nothing else of it is done";
    assert_eq!(left(&[PUBLIC, ("public/.htaccess", "")]), [said]);
    assert_eq!(left(&[PUBLIC, (".htaccess", "")]), [""; 0]);
    assert_eq!(left(&[INDEX, (".htaccess", "")]).len(), 1);
}
