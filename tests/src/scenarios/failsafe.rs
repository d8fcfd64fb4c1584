//! A host whose registry is damaged: it boots, visitors reach what was known, nothing is changed, and an operator repairs it.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::process::Command;
use std::time::Duration;

use super::{Group, Scenario, nothing, people_image};
use crate::checks::{contains, holds, same};
use crate::vm::{Vm, until};

/// The first copy of a registry is taken a minute after the start.
const SNAPSHOT: Duration = Duration::from_secs(150);

pub(super) fn group() -> Group {
    Group {
        title: "a registry that cannot be used",
        image: people_image,
        prepare: nothing,
        scenarios: vec![Scenario::new(
            "failsafe: a damaged registry keeps nobody out, and is repaired with a copy of it",
            damaged,
        )],
    }
}

fn damaged(vm: &mut Vm) -> Result<(), String> {
    vm.boot()?;
    vm.tenant("blog", "examples/node-hello")?;
    same("the page", vm.page("blog", "/")?.status, 200)?;
    until("a copy of the registry", SNAPSHOT, || {
        let doctor = vm.json(&["host", "doctor"])?;
        Ok(doctor["snapshots"].as_array().is_some_and(|copies| !copies.is_empty()).then_some(()))
    })?;
    contains("what the doctor says", &vm.ok(&["host", "doctor"])?, " whole, ")?;
    let refused = vm.run(&["host", "repair", "--yes"])?;
    contains("a repair of what is whole", &refused.err, "the registry is whole")?;
    vm.ok(&["tenant", "add", "late", "--runtime", "node-24", "--domain", "late.localhost"])?;
    vm.stop()?;
    spoil(vm, "/control/registry.sqlite")?;

    vm.boot()?;
    vm.says(0, "control: FAILSAFE: ")?;
    same("the page", vm.page("blog", "/")?.status, 200)?;
    let status = vm.ok(&["host", "status"])?;
    contains("the host's status", &status, "FAILSAFE")?;
    let doctor = vm.ok(&["host", "doctor"])?;
    vm.note(doctor.trim_end().replace('\n', "\n          "));
    contains("what the doctor says", &doctor, " stands in for it; nothing can be changed")?;
    contains("what the doctor says", &doctor, "`kennel host repair` goes back to snapshot-")?;
    let refused = vm.run(&["tenant", "add", "more", "--runtime", "node-24"])?;
    same("the exit code of a change", refused.code, 1)?;
    contains("the error of a change", &refused.err, "the host is in failsafe mode")?;
    contains("its hint", &refused.err, "`kennel host doctor` says why")?;
    let refused = vm.run(&["deploy", "blog", "examples/node-hello"])?;
    contains("the error of a deploy", &refused.err, "the host is in failsafe mode")?;

    let repaired = vm.ok(&["host", "repair", "--yes"])?;
    contains("what was said", &repaired, " again, with 1 tenants")?;
    contains("what was said", &repaired, "what was there is kept on the host as broken-")?;
    contains("what the doctor says", &vm.ok(&["host", "doctor"])?, " whole, ")?;
    same("the page", vm.page("blog", "/")?.status, 200)?;
    vm.ok(&["deploy", "blog", "examples/node-hello"])?;
    same("the page of what is deployed then", vm.page("blog", "/")?.status, 200)?;
    // Whoever was forgotten keeps his files, and his slot is nobody's.
    vm.ok(&["tenant", "add", "more", "--runtime", "node-24", "--domain", "more.localhost"])?;
    same("the slot of the next", vm.show("more")?["slot"].as_u64(), Some(2))?;
    holds("the forgotten one is not there", vm.show("late").is_err())
}

/// Overwrites all but the first block of a file on the data volume, which nobody has mounted.
fn spoil(vm: &Vm, file: &str) -> Result<(), String> {
    let disk = vm.state("data.raw");
    let debugfs = |request: &str| {
        let said = Command::new("/usr/sbin/debugfs").args(["-R", request]).arg(&disk).output();
        said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).map_err(|e| e.to_string())
    };
    let stats = debugfs("show_super_stats -h")?;
    let size = stats.lines().find_map(|line| line.strip_prefix("Block size:")?.trim().parse::<u64>().ok());
    let size = size.ok_or("debugfs does not say the size of a block")?;
    let blocks: Vec<u64> =
        debugfs(&format!("blocks {file}"))?.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    holds("the registry has blocks", blocks.len() > 1)?;
    let mut disk = OpenOptions::new().write(true).open(&disk).map_err(|e| e.to_string())?;
    for block in &blocks[1..] {
        disk.seek(SeekFrom::Start(block * size)).map_err(|e| e.to_string())?;
        disk.write_all(&vec![0x5a; usize::try_from(size).unwrap_or(4096)]).map_err(|e| e.to_string())?;
    }
    disk.sync_all().map_err(|e| e.to_string())
}
