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
    /// One of them was followed by a body.
    bodies: bool,
}

impl Scan {
    /// Nothing was read.
    pub(crate) const fn new() -> Self {
        Self { step: Step::Start { blank: false }, line: Vec::new(), heads: 0, bodies: false }
    }

    /// How many heads have been complete.
    pub(crate) const fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether any of them was followed by a body, whose end may have come before it is used.
    pub(crate) const fn has_had_bodies(&self) -> bool {
        self.bodies
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
                    let next = head.body();
                    self.bodies |= !matches!(next, Step::Start { .. });
                    next
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
mod tests;
