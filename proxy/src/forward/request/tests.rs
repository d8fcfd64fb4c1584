//! What is plain, and that it becomes what hyper's way makes of it.

use super::*;
use std::sync::Arc;

use crate::headers::{Length, Sender, to_program};
use hyper::header::HeaderName;
use hyper::{HeaderMap, Version};

const REQUEST: &str = "GET /a/b?c=%20&d HTTP/1.1\r\nHost: A.example:8080\r\n";

fn plain(text: &str) -> Option<(Head, String)> {
    let mut out = Vec::new();
    match read(text.as_bytes(), &mut out) {
        Reading::Plain(head) => Some((head, String::from_utf8(out).unwrap())),
        Reading::Partial => panic!("{text:?} is partial"),
        Reading::Odd => None,
    }
}

#[test]
fn its_parts_are_where_they_are() {
    let text = format!("{REQUEST}User-Agent: \tcurl  \r\nReferer:x\r\n\r\nGET / HTTP/1.1\r\n");
    let (head, out) = plain(&text).unwrap();
    assert_eq!(out, "GET /a/b?c=%20&d HTTP/1.1\r\nuser-agent: curl\r\nreferer: x\r\n");
    let part = |part: &Range<usize>| &text[part.clone()];
    assert_eq!((part(&head.target), part(&head.path)), ("/a/b?c=%20&d", "/a/b"));
    assert_eq!((part(&head.host), head.agent.as_ref().map(part)), ("A.example:8080", Some("curl")));
    assert!(text[head.bytes..].starts_with("GET / "));
    for end in 0..head.bytes {
        assert!(matches!(read(&text.as_bytes()[..end], &mut Vec::new()), Reading::Partial), "{end}");
    }
}

#[test]
fn what_is_not_plain_is_left() {
    let odd = [
        "GET / HTTP/1.0\r\nhost: a\r\n",
        "GET / HTTP/1.1\r\n",
        "GET  / HTTP/1.1\r\nhost: a\r\n",
        "GET /  HTTP/1.1\r\nhost: a\r\n",
        "GET /\tHTTP/1.1\r\nhost: a\r\n",
        "get / HTTP/1.1\r\nhost: a\r\n",
        "GET * HTTP/1.1\r\nhost: a\r\n",
        "GET http://a/ HTTP/1.1\r\nhost: a\r\n",
        "GET /#a HTTP/1.1\r\nhost: a\r\n",
        "GET /\\a HTTP/1.1\r\nhost: a\r\n",
        "GET /\u{e9} HTTP/1.1\r\nhost: a\r\n",
        "TRACE / HTTP/1.1\r\nhost: a\r\n",
        "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n",
        "\r\nGET / HTTP/1.1\r\nhost: a\r\n",
        "GET / HTTP/1.1\nhost: a\r\n",
        "GET / HTTP/1.1 \r\nhost: a\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n",
        "GET / HTTP/1.1\r\nhost:\r\n",
    ];
    for odd in odd {
        assert!(plain(&format!("{odd}\r\n")).is_none(), "{odd:?}");
    }
    for field in [
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "TE: trailers",
        "Trailer: x",
        "Via: 1.1 kennel",
        "Connection: close",
        "Connection: keep-alive, x",
        "x : 1",
        " x: 1",
        "x",
        ": 1",
        "x: \u{1}",
        "x: \u{7f}",
        "x: \u{e9}",
        "x: a\rb",
        "x: a\nb",
        "x: 1\r\n\ty",
        "x\u{e9}: 1",
        "cookie: a=1\r\ncookie: b=2",
        "traceparent: 00\r\ntraceparent: 00",
    ] {
        assert!(plain(&format!("{REQUEST}{field}\r\n\r\n")).is_none(), "{field:?}");
    }
    let many = "x: 1\r\n".repeat(MOST_FIELDS);
    assert!(plain(&format!("{REQUEST}{many}\r\n")).is_none());
    assert!(plain(&format!("{REQUEST}{}\r\n", &many[6..])).is_some());
}

#[test]
fn its_program_gets_what_it_gets_from_hyper() {
    let fields = [
        ("host", "a.example:8080"),
        ("Cookie", "a=1; b=2"),
        ("X-Twice", "1"),
        ("x-twice", "2"),
        ("Accept", "*/*"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("x_forwarded_for", "10.0.0.2"),
        ("X-Forwarded-Proto", "https"),
        ("x-forwarded-prefix", "/x"),
        ("Forwarded", "for=10.0.0.1"),
        ("X-Real-IP", "10.0.0.1"),
        ("Proxy", "evil.example"),
        ("content_length", "5"),
        ("X-Request-Id", "1"),
        ("Connection", "Keep-Alive"),
        ("Keep-Alive", "5"),
        ("Proxy-Connection", "keep-alive"),
        ("HTTP2-Settings", "AAMAAABk"),
        ("Proxy-Authorization", "Basic eA=="),
        ("Authorization", "Basic eA=="),
        ("tracestate", "a=b"),
        ("empty", ""),
    ];
    for traced in [None, Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), Some("00-nonsense")] {
        let fields: Vec<_> = fields.into_iter().chain(traced.map(|traced| ("traceparent", traced))).collect();
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let text = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        let (head, mut text_out) = plain(&text).unwrap();
        let who = Arc::new(Who::new("2001:db8::7".parse().unwrap(), true));
        let ids = Ids::below(head.parent.clone().map(|parent| &text.as_bytes()[parent]));
        let mut out = std::mem::take(&mut text_out).into_bytes();
        head.finish(text.as_bytes(), &who, &ids, &mut out);
        let out = String::from_utf8(out).unwrap();
        let ours = out.strip_prefix("GET / HTTP/1.1\r\n").and_then(|o| o.strip_suffix("\r\n\r\n")).unwrap();
        let mut ours: Vec<_> = ours.split("\r\n").map(|line| line.split_once(": ").unwrap()).collect();

        let mut map = HeaderMap::new();
        for (name, value) in &fields {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let host = map["host"].clone();
        let (version, length) = (Version::HTTP_11, Length::None);
        to_program(&mut map, Sender { who, version, host, prefix: "", length, websocket: false, h2c: false });
        ids.to_program(&mut map);
        let mut hypers: Vec<_> = map.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        ours.sort_unstable();
        hypers.sort_unstable();
        assert_eq!(ours, hypers, "{traced:?}");
    }
}
