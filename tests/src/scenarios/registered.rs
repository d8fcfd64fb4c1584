//! Many tenants on one host: those who are merely registered cost next to nothing, neither at a boot nor in memory, and any of
//! them answers. How many there are is `KENNEL_TEST_TENANTS`, up to the image's 1000 slots; registering that many takes many
//! minutes, and every run of the tests does with fewer. How long the boot takes beside one with few tenants is printed: it is a
//! figure for `docs/benchmarks.md`, as other work on the machine makes more of a difference.

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::vm::Vm;

/// So few as a host may begin with.
const FEW: usize = 5;
/// Of quiet sites, unless it is said otherwise.
const MANY: usize = 150;
/// Of whom every fifth has a release: deploying is most of the time that this takes.
const DEPLOYED: usize = 5;
/// As many as the image has slots.
const ALL: usize = 1000;
/// What a tenant that is registered and stopped may take of the host's memory, in bytes.
const COSTS: u64 = 16 << 10;
/// By so much what is available differs between two boots of the same host.
const NOISE: u64 = 8 << 20;

pub(super) fn group() -> Group {
    Group {
        title: "very many tenants",
        image: people_image,
        prepare: |vm| vm.boot(),
        scenarios: vec![Scenario::new(
            "many: a host with many tenants boots and starts none of them, and each of them is there",
            boots,
        )],
    }
}

fn name(n: usize) -> String {
    format!("site{n}")
}

fn add(vm: &Vm, n: usize) -> Result<(), String> {
    let domain = format!("{}.localhost", name(n));
    vm.ok(&["tenant", "add", &name(n), "--runtime", "node-24", "--domain", &domain, "--trial", "off"]).map(drop)
}

/// What a host is like that has just been booted.
struct Fresh {
    /// When it answered, in milliseconds since its kernel's start.
    up_ms: u64,
    available_bytes: u64,
}

/// Boots it anew; so many tenants are there then, and none runs.
fn reboot(vm: &mut Vm, tenants: usize) -> Result<Fresh, String> {
    vm.stop()?;
    vm.boot()?;
    let host = vm.json(&["host", "status"])?;
    let number = |key: &str| host[key].as_u64().ok_or(format!("no {key} in {host}"));
    same("slots in use", number("slots_used")?, tenants as u64)?;
    same("tenants that run", number("running")?, 0)?;
    Ok(Fresh { up_ms: number("uptime_ms")?, available_bytes: number("memory_available_bytes")? })
}

/// How many are wanted.
fn many() -> Result<usize, String> {
    let Some(said) = std::env::var_os("KENNEL_TEST_TENANTS") else { return Ok(MANY) };
    let number = said.to_str().and_then(|text| text.parse().ok()).filter(|n| (FEW + 1..=ALL).contains(n));
    number.ok_or(format!("KENNEL_TEST_TENANTS is no number from {} to {ALL}", FEW + 1))
}

fn boots(vm: &mut Vm) -> Result<(), String> {
    let all = many()?;
    let settle = |vm: &Vm, n: usize| {
        add(vm, n)?;
        let deploys = n < FEW || n % DEPLOYED == DEPLOYED - 1;
        if deploys { vm.ok(&["deploy", &name(n), "examples/node-hello"]).map(drop) } else { Ok(()) }
    };
    (0..FEW).try_for_each(|n| settle(vm, n))?;
    let few = reboot(vm, FEW)?;
    (FEW..all).try_for_each(|n| settle(vm, n))?;
    let many = reboot(vm, all)?;
    let ratio = many.up_ms as f64 / few.up_ms as f64;
    let taken = few.available_bytes.saturating_sub(many.available_bytes);
    vm.note(format!(
        "up after {} ms with {FEW} and {} ms with {all}: {ratio:.2} times; {taken} bytes of memory more",
        few.up_ms, many.up_ms
    ));
    let may = COSTS * (all - FEW) as u64 + NOISE;
    holds(&format!("{} more take {taken} bytes of memory, at most {may}", all - FEW), taken <= may)?;
    tells_of_all(vm, all)
}

/// What lists tenants has all of them, and the last one answers.
fn tells_of_all(vm: &Vm, all: usize) -> Result<(), String> {
    let last = name(all - 1);
    vm.ok(&["deploy", &last, "examples/node-hello"])?;
    same("the status of the last one's page", vm.page(&last, "/")?.status, 200)?;
    let rows = |value: &serde_json::Value| value.as_array().map_or(0, Vec::len);
    same("tenants in the list", rows(&vm.json(&["tenant", "ls"])?), all)?;
    same("tenants in top", rows(&vm.json(&["top"])?["tenants"]), all)?;
    let runs = format!("tenant=\"{last}\",state=\"running\"}} 1\n");
    contains("the metrics", &vm.ok(&["host", "metrics"])?, &runs)?;
    if all < ALL {
        return Ok(());
    }
    let refused = vm.run(&["tenant", "add", "one-more", "--runtime", "node-24"])?;
    contains("the refusal", &refused.err, &format!("all {ALL} slots of this host are in use"))
}
