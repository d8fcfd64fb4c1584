//! h2spec's section "http2", 6: each frame by itself (RFC 7540, whose numbers these are). 42 cases.

use super::Want::*;
use super::frames::*;
use super::{Case, Server, Step, case, long, steps};

const ZERO: &[u8; 8] = &[0; 8];
const TEXT: &[u8; 8] = b"h2spec\0\0";
/// What no window may be larger than.
const LARGEST: u32 = (1 << 31) - 1;

pub(super) fn cases(s: &Server) -> Vec<Case> {
    [of_streams(s), set(s), of_connections(), windows(s), sizes(s), continued(s)]
        .into_iter()
        .flatten()
        .collect()
}

/// DATA, HEADERS, PRIORITY, RST_STREAM.
fn of_streams(s: &Server) -> Vec<Case> {
    let get = || headers(1, WHOLE, &s.get());
    let announced = block(&s.fields("POST", &[("content-length", "4")]));
    let block = s.get();
    let too_padded = [&[block.len() as u8 + 2][..], &block].concat();
    vec![
        case("http2/6.1/1", "DATA, stream 0", vec![data(0, END_STREAM, b"test")], ConnectionError(&[PROTOCOL])),
        case(
            "http2/6.1/2",
            "DATA after the end",
            vec![headers(1, WHOLE, &s.post()), data(1, END_STREAM, b"test")],
            StreamError(&[STREAM_CLOSED]),
        ),
        case(
            "http2/6.1/3",
            "DATA with more padding than it has bytes",
            vec![headers(1, END_HEADERS, &announced), data(1, END_STREAM | PADDED, b"\x06Test")],
            ConnectionError(&[PROTOCOL]),
        ),
        case(
            "http2/6.2/1",
            "HEADERS without their end, then PRIORITY",
            vec![headers(1, 0, &s.get()), priority(1, 0, 255), continuation(1, END_HEADERS, &long(1))],
            ConnectionError(&[PROTOCOL]),
        ),
        case(
            "http2/6.2/2",
            "HEADERS without their end, then another stream's",
            vec![headers(1, 0, &s.get()), headers(3, WHOLE, &s.get()), continuation(1, END_HEADERS, &long(1))],
            ConnectionError(&[PROTOCOL]),
        ),
        case("http2/6.2/3", "HEADERS, stream 0", vec![headers(0, WHOLE, &block)], ConnectionError(&[PROTOCOL])),
        case(
            "http2/6.2/4",
            "HEADERS with more padding than they have bytes",
            vec![headers(1, WHOLE | PADDED, &too_padded)],
            StreamError(&[PROTOCOL]),
        ),
        case("http2/6.3/1", "PRIORITY, stream 0", vec![priority(0, 0, 255)], ConnectionError(&[PROTOCOL])),
        case(
            "http2/6.3/2",
            "PRIORITY of 4 bytes",
            vec![get(), frame(PRIORITY, 0, 1, b"\x80\0\0\x01")],
            StreamError(&[FRAME_SIZE]),
        ),
        case("http2/6.4/1", "RST_STREAM, stream 0", vec![reset(0, CANCEL)], ConnectionError(&[PROTOCOL])),
        case("http2/6.4/2", "RST_STREAM, idle", vec![reset(1, CANCEL)], ConnectionError(&[PROTOCOL])),
        case(
            "http2/6.4/3",
            "RST_STREAM of 3 bytes",
            vec![get(), frame(RST_STREAM, 0, 1, b"\0\0\0")],
            StreamError(&[FRAME_SIZE]),
        ),
    ]
}

/// SETTINGS.
fn set(s: &Server) -> Vec<Case> {
    let wrong = |id, what, setting, value, code| {
        case(id, what, vec![settings(&[(setting, value)])], ConnectionError(code))
    };
    vec![
        case(
            "http2/6.5/1",
            "an acknowledgement with something in it",
            vec![frame(SETTINGS, ACK, 0, b"\0")],
            ConnectionError(&[FRAME_SIZE]),
        ),
        case(
            "http2/6.5/2",
            "on a stream",
            vec![frame(SETTINGS, 0, 1, b"\0\x03\0\0\0\x64")],
            ConnectionError(&[PROTOCOL]),
        ),
        case(
            "http2/6.5/3",
            "half a setting",
            vec![frame(SETTINGS, 0, 0, b"\0\x03\0")],
            StreamError(&[PROTOCOL, FRAME_SIZE]),
        ),
        wrong("http2/6.5.2/1", "ENABLE_PUSH 2", ENABLE_PUSH, 2, &[PROTOCOL]),
        wrong("http2/6.5.2/2", "a window too large", INITIAL_WINDOW, 1 << 31, &[FLOW_CONTROL]),
        wrong("http2/6.5.2/3", "frames too small", MAX_FRAME, 16_383, &[PROTOCOL]),
        wrong("http2/6.5.2/4", "frames too large", MAX_FRAME, 1 << 24, &[PROTOCOL]),
        case("http2/6.5.2/5", "an unknown one", vec![settings(&[(0xff, 1)]), ping(ZERO)], Pong(Some(ZERO))),
        steps(
            "http2/6.5.3/1",
            "one setting twice",
            vec![
                Step::Send(settings(&[(INITIAL_WINDOW, 100), (INITIAL_WINDOW, 1)])),
                Step::Wait(Acked),
                Step::Send(headers(1, WHOLE, &s.get())),
                Step::Wait(Data(Some(1))),
            ],
        ),
        case("http2/6.5.3/2", "is acknowledged", vec![settings(&[(ENABLE_PUSH, 0)])], Acked),
    ]
}

/// PING and GOAWAY.
fn of_connections() -> Vec<Case> {
    vec![
        case("http2/6.7/1", "PING", vec![ping(TEXT)], Pong(Some(TEXT))),
        case(
            "http2/6.7/2",
            "an answer to no PING",
            vec![frame(PING, ACK, 0, b"invalid\0"), ping(TEXT)],
            Pong(Some(TEXT)),
        ),
        case("http2/6.7/3", "PING on a stream", vec![frame(PING, 0, 1, ZERO)], ConnectionError(&[PROTOCOL])),
        case(
            "http2/6.7/4",
            "PING of 6 bytes",
            vec![frame(PING, 0, 0, &[0; 6])],
            ConnectionError(&[FRAME_SIZE]),
        ),
        case(
            "http2/6.8/1",
            "GOAWAY on a stream",
            vec![frame(GOAWAY, 0, 1, ZERO)],
            ConnectionError(&[PROTOCOL]),
        ),
    ]
}

/// WINDOW_UPDATE.
fn windows(s: &Server) -> Vec<Case> {
    let open = || headers(1, END_HEADERS, &s.get());
    vec![
        case("http2/6.9/1", "by 0", vec![window(0, 0)], ConnectionError(&[PROTOCOL])),
        case("http2/6.9/2", "by 0, of a stream", vec![open(), window(1, 0)], StreamError(&[PROTOCOL])),
        case(
            "http2/6.9/3",
            "of 3 bytes",
            vec![frame(WINDOW_UPDATE, 0, 0, b"\0\0\x01")],
            ConnectionError(&[FRAME_SIZE]),
        ),
        steps(
            "http2/6.9.1/1",
            "a window of one byte",
            vec![
                Step::Send(settings(&[(INITIAL_WINDOW, 1)])),
                Step::Wait(Acked),
                Step::Send(headers(1, WHOLE, &s.get())),
                Step::Wait(Data(Some(1))),
            ],
        ),
        case(
            "http2/6.9.1/2",
            "beyond the largest",
            vec![window(0, LARGEST), window(0, LARGEST)],
            GoAway(Some(FLOW_CONTROL)),
        ),
        case(
            "http2/6.9.1/3",
            "beyond the largest, of a stream",
            vec![open(), window(1, LARGEST), window(1, LARGEST)],
            Reset(FLOW_CONTROL),
        ),
    ]
}

/// Windows whose size changes.
fn sizes(s: &Server) -> Vec<Case> {
    let size = |bytes| Step::Send(settings(&[(INITIAL_WINDOW, bytes)]));
    let get = || Step::Send(headers(1, WHOLE, &s.get()));
    vec![
        steps(
            "http2/6.9.2/1",
            "larger, after HEADERS",
            vec![size(0), Step::Wait(Acked), get(), size(1), Step::Wait(Data(Some(1)))],
        ),
        steps(
            "http2/6.9.2/2",
            "below zero",
            vec![
                size(3),
                Step::Wait(Acked),
                get(),
                Step::Wait(Data(None)),
                size(2),
                Step::Wait(Acked),
                Step::Send(window(1, 2)),
                Step::Wait(Data(Some(1))),
            ],
        ),
        case(
            "http2/6.9.2/3",
            "too large",
            vec![settings(&[(INITIAL_WINDOW, 1 << 31)])],
            ConnectionError(&[FLOW_CONTROL]),
        ),
    ]
}

/// CONTINUATION.
fn continued(s: &Server) -> Vec<Case> {
    let more = |flags| continuation(1, flags, &long(1));
    let (get, post) = (|flags| headers(1, flags, &s.get()), || headers(1, 0, &s.post()));
    let wrong = |id, what, frames| case(id, what, frames, ConnectionError(&[PROTOCOL]));
    vec![
        case("http2/6.10/1", "twice", vec![get(END_STREAM), more(0), more(END_HEADERS)], Answer),
        wrong("http2/6.10/2", "then DATA", vec![post(), more(0), data(1, END_STREAM, b"test")]),
        wrong("http2/6.10/3", "stream 0", vec![get(END_STREAM), continuation(0, END_HEADERS, &long(1))]),
        wrong("http2/6.10/4", "after the end", vec![get(WHOLE), more(END_HEADERS)]),
        wrong("http2/6.10/5", "after its own end", vec![get(END_STREAM), more(END_HEADERS), more(END_HEADERS)]),
        wrong(
            "http2/6.10/6",
            "after DATA",
            vec![post(), data(1, END_STREAM, b"test"), more(0), continuation(0, END_HEADERS, &long(1))],
        ),
    ]
}
