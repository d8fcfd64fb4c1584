//! Releases that are shown before they serve, each at a domain of its own, while the one before answers everybody else; and their
//! promotion under a steady load. The tenant is that of `releases`.

use super::releases::{Load, NAME, deploy_as, ensure, states};
use super::trials::slow_to_start;
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{PAGE_DEADLINE, Vm, until};
use std::time::Duration;

/// For a route to be gone.
const SOON: Duration = Duration::from_secs(30);

/// What somebody sees who was told of the release.
fn shown(vm: &Vm, host: &str) -> Result<http::Answer, String> {
    http::get(vm.web_port(), host, "/", PAGE_DEADLINE)
}

pub(super) fn promoted(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["limits", NAME, "--trial", "on", "--health", "/healthz"])?;
    deploy_as(vm, "old", &slow_to_start("old", 200), &[])?;
    let old = vm.page_json(NAME, "/")?;
    let said = deploy_as(vm, "next", &slow_to_start("next", 200), &["--beta"])?;
    let number = old["release"].as_str().and_then(|n| n.parse::<u32>().ok()).ok_or("no release")? + 1;
    let host = format!("r{number}.{NAME}.localhost");
    contains("what was said", &said, &format!("release r{number} of {NAME} is shown: "))?;
    contains("what was said", &said, &format!("http://{host}:"))?;
    let answer = shown(vm, &host)?;
    contains("the page of what is shown", &answer.body, "\"mark\":\"next\"")?;
    contains("its head", &answer.head, "x-robots-tag: noindex")?;
    same("who answers everybody else", &vm.page_json(NAME, "/")?["life"], &old["life"])?;
    // What serves may sleep meanwhile, and what is shown goes on.
    until("what serves to be put to sleep", SOON, || {
        Ok((vm.run(&["tenant", "sleep", NAME, "--to", "frozen"])?.code == 0).then_some(()))
    })?;
    let again = shown(vm, &host)?;
    same("who answers those who were told", again.body.as_str(), answer.body.as_str())?;
    same("the state of what serves", vm.show(NAME)?["state"].as_str(), Some("frozen"))?;
    contains("the releases", &vm.ok(&["releases", NAME])?, &format!("r{number} is shown at http://{host}:"))?;
    let load = Load::begin(vm);
    vm.ok(&["promote", NAME])?;
    let counted = load.end()?;
    same("requests lost in a promotion", counted.lost.len(), 0)?;
    let next = vm.page(NAME, "/")?;
    same("who answers everybody", next.body.as_str(), answer.body.as_str())?;
    same("the old place", shown(vm, &host)?.status, 404)?;
    same("what serves", states(vm)?.first().cloned(), Some(format!("{number} serving")))?;
    let timeline = vm.ok(&["tenant", "timeline", NAME])?;
    contains("the timeline", &timeline, &format!("promoted r{number} over r{} by SHA256:", number - 1))?;
    vm.ok(&["rollback", NAME])?;
    same("who serves again", &vm.page_json(NAME, "/")?["life"], &old["life"])
}

pub(super) fn gone(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["limits", NAME, "--trial", "on", "--health", "none"])?;
    deploy_as(vm, "old", &slow_to_start("old", 200), &[])?;
    let old = vm.page_json(NAME, "/")?;
    // Files alone, at a name of its own.
    let folder = vm.scratch().join("back-site");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    std::fs::write(folder.join("index.html"), "a new site").map_err(|e| e.to_string())?;
    vm.ok(&["deploy", NAME, &folder.display().to_string(), "--beta=next.localhost"])?;
    let answer = shown(vm, "next.localhost")?;
    same("the page of the site", (answer.status, answer.body.as_str()), (200, "a new site"))?;
    contains("its head", &answer.head, "x-robots-tag: noindex")?;
    same("who answers everybody else", &vm.page_json(NAME, "/")?["life"], &old["life"])?;
    // Another in its place, which ends when it is asked to.
    let ends = "require('node:http').createServer((request, answer) => {\n  \
                if (request.url === '/') return answer.end('I am shown');\n  process.exit(4);\n\
                }).listen(process.env.PORT, '127.0.0.1');\n";
    deploy_as(vm, "ends", ends, &["--beta=next.localhost"])?;
    same("what is shown now", shown(vm, "next.localhost")?.body.as_str(), "I am shown")?;
    let broken = http::get(vm.web_port(), "next.localhost", "/end", PAGE_DEADLINE)?;
    same("the answer of one that ends over it", broken.status, 502)?;
    until("its route to be gone", SOON, || Ok((shown(vm, "next.localhost")?.status == 404).then_some(())))?;
    same("who answers everybody else", &vm.page_json(NAME, "/")?["life"], &old["life"])?;
    holds("it is kept", states(vm)?.iter().any(|state| state.ends_with(" kept")))?;
    let taken =
        vm.run(&["deploy", NAME, &folder.display().to_string(), &format!("--beta={NAME}.localhost")])?;
    same("the exit code for a domain that serves", taken.code, 2)?;
    contains("the error", &taken.err, "belongs to the tenant")
}
