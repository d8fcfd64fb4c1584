//! The image with the probe in it: root in each of our domains tries to open the policy up, services are killed, and
//! a census counts what tenants leave behind.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::{Group, Scenario, ladder, probe_image, seeing, traffic};
use crate::checks::{holds, same};
use crate::vm::{Vm, until};

/// What the probe is denied is what it is for; looking for processes to kill, it meets the kernel's.
const PROBE: &[&str] = &["kennel-probe"];
/// Onboard and remove so often.
const CYCLES: usize = 200;
/// Domains that the probe runs in, and what it tries there.
const DOMAINS: [&str; 9] = [
    "init_t",
    "kernel_t",
    "proxy_t",
    "control_t",
    "dhcp_t",
    "iptables_t",
    "fsck_t",
    "tenant0000_t",
    "tenant0000_install_t",
];
const ACTS: [&str; 4] = ["load_policy", "setenforce", "setbool", "remount"];

pub(super) fn group() -> Group {
    Group {
        title: "root within, and services that die",
        image: probe_image,
        prepare: |vm| {
            vm.boot()?;
            vm.tenant("steady", "examples/node-hello")
        },
        scenarios: vec![
            Scenario::new("root in no domain can open the policy or the root up", sealed).denying(PROBE),
            Scenario::new("proxy and control are killed: served again, no tenant harmed or held awake, no visit forgotten", killed)
                .denying(PROBE),
            Scenario::new("200 tenants come and go and leave nothing behind", cycles).denying(PROBE),
        ],
    }
}

fn sealed(vm: &mut Vm) -> Result<(), String> {
    for domain in DOMAINS {
        for act in ACTS {
            let mark = format!("probe: {domain} {act} ");
            let line: String = until(&format!("the line {mark:?}"), Duration::from_secs(60), || {
                let console = vm.console();
                let at = console.find(&mark);
                // The kernel may go on in the same line.
                let word =
                    |at| console[at + mark.len()..].chars().take_while(char::is_ascii_uppercase).collect();
                Ok(at.map(word))
            })?;
            holds(
                &format!("{domain} {act} is refused (it said {line:?})"),
                ["EACCES", "EPERM", "EROFS", "ENOENT"].contains(&line.as_str()),
            )?;
        }
    }
    Ok(())
}

fn restarts(vm: &Vm, service: &str) -> Result<u64, String> {
    let host = vm.json(&["host", "status"])?;
    let found = host["services"].as_array().into_iter().flatten().find(|s| s["name"] == service);
    found.and_then(|s| s["restarts"].as_u64()).ok_or(format!("no service {service}: {host}"))
}

fn killed(vm: &mut Vm) -> Result<(), String> {
    // At another port of its slot than the first, which a new proxy does not know by itself.
    vm.ok(&["limits", "steady", "--trial", "on"])?;
    vm.ok(&["deploy", "steady", "examples/node-hello"])?;
    same("the status", vm.page("steady", "/?before")?.status, 200)?;
    let starts = |vm: &Vm| vm.logs("steady").map(|log| log.matches("listening").count());
    let before = starts(vm)?;
    let used = until("its first request to be counted", Duration::from_secs(60), || {
        Ok(seeing::outlives(vm, "steady", None).ok())
    })?;
    let (socket, life) = held(vm)?;
    // The probe takes them in turn, once each; meanwhile pages are asked for, one after the other.
    for service in ["proxy", "control"] {
        until(&format!("{service} to have been killed and started again"), Duration::from_secs(180), || {
            // A request that was in flight may break; the next must not.
            if vm.page("steady", "/").is_err() {
                same("the page after a broken one", vm.page("steady", "/")?.status, 200)?;
            }
            Ok(restarts(vm, service).ok().filter(|times| *times > 0).map(|_| ()))
        })?;
        same("the status afterwards", vm.page("steady", &format!("/?after-{service}"))?.status, 200)?;
    }
    // One for each of the machine's processors, before and after.
    until("the proxy to say each time that it has two workers", Duration::from_secs(60), || {
        Ok((vm.console().matches("proxy: 2 workers").count() >= 2).then_some(()))
    })?;
    traffic::has_in_order(vm, "steady", &["/?before", "/?after-proxy", "/?after-control"])?;
    let_go(vm, socket, &life)?;
    seeing::outlives(vm, "steady", Some(&used))?;
    same("starts of the tenant's program", starts(vm)?, before)
}

/// A tenant that only an open WebSocket keeps awake; with which process it is.
fn held(vm: &Vm) -> Result<(TcpStream, Value), String> {
    vm.tenant(ladder::NAME, "tests/sleeper")?;
    let limits = ["--freeze-after", "1s", "--reclaim-after", "never", "--stop-after", "never"];
    vm.ok(&[&["limits", ladder::NAME], &limits[..]].concat())?;
    let life = vm.page_json(ladder::NAME, "/")?["life"].clone();
    let socket = ladder::web_socket(vm.web_port(), ladder::NAME)?;
    // Longer than it takes to freeze one that nobody needs, its lease's end included.
    std::thread::sleep(Duration::from_secs(5));
    same("its state", vm.show(ladder::NAME)?["state"].as_str(), Some("running"))?;
    Ok((socket, life))
}

/// What held it has died with the proxy: it goes to sleep as any other that nobody needs, and wakes as it was.
fn let_go(vm: &Vm, mut socket: TcpStream, life: &Value) -> Result<(), String> {
    let ended = socket.read(&mut [0; 1]);
    holds(&format!("the WebSocket ended with the proxy: {ended:?}"), matches!(ended, Ok(0) | Err(_)))?;
    until("it to be frozen", Duration::from_secs(60), || {
        Ok((vm.show(ladder::NAME)?["state"] == "frozen").then_some(()))
    })?;
    same("the process that answers", &vm.page_json(ladder::NAME, "/")?["life"], life)?;
    vm.ok(&["tenant", "rm", ladder::NAME, "--yes"]).map(drop)
}

/// The last line of the census on the console: counts of mounts, cgroups and files of slots.
fn census(vm: &Vm) -> Result<String, String> {
    let seen = vm.console().len();
    until("the next census", Duration::from_secs(60), || {
        let console = vm.console();
        let news = console.get(seen..).unwrap_or_default();
        let line = news.lines().find(|line| line.contains("probe: census "));
        Ok(line.and_then(|line| line.split("probe: census ").nth(1)).map(|counts| counts.trim().to_owned()))
    })
}

fn cycles(vm: &mut Vm) -> Result<(), String> {
    let before = (census(vm)?, vm.json(&["host", "status"])?["slots_used"].clone());
    for n in 0..CYCLES {
        let name = format!("guest-{n}");
        vm.ok(&["tenant", "add", &name, "--runtime", "node-24", "--trial", "off"])?;
        vm.ok(&["tenant", "rm", &name, "--yes"])?;
    }
    same("slots in use", vm.json(&["host", "status"])?["slots_used"].clone(), before.1)?;
    same("the census", census(vm)?, before.0)
}
