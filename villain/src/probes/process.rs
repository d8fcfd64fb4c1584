//! Processes of others: seen, signalled, traced, read, changed. Reads and writes of memory go to address 0, which nobody
//! has: that it is a bad address is said after the permission was given.

use std::fs::{self, File};

use nix::errno::Errno;

use super::files::{open_to_write, read};
use crate::outcome::{Attempt, done, passed};
use crate::place::Place;
use crate::raw::{Arg, NULL, address, call, fd, open};

fn pid(place: &Place) -> Arg<'static> {
    Arg::Int(place.pid.into())
}

pub(super) fn see(place: &Place) -> Attempt {
    fs::metadata(place.proc_of(""))?;
    done("seen")
}

/// Signal 0 asks for the right only.
pub(super) fn signal(place: &Place) -> Attempt {
    passed(call(libc::SYS_kill, [pid(place), NULL]), &[])
}

pub(super) fn service_signal(place: &Place) -> Attempt {
    passed(call(libc::SYS_kill, [Arg::Int(place.service.into()), NULL]), &[])
}

pub(super) fn environment(place: &Place) -> Attempt {
    read(place.proc_of("environ"))
}

pub(super) fn memory(place: &Place) -> Attempt {
    File::open(place.proc_of("mem"))?;
    done("opened")
}

pub(super) fn descriptors(place: &Place) -> Attempt {
    done(fs::read_link(place.proc_of("fd/0"))?.display().to_string())
}

pub(super) fn root(place: &Place) -> Attempt {
    fs::metadata(place.proc_of("root/."))?;
    done("seen")
}

pub(super) fn namespaces(place: &Place) -> Attempt {
    let namespace = File::open(place.proc_of("ns/ipc"))?;
    passed(call(libc::SYS_setns, [fd(&namespace), NULL]), &[])
}

pub(super) fn oom_score(place: &Place) -> Attempt {
    open_to_write(place.proc_of("oom_score_adj"))
}

pub(super) fn ptrace(place: &Place) -> Attempt {
    const SEIZE: i64 = 0x4206;
    passed(call(libc::SYS_ptrace, [Arg::Int(SEIZE), pid(place), NULL, NULL]), &[])
}

/// Reads or writes one byte at address 0 of the neighbour.
fn vm(number: libc::c_long, place: &Place) -> Attempt {
    let byte = [0_u8];
    let ours: Vec<u8> = [address(&byte), 1].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let theirs: Vec<u8> = [0_u64, 1].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let arguments = [pid(place), Arg::In(&ours), Arg::Int(1), Arg::In(&theirs), Arg::Int(1), NULL];
    passed(call(number, arguments), &[Errno::EFAULT])
}

pub(super) fn read_memory(place: &Place) -> Attempt {
    vm(libc::SYS_process_vm_readv, place)
}

pub(super) fn write_memory(place: &Place) -> Attempt {
    vm(libc::SYS_process_vm_writev, place)
}

pub(super) fn take_descriptor(place: &Place) -> Attempt {
    let process = open(libc::SYS_pidfd_open, [pid(place), NULL])?;
    open(libc::SYS_pidfd_getfd, [fd(&process), NULL, NULL])?;
    done("taken")
}

pub(super) fn compare(place: &Place) -> Attempt {
    const VM: i64 = 1;
    let own = Arg::Int(std::process::id().into());
    passed(call(libc::SYS_kcmp, [own, pid(place), Arg::Int(VM), NULL, NULL]), &[])
}

/// `struct perf_event_attr`, first version: a software clock.
pub(super) fn perf_attributes() -> [u8; 64] {
    const SOFTWARE: u8 = 1;
    let mut attributes = [0; 64];
    attributes[0] = SOFTWARE;
    attributes[4] = 64;
    attributes
}

pub(super) fn perf(place: &Place) -> Attempt {
    let arguments = [Arg::In(&perf_attributes()), pid(place), Arg::Int(-1), Arg::Int(-1), NULL];
    open(libc::SYS_perf_event_open, arguments)?;
    done("opened")
}

pub(super) fn affinity(place: &Place) -> Attempt {
    // Every processor: what it has already.
    let all = [0xff; 128];
    passed(call(libc::SYS_sched_setaffinity, [pid(place), Arg::Int(128), Arg::In(&all)]), &[])
}

pub(super) fn priority(place: &Place) -> Attempt {
    passed(call(libc::SYS_setpriority, [Arg::Int(libc::PRIO_PROCESS.into()), pid(place), NULL]), &[])
}

pub(super) fn limits(place: &Place) -> Attempt {
    // No core files: what it has already.
    let limit = [0_u8; 16];
    let resource = Arg::Int(libc::RLIMIT_CORE.into());
    passed(call(libc::SYS_prlimit64, [pid(place), resource, Arg::In(&limit), NULL]), &[])
}

/// Moves none: the right is asked for first.
pub(super) fn pages(place: &Place) -> Attempt {
    passed(call(libc::SYS_move_pages, [pid(place), NULL, NULL, NULL, NULL, NULL]), &[])
}
