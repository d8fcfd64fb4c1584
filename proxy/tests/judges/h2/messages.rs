//! h2spec's section "http2", 7 and 8: error codes that nobody knows, and requests that are malformed (RFC 7540, whose numbers these are). 20 cases.

use super::Want::*;
use super::frames::*;
use super::{Case, Server, case};

const ZERO: &[u8; 8] = &[0; 8];
const TEXT: &[u8; 8] = b"h2spec\0\0";
const MALFORMED: super::Want = StreamError(&[PROTOCOL]);

pub(super) fn cases(s: &Server) -> Vec<Case> {
    [codes(s), pseudo(s), bodies(s)].into_iter().flatten().collect()
}

fn codes(s: &Server) -> Vec<Case> {
    let promise = [&3_u32.to_be_bytes()[..], &s.get()].concat();
    vec![
        case("http2/7/1", "an unknown code in GOAWAY", vec![goaway(0xff, b""), ping(TEXT)], PongOrClosed(TEXT)),
        case(
            "http2/7/2",
            "an unknown code in RST_STREAM",
            vec![headers(1, END_HEADERS, &s.post()), reset(1, 0xff), ping(ZERO)],
            PongOrClosed(ZERO),
        ),
        case(
            "http2/8.2/1",
            "PUSH_PROMISE of a client",
            vec![frame(PUSH_PROMISE, END_HEADERS, 1, &promise)],
            ConnectionError(&[PROTOCOL]),
        ),
    ]
}

/// Heads that are none.
fn pseudo(s: &Server) -> Vec<Case> {
    let with = |id, what, more: &[(&str, &str)]| case(id, what, vec![s.get_with(more)], MALFORMED);
    let head =
        |id, what, fields: &[(&str, &str)]| case(id, what, vec![headers(1, WHOLE, &block(fields))], MALFORMED);
    let usual = s.fields("GET", &[]);
    let [method, scheme, path, authority] = usual[..] else { unreachable!("four") };
    vec![
        with("http2/8.1.2/1", "capital letters", &[("X-TEST", "ok")]),
        with("http2/8.1.2.1/1", "an unknown pseudo-header", &[(":test", "ok")]),
        with("http2/8.1.2.1/2", "a response's pseudo-header", &[(":status", "200")]),
        head(
            "http2/8.1.2.1/4",
            "a pseudo-header behind a field",
            &[("x-test", "ok"), method, scheme, path, authority],
        ),
        with("http2/8.1.2.2/1", "Connection", &[("connection", "keep-alive")]),
        with(
            "http2/8.1.2.2/2",
            "TE of more than trailers",
            &[("trailers", "test"), ("te", "trailers, deflate")],
        ),
        head("http2/8.1.2.3/1", "an empty path", &[method, scheme, (":path", ""), authority]),
        // h2spec leaves the scheme out as well.
        head("http2/8.1.2.3/2", "no method", &[path, authority]),
        head("http2/8.1.2.3/3", "no scheme", &[method, path, authority]),
        head("http2/8.1.2.3/4", "no path", &[method, scheme, authority]),
        with("http2/8.1.2.3/5", "two methods", &[method]),
        with("http2/8.1.2.3/6", "two schemes", &[scheme]),
        with("http2/8.1.2.3/7", "two paths", &[path]),
    ]
}

/// Bodies that are not what their heads say, and trailers that are none.
fn bodies(s: &Server) -> Vec<Case> {
    let one = || headers(1, END_HEADERS, &block(&s.fields("POST", &[("content-length", "1")])));
    let trailers = |fields: &[(&str, &str)]| {
        vec![headers(1, END_HEADERS, &s.post()), data(1, 0, b"test"), headers(1, END_HEADERS, &block(fields))]
    };
    vec![
        case("http2/8.1/1", "trailers without an end", trailers(&[("x-test", "ok")]), MALFORMED),
        case("http2/8.1.2.1/3", "a pseudo-header in trailers", trailers(&[(":method", "POST")]), MALFORMED),
        case("http2/8.1.2.6/1", "more than its length", vec![one(), data(1, END_STREAM, b"test")], MALFORMED),
        case(
            "http2/8.1.2.6/2",
            "more than its length, in two pieces",
            vec![one(), data(1, 0, b"test"), data(1, END_STREAM, b"test")],
            MALFORMED,
        ),
    ]
}
