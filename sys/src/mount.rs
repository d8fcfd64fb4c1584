//! Bind mounts by the new mount calls (open_tree, mount_setattr, move_mount): restricted before anyone can see them,
//! and without a remount, which SELinux's policy allows nobody on the image's file systems. rustix lacks mount_setattr.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

/// `MOUNT_ATTR_*` of <linux/mount.h>: read-only.
pub const RDONLY: u64 = 0x1;
/// No set-user-ID and no file capabilities.
pub const NOSUID: u64 = 0x2;
/// No device nodes.
pub const NODEV: u64 = 0x4;
/// No execution.
pub const NOEXEC: u64 = 0x8;

/// Shows `source` at `target` too, there with these attributes.
///
/// # Errors
/// The system's.
pub fn bind(source: &str, target: &str, attributes: u64) -> io::Result<()> {
    let tree = open_tree(CWD, source, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let attr = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the empty path makes the call act on the descriptor, which is open; the structure outlives the call and
    // its size goes with it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of_val(&attr),
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(move_mount(&tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}
