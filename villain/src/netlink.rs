//! One request to the kernel over netlink and its answer, and what such requests are made of.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{RecvFlags, SendFlags, recv, send};

/// The request makes what is not there, and nothing that is.
pub(crate) const MAKE: u16 = 0x200 | 0x400;

/// Sends one request and reads the kernel's answer to it.
///
/// # Errors
/// The kernel's.
pub(crate) fn ask(socket: &OwnedFd, kind: u16, flags: u16, payload: &[u8]) -> io::Result<()> {
    const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
    const ERROR: u16 = 2;
    let length = u32::try_from(16 + payload.len()).map_err(io::Error::other)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((REQUEST_AND_ACKNOWLEDGE | flags).to_ne_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(payload);
    send(socket, &message, SendFlags::empty())?;
    let mut answer = [0; 4096];
    let (count, _) = recv(socket, &mut answer, RecvFlags::empty())?;
    let kind = u16::from_ne_bytes([answer[4], answer[5]]);
    let error = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if count >= 20 && kind == ERROR && error != 0 { Err(io::Error::from_raw_os_error(-error)) } else { Ok(()) }
}

/// A value with its kind and length, filled up to whole words. Values here are a few words long.
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_says_its_length_and_ends_at_a_whole_word() {
        let bytes = attribute(3, b"veth0");
        assert_eq!(bytes[..4], [9_u16.to_ne_bytes(), 3_u16.to_ne_bytes()].concat());
        assert_eq!(bytes.len(), 12);
        assert_eq!(bytes[4..], *b"veth0\0\0\0");
    }
}
