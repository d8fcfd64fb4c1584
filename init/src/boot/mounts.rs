//! File systems that are the same on every host: `/run`, control groups, the runtimes, and the `/dev` that slots see.
//! `/proc`, `/sys` and `/dev` came along from the initramfs; the data volume is in `volume.rs`.

use std::fs;
use std::os::unix::fs::symlink;

use kennel_model::layout::{RUNTIME_IMAGES, RUNTIME_MOUNTS};
use kennel_model::{RuntimeName, labels};
use kennel_sys::mount::{RDONLY, restrict};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::MountFlags;

use crate::fs::{PLAIN, mount, own};
use crate::slot::cgroup;
use crate::slot::launch::SLOT_DEVICES;
use crate::step::{Failed, Step};

/// Character devices of a slot: name, major, minor (kernel: `admin-guide/devices.txt`).
const NODES: [(&str, u32, u32); 5] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9)];
/// Links that programs expect.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Mounts `/run` and control groups.
///
/// # Errors
/// The system's.
pub(super) fn pseudo() -> Result<(), Failed> {
    let run = format!("mode=0755,size=16m,rootcontext={}", labels::object(labels::RUN));
    mount("run", "/run", "tmpfs", PLAIN | MountFlags::NOEXEC, &run)?;
    mount("cgroup", cgroup::ROOT, "cgroup2", PLAIN | MountFlags::NOEXEC, "")?;
    cgroup::make_tree()
}

/// Makes the one `/dev` that all slots have: nothing of it depends on the slot, and none can change it.
///
/// # Errors
/// The system's.
pub(super) fn slot_devices() -> Result<(), Failed> {
    make_folder(SLOT_DEVICES)?;
    let options = format!("mode=0755,size=64k,rootcontext={}", labels::object(labels::SLOT_DEV));
    mount("slot-dev", SLOT_DEVICES, "tmpfs", MountFlags::NOSUID | MountFlags::NOEXEC, &options)?;
    for (name, major, minor) in NODES {
        let path = format!("{SLOT_DEVICES}/{name}");
        mknodat(CWD, &path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(major, minor))
            .step(|| format!("make {path}"))?;
        own(&path, (0, 0), 0o666)?;
    }
    for (name, target) in LINKS {
        symlink(target, format!("{SLOT_DEVICES}/{name}")).step(|| format!("link {name}"))?;
    }
    restrict(SLOT_DEVICES, RDONLY).step(|| format!("seal {SLOT_DEVICES}"))
}

/// Mounts a runtime's image, straight from its file and past the file's own page cache: what is read through that is
/// read in the name of whoever touched the page first, and fails when that process is killed meanwhile, for everyone who
/// waits for the same page. Reads of the disk itself are completed whatever becomes of their process. (And a page that is
/// held once is enough.)
///
/// # Errors
/// The system's.
pub(super) fn runtime(name: &RuntimeName) -> Result<(), Failed> {
    let target = format!("{RUNTIME_MOUNTS}/{name}");
    make_folder(RUNTIME_MOUNTS)?;
    make_folder(&target)?;
    let image = format!("{RUNTIME_IMAGES}/{name}.erofs");
    mount(&image, &target, "erofs", PLAIN | MountFlags::RDONLY, "directio")
}

/// Takes away the ways that were only needed until here. Control groups have a mount of their own below `/sys`.
///
/// # Errors
/// The system's.
pub(super) fn seal() -> Result<(), Failed> {
    restrict("/sys", RDONLY).step(|| "make /sys read-only".to_owned())
}

fn make_folder(path: &str) -> Result<(), Failed> {
    fs::create_dir_all(path).step(|| format!("make {path}"))
}
