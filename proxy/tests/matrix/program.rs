//! The program behind the proxy: takes requests apart by the letter of RFC 9112, with none of its leave to be lenient, and
//! writes down each that is complete, and what is none. Answers `ok` to each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    /// Names in small letters.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub content: Vec<u8>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What was got: a request, or bytes that are none.
pub type Taken = Result<Got, Vec<u8>>;

/// What it has got.
#[derive(Debug, Clone, Default)]
pub struct Program(Arc<Mutex<Vec<Taken>>>);

enum Reading {
    More,
    Bad,
    Whole(Got, usize),
}

impl Program {
    /// Serves until it is dropped.
    pub async fn serve(self, listener: TcpListener) {
        let mut served = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            served.spawn(self.clone().connection(stream));
        }
    }

    pub fn forget(&self) {
        self.lock().clear();
    }

    pub fn got(&self) -> Vec<Taken> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            match read(&bytes) {
                Reading::More => match stream.read_buf(&mut bytes).await {
                    Ok(1..) => (),
                    _ => return,
                },
                Reading::Bad => {
                    bytes.truncate(200);
                    return self.lock().push(Err(bytes));
                }
                Reading::Whole(got, end) => {
                    bytes.drain(..end);
                    let answer: &[u8] = match &got.method[..] {
                        b"HEAD" => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
                        _ => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                    };
                    self.lock().push(Ok(got));
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

fn read(bytes: &[u8]) -> Reading {
    let mut rest = bytes;
    let mut lines = Vec::new();
    loop {
        match line(&mut rest) {
            Some(Ok([])) => break,
            Some(Ok(line)) => lines.push(line),
            Some(Err(())) => return Reading::Bad,
            None => return Reading::More,
        }
    }
    let Some(mut got) = head(&lines) else { return Reading::Bad };
    let all =
        |name: &[u8]| got.fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect::<Vec<_>>();
    let content = match (&all(b"content-length")[..], &all(b"transfer-encoding")[..]) {
        ([], []) => Some(Some(Vec::new())),
        ([length], []) => length_of(length).map(|length| take(&mut rest, length).map(<[u8]>::to_vec)),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => chunks(&mut rest, &mut got.trailers),
        _ => None,
    };
    match content {
        None => Reading::Bad,
        Some(None) => Reading::More,
        Some(Some(content)) => {
            got.content = content;
            Reading::Whole(got, bytes.len() - rest.len())
        }
    }
}

/// The next line without its end, if it is complete; an error where one ends with anything but CRLF, or has a CR inside.
fn line<'b>(rest: &mut &'b [u8]) -> Option<Result<&'b [u8], ()>> {
    let end = rest.iter().position(|b| *b == b'\n')?;
    let (line, more) = (rest[..end].strip_suffix(b"\r"), &rest[end + 1..]);
    *rest = more;
    Some(line.filter(|line| !line.contains(&b'\r')).ok_or(()))
}

fn head(lines: &[&[u8]]) -> Option<Got> {
    let (first, fields) = lines.split_first()?;
    let parts: Vec<&[u8]> = first.split(|b| *b == b' ').collect();
    let [method, target, b"HTTP/1.1" | b"HTTP/1.0"] = parts[..] else { return None };
    let is_good = is_token(method) && !target.is_empty() && target.iter().all(|b| *b > b' ' && *b != 0x7f);
    let fields = fields.iter().map(|line| field(line)).collect::<Option<Vec<_>>>()?;
    let (method, target) = (method.to_vec(), target.to_vec());
    is_good.then(|| Got { method, target, fields, content: Vec::new(), trailers: Vec::new() })
}

fn field(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|b| *b == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    // Other controls may be passed on (RFC 9110, 5.5).
    let is_value = !value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n'));
    (is_token(name) && is_value).then(|| (name.to_ascii_lowercase(), value.trim_ascii().to_vec()))
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

fn length_of(digits: &[u8]) -> Option<usize> {
    let are_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| are_digits)?.parse().ok()
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (content, more) = rest.split_at_checked(length)?;
    *rest = more;
    Some(content)
}

/// None for what are no chunks; none inside for what is not complete.
#[allow(clippy::option_option, clippy::type_complexity)]
fn chunks(rest: &mut &[u8], trailers: &mut Vec<(Vec<u8>, Vec<u8>)>) -> Option<Option<Vec<u8>>> {
    let mut content = Vec::new();
    loop {
        let Some(size) = line(rest) else { return Some(None) };
        let digits = size.ok()?.split(|b| *b == b';').next()?;
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let Some(chunk) = take(rest, size) else { return Some(None) };
        content.extend_from_slice(chunk);
        match take(rest, 2) {
            Some(b"\r\n") => (),
            Some(_) => return None,
            None => return Some(None),
        }
    }
    loop {
        match line(rest) {
            Some(Ok([])) => return Some(Some(content)),
            Some(Ok(line)) => trailers.push(field(line)?),
            Some(Err(())) => return None,
            None => return Some(None),
        }
    }
}
