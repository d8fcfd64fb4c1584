//! A client's connection of HTTP/1.1: the gate and, behind it, hyper. The first byte says in which pieces the others come, 0 as a
//! whole. What is read is held against a reading of its own here, by the letter of RFC 9112: whoever gets a request that is not in
//! it can be made to take one visitor's bytes for another's. So are the heads that are passed on without hyper: each is a request of that reading, ends
//! where it ends, and is the same to hyper.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kennel_proxy::forward::request::{self, Reading};
use kennel_proxy::gate::{Answering, Gate, UnderWay, Wire};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

/// Longer than anything here takes.
const LINGER: Duration = Duration::from_secs(3600);

/// A request that has come to its end.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    method: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// Reads the connection.
///
/// # Panics
/// When a request comes through that the bytes do not have, or another one in pieces than as a whole.
pub fn run(data: &[u8]) {
    let Some((pieces, stream)) = data.split_first() else { return };
    plain(stream);
    let whole = requests(stream, usize::MAX);
    let (expected, cause) = by_the_letter(stream);
    assert!(whole.len() <= expected.len(), "{whole:?}, and it ends as {cause}");
    assert_eq!(whole, expected[..whole.len()], "{cause}");
    if *pieces > 0 {
        assert_eq!(requests(stream, usize::from(*pieces)), whole, "in pieces of {pieces} bytes");
    }
}

/// Reads the stream as the forwarder does, for as long as all is plain.
fn plain(stream: &[u8]) {
    let mut rest = stream;
    let mut out = Vec::new();
    while let Reading::Plain(head) = request::read(rest, &mut out) {
        let mut reader = Reader(rest);
        let read = match reader.request() {
            Ok(read) => read,
            Err(cause) => panic!("{head:?} is plain, and {cause}"),
        };
        assert_eq!(rest.len() - reader.0.len(), head.bytes, "{head:?} ends elsewhere");
        assert!(read.body.is_empty() && read.method == head.method.as_str(), "{head:?} is {read:?}");
        let hosts: Vec<_> = read.fields.iter().filter(|(name, _)| name == "host").collect();
        assert!(matches!(hosts[..], [(_, host)] if *host == rest[head.host.clone()]), "{hosts:?}");
        let (request, next) = rest.split_at(head.bytes);
        // No more and no other is said to the program than came, in the same line.
        let line = request.split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
        let said = out.strip_prefix(line).map(<[u8]>::to_vec);
        let said = said.map(|fields| [line, &fields, b"\r\n"].concat()).unwrap_or_default();
        let said = Reader(&said).request();
        let all_came = |said: &Read| said.fields.iter().all(|field| read.fields.contains(field));
        assert!(said.as_ref().is_ok_and(all_came), "{} of {read:?}", out.escape_ascii());
        // Twice, since nothing is answered where the connection ends.
        let to_hyper = requests(&request.repeat(2), usize::MAX);
        assert_eq!(to_hyper.first(), Some(&read), "hyper reads another");
        for end in [head.bytes - 1, head.bytes / 2] {
            assert!(matches!(request::read(&rest[..end], &mut out), Reading::Partial), "{head:?} in part");
        }
        rest = next;
    }
}

/// What came through, for as long as something comes.
fn requests(stream: &[u8], piece: usize) -> Vec<Read> {
    let seen = Mutex::new(Vec::new());
    let wire = Arc::new(Wire::default());
    let service = service_fn(|request: Request<Incoming>| {
        let (under_way, seen) = (UnderWay::new(&wire), &seen);
        async move {
            let (head, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let field = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
                    (name.as_str().to_owned(), value.as_bytes().to_vec())
                };
                let mut fields: Vec<_> = head.headers.iter().map(field).collect();
                fields.sort();
                let (method, body) = (head.method.to_string(), body.to_bytes().to_vec());
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(Read { method, fields, body });
            }
            Ok::<_, Infallible>(Response::new(Answering { body: Empty::<Bytes>::new(), _under_way: under_way }))
        }
    });
    // For the timer of who is listened to after its answer. It never has to go off: what comes, comes at once.
    static RUNTIME: LazyLock<io::Result<Runtime>> =
        LazyLock::new(|| Builder::new_current_thread().enable_time().build());
    let _within = RUNTIME.as_ref().map(Runtime::enter);
    let gate = Gate::new(Pieces { left: stream, piece }, wire.clone(), LINGER);
    run_dry(pin!(http1::Builder::new().serve_connection(TokioIo::new(gate), service)));
    seen.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes, in pieces; what is answered goes nowhere.
struct Pieces<'a> {
    left: &'a [u8],
    piece: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (piece, left) = self.left.split_at(self.piece.min(self.left.len()).min(buf.remaining()));
        buf.put_slice(piece);
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls it for as long as it has something to do: nothing comes from elsewhere.
fn run_dry(mut what: Pin<&mut impl Future>) {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let flag = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(flag.clone());
    while flag.0.swap(false, Ordering::Relaxed) {
        if what.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            return;
        }
    }
}

/// All requests that the bytes have, and why there are no more.
fn by_the_letter(stream: &[u8]) -> (Vec<Read>, &'static str) {
    let mut reader = Reader(stream);
    let mut all = Vec::new();
    loop {
        match reader.request() {
            Ok(request) => all.push(request),
            Err(cause) => return (all, cause),
        }
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn request(&mut self) -> Result<Read, &'static str> {
        let mut line = self.line()?;
        if line.is_empty() {
            line = self.line()?;
        }
        let words: Vec<_> = line.split(|b| *b == b' ').collect();
        let [method, target, version] = words[..] else { return Err("a request line that is none") };
        if !is_token(method) || target.is_empty() || !target.iter().all(|b| b.is_ascii_graphic() || *b >= 0x80)
        {
            return Err("a method or a target that is none");
        }
        let is_old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err("another version"),
        };
        let fields = self.fields()?;
        let values = |name: &str| -> Vec<_> {
            fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_slice()).collect()
        };
        let body = match (&values("transfer-encoding")[..], &values("content-length")[..]) {
            _ if method == b"CONNECT" => {
                // Whatever follows is no HTTP.
                self.0 = &[];
                Vec::new()
            }
            ([], []) => Vec::new(),
            ([], [digits]) => {
                let length =
                    std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                let length: u64 = length.and_then(|text| text.parse().ok()).ok_or("a length that is none")?;
                self.bytes(usize::try_from(length).unwrap_or(usize::MAX))?.to_vec()
            }
            ([coding], []) if !is_old && coding.eq_ignore_ascii_case(b"chunked") => self.chunks()?,
            _ => return Err("no length that all would agree on"),
        };
        let method = String::from_utf8_lossy(method).into_owned();
        let mut fields = fields;
        fields.sort();
        Ok(Read { method, fields, body })
    }

    /// Without its CRLF.
    fn line(&mut self) -> Result<&'a [u8], &'static str> {
        let end = self.0.iter().position(|b| *b == b'\n').ok_or("it is cut off")?;
        let line = self.0[..end].strip_suffix(b"\r").ok_or("a line without CR")?;
        self.0 = &self.0[end + 1..];
        Ok(line)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(bytes)
    }

    fn fields(&mut self) -> Result<Vec<(String, Vec<u8>)>, &'static str> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|b| *b == b':').ok_or("a field without a colon")?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            let is_value = |b: &u8| *b == b'\t' || *b >= b' ' && *b != 0x7f;
            if !is_token(name) || !line[colon + 1..].iter().all(is_value) {
                return Err("a field that is none");
            }
            fields.push((String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec()));
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, &'static str> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let (size, extension) =
                line.split_at(line.iter().position(|b| b" \t;".contains(b)).unwrap_or(line.len()));
            let is_hex = !size.is_empty() && size.iter().all(u8::is_ascii_hexdigit);
            let is_extension = extension.is_empty() || extension.trim_ascii_start().first() == Some(&b';');
            if !is_hex || !is_extension {
                return Err("a chunk's size that is none");
            }
            let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
            match size.ok_or("a chunk that is too large")? {
                0 => {
                    self.fields()?;
                    return Ok(body);
                }
                size => body.extend_from_slice(self.bytes(size)?),
            }
            if !self.line()?.is_empty() {
                return Err("a chunk that does not end where it says");
            }
        }
    }
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// Requests one behind the other, in pieces of several sizes.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET /next HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: b\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=\"b\"\r\n!\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi\r\nGET http://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a?b=%20 HTTP/1.1\r\nhost: a.example:80\r\nUser-Agent: \tx \r\ncookie: a=b\r\nX_Forwarded_For: 1\r\ntraceparent: 00\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabcCONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let pieces = [0, 1, 7, 64];
    texts.iter().zip(pieces.iter().cycle()).map(|(text, piece)| [&[*piece], text.as_bytes()].concat()).collect()
}
