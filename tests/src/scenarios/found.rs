//! What is run: found in the files that people have anyway, said otherwise on the command line, or answered without a program;
//! and what a person sees whose release cannot be understood.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Group, Scenario, builds, people_image, samples};
use crate::checks::{contains, holds, same};
use crate::vm::Vm;

/// Says how it was started.
const PROGRAM: &str = r#"
import { existsSync } from "node:fs";
import { createServer } from "node:http";
const said = { mark: process.argv.slice(2), port: process.env.PORT, env: existsSync("/app/.env") };
createServer((_, answer) => answer.end(JSON.stringify(said))).listen(process.env.PORT, process.env.HOST);
"#;
/// What a bundler's package brings: a program by its name, which starts the other.
const BIN: &str = "#!/usr/bin/env node\nimport('../../src/web.mjs');\n";
const NODE: &str = "found";
const SITE: &str = "pages";
const MACHINE: &str = "machine";

pub(super) fn group() -> Group {
    Group {
        title: "what is run",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            for (name, runtime) in [(NODE, "node-24"), (SITE, "static"), (MACHINE, "static")] {
                let domain = format!("{name}.localhost");
                vm.ok(&["tenant", "add", name, "--runtime", runtime, "--domain", &domain])?;
            }
            // Its program says what it was started with, and ends.
            vm.ok(&["limits", MACHINE, "--trial", "off"]).map(drop)
        },
        scenarios: vec![
            Scenario::new("found: scripts.start of package.json, through a package's program", package),
            Scenario::new("found: web in a Procfile, with the port in its place", procfile),
            Scenario::new(
                "found: a kennel.toml before all others, and the command line before that",
                otherwise,
            ),
            Scenario::new("found: an index.html alone is a site", site),
            Scenario::new("found: the one static program", machine),
            Scenario::new("found: programs of Express, Fastify and ws, as they are", samples::deployed),
            Scenario::new("builds: packages that are not there are fetched by npm ci", builds::npm)
                .denying(&["fetching", "name_connect"]),
            Scenario::new("found: what cannot be understood says why, and what served goes on", unclear),
        ],
    }
}

fn release(vm: &Vm, name: &str, files: &[(&str, &str)]) -> Result<PathBuf, String> {
    let folder = vm.scratch().join(name);
    for (path, content) in files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).and_then(|()| fs::write(&path, content)).map_err(|e| e.to_string())?;
    }
    Ok(folder)
}

fn deploy(vm: &Vm, name: &str, folder: &Path, more: &[&str]) -> Result<String, String> {
    let folder = folder.display().to_string();
    vm.ok(&[&["deploy", name, &folder], more].concat())
}

/// The arguments that the program has been started with.
fn marks(vm: &Vm) -> Result<String, String> {
    let seen = vm.page_json(NODE, "/")?;
    let words = seen["mark"].as_array().into_iter().flatten().filter_map(|word| word.as_str());
    Ok(words.collect::<Vec<_>>().join(" "))
}

fn package(vm: &mut Vm) -> Result<(), String> {
    let package = r#"{"name": "x", "scripts": {"prestart": "tsc", "start": "npm run serve", "serve": "NODE_ENV=production web one"},
        "engines": {"node": "18.x"}}"#;
    let files = [
        ("package.json", package),
        ("src/web.mjs", PROGRAM),
        ("node_modules/web/cli.js", BIN),
        ("server.js", "throw new Error('not this one');"),
        (".gitignore", "node_modules\n.env\n"),
        (".env", "SECRET=1"),
    ];
    let folder = release(vm, "package", &files)?;
    fs::create_dir_all(folder.join("node_modules/.bin")).map_err(|e| e.to_string())?;
    symlink("../web/cli.js", folder.join("node_modules/.bin/web")).map_err(|e| e.to_string())?;
    let said = deploy(vm, NODE, &folder, &[])?;
    vm.note(said.clone());
    contains(
        "what is run",
        &said,
        "runs: /usr/bin/node node_modules/.bin/web one (package.json, scripts.start)",
    )?;
    contains("another Node.js", &said, "package.json asks for Node.js 18.x, and it runs on 24.")?;
    contains("what is not done", &said, "not done: scripts.prestart in package.json")?;
    contains("what stayed behind", &said, "left out by .gitignore: .env")?;
    same("the arguments", marks(vm)?.as_str(), "one")?;
    same("the secret's file", vm.page_json(NODE, "/")?["env"].as_bool(), Some(false))
}

fn procfile(vm: &mut Vm) -> Result<(), String> {
    let files = [
        ("Procfile", "worker: node queue.js\nweb: node src/web.mjs 'two words' ${PORT:-3000}\n"),
        ("src/web.mjs", PROGRAM),
        ("queue.js", ""),
    ];
    let folder = release(vm, "procfile", &files)?;
    let said = deploy(vm, NODE, &folder, &[])?;
    contains("what is run", &said, "runs: /usr/bin/node src/web.mjs two words ${PORT:-3000} (Procfile, web)")?;
    contains("what is not done", &said, "worker in Procfile is not run yet: `kennel scale")?;
    // Which of the slot's ports it is changes from release to release.
    let first = vm.show(NODE)?["port"].as_u64().ok_or("no port")?;
    let ports: Vec<u64> = (first..first + 8).collect();
    let seen = marks(vm)?;
    holds(&seen, ports.iter().any(|port| seen == format!("two words {port}")))?;
    deploy(vm, NODE, Path::new("examples/procfile"), &[])?;
    let page = vm.page(NODE, "/")?.body;
    holds(&page, ports.iter().any(|port| page.contains(&format!("web.js --port {port}"))))
}

fn otherwise(vm: &mut Vm) -> Result<(), String> {
    let files = [
        ("kennel.toml", "[app]\ncommand = [\"node\", \"src/web.mjs\", \"by kennel.toml\"]\n"),
        ("Procfile", "web: node src/web.mjs by-procfile"),
        ("src/web.mjs", PROGRAM),
    ];
    let folder = release(vm, "otherwise", &files)?;
    contains("what is run", &deploy(vm, NODE, &folder, &[])?, "(kennel.toml, app.command)")?;
    same("the arguments", marks(vm)?.as_str(), "by kennel.toml")?;
    let said = deploy(vm, NODE, &folder, &["--command", "node src/web.mjs 'said so'"])?;
    contains("what is run", &said, "runs: /usr/bin/node src/web.mjs said so (the command line)")?;
    same("the arguments", marks(vm)?.as_str(), "said so")?;
    vm.ok(&["rollback", NODE])?;
    same("the arguments", marks(vm)?.as_str(), "by kennel.toml")?;
    let releases = vm.json(&["releases", NODE])?;
    let origins: Vec<_> =
        releases.as_array().into_iter().flatten().filter_map(|r| r["origin"].as_str()).collect();
    same(
        "where they come from",
        origins,
        vec!["command-line", "kennel-toml", "procfile", "procfile", "package-start"],
    )
}

fn site(vm: &mut Vm) -> Result<(), String> {
    let folder =
        release(vm, "site", &[("index.html", "<h1>pages</h1>"), ("docs/a.css", "a"), (".htpasswd", "x")])?;
    let said = deploy(vm, SITE, &folder, &[])?;
    contains("what is run", &said, "runs: nothing, its files are answered (index.html, and no program)")?;
    for (path, status, body) in [("/", 200, "<h1>pages</h1>"), ("/docs/a.css", 200, "a")] {
        let answer = vm.page(SITE, path)?;
        same(path, (answer.status, answer.body.as_str()), (status, body))?;
    }
    for path in ["/nothing", "/.htpasswd"] {
        same(path, vm.page(SITE, path)?.status, 404)?;
    }
    same("its program", vm.show(SITE)?["state"].as_str().unwrap_or_default(), "stopped")?;
    deploy(vm, SITE, Path::new("examples/site"), &[])?;
    contains("the example", &vm.page(SITE, "/")?.body, "A site of files")?;
    deploy(vm, SITE, &folder, &[])?;
    // A source that a runtime would have run is shown to nobody.
    fs::write(folder.join("contact.php"), "<?php $password = 1;").map_err(|e| e.to_string())?;
    let refused = vm.run(&["deploy", SITE, &folder.display().to_string()])?;
    contains("the error", &refused.err, "the release holds no program that the runtime static can start")?;
    same("what served", vm.page(SITE, "/contact.php")?.status, 404)?;
    vm.stop()?;
    vm.boot()?;
    same("after a boot", vm.page(SITE, "/")?.body.as_str(), "<h1>pages</h1>")
}

fn machine(vm: &mut Vm) -> Result<(), String> {
    let folder = release(vm, "machine", &[("README.md", "")])?;
    let file = folder.join("counter");
    let put = |mode: u32| {
        fs::write(&file, exits()).and_then(|()| fs::set_permissions(&file, PermissionsExt::from_mode(mode)))
    };
    put(0o644).map_err(|e| e.to_string())?;
    let refused = vm.run(&["deploy", MACHINE, &folder.display().to_string()])?;
    contains("the hint", &refused.err, "counter may not be executed: `chmod +x` it")?;
    put(0o755).map_err(|e| e.to_string())?;
    contains("what is run", &deploy(vm, MACHINE, &folder, &[])?, "runs: ./counter (the one static program)")?;
    let answer = vm.page(MACHINE, "/")?;
    holds(&format!("it ends at once: {}", answer.status), [502, 503].contains(&answer.status))?;
    vm.logged(MACHINE, "41")
}

/// The smallest program: it exits with 41.
fn exits() -> Vec<u8> {
    let code = [0xb8, 60, 0, 0, 0, 0xbf, 41, 0, 0, 0, 0x0f, 0x05];
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([2u16, 62].map(u16::to_le_bytes).concat());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend([0x40_0078u64, 64, 0].map(u64::to_le_bytes).concat());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend([64u16, 56, 1, 64, 0, 0].map(u16::to_le_bytes).concat());
    // One part, readable and executable: all of the file.
    bytes.extend([1u32, 5].map(u32::to_le_bytes).concat());
    bytes.extend([0u64, 0x40_0000, 0x40_0000, 132, 132, 4096].map(u64::to_le_bytes).concat());
    bytes.extend(code);
    bytes
}

fn unclear(vm: &mut Vm) -> Result<(), String> {
    let before = marks(vm)?;
    for (name, files, code, words) in [
        (
            "shell",
            &[("package.json", r#"{"scripts": {"start": "next build && next start"}}"#)][..],
            "not-runnable",
            &[
                "(package.json, scripts.start): `next build && next start`: \"&&\" is for a shell",
                "kennel deploy --command",
            ][..],
        ),
        (
            "unbuilt",
            &[("package.json", r#"{"scripts": {"start": "node dist/main.js"}}"#), ("src/main.ts", "")],
            "not-runnable",
            &["dist/main.js is not in the release; is it built, and not left out by .gitignore"],
        ),
        (
            "python",
            &[("requirements.txt", "flask"), ("app.py", "")],
            "no-program",
            &[
                "requirements.txt is of a program for Python, and the tenant's runtime is node-24; the host has node-24, node-22, static, python-3.13",
            ],
        ),
        ("gunicorn", &[("Procfile", "web: gunicorn app:app")], "not-runnable", &["\"gunicorn\" is neither in"]),
        ("deep", &[("package.json", &"[".repeat(200_000))], "not-runnable", &["it is not what npm would take"]),
        (
            "nothing",
            &[("README.md", "")],
            "no-program",
            &["looked for kennel.toml, Procfile, package.json, server.js"],
        ),
    ] {
        let folder = release(vm, name, files)?.display().to_string();
        let refused = vm.run(&["deploy", NODE, &folder])?;
        vm.note(refused.err.trim().to_owned());
        same("the exit code", refused.code, 2)?;
        for words in words {
            contains(name, &refused.err, words)?;
        }
        let refused = vm.run(&["--json", "deploy", NODE, &folder])?;
        contains("for programs", &format!("{}{}", refused.out, refused.err), &format!("\"{code}\""))?;
    }
    same("what serves", marks(vm)?, before)
}
