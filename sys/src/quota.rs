//! Project quotas: which files count together (an attribute of files that folders pass on), and how much they may hold.
//! Limits are set through an open file of the file system, so nobody needs to know its device. Neither nix nor rustix
//! knows projects.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};

/// `struct fsxattr` of <linux/fs.h>.
#[repr(C)]
#[derive(Debug, Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

const SIZE: u64 = size_of::<Attributes>() as u64;
/// `_IOR('X', 31, struct fsxattr)`.
const FS_IOC_FSGETXATTR: u64 = (2 << 30) | (SIZE << 16) | ((b'X' as u64) << 8) | 31;
/// `_IOW('X', 32, struct fsxattr)`.
const FS_IOC_FSSETXATTR: u64 = (1 << 30) | (SIZE << 16) | ((b'X' as u64) << 8) | 32;
/// What is made in the folder belongs to its project.
const INHERIT: u32 = 0x200;

/// `PRJQUOTA` of <linux/quota.h>.
const PROJECTS: libc::c_int = 2;
/// `QIF_LIMITS`: the limits are meant, not the usage.
const LIMITS: u32 = 5;
/// What limits of space are counted in.
const BLOCK: u64 = 1024;

/// How much a project may hold; zeros mean no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes, rounded up to whole KiB.
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
}

/// Puts a folder, and all that will be made in it, into a project. What is in it already stays where it is.
///
/// # Errors
/// The system's: `EOPNOTSUPP` where the file system has no projects.
pub fn put_in_project(folder: impl AsFd, project: u32) -> io::Result<()> {
    let mut attributes = Attributes::default();
    control(&folder, FS_IOC_FSGETXATTR, &mut attributes)?;
    if attributes.project == project && attributes.flags & INHERIT != 0 {
        return Ok(());
    }
    attributes.project = project;
    attributes.flags |= INHERIT;
    control(&folder, FS_IOC_FSSETXATTR, &mut attributes)
}

fn control(file: impl AsFd, request: u64, attributes: &mut Attributes) -> io::Result<()> {
    // SAFETY: both requests are about a structure of this layout and size, which outlives the call.
    let done = unsafe {
        libc::ioctl(file.as_fd().as_raw_fd(), request as libc::Ioctl, std::ptr::from_mut(attributes))
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Limits a project of the file system that an open file lies on.
///
/// # Errors
/// The system's: `ESRCH` where quotas are not in force.
pub fn limit(on: impl AsFd, project: u32, quota: Quota) -> io::Result<()> {
    let limits = libc::dqblk {
        dqb_bhardlimit: quota.bytes.div_ceil(BLOCK),
        dqb_bsoftlimit: 0,
        dqb_curspace: 0,
        dqb_ihardlimit: quota.inodes,
        dqb_isoftlimit: 0,
        dqb_curinodes: 0,
        dqb_btime: 0,
        dqb_itime: 0,
        dqb_valid: LIMITS,
    };
    let command = libc::QCMD(libc::Q_SETQUOTA, PROJECTS);
    // SAFETY: the command reads one structure of this layout, which outlives the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_quotactl_fd,
            on.as_fd().as_raw_fd(),
            command,
            project,
            std::ptr::from_ref(&limits),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The layout is the kernel's.
const _: () = assert!(SIZE == 28 && offset_of!(Attributes, project) == 12);
