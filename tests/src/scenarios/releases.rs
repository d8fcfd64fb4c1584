//! The way back to an earlier release: under a steady load, as often as deploys, with every answer counted; to one that does
//! not start, which leaves what served; and over a boot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{PAGE_DEADLINE, Vm};

const NAME: &str = "back";
/// Switches of each kind under load.
const SWITCHES: usize = 5;
/// Between two requests of one visitor. The user network loses connections that come in the same instant.
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
            Scenario::new("releases: what was rolled back to serves after a boot", after_a_boot),
        ],
    }
}

/// A program that says its release's number and what was written into it.
fn deploy(vm: &Vm, mark: &str, program: &str) -> Result<(), String> {
    let fault = |e: std::io::Error| e.to_string();
    let folder = vm.scratch().join(format!("back-{mark}"));
    std::fs::create_dir_all(&folder).map_err(fault)?;
    std::fs::write(folder.join("server.js"), program).map_err(fault)?;
    vm.ok(&["deploy", NAME, &folder.display().to_string()]).map(drop)
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

fn ensure(vm: &Vm) -> Result<(), String> {
    if vm.show(NAME).is_ok() {
        return Ok(());
    }
    vm.ok(&["tenant", "add", NAME, "--runtime", "node-24", "--domain", &format!("{NAME}.localhost")])?;
    deploy(vm, "one", &says("one"))?;
    deploy(vm, "two", &says("two"))?;
    vm.page_json(NAME, "/").map(drop)
}

fn states(vm: &Vm) -> Result<Vec<String>, String> {
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
    contains("the log", &vm.logs(NAME)?, "starting release 3")
}

/// Visitors one after the other until it is dropped or counted.
struct Load {
    over: Arc<AtomicBool>,
    visitor: Option<JoinHandle<Counted>>,
}

#[derive(Debug, Default)]
struct Counted {
    answered: usize,
    lost: Vec<String>,
}

impl Load {
    fn begin(vm: &Vm) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (port, host, stop) = (vm.web_port(), format!("{NAME}.localhost"), Arc::clone(&over));
        let visitor = thread::spawn(move || {
            let mut counted = Counted::default();
            while !stop.load(Ordering::Relaxed) {
                match http::get(port, &host, "/", PAGE_DEADLINE) {
                    Ok(answer) if answer.status == 200 => counted.answered += 1,
                    Ok(answer) => counted.lost.push(answer.status.to_string()),
                    Err(cause) => counted.lost.push(cause),
                }
                thread::sleep(PAUSE);
            }
            counted
        });
        Self { over, visitor: Some(visitor) }
    }

    fn end(mut self) -> Result<Counted, String> {
        self.over.store(true, Ordering::Relaxed);
        let visitor = self.visitor.take().ok_or("no visitor")?;
        visitor.join().map_err(|_| "the visitor panicked".to_owned())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(visitor) = self.visitor.take() {
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
