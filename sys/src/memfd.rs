//! Sealed memfds: bytes that one process hands to another and neither can change afterwards. Route tables and
//! user-data travel like this. No unsafe code is needed here; it is shared by init, control and proxy.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

/// Every change is sealed off, further sealing included.
const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// Copies `bytes` into a new memfd, seals it and winds it back. `name` shows up in `/proc/PID/fd` only.
///
/// # Errors
/// The system's, or the reader's.
pub fn sealed(name: &str, mut bytes: impl Read) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    io::copy(&mut bytes, &mut file)?;
    file.flush()?;
    file.rewind()?;
    rustix::fs::fcntl_add_seals(&file, SEALS)?;
    Ok(file.into())
}

/// Whether nobody can change what the descriptor holds any more. False for anything that is not a memfd.
pub fn is_sealed(fd: impl AsFd) -> bool {
    rustix::fs::fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SEALS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_stays_as_it_is() {
        let fd = sealed("test", &b"routes"[..]).unwrap();
        assert!(is_sealed(&fd));
        let mut file = File::from(fd);
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(1).is_err());
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "routes");
    }

    #[test]
    fn a_pipe_and_an_open_memfd_are_not_sealed() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(!is_sealed(&reader));
        let open = rustix::fs::memfd_create("open", MemfdFlags::ALLOW_SEALING).unwrap();
        assert!(!is_sealed(&open));
    }
}
