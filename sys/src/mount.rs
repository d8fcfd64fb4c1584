//! Bind mounts by the new mount calls (open_tree, mount_setattr, move_mount): restricted before anyone can see them,
//! and without a remount, which SELinux's policy allows nobody on the image's file systems. rustix lacks mount_setattr.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

/// `MOUNT_ATTR_*` of <linux/mount.h>: read-only.
pub const RDONLY: u64 = 0x1;
/// No set-user-ID and no file capabilities.
pub const NOSUID: u64 = 0x2;
/// No device nodes.
pub const NODEV: u64 = 0x4;
/// No execution.
pub const NOEXEC: u64 = 0x8;

/// Shows `source` at `target` too, there with these attributes. A source that is a symbolic link is not followed:
/// what is mounted lies where its path says.
///
/// # Errors
/// The system's.
pub fn bind(source: &str, target: &str, attributes: u64) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, source, flags | OpenTreeFlags::AT_SYMLINK_NOFOLLOW)?;
    set_attributes(tree.as_fd(), attributes)?;
    Ok(move_mount(&tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Adds attributes to the mount at a path.
///
/// # Errors
/// The system's.
pub fn restrict(path: &str, attributes: u64) -> io::Result<()> {
    let mount = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    set_attributes(mount.as_fd(), attributes)
}

fn set_attributes(mount: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let attr = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the empty path makes the call act on the descriptor, which is open; the structure outlives the call and
    // its size goes with it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of_val(&attr),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
