//! What is reserved the kernel does not take (`memory.min`), whoever else needs memory. Two programs that are alike in all but
//! that are filled alike; a hog grows until one of them has given, so there is pressure however large the machine is. Init does not
//! meddle: it asks nobody whose visitor is there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use super::pressure::{life, nobody_was_killed, remove, settle};
use super::{Group, Scenario, people_image};
use crate::checks::{holds, same};
use crate::vm::{PAGE_DEADLINE, Vm};

const MEMORY: &str = "640M";
/// What each has of its own beside what it runs on, in MiB.
const BALLAST: u32 = 64;
/// More than the program has in all, its runtime's pages among them if it is the first to read them.
const RESERVED: &str = "224M";
/// The hog grows by so much, in MiB, ...
const STEP: u32 = 16;
/// ... until its neighbour has given so much.
const GIVEN: u64 = 24 << 20;

pub(super) fn group() -> Group {
    Group {
        title: "memory that is reserved",
        image: people_image,
        prepare: |vm| {
            vm.give_memory(MEMORY);
            vm.boot()
        },
        scenarios: vec![Scenario::new(
            "pressure: of what is reserved nothing is taken while its equal beside it gives",
            kept,
        )],
    }
}

fn kept(vm: &mut Vm) -> Result<(), String> {
    let seen = vm.console().len();
    let names = ["kept", "equal", "hog"].map(ToOwned::to_owned);
    for name in &names {
        settle(vm, name)?;
    }
    vm.ok(&["limits", "kept", "--reserve-memory", RESERVED])?;
    vm.ok(&["limits", "hog", "--memory", MEMORY])?;
    // Who has it reserved is filled first: his memory would be the first to be taken.
    let mut visitors = Vec::new();
    let mut before = Vec::new();
    for name in &names[..2] {
        before.push(life(&vm.page_json(name, &format!("/hold?mib={BALLAST}"))?)?);
        visitors.push(stay(vm, name)?);
    }
    vm.page_json("hog", "/")?;
    visitors.push(stay(vm, "hog")?);
    let (first, grown) = (taken(vm, "kept")?, grow_until(vm, "equal", GIVEN)?);
    let (kept, equal) = (taken(vm, "kept")? - first, taken(vm, "equal")?);
    vm.note(format!("{grown} MiB of the hog's took {equal} bytes of its equal and {kept} of what is reserved"));
    same("what was taken of what is reserved, in bytes", kept, 0)?;
    let mine = vm.page_json("kept", "/whole")?;
    same("the reserved program's memory in swap", mine["swap"].as_i64(), Some(0))?;
    for (name, before) in names.iter().zip(&before) {
        let facts = vm.page_json(name, "/whole")?;
        same(&format!("the process that answers for {name}"), &life(&facts)?, before)?;
        same(&format!("whether {name} has what it had"), facts["whole"].as_bool(), Some(true))?;
    }
    nobody_was_killed(vm, seen)?;
    drop(visitors);
    remove(vm, &names)
}

/// A visitor who reads a response that does not end.
pub(super) fn stay(vm: &Vm, name: &str) -> Result<TcpStream, String> {
    let fault = |e: std::io::Error| format!("a visitor of {name}: {e}");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, vm.web_port())).map_err(fault)?;
    stream.set_read_timeout(Some(PAGE_DEADLINE)).map_err(fault)?;
    let request = format!("GET /stay HTTP/1.1\r\nHost: {name}.localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(fault)?;
    let mut said = String::new();
    while !said.contains("here\n") {
        let mut piece = [0; 512];
        match stream.read(&mut piece).map_err(fault)? {
            0 => return Err(format!("a visitor of {name} was sent away: {said}")),
            n => said += &String::from_utf8_lossy(&piece[..n]),
        }
    }
    Ok(stream)
}

/// The hog takes more and more until so much was taken of another; answers how much it took, in MiB. What nobody gives it
/// cannot have, and all that it might have is bounded.
fn grow_until(vm: &Vm, other: &str, bytes: u64) -> Result<u32, String> {
    let total = vm.json(&["host", "status"])?["memory_total_bytes"].as_u64().ok_or("no memory_total_bytes")?;
    let most = u32::try_from(total >> 20).map_err(|e| e.to_string())?;
    let mut grown = 0;
    while taken(vm, other)? < bytes {
        holds(&format!("{other} has given {bytes} bytes before the hog has taken {grown} MiB"), grown < most)?;
        vm.page_json("hog", &format!("/hold?mib={STEP}"))?;
        grown += STEP;
    }
    Ok(grown)
}

/// What the kernel has taken of a tenant's memory since its program started, in bytes.
fn taken(vm: &Vm, name: &str) -> Result<u64, String> {
    let top = vm.json(&["top"])?;
    let row = top["tenants"].as_array().into_iter().flatten().find(|row| row["tenant"] == name);
    row.and_then(|row| row["holds"]["reclaimed"].as_u64()).ok_or(format!("no {name} in {top}"))
}
