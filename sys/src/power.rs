//! Ending the machine, its swap space, and the button that asks for the end.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::system::RebootCommand;

/// How the machine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Power off.
    PowerOff,
    /// Start again.
    Reboot,
}

/// Ends the machine at once; everything must be on disk. Comes back only when it failed.
pub fn end(how: End) -> io::Error {
    let command = match how {
        End::PowerOff => RebootCommand::PowerOff,
        End::Reboot => RebootCommand::Restart,
    };
    match rustix::system::reboot(command) {
        Ok(()) => io::Error::other("the kernel did not obey"),
        Err(cause) => cause.into(),
    }
}

/// Makes Ctrl-Alt-Del a SIGINT to PID 1 instead of an immediate reboot.
///
/// # Errors
/// The system's.
pub fn ask_on_ctrl_alt_del() -> io::Result<()> {
    Ok(rustix::system::reboot(RebootCommand::CadOff)?)
}

/// Starts to swap to a block device that bears a swap header. Of several the one with the highest priority is filled first.
/// `clear`: the device is told once that nothing of what is on it counts.
///
/// # Errors
/// The system's.
pub fn swap_on(device: &CStr, priority: u16, clear: bool) -> io::Result<()> {
    // <linux/swap.h>
    const PREFER: libc::c_int = 0x8000;
    const DISCARD: libc::c_int = 0x1_0000;
    const DISCARD_ONCE: libc::c_int = 0x2_0000;
    let discard = if clear { DISCARD | DISCARD_ONCE } else { 0 };
    let flags = PREFER | libc::c_int::from(priority & 0x7fff) | discard;
    // SAFETY: the path is a valid C string for the length of the call.
    let done = unsafe { libc::swapon(device.as_ptr(), flags) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The name of an input device (`EVIOCGNAME`), to find the power button by.
///
/// # Errors
/// The system's.
pub fn input_name(device: impl AsFd) -> io::Result<String> {
    const LENGTH: usize = 64;
    // _IOC(_IOC_READ, 'E', 0x06, LENGTH)
    const EVIOCGNAME: u64 = (2 << 30) | ((LENGTH as u64) << 16) | ((b'E' as u64) << 8) | 0x06;
    let mut name = [0u8; LENGTH];
    // SAFETY: the kernel writes at most LENGTH bytes, as the request says, into a buffer of that size.
    let done = unsafe { libc::ioctl(device.as_fd().as_raw_fd(), EVIOCGNAME as libc::Ioctl, name.as_mut_ptr()) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(String::from_utf8_lossy(name.split(|b| *b == 0).next().unwrap_or_default()).into_owned())
}
