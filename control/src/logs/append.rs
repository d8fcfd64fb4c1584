//! Writing logs: whole lines only, at the end of a file that nobody else writes; one that is long is put aside, in
//! place of the one that was before.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::PoisonError;

use super::{Log, Logs};

impl Logs {
    /// Adds lines, all of them or none. To be called where waiting for the disk does no harm.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn append(&self, log: Log, lines: &[u8]) -> io::Result<()> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, size) = self.open(log)?;
        let at = size + u64::from(is_cut(&file, size)?);
        let written = match at - size {
            0 => file.write_all_at(lines, at),
            _ => file.write_all_at(b"\n", size).and_then(|()| file.write_all_at(lines, at)),
        };
        // Of what a full disk has taken, nothing is left.
        if written.is_err() {
            file.set_len(size)?;
        }
        written
    }

    /// The log, short enough to be written to, and its size.
    fn open(&self, log: Log) -> io::Result<(File, u64)> {
        let open = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(self.current(log))
        };
        let file = open()?;
        let size = file.metadata()?.len();
        if size <= self.config.logs.rotate_bytes {
            return Ok((file, size));
        }
        let mut marks = self.marks();
        std::fs::rename(self.current(log), self.rotated(log))?;
        marks.entry(log).or_default().rotations += 1;
        drop(marks);
        Ok((open()?, 0))
    }
}

/// Whether a kill has ended the last write within a line.
fn is_cut(file: &File, size: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if size > 0 {
        file.read_exact_at(&mut last, size - 1)?;
    }
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::super::testing::logs;
    use super::*;
    use std::fs;

    #[test]
    fn a_long_log_is_put_aside_whole() {
        let (_dir, logs, slot) = logs();
        let log = Log::Access(Some(slot));
        logs.append(log, b"first\n").unwrap();
        logs.append(log, format!("{}\n", "x".repeat(1500)).as_bytes()).unwrap();
        assert!(!logs.rotated(log).exists());
        logs.append(log, b"next\n").unwrap();
        assert_eq!(fs::read(logs.current(log)).unwrap(), b"next\n");
        assert_eq!(fs::read(logs.rotated(log)).unwrap().len(), 1507);
        logs.append(Log::Access(None), b"nobody's\n").unwrap();
        assert_eq!(fs::read(logs.current(log)).unwrap(), b"next\n");
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_spoil_the_next() {
        let (_dir, logs, slot) = logs();
        let log = Log::Access(Some(slot));
        fs::write(logs.current(log), "whole\ncut o").unwrap();
        logs.append(log, b"next\n").unwrap();
        logs.append(log, b"last\n").unwrap();
        assert_eq!(fs::read(logs.current(log)).unwrap(), b"whole\ncut o\nnext\nlast\n");
    }

    #[tokio::test]
    async fn with_the_tenant_its_logs_go() {
        let (_dir, logs, slot) = logs();
        let (log, nobodys) = (Log::Access(Some(slot)), Log::Access(None));
        for log in [log, nobodys] {
            logs.append(log, &[b'x'; 1500]).unwrap();
            logs.append(log, b"next\n").unwrap();
        }
        logs.forget(slot).await.unwrap();
        assert!(!logs.current(log).exists() && !logs.rotated(log).exists());
        assert!(logs.current(nobodys).exists() && logs.rotated(nobodys).exists());
        logs.forget(slot).await.unwrap();
    }
}
