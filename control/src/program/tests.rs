//! What is run, by what was asked for, what was found, and what the tenant's runtime can run.

use super::*;
use crate::registry::testing::{store, wish};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

fn runtime(name: &str, version: &str, default: &[&str]) -> RuntimeFacts {
    let default_command = words(default);
    RuntimeFacts {
        name: name.parse().unwrap(),
        version: version.into(),
        default_command,
        jit: false,
        env: std::collections::BTreeMap::new(),
        build: None,
    }
}

fn runtimes() -> Vec<RuntimeFacts> {
    vec![
        runtime("node-24", "24.11.1", &["/usr/bin/node", "server.js"]),
        runtime("node-22", "22.1.0", &["/usr/bin/node", "server.js"]),
        runtime("static", "", &["./server"]),
        runtime("python-3.13", "3.13.5", &["/usr/bin/python3.13", "app.py"]),
        runtime("php-8.4", "8.4.28", &["/usr/bin/kennel-php", "index.php"]),
    ]
}

fn row() -> TenantRow {
    let mut store = store();
    store.reserve(&wish("a", "a.test"), 9).unwrap();
    store.tenants().unwrap().remove(0)
}

fn top(names: &[&str]) -> Found {
    Found { top: words(names), ..Found::default() }
}

fn said(origin: Origin, command: std::result::Result<&[&str], &str>) -> Option<Said> {
    Some(Said { origin, command: command.map(words).map_err(str::to_owned) })
}

fn choose_in(row: &TenantRow, name: &str, asked: &[&str], found: &Found) -> Result<Chosen> {
    let runtimes = runtimes();
    let runtime = runtimes.iter().find(|runtime| runtime.name.as_str() == name).unwrap();
    Home { row, runtime, runtimes: &runtimes }.choose(&words(asked), found)
}

/// The command, and why that; or the error with its hint.
fn choose(name: &str, found: &Found) -> std::result::Result<(String, Origin), String> {
    match choose_in(&row(), name, &[], found) {
        Ok(chosen) => Ok((chosen.command.join(" "), chosen.origin)),
        Err(error) => Err(format!("{error}; {}", error.hint().unwrap())),
    }
}

#[test]
fn what_is_asked_for_wins_and_then_the_tenants_command() {
    let found = Found { said: said(Origin::Procfile, Ok(&["node", "c.js"])), ..top(&["server.js"]) };
    let own = TenantRow { command: words(&["node", "b.js"]), ..row() };
    let chosen = |row: &TenantRow, asked: &[&str]| {
        let chosen = choose_in(row, "node-24", asked, &found).unwrap();
        (chosen.command.join(" "), chosen.origin)
    };
    assert_eq!(chosen(&own, &["node", "a.js"]), ("/usr/bin/node a.js".into(), Origin::CommandLine));
    assert_eq!(chosen(&own, &[]), ("/usr/bin/node b.js".into(), Origin::Tenant));
    assert_eq!(chosen(&row(), &[]), ("/usr/bin/node c.js".into(), Origin::Procfile));
    let own = TenantRow { command: words(&["./bin/serve", "--port", "$PORT"]), ..row() };
    assert_eq!(chosen(&own, &[]).0, "./bin/serve --port $PORT");
}

#[test]
fn programs_are_the_runtimes_or_the_releases() {
    let found = |program: &str| Found {
        said: said(Origin::Procfile, Ok(&[program, "x"])),
        ..top(&["server", "package.json"])
    };
    for (runtime, program, command) in [
        ("node-24", "nodejs", "/usr/bin/node x"),
        ("node-24", "/usr/bin/node", "/usr/bin/node x"),
        ("static", "server", "./server x"),
        ("static", "bin/server", "bin/server x"),
    ] {
        assert_eq!(choose(runtime, &found(program)).unwrap(), (command.into(), Origin::Procfile));
    }
    let error = choose("node-24", &found("gunicorn")).unwrap_err();
    assert!(error.starts_with("the release cannot be run (Procfile, web): \"gunicorn\" is neither"), "{error}");
    assert!(
        error.contains("the host has the runtimes node-24, node-22, static, python-3.13, php-8.4"),
        "{error}"
    );
    let error = choose("static", &found("node")).unwrap_err();
    assert!(error.contains("the runtime node-24, node-22 has it"), "{error}");
}

#[test]
fn what_a_file_says_wrongly_is_not_passed_over() {
    let found = Found { said: said(Origin::PackageStart, Err("no such thing")), ..top(&["server.js"]) };
    let error = choose("node-24", &found).unwrap_err();
    assert!(
        error.starts_with("the release cannot be run (package.json, scripts.start): no such thing; say it"),
        "{error}"
    );
    assert!(choose_in(&row(), "node-24", &["node", "a.js"], &found).is_ok(), "unless it is said otherwise");
}

#[test]
fn node_programs_are_found_by_their_usual_names() {
    for (names, program) in [
        (&["index.js", "server.js"][..], "server.js"),
        (&["main.js", "index.js"], "index.js"),
        (&["lib", "app.js", "index.html"], "app.js"),
    ] {
        let command = format!("/usr/bin/node {program}");
        assert_eq!(choose("node-24", &top(names)).unwrap(), (command, Origin::Name));
    }
}

fn programs(programs: &[(&str, ProgramKind, bool)]) -> Found {
    let names: Vec<&str> = programs.iter().map(|p| p.0).collect();
    let programs = programs.iter().map(|(name, kind, executable)| Program {
        name: (*name).to_owned(),
        kind: *kind,
        executable: *executable,
    });
    Found { programs: programs.collect(), ..top(&names) }
}

#[test]
fn a_static_program_needs_no_name() {
    use ProgramKind::{Dynamic, Foreign, Static};
    let found = programs(&[("server", Static, true), ("migrate", Static, true)]);
    assert_eq!(choose("static", &found).unwrap(), ("./server".into(), Origin::Name));
    let found = programs(&[("blog", Static, true), ("old", Foreign, true)]);
    assert_eq!(choose("static", &found).unwrap(), ("./blog".into(), Origin::Executable));
    assert_eq!(choose("node-24", &found).unwrap(), ("./blog".into(), Origin::Executable));
    for (found, why) in [
        (&[("a", Static, true), ("b", Static, true)][..], "there are several static programs: a, b"),
        (&[("server", Dynamic, true)], "server is linked dynamically: link it statically"),
        (&[("blog", Foreign, true)], "blog is not for x86-64"),
        (&[("blog", Static, false)], "blog may not be executed: `chmod +x` it"),
    ] {
        let error = choose("static", &programs(found)).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_site_is_an_index_and_nothing_else() {
    let site = top(&["index.html", "README.md", "logo.svg", "robots.txt"]);
    assert_eq!(choose("static", &site).unwrap(), (String::new(), Origin::Index));
    for other in
        ["package.json", "index.php", "contact.php", "app.py", "Dockerfile", "requirements.txt", "main.ts"]
    {
        let error = choose("node-24", &top(&["index.html", other])).unwrap_err();
        assert!(error.starts_with("the release holds no program"), "{other}: {error}");
    }
    let with = |json: &str| {
        let limits = Limits { static_files: serde_json::from_str(json).unwrap(), ..Limits::default() };
        choose_in(&TenantRow { limits, ..row() }, "static", &[], &site)
    };
    assert_eq!(with(r#"{"path": "/", "folder": "public", "only": true}"#).unwrap().origin, Origin::Files);
    assert!(with(r#"{"path": "/a", "folder": "public", "only": true}"#).is_err(), "who answers the rest?");
}

#[test]
fn files_that_are_the_whole_site_need_no_program() {
    let files = serde_json::from_str(r#"{"path": "/", "folder": "public", "only": true}"#).unwrap();
    let row = TenantRow { limits: Limits { static_files: Some(files), ..Limits::default() }, ..row() };
    let said = Found { said: said(Origin::PackageStart, Err("vite")), ..top(&["package.json"]) };
    for found in [&said, &top(&["README.md"])] {
        let chosen = choose_in(&row, "static", &[], found).unwrap();
        assert_eq!((chosen.command.len(), chosen.origin), (0, Origin::Files));
    }
    assert!(choose_in(&row, "static", &["nothing"], &said).is_err(), "what is asked for is meant");
}

#[test]
fn nothing_to_start_says_what_was_looked_for_and_what_is_there() {
    let looked =
        "looked for kennel.toml, Procfile, package.json, server.js, index.js, app.js, main.js, one static";
    for (names, clue) in [
        (&["README.md"][..], ""),
        (&["package.json"], "package.json has no scripts.start, and no main that is there; "),
        (
            &["requirements.txt", "app.py"],
            "requirements.txt is of a program for Python, and the tenant's runtime is node-24; the host has node-24, \
             node-22, static, python-3.13, php-8.4; ",
        ),
        (&["go.mod", "main.go"], "go.mod is of a program in Go: build it, and deploy what was built; "),
    ] {
        let error = choose("node-24", &top(names)).unwrap_err();
        assert!(error.contains(&format!("can start; {clue}{looked}")), "{error}");
    }
}

#[test]
fn another_node_than_is_asked_for_is_said() {
    let notes = |range: &str, asked: &[&str]| {
        let found =
            Found { node: Some(range.to_owned()), left: words(&["scripts.prestart"]), ..top(&["server.js"]) };
        choose_in(&row(), "node-24", asked, &found).unwrap().notes
    };
    for range in [">=20", "24", "24.x", "^24.1 || ^26", "*", "not a range"] {
        assert_eq!(notes(range, &[]), ["not done: scripts.prestart"], "{range}");
    }
    for (range, better) in [
        ("22.x", "node-22 of this host would fit: --runtime node-22"),
        ("<20 || >=30", "no runtime of this host fits"),
    ] {
        let expected = format!("package.json asks for Node.js {range}, and it runs on 24.11.1; {better}");
        assert_eq!(notes(range, &[])[0], expected);
        assert_eq!(notes(range, &["./other"]).len(), 0, "it does not run on Node.js");
    }
}

#[test]
fn python_runs_what_is_found_for_it_and_no_package_json() {
    let django = || said(Origin::Django, Ok(&["python", "-m", "gunicorn", "site.wsgi:application"]));
    let package = || said(Origin::PackageStart, Err("vite is not in the release"));
    let of = |said, python| Found { said, python, ..top(&["package.json", "manage.py"]) };
    let serves = ("/usr/bin/python3.13 -m gunicorn site.wsgi:application".to_owned(), Origin::Django);
    assert_eq!(choose("python-3.13", &of(None, django())).unwrap(), serves);
    assert_eq!(choose("python-3.13", &of(package(), django())).unwrap(), serves);
    let procfile = said(Origin::Procfile, Ok(&["python3.11", "vendor/bin/celery"]));
    let expected = ("/usr/bin/python3.13 vendor/bin/celery".to_owned(), Origin::Procfile);
    assert_eq!(choose("python-3.13", &of(procfile, django())).unwrap(), expected);
    let error = choose("node-24", &of(None, django())).unwrap_err();
    assert!(error.contains("package.json has no scripts.start"), "it is another runtime's: {error}");
    assert!(choose("node-24", &of(package(), django())).unwrap_err().contains("vite is not in the release"));
    let error = choose("python-3.13", &of(None, said(Origin::Django, Err("a server is missing")))).unwrap_err();
    assert!(
        error.starts_with("the release cannot be run (manage.py, a site of Django): a server is missing"),
        "{error}"
    );
    for (names, program) in [(&["main.py", "app.py"][..], "app.py"), (&["server.py", "main.py"], "main.py")] {
        let expected = (format!("/usr/bin/python3.13 {program}"), Origin::Name);
        assert_eq!(choose("python-3.13", &top(names)).unwrap(), expected);
    }
    let missing = Found { said: said(Origin::Procfile, Ok(&["gunicorn", "app:app"])), ..top(&["app.py"]) };
    let error = choose("python-3.13", &missing).unwrap_err();
    assert!(
        error.contains("`pip install --target vendor gunicorn` puts a package into the release"),
        "{error}"
    );
    let node = Found { said: said(Origin::Procfile, Ok(&["node", "a.js"])), ..top(&["a.js"]) };
    assert!(choose("python-3.13", &node).unwrap_err().contains("the runtime node-24, node-22 has it"));
    for name in ["python2", "python2.7", "pythonista", "python3x", "python3.x"] {
        let other = Found { said: said(Origin::Procfile, Ok(&[name, "a.py"])), ..top(&["a.py"]) };
        assert!(choose("python-3.13", &other).is_err(), "{name}");
    }
}

#[test]
fn sites_of_php_are_served_and_other_programs_of_it_run() {
    let site = || said(Origin::PhpSite, Ok(&["kennel-php", "public/index.php"]));
    let of = |said, php| Found { said, php, ..top(&["package.json", "composer.json"]) };
    let serves = ("/usr/bin/kennel-php public/index.php".to_owned(), Origin::PhpSite);
    assert_eq!(choose("php-8.4", &of(None, site())).unwrap(), serves);
    let package = said(Origin::PackageStart, Err("vite is not in the release"));
    assert_eq!(choose("php-8.4", &of(package, site())).unwrap(), serves);
    for (words, command) in [
        (["php", "worker.php"], "/usr/bin/php worker.php"),
        (["php8.3", "worker.php"], "/usr/bin/php worker.php"),
        (["kennel-php", "web/app.php"], "/usr/bin/kennel-php web/app.php"),
    ] {
        let expected = (command.to_owned(), Origin::Procfile);
        assert_eq!(choose("php-8.4", &of(said(Origin::Procfile, Ok(&words)), site())).unwrap(), expected);
    }
    let error = choose("php-8.4", &of(None, said(Origin::PhpSite, Err("no autoload.php")))).unwrap_err();
    assert!(error.starts_with("the release cannot be run (a site of PHP): no autoload.php"), "{error}");
    let error = choose("python-3.13", &Found { php: site(), ..top(&["index.php"]) }).unwrap_err();
    assert!(
        error.contains("index.php is of a program for PHP, and the tenant's runtime is python-3.13"),
        "{error}"
    );
    for name in ["phpunit", "php-fpm", "php8x"] {
        let other = of(said(Origin::Procfile, Ok(&[name, "x"])), None);
        assert!(choose("php-8.4", &other).is_err(), "{name}");
    }
}

proptest::proptest! {
    #[test]
    fn any_range_is_heard(range in "[0-9a-z.*<>=^~|+ -]{0,128}") {
        let found = Found { node: Some(range), ..top(&["server.js"]) };
        proptest::prop_assert!(choose_in(&row(), "node-24", &[], &found).is_ok());
    }
}
