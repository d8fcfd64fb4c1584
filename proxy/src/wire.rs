//! Where each request on a client's connection begins and ends, found before hyper reads it and more strictly than hyper does. Whatever two programs
//! could read differently is refused here; the rest hyper reads alike, so that there is one reading. Only framing is looked
//! at: names, values and targets are hyper's to check, hosts are `host`'s. No I/O; `gate` feeds it.
//!
//! Refused, beside what hyper refuses: a line that does not end with CRLF; a field line that begins with a blank, or has no colon;
//! `Content-Length` twice, even if equal, or with `Transfer-Encoding`; a chunk size that is not one to sixteen hexadecimal digits, or is followed by
//! anything but an extension without control characters; chunk data not followed by CRLF (RFC 9112, 2.2, 5.2, 6.3, 7.1).

/// A request line, a field line or a chunk's size with its extensions may not be longer, wherever it ends.
const LONGEST_LINE: usize = 64 << 10;
/// Of a chunk's size: what 64 bits hold.
const SIZE_DIGITS: usize = 16;

/// What follows on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A request line, after at most one empty line (RFC 9112, 2.2).
    Start { blank: bool },
    /// A field line, or the empty one.
    Fields(Head),
    /// So many bytes of content.
    Content(u64),
    /// A chunk's size.
    Size,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The line's end behind a chunk.
    ChunkCr,
    /// Its second half.
    ChunkLf,
    /// A trailer's line, or the empty one.
    Trailers,
    /// Nothing, until it is known whether the last request changes the protocol.
    Held,
    /// Bytes of another protocol.
    Open,
    /// Nothing that would be taken.
    Ended,
}

/// What the fields so far say of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Head {
    /// HTTP/1.0.
    old: bool,
    connect: bool,
    upgrade: bool,
    length: Option<u64>,
    chunked: bool,
    /// Has a transfer coding that is not served.
    odd: bool,
}

/// What became of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All may be read.
    Pass,
    /// Those before may be read; the others have to wait, or are never read.
    Stop(usize),
    /// Those before may be read; what follows is no request's head.
    BadHead(usize),
    /// Those before may be read; what follows is no body.
    BadBody(usize),
}

/// Not what it has to be.
struct Bad;

/// The reading of one connection so far.
#[derive(Debug)]
pub(crate) struct Scan {
    step: Step,
    /// The line that was not complete yet.
    line: Vec<u8>,
    /// Heads that are complete.
    heads: u64,
}

impl Scan {
    /// Nothing was read.
    pub(crate) const fn new() -> Self {
        Self { step: Step::Start { blank: false }, line: Vec::new(), heads: 0 }
    }

    /// How many heads have been complete.
    pub(crate) const fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether nothing of a next request has come.
    pub(crate) fn is_between(&self) -> bool {
        self.step == Step::Start { blank: false } && self.line.is_empty()
    }

    /// Whether it has to be told whether the protocol changes.
    pub(crate) fn is_held(&self) -> bool {
        self.step == Step::Held
    }

    /// Whether nothing more is taken.
    pub(crate) fn is_ended(&self) -> bool {
        self.step == Step::Ended
    }

    /// Whether it is no longer HTTP.
    pub(crate) fn is_open(&self) -> bool {
        self.step == Step::Open
    }

    /// The last request has changed the protocol, or has not.
    pub(crate) fn release(&mut self, open: bool) {
        if self.is_held() {
            self.step = if open { Step::Open } else { Step::Start { blank: false } };
        }
    }

    /// Reads what comes next.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Verdict {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let begin = at;
            let read = match self.step {
                Step::Open => return Verdict::Pass,
                Step::Held | Step::Ended => return Verdict::Stop(at),
                Step::Content(left) | Step::Chunk(left) => {
                    let part = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    at += part;
                    self.passed(left - part as u64);
                    Ok(())
                }
                Step::ChunkCr | Step::ChunkLf => {
                    at += 1;
                    self.line_end(rest[0])
                }
                Step::Start { .. } | Step::Fields(_) | Step::Size | Step::Trailers => {
                    at += self.line(rest).unwrap_or(0);
                    if at == begin { Err(Bad) } else { Ok(()) }
                }
            };
            if read.is_err() {
                let in_head = matches!(self.step, Step::Start { .. } | Step::Fields(_));
                self.step = Step::Ended;
                return if in_head { Verdict::BadHead(begin) } else { Verdict::BadBody(begin) };
            }
        }
        Verdict::Pass
    }

    fn passed(&mut self, left: u64) {
        self.step = match (self.step, left) {
            (Step::Chunk(_), 0) => Step::ChunkCr,
            (Step::Chunk(_), left) => Step::Chunk(left),
            (_, 0) => Step::Start { blank: false },
            (_, left) => Step::Content(left),
        };
    }

    fn line_end(&mut self, byte: u8) -> Result<(), Bad> {
        self.step = match (self.step, byte) {
            (Step::ChunkCr, b'\r') => Step::ChunkLf,
            (Step::ChunkLf, b'\n') => Step::Size,
            _ => return Err(Bad),
        };
        Ok(())
    }

    /// Reads a line, or the begin of one; answers how many bytes it took.
    fn line(&mut self, rest: &[u8]) -> Result<usize, Bad> {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            if self.line.len() + rest.len() > LONGEST_LINE {
                return Err(Bad);
            }
            self.line.extend_from_slice(rest);
            return Ok(rest.len());
        };
        if self.line.is_empty() {
            self.whole_line(&rest[..end])?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&rest[..end]);
            self.whole_line(&line)?;
        }
        Ok(end + 1)
    }

    fn whole_line(&mut self, line: &[u8]) -> Result<(), Bad> {
        let line = line.strip_suffix(b"\r").ok_or(Bad)?;
        self.step = match self.step {
            Step::Fields(mut head) => match line {
                [] => {
                    self.heads += 1;
                    head.body()
                }
                _ => {
                    head.field(line)?;
                    Step::Fields(head)
                }
            },
            Step::Start { blank } => match line {
                [] if blank => return Err(Bad),
                [] => Step::Start { blank: true },
                // hyper drops fragments, which no target has (RFC 9112, 3.2).
                _ if memchr::memchr(b'#', line).is_some() => return Err(Bad),
                _ => Step::Fields(Head {
                    old: line.ends_with(b" HTTP/1.0"),
                    connect: line.starts_with(b"CONNECT "),
                    ..Head::default()
                }),
            },
            Step::Size => match size(line)? {
                0 => Step::Trailers,
                size => Step::Chunk(size),
            },
            Step::Trailers if line.is_empty() => Step::Start { blank: false },
            Step::Trailers => field(line).map(|_| Step::Trailers)?,
            other => other,
        };
        Ok(())
    }
}

impl Head {
    fn field(&mut self, line: &[u8]) -> Result<(), Bad> {
        let (name, value) = field(line)?;
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() || self.chunked || self.odd {
                    return Err(Bad);
                }
                self.length = Some(length(value)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.length.is_some() || self.old {
                    return Err(Bad);
                }
                // Two fields are as odd as two codings in one.
                self.odd |= self.chunked || !value.eq_ignore_ascii_case(b"chunked");
                self.chunked = true;
            }
            _ => (),
        }
        Ok(())
    }

    /// What follows the head.
    const fn body(self) -> Step {
        match (self.chunked, self.length) {
            // A coding that is not known has no end that is known; what follows CONNECT is no HTTP.
            _ if self.odd || self.connect => Step::Ended,
            (true, _) => Step::Size,
            (false, Some(length @ 1..)) => Step::Content(length),
            (false, _) if self.upgrade => Step::Held,
            (false, _) => Step::Start { blank: false },
        }
    }
}

/// Name and value. Which bytes they may have is left to hyper.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Bad> {
    let colon = memchr::memchr(b':', line).ok_or(Bad)?;
    match line.first() {
        Some(b' ' | b'\t' | b':') | None => Err(Bad),
        _ => Ok((&line[..colon], trimmed(&line[colon + 1..]))),
    }
}

/// Without blanks around it.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn length(digits: &[u8]) -> Result<u64, Bad> {
    let push = |sum: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    };
    match digits {
        [] => Err(Bad),
        _ => digits.iter().try_fold(0, push).ok_or(Bad),
    }
}

/// Of a chunk.
fn size(line: &[u8]) -> Result<u64, Bad> {
    let end = line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    if !(1..=SIZE_DIGITS).contains(&digits.len()) {
        return Err(Bad);
    }
    let extension = trimmed(rest);
    let is_text = |b: &u8| *b == b'\t' || !b.is_ascii_control();
    let is_extension = extension.first() == Some(&b';') && extension.iter().all(is_text);
    if !rest.is_empty() && !is_extension {
        return Err(Bad);
    }
    let digit = |b: &u8| (*b as char).to_digit(16).map_or(0, u64::from);
    Ok(digits.iter().fold(0, |sum, b| (sum << 4) | digit(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on all of it, whole and byte by byte.
    fn verdict(text: &str) -> (Verdict, u64) {
        let mut scan = Scan::new();
        let whole = (scan.take(text.as_bytes()), scan.heads);
        let mut scan = Scan::new();
        for (at, byte) in text.bytes().enumerate() {
            let end = match scan.take(&[byte]) {
                Verdict::Pass => continue,
                end => end,
            };
            assert!(
                std::mem::discriminant(&end) == std::mem::discriminant(&whole.0),
                "{text:?} at {at}: {end:?}"
            );
            return whole;
        }
        assert_eq!(whole, (Verdict::Pass, scan.heads), "{text:?}");
        whole
    }

    #[test]
    fn requests_are_told_from_each_other() {
        for (text, heads) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 1),
            ("\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", 2),
            ("POST / HTTP/1.1\r\ncontent-length: \t005 \r\n\r\nGET /GET / HTTP/1.1\r\n\r\n", 2),
            ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n", 2),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\n\r\n\r\n\r\r\n0a \t;x\r\n0123456789\r\n0\r\nx: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                2,
            ),
        ] {
            assert_eq!(verdict(text), (Verdict::Pass, heads), "{text:?}");
        }
    }

    #[test]
    fn what_can_be_read_twice_is_refused() {
        let head = "POST / HTTP/1.1\r\n";
        for bad in [
            "content-length: 5\r\ncontent-length: 5\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
            "transfer-encoding: gzip\r\ncontent-length: 5\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length:\r\n",
            "content-length: 18446744073709551616\r\n",
            "x: 1\n",
            " x: 1\r\n",
            "x: 1\r\n\ty\r\n",
            ": 1\r\n",
            "nothing\r\n",
        ] {
            assert!(matches!(verdict(&format!("{head}{bad}\r\n")).0, Verdict::BadHead(_)), "{bad:?}");
        }
        assert!(matches!(
            verdict("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n").0,
            Verdict::BadHead(_)
        ));
        assert_eq!(verdict("\r\n\r\nGET").0, Verdict::BadHead(2));
    }

    #[test]
    fn broken_chunks_are_refused() {
        let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        for bad in [
            "\r\n",
            "zz\r\n",
            "-1\r\n",
            "0x5\r\n",
            "5 \r\n",
            " 5\r\n",
            "5 5\r\n",
            "5\n",
            "5;a\n",
            "5;\u{1}\r\n",
            "5;a\rb\r\n",
            "00000000000000005\r\n",
            "1\r\nab",
            "1\r\na\n",
            "0\r\nx\r\n",
            "0\r\n x: 1\r\n",
            "0\r\nx: 1\n",
        ] {
            assert!(matches!(verdict(&format!("{head}{bad}")).0, Verdict::BadBody(_)), "{bad:?}");
        }
    }

    #[test]
    fn what_may_change_the_protocol_is_waited_for() {
        let ask = "GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n";
        for open in [true, false] {
            let mut scan = Scan::new();
            assert_eq!(scan.take(format!("{ask}\u{1}more").as_bytes()), Verdict::Stop(ask.len()));
            assert!(scan.is_held() && scan.heads() == 1);
            scan.release(open);
            assert_eq!((scan.is_open(), scan.is_between()), (open, !open));
            assert_eq!(scan.take(b"\x01more"), Verdict::Pass);
        }
        for last in
            ["CONNECT a:1 HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n"]
        {
            let mut scan = Scan::new();
            assert_eq!(scan.take(format!("{last}GET").as_bytes()), Verdict::Stop(last.len()));
            assert!(scan.is_ended());
        }
    }
}
