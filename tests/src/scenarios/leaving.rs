//! A spot interruption that is due in seconds: the host empties itself, and serves again when the notice is taken back.

use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::cloud::{SOON, SPOT, emulator};
use super::{Group, Scenario, cloud, people_image};
use crate::checks::{contains, holds, same};
use crate::http::{self, Answer};
use crate::vm::{PAGE_DEADLINE, Vm, until};

/// The host drains 25 s before; it asks every 5 s.
const AHEAD: Duration = Duration::from_secs(40);
/// A page that takes this long, in milliseconds, is in flight when the host begins to drain.
const SLOW_MS: u64 = 3000;

pub(super) fn group() -> Group {
    Group {
        title: "a host on EC2 that is about to be taken away",
        image: people_image,
        prepare: |vm| {
            cloud::launch(vm)?;
            vm.tenant("busy", "tests/villain")?;
            vm.tenant("polite", "examples/node-hello")
        },
        scenarios: vec![
            Scenario::new("leaving: requests in flight end, new ones get 503, and programs end", drains),
            Scenario::new("leaving: a notice that is taken back, and the host serves again", serves_again),
        ],
    }
}

/// `2027-01-21T09:00:00Z`, as the service writes it; by `date`, which knows the calendar.
fn as_text(time: SystemTime) -> Result<String, String> {
    let seconds = time.duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?.as_secs();
    let mut date = std::process::Command::new("date");
    let output = date.args(["--utc", "--date", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"]).output();
    let text = output.map_err(|e| format!("`date` cannot be started: {e}"))?.stdout;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// Asks for a slow page, on a thread of its own.
fn slow(vm: &Vm) -> JoinHandle<Result<Answer, String>> {
    let port = vm.web_port();
    std::thread::spawn(move || {
        http::get(port, "busy.localhost", &format!("/probe/wait?ms={SLOW_MS}"), PAGE_DEADLINE)
    })
}

fn drains(vm: &mut Vm) -> Result<(), String> {
    same("a page before", vm.page("polite", "/")?.status, 200)?;
    same("a slow page before", vm.page("busy", "/probe/wait?ms=1")?.status, 200)?;
    let at = as_text(SystemTime::now() + AHEAD)?;
    emulator(vm)?.set(SPOT, format!(r#"{{"action":"terminate","time":"{at}"}}"#));
    // Slow pages are in flight all the time, whenever it begins.
    let mut pages = Vec::new();
    let end = Instant::now() + SOON + AHEAD;
    let refused = loop {
        pages.push(slow(vm));
        let page = vm.page("polite", "/")?;
        if page.status != 200 {
            break page;
        }
        holds("it drains in time", Instant::now() < end)?;
        std::thread::sleep(Duration::from_millis(500));
    };
    same("the status of a new request", refused.status, 503)?;
    contains("its head", &refused.head, "retry-after: 30")?;
    contains("its head", &refused.head, "connection: close")?;
    let mut in_flight = 0;
    for page in pages {
        let page = page.join().map_err(|_| "a thread has panicked")??;
        holds(
            &format!("a slow page ends or was not begun: {}", page.status),
            [200, 503].contains(&page.status),
        )?;
        in_flight += usize::from(page.status == 200);
    }
    holds("slow pages were served", in_flight > 0)?;
    until("no program to run", SOON, || Ok(vm.console().contains("drained: no program runs").then_some(())))?;
    let all = "everything is on the disk; the machine may be taken away";
    until("the disk to be up to date", SOON, || Ok(vm.console().contains(all).then_some(())))?;
    vm.logged("polite", "good night")?;
    let status = vm.json(&["host", "status"])?;
    same("draining", status["draining"].as_bool(), Some(true))?;
    same("programs that run", status["running"].as_u64(), Some(0))?;
    contains("the status", &vm.ok(&["host", "status"])?, "draining: requests are refused")?;
    same("a page that would start a program", vm.page("polite", "/")?.status, 503)
}

fn serves_again(vm: &mut Vm) -> Result<(), String> {
    emulator(vm)?.unset(SPOT);
    until("a page", SOON, || Ok((vm.page("polite", "/")?.status == 200).then_some(())))?;
    vm.says(0, "serving again")?;
    same("draining", vm.json(&["host", "status"])?["draining"].as_bool(), Some(false))?;
    same("a slow page", vm.page("busy", "/probe/wait?ms=1")?.status, 200)
}
