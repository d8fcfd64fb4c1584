//! What only ext4 can be told: that its disk has become larger.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// `_IOW('f', 16, __u64)` of <linux/ext4.h>.
const EXT4_IOC_RESIZE_FS: u64 = (1 << 30) | (8 << 16) | ((b'f' as u64) << 8) | 16;

/// Makes the mounted file system, of which a folder is given, so many blocks of its own large. It goes on to be used
/// meanwhile, and a power cut leaves it whole: with the old size, the new one, or one in between. Comes back when it is done.
///
/// # Errors
/// The system's: `EINVAL` when that is less than it has, `ENOSPC` when the disk has less.
pub fn resize(folder: impl AsFd, blocks: u64) -> io::Result<()> {
    let number = folder.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one u64, as the request says, from one that outlives the call.
    let done = unsafe { libc::ioctl(number, EXT4_IOC_RESIZE_FS as libc::Ioctl, &raw const blocks) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_kernels() {
        assert_eq!(EXT4_IOC_RESIZE_FS, 0x4008_6610);
    }

    #[test]
    fn another_file_system_is_not_touched() {
        let folder = std::fs::File::open("/proc").unwrap();
        assert_eq!(resize(&folder, 1).unwrap_err().raw_os_error(), Some(libc::ENOTTY));
    }
}
