//! h2spec's section "http2", 3 to 5: the preface, frames as such, streams' states (RFC 7540, whose numbers these are). 33 cases.

use super::Want::*;
use super::frames::*;
use super::{Case, Server, Step, case, long, steps};

const ZERO: &[u8; 8] = &[0; 8];

pub(super) fn cases(s: &Server) -> Vec<Case> {
    [frames(s), states(s), closed(s), others(s)].into_iter().flatten().collect()
}

fn frames(s: &Server) -> Vec<Case> {
    let open = || headers(1, END_HEADERS, &s.post());
    let begin = [PREFACE, &settings(&[(INITIAL_WINDOW, 65_535)])].concat();
    let most = vec![b'x'; s.max_frame()];
    let more = vec![b'x'; s.max_frame() + 1];
    let large = [s.get(), long(5)].concat();
    vec![
        Case { begins: false, ..case("http2/3.5/1", "a preface", vec![begin], Settings) },
        Case {
            begins: false,
            ..case(
                "http2/3.5/2",
                "another preface",
                vec![b"INVALID CONNECTION PREFACE\r\n\r\n".to_vec()],
                ConnectionError(&[PROTOCOL]),
            )
        },
        case("http2/4.1/1", "an unknown type", vec![frame(UNKNOWN, 0, 0, ZERO), ping(ZERO)], Pong(Some(ZERO))),
        case("http2/4.1/2", "an undefined flag", vec![frame(PING, 0x16, 0, ZERO)], Pong(None)),
        case("http2/4.1/3", "the reserved bit", vec![frame(PING, 0x16, 1 << 31, ZERO)], Pong(None)),
        case("http2/4.2/1", "DATA as large as allowed", vec![open(), data(1, END_STREAM, &most)], Answer),
        case(
            "http2/4.2/2",
            "DATA larger than allowed",
            vec![open(), data(1, END_STREAM, &more)],
            StreamError(&[FRAME_SIZE]),
        ),
        case(
            "http2/4.2/3",
            "HEADERS larger than allowed",
            vec![headers(1, WHOLE, &large)],
            ConnectionError(&[FRAME_SIZE]),
        ),
        case(
            "http2/4.3/1",
            "a block that is cut",
            vec![headers(1, WHOLE, b"\x40")],
            ConnectionError(&[COMPRESSION]),
        ),
        case(
            "http2/4.3/2",
            "PRIORITY within a block",
            vec![headers(1, 0, &s.get()), priority(1, 0, 255), continuation(1, END_HEADERS, &long(1))],
            ConnectionError(&[PROTOCOL]),
        ),
        case(
            "http2/4.3/3",
            "another stream's HEADERS within a block",
            vec![headers(1, 0, &s.get()), headers(3, WHOLE, &s.get()), continuation(1, END_HEADERS, &long(1))],
            ConnectionError(&[PROTOCOL]),
        ),
    ]
}

/// Idle, and half-closed by the client.
fn states(s: &Server) -> Vec<Case> {
    let get = || headers(1, WHOLE, &s.get());
    vec![
        case(
            "http2/5.1/1",
            "DATA, idle",
            vec![data(1, END_STREAM, b"test")],
            StreamError(&[PROTOCOL, STREAM_CLOSED]),
        ),
        case("http2/5.1/2", "RST_STREAM, idle", vec![reset(1, CANCEL)], ConnectionError(&[PROTOCOL])),
        case("http2/5.1/3", "WINDOW_UPDATE, idle", vec![window(1, 100)], ConnectionError(&[PROTOCOL])),
        case(
            "http2/5.1/4",
            "CONTINUATION, idle",
            vec![continuation(1, END_HEADERS, &s.get())],
            ConnectionError(&[PROTOCOL]),
        ),
        case(
            "http2/5.1/5",
            "DATA, half-closed",
            vec![get(), data(1, END_STREAM, b"test")],
            StreamError(&[STREAM_CLOSED]),
        ),
        case("http2/5.1/6", "HEADERS, half-closed", vec![get(), get()], StreamError(&[STREAM_CLOSED])),
        case(
            "http2/5.1/7",
            "CONTINUATION, half-closed",
            vec![get(), continuation(1, END_HEADERS, &s.get())],
            StreamError(&[STREAM_CLOSED, PROTOCOL]),
        ),
    ]
}

/// Closed: by the client's RST_STREAM, or by both sides' ends.
fn closed(s: &Server) -> Vec<Case> {
    let reset_and = |more| vec![headers(1, END_HEADERS, &s.get()), reset(1, CANCEL), more];
    let ended_and = |id, what, more, want| {
        let get = headers(1, WHOLE, &s.get());
        let all = vec![Step::Send(get), Step::Wait(StreamEnds), Step::Send(more), Step::Wait(want)];
        steps(id, what, all)
    };
    vec![
        case(
            "http2/5.1/8",
            "DATA after RST_STREAM",
            reset_and(data(1, END_STREAM, b"test")),
            StreamError(&[STREAM_CLOSED]),
        ),
        case(
            "http2/5.1/9",
            "HEADERS after RST_STREAM",
            reset_and(headers(1, WHOLE, &s.get())),
            StreamError(&[STREAM_CLOSED]),
        ),
        case(
            "http2/5.1/10",
            "CONTINUATION after RST_STREAM",
            reset_and(continuation(1, END_HEADERS, &long(1))),
            StreamError(&[STREAM_CLOSED, PROTOCOL]),
        ),
        ended_and("http2/5.1/11", "DATA, closed", data(1, END_STREAM, b"test"), StreamError(&[STREAM_CLOSED])),
        ended_and(
            "http2/5.1/12",
            "HEADERS, closed",
            headers(1, WHOLE, &s.get()),
            ConnectionError(&[STREAM_CLOSED]),
        ),
        ended_and(
            "http2/5.1/13",
            "CONTINUATION, closed",
            continuation(1, END_HEADERS, &long(1)),
            ConnectionError(&[STREAM_CLOSED, PROTOCOL]),
        ),
    ]
}

fn others(s: &Server) -> Vec<Case> {
    let get = |stream| headers(stream, WHOLE, &s.get());
    // The streams that it takes at a time, and one.
    let streams = s.settings[&MAX_STREAMS];
    let mut too_many = vec![settings(&[(INITIAL_WINDOW, 0)])];
    too_many.extend((0..=streams).map(|n| get(2 * n + 1)));
    let on_itself = [dependency(1, 255), s.get()].concat();
    vec![
        case("http2/5.1.1/1", "an even number", vec![get(2)], ConnectionError(&[PROTOCOL])),
        case("http2/5.1.1/2", "a smaller number", vec![get(5), get(3)], ConnectionError(&[PROTOCOL])),
        case("http2/5.1.2/1", "too many streams", too_many, StreamError(&[PROTOCOL, REFUSED])),
        case(
            "http2/5.3.1/1",
            "HEADERS that depend on themselves",
            vec![headers(1, WHOLE | WITH_PRIORITY, &on_itself)],
            StreamError(&[PROTOCOL]),
        ),
        case(
            "http2/5.3.1/2",
            "PRIORITY that depends on itself",
            vec![priority(1, 1, 255)],
            StreamError(&[PROTOCOL]),
        ),
        case("http2/5.4.1/1", "a PING that ends it", vec![frame(PING, 0, 3, ZERO)], Closed),
        case("http2/5.4.1/2", "the same, with GOAWAY (strict)", vec![frame(PING, 0, 3, ZERO)], GoAway(None)),
        case(
            "http2/5.5/1",
            "an unknown extension",
            vec![frame(UNKNOWN, 0, 0, ZERO), ping(ZERO)],
            Pong(Some(ZERO)),
        ),
        case(
            "http2/5.5/2",
            "an unknown extension within a block",
            vec![headers(1, END_STREAM, &s.get()), frame(UNKNOWN, 0, 0, ZERO)],
            ConnectionError(&[PROTOCOL]),
        ),
    ]
}
