//! What comes through descriptors: a stand-in for `kennel-unpack` reads an upload to its end and says what it was, programs print,
//! and control publishes tables.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use kennel_model::found::Found;
use kennel_model::listing::Changes;
use kennel_model::msg::{Refusal, UnpackReport};
use serde::de::DeserializeOwned;

/// A file that says itself what was found in its release.
pub(crate) const FOUND: &str = "found.json";

/// Reads a tar stream to its end. An entry named `evil` is refused at once, without hearing the rest.
pub(crate) fn read_archive(archive: PipeReader) -> UnpackReport {
    let refused = |reason: &str| UnpackReport::Refused { reason: reason.to_owned() };
    let mut archive = tar::Archive::new(Tail { inner: archive, last: Vec::new() });
    let (mut bytes, mut entries, mut found) = (0, 0, Found::default());
    for entry in archive.entries().unwrap() {
        let Ok(mut entry) = entry else { return refused("the archive ends early") };
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        if path == "evil" {
            return refused("evil: refused");
        }
        let mut content = Vec::new();
        match entry.read_to_end(&mut content) {
            Ok(n) if n as u64 == entry.size() => bytes += n as u64,
            _ => return refused("the archive ends early"),
        }
        entries += 1;
        match path.as_str() {
            FOUND => {
                found = Found {
                    top: found.top,
                    folders: found.folders,
                    ..serde_json::from_slice(&content).unwrap()
                }
            }
            path => match path.split_once('/') {
                Some((folder, _)) if found.folders.iter().any(|known| known == folder) => {}
                Some((folder, _)) => found.folders.push(folder.to_owned()),
                None => found.top.push(path.to_owned()),
            },
        }
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).unwrap();
    if rest.last.len() < 1024 || rest.last.iter().any(|byte| *byte != 0) {
        return refused("the archive ends early");
    }
    UnpackReport::Done { bytes, entries, found }
}

/// Reads what has changed: its length, what is said, and a tar stream. It fits unless something is said to be gone.
pub(crate) fn read_changes(mut sent: PipeReader) -> UnpackReport {
    let mut length = [0; 4];
    sent.read_exact(&mut length).unwrap();
    let mut head = vec![0; u32::from_be_bytes(length) as usize];
    sent.read_exact(&mut head).unwrap();
    let changes: Changes = serde_json::from_slice(&head).unwrap();
    let made = read_archive(sent);
    match changes.gone.first() {
        Some(path) => UnpackReport::Unfit { reason: format!("{path} was never there") },
        None => made,
    }
}

/// Remembers the last 1024 bytes read: a whole archive ends with as many zeros.
struct Tail {
    inner: PipeReader,
    last: Vec<u8>,
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.last.extend_from_slice(&buffer[..n]);
        let surplus = self.last.len().saturating_sub(1024);
        self.last.drain(..surplus);
        Ok(n)
    }
}

pub(crate) fn write_report(pipe: &mut PipeWriter, report: &UnpackReport) {
    // Control may be gone.
    let _ = pipe.write_all(&serde_json::to_vec(report).unwrap());
}

/// A pipe with what is said of a release that was made complete.
pub(crate) fn built() -> OwnedFd {
    let top = ["package-lock.json", "server.js"].map(str::to_owned).into();
    let found = Found { top, folders: vec!["node_modules".to_owned()], ..Found::default() };
    let report = UnpackReport::Done { bytes: 5000, entries: 50, found };
    printed(&serde_json::to_string(&report).unwrap())
}

/// A pipe with what a program has printed.
pub(crate) fn printed(text: &str) -> OwnedFd {
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    reader.into()
}

/// The table in the one memfd that came along.
pub(crate) fn published<T: DeserializeOwned>(mut fds: Vec<OwnedFd>) -> Result<T, Refusal> {
    let file = File::from(fds.pop().ok_or_else(|| Refusal::Invalid("no table".into()))?);
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Ok(serde_json::from_slice(&bytes).unwrap())
}
