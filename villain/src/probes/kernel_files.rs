//! Files that are windows into the kernel: devices, /proc, /sys, control groups. Opened, not used.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};

use kennel_model::task;
use nix::errno::Errno;

use super::files::open_to_write;
use crate::outcome::{Attempt, done, passed, refusal};
use crate::place::Place;
use crate::raw::{Arg, call, fd};

fn open_to_read(path: &str) -> Attempt {
    File::open(path)?;
    done("opened")
}

fn list(path: &str) -> Attempt {
    done(format!("{} names", fs::read_dir(path)?.count()))
}

/// Types a line end on the host's console.
pub(super) fn terminal_input(_: &Place) -> Attempt {
    let console = File::options().read(true).write(true).open("/dev/console")?;
    let arguments = [fd(&console), Arg::Int(libc::TIOCSTI.cast_signed()), Arg::In(b"\n")];
    passed(call(libc::SYS_ioctl, arguments), &[])
}

pub(super) fn physical_memory(_: &Place) -> Attempt {
    open_to_read("/dev/mem")
}

pub(super) fn log_device(_: &Place) -> Attempt {
    open_to_read("/dev/kmsg")
}

/// Whichever of its two nodes can be had.
pub(super) fn tpm(_: &Place) -> Attempt {
    open_to_write("/dev/tpmrm0").or_else(|refused| open_to_write("/dev/tpm0").map_err(|_| refused))
}

pub(super) fn core_memory(_: &Place) -> Attempt {
    open_to_read("/proc/kcore")
}

/// Addresses that are all zero are hidden, which is a refusal without an error.
pub(super) fn symbols(_: &Place) -> Attempt {
    let mut line = String::new();
    BufReader::new(File::open("/proc/kallsyms")?).read_line(&mut line)?;
    let address = line.split(' ').next().unwrap_or_default();
    if address.bytes().all(|digit| digit == b'0') { Err(refusal(Errno::EACCES)) } else { done(line) }
}

pub(super) fn system_request(_: &Place) -> Attempt {
    open_to_write("/proc/sysrq-trigger")
}

/// Whichever of the names there is.
pub(super) fn disk(_: &Place) -> Attempt {
    let mut last = refusal(Errno::ENOENT);
    for name in ["vdb", "vda", "nvme1n1", "nvme0n1", "sda"] {
        match File::open(format!("/dev/{name}")) {
            Ok(_) => return done(format!("{name} opened")),
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => {}
            Err(refused) => last = refused,
        }
    }
    Err(last)
}

pub(super) fn debugfs(_: &Place) -> Attempt {
    list("/sys/kernel/debug")
}

pub(super) fn tracefs(_: &Place) -> Attempt {
    list("/sys/kernel/tracing")
}

pub(super) fn sysfs_write(_: &Place) -> Attempt {
    open_to_write("/sys/kernel/mm/transparent_hugepage/enabled")
}

pub(super) fn cgroup_own_limit(place: &Place) -> Attempt {
    open_to_write(format!("/sys/fs/cgroup/{}/memory.max", task::Place::first(place.own).program_cgroup()))
}

pub(super) fn cgroup_other_freeze(place: &Place) -> Attempt {
    open_to_write(format!(
        "/sys/fs/cgroup/{}/cgroup.freeze",
        task::Place::first(place.neighbour).program_cgroup()
    ))
}

/// This process goes to the topmost group, and ends there.
pub(super) fn cgroup_leave(_: &Place) -> Attempt {
    File::options().write(true).open("/sys/fs/cgroup/cgroup.procs")?.write_all(b"0")?;
    done("it left")
}
