//! What tenants do and use, as people are told: `top`, the timeline, accounting and Prometheus' page say what was done, and
//! agree with each other and with the program's own account.

use std::time::Duration;

use serde_json::Value;

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::vm::{Vm, until};

const NAME: &str = "burner";
/// The machine is slow, and each look at it is a request.
const SOON: Duration = Duration::from_secs(60);
/// What the kernel counts for a program beside what it sees of itself, in milliseconds: its cgroup had init's child in it
/// before, and its end.
const BESIDE_MS: u64 = 2000;

pub(super) fn group() -> Group {
    Group {
        title: "what tenants do and use",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            vm.tenant(NAME, "tests/burner")
        },
        scenarios: vec![
            Scenario::new("seeing: used, frozen, woken: top and the timeline say so", told),
            Scenario::new("seeing: what a killed program has used is not lost", killed),
            Scenario::new("seeing: top, accounting and metrics agree", agree),
            Scenario::new("seeing: the account of a tenant that is removed stays", removed),
        ],
    }
}

/// A tenant's row of `kennel top --json`.
fn row(vm: &Vm, name: &str) -> Result<Value, String> {
    let top = vm.json(&["top"])?;
    let found = top["tenants"].as_array().into_iter().flatten().find(|row| row["tenant"] == name);
    found.cloned().ok_or(format!("{name} is not in {top}"))
}

/// A tenant's row of `kennel usage --json`.
fn sums(vm: &Vm, name: &str) -> Result<Value, String> {
    let usage = vm.json(&["usage"])?;
    let found = usage.as_array().into_iter().flatten().find(|row| row["tenant"] == name);
    found.cloned().ok_or(format!("{name} is not in {usage}"))
}

fn number(value: &Value, path: &str) -> Result<u64, String> {
    value.pointer(path).and_then(Value::as_u64).ok_or(format!("no number {path} in {value}"))
}

/// Has it use so much; answers what it has used since its start by its own account, in milliseconds.
fn burn(vm: &Vm, ms: u64) -> Result<u64, String> {
    Ok(number(&vm.page_json(NAME, &format!("/burn?ms={ms}"))?, "/cpu_us")? / 1000)
}

/// Waits until top has counted so many requests: the proxy says so when it gives its lease back.
fn counted(vm: &Vm, requests: u64) -> Result<Value, String> {
    until(&format!("{requests} requests in top"), SOON, || {
        let row = row(vm, NAME)?;
        Ok((number(&row, "/spent/traffic/requests")? == requests).then_some(row))
    })
}

fn told(vm: &mut Vm) -> Result<(), String> {
    same("its state before", row(vm, NAME)?["state"].as_str(), Some("stopped"))?;
    let own = burn(vm, 2000)?;
    let after = counted(vm, 1)?;
    let cpu = number(&after, "/spent/cpu_us")? / 1000;
    let most = own + own / 4 + BESIDE_MS;
    holds(&format!("top has {cpu} ms, the program {own} ms"), (own..=most).contains(&cpu))?;
    let resident = number(&after, "/holds/resident")?;
    holds(&format!("it has {resident} bytes in RAM"), resident > 10 << 20)?;
    vm.ok(&["limits", NAME, "--freeze-after", "2s", "--reclaim-after", "never", "--stop-after", "never"])?;
    until("it to be frozen", SOON, || Ok((row(vm, NAME)?["state"] == "frozen").then_some(())))?;
    burn(vm, 1)?;
    until("it to be frozen again", SOON, || {
        Ok((number(&row(vm, NAME)?, "/spent/woken_frozen")? == 1 && row(vm, NAME)?["state"] == "frozen")
            .then_some(()))
    })?;
    let timeline = vm.json(&["tenant", "timeline", NAME])?;
    let changes: Vec<_> = timeline.as_array().into_iter().flatten().collect();
    let words: Vec<_> = changes.iter().map(|c| (c["from"].as_str(), c["state"].as_str())).collect();
    let [stopped, running, frozen] = ["stopped", "running", "frozen"].map(Some);
    same(
        "its timeline",
        words,
        vec![(stopped, running), (running, frozen), (frozen, running), (running, frozen)],
    )?;
    for woken in [changes[0], changes[2]] {
        number(woken, "/took_ms")?;
    }
    let table = vm.ok(&["top", "--once"])?;
    contains("the table", &table, "TENANT  STATE")?;
    contains("the table", &table, "frozen")?;
    contains("the timeline in words", &vm.ok(&["tenant", "timeline", NAME])?, "running")
}

fn killed(vm: &mut Vm) -> Result<(), String> {
    let before = number(&row(vm, NAME)?, "/spent/cpu_us")? / 1000;
    let own = burn(vm, 1500)?;
    // It has no handler for SIGTERM, so this is SIGKILL.
    vm.ok(&["tenant", "stop", NAME])?;
    let stopped = row(vm, NAME)?;
    same("its state", stopped["state"].as_str(), Some("stopped"))?;
    same("what it has in RAM", number(&stopped, "/holds/resident")?, 0)?;
    let lost = number(&stopped, "/spent/cpu_us")? / 1000;
    holds(
        &format!("{lost} ms are left of {own} ms, {before} ms of them before"),
        lost >= own && lost >= before + 1500,
    )?;
    let second = burn(vm, 500)?;
    let both = number(&row(vm, NAME)?, "/spent/cpu_us")? / 1000;
    holds(&format!("{both} ms are of both, {lost} and {second} ms"), both >= lost + second)
}

fn agree(vm: &mut Vm) -> Result<(), String> {
    until("it to be frozen", SOON, || Ok((row(vm, NAME)?["state"] == "frozen").then_some(())))?;
    // What lies on the disk is charged from one look to the next.
    until(
        "its disk to be charged",
        SOON,
        || Ok((number(&sums(vm, NAME)?, "/disk_byte_s")? > 0).then_some(())),
    )?;
    let (top, usage) = (counted(vm, 4)?, sums(vm, NAME)?);
    for (here, there) in [
        ("/spent/traffic/requests", "/requests"),
        ("/spent/traffic/bytes_out", "/bytes_out"),
        ("/spent/woken_frozen", "/woken_frozen"),
        ("/spent/woken_stopped", "/woken_stopped"),
    ] {
        same(there, number(&usage, there)?, number(&top, here)?)?;
    }
    let cpu = (number(&usage, "/cpu_ms")?, number(&top, "/spent/cpu_us")? / 1000);
    holds(&format!("it is frozen, so processor time stands still: {cpu:?} ms"), cpu.0.abs_diff(cpu.1) <= 1)?;
    for amount in ["/running_byte_s", "/frozen_byte_s", "/disk_byte_s", "/bytes_out", "/queued_ms"] {
        holds(&format!("{amount} was charged: {usage}"), number(&usage, amount)? > 0)?;
    }
    let hours = vm.json(&["usage", NAME])?;
    let of_hours: Result<Vec<_>, _> =
        hours.as_array().into_iter().flatten().map(|h| number(h, "/requests")).collect();
    same("the hours' requests", of_hours?.iter().sum(), number(&usage, "/requests")?)?;
    let page = vm.ok(&["host", "metrics"])?;
    contains("the page", &page, &format!("kennel_tenant_requests_total{{tenant=\"{NAME}\"}} 4\n"))?;
    contains("the page", &page, &format!("kennel_tenant_state{{tenant=\"{NAME}\",state=\"frozen\"}} 1\n"))?;
    contains("the page", &page, "kennel_wake_seconds_count{from=\"stopped\"} 2\n")
}

fn removed(vm: &mut Vm) -> Result<(), String> {
    let before = sums(vm, NAME)?;
    vm.ok(&["tenant", "rm", NAME, "--yes"])?;
    let after = sums(vm, NAME)?;
    same("its requests", number(&after, "/requests")?, number(&before, "/requests")?)?;
    contains("its hours", &vm.ok(&["usage", NAME, "--csv"])?, &format!("\n{NAME},20"))?;
    vm.tenant(NAME, "tests/burner")?;
    same("what one of its name has spent", number(&row(vm, NAME)?, "/spent/cpu_us")?, 0)
}

/// What a tenant has used, as accounting and as init have it, of what must not be lost when control or the proxy dies.
pub(super) fn outlives(vm: &Vm, name: &str, before: Option<&Value>) -> Result<Value, String> {
    let (usage, top) = (sums(vm, name)?, row(vm, name)?);
    let told = number(&top, "/spent/traffic/requests")?;
    holds(
        &format!("accounting has no more requests than init: {usage} {top}"),
        number(&usage, "/requests")? <= told,
    )?;
    for amount in ["/cpu_ms", "/requests", "/running_byte_s", "/woken_stopped"] {
        let least = before.map_or(Ok(1), |before| number(before, amount))?;
        holds(&format!("{amount} is at least {least}: {usage}"), number(&usage, amount)? >= least)?;
    }
    Ok(usage)
}
