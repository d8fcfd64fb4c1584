//! Memory that is short: who nobody needs makes room, the least recently used first, and whoever is asked for answers. The
//! machine is small, and no program goes down the ladder by its times.

use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{Vm, until};

/// Enough for the host and a few programs at a time.
const MEMORY: &str = "448M";
/// Emulated, it compresses slowly.
const SOON: Duration = Duration::from_secs(180);
/// Of many visitors who come at once the last may stand in line for two minutes, and then wait two more for his site.
const IN_LINE: Duration = Duration::from_secs(250);
/// Many small sites on one host.
const CROWD: usize = 12;
/// What each has of its own beside what it runs on, in MiB.
const BALLAST: u32 = 24;

pub(super) fn group() -> Group {
    Group {
        title: "memory that is short",
        image: people_image,
        prepare: |vm| {
            vm.give_memory(MEMORY);
            vm.boot()
        },
        scenarios: vec![
            Scenario::new("pressure: idle tenants fill the memory, and each of them goes on answering", crowd),
            Scenario::new("pressure: a memory hog is reclaimed while its neighbour serves", hog),
            Scenario::new("pressure: swap is full: programs are stopped in order, not killed", full),
        ],
    }
}

/// A tenant whom nothing but want of memory puts to sleep, and who has all the time there is to start and to end: emulated beside
/// others and short of memory, a program takes long to read its own back from swap.
pub(super) fn settle(vm: &Vm, name: &str) -> Result<(), String> {
    vm.tenant(name, "tests/hoarder")?;
    let never = ["--freeze-after", "1d", "--reclaim-after", "never", "--stop-after", "never"];
    let patient = ["--start-timeout", "2m", "--stop-grace", "60s"];
    vm.ok(&[&["limits", name], &never[..], &patient].concat()).map(drop)
}

pub(super) fn remove(vm: &Vm, names: &[String]) -> Result<(), String> {
    names.iter().try_for_each(|name| vm.ok(&["tenant", "rm", name, "--yes"]).map(drop))
}

pub(super) fn life(facts: &Value) -> Result<String, String> {
    facts["life"].as_str().map(ToOwned::to_owned).ok_or(format!("no life in {facts}"))
}

/// Where each of them is on the ladder.
fn states(vm: &Vm, names: &[String]) -> Result<Vec<String>, String> {
    let all = vm.json(&["tenant", "ls"])?;
    let state = |name: &String| {
        let tenant = all.as_array()?.iter().find(|tenant| tenant["name"] == **name)?;
        tenant["state"].as_str().map(ToOwned::to_owned)
    };
    names.iter().map(|name| state(name).ok_or(format!("no {name} in {all}"))).collect()
}

/// A whole number on the metrics' page.
fn metric(page: &str, sample: &str) -> Result<u64, String> {
    let value = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    value.and_then(|v| v.parse().ok()).ok_or(format!("no number {sample} on the page"))
}

/// The kernel ends nobody's program.
pub(super) fn nobody_was_killed(vm: &Vm, seen: usize) -> Result<(), String> {
    let console = vm.console();
    let killed = console.get(seen..).unwrap_or_default().lines().find(|line| {
        ["Out of memory", "oom-kill", "invoked oom-killer", "Memory cgroup out"]
            .iter()
            .any(|w| line.contains(w))
    });
    killed.map_or(Ok(()), |line| Err(format!("the kernel says: {line}")))
}

fn crowd(vm: &mut Vm) -> Result<(), String> {
    let seen = vm.console().len();
    let names: Vec<String> = (0..CROWD).map(|n| format!("site{n}")).collect();
    let mut lives = Vec::new();
    for name in &names {
        settle(vm, name)?;
        lives.push(life(&vm.page_json(name, &format!("/hold?mib={BALLAST}"))?)?);
    }
    vm.says(0, "memory is short: ")?;
    let first = vm.ok(&["tenant", "show", &names[0]])?;
    contains("the first one's state", &first, "reclaimed: the host is short of memory")?;
    // Who was asked last runs; who went to sleep did so in the order in which they were asked.
    let states = states(vm, &names)?;
    let awake = states.iter().position(|state| state == "running").unwrap_or(CROWD);
    let in_order = states.iter().skip(awake).all(|state| state == "running");
    holds(&format!("the least recently used went first: {states:?}"), in_order && awake < CROWD)?;
    for (name, before) in names.iter().zip(&lives) {
        let facts = vm.page_json(name, "/whole")?;
        lives_on(vm, name, &life(&facts)?, before)?;
        same(&format!("whether {name} has what it had"), facts["whole"].as_bool(), Some(true))?;
    }
    at_once(vm, &names, &lives)?;
    let host = vm.json(&["host", "status"])?;
    let original = host["swap"]["zram_original_bytes"].as_u64().unwrap_or_default();
    holds(&format!("much of it is in swap ({original} bytes)"), original > 64 << 20)?;
    let page = vm.ok(&["host", "metrics"])?;
    let anon = metric(&page, "kennel_memory_reclaimed_bytes_total{kind=\"anon\"}")?;
    holds(&format!("what is in swap was reclaimed ({anon} bytes)"), anon >= original)?;
    let of_first = metric(&page, &format!("kennel_tenant_reclaimed_bytes_total{{tenant=\"{}\"}}", names[0]))?;
    holds(&format!("from the first one too ({of_first} bytes)"), of_first >= u64::from(BALLAST) << 20)?;
    nobody_was_killed(vm, seen)?;
    remove(vm, &names)
}

/// It is the same process that answers; if not, what became of the one before is told.
fn lives_on(vm: &Vm, name: &str, life: &str, before: &str) -> Result<(), String> {
    if life == before {
        return Ok(());
    }
    let timeline = vm.ok(&["tenant", "timeline", name, "-n", "12"])?;
    Err(format!("the process that answers for {name} is {life:?}, not {before:?}:\n{timeline}"))
}

/// All of them are asked for at once, and need more memory together than there is: they are woken one after the other, and
/// each answers.
fn at_once(vm: &Vm, names: &[String], lives: &[String]) -> Result<(), String> {
    let seen = vm.console().len();
    let visitors: Vec<_> = names
        .iter()
        .map(|name| {
            // QEMU's network loses some of many connections that come in the same instant.
            sleep(Duration::from_millis(10));
            let (port, host) = (vm.web_port(), format!("{name}.localhost"));
            spawn(move || http::get(port, &host, "/whole", IN_LINE))
        })
        .collect();
    for ((visitor, name), before) in visitors.into_iter().zip(names).zip(lives) {
        let answer = visitor.join().map_err(|_| "a visitor panicked")??;
        same(&format!("the status of {name} among all"), answer.status, 200)?;
        let facts = serde_json::from_str(&answer.body).map_err(|e| format!("{name} is no JSON ({e})"))?;
        lives_on(vm, name, &life(&facts)?, before)?;
    }
    let delayed = until("memory to be enough again", SOON, || {
        let console = vm.console();
        let said = console.get(seen..).unwrap_or_default();
        let number = said.lines().find_map(|line| line.strip_suffix(" wakes waited their turn"));
        Ok(number.and_then(|line| line.rsplit(' ').next()?.parse::<usize>().ok()))
    })?;
    holds(&format!("{delayed} of {} waited their turn", names.len()), delayed > 1)
}

fn hog(vm: &mut Vm) -> Result<(), String> {
    let seen = vm.console().len();
    let names = ["hog", "other", "neighbour"].map(ToOwned::to_owned);
    for name in &names {
        settle(vm, name)?;
    }
    let before = vm.page_json("hog", "/hold?mib=140")?;
    vm.page_json("neighbour", "/")?;
    let mut slowest = Duration::ZERO;
    vm.page_json("other", "/hold?mib=110")?;
    until("the hog to be reclaimed", SOON, || {
        let asked = Instant::now();
        vm.page_json("neighbour", "/")?;
        slowest = slowest.max(asked.elapsed());
        Ok((vm.show("hog")?["state"] == "reclaimed").then_some(()))
    })?;
    holds(&format!("the neighbour answered all the while ({slowest:?})"), slowest < Duration::from_secs(15))?;
    let after = vm.page_json("hog", "/whole")?;
    same("the process that answers for the hog", life(&after)?, life(&before)?)?;
    same("whether it has what it had", after["whole"].as_bool(), Some(true))?;
    nobody_was_killed(vm, seen)?;
    remove(vm, &names)
}

fn full(vm: &mut Vm) -> Result<(), String> {
    let seen = vm.console().len();
    let names: Vec<String> = (0..6).map(|n| format!("noise{n}")).collect();
    for name in &names {
        settle(vm, name)?;
        // Compressing saves nothing of it: all together it is more than the machine has.
        vm.page_json(name, "/hold?mib=72&kind=random")?;
    }
    until("the first one to be stopped", SOON, || {
        Ok((vm.show(&names[0])?["state"] == "stopped").then_some(()))
    })?;
    vm.logged(&names[0], "asked to end")?;
    let states = states(vm, &names)?;
    let alive = states.iter().position(|state| state != "stopped").unwrap_or(names.len());
    let in_order = states.iter().skip(alive).all(|state| state != "stopped");
    holds(&format!("the least recently used went first: {states:?}"), in_order && alive < names.len())?;
    // Memory is short still; who comes is answered.
    for name in [&names[0], &names[names.len() - 1]] {
        vm.page_json(name, "/")?;
    }
    nobody_was_killed(vm, seen)?;
    remove(vm, &names)
}
