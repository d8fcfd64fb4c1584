//! The smuggling matrix: requests that two programs could read differently, sent raw, with what RFC 9110 and 9112 permit to reach
//! the program behind a proxy. Used by the test `it/matrix.rs` and by `examples/matrix.rs`, which asks other proxies the same.
//! The rows are data, in the files beside this one:
//!
//! ```text
//! == group
//! name ; section of the RFC ; what may be ; what Kennel does ; METHOD target content, as the program gets it (else GET /x)
//!   the bytes, two blanks behind the line's begin
//!   + field: value that has to reach the program       ? one that may       = fields not looked at       h hosts that may (`-`: none)
//! ```
//!
//! In bytes `|` is CRLF, `@` is `Host: a.example`, a first `@T` the head of a chunked POST, `{text*9}` nine times the text; `\r \n \t \0 \x7f` are
//! those. Behind each row's bytes goes another request, `GET /next`, which asks to close. What may be: `XN` both reach the
//! program, `X` the row's alone and the connection is closed, `N` the other alone, `-` neither. What Kennel does is one of those, and the statuses
//! that the client gets (`*` any).

mod program;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub use program::{Got, Program};

/// The other request.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
/// Fields that a proxy may add or set, whatever their value. Hosts are looked at by themselves.
const OWN: [&str; 13] = [
    "host",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
    "connection",
    "content-length",
    "transfer-encoding",
    "trailer",
    "x-request-id",
    "traceparent",
];

/// One request, and what may become of it.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub group: String,
    pub name: String,
    pub rfc: String,
    pub permits: Vec<String>,
    /// What Kennel lets reach the program, and the statuses.
    pub ours: (String, Option<Vec<u16>>),
    pub send: Vec<u8>,
    method: Vec<u8>,
    target: Vec<u8>,
    content: Vec<u8>,
    must: Vec<(Vec<u8>, Vec<u8>)>,
    may: Vec<(Vec<u8>, Vec<u8>)>,
    free: Vec<Vec<u8>>,
    hosts: Vec<Vec<u8>>,
}

/// What became of a row.
#[derive(Debug)]
pub struct Seen {
    /// `XN` and its like, with `?` for a request that is neither, and `!` for bytes that are no request.
    pub reached: String,
    /// Of the client's answers.
    pub statuses: Vec<u16>,
    /// Whether the connection was closed in time.
    pub closed: bool,
    /// What is odd, for people.
    pub odd: String,
}

/// All rows.
pub fn rows() -> Vec<Row> {
    let files = [
        include_str!("framing.txt"),
        include_str!("chunks.txt"),
        include_str!("heads.txt"),
        include_str!("requests.txt"),
    ];
    let mut rows: Vec<Row> = Vec::new();
    let mut group = String::new();
    for line in files.into_iter().flat_map(str::lines).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        match (line.strip_prefix("== "), line.strip_prefix("  ")) {
            (Some(name), _) => group = name.to_owned(),
            (_, None) => rows.push(Row::new(&group, line)),
            (_, Some(line)) => rows.last_mut().expect("a row before its bytes").add(line),
        }
    }
    rows
}

impl Row {
    fn new(group: &str, line: &str) -> Self {
        let parts: Vec<&str> = line.splitn(5, " ; ").collect();
        let [name, rfc, permits, ours, rest @ ..] = &parts[..] else { panic!("{line}") };
        let mut reading = rest.first().unwrap_or(&"GET /x").splitn(3, ' ').map(bytes);
        let mut next = || reading.next().unwrap_or_default();
        let (reached, statuses) = ours.split_once(' ').expect("statuses");
        let all = |text: &str| text.split_whitespace().map(|s| s.parse().expect("a status")).collect();
        Self {
            group: group.to_owned(),
            name: (*name).to_owned(),
            rfc: (*rfc).to_owned(),
            permits: permits.split(' ').map(str::to_owned).collect(),
            ours: (reached.to_owned(), (statuses != "*").then(|| all(statuses))),
            method: next(),
            target: next(),
            content: next(),
            ..Self::default()
        }
    }

    fn add(&mut self, line: &str) {
        if self.send.is_empty() {
            let line = match line.strip_prefix("@T") {
                Some(rest) => format!("POST /x HTTP/1.1|@|Transfer-Encoding: chunked||{rest}"),
                None => line.to_owned(),
            };
            self.send = bytes(&line.replace('@', "Host: a.example").replace('|', "\\r\\n"));
            return;
        }
        let (kind, rest) = line.split_at(2);
        let field = || rest.split_once(": ").map(|(n, v)| (bytes(n), bytes(v))).expect("a field");
        match kind {
            "+ " => self.must.push(field()),
            "? " => self.may.push(field()),
            "= " => self.free.push(bytes(rest)),
            "h " => self.hosts = rest.split(' ').map(bytes).collect(),
            other => panic!("{other}"),
        }
    }

    /// Whether this is what the row's request may look like.
    fn is_what_it_is(&self, got: &Got) -> Result<(), String> {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string().chars().take(200).collect::<String>();
        for (what, is, has_to) in [
            ("method", &got.method, &self.method),
            ("target", &got.target, &self.target),
            ("content", &got.content, &self.content),
        ] {
            if is != has_to {
                return Err(format!("{what} {}", text(is)));
            }
        }
        let hosts: Vec<_> =
            got.fields.iter().filter(|(name, _)| name == b"host").map(|(_, value)| value).collect();
        let usual = [b"a.example".to_vec()];
        let may = if self.hosts.is_empty() { &usual[..] } else { &self.hosts };
        // `-` is no name that is known.
        let none = may == [b"-"] && hosts.iter().all(|host| host.is_empty());
        if !none && !matches!(hosts[..], [host] if may.contains(host)) {
            return Err(format!(
                "hosts {}",
                hosts.iter().map(|host| text(host)).collect::<Vec<_>>().join(", ")
            ));
        }
        let mut must = self.must.clone();
        for field in &got.fields {
            let is_own = OWN.iter().any(|own| own.as_bytes() == field.0) || self.free.contains(&field.0);
            // In their order, of one name.
            match must.iter().position(|must| must.0 == field.0) {
                Some(at) if must[at] == *field => _ = must.remove(at),
                _ if is_own || self.may.iter().any(|may| may.0 == field.0 && may.1 == one_blank(&field.1)) => {}
                _ => return Err(format!("field {}: {}", text(&field.0), text(&field.1))),
            }
        }
        match must.first() {
            Some((name, _)) => Err(format!("without {}", text(name))),
            None => Ok(()),
        }
    }

    /// Sends it, and looks at what arrives. `patience` ends a connection that nobody closes.
    pub async fn run(&self, proxy: SocketAddr, program: &Program, patience: Duration) -> io::Result<Seen> {
        program.forget();
        let mut stream = TcpStream::connect(proxy).await?;
        // Who refuses early may close before all is sent.
        _ = stream.write_all(&[&self.send, NEXT].concat()).await;
        let mut answers = Vec::new();
        let read = tokio::time::timeout(patience, stream.read_to_end(&mut answers)).await;
        drop(stream);
        // For what is wrong only: bytes that nobody waits for.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let mut seen = Seen {
            reached: String::new(),
            statuses: statuses(&answers),
            closed: read.is_ok(),
            odd: String::new(),
        };
        for got in program.got() {
            let (sign, odd) = match got {
                Err(bytes) => ('!', format!("no request: {}", bytes.escape_ascii())),
                Ok(got) if got.method == b"GET" && got.target == b"/next" && got.content.is_empty() => {
                    ('N', String::new())
                }
                Ok(got) => match self.is_what_it_is(&got) {
                    Ok(()) => ('X', String::new()),
                    Err(odd) => ('?', odd),
                },
            };
            seen.reached.push(sign);
            seen.odd.push_str(&odd);
        }
        if seen.reached.is_empty() {
            seen.reached.push('-');
        }
        Ok(seen)
    }

    /// Whether that may be: what reached the program, and as many answers of its as requests.
    pub fn permits(&self, seen: &Seen) -> bool {
        let good = seen.statuses.iter().filter(|status| **status == 200).count();
        let sent = if seen.reached == "-" { 0 } else { seen.reached.len() };
        self.permits.contains(&seen.reached) && good <= sent
    }
}

/// What a fold becomes is as many blanks as one likes.
fn one_blank(value: &[u8]) -> Vec<u8> {
    let parts = value.split(|b| matches!(b, b' ' | b'\t')).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(&b' ')
}

/// None of our answers, nor of others' pages, has such text inside.
fn statuses(answers: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answers);
    let statuses = text.split("HTTP/1.").skip(1);
    statuses.filter_map(|rest| rest.get(2..5)?.parse().ok()).collect()
}

/// Takes the escapes away.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        match (first, more) {
            (b'{', _) if let Some((times, end)) = repeated(more) => {
                out.extend(times);
                rest = &more[end..];
            }
            (b'\\', [b'x', high, low, more @ ..]) => {
                let digit = |b: &u8| (*b as char).to_digit(16).expect("hexadecimal") as u8;
                out.push(digit(high) << 4 | digit(low));
                rest = more;
            }
            (b'\\', [kind, more @ ..]) => {
                out.push(match kind {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'0' => 0,
                    other => panic!("\\{}", *other as char),
                });
                rest = more;
            }
            (other, _) => out.push(*other),
        }
    }
    out
}

/// `text*9}`, and where it ends.
fn repeated(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let end = text.iter().position(|b| *b == b'}')?;
    let star = text[..end].iter().rposition(|b| *b == b'*')?;
    let times = std::str::from_utf8(&text[star + 1..end]).ok()?.parse().ok()?;
    let once = bytes(std::str::from_utf8(&text[..star]).ok()?);
    Some((once.repeat(times), end + 1))
}
