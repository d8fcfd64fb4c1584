//! System calls that no library wraps in safe Rust, most of them because nobody should make them. The villain makes them
//! to be refused. This is the only place outside of `sys` with unsafe code: `sys` is part of PID 1 and shall not be able to
//! make any call there is.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use libc::{c_long, c_void};

/// An argument of a system call.
pub(crate) enum Arg<'a> {
    /// A number, or a null pointer.
    Int(i64),
    /// Bytes for the kernel to read.
    In(&'a [u8]),
    /// Room for the kernel to write to.
    Out(&'a mut [u8]),
    /// A string.
    Text(&'a CStr),
}

/// A null pointer.
pub(crate) const NULL: Arg<'_> = Arg::Int(0);

impl Arg<'_> {
    fn word(&mut self) -> c_long {
        match self {
            Self::Int(value) => *value,
            Self::In(bytes) => bytes.as_ptr() as c_long,
            Self::Out(bytes) => bytes.as_mut_ptr() as c_long,
            Self::Text(text) => text.as_ptr() as c_long,
        }
    }
}

/// A descriptor as an argument.
pub(crate) fn fd(descriptor: &impl AsFd) -> Arg<'static> {
    Arg::Int(descriptor.as_fd().as_raw_fd().into())
}

/// Makes a system call.
///
/// # Errors
/// The system's.
pub(crate) fn call<const N: usize>(number: c_long, mut arguments: [Arg<'_>; N]) -> io::Result<i64> {
    const { assert!(N <= 6) };
    let mut words: [c_long; 6] = [0; 6];
    for (word, argument) in words.iter_mut().zip(&mut arguments) {
        *word = argument.word();
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: every pointer comes from a slice or string that lives until the call returns, and each probe gives the
    // kernel the room that the call asks for. Should one be wrong, or a call map or unmap memory, it happens in a process
    // that makes this one attempt, prints how it went and ends: there is nothing of anybody's in it to be broken, and
    // being killed is an answer. No call that is made here starts a thread, shares memory or changes the stack.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Makes a system call that answers a new descriptor.
///
/// # Errors
/// The system's.
pub(crate) fn open<const N: usize>(number: c_long, arguments: [Arg<'_>; N]) -> io::Result<OwnedFd> {
    let answer = call(number, arguments)?;
    let new = i32::try_from(answer).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given this number to this call, so nobody else in the process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

/// The address of something that the kernel is told of inside of a structure; for arguments only.
pub(crate) fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr().cast::<c_void>() as u64
}
