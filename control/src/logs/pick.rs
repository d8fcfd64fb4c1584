//! Which lines of a log are wanted: by their time, and by the release that printed them. Lines begin with both, so that nothing
//! else of them need be read.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use kennel_model::ReleaseId;

use super::BLOCK;

/// No line of a log is longer.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 10;

/// What is wanted of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pick {
    /// Nothing older, in milliseconds since 1970-01-01 UTC.
    pub from_ms: u64,
    /// Only what this release has printed.
    pub release: Option<ReleaseId>,
}

impl Pick {
    /// Whether all is wanted.
    pub(super) fn is_all(self) -> bool {
        self == Self::default()
    }

    /// Whether this line is. One that a kill has cut off has no meaning, nor has one of another kind.
    pub(crate) fn takes(self, line: &[u8]) -> bool {
        let Some((at_ms, rest)) = line.strip_prefix(b"{\"at_ms\":").and_then(number) else { return false };
        let of_release = match self.release {
            None => true,
            Some(ReleaseId(wanted)) => {
                let found = rest.strip_prefix(b",\"release\":").and_then(number);
                found.is_some_and(|(release, _)| release == u64::from(wanted))
            }
        };
        at_ms >= self.from_ms && of_release && line.ends_with(b"}\n")
    }

    /// Those lines that end in this block; what is behind them waits for the next.
    ///
    /// # Errors
    /// A line has no end.
    pub(crate) fn of_block(self, rest: &mut Vec<u8>, block: &[u8]) -> io::Result<Vec<u8>> {
        rest.extend_from_slice(block);
        let end = rest.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if rest.len() - end > MAX_LINE_BYTES {
            return Err(io::Error::other("a line of the log is too long"));
        }
        let whole = rest.drain(..end).collect::<Vec<_>>();
        let wanted = whole.split_inclusive(|b| *b == b'\n').filter(|line| self.takes(line));
        Ok(wanted.collect::<Vec<_>>().concat())
    }

    /// Where the last `lines` wanted lines of the file's first `end` bytes begin, and how many there are from there on.
    pub(super) fn start_of(self, file: &File, end: u64, lines: usize) -> io::Result<(u64, usize)> {
        let (mut last, mut at, mut block) = (VecDeque::new(), 0, vec![0; BLOCK]);
        let mut line: Vec<u8> = Vec::new();
        while at < end && lines > 0 {
            let want = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
            let read = file.read_at(&mut block[..want], at)?;
            if read == 0 {
                break;
            }
            for piece in block[..read].split_inclusive(|b| *b == b'\n') {
                at += piece.len() as u64;
                line.extend_from_slice(piece);
                if !piece.ends_with(b"\n") {
                    continue;
                }
                if self.takes(&line) {
                    if last.len() == lines {
                        last.pop_front();
                    }
                    last.push_back(at - line.len() as u64);
                }
                line.clear();
            }
        }
        Ok((last.front().copied().unwrap_or(end), last.len()))
    }
}

/// The number that begins here, and what follows it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|b| !b.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const SINCE: Pick = Pick { from_ms: 7, release: None };

    #[test]
    fn lines_come_whole_and_not_too_old() {
        let mut rest = Vec::new();
        let mut text =
            |block: &str| String::from_utf8(SINCE.of_block(&mut rest, block.as_bytes()).unwrap()).unwrap();
        assert_eq!(text("{\"at_ms\":6,\"x\":1}\n{\"at_ms\":7}\n{\"at_"), "{\"at_ms\":7}\n");
        assert_eq!(text("ms\":8,"), "");
        assert_eq!(
            text("\"y\":2}\n{\"at_ms\":9,\"cut o\n{\"at_ms\":10}\n"),
            "{\"at_ms\":8,\"y\":2}\n{\"at_ms\":10}\n"
        );
        assert!(SINCE.of_block(&mut Vec::new(), &[b'x'; MAX_LINE_BYTES + 1]).is_err());
    }

    #[test]
    fn a_release_is_told_by_the_field_and_by_nothing_in_the_text() {
        let three = Pick { release: Some(ReleaseId(3)), ..Pick::default() };
        assert!(three.takes(b"{\"at_ms\":1,\"release\":3,\"text\":\"a\"}\n"));
        for other in [
            &b"{\"at_ms\":1,\"release\":33,\"text\":\"a\"}\n"[..],
            b"{\"at_ms\":1,\"release\":2,\"text\":\",\\\"release\\\":3\"}\n",
            b"{\"at_ms\":1}\n",
            b"kennel: starting release 3\n",
            b"{\"at_ms\":1,\"release\":3,\"text\":\"a\"}",
        ] {
            assert!(!three.takes(other), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn the_last_wanted_lines_are_found() {
        let line =
            |at_ms: u32, release: u32| format!("{{\"at_ms\":{at_ms},\"release\":{release},\"text\":\"\"}}\n");
        let text: String = [line(1, 3), line(2, 4), "cut o\n".into(), line(3, 3), line(4, 4)].concat();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let three = Pick { from_ms: 0, release: Some(ReleaseId(3)) };
        let of = |pick: Pick, lines| {
            let (at, found) = pick.start_of(&file, text.len() as u64, lines).unwrap();
            (
                text[at as usize..].lines().filter(|line| pick.takes(format!("{line}\n").as_bytes())).count(),
                found,
            )
        };
        assert_eq!(of(three, 9), (2, 2));
        assert_eq!(of(three, 1), (1, 1));
        assert_eq!(of(three, 0), (0, 0));
        assert_eq!(of(Pick { from_ms: 2, ..three }, 9), (1, 1));
        assert_eq!(of(Pick { release: Some(ReleaseId(5)), ..three }, 9), (0, 0));
    }
}
