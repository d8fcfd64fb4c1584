//! The cases 1 to 7 of the Autobahn test suite (<https://github.com/crossbario/autobahn-testsuite>, Apache licence), whose program is for Python 2
//! and installs on no Debian that is looked after: what each sends, and what may come back, written anew. The program behind the proxy
//! is tungstenite's, which answers by itself. It is asked directly first: what it answers has to be as the suite has it. Then the same bytes
//! go through the proxy, in other pieces and with TLS too, and what comes back has to be the same, byte for byte.

mod cases;
mod utf8;

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, sink};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::cases::{Case, End, cases};
use crate::rig::*;
use crate::stand::Stand;

/// As many as the suite has in these sections.
const CASES: usize = 246;
/// Cases that run at a time.
const AT_A_TIME: usize = 16;
const CLOSE: u8 = 8;
/// The key, and what has to come of it, are those of RFC 6455, 1.3.
const ASK: &[u8] = b"GET /chat HTTP/1.1\r\nhost: a.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Sends back every message. What it does of a frame that may not be is tungstenite's business.
async fn echo(slot: kennel_model::SlotId) -> Program {
    raw_program(slot, |_, stream| async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                break;
            }
        }
        // What is thrown away unread would be answered with a reset, which overtakes what was sent.
        let stream = socket.get_mut();
        _ = stream.shutdown().await;
        _ = tokio::io::copy(stream, &mut sink()).await;
    })
    .await
}

/// How a case's bytes leave.
#[derive(Debug, Clone, Copy)]
enum Pieces {
    /// All at once.
    Whole,
    /// As the suite does: each frame by itself.
    Frames,
    /// One by one; of many, as many as the suite's own pieces have.
    Bytes,
    /// As it comes, the same in each run.
    Odd,
}

impl Pieces {
    fn of(self, sent: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let all = sent.concat();
        let chop = |size: usize| all.chunks(size).map(<[u8]>::to_vec).collect();
        match self {
            Self::Whole => vec![all],
            Self::Frames => sent.to_vec(),
            Self::Bytes => chop(if all.len() > 2000 { 997 } else { 1 }),
            Self::Odd => {
                let (mut rest, mut pieces, mut seed) = (&all[..], Vec::new(), all.len());
                while !rest.is_empty() {
                    seed = (seed * 1103 + 12_345) % 65_537;
                    let (piece, more) =
                        rest.split_at(rest.len().min(1 + seed % if seed % 2 == 0 { 7 } else { 5000 }));
                    pieces.push(piece.to_vec());
                    rest = more;
                }
                pieces
            }
        }
    }
}

/// Sends a case's bytes in pieces; answers all that comes until the other side closes.
async fn ask(mut io: Box<dyn Wire>, pieces: Vec<Vec<u8>>) -> Vec<u8> {
    io.write_all(ASK).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(io.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "{head}");
    let (mut read, mut write) = tokio::io::split(io);
    let sends = async move {
        for piece in pieces {
            // Who has failed the connection takes nothing any more.
            if write.write_all(&piece).await.is_err() || write.flush().await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        write
    };
    let mut answer = Vec::new();
    let (_write, read) = soon(async { tokio::join!(sends, read.read_to_end(&mut answer)) }).await;
    read.unwrap();
    answer
}

/// Takes a server's frames apart: opcodes and payloads.
fn frames(mut bytes: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, &'static str> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let extended = match second {
            126 => 2,
            127 => 8,
            0..126 => 0,
            _ => return Err("a server's frame has no mask"),
        };
        if first & 0xf0 != 0x80 {
            return Err("neither whole nor without reserved bits");
        }
        let (length, rest) = rest.split_at_checked(extended).ok_or("cut in its length")?;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let length = if extended == 0 { usize::from(*second) } else { length };
        let (payload, rest) = rest.split_at_checked(length).ok_or("cut")?;
        frames.push((first & 0xf, payload.to_vec()));
        bytes = rest;
    }
    if bytes.is_empty() { Ok(frames) } else { Err("cut in its head") }
}

/// Whether an answer is one that the suite takes.
fn is_right(case: &Case, answer: &[u8]) -> Result<(), String> {
    let mut got = frames(answer)?;
    let closed = got.iter().position(|(opcode, _)| *opcode == CLOSE).map(|at| got.split_off(at));
    let code = match closed.as_deref() {
        None => None,
        Some([(_, payload)]) if payload.len() >= 2 => Some(u16::from_be_bytes([payload[0], payload[1]])),
        Some([(_, payload)]) if payload.is_empty() => None,
        Some(more) => return Err(format!("{} frames from the close on", more.len())),
    };
    let is_code_right = match &case.end {
        End::Clean(codes) => closed.is_some() && code.is_none_or(|code| codes.contains(&code)),
        End::Failed(codes) => code.is_none_or(|code| codes.contains(&code)),
        End::Any => true,
    };
    let is_cut_short = matches!(case.end, End::Failed(_)) && case.answers.starts_with(&got);
    match (is_code_right, got == case.answers || is_cut_short) {
        (true, true) => Ok(()),
        (false, _) => Err(format!("closed with {code:?}, and not as {:?}", case.end)),
        (_, false) => {
            Err(format!("{} frames that are not the {} that ought to come", got.len(), case.answers.len()))
        }
    }
}

async fn plain(address: std::net::SocketAddr) -> Box<dyn Wire> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    Box::new(stream)
}

/// Answers what is wrong with a case.
async fn judge(stand: &Stand, case: Case) -> Vec<String> {
    let program = (std::net::Ipv4Addr::LOCALHOST, stand.claim.slot.port()).into();
    let direct = ask(plain(program).await, Pieces::Frames.of(&case.sent)).await;
    let mut wrong = Vec::new();
    if let Err(e) = is_right(&case, &direct) {
        wrong.push(format!("{}, directly: {e}", case.id));
    }
    for (with_tls, pieces) in
        [(false, Pieces::Frames), (false, Pieces::Whole), (false, Pieces::Bytes), (true, Pieces::Odd)]
    {
        let io = match with_tls {
            false => plain(stand.http).await,
            true => Box::new(stand.tls(&[b"http/1.1"]).await.unwrap()),
        };
        let through = ask(io, pieces.of(&case.sent)).await;
        if through != direct {
            let at = through.iter().zip(&direct).take_while(|(a, b)| a == b).count();
            let (id, of, than) = (&case.id, through.len(), direct.len());
            wrong.push(format!(
                "{id}, {pieces:?}, with TLS {with_tls}: {of} bytes, directly {than}; another from {at} on"
            ));
        }
    }
    wrong
}

#[tokio::test]
async fn autobahns_cases_through_the_proxy_are_byte_for_byte_as_without_it() {
    let stand = Arc::new(Stand::new().await);
    let program = echo(stand.claim.slot).await;
    let cases = cases();
    assert_eq!(cases.len(), CASES);
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut running = JoinSet::new();
    for case in cases {
        let (stand, places) = (stand.clone(), places.clone());
        running.spawn(async move {
            let _place = places.acquire().await.unwrap();
            judge(&stand, case).await
        });
    }
    let wrong = running.join_all().await.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(program.connections(), 5 * CASES);
    println!("Autobahn's cases 1 to 7: {CASES} of {CASES} as directly, in 4 ways each");
    Arc::into_inner(stand).unwrap().ends().await;
}

#[test]
fn what_the_suite_does_not_take_is_not_taken() {
    let case = |end| Case { id: String::new(), sent: vec![], answers: vec![(1, b"x".to_vec())], end };
    let (clean, failed) = (case(End::Clean(vec![1000])), case(End::Failed(vec![1002])));
    let right = |case: &Case, answer: &[u8]| is_right(case, answer).is_ok();
    let (echo, normal, failure) = (&b"\x81\x01x"[..], &b"\x88\x02\x03\xe8"[..], &b"\x88\x02\x03\xea"[..]);
    assert!(right(&clean, &[echo, normal].concat()) && right(&failed, &[echo, failure].concat()));
    assert!(right(&failed, echo) && right(&failed, b""));
    for wrong in
        [echo, normal, b"", &[echo, failure].concat(), &[echo, echo, normal].concat(), b"\x81\x01y\x88\0"]
    {
        assert!(!right(&clean, wrong), "{wrong:?}");
    }
    for wrong in
        [b"\x81\x01y", &[echo, normal].concat()[..], &[echo, echo].concat(), b"\x81", b"\xc1\x01x", b"\x81\x81"]
    {
        assert!(!right(&failed, wrong), "{wrong:?}");
    }
}
