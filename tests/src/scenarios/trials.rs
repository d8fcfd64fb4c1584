//! Releases that are tried beside the one that serves: under a steady load, with every answer counted; those that are no good,
//! which nobody meets; and one that turns out to be no good afterwards. The tenant is that of `releases`.

use std::time::{Duration, Instant};

use super::releases::{Load, NAME, SWITCHES, deploy, deployed, ensure, states};
use crate::checks::{contains, holds, same};
use crate::vm::{Vm, until};

/// For the host to see that a release is no good after all.
const TAKEN_BACK: Duration = Duration::from_secs(60);

/// A program that listens late, tells its lives apart, and says whether it is well as its release's mark wants it.
pub(super) fn slow_to_start(mark: &str, health: u16) -> String {
    format!(
        "const life = require('node:crypto').randomUUID();\n\
         console.log('this life is ' + life);\n\
         const server = require('node:http').createServer((request, answer) => {{\n  \
           if (request.url === '/healthz') {{ answer.statusCode = {health}; return answer.end(); }}\n  \
           answer.end(JSON.stringify({{ mark: '{mark}', life, port: process.env.PORT, argv: process.argv[2],\n    \
             release: process.env.KENNEL_RELEASE }}));\n}});\n\
         setTimeout(() => server.listen(process.env.PORT, '127.0.0.1'), 1000);\n\
         process.on('SIGTERM', () => {{ server.close(() => process.exit(0)); server.closeIdleConnections(); }});\n"
    )
}

/// How many of each kind are tried under load: `KENNEL_TEST_SWITCHES`, for who wants to see more.
fn switches() -> Result<usize, String> {
    match std::env::var_os("KENNEL_TEST_SWITCHES") {
        None => Ok(SWITCHES),
        Some(said) => {
            let number = said.to_str().and_then(|said| said.parse().ok()).filter(|n| *n > 0);
            number.ok_or_else(|| "KENNEL_TEST_SWITCHES is no number from 1 on".to_owned())
        }
    }
}

pub(super) fn tried(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["limits", NAME, "--trial", "on", "--health", "/healthz"])?;
    deploy(vm, "seven", &slow_to_start("seven", 200))?;
    let first = vm.page_json(NAME, "/")?;
    same("which program answers", first["mark"].as_str(), Some("seven"))?;
    vm.logged(NAME, first["life"].as_str().unwrap_or_default())?;
    let load = Load::begin(vm);
    let mut ports = vec![];
    let switches = switches()?;
    for n in 0..switches {
        let mark = format!("tried-{n}");
        let said = deploy(vm, &mark, &slow_to_start(&mark, 204))?;
        contains("what was said", &said, "  tried: ready ")?;
        let seen = vm.page_json(NAME, "/")?;
        same("which program answers", seen["mark"].as_str(), Some(mark.as_str()))?;
        ports.push(seen["port"].as_str().unwrap_or_default().to_owned());
    }
    let deploys = load.end()?;
    let newest = vm.show(NAME)?["current"].as_u64().ok_or("nothing serves")?;
    let load = Load::begin(vm);
    for n in 0..switches as u64 {
        let to = if n % 2 == 0 { newest - 1 } else { newest };
        vm.ok(&["rollback", NAME, "--to", &to.to_string()])?;
        same(
            "which release answers",
            vm.page_json(NAME, "/")?["release"].as_str(),
            Some(to.to_string().as_str()),
        )?;
    }
    let rollbacks = load.end()?;
    for (what, counted) in [("deploys", &deploys), ("rollbacks", &rollbacks)] {
        let (lost, slowest) = (counted.lost.len(), counted.slowest.as_secs_f64());
        vm.note(format!(
            "{switches} tried {what}: {} answered, the slowest in {slowest:.2} s, {lost} lost {:?}",
            counted.answered, counted.lost
        ));
        same(&format!("requests lost in {what}"), lost, 0)?;
    }
    ports.dedup();
    holds(&format!("each is at another port than the one before: {ports:?}"), ports.len() == switches)?;
    // Asleep, stopped and started anew it is where it was, and so it is after the proxy's end.
    let before = vm.page_json(NAME, "/")?;
    vm.ok(&["tenant", "stop", NAME])?;
    let after = vm.page_json(NAME, "/")?;
    same("its port", &after["port"], &before["port"])?;
    holds("another life", after["life"] != before["life"])?;
    // What served before the last release sleeps, and serves again as soon as it is wanted.
    deploy(vm, "new", &slow_to_start("new", 200))?;
    let new = vm.page_json(NAME, "/")?;
    let began = Instant::now();
    vm.ok(&["rollback", NAME, "--to", after["release"].as_str().unwrap_or_default()])?;
    let took = began.elapsed().as_secs_f64();
    same("its life", &vm.page_json(NAME, "/")?["life"], &after["life"])?;
    vm.ok(&["rollback", NAME, "--to", new["release"].as_str().unwrap_or_default()])?;
    same("the life of the new one", &vm.page_json(NAME, "/")?["life"], &new["life"])?;
    vm.note(format!("back to what sleeps: {took:.2} s, sign-in included"));
    Ok(())
}

/// Well until somebody comes for its page.
const CRASHES: &str = "\
require('node:http').createServer((request, answer) => {
  if (request.url === '/healthz') return answer.end();
  console.error('no such page as this');
  process.exit(7);
}).listen(process.env.PORT, '127.0.0.1');
";

pub(super) fn crashes(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["limits", NAME, "--trial", "on", "--health", "/healthz"])?;
    deploy(vm, "good", &slow_to_start("good", 200))?;
    let before = vm.page_json(NAME, "/")?;
    deploy(vm, "crashes", CRASHES)?;
    let back = || {
        let answer = vm.page(NAME, "/")?;
        Ok((answer.status == 200).then_some(answer.body))
    };
    let page = until("what served before serves again", TAKEN_BACK, back)?;
    contains("the page", &page, before["life"].as_str().unwrap_or_default())?;
    let told = vm.ok(&["tenant", "timeline", NAME])?;
    contains("the timeline", &told, "by the host, as it has ended 2 times: exited with code 7")?;
    same(
        "what serves",
        states(vm)?.get(1).cloned(),
        Some(format!("{} serving", before["release"].as_str().unwrap_or_default())),
    )
}

pub(super) fn no_good(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["limits", NAME, "--trial", "on", "--health", "/healthz"])?;
    deploy(vm, "good", &slow_to_start("good", 200))?;
    let before = vm.page_json(NAME, "/")?;
    let load = Load::begin(vm);
    for (mark, program, timeout, why) in [
        (
            "ends",
            "console.error('no such module as ever'); process.exit(3);\n".to_owned(),
            "60s",
            "exited with code 3",
        ),
        (
            "deaf",
            "setInterval(() => {}, 1000);\n".to_owned(),
            "6s",
            "within 6 s it did not listen on the port in PORT",
        ),
        // Long enough to get to listen on a busy machine.
        ("ill", slow_to_start("ill", 503), "25s", "within 25 s it answered /healthz with 503"),
    ] {
        vm.ok(&["limits", NAME, "--start-timeout", timeout])?;
        let refused = deployed(vm, mark, &program, &[])?;
        same("the exit code", refused.code, 2)?;
        contains("the error", &refused.err, why)?;
        contains(
            "the error",
            &refused.err,
            &format!("; r{} serves on", before["release"].as_str().unwrap_or_default()),
        )?;
        if mark == "ends" {
            contains("the end of its log", &refused.err, "no such module as ever")?;
        }
        let told = super::jobs::last(vm)?;
        let failed = vm.ok(&["job", "show", &told["number"].to_string()])?;
        contains("its job", &failed, "\n    start it, until it is ready: failed after ")?;
        contains("its job", &failed, why)?;
        same("the life that answers", &vm.page_json(NAME, "/")?["life"], &before["life"])?;
    }
    let counted = load.end()?;
    vm.note(format!("{} answered, {} lost {:?}", counted.answered, counted.lost.len(), counted.lost));
    same("requests lost", counted.lost.len(), 0)?;
    same(
        "what serves",
        states(vm)?.first().cloned(),
        Some(format!("{} serving", before["release"].as_str().unwrap_or_default())),
    )?;
    let refused = vm.run(&["env", "set", NAME, "NODE_OPTIONS=--no-such-option"])?;
    contains("the error", &refused.err, "is not taken into use")?;
    same("the life that answers", &vm.page_json(NAME, "/")?["life"], &before["life"])?;
    vm.ok(&["limits", NAME, "--start-timeout", "60s"])?;
    deploy(vm, "good", &slow_to_start("good", 200)).map(drop)
}
