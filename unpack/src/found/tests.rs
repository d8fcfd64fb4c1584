//! Trees as people deploy them, and trees as an attacker would.

use std::collections::BTreeMap;

use super::*;

mod php;
mod python;

/// A release in memory: files by their path, folders by the files below them.
#[derive(Default)]
struct Tree {
    texts: BTreeMap<String, Text>,
    files: BTreeMap<String, Option<Head>>,
}

impl Release for Tree {
    fn text(&self, name: &str) -> Option<&Text> {
        self.texts.get(name)
    }

    fn at(&self, path: &str) -> Option<Thing> {
        let below = format!("{path}/");
        let folder = || self.files.keys().any(|file| file.starts_with(&below)).then_some(Thing::Folder);
        self.files.get(path).map(|head| Thing::File(head.clone())).or_else(folder)
    }
}

fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (path, content) in files {
        tree.files.insert((*path).to_owned(), classify(content.as_bytes()));
        if SPOKEN.contains(path) || SHOWING.contains(path) {
            tree.texts.insert((*path).to_owned(), Text::Whole(content.as_bytes().to_vec()));
        }
    }
    tree
}

/// Where it is said, and the words with spaces between them, or why not.
fn says(files: &[(&str, &str)]) -> Option<(Origin, Result<String, String>)> {
    let found = said(&tree(files), Found::default());
    assert_eq!(found.validate(), Ok(()));
    found.said.map(|said| (said.origin, said.command.map(|words| words.join(" "))))
}

const NODE: &str = "#!/usr/bin/env node\n";

#[test]
fn programs_of_node_as_their_generators_leave_them() {
    use Origin::{KennelToml, PackageMain, PackageStart, Procfile};
    let bin = "node_modules/.bin/next";
    for (what, files, origin, words) in [
        (
            "express-generator",
            &[
                ("package.json", r#"{"scripts": {"start": "node ./bin/www"}}"#),
                ("bin/www", NODE),
                ("app.js", ""),
            ][..],
            PackageStart,
            "node ./bin/www",
        ),
        (
            "Express by hand",
            &[("package.json", r#"{"main": "index.js", "scripts": {"test": "exit 1"}}"#), ("index.js", "")],
            PackageMain,
            "node index.js",
        ),
        (
            "Fastify, ESM",
            &[(
                "package.json",
                r#"{"type": "module", "scripts": {"start": "node --enable-source-maps src/app.js"}}"#,
            )],
            PackageStart,
            "node --enable-source-maps src/app.js",
        ),
        (
            "Next",
            &[
                ("package.json", r#"{"scripts": {"build": "next build", "start": "next start -p $PORT"}}"#),
                (bin, NODE),
            ],
            PackageStart,
            "node node_modules/.bin/next start -p $PORT",
        ),
        (
            "npm run, which names another script",
            &[
                (
                    "package.json",
                    r#"{"scripts": {"start": "npm run serve", "serve": "NODE_ENV=production node dist"}}"#,
                ),
                ("dist/index.js", ""),
            ],
            PackageStart,
            "node dist",
        ),
        (
            "Heroku's sample",
            &[
                ("Procfile", "web: npm start"),
                ("package.json", r#"{"scripts": {"start": "node index"}}"#),
                ("index.js", ""),
            ],
            Procfile,
            "node index",
        ),
        (
            "a Procfile",
            &[("Procfile", "web: node a.js ${PORT:-3000}\nworker: x"), ("a.js", "")],
            Procfile,
            "node a.js ${PORT:-3000}",
        ),
        (
            "a program in a Procfile",
            &[("Procfile", "web: bin/server --port $PORT"), ("bin/server", "\x7fELF")],
            Procfile,
            "bin/server --port $PORT",
        ),
        (
            "a script in a Procfile",
            &[("Procfile", "web: ./run.mjs 1"), ("run.mjs", "#!/usr/bin/env -S node --no-warnings\n")],
            Procfile,
            "node --no-warnings ./run.mjs 1",
        ),
        (
            "npx in a Procfile",
            &[("Procfile", "web: npx next start"), (bin, NODE)],
            Procfile,
            "node node_modules/.bin/next start",
        ),
        (
            "another runtime's program",
            &[("Procfile", "web: gunicorn 'app:create()'")],
            Procfile,
            "gunicorn app:create()",
        ),
        (
            "a Procfile without web",
            &[("Procfile", "worker: x"), ("package.json", r#"{"main": "a"}"#), ("a.js", "")],
            PackageMain,
            "node a",
        ),
        (
            "kennel.toml before all others",
            &[
                ("kennel.toml", "[app]\ncommand = [\"node\", \"a b.js\", \"&&\"]"),
                ("a b.js", ""),
                ("Procfile", "web: x | y"),
            ],
            KennelToml,
            "node a b.js &&",
        ),
        (
            "a mark before the text",
            &[("package.json", "\u{feff}{\"scripts\": {\"start\": \"node .\"}}")],
            PackageStart,
            "node .",
        ),
    ] {
        assert_eq!(says(files), Some((origin, Ok(words.to_owned()))), "{what}");
    }
}

#[test]
fn where_nothing_is_said_nothing_is_found() {
    for files in [
        &[][..],
        &[("server.js", "")],
        &[("package.json", "{}")],
        &[("package.json", r#"{"main": "dist/index.js", "scripts": {"dev": "vite"}}"#)],
        &[("Procfile", "# nothing\nworker: node a.js")],
        &[("sub/Procfile", "web: node a.js")],
    ] {
        assert_eq!(says(files), None, "{files:?}");
    }
}

#[test]
fn what_cannot_be_run_says_why() {
    for (files, why) in [
        (
            &[("package.json", r#"{"scripts": {"start": "next build && next start"}}"#)][..],
            "`next build && next start`: \"&&\" is for a shell",
        ),
        (&[("package.json", r#"{"scripts": {"start": "PORT=1 node a.js"}}"#)], "`kennel env set` sets it"),
        (
            &[("package.json", r#"{"scripts": {"start": "node dist/server.js"}}"#)],
            "dist/server.js is not in the release; is it built",
        ),
        (&[("package.json", r#"{"scripts": {"start": "node"}}"#)], "`node` alone"),
        (&[("package.json", r#"{"scripts": {"start": "npm start"}}"#)], "in a circle"),
        (
            &[("package.json", r#"{"scripts": {"start": "npm run nothing"}}"#)],
            "package.json has no scripts.nothing",
        ),
        (&[("package.json", r#"{"scripts": {"start": "npm ci"}}"#)], "npm is not on the host"),
        (
            &[("package.json", r#"{"scripts": {"start": "npx next"}}"#)],
            "node_modules/.bin/next is not in the release",
        ),
        (
            &[("package.json", r#"{"scripts": {"start": "next"}}"#), ("node_modules/.bin/next", "#!/bin/sh\n")],
            "is a script for sh",
        ),
        (
            &[("package.json", r#"{"scripts": {"start": "next"}}"#), ("node_modules/.bin/next", "x")],
            "does not say what runs it",
        ),
        (&[("Procfile", "web: npm start")], "package.json has no scripts.start"),
        (
            &[("Procfile", "web: npm start"), ("package.json", "{")],
            "package.json: it is not what npm would take",
        ),
        (&[("Procfile", "web:")], "there is no program in it"),
        (&[("Procfile", "web: ./start.sh"), ("start.sh", "#!/bin/bash\n")], "./start.sh is a script for bash"),
        (&[("Procfile", "web: ./bin"), ("bin/x", "")], "./bin is a folder"),
        (&[("Procfile", "web: ./nothing")], "./nothing is not in the release"),
        (&[("Procfile", "run it")], "line 1 is not"),
        (&[("kennel.toml", "[image]")], "unknown field `image`"),
    ] {
        let (_, command) = says(files).unwrap_or_else(|| panic!("{files:?} says nothing"));
        let error = command.unwrap_err();
        assert!(error.contains(why), "{files:?}: {error}");
    }
}

#[test]
fn what_is_left_undone_is_said() {
    let all = "web: node .\n".to_owned() + &(0..40).map(|n| format!("w{n}: x\n")).collect::<String>();
    let found = said(&tree(&[("Procfile", &all)]), Found::default());
    let first = "w8 in Procfile: 8 processes beside web are kept";
    assert_eq!((found.left.len(), found.left[0].as_str()), (MAX_LEFT, first));
    let lines: Vec<_> = found.processes.iter().map(|one| (one.name.as_str(), one.command.clone())).collect();
    assert_eq!((lines.len(), &lines[0]), (8, &("w0", Ok(vec!["x".to_owned()]))));
    let package = r#"{"scripts": {"prestart": "x", "start": "node ."}, "engines": {"node": "22.x"}}"#;
    let found = said(&tree(&[("package.json", package)]), Found::default());
    assert_eq!(
        (found.left, found.node),
        (vec!["scripts.prestart in package.json".to_owned()], Some("22.x".into()))
    );
}

#[test]
fn hostile_files_are_refused_or_passed_over() {
    let long = format!(r#"{{"scripts": {{"start": "node . {}"}}}}"#, "x ".repeat(8000));
    let deep = "[".repeat(200_000);
    let odd = format!("web: {}\u{1b}]0x\u{7}", "y".repeat(2000));
    for (name, content, why) in [
        ("package.json", long.as_bytes(), "the command is longer than 8192 bytes"),
        ("package.json", deep.as_bytes(), "it is not what npm would take"),
        ("package.json", b"{\"scripts\": {\"start\": \"node \xff\"}}", "it is not UTF-8"),
        ("package.json", b"{\"scripts\": {\"start\": \"node . a\\u0000b\"}}", "NUL"),
        ("package.json", b"{\"scripts\": {\"start\": \"node . \\u001bX\"}}", "a control character"),
        ("package.json", b"\0\0\0", "it is not what npm would take"),
        ("Procfile", odd.as_bytes(), "a control character"),
        ("Procfile", b"web: x \x00", "NUL"),
        ("kennel.toml", b"[app]\ncommand = [\"a\\u0000\"]", "NUL"),
        ("kennel.toml", b"\x1b[31m = 1", "line 1: "),
    ] {
        let mut tree = Tree::default();
        tree.texts.insert(name.to_owned(), Text::Whole(content.to_vec()));
        let found = said(&tree, Found::default());
        assert_eq!(found.validate(), Ok(()), "{name}");
        let error = found.said.unwrap().command.unwrap_err();
        assert!(error.contains(why), "{name}: {error}");
    }
    for (text, why) in [(Text::TooLong, "it is longer than 256 KiB"), (Text::Link, "it is a link")] {
        for name in SPOKEN {
            let mut tree = Tree::default();
            tree.texts.insert(name.to_owned(), text.clone());
            let error = said(&tree, Found::default()).said.unwrap().command.unwrap_err();
            assert!(error.starts_with(why), "{name}: {error}");
        }
    }
}

#[test]
fn an_exponential_circle_ends() {
    let script = r#"{"scripts": {"start": "npm run a", "a": "npm run b", "b": "npm run a"}}"#;
    let (_, command) = says(&[("package.json", script)]).unwrap();
    assert!(command.unwrap_err().contains("in a circle"));
}
