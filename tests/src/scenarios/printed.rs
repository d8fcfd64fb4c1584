//! What programs print, told apart by the release that printed it: while one is tried beside the one that serves, both print at the
//! same time, and one of them says that it is the other. The tenant is that of `releases`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::releases::{NAME, deploy, deployed, ensure};
use crate::checks::{contains, holds, same};
use crate::vm::Vm;

/// Longer than what is asked for with `--since`.
const QUIET: Duration = Duration::from_secs(8);

/// Prints all the time, begins with another release's first line, and listens late, so that its trial lasts.
fn talkative(mark: &str) -> String {
    format!(
        "console.log('kennel: starting release 1: a lie of {mark}');\n\
         let n = 0;\n\
         setInterval(() => console.log('{mark} says ' + n++), 100);\n\
         const server = require('node:http').createServer((_, answer) =>\n  \
           answer.end(JSON.stringify({{ release: process.env.KENNEL_RELEASE }})));\n\
         setTimeout(() => server.listen(process.env.PORT, '127.0.0.1'), 2000);\n\
         process.on('SIGTERM', () => process.exit(0));\n"
    )
}

fn release(vm: &Vm) -> Result<String, String> {
    let page = vm.page_json(NAME, "/")?;
    page["release"].as_str().map(str::to_owned).ok_or_else(|| format!("no release: {page}"))
}

/// All that is kept of one release.
fn lines(vm: &Vm, release: &str) -> Result<Vec<Value>, String> {
    let told = vm.json(&["logs", NAME, "--release", release, "-n", "10000"])?;
    told.as_array().cloned().ok_or_else(|| format!("no lines: {told}"))
}

fn said_by(lines: &[Value], mark: &str) -> usize {
    lines.iter().filter(|line| line["text"].as_str().is_some_and(|text| text.starts_with(mark))).count()
}

pub(super) fn told_apart(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["limits", NAME, "--trial", "on", "--health", "none", "--no-freeze"])?;
    deploy(vm, "ann", &talkative("ann"))?;
    let ann = release(vm)?;
    deploy(vm, "bob", &talkative("bob"))?;
    let bob = release(vm)?;
    // What the earlier one printed until it was put to sleep is there by now; the later one goes on.
    let (of_ann, of_bob) = (lines(vm, &ann)?, lines(vm, &bob)?);
    for (own, other, of, number) in [("ann ", "bob ", &of_ann, &ann), ("bob ", "ann ", &of_bob, &bob)] {
        holds(&format!("{own}has printed"), said_by(of, own) > 10)?;
        same("lines of the other", said_by(of, other), 0)?;
        same("whose they are", of.iter().filter(|line| is_of(line, number)).count(), of.len())?;
        same("the lie is its own", said_by(of, "kennel: starting release 1: a lie"), 1)?;
        same("its start", said_by(of, &format!("kennel: starting release {number} on trial")), 1)?;
    }
    let at = |line: Option<&Value>| line.and_then(|line| line["at_ms"].as_u64()).ok_or("no time");
    let said = |lines: &[Value], mark: &str| {
        lines
            .iter()
            .filter(|line| line["text"].as_str().is_some_and(|text| text.starts_with(mark)))
            .cloned()
            .collect::<Vec<_>>()
    };
    holds(
        "both printed at the same time",
        at(said(&of_bob, "bob").first())? < at(said(&of_ann, "ann").last())?,
    )?;
    for (mark, of) in [("ann", &of_ann), ("bob", &of_bob)] {
        let numbers: Vec<_> = said(of, mark).iter().map(|line| line["text"].clone()).collect();
        let expected: Vec<_> = (0..numbers.len()).map(|n| Value::from(format!("{mark} says {n}"))).collect();
        same("each line once and in order", numbers, expected)?;
    }
    follows(vm, &bob)?;
    bounded(vm, &ann, &bob)
}

/// Only the release's, as it comes.
fn follows(vm: &Vm, release: &str) -> Result<(), String> {
    let mut command = vm.command(&["--json", "logs", NAME, "-f", "-n", "1", "--release", release]);
    let mut follower =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())?;
    let told = follower.stdout.take().ok_or("no output")?;
    let read = BufReader::new(told).lines().take(20).map(|line| {
        let line = line.map_err(|e| e.to_string())?;
        serde_json::from_str::<Value>(&line).map_err(|e| format!("{line}: {e}"))
    });
    let read = read.collect::<Result<Vec<_>, String>>();
    let _ = follower.kill();
    let _ = follower.wait();
    let read = read?;
    same("lines that were followed", read.len(), 20)?;
    same("of the release", read.iter().filter(|line| is_of(line, release)).count(), 20)
}

/// Whether a line is of the release with this number.
fn is_of(line: &Value, number: &str) -> bool {
    line["release"].as_u64() == number.parse().ok()
}

/// By time, and by what there is.
fn bounded(vm: &Vm, ann: &str, bob: &str) -> Result<(), String> {
    contains("within an hour", &vm.ok(&["logs", NAME, "--release", ann, "--since", "1h"])?, "ann says 0")?;
    vm.ok(&["tenant", "stop", NAME])?;
    thread::sleep(QUIET);
    same("of late", vm.ok(&["logs", NAME, "--release", bob, "--since", "2s"])?.trim(), "")?;
    let last = vm.ok(&["logs", NAME, "--release", bob, "-n", "1"])?;
    contains("its last line", &last, "kennel: stopped")?;
    let never = vm.run(&["logs", NAME, "--release", "9999"])?;
    contains("the error", &never.err, &format!("the tenant {NAME} has never had a release r9999"))?;
    holds("it fails", never.code != 0)?;
    // Its number is given out, and it is never started.
    let folder = vm.scratch().join("nothing-to-run");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    std::fs::write(folder.join("notes.txt"), "no program").map_err(|e| e.to_string())?;
    let refused = vm.run(&["deploy", NAME, &folder.display().to_string()])?;
    holds("there is nothing to run", refused.code != 0)?;
    let number = bob.parse::<u32>().map_err(|e| e.to_string())? + 1;
    let none = vm.run(&["logs", NAME, "--release", &number.to_string()])?;
    contains("the error", &none.err, &format!("the log of {NAME} has no line of r{number}"))?;
    let bad = deployed(vm, "bad-again", "console.error('no such module at all'); process.exit(3);\n", &[])?;
    contains("the end of its log", &bad.err, "no such module at all")?;
    let number = (number + 1).to_string();
    let left = lines(vm, &number)?;
    same("what it printed is there although nothing else of it is", said_by(&left, "no such module at all"), 1)
}

/// Five megabytes at once, of which two are kept.
const FLOOD: &str = "\
const line = 'flood ' + 'x'.repeat(1000) + '\\n';
require('node:fs').writeSync(1, line.repeat(5000));
require('node:fs').writeSync(1, 'after the flood\\n');
require('node:http').createServer((_, answer) => answer.end(JSON.stringify({ release: process.env.KENNEL_RELEASE })))
  .listen(process.env.PORT, '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
";

/// So many are more than is kept of a tenant, if of each a megabyte is.
const FLOODS: usize = 12;

pub(super) fn floods(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["limits", NAME, "--trial", "on", "--health", "none"])?;
    deploy(vm, "flood", FLOOD)?;
    let first = release(vm)?;
    let told = vm.ok(&["logs", NAME, "--release", &first, "-n", "10000"])?;
    contains("what is not kept is said", &told, " before this are not kept: too much at a time")?;
    contains("and what came last is there", &told, "after the flood")?;
    holds(&format!("{} bytes are kept", told.len()), told.len() < 4_500_000)?;
    // Newer ones displace it, sooner or later: how much of each is kept depends on when control looks.
    let mut displaced = vm.run(&["logs", NAME, "--release", &first])?;
    for n in 0..FLOODS {
        if displaced.code != 0 {
            break;
        }
        deploy(vm, &format!("flood-{n}"), FLOOD)?;
        displaced = vm.run(&["logs", NAME, "--release", &first])?;
    }
    contains("the error", &displaced.err, &format!("the log of {NAME} has no line of r{first}"))?;
    contains(
        "the newest is there",
        &vm.ok(&["logs", NAME, "--release", &release(vm)?, "-n", "1"])?,
        "after the flood",
    )
}
