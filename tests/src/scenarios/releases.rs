//! The way back to an earlier release: under a steady load, as often as deploys, with every answer counted; to one that does
//! not start, which leaves what served; and over a boot. And the releases that bring other variables.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Group, Scenario, betas, git, people_image, printed, trials};
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{Output, PAGE_DEADLINE, Vm};

pub(super) const NAME: &str = "back";
/// Switches of each kind under load.
pub(super) const SWITCHES: usize = 5;
/// Visitors at a time, and the time between two requests of one. The user network loses connections that come in the same instant.
const VISITORS: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn group() -> Group {
    Group {
        title: "releases and the way back",
        image: people_image,
        prepare: |vm| vm.boot(),
        scenarios: vec![
            Scenario::new(
                "releases: a rollback serves the earlier release and keeps the later",
                there_and_back,
            ),
            Scenario::new("releases: one that does not start leaves what served, and shows its log", broken),
            Scenario::new(
                "releases: neither deploys nor rollbacks lose a request of a steady load",
                under_load,
            ),
            Scenario::new(
                "releases: what is tried takes over as it is, and nobody waits for it",
                trials::tried,
            ),
            Scenario::new(
                "releases: what is shown is promoted as it is, and nobody waits for it",
                betas::promoted,
            ),
            Scenario::new("releases: what is shown goes with its program, or for another", betas::gone),
            Scenario::new(
                "git: what is pushed serves, what is no good is refused, another branch is shown",
                git::pushed,
            ),
            Scenario::new(
                "jobs: a deploy goes on without who began it, and others follow it",
                super::jobs::followed,
            ),
            Scenario::new("releases: what is no good is tried, and never serves", trials::no_good),
            Scenario::new(
                "releases: what crashes again and again once it serves is taken back from",
                trials::crashes,
            ),
            Scenario::new(
                "releases: each line of the log is of the release that printed it, also while two print",
                printed::told_apart,
            ),
            Scenario::new(
                "releases: of a flood the newest is kept, and the log says how much is not",
                printed::floods,
            ),
            Scenario::new(
                "releases: variables reach the program, change by releases, and are shown to nobody",
                variables,
            ),
            Scenario::new(
                "releases: of 5,000 files what has changed travels, and makes what the whole archive makes",
                super::changes::travels,
            )
            .denying(&["scontext=system_u:jit_r:tenant"]),
            Scenario::new("releases: what was rolled back to serves after a boot", after_a_boot),
        ],
    }
}

/// A program that says its release's number and what was written into it.
pub(super) fn deploy(vm: &Vm, mark: &str, program: &str) -> Result<String, String> {
    deploy_as(vm, mark, program, &[])
}

/// The same, with whatever else is wanted.
pub(super) fn deploy_as(vm: &Vm, mark: &str, program: &str, more: &[&str]) -> Result<String, String> {
    let said = deployed(vm, mark, program, more)?;
    if said.code == 0 {
        Ok(said.out)
    } else {
        Err(format!("{mark} was not deployed: {}{}", said.out, said.err))
    }
}

/// What a deploy of it said, well or not.
pub(super) fn deployed(vm: &Vm, mark: &str, program: &str, more: &[&str]) -> Result<Output, String> {
    vm.run(&[&["deploy", NAME, &folder(vm, mark, program)?], more].concat())
}

/// A folder with the program in it.
pub(super) fn folder(vm: &Vm, mark: &str, program: &str) -> Result<String, String> {
    let fault = |e: std::io::Error| e.to_string();
    let folder = vm.scratch().join(format!("back-{mark}"));
    std::fs::create_dir_all(&folder).map_err(fault)?;
    std::fs::write(folder.join("server.js"), program).map_err(fault)?;
    Ok(folder.display().to_string())
}

fn says(mark: &str) -> String {
    format!(
        "const server = require('node:http').createServer((_, answer) =>\n  \
         answer.end(JSON.stringify({{ mark: '{mark}', release: process.env.KENNEL_RELEASE }})));\n\
         server.listen(process.env.PORT, '127.0.0.1');\n\
         process.on('SIGTERM', () => {{ server.close(() => process.exit(0)); server.closeIdleConnections(); }});\n"
    )
}

fn serving(vm: &Vm, mark: &str, release: &str) -> Result<(), String> {
    let seen = vm.page_json(NAME, "/")?;
    same("which program answers", seen["mark"].as_str().unwrap_or_default(), mark)?;
    same("its release", seen["release"].as_str().unwrap_or_default(), release)
}

pub(super) fn ensure(vm: &Vm) -> Result<(), String> {
    if vm.show(NAME).is_ok() {
        // Whatever the scenario before wanted.
        let usual = ["limits", NAME, "--trial", "off", "--health", "none", "--start-timeout", "60s"];
        return vm.ok(&usual).map(drop);
    }
    let domain = format!("{NAME}.localhost");
    vm.ok(&["tenant", "add", NAME, "--runtime", "node-24", "--domain", &domain, "--trial", "off"])?;
    deploy(vm, "one", &says("one"))?;
    deploy(vm, "two", &says("two"))?;
    vm.page_json(NAME, "/").map(drop)
}

pub(super) fn states(vm: &Vm) -> Result<Vec<String>, String> {
    let releases = vm.json(&["releases", NAME])?;
    let word = |r: &serde_json::Value| format!("{} {}", r["id"], r["state"].as_str().unwrap_or_default());
    Ok(releases.as_array().into_iter().flatten().map(word).collect())
}

fn there_and_back(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    serving(vm, "two", "2")?;
    let refused = vm.run(&["rollback", NAME, "--to", "9"])?;
    same("the exit code", refused.code, 2)?;
    contains("what was said", &refused.err, "it has r1, r2")?;
    contains("what was said", &vm.ok(&["rollback", NAME])?, "release r1 of back serves")?;
    serving(vm, "one", "1")?;
    same("the releases", states(vm)?, vec!["2 kept".to_owned(), "1 serving".to_owned()])?;
    contains("the timeline", &vm.ok(&["tenant", "timeline", NAME])?, "rolled back from r2 to r1 by SHA256:")?;
    vm.ok(&["rollback", NAME, "--to", "2"])?;
    serving(vm, "two", "2")
}

fn broken(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["tenant", "stop", NAME])?;
    deploy(vm, "bad", "console.error('no such module as never'); process.exit(3);\n")?;
    deploy(vm, "three", &says("three"))?;
    serving(vm, "three", "4")?;
    let refused = vm.run(&["rollback", NAME])?;
    same("the exit code", refused.code, 2)?;
    contains("the error", &refused.err, "release r3 does not stay up: ")?;
    contains("the error", &refused.err, "; r4 serves again")?;
    contains("the end of its log", &refused.err, "no such module as never")?;
    serving(vm, "three", "4")?;
    same("what serves", states(vm)?.first().map(String::as_str).unwrap_or_default(), "4 serving")?;
    vm.logged(NAME, "starting release 3")
}

/// Visitors who come again and again until it is dropped or counted.
pub(super) struct Load {
    over: Arc<AtomicBool>,
    visitors: Vec<JoinHandle<Counted>>,
}

#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) answered: usize,
    /// The longest that one had to wait for its answer.
    pub(super) slowest: Duration,
    pub(super) lost: Vec<String>,
}

impl Load {
    pub(super) fn begin(vm: &Vm) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let visitors = (0..VISITORS).map(|_| {
            thread::sleep(PAUSE / 7);
            let (port, stop) = (vm.web_port(), Arc::clone(&over));
            thread::spawn(move || visit(port, &stop))
        });
        Self { visitors: visitors.collect(), over }
    }

    pub(super) fn end(mut self) -> Result<Counted, String> {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Counted::default();
        for visitor in self.visitors.drain(..) {
            let counted = visitor.join().map_err(|_| "a visitor panicked".to_owned())?;
            all.answered += counted.answered;
            all.slowest = all.slowest.max(counted.slowest);
            all.lost.extend(counted.lost);
        }
        Ok(all)
    }
}

fn visit(port: u16, stop: &AtomicBool) -> Counted {
    let (host, mut counted) = (format!("{NAME}.localhost"), Counted::default());
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        match http::get(port, &host, "/", PAGE_DEADLINE) {
            Ok(answer) if answer.status == 200 => {
                counted.answered += 1;
                counted.slowest = counted.slowest.max(asked.elapsed());
            }
            Ok(answer) => counted.lost.push(answer.status.to_string()),
            Err(cause) => counted.lost.push(cause),
        }
        thread::sleep(PAUSE);
    }
    counted
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for visitor in self.visitors.drain(..) {
            let _ = visitor.join();
        }
    }
}

fn under_load(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    deploy(vm, "four", &says("four"))?;
    deploy(vm, "five", &says("five"))?;
    vm.page_json(NAME, "/")?;
    let load = Load::begin(vm);
    for _ in 0..SWITCHES {
        deploy(vm, "six", &says("six"))?;
        vm.page_json(NAME, "/")?;
    }
    let deploys = load.end()?;
    let newest = vm.show(NAME)?["current"].as_u64().ok_or("nothing serves")?;
    let load = Load::begin(vm);
    for n in 0..SWITCHES as u64 {
        let to = if n % 2 == 0 { newest - 1 } else { newest };
        vm.ok(&["rollback", NAME, "--to", &to.to_string()])?;
        vm.page_json(NAME, "/")?;
    }
    let rollbacks = load.end()?;
    for (what, counted) in [("deploys", &deploys), ("rollbacks", &rollbacks)] {
        let lost = counted.lost.len();
        vm.note(format!("{SWITCHES} {what}: {} answered, {lost} lost {:?}", counted.answered, counted.lost));
        same(&format!("requests lost in {what}"), lost, 0)?;
    }
    holds("the load was there", deploys.answered > SWITCHES && rollbacks.answered > SWITCHES)
}

/// In no other text of this computer or the host.
const SECRET: &str = "zwieback-4711-zwieback";

/// The first four bytes of its SHA-256.
const KEY: &str = "48d20db0";

/// Says one of its variables by what it is hashed to, so that its value is on no page.
const VARIABLES: &str = "\
const { createHash } = require('node:crypto');
const of = (name) => process.env[name] && createHash('sha256').update(process.env[name]).digest('hex').slice(0, 8);
if (process.env.COLOUR === 'broken') { console.error('no such colour'); process.exit(4); }
console.log('marked-by-the-program-4711');
const server = require('node:http').createServer((_, answer) => answer.end(JSON.stringify({
  colour: process.env.COLOUR, key: of('KEY'), release: process.env.KENNEL_RELEASE, port: process.env.PORT })));
server.listen(process.env.PORT, '127.0.0.1');
";

fn variables(vm: &mut Vm) -> Result<(), String> {
    let name = "vars";
    vm.ok(&["tenant", "add", name, "--runtime", "node-24", "--domain", "vars.localhost", "--trial", "off"])?;
    vm.ok(&["env", "set", name, "COLOUR=red"])?;
    let fault = |e: std::io::Error| e.to_string();
    let folder = vm.scratch().join("vars");
    std::fs::create_dir_all(&folder).map_err(fault)?;
    std::fs::write(folder.join("server.js"), VARIABLES).map_err(fault)?;
    vm.ok(&["deploy", name, &folder.display().to_string()])?;
    same("the colour", vm.page_json(name, "/")?["colour"].as_str().unwrap_or_default(), "red")?;
    std::fs::write(folder.join("env"), format!("KEY='{SECRET}'\nCOLOUR=blue\n")).map_err(fault)?;
    let file = folder.join("env").display().to_string();
    let said = vm.ok(&["env", "set", name, "--from-file", &file])?;
    contains("what was said", &said, "release r2 of vars serves, with 2 variables")?;
    let seen = vm.page_json(name, "/")?;
    same("the colour", seen["colour"].as_str().unwrap_or_default(), "blue")?;
    same("the release", seen["release"].as_str().unwrap_or_default(), "2")?;
    same("the key", seen["key"].as_str().unwrap_or_default(), KEY)?;
    let refused = vm.run(&["env", "set", name, "COLOUR=broken"])?;
    same("the exit code", refused.code, 2)?;
    contains("the error", &refused.err, "release r3 does not stay up")?;
    contains("the end of its log", &refused.err, "no such colour")?;
    same("the colour", vm.page_json(name, "/")?["colour"].as_str().unwrap_or_default(), "blue")?;
    let refused = vm.run(&["env", "set", name, "PORT=80"])?;
    contains("the error", &refused.err, "PORT is set by the host")?;
    let listed = vm.ok(&["env", "ls", name])?;
    contains("the list", &listed, "COLOUR  ********")?;
    let texts = [
        listed,
        vm.ok(&["--json", "env", "ls", name])?,
        vm.ok(&["--json", "tenant", "show", name])?,
        vm.ok(&["tenant", "timeline", name])?,
        vm.logs(name)?,
        vm.console(),
        said,
    ];
    holds("no text has the secret", !texts.iter().any(|text| text.contains(SECRET)))?;
    vm.stop()?;
    holds("the disk has what the program prints", on_the_data_disk(vm, "marked-by-the-program-4711")?)?;
    holds("the disk does not have the secret", !on_the_data_disk(vm, SECRET)?)?;
    vm.boot()?;
    same("the key after a boot", vm.page_json(name, "/")?["key"].as_str().unwrap_or_default(), KEY)?;
    vm.ok(&["rollback", name, "--to", "1"])?;
    let seen = vm.page_json(name, "/")?;
    same("the colour of the first", seen["colour"].as_str().unwrap_or_default(), "red")?;
    holds("the first has no key", seen["key"].is_null())
}

/// Whether a text is anywhere on the data volume, as this computer sees it.
fn on_the_data_disk(vm: &Vm, text: &str) -> Result<bool, String> {
    let fault = |e: std::io::Error| e.to_string();
    let mut disk = std::fs::File::open(vm.state("data.raw")).map_err(fault)?;
    let (text, mut block, mut kept) = (text.as_bytes(), vec![0; 1 << 20], 0);
    loop {
        let read = disk.read(&mut block[kept..]).map_err(fault)?;
        if read == 0 {
            return Ok(false);
        }
        let whole = kept + read;
        let first = text.first().copied().unwrap_or_default();
        let mut from = 0;
        while let Some(at) = block[from..whole].iter().position(|byte| *byte == first) {
            if block[from + at..whole].starts_with(text) {
                return Ok(true);
            }
            from += at + 1;
        }
        // Each look holds the end of the one before.
        kept = whole.min(text.len());
        block.copy_within(whole - kept..whole, 0);
    }
}

fn after_a_boot(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    let before = states(vm)?;
    let newest = before.first().and_then(|line| line.split(' ').next()).ok_or("no release")?.to_owned();
    if !before[0].ends_with("serving") {
        vm.ok(&["rollback", NAME, "--to", &newest])?;
    }
    let back = vm.json(&["rollback", NAME])?;
    let release = back["release"]["id"].to_string();
    vm.stop()?;
    vm.boot()?;
    same("the release that answers", vm.page_json(NAME, "/")?["release"].as_str().unwrap_or_default(), &release)
}
