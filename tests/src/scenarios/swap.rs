//! A disk to swap to, behind compressed memory: what does not fit there goes to it, encrypted, and comes back whole; the next boot
//! takes it again with another key; one that holds something of somebody's is left alone. What is on the disk is looked at from
//! outside, in the file behind it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::pressure::{life, nobody_was_killed, remove, settle};
use super::reserved::stay;
use super::{Group, Scenario, nothing, people_image};
use crate::checks::{contains, holds, same};
use crate::vm::Vm;

/// Little room for compressed memory: half of it.
const MEMORY: &str = "384M";
const DISK: &str = "1G";
/// Together they have far more than fits into the memory, compressed or not.
const CROWD: usize = 5;
/// What each has of its own beside what it runs on, in so many parts, and the size of one in MiB. A part is as much as an emulated
/// processor decrypts within the time of one request.
const PARTS: usize = 3;
const PART: u64 = 28;
/// What a program of Node.js has beside that and may be on the disk too, in MiB; a generous guess.
const BESIDE: u64 = 20;
/// Where the encrypted part begins: with the kernel's header of a swap space, which is the same at each boot.
const ENCRYPTED: u64 = 8 << 20;
const PAGE: usize = 4096;

pub(super) fn group() -> Group {
    Group {
        title: "swap on a disk",
        image: people_image,
        prepare: |vm| {
            vm.give_memory(MEMORY);
            vm.give_swap_disk(DISK);
            vm.boot()
        },
        scenarios: vec![
            Scenario::new("swap: memory overflows to a disk, encrypted, and nobody is stopped", overflow),
            Scenario::new("swap: who works takes more than there is, and nobody is stopped for it", working),
            Scenario::new("swap: the next boot takes the disk again with another key", again),
        ],
    }
}

pub(super) fn foreign_group() -> Group {
    Group {
        title: "a swap disk of somebody else's",
        image: people_image,
        prepare: nothing,
        scenarios: vec![Scenario::new("swap: a disk that holds something is left alone", foreign)],
    }
}

fn on_disk(vm: &Vm) -> Result<u64, String> {
    let host = vm.json(&["host", "status"])?;
    host["swap"]["disk_used_bytes"].as_u64().ok_or(format!("no disk_used_bytes in {host}"))
}

/// Tenants that hold more together than the memory does. Which processes answered.
fn fill(vm: &Vm, names: &[String]) -> Result<Vec<String>, String> {
    let fill_one = |name: &String| {
        settle(vm, name)?;
        let hold = || vm.page_json(name, &format!("/hold?mib={PART}"));
        let all = (0..PARTS).map(|_| hold()).collect::<Result<Vec<_>, _>>()?;
        life(&all[0])
    };
    names.iter().map(fill_one).collect()
}

/// Each of them has what it had, in the same process.
fn all_are_whole(vm: &Vm, names: &[String], lives: &[String]) -> Result<(), String> {
    for (name, before) in names.iter().zip(lives) {
        same(&format!("whether {name} was stopped"), vm.show(name)?["state"] == "stopped", false)?;
        for part in 0..PARTS {
            let facts = vm.page_json(name, &format!("/whole?part={part}"))?;
            // Another one came because the first was stopped or died, and the timeline says of what.
            same(&format!("the process that answers for {name}"), &life(&facts)?, before).map_err(|why| {
                format!("{why}\n{}", vm.ok(&["tenant", "timeline", name]).unwrap_or_default())
            })?;
            same(&format!("whether {name} has what it had"), facts["whole"].as_bool(), Some(true))?;
        }
    }
    Ok(())
}

fn overflow(vm: &mut Vm) -> Result<(), String> {
    let seen = vm.console().len();
    let names: Vec<String> = (0..CROWD).map(|n| format!("site{n}")).collect();
    let lives = fill(vm, &names)?;
    let used = on_disk(vm)?;
    vm.note(format!("{} MiB on the disk", used >> 20));
    // So much that markers are there, or would be if they could be read.
    holds(&format!("{used} bytes are on the disk"), used >> 20 > CROWD as u64 * BESIDE)?;
    nothing_readable(vm, &lives)?;
    all_are_whole(vm, &names, &lives)?;
    nothing_readable(vm, &lives)?;
    let status = vm.ok(&["host", "status"])?;
    contains("`kennel host status`", &status, " of it on a disk, encrypted, which has ")?;
    let page = vm.ok(&["host", "metrics"])?;
    contains("the metrics", &page, "kennel_swap_disk_used_bytes ")?;
    nobody_was_killed(vm, seen)?;
    remove(vm, &names)
}

/// One is needed all the while, so it gives nothing, and takes more than is left when all others have given theirs. What it does
/// not use of that goes to the disk as well.
fn working(vm: &mut Vm) -> Result<(), String> {
    let seen = vm.console().len();
    let names = ["first", "second", "worker"].map(ToOwned::to_owned);
    let lives = fill(vm, &names)?;
    vm.ok(&["limits", "worker", "--memory", MEMORY])?;
    let visitor = stay(vm, "worker")?;
    let total = vm.json(&["host", "status"])?["memory_total_bytes"].as_u64().ok_or("no memory_total_bytes")?;
    for _ in 0..(total >> 20) / PART {
        vm.page_json("worker", &format!("/hold?mib={PART}"))?;
    }
    vm.says(seen, "memory is short: ")?;
    all_are_whole(vm, &names, &lives)?;
    nobody_was_killed(vm, seen)?;
    drop(visitor);
    remove(vm, &names)
}

/// The disk holds none of these, and the search would find what is there.
fn nothing_readable(vm: &Vm, markers: &[String]) -> Result<(), String> {
    let path = vm.state("swap.raw");
    let mark = ["kennel: swap, encrypted".to_owned()];
    holds("the search finds what the disk's first sector says", first_of(&path, &mark)?.is_some())?;
    match first_of(&path, markers)? {
        None => Ok(()),
        Some(marker) => Err(format!("{marker}, which a tenant has in its memory, is on the disk")),
    }
}

/// Which of these texts, all of them shorter than a page, is in a file.
fn first_of<'m>(path: &std::path::Path, texts: &'m [String]) -> Result<Option<&'m str>, String> {
    let fault = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = File::open(path).map_err(fault)?;
    // Each look holds the end of the one before.
    let mut buffer = vec![0; PAGE + (1 << 20)];
    loop {
        let read = file.read(&mut buffer[PAGE..]).map_err(fault)?;
        if read == 0 {
            return Ok(None);
        }
        let part = &buffer[..PAGE + read];
        // Most of it has never been written.
        if part.iter().any(|byte| *byte != 0) {
            let found = texts.iter().find(|text| holds_text(part, text.as_bytes()));
            if let Some(text) = found {
                return Ok(Some(text));
            }
        }
        buffer.copy_within(read..PAGE + read, 0);
    }
}

fn holds_text(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|part| part == text)
}

/// The page with the kernel's header, as it is on the disk.
fn first_page(vm: &Vm) -> Result<Vec<u8>, String> {
    let mut page = vec![0; PAGE];
    let file = File::open(vm.state("swap.raw")).map_err(|e| e.to_string())?;
    file.read_exact_at(&mut page, ENCRYPTED).map_err(|e| e.to_string())?;
    holds("the kernel's header is there, and cannot be read", {
        page.iter().any(|byte| *byte != 0) && !holds_text(&page, b"SWAPSPACE2")
    })?;
    Ok(page)
}

fn again(vm: &mut Vm) -> Result<(), String> {
    let before = first_page(vm)?;
    vm.stop()?;
    let seen = vm.console().len();
    vm.boot()?;
    let console = vm.console();
    contains("the console", console.get(seen..).unwrap_or_default(), "encrypted with a key of this boot")?;
    holds("the same header became something else", first_page(vm)? != before)?;
    settle(vm, "after")?;
    vm.page_json("after", "/").map(drop)?;
    remove(vm, &["after".to_owned()])
}

/// Somebody's file system without a partition table. The host comes up, and does without swap on a disk.
fn foreign(vm: &mut Vm) -> Result<(), String> {
    vm.give_swap_disk(DISK);
    let path = vm.state("swap.raw");
    let fault = |e: std::io::Error| e.to_string();
    fs::create_dir_all(path.parent().ok_or("no folder")?).map_err(fault)?;
    let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(fault)?;
    file.set_len(1 << 30).map_err(fault)?;
    file.write_all_at(b"_BHRfS_M", 0x1_0040).map_err(fault)?;
    let written = file.metadata().map_err(fault)?.modified().map_err(fault)?;
    vm.boot()?;
    vm.says(0, "is left alone: it holds something that is not Kennel's swap")?;
    let host = vm.json(&["host", "status"])?;
    same("the disk's part of swap", host["swap"]["disk_total_bytes"].as_u64(), Some(0))?;
    holds("there is compressed memory", host["swap"]["total_bytes"].as_u64() > Some(1 << 30))?;
    vm.stop()?;
    let now = file.metadata().map_err(fault)?.modified().map_err(fault)?;
    same("when the disk was written to last", now, written)
}
