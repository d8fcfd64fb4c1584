//! Boots that must not succeed, and the data volume that must not be formatted.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use super::{Group, Scenario, nothing, people_image};
use crate::checks::{contains, holds, same};
use crate::vm::Vm;

pub(super) fn group() -> Group {
    Group {
        title: "a root that was tampered with",
        image: people_image,
        prepare: nothing,
        scenarios: vec![Scenario::new("a flipped byte in the root stops the boot", flipped_byte)],
    }
}

pub(super) fn foreign_group() -> Group {
    Group {
        title: "a data volume of somebody else's",
        image: people_image,
        prepare: nothing,
        scenarios: vec![Scenario::new("a foreign data volume is not formatted", foreign_volume)],
    }
}

/// Where a partition begins, by its name in the GPT, in bytes.
fn partition_start(image: &fs::File, name: &str) -> Result<u64, String> {
    let wanted: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut entries = vec![0; 128 * 128];
    image.read_exact_at(&mut entries, 1024).map_err(|e| e.to_string())?;
    let entry =
        entries.chunks(128).find(|e| e[56..].starts_with(&wanted)).ok_or(format!("no partition {name}"))?;
    let first = entry[32..40].try_into().map_err(|_| "a short entry")?;
    Ok(u64::from_le_bytes(first) * 512)
}

fn flipped_byte(vm: &mut Vm) -> Result<(), String> {
    let copy = vm.scratch().join("flipped.raw");
    fs::copy(&vm.places().image, &copy).map_err(|e| e.to_string())?;
    let file = OpenOptions::new().read(true).write(true).open(&copy).map_err(|e| e.to_string())?;
    // A byte of the superblock's padding: nothing but the hash tree would ever notice.
    let at = partition_start(&file, "kennel-root-a")? + 7;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).map_err(|e| e.to_string())?;
    file.write_all_at(&[byte[0] ^ 1], at).map_err(|e| e.to_string())?;
    drop(file);
    let image = copy.display().to_string();
    let output = vm.run(&[
        "run",
        "--detach",
        "--image",
        &image,
        "--port",
        "0",
        "--https-port",
        "0",
        "--api-port",
        "0",
        "--timeout",
        "120",
    ])?;
    holds("`kennel run` says that the boot failed", output.code != 0)?;
    let console = vm.console();
    contains("the console", &console, "is corrupted")?;
    holds("the boot went no further", !console.contains("init: ready") && !console.contains("policy loaded"))
}

fn foreign_volume(vm: &mut Vm) -> Result<(), String> {
    vm.boot()?;
    vm.stop()?;
    let data = vm.state("data.raw");
    let file = OpenOptions::new().read(true).write(true).open(&data).map_err(|e| e.to_string())?;
    // Somebody's swap space: neither blank nor ours.
    file.write_all_at(&[0; 64 << 10], 0).map_err(|e| e.to_string())?;
    file.write_all_at(b"SWAPSPACE2", 4086).map_err(|e| e.to_string())?;
    let head = |file: &fs::File| {
        let mut bytes = vec![0; 1 << 20];
        file.read_exact_at(&mut bytes, 0).map(|()| bytes).map_err(|e| e.to_string())
    };
    let before = head(&file)?;
    let image = vm.places().image.display().to_string();
    let output = vm.run(&[
        "run",
        "--detach",
        "--image",
        &image,
        "--port",
        "0",
        "--https-port",
        "0",
        "--api-port",
        "0",
        "--timeout",
        "120",
    ])?;
    holds("`kennel run` says that the host is not usable", output.code != 0)?;
    let console = vm.console();
    contains("the console", &console, "is left alone")?;
    same("the volume is untouched", head(&file)? == before, true)
}
