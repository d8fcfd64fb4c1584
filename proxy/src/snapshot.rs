//! Reads a table, of routes or of certificates, out of the descriptor that came with the message. The bytes are control's, handed on by init
//! unread, so they are checked here: sealed (nobody can change them while we read), bounded, and well-formed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{SealFlags, fcntl_get_seals};
use serde::de::DeserializeOwned;

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub enum BadSnapshot {
    /// The message came without a descriptor, or with several.
    #[error("{0} descriptors came along instead of one")]
    Descriptors(usize),
    /// Not a memfd, or one that could still change.
    #[error("it is not a sealed memfd")]
    NotSealed,
    /// Over the limit.
    #[error("{bytes} bytes are over the limit of {limit}")]
    TooLong {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// It cannot be read.
    #[error("reading failed: {0}")]
    Read(#[from] io::Error),
    /// Not such a table.
    #[error("it is not a table as expected: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// # Errors
/// [`BadSnapshot`].
pub fn read<T: DeserializeOwned>(mut fds: Vec<OwnedFd>, limit: u64) -> Result<T, BadSnapshot> {
    let fd = match (fds.pop(), fds.len()) {
        (Some(fd), 0) => fd,
        (Some(_), rest) => return Err(BadSnapshot::Descriptors(rest + 1)),
        (None, _) => return Err(BadSnapshot::Descriptors(0)),
    };
    let wanted = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    if !fcntl_get_seals(&fd).is_ok_and(|seals| seals.contains(wanted)) {
        return Err(BadSnapshot::NotSealed);
    }
    let file = File::from(fd);
    let bytes = file.metadata()?.len();
    if bytes > limit {
        return Err(BadSnapshot::TooLong { bytes, limit });
    }
    // By position: the offset is shared with whoever else holds the memfd.
    let mut json = vec![0; bytes as usize];
    file.read_exact_at(&mut json, 0)?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::routes::RouteTable;
    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};
    use std::io::Write;

    fn read(fds: Vec<OwnedFd>, limit: u64) -> Result<RouteTable, BadSnapshot> {
        super::read(fds, limit)
    }

    fn memfd(bytes: &[u8], seals: SealFlags) -> OwnedFd {
        let fd = memfd_create("routes", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
        let mut file = File::from(fd);
        file.write_all(bytes).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        file.into()
    }

    fn sealed(bytes: &[u8]) -> Vec<OwnedFd> {
        vec![memfd(bytes, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)]
    }

    #[test]
    fn a_sealed_table_is_read_whatever_the_offset() {
        assert_eq!(read(sealed(br#"{"generation":3,"routes":[]}"#), 100).unwrap().generation, 3);
    }

    #[test]
    fn what_could_still_change_is_refused() {
        let json = br#"{"generation":3,"routes":[]}"#;
        let all = [SealFlags::SEAL, SealFlags::SHRINK, SealFlags::GROW, SealFlags::WRITE];
        for missing in all {
            let seals = all.into_iter().filter(|s| *s != missing).fold(SealFlags::empty(), |a, b| a | b);
            let fd = memfd(json, seals);
            assert!(matches!(read(vec![fd], 100), Err(BadSnapshot::NotSealed)), "{missing:?}");
        }
        let plain = tempfile::tempfile().unwrap();
        assert!(matches!(read(vec![plain.into()], 100), Err(BadSnapshot::NotSealed)));
    }

    #[test]
    fn odd_snapshots_are_refused() {
        assert!(matches!(read(vec![], 100), Err(BadSnapshot::Descriptors(0))));
        let two = sealed(b"{}").into_iter().chain(sealed(b"{}")).collect();
        assert!(matches!(read(two, 100), Err(BadSnapshot::Descriptors(2))));
        assert!(matches!(
            read(sealed(&[b' '; 101]), 100),
            Err(BadSnapshot::TooLong { bytes: 101, limit: 100 })
        ));
        for bad in [
            &b""[..],
            b"{",
            b"[]",
            br#"{"generation":1,"routes":[],"extra":1}"#,
            br#"{"generation":-1,"routes":[]}"#,
        ] {
            assert!(matches!(read(sealed(bad), 100), Err(BadSnapshot::Malformed(_))));
        }
    }
}
