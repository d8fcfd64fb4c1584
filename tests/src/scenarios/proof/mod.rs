//! The proof: every row of `policy/isolation.toml` is tried in the proof image by the same program, with both layers, with
//! each alone and with neither. What was seen must be what the row says; and what SELinux alone refused must stand in the
//! kernel's log as its denial. Prints the table and writes it to `out/proof.json`.

mod credit;
mod rows;
mod table;

use std::fs;

use kennel_model::proof::{BARE_NEIGHBOUR, Layers};
use serde_json::Value;

use super::{Group, Scenario, proof_image};
use crate::checks::{contains, holds, same};
use crate::vm::Vm;

/// Denials of the villains are what this group is about; so are those that a permissive domain only reports. The network
/// outside (`villain/src/outside.rs`) has no packet filter that would label what the kernel itself says there.
const THEIRS: &[&str] = &["scontext=system_u:system_r:tenant000", OUTSIDE];
const OUTSIDE: &str = "{ send } scontext=system_u:system_r:kernel_t unlabeled_t tclass=packet";
/// The same; and what the host's own listening sockets take from nobody on this host, and the kernel's attempts to start
/// modprobe, which is not there: a villain without any layer gets as far as them.
const THEIRS_AND_RECEIVERS: &[&str] = &[
    "scontext=system_u:system_r:tenant000",
    OUTSIDE,
    "{ recv } scontext=system_u:system_r:init_t loopback_packet_t",
    "kworker scontext=system_u:system_r:kernel_t root_t tclass=lnk_file",
];

/// An ordinary tenant: what the villains in slots of their own reach for.
const QUIET: &str = "quiet";
/// What the villains in the host's root reach for.
const BARE: &str = "bare";

/// Limits that even an emulated machine reaches soon.
const SMALL: [&str; 6] = ["--memory", "96M", "--disk", "64M", "--files", "2000"];

/// The tenants in the order of their slots: name, and how its program is started.
const TENANTS: [(&str, &str); 6] = [
    ("villain-both", "serve"),
    ("villain-dac", "serve"),
    ("villain-mac", "serve"),
    (QUIET, "neighbour"),
    ("villain-neither", "serve"),
    (BARE, "neighbour"),
];

pub(super) fn group() -> Group {
    Group {
        title: "the proof: every forbidden act, with both layers, each alone, and neither",
        image: proof_image,
        prepare,
        scenarios: vec![
            Scenario::new("proof: a proof image says so", says_so).denying(THEIRS),
            Scenario::new("proof: with both layers every act is refused", |vm| rows::all(vm, Layers::Both))
                .denying(THEIRS),
            Scenario::new("proof: with UNIX means alone every act is refused", |vm| {
                rows::all(vm, Layers::DacOnly)
            })
            .denying(THEIRS),
            Scenario::new("proof: with SELinux alone every act is refused", |vm| {
                rows::all(vm, Layers::MacOnly)
            })
            .denying(THEIRS),
            Scenario::new("proof: with neither every act succeeds", |vm| rows::all(vm, Layers::Neither))
                .denying(THEIRS_AND_RECEIVERS),
            Scenario::new("proof: what villains leave leads their removal nowhere", removal).denying(THEIRS),
            Scenario::new("proof: the table", table::publish).denying(THEIRS),
        ],
    }
}

/// The villain that is confined by these layers.
fn villain(layers: Layers) -> String {
    format!("villain-{}", layers.word())
}

fn prepare(vm: &mut Vm) -> Result<(), String> {
    // Whatever a villain manages, no packet of its leaves the machine.
    vm.isolate();
    vm.give_tpm(true);
    vm.boot()?;
    let folder = release(vm)?;
    for (slot, (name, role)) in (0_u64..).zip(TENANTS) {
        let domain = format!("{name}.localhost");
        // Villains act by themselves, and their neighbours have to be there for it.
        let home = [
            "tenant",
            "add",
            name,
            "--runtime",
            "static",
            "--domain",
            &domain,
            "--no-freeze",
            "--trial",
            "off",
        ];
        vm.ok(&[&home[..], &SMALL, &["--", "./server", role]].concat())?;
        vm.ok(&["deploy", name, &folder])?;
        let shown = vm.show(name)?;
        same(&format!("the slot of {name}"), shown["slot"].as_u64(), Some(slot))?;
    }
    same("the bare neighbour's slot", TENANTS[usize::from(BARE_NEIGHBOUR)].0, BARE)?;
    for name in [QUIET, BARE] {
        same("the neighbour's page", vm.page(name, "/")?.status, 200)?;
    }
    // The bare one must have all that villains reach for, or their not getting it would prove nothing.
    let missing = objects(vm, BARE)?["missing"].clone();
    same("what the bare neighbour lacks", missing, Value::Array(Vec::new()))
}

/// The same release for all: the program, a file to read, a file to remove.
fn release(vm: &Vm) -> Result<String, String> {
    let folder = vm.scratch().join("villain");
    let fault = |e: std::io::Error| format!("cannot make the villain's release: {e}");
    fs::create_dir_all(&folder).map_err(fault)?;
    let program = vm.places().kennel.with_file_name("kennel-villain");
    fs::copy(&program, folder.join("server")).map_err(|e| format!("there is no {}: {e}", program.display()))?;
    fs::write(folder.join("note.txt"), "a note\n").map_err(fault)?;
    fs::write(folder.join("spare.txt"), "to be removed\n").map_err(fault)?;
    Ok(folder.display().to_string())
}

/// What a neighbour has for villains to reach for.
fn objects(vm: &Vm, neighbour: &str) -> Result<Value, String> {
    vm.page_json(neighbour, "/objects")
}

fn says_so(vm: &mut Vm) -> Result<(), String> {
    vm.says(0, "PROOF IMAGE")?;
    let status = vm.ok(&["host", "status"])?;
    contains("the host's status", &status, "PROOF IMAGE")
}

/// Villains have planted links and a tree deeper than any path. Removing them takes theirs and nothing of the neighbour's.
fn removal(vm: &mut Vm) -> Result<(), String> {
    for layers in [Layers::Both, Layers::DacOnly] {
        vm.ok(&["tenant", "rm", &villain(layers), "--yes"])?;
    }
    same("the neighbour's page", vm.page(QUIET, "/")?.status, 200)?;
    let slots = vm.json(&["host", "status"])?["slots_used"].as_u64();
    holds("the villains' slots are free again", slots == Some(4))
}
