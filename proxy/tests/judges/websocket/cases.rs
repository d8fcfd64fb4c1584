//! What the cases send and may be answered, section by section. Frames of a client are masked (RFC 6455, 5.3), all with the same key.

use super::utf8::sequences;

const CONTINUED: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Codes that a connection is closed with (RFC 6455, 7.4.1).
const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const INVALID_TEXT: u16 = 1007;

const HELLO: &[u8] = b"Hello, world!";
const BYTES: &[u8] = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
/// Greek, of more than one byte each.
pub(super) const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

/// How a connection ends.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// With a close, and one of these codes or none.
    Clean(Vec<u16>),
    /// At once, after what came before; with one of these codes if there is a close.
    Failed(Vec<u16>),
    /// As it likes.
    Any,
}

pub(super) struct Case {
    pub(super) id: String,
    /// Frame by frame, or in the parts that the suite sends one after the other.
    pub(super) sent: Vec<Vec<u8>>,
    /// Opcodes and payloads.
    pub(super) answers: Vec<(u8, Vec<u8>)>,
    pub(super) end: End,
}

/// A frame whose first byte is that: FIN, reserved bits, opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(FIN | length as u8),
        length @ 126..65_536 => {
            bytes.push(FIN | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(FIN | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(KEY);
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn whole(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(FIN | opcode, payload)
}

/// The first fragment, or one in the middle.
fn part(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(opcode, payload)
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    whole(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A message in fragments.
fn fragments(parts: &[&[u8]]) -> Vec<Vec<u8>> {
    let last = parts.len() - 1;
    let of = |(n, payload): (usize, &&[u8])| {
        frame(if n == last { FIN } else { 0 } | if n == 0 { TEXT } else { CONTINUED }, payload)
    };
    parts.iter().enumerate().map(of).collect()
}

/// All is right, and the client closes behind it.
fn good(id: impl Into<String>, mut sent: Vec<Vec<u8>>, answers: &[(u8, &[u8])]) -> Case {
    sent.push(close(NORMAL, b""));
    Case { id: id.into(), sent, answers: owned(answers), end: End::Clean(vec![NORMAL]) }
}

/// The connection is failed, after these answers at most.
fn bad(id: impl Into<String>, sent: Vec<Vec<u8>>, answers: &[(u8, &[u8])]) -> Case {
    Case { id: id.into(), sent, answers: owned(answers), end: End::Failed(vec![PROTOCOL_ERROR]) }
}

fn owned(answers: &[(u8, &[u8])]) -> Vec<(u8, Vec<u8>)> {
    answers.iter().map(|(opcode, payload)| (*opcode, payload.to_vec())).collect()
}

pub(super) fn cases() -> Vec<Case> {
    [framing(), pings(), reserved_bits(), opcodes(), fragmentation(), text(), closes()]
        .into_iter()
        .flatten()
        .collect()
}

/// 1: messages of every length that is written in another way.
fn framing() -> Vec<Case> {
    let sizes = [0, 125, 126, 127, 128, 65_535, 65_536];
    let mut cases = Vec::new();
    for (section, opcode, byte) in [(1, TEXT, b'*'), (2, BINARY, 0xfe)] {
        for (n, size) in sizes.iter().enumerate() {
            let payload = vec![byte; *size];
            let id = format!("1.{section}.{}", n + 1);
            cases.push(good(id, vec![whole(opcode, &payload)], &[(opcode, &payload)]));
        }
        // The last one once more, in pieces.
        let payload = vec![byte; 65_536];
        let chopped = whole(opcode, &payload).chunks(997).map(<[u8]>::to_vec).collect();
        cases.push(good(format!("1.{section}.8"), chopped, &[(opcode, &payload)]));
    }
    cases
}

fn single(frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.concat().into_iter().map(|byte| vec![byte]).collect()
}

/// 2: pings and pongs.
fn pings() -> Vec<Case> {
    let ping = |id, payload: &[u8]| good(id, vec![whole(PING, payload)], &[(PONG, payload)]);
    let most = [0xfe; 125];
    let unsolicited = || whole(PONG, b"unsolicited pong payload");
    let ten: Vec<Vec<u8>> = (0..10).map(|n| format!("payload-{n}").into_bytes()).collect();
    let pongs: Vec<(u8, &[u8])> = ten.iter().map(|payload| (PONG, &payload[..])).collect();
    let all = || ten.iter().map(|payload| whole(PING, payload)).collect();
    vec![
        ping("2.1", b""),
        ping("2.2", HELLO),
        ping("2.3", BYTES),
        ping("2.4", &most),
        bad("2.5", vec![whole(PING, &[0xfe; 126])], &[]),
        good("2.6", single(vec![whole(PING, &most)]), &[(PONG, &most)]),
        good("2.7", vec![whole(PONG, b"")], &[]),
        good("2.8", vec![unsolicited()], &[]),
        good("2.9", vec![unsolicited(), whole(PING, b"ping payload")], &[(PONG, b"ping payload")]),
        good("2.10", all(), &pongs),
        good("2.11", single(all()), &pongs),
    ]
}

/// 3: reserved bits, which nobody has agreed on.
fn reserved_bits() -> Vec<Case> {
    let with = |bits: u8, opcode, payload| frame(FIN | bits << 4 | opcode, payload);
    let after = |bits| vec![whole(TEXT, HELLO), with(bits, TEXT, HELLO), whole(PING, b"")];
    let echoed: &[(u8, &[u8])] = &[(TEXT, HELLO)];
    vec![
        bad("3.1", vec![with(1, TEXT, HELLO)], &[]),
        bad("3.2", after(2), echoed),
        bad("3.3", after(3), echoed),
        bad("3.4", single(after(4)), echoed),
        bad("3.5", vec![with(5, BINARY, BYTES)], &[]),
        bad("3.6", vec![with(6, BINARY, HELLO)], &[]),
        bad("3.7", vec![with(7, CLOSE, b"")], &[]),
    ]
}

/// 4: opcodes that nobody has given a meaning.
fn opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (section, first) in [(1, 3), (2, 11)] {
        let after = |opcode, payload| vec![whole(TEXT, HELLO), whole(opcode, payload), whole(PING, b"")];
        let sent = [
            vec![whole(first, b"")],
            vec![whole(first + 1, b"reserved opcode payload")],
            after(first + 2, b""),
            after(first + 3, HELLO),
            single(after(first + 4, HELLO)),
        ];
        for (n, sent) in sent.into_iter().enumerate() {
            let answers: &[(u8, &[u8])] = if n < 2 { &[] } else { &[(TEXT, HELLO)] };
            cases.push(bad(format!("4.{section}.{}", n + 1), sent, answers));
        }
    }
    cases
}

/// 5: messages in fragments, and what may stand between them.
fn fragmentation() -> Vec<Case> {
    let (one, two): (&[u8], &[u8]) = (b"fragment1", b"fragment2");
    let both: (u8, &[u8]) = (TEXT, b"fragment1fragment2");
    let pong: (u8, &[u8]) = (PONG, b"ping payload");
    let split = || fragments(&[one, two]);
    let between = || vec![part(TEXT, one), whole(PING, b"ping payload"), whole(CONTINUED, two)];
    let stray = |first: fn(u8, &[u8]) -> Vec<u8>| {
        vec![first(CONTINUED, b"non-continuation payload"), whole(TEXT, HELLO)]
    };
    let twice = |first: fn(u8, &[u8]) -> Vec<u8>| {
        let once = [first(CONTINUED, one), part(TEXT, two), whole(CONTINUED, b"fragment3")];
        [once.clone(), once].concat()
    };
    let five = || {
        let mut sent = fragments(&[one, two, b"fragment3", b"fragment4", b"fragment5"]);
        sent.insert(4, whole(PING, b"pongme 2!"));
        sent.insert(2, whole(PING, b"pongme 1!"));
        sent
    };
    let joined = b"fragment1fragment2fragment3fragment4fragment5";
    let answers: [(u8, &[u8]); 3] = [(PONG, b"pongme 1!"), (PONG, b"pongme 2!"), (TEXT, joined)];
    vec![
        bad("5.1", vec![part(PING, one), whole(CONTINUED, two)], &[]),
        bad("5.2", vec![part(PONG, one), whole(CONTINUED, two)], &[]),
        good("5.3", vec![split().concat()], &[both]),
        good("5.4", split(), &[both]),
        good("5.5", single(split()), &[both]),
        good("5.6", vec![between().concat()], &[pong, both]),
        good("5.7", between(), &[pong, both]),
        good("5.8", single(between()), &[pong, both]),
        bad("5.9", vec![stray(whole).concat()], &[]),
        bad("5.10", stray(whole), &[]),
        bad("5.11", single(stray(whole)), &[]),
        bad("5.12", vec![stray(part).concat()], &[]),
        bad("5.13", stray(part), &[]),
        bad("5.14", single(stray(part)), &[]),
        bad(
            "5.15",
            [split(), vec![part(CONTINUED, b"fragment3"), whole(TEXT, b"fragment4")]].concat(),
            &[both],
        ),
        bad("5.16", twice(part), &[]),
        bad("5.17", twice(whole), &[]),
        bad("5.18", vec![part(TEXT, one), whole(TEXT, two)], &[]),
        good("5.19", vec![five().concat()], &answers),
        good("5.20", five(), &answers),
    ]
}

/// 6: text, which has to be UTF-8.
fn text() -> Vec<Case> {
    let invalid = |id: String, sent| Case { end: End::Failed(vec![INVALID_TEXT]), ..bad(id, sent, &[]) };
    let single_bytes = |text: &[u8]| fragments(&text.chunks(1).collect::<Vec<_>>());
    let greeting = "Hello-µ@ßöäüàá-UTF-8!!".as_bytes();
    let (first, second) = greeting.split_at("Hello-µ@ßöä".len());
    // What makes it no text is the 12th byte; in the other, the 13th.
    let surrogate = [KOSME, b"\xed\xa0\x80edited"].concat();
    let beyond = [KOSME, b"\xf4\x90\x80\x80", b"edited"].concat();
    let in_three = |at: [usize; 2]| [&beyond[..at[0]], &beyond[at[0]..at[1]], &beyond[at[1]..]];
    let chopped = |at: [usize; 2]| {
        // A short frame's payload begins behind two bytes and the key.
        let mut frame = whole(TEXT, &beyond);
        let last = frame.split_off(6 + at[1]);
        let middle = frame.split_off(6 + at[0]);
        vec![frame, middle, last]
    };
    let mut cases = vec![
        good("6.1.1", vec![whole(TEXT, b"")], &[(TEXT, b"")]),
        good("6.1.2", fragments(&[b"", b"", b""]), &[(TEXT, b"")]),
        good("6.1.3", fragments(&[b"", b"middle frame payload", b""]), &[(TEXT, b"middle frame payload")]),
        good("6.2.1", vec![whole(TEXT, greeting)], &[(TEXT, greeting)]),
        good("6.2.2", fragments(&[first, second]), &[(TEXT, greeting)]),
        good("6.2.3", single_bytes(greeting), &[(TEXT, greeting)]),
        good("6.2.4", single_bytes(KOSME), &[(TEXT, KOSME)]),
        invalid("6.3.1".into(), vec![whole(TEXT, &surrogate)]),
        invalid("6.3.2".into(), single_bytes(&surrogate)),
        invalid("6.4.1".into(), fragments(&in_three([11, 15]))),
        invalid("6.4.2".into(), fragments(&in_three([12, 13]))),
        invalid("6.4.3".into(), chopped([11, 15])),
        invalid("6.4.4".into(), chopped([12, 13])),
    ];
    for (section, group) in sequences().into_iter().enumerate() {
        for (n, (is_text, payload)) in group.into_iter().enumerate() {
            let (id, sent) = (format!("6.{}.{}", section + 5, n + 1), vec![whole(TEXT, &payload)]);
            cases.push(match is_text {
                true => good(id, sent, &[(TEXT, &payload)]),
                false => invalid(id, sent),
            });
        }
    }
    cases
}

/// 7: closes, with codes that may be and codes that may not.
fn closes() -> Vec<Case> {
    let hello: &[u8] = b"Hello World!";
    let clean =
        |id: String, sent, codes: &[u16]| Case { id, sent, answers: vec![], end: End::Clean(codes.to_vec()) };
    let first = |id: &str, sent| clean(id.to_owned(), sent, &[NORMAL]);
    let large: Vec<u8> = b"BAsd7&jh23".iter().copied().cycle().take(256 << 10).collect();
    let long = [b'*'; 124];
    let ordinary = || close(NORMAL, b"");
    let mut cases = vec![
        good("7.1.1", vec![whole(TEXT, hello)], &[(TEXT, hello)]),
        first("7.1.2", vec![ordinary(), whole(CLOSE, b"")]),
        first("7.1.3", vec![ordinary(), whole(PING, b"")]),
        first("7.1.4", vec![ordinary(), whole(TEXT, hello)]),
        first("7.1.5", vec![part(TEXT, b"fragment1"), ordinary(), whole(CONTINUED, b"fragment2")]),
        Case {
            answers: owned(&[(TEXT, &large), (TEXT, hello)]),
            ..first("7.1.6", vec![whole(TEXT, &large), whole(TEXT, hello), ordinary(), whole(PING, b"")])
        },
        first("7.3.1", vec![whole(CLOSE, b"")]),
        bad("7.3.2", vec![whole(CLOSE, b"a")], &[]),
        first("7.3.3", vec![ordinary()]),
        first("7.3.4", vec![close(NORMAL, hello)]),
        first("7.3.5", vec![close(NORMAL, &long[1..])]),
        bad("7.3.6", vec![close(NORMAL, &long)], &[]),
        Case {
            end: End::Failed(vec![PROTOCOL_ERROR, INVALID_TEXT]),
            ..bad("7.5.1", vec![close(NORMAL, &[KOSME, b"\xed\xa0\x80edited"].concat())], &[])
        },
    ];
    let valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    for (n, code) in valid.into_iter().enumerate() {
        cases.push(clean(format!("7.7.{}", n + 1), vec![close(code, b"")], &[NORMAL, code]));
    }
    let invalid = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    for (n, code) in invalid.into_iter().enumerate() {
        cases.push(bad(format!("7.9.{}", n + 1), vec![close(code, b"")], &[]));
    }
    for (n, code) in [5000, 65_535].into_iter().enumerate() {
        cases.push(Case { end: End::Any, ..bad(format!("7.13.{}", n + 1), vec![close(code, b"")], &[]) });
    }
    cases
}
