//! Reads the guest's console as it grows, and finds in it what `kennel run` waits for: the certificate's fingerprint,
//! the end of the boot, and failures. The lines are written by `init`; see its console.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::pin::Fingerprint;
use crate::ui::SafeLines;

/// Lines kept to show when something fails.
const TAIL_LINES: usize = 25;

/// What a line means to `kennel run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// The API's certificate, announced by control.
    Certificate(Fingerprint),
    /// The boot has ended well, after so many seconds by init's clock.
    Ready(String),
    /// Something failed; the host may still come up without it.
    Failed(String),
    /// The kernel gave up.
    Panic(String),
    /// The firmware, with Secure Boot on, does not start the boot program.
    Refused,
}

/// What the line says, if it is one of those waited for. The kernel may have written before it on the same line.
pub fn sign(line: &str) -> Option<Sign> {
    let after = |mark: &str| line.find(mark).map(|at| &line[at + mark.len()..]);
    if let Some(rest) = after("control: api certificate ") {
        return rest.split_whitespace().next()?.parse().ok().map(Sign::Certificate);
    }
    if let Some(rest) = after("Kernel panic - not syncing: ") {
        return Some(Sign::Panic(rest.trim().to_owned()));
    }
    if line.contains("BdsDxe: failed to load ") && line.trim_end().ends_with(": Access Denied") {
        return Some(Sign::Refused);
    }
    let init = after("init: ")?;
    // Either may have the time in front: `init: [  1.234] FAILED what: why`.
    let said = match init.strip_prefix('[').and_then(|timed| timed.split_once("] ")) {
        Some((_, said)) => said,
        None => init,
    };
    if let Some(what) = said.strip_prefix("FAILED ") {
        return Some(Sign::Failed(what.trim().to_owned()));
    }
    let seconds = said.strip_prefix("ready in ")?.split_whitespace().next()?;
    Some(Sign::Ready(seconds.to_owned()))
}

/// A console that is being written.
#[derive(Debug)]
pub struct Console {
    file: File,
    lines: SafeLines,
    tail: VecDeque<String>,
}

impl Console {
    /// From its first byte.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, lines: SafeLines::new(false), tail: VecDeque::new() })
    }

    /// The lines that were completed since the last call.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn news(&mut self) -> io::Result<Vec<String>> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        let lines = self.lines.push(&bytes);
        for line in lines.iter().filter(|line| !line.trim().is_empty()) {
            if self.tail.len() == TAIL_LINES {
                self.tail.pop_front();
            }
            self.tail.push_back(line.clone());
        }
        Ok(lines)
    }

    /// The last lines, also one that is not complete.
    pub fn tail(&mut self) -> Vec<String> {
        self.tail.extend(self.lines.finish());
        self.tail.iter().cloned().collect()
    }

    /// The last line.
    pub fn last(&self) -> &str {
        self.tail.back().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const PIN: &str = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";

    #[test]
    fn the_lines_that_matter() {
        let pin = PIN.parse().unwrap();
        for (line, expected) in [
            (format!("control: api certificate {PIN}"), Some(Sign::Certificate(pin))),
            (
                format!("[    9.1] virtio_net: hm control: api certificate {PIN}\r"),
                Some(Sign::Certificate(pin)),
            ),
            ("control: api certificate SHA256:cut".into(), None),
            ("init: ready in 4.2 s".into(), Some(Sign::Ready("4.2".into()))),
            ("init: [  4.200] ready in 4.2 s".into(), Some(Sign::Ready("4.2".into()))),
            ("init: [  1.000] mounted the root".into(), None),
            (
                "init: [  2.500] FAILED data volume: foreign content".into(),
                Some(Sign::Failed("data volume: foreign content".into())),
            ),
            ("init: FAILED policy: no such file".into(), Some(Sign::Failed("policy: no such file".into()))),
            (
                "[    3.0] Kernel panic - not syncing: dm-verity device corrupted".into(),
                Some(Sign::Panic("dm-verity device corrupted".into())),
            ),
            (
                "BdsDxe: failed to load Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x1,0x0): Access Denied"
                    .into(),
                Some(Sign::Refused),
            ),
            ("tenant says: FAILED and ready in 3 s".into(), None),
        ] {
            assert_eq!(sign(&line), expected, "{line}");
        }
    }

    #[test]
    fn news_come_once_and_the_tail_is_short() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut console = Console::open(file.path()).unwrap();
        assert!(console.news().unwrap().is_empty());
        write!(file, "\x1b[2Jone\r\ntw").unwrap();
        assert_eq!(console.news().unwrap(), ["one"]);
        writeln!(file, "o").unwrap();
        assert_eq!(console.news().unwrap(), ["two"]);
        assert_eq!(console.last(), "two");
        for n in 0..100 {
            writeln!(file, "line {n}").unwrap();
        }
        write!(file, "half").unwrap();
        console.news().unwrap();
        let tail = console.tail();
        assert_eq!((tail.len(), tail[0].as_str()), (TAIL_LINES + 1, "line 75"));
        assert_eq!(tail.last().unwrap(), "half");
    }
}
