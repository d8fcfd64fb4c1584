//! Files of the host: the registry, programs, what is sealed into the image, SELinux's switches, the kernel's settings.

use std::fs::{self, File};
use std::io::Write;

use kennel_model::layout::{CONTROL_DIR, FACTS_FILE, SERVICES_FILE, SLOTS_DIR};
use nix::errno::Errno;

use super::files::{append, create, open_to_write, read, run};
use crate::outcome::{Attempt, done, passed};
use crate::place::Place;

pub(super) fn registry_read(_: &Place) -> Attempt {
    read(format!("{CONTROL_DIR}/registry.sqlite"))
}

pub(super) fn registry_write(_: &Place) -> Attempt {
    open_to_write(format!("{CONTROL_DIR}/registry.sqlite"))
}

pub(super) fn program_read(_: &Place) -> Attempt {
    read("/usr/sbin/kennel-control")
}

pub(super) fn program_run(_: &Place) -> Attempt {
    // Without arguments it says how it is used.
    run("/usr/sbin/kennel-unpack")
}

pub(super) fn facts_read(_: &Place) -> Attempt {
    read(SERVICES_FILE)
}

pub(super) fn run_write(_: &Place) -> Attempt {
    create("/run/planted")
}

pub(super) fn slots_write(_: &Place) -> Attempt {
    let folder = format!("{SLOTS_DIR}/planted");
    fs::create_dir(&folder)?;
    fs::remove_dir(&folder)?;
    done("made, and removed again")
}

pub(super) fn image_write(_: &Place) -> Attempt {
    append(FACTS_FILE)
}

/// Writes that it shall enforce, so that success would change nothing; the right is the same.
pub(super) fn setenforce(_: &Place) -> Attempt {
    File::options().write(true).open("/sys/fs/selinux/enforce")?.write_all(b"1")?;
    done("written")
}

/// Not a policy: SELinux asks for the right first.
pub(super) fn policy_load(_: &Place) -> Attempt {
    let mut file = File::options().write(true).open("/sys/fs/selinux/load")?;
    passed(file.write_all(b"none"), &[Errno::EINVAL])
}

/// Writes the value that is there.
pub(super) fn sysctl_write(_: &Place) -> Attempt {
    let value = fs::read("/proc/sys/vm/swappiness")?;
    File::options().write(true).open("/proc/sys/vm/swappiness")?.write_all(&value)?;
    done("written")
}

pub(super) fn core_pattern(_: &Place) -> Attempt {
    open_to_write("/proc/sys/kernel/core_pattern")
}

pub(super) fn modprobe_path(_: &Place) -> Attempt {
    open_to_write("/proc/sys/kernel/modprobe")
}
