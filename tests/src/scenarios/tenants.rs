//! Tenants on a healthy host: they are who they should be, start when asked for, and fail with words.

use std::time::Duration;

use super::{Group, Scenario, archives, begin_large_deploy, people_image};
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{PAGE_DEADLINE, Vm, until};

pub(super) fn group() -> Group {
    Group {
        title: "tenants on one host",
        image: people_image,
        prepare: |vm| vm.boot(),
        scenarios: vec![
            Scenario::new("boots enforcing, from a verified root", boots_enforcing),
            Scenario::new("a new tenant's page is served through the proxy", first_page),
            Scenario::new("a tenant is confined by both means", confined),
            Scenario::new("the first request starts a stopped tenant", first_request),
            Scenario::new("fifty requests at once start it once", fifty_at_once),
            Scenario::new("an unknown host is a 404 that leaks nothing", unknown_host),
            Scenario::new("an upload killed half-way leaves the old release serving", killed_upload),
            Scenario::new("an archive that means harm is refused, and the old release serves", |vm| {
                ensure(vm, "blog", "examples/node-hello")?;
                archives::refused(vm, "blog")
            }),
            Scenario::new("a release with links that stay inside is taken", links),
            Scenario::new("a program that never listens is a 504, and its log says so", never_listens),
            Scenario::new("a program that cannot start says why in its log", cannot_start),
            Scenario::new("a removed tenant is gone, and its slot is free again", removed),
        ],
    }
}

fn boots_enforcing(vm: &mut Vm) -> Result<(), String> {
    let console = vm.console();
    contains("the console", &console, "root verified")?;
    contains("the console", &console, "enforcing")?;
    holds("no line of the boot says FAILED", !console.contains("FAILED"))
}

fn first_page(vm: &mut Vm) -> Result<(), String> {
    vm.tenant("blog", "examples/node-hello")?;
    let answer = vm.page("blog", "/")?;
    same("the status", answer.status, 200)?;
    contains("the page", &answer.body, "blog")
}

fn confined(vm: &mut Vm) -> Result<(), String> {
    vm.tenant("villain", "tests/villain")?;
    let shown = vm.show("villain")?;
    let seen = vm.page_json("villain", "/whoami")?;
    same("the UID", &seen["uid"], &shown["uid"])?;
    same("the GID", &seen["gid"], &shown["uid"])?;
    let context = shown["context"].as_str().unwrap_or_default();
    contains("the domain", seen["context"].as_str().unwrap_or_default(), context)?;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        same(set, seen["status"][set].as_str().unwrap_or_default(), "0000000000000000")?;
    }
    same("NoNewPrivs", seen["status"]["NoNewPrivs"].as_str().unwrap_or_default(), "1")?;
    same("Seccomp", seen["status"]["Seccomp"].as_str().unwrap_or_default(), "2")?;
    same("the PID in its namespace", seen["pid"].as_u64(), Some(1))?;
    let slot = format!("{:04}", shown["slot"].as_u64().unwrap_or(u64::MAX));
    contains("the cgroup", seen["cgroup"].as_str().unwrap_or_default(), &format!("/tenants/{slot}"))?;
    let root: Vec<&str> = seen["root"].as_array().into_iter().flatten().filter_map(|v| v.as_str()).collect();
    holds("its root has /app and /data", root.contains(&"app") && root.contains(&"data"))?;
    holds("its root has no /sys and no /boot", !root.contains(&"sys") && !root.contains(&"boot"))
}

fn first_request(vm: &mut Vm) -> Result<(), String> {
    ensure(vm, "blog", "examples/node-hello")?;
    vm.ok(&["tenant", "stop", "blog"])?;
    same("the state", vm.show("blog")?["state"].as_str().unwrap_or_default(), "stopped")?;
    same("the status", vm.page("blog", "/")?.status, 200)?;
    same("the state", vm.show("blog")?["state"].as_str().unwrap_or_default(), "running")
}

fn fifty_at_once(vm: &mut Vm) -> Result<(), String> {
    ensure(vm, "villain", "tests/villain")?;
    vm.ok(&["tenant", "stop", "villain"])?;
    let starts = |vm: &Vm| vm.logs("villain").map(|log| log.matches("villain: listening").count());
    let before = starts(vm)?;
    let port = vm.web_port();
    // Connections open one after the other, all before the program can listen: QEMU's user network loses some of
    // those that come in the same instant, whoever they are for.
    let asking: Vec<_> = (0..50)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            std::thread::spawn(move || http::get(port, "villain.localhost", "/whoami", PAGE_DEADLINE))
        })
        .collect();
    for request in asking {
        let answer = request.join().map_err(|_| "a request panicked")??;
        same("the status of one of the fifty", answer.status, 200)?;
    }
    same("starts in the log", starts(vm)?, before + 1)
}

/// As every `node_modules/.bin` has them.
fn links(vm: &mut Vm) -> Result<(), String> {
    let folder = vm.scratch().join("links");
    let fault = |e: std::io::Error| e.to_string();
    std::fs::create_dir_all(folder.join("bin")).map_err(fault)?;
    std::fs::copy("tests/sleeper/server.js", folder.join("program.mjs")).map_err(fault)?;
    std::os::unix::fs::symlink("../program.mjs", folder.join("bin/start")).map_err(fault)?;
    std::fs::write(folder.join("server.js"), "import('./bin/start');").map_err(fault)?;
    vm.tenant("links", &folder.display().to_string())?;
    same("the status", vm.page("links", "/")?.status, 200)
}

fn unknown_host(vm: &mut Vm) -> Result<(), String> {
    let answer = vm.page("nobody", "/")?;
    same("the status", answer.status, 404)?;
    for word in ["tenant0", "slot", "kennel-proxy", "127.0.0.1", "hyper"] {
        holds(&format!("the page does not say {word:?}"), !answer.body.contains(word))?;
    }
    Ok(())
}

fn killed_upload(vm: &mut Vm) -> Result<(), String> {
    ensure(vm, "blog", "examples/node-hello")?;
    let big = vm.scratch().join("big");
    std::fs::create_dir_all(&big).map_err(|e| e.to_string())?;
    std::fs::copy(vm.places().repository.join("examples/node-hello/server.js"), big.join("server.js"))
        .map_err(|e| e.to_string())?;
    let before = vm.show("blog")?;
    let mut upload = begin_large_deploy(vm, "blog", &big)?;
    upload.kill().and_then(|()| upload.wait()).map_err(|e| e.to_string())?;
    same("the status", vm.page("blog", "/")?.status, 200)?;
    let after = vm.show("blog")?;
    same("the releases", &after["releases"], &before["releases"])?;
    same("the current release", &after["current"], &before["current"])?;
    // The next upload finds nothing in its way.
    until("the next deploy to be taken", Duration::from_secs(30), || {
        let output = vm.run(&["deploy", "blog", "examples/node-hello"])?;
        Ok((output.code == 0).then_some(()))
    })
}

fn never_listens(vm: &mut Vm) -> Result<(), String> {
    write_app(vm, "mute", "setInterval(() => {}, 1000);\n")?;
    let answer = vm.page("mute", "/")?;
    same("the status", answer.status, 504)?;
    vm.logged("mute", "kennel: ")
}

fn cannot_start(vm: &mut Vm) -> Result<(), String> {
    write_app(vm, "broken", "process.exit(3);\n")?;
    let answer = vm.page("broken", "/")?;
    holds(&format!("502 or 503, not {}", answer.status), [502, 503].contains(&answer.status))?;
    vm.logged("broken", "3")?;
    vm.ok(&[
        "tenant",
        "add",
        "absent",
        "--runtime",
        "static",
        "--domain",
        "absent.localhost",
        "--",
        "./no-such",
    ])?;
    let output = vm.run(&["deploy", "absent", "examples/node-hello"])?;
    if output.code == 0 {
        vm.page("absent", "/")?;
        vm.logged("absent", "no-such")?;
    } else {
        contains("the refusal", &output.err, "no-such")?;
    }
    Ok(())
}

fn removed(vm: &mut Vm) -> Result<(), String> {
    let used = |vm: &Vm| vm.json(&["host", "status"]).map(|h| h["slots_used"].as_u64());
    let before = used(vm)?;
    vm.tenant("brief", "examples/node-hello")?;
    same("the status", vm.page("brief", "/")?.status, 200)?;
    let slot = vm.show("brief")?["slot"].clone();
    vm.ok(&["tenant", "rm", "brief", "--yes"])?;
    same("slots in use", used(vm)?, before)?;
    same("the status afterwards", vm.page("brief", "/")?.status, 404)?;
    vm.tenant("again", "examples/node-hello")?;
    same("the slot", vm.show("again")?["slot"].clone(), slot)?;
    same("the status", vm.page("again", "/")?.status, 200)?;
    vm.ok(&["tenant", "rm", "again", "--yes"])?;
    Ok(())
}

/// The tenant, made unless a scenario before has made it.
pub(super) fn ensure(vm: &Vm, name: &str, folder: &str) -> Result<(), String> {
    if vm.show(name).is_ok() { Ok(()) } else { vm.tenant(name, folder) }
}

/// A tenant with one file, and a short patience.
fn write_app(vm: &Vm, name: &str, server: &str) -> Result<(), String> {
    let folder = vm.scratch().join(name);
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    std::fs::write(folder.join("server.js"), server).map_err(|e| e.to_string())?;
    vm.tenant(name, &folder.display().to_string())
}
