//! The classics of breaking out of a container.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use rustix::fs::{Gid, Uid};

use super::files::open_to_write;
use crate::outcome::{Attempt, done, held, passed, refusal};
use crate::place::Place;
use crate::raw::{Arg, NULL, call};

fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(io::Error::other)
}

/// A root inside of the root, left by the working folder that stayed outside.
pub(super) fn chroot(place: &Place) -> Attempt {
    let jail = place.own_data("jail");
    fs::create_dir_all(&jail)?;
    let entered = call(libc::SYS_chroot, [Arg::Text(&text(&jail)?)]);
    if entered.is_err() {
        fs::remove_dir(&jail)?;
    }
    entered?;
    for _ in 0..16 {
        std::env::set_current_dir("..")?;
    }
    done(format!("{} names in the folder above all", fs::read_dir(".")?.count()))
}

/// A hierarchy of the old kind, which has such a file at its top.
pub(super) fn release_agent(place: &Place) -> Attempt {
    let folder = place.own_data("hierarchy");
    fs::create_dir_all(&folder)?;
    let target = text(&folder)?;
    let options = Arg::Text(c"none,name=kennel-villain");
    let mounted =
        call(libc::SYS_mount, [Arg::Text(c"none"), Arg::Text(&target), Arg::Text(c"cgroup"), NULL, options]);
    let opened = mounted.and_then(|_| {
        let opened = open_to_write(folder.join("release_agent"));
        call(libc::SYS_umount2, [Arg::Text(&target), NULL])?;
        opened
    });
    fs::remove_dir(&folder)?;
    opened
}

/// A program of the neighbour's with the bit, run to see whose rights it has.
pub(super) fn setuid_program(place: &Place) -> Attempt {
    let path = place.own_data("climber");
    fs::write(&path, fs::read("/proc/self/exe")?)?;
    let user = place.neighbour.uid();
    let ran = rustix::fs::chown(&path, Some(Uid::from_raw(user)), Some(Gid::from_raw(user)))
        .map_err(io::Error::from)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)))
        .and_then(|()| Command::new(&path).arg("whoami").stdin(Stdio::inherit()).output());
    fs::remove_file(&path)?;
    let said = String::from_utf8_lossy(&ran?.stdout).trim().to_owned();
    if said == user.to_string() { done("it has the neighbour's rights") } else { Err(refusal(Errno::EPERM)) }
}

/// /dev/null by another name: the right is the same for every device.
pub(super) fn device_node(place: &Place) -> Attempt {
    let path = place.own_data("device");
    let null = libc::makedev(1, 3).cast_signed();
    let mode = i64::from(libc::S_IFCHR | 0o600);
    let made = call(libc::SYS_mknod, [Arg::Text(&text(&path)?), Arg::Int(mode), Arg::Int(null)]);
    if made.is_ok() {
        fs::remove_file(&path)?;
    }
    passed(made, &[])
}

/// Names of 200 characters in a tree 100 deep: five times what fits into a path. It stays, for those who remove the tenant.
pub(super) fn deep_tree(place: &Place) -> Attempt {
    let name = "d".repeat(200);
    let top = place.own_data("deep");
    fs::create_dir_all(&top)?;
    std::env::set_current_dir(&top)?;
    for _ in 0..100 {
        fs::create_dir_all(&name)?;
        std::env::set_current_dir(&name)?;
    }
    held("made, for whoever removes it")
}
