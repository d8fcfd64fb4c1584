//! h2spec's section "generic": what every server has to take. 44 cases.

use super::Want::*;
use super::frames::*;
use super::{Case, Server, Step, case, steps};

const ZERO: &[u8; 8] = &[0; 8];
const TEXT: &[u8; 8] = b"h2spec\0\0";
const STILL: &[(u16, u32)] = &[(INITIAL_WINDOW, 0)];

pub(super) fn cases(s: &Server) -> Vec<Case> {
    [streams(s), definitions(s), exchanges(s), hpack(s)].into_iter().flatten().collect()
}

fn streams(s: &Server) -> Vec<Case> {
    let get = || headers(1, WHOLE, &s.get());
    let begin = [PREFACE, &settings(&[(INITIAL_WINDOW, 65_535)])].concat();
    vec![
        Case { begins: false, ..case("generic/1/1", "a preface", vec![begin], Settings) },
        case("generic/2/1", "PRIORITY, idle", vec![priority(1, 0, 255), ping(ZERO)], Pong(Some(ZERO))),
        case(
            "generic/2/2",
            "WINDOW_UPDATE, half-closed",
            vec![settings(STILL), get(), window(1, 1)],
            Data(None),
        ),
        case(
            "generic/2/3",
            "PRIORITY, half-closed",
            vec![settings(STILL), get(), priority(1, 0, 255), window(1, 1)],
            Data(None),
        ),
        case(
            "generic/2/4",
            "RST_STREAM, half-closed",
            vec![get(), reset(1, CANCEL), ping(ZERO)],
            PongOrClosed(ZERO),
        ),
        steps(
            "generic/2/5",
            "PRIORITY, closed",
            vec![
                Step::Send(get()),
                Step::Wait(StreamEnds),
                Step::Send([priority(1, 0, 255), ping(ZERO)].concat()),
                Step::Wait(Pong(Some(ZERO))),
            ],
        ),
    ]
}

fn definitions(s: &Server) -> Vec<Case> {
    let get = || headers(1, WHOLE, &s.get());
    let post = || headers(1, END_HEADERS, &s.post());
    let block = s.get();
    let padded = [&[8][..], &block, &[0; 8]].concat();
    let weighed = [dependency(0, 255), s.get()].concat();
    let everything = settings(&[
        (TABLE_SIZE, 4096),
        (ENABLE_PUSH, 1),
        (MAX_STREAMS, 100),
        (INITIAL_WINDOW, 65_535),
        (MAX_FRAME, 16_384),
        (MAX_LIST, 100),
    ]);
    vec![
        case("generic/3.1/1", "DATA", vec![post(), data(1, END_STREAM, b"test")], Answer),
        case(
            "generic/3.1/2",
            "DATA twice",
            vec![post(), data(1, 0, b"test"), data(1, END_STREAM, b"test")],
            Answer,
        ),
        case(
            "generic/3.1/3",
            "DATA with padding",
            vec![post(), data(1, END_STREAM | PADDED, b"\x05test\0\0\0\0\0")],
            Answer,
        ),
        case("generic/3.2/1", "HEADERS", vec![get()], Answer),
        case("generic/3.2/2", "HEADERS with padding", vec![headers(1, WHOLE | PADDED, &padded)], Answer),
        case(
            "generic/3.2/3",
            "HEADERS with priority",
            vec![headers(1, WHOLE | WITH_PRIORITY, &weighed)],
            Answer,
        ),
        case("generic/3.3/1", "PRIORITY, weight 1", vec![priority(1, 0, 0), get()], Answer),
        case("generic/3.3/2", "PRIORITY, weight 256", vec![priority(1, 0, 255), get()], Answer),
        case("generic/3.3/3", "PRIORITY on another stream", vec![priority(3, 1, 0), get()], Answer),
        case("generic/3.3/4", "PRIORITY, exclusive", vec![priority(1, 1 << 31, 0), get()], Answer),
        case("generic/3.3/5", "PRIORITY of a later stream", vec![priority(3, 0, 255), get()], Answer),
        case(
            "generic/3.4/1",
            "RST_STREAM",
            vec![headers(1, END_HEADERS, &s.get()), reset(1, CANCEL), ping(ZERO)],
            PongOrClosed(ZERO),
        ),
        case("generic/3.5/1", "SETTINGS", vec![everything], Acked),
        case("generic/3.7/1", "PING", vec![ping(TEXT)], Pong(Some(TEXT))),
        case("generic/3.8/1", "GOAWAY", vec![goaway(NO_ERROR, b"h2spec"), ping(TEXT)], PongOrClosed(TEXT)),
        case(
            "generic/3.9/1",
            "WINDOW_UPDATE of the connection",
            vec![window(0, 1), ping(ZERO)],
            Pong(Some(ZERO)),
        ),
        case("generic/3.9/2", "WINDOW_UPDATE of a stream", vec![get(), window(1, 1)], Answer),
        case(
            "generic/3.10/1",
            "CONTINUATION",
            vec![headers(1, END_STREAM, &block[..5]), continuation(1, END_HEADERS, &block[5..])],
            Answer,
        ),
        case(
            "generic/3.10/2",
            "CONTINUATION twice",
            vec![
                headers(1, END_STREAM, &block[..5]),
                continuation(1, 0, &block[5..10]),
                continuation(1, END_HEADERS, &block[10..]),
            ],
            Answer,
        ),
    ]
}

fn exchanges(s: &Server) -> Vec<Case> {
    let head = block(&s.fields("HEAD", &[]));
    let announced = block(&s.fields("POST", &[("trailer", "x-test")]));
    vec![
        case("generic/4/1", "GET", vec![headers(1, WHOLE, &s.get())], Answer),
        case("generic/4/2", "HEAD", vec![headers(1, WHOLE, &head)], Answer),
        case(
            "generic/4/3",
            "POST",
            vec![headers(1, END_HEADERS, &s.post()), data(1, END_STREAM, b"test")],
            Answer,
        ),
        case(
            "generic/4/4",
            "POST with trailers",
            vec![
                headers(1, END_HEADERS, &announced),
                data(1, 0, b"test"),
                headers(1, WHOLE, &block(&[("x-test", "ok")])),
            ],
            Answer,
        ),
    ]
}

/// Every form of a field (RFC 7541, 6): with its name from the static table or as text, that and the value by Huffman's code or not.
fn hpack(s: &Server) -> Vec<Case> {
    const NAME: &[u8] = b"\x0auser-agent\x06h2spec";
    const NAME_HUFFMAN: &[u8] = b"\x87\xb5\x05\xb1\x61\xcc\x5a\x93\x84\x9c\x48\xac\xa4";
    const NEW: &[u8] = b"\x06x-test\x06h2spec";
    const NEW_HUFFMAN: &[u8] = b"\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4";
    let field =
        |id, what, first: u8, rest: &[u8]| case(id, what, vec![s.get_and(&[&[first], rest].concat())], Answer);
    let behind = |id, what, updates: &[Vec<u8>]| {
        case(id, what, vec![headers(1, WHOLE, &[updates.concat(), s.get()].concat())], Answer)
    };
    let size = |bytes| integer(0x20, 5, bytes);
    vec![
        field("generic/5/1", "indexed", 0xba, b""),
        field("generic/5/2", "into the table, a known name, Huffman", 0x40, NAME_HUFFMAN),
        field("generic/5/3", "into the table, a known name", 0x40, NAME),
        field("generic/5/4", "into the table, a new name", 0x40, NEW),
        field("generic/5/5", "into the table, a new name, Huffman", 0x40, NEW_HUFFMAN),
        field("generic/5/6", "not into it, a known name", 0x00, NAME),
        field("generic/5/7", "not into it, a known name, Huffman", 0x00, NAME_HUFFMAN),
        field("generic/5/8", "not into it, a new name", 0x00, NEW),
        field("generic/5/9", "not into it, a new name, Huffman", 0x00, NEW_HUFFMAN),
        field("generic/5/10", "never into it, a known name", 0x10, NAME),
        field("generic/5/11", "never into it, a known name, Huffman", 0x10, NAME_HUFFMAN),
        field("generic/5/12", "never into it, a new name", 0x10, NEW),
        field("generic/5/13", "never into it, a new name, Huffman", 0x10, NEW_HUFFMAN),
        behind("generic/5/14", "a smaller table", &[size(128)]),
        behind("generic/5/15", "a smaller table, then the usual one", &[size(128), size(4096)]),
    ]
}
