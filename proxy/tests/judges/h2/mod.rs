//! The cases of h2spec (<https://github.com/summerwind/h2spec>, version 2.6.0 and what came after it, MIT licence), a program in Go that is not among
//! the packages that install here: what each sends, and which outcomes it takes for right, written anew over frames of our own and named by its sections.
//! `generic`, `connections`, `definitions`, `messages` and `hpack` are the table; this file runs it.
//!
//! As there, a connection that is closed is right wherever a connection or stream error is asked for. What differs: frames that follow
//! each other without a wait leave in one piece, so that no answer overtakes them; and one case that h2spec has for its strict
//! mode only is among them.

mod connections;
mod definitions;
mod frames;
mod generic;
mod hpack;
mod messages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::frames::*;
use crate::rig::{PATIENCE, hello, soon};
use crate::stand::{HOST, Stand};

/// How many there are, as `h2spec --strict` counts them.
const CASES: usize = 147;
/// Cases that fail, and why that is as it is. One that no longer does has to be taken off.
const FAILING: [(&str, &str); 0] = [];
/// How long a case of that list is waited for.
const SHORT: Duration = Duration::from_secs(5);
/// Cases that run at a time.
const AT_A_TIME: usize = 32;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// What is waited for; everything else that comes before it is passed over.
#[derive(Debug, Clone, Copy)]
enum Want {
    /// The connection's end.
    Closed,
    /// The same, or GOAWAY with one of these codes.
    ConnectionError(&'static [u32]),
    /// The same, or RST_STREAM with one of them.
    StreamError(&'static [u32]),
    /// A frame that ends a stream in order.
    StreamEnds,
    /// HEADERS of the first stream.
    Answer,
    /// DATA of so many bytes, or of any number.
    Data(Option<usize>),
    /// SETTINGS, to be the server's own.
    Settings,
    /// SETTINGS, to be an acknowledgement.
    Acked,
    /// PING, to be an answer with this text; without one, any.
    Pong(Option<&'static [u8; 8]>),
    /// The same, or the connection's end.
    PongOrClosed(&'static [u8; 8]),
    /// GOAWAY, with this code if there is one.
    GoAway(Option<u32>),
    /// RST_STREAM of the first stream, with this code.
    Reset(u32),
}

enum Step {
    Send(Vec<u8>),
    Wait(Want),
}

struct Case {
    id: &'static str,
    what: &'static str,
    /// Whether the connection begins as it ought to.
    begins: bool,
    steps: Vec<Step>,
}

/// Sends these and waits for that, on a connection that began as it ought to.
fn case(id: &'static str, what: &'static str, frames: Vec<Vec<u8>>, want: Want) -> Case {
    steps(id, what, vec![Step::Send(frames.concat()), Step::Wait(want)])
}

fn steps(id: &'static str, what: &'static str, steps: Vec<Step>) -> Case {
    Case { id, what, begins: true, steps }
}

/// Whom the cases ask, and what it said of itself.
struct Server {
    scheme: &'static str,
    settings: BTreeMap<u16, u32>,
}

impl Server {
    fn fields<'a>(&self, method: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let usual = [(":method", method), (":scheme", self.scheme), (":path", "/"), (":authority", HOST)];
        [&usual, more].concat()
    }

    fn get(&self) -> Vec<u8> {
        block(&self.fields("GET", &[]))
    }

    fn post(&self) -> Vec<u8> {
        block(&self.fields("POST", &[]))
    }

    /// A GET on the first stream with more fields behind it.
    fn get_with(&self, more: &[(&str, &str)]) -> Vec<u8> {
        headers(1, WHOLE, &block(&self.fields("GET", more)))
    }

    /// A GET on the first stream whose block goes on with these bytes.
    fn get_and(&self, bytes: &[u8]) -> Vec<u8> {
        headers(1, WHOLE, &[&self.get(), bytes].concat())
    }

    fn max_frame(&self) -> usize {
        self.settings.get(&MAX_FRAME).map_or(16_384, |most| *most as usize)
    }
}

/// A field of some length, as often as asked.
fn long(count: usize) -> Vec<u8> {
    let value = "x".repeat(4000);
    (0..count).flat_map(|n| block(&[(&format!("x-dummy{n}"), &value)])).collect()
}

struct Peer {
    io: Box<dyn Wire>,
    patience: Duration,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// Of RST_STREAM at its begin, of GOAWAY behind the last stream.
    fn code(&self) -> Option<u32> {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().unwrap()))
    }
}

impl Peer {
    /// Nothing is what comes of a connection that is closed.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.io.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    async fn send(&mut self, bytes: &[u8]) {
        // Whoever has closed already takes nothing, which is found when that is looked at.
        _ = self.io.write_all(bytes).await;
        _ = self.io.flush().await;
    }

    /// Both sides' settings, both acknowledged.
    async fn begin(&mut self) -> Option<BTreeMap<u16, u32>> {
        self.send(&[PREFACE, &settings(&[(INITIAL_WINDOW, 65_535)])].concat()).await;
        let (mut theirs, mut acked) = (None, false);
        while theirs.is_none() || !acked {
            let frame = self.next().await?;
            match (frame.kind, frame.flags & ACK) {
                (SETTINGS, 0) => {
                    let pair = |six: &[u8]| {
                        let value = u32::from_be_bytes(six[2..].try_into().unwrap());
                        (u16::from_be_bytes([six[0], six[1]]), value)
                    };
                    theirs = Some(frame.payload.chunks_exact(6).map(pair).collect());
                    self.send(&frames::frame(SETTINGS, ACK, 0, &[])).await;
                }
                (SETTINGS, _) => acked = true,
                _ => (),
            }
        }
        theirs
    }

    async fn run(&mut self, case: Case) -> Result<(), String> {
        if case.begins {
            let begun = tokio::time::timeout(self.patience, self.begin()).await;
            begun.ok().flatten().ok_or("the connection did not begin")?;
        }
        for step in case.steps {
            match step {
                Step::Send(bytes) => self.send(&bytes).await,
                Step::Wait(want) => self.wait(want).await?,
            }
        }
        Ok(())
    }

    async fn wait(&mut self, want: Want) -> Result<(), String> {
        let mut seen = String::new();
        loop {
            let Ok(next) = tokio::time::timeout(self.patience, self.next()).await else {
                return Err(format!("{want:?}: nothing more came after{seen}"));
            };
            let verdict = judge(want, next.as_ref());
            if verdict == Some(true) {
                return Ok(());
            }
            let Some(frame) = next else {
                return Err(format!("{want:?}: closed after{seen}"));
            };
            let code = frame.code().filter(|_| [RST_STREAM, GOAWAY].contains(&frame.kind));
            let code = code.map_or(String::new(), |code| format!(" with {code}"));
            seen += &format!(" {}/{:#x} on {}{code};", frame.kind, frame.flags, frame.stream);
            if verdict == Some(false) {
                return Err(format!("{want:?}: came{seen}"));
            }
        }
    }
}

/// Whether that is it; nothing where something else has to come yet.
fn judge(want: Want, next: Option<&Frame>) -> Option<bool> {
    let Some(frame) = next else {
        use Want::{Closed, ConnectionError, PongOrClosed, StreamError};
        let is_right = matches!(want, Closed | ConnectionError(_) | StreamError(_) | PongOrClosed(_));
        return is_right.then_some(true);
    };
    let has_code = |codes: &[u32]| frame.code().is_some_and(|code| codes.contains(&code));
    let is_answer = |text: &[u8; 8]| frame.flags & ACK != 0 && frame.payload == text;
    match (want, frame.kind) {
        // As in h2spec, another code may be followed by the right one, or by the connection's end.
        (Want::ConnectionError(codes), GOAWAY) => has_code(codes).then_some(true),
        (Want::StreamError(codes), GOAWAY | RST_STREAM) => has_code(codes).then_some(true),
        (Want::StreamEnds, DATA | HEADERS) => (frame.flags & END_STREAM != 0).then_some(true),
        (Want::StreamEnds, RST_STREAM) => has_code(&[NO_ERROR]).then_some(true),
        (Want::Answer, HEADERS) => Some(frame.stream == 1),
        (Want::Data(length), DATA) => Some(length.is_none_or(|length| length == frame.payload.len())),
        (Want::Settings, _) => Some(frame.kind == SETTINGS && frame.flags & ACK == 0),
        (Want::Acked, SETTINGS) => Some(frame.flags & ACK != 0),
        (Want::Pong(text), PING) => Some(text.is_none_or(is_answer)),
        (Want::PongOrClosed(text), PING) => is_answer(text).then_some(true),
        (Want::GoAway(code), GOAWAY) => Some(code.is_none_or(|code| has_code(&[code]))),
        (Want::Reset(code), RST_STREAM) => Some(frame.stream == 1 && has_code(&[code])),
        _ => None,
    }
}

fn all(server: &Server) -> Vec<Case> {
    let tables = [generic::cases, connections::cases, definitions::cases, messages::cases, hpack::cases];
    tables.into_iter().flat_map(|cases| cases(server)).collect()
}

async fn connect(stand: &Stand, scheme: &str) -> Box<dyn Wire> {
    if scheme == "https" {
        let stream = stand.tls(&[b"h2"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        return Box::new(stream);
    }
    let stream = TcpStream::connect(stand.http).await.unwrap();
    stream.set_nodelay(true).unwrap();
    Box::new(stream)
}

/// Runs all of them, each on a connection of its own, and holds what fails to the list.
async fn judge_all(scheme: &'static str) {
    let stand = Arc::new(Stand::new().await);
    let program = hello(stand.claim.slot).await;
    let mut first = Peer { io: connect(&stand, scheme).await, patience: PATIENCE };
    let server = Server { scheme, settings: soon(first.begin()).await.unwrap() };
    drop(first);
    let cases = all(&server);
    let names: BTreeSet<&str> = cases.iter().map(|case| case.id).collect();
    assert_eq!((cases.len(), names.len()), (CASES, CASES));
    assert!(FAILING.iter().all(|(id, _)| names.contains(id)));

    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut running = JoinSet::new();
    for case in cases {
        let (stand, places) = (stand.clone(), places.clone());
        running.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let (id, what) = (case.id, case.what);
            let is_failing = FAILING.iter().any(|(failing, _)| *failing == id);
            let patience = if is_failing { SHORT } else { PATIENCE };
            let outcome = Peer { io: connect(&stand, scheme).await, patience }.run(case).await;
            match (outcome, is_failing) {
                (Ok(()), false) | (Err(_), true) => None,
                (Ok(()), true) => {
                    Some(format!("{id}, {what}: passes, and is on the list of those that do not"))
                }
                (Err(seen), false) => Some(format!("{id}, {what}: {seen}")),
            }
        });
    }
    let mut wrong: Vec<String> = running.join_all().await.into_iter().flatten().collect();
    wrong.sort();
    let passed = CASES - FAILING.len();
    assert!(wrong.is_empty(), "{scheme}: not as held:\n{}", wrong.join("\n"));
    assert!(program.requests() > 0);
    println!("h2spec's cases, {scheme}: {passed} of {CASES} passed");
    Arc::into_inner(stand).unwrap().ends().await;
}

#[tokio::test]
async fn the_cases_of_h2spec_with_tls() {
    judge_all("https").await;
}

#[tokio::test]
async fn the_cases_of_h2spec_with_prior_knowledge() {
    judge_all("http").await;
}

#[test]
fn what_is_not_asked_for_is_not_taken() {
    let frame =
        |kind, flags, stream, payload: &[u8]| Some(Frame { kind, flags, stream, payload: payload.to_vec() });
    let goaway = |code| frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, code]);
    let reset = |stream, code| frame(RST_STREAM, 0, stream, &[0, 0, 0, code]);
    for (want, next, verdict) in [
        (Want::ConnectionError(&[PROTOCOL]), goaway(9), None),
        (Want::ConnectionError(&[PROTOCOL]), goaway(1), Some(true)),
        (Want::ConnectionError(&[PROTOCOL]), reset(1, 1), None),
        (Want::ConnectionError(&[PROTOCOL]), None, Some(true)),
        (Want::StreamError(&[PROTOCOL]), reset(1, 1), Some(true)),
        (Want::StreamError(&[PROTOCOL]), frame(HEADERS, WHOLE, 1, b""), None),
        (Want::StreamEnds, frame(DATA, 0, 1, b"x"), None),
        (Want::StreamEnds, None, None),
        (Want::Answer, frame(HEADERS, WHOLE, 3, b""), Some(false)),
        (Want::Answer, goaway(1), None),
        (Want::Answer, None, None),
        (Want::Data(Some(1)), frame(DATA, 0, 1, b"xx"), Some(false)),
        (Want::Settings, frame(SETTINGS, ACK, 0, b""), Some(false)),
        (Want::Acked, frame(SETTINGS, 0, 0, b""), Some(false)),
        (Want::Pong(Some(b"12345678")), frame(PING, ACK, 0, b"87654321"), Some(false)),
        (Want::Pong(Some(b"12345678")), frame(PING, 0, 0, b"12345678"), Some(false)),
        (Want::PongOrClosed(b"12345678"), frame(PING, 0, 0, b"12345678"), None),
        (Want::GoAway(Some(3)), goaway(1), Some(false)),
        (Want::GoAway(None), None, None),
        (Want::Reset(3), reset(3, 3), Some(false)),
        (Want::Reset(3), reset(1, 1), Some(false)),
        (Want::Closed, goaway(1), None),
    ] {
        let seen = next.as_ref().map(|frame| (frame.kind, frame.flags, frame.stream));
        assert_eq!(judge(want, next.as_ref()), verdict, "{want:?} {seen:?}");
    }
}
