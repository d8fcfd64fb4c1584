//! Packages are fetched on the host: a program of Express comes without its own, and a registry on this machine's loopback has them,
//! which a guest of QEMU's user network reaches at 10.0.2.2.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::samples;
use crate::checks::{contains, holds, same};
use crate::vm::Vm;

const NAME: &str = "fetching";

/// A server of files; it ends when this is dropped.
struct Registry {
    server: Child,
    port: u16,
    log: std::path::PathBuf,
}

impl Registry {
    fn start(vm: &Vm, folder: &Path) -> Result<Self, String> {
        let log = vm.scratch().join("registry.log");
        let errors = fs::File::create(&log).map_err(|e| e.to_string())?;
        let mut command = Command::new("python3");
        command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let server = command.spawn().map_err(|e| format!("python3: {e}"))?;
        let mut registry = Self { server, port: 0, log };
        // "Serving HTTP on 127.0.0.1 port 43219 (http://127.0.0.1:43219/) ..."
        let said = registry.server.stdout.take().ok_or("it has no output")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line).map_err(|e| e.to_string())?;
        let port = line.split_once(" port ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        registry.port = port.ok_or(format!("where it listens is not in {line:?}"))?;
        Ok(registry)
    }

    /// Packages that were asked for so far.
    fn asked(&self) -> Result<usize, String> {
        let log = fs::read_to_string(&self.log).map_err(|e| e.to_string())?;
        Ok(log.lines().filter(|line| line.contains("GET /") && line.contains(".tgz")).count())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

pub(super) fn npm(vm: &mut Vm) -> Result<(), String> {
    let made = samples::registry(vm, &["express"])?;
    let (registry, app) = (Registry::start(vm, &made.join("registry"))?, made.join("express"));
    let settings = format!("registry=http://10.0.2.2:{}/\nfetch-retries=0\n", registry.port);
    fs::write(app.join(".npmrc"), settings).map_err(|e| e.to_string())?;
    // Large enough to ask first what the host has.
    fs::write(app.join("public/ballast"), vec![7; 1 << 20]).map_err(|e| e.to_string())?;
    let folder = app.display().to_string();
    vm.ok(&["tenant", "add", NAME, "--runtime", "node-24", "--domain", &format!("{NAME}.localhost")])?;
    vm.ok(&["limits", NAME, "--start-timeout", "60s"])?;

    // Its egress list counts for what fetches its packages as well.
    let refused = vm.run(&["deploy", NAME, &folder])?;
    same("the exit code without a rule", refused.code, 2)?;
    contains("what is said without a rule", &refused.err, "release r1 cannot be built: npm ci: ")?;
    contains("and why", &refused.err, &format!("port: {}", registry.port))?;
    same("packages asked for", registry.asked()?, 0)?;
    vm.ok(&["egress", NAME, "allow", &format!("10.0.2.2:{}", registry.port)])?;

    let said = vm.ok(&["deploy", NAME, &folder])?;
    contains("what is run", &said, "runs: /usr/bin/node ./bin/www (package.json, scripts.start)")?;
    contains("its page", &vm.page(NAME, "/")?.body, "<h1>Express</h1>")?;
    let asked = registry.asked()?;
    holds(&format!("{asked} packages were asked for"), asked > 30)?;
    contains("its log", &vm.logs(NAME)?, "added ")?;

    // For the next they are kept: nothing of them is sent, and nothing asked for.
    fs::write(app.join("routes/users.js"), NEW_PAGE).map_err(|e| e.to_string())?;
    let said = vm.ok(&["deploy", NAME, &folder])?;
    contains("what is sent", &said, "1 of 10 files changed: ")?;
    same("its new page", vm.page(NAME, "/users")?.body.as_str(), "another")?;
    same("packages asked for again", registry.asked()?, asked)?;
    contains("its steps", &vm.ok(&["job", "show", &last_job(vm)?])?, "npm ci")?;

    // Whoever has them all is left alone; what was there before the build is refused as ever.
    let refused = vm.run(&["deploy", NAME, &folder, "--no-build"])?;
    same("the exit code without packages", refused.code, 2)?;
    contains("why it does not start", &refused.err, "MODULE_NOT_FOUND")?;
    same("its page still", vm.page(NAME, "/users")?.body.as_str(), "another")?;
    vm.ok(&["tenant", "rm", NAME, "--yes"]).map(drop)
}

/// Has a sample of Python deployed without its packages; what is said.
pub(super) fn pip(vm: &Vm, name: &str) -> Result<String, String> {
    let made = samples::registry(vm, &[name])?;
    let (registry, app) = (Registry::start(vm, &made.join("registry"))?, made.join(name));
    let file = app.join("requirements.txt");
    let wanted = fs::read_to_string(&file).map_err(|e| e.to_string())?;
    let from = format!("--index-url http://10.0.2.2:{}/simple\n--trusted-host 10.0.2.2\n", registry.port);
    fs::write(&file, from + &wanted).map_err(|e| e.to_string())?;
    vm.ok(&["egress", name, "allow", &format!("10.0.2.2:{}", registry.port)])?;
    let said = vm.ok(&["deploy", name, &app.display().to_string()])?;
    contains("its log", &vm.logs(name)?, "Successfully installed ")?;
    Ok(said)
}

/// What a site of PHP has, whose one package is no more than a file.
const SITE: [(&str, &str); 2] = [
    ("composer.json", r#"{"require": {"acme/hello": "^1.0"}, "config": {"secure-http": false}}"#),
    ("index.php", "<?php require __DIR__ . '/vendor/autoload.php'; echo Acme\\Hello::to('you');"),
];
const HELLO: &str =
    "<?php namespace Acme; class Hello { static function to($who) { return \"Hello, $who\"; } }";

pub(super) fn composer(vm: &mut Vm) -> Result<(), String> {
    let (app, served) = (vm.scratch().join("composed"), vm.scratch().join("packages"));
    let write = |file: &Path, text: &str| {
        let folder = file.parent().unwrap_or(file);
        fs::create_dir_all(folder).and_then(|()| fs::write(file, text)).map_err(|e| e.to_string())
    };
    write(&served.join("hello/src/Hello.php"), HELLO)?;
    write(&served.join("hello/composer.json"), r#"{"name": "acme/hello"}"#)?;
    let mut pack = Command::new("python3");
    pack.args(["-m", "zipfile", "-c", "hello.zip", "hello/"]).current_dir(&served);
    same("the package was packed", vm.run_within(Duration::from_secs(60), pack)?.code, 0)?;
    let registry = Registry::start(vm, &served)?;
    for (name, text) in SITE {
        write(&app.join(name), text)?;
    }
    let lock = json!({
        "content-hash": "0",
        "packages": [{
            "name": "acme/hello",
            "version": "1.0.0",
            "type": "library",
            "dist": {"type": "zip", "url": format!("http://10.0.2.2:{}/hello.zip", registry.port)},
            "autoload": {"psr-4": {"Acme\\": "src/"}},
        }],
        "packages-dev": [], "aliases": [], "minimum-stability": "stable", "stability-flags": {}, "prefer-stable": false,
        "prefer-lowest": false, "platform": {}, "platform-dev": {},
    });
    write(&app.join("composer.lock"), &lock.to_string())?;
    let name = "composed";
    vm.ok(&["tenant", "add", name, "--runtime", "php-8.4", "--domain", "composed.localhost"])?;
    vm.ok(&["egress", name, "allow", &format!("10.0.2.2:{}", registry.port)])?;
    let said = vm.ok(&["deploy", name, &app.display().to_string()])?;
    contains("what is run", &said, "runs: /usr/bin/kennel-php index.php (a site of PHP)")?;
    same("its page", vm.page(name, "/")?.body.as_str(), "Hello, you")?;
    contains("its log", &vm.logs(name)?, "Generating optimized autoload files")?;
    vm.ok(&["tenant", "rm", name, "--yes"]).map(drop)
}

const NEW_PAGE: &str = "var express = require('express');\nvar router = express.Router();\n\
    router.get('/', (req, res) => res.send('another'));\nmodule.exports = router;\n";

fn last_job(vm: &Vm) -> Result<String, String> {
    let jobs = vm.json(&["jobs"])?;
    let numbers = jobs.as_array().into_iter().flatten().filter_map(|job| job["number"].as_u64());
    numbers.max().map(|number| number.to_string()).ok_or(format!("no job is known: {jobs}"))
}
