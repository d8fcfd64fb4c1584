//! Streams of requests, whole and byte by byte: where each begins and ends, and what is refused.

use super::*;

/// The verdict on all of it, whole and byte by byte.
fn verdict(text: &str) -> (Verdict, u64) {
    let mut scan = Scan::new();
    let whole = (scan.take(text.as_bytes()), scan.heads);
    let mut scan = Scan::new();
    for (at, byte) in text.bytes().enumerate() {
        let end = match scan.take(&[byte]) {
            Verdict::Pass => continue,
            end => end,
        };
        assert!(std::mem::discriminant(&end) == std::mem::discriminant(&whole.0), "{text:?} at {at}: {end:?}");
        return whole;
    }
    assert_eq!(whole, (Verdict::Pass, scan.heads), "{text:?}");
    whole
}

#[test]
fn requests_are_told_from_each_other() {
    for (text, heads) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 1),
        ("\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", 2),
        ("POST / HTTP/1.1\r\ncontent-length: \t005 \r\n\r\nGET /GET / HTTP/1.1\r\n\r\n", 2),
        ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n", 2),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\n\r\n\r\n\r\r\n0a \t;x\r\n0123456789\r\n0\r\nx: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            2,
        ),
    ] {
        assert_eq!(verdict(text), (Verdict::Pass, heads), "{text:?}");
    }
}

#[test]
fn what_can_be_read_twice_is_refused() {
    let head = "POST / HTTP/1.1\r\n";
    for bad in [
        "content-length: 5\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "transfer-encoding: gzip\r\ncontent-length: 5\r\n",
        "content-length: 5, 5\r\n",
        "content-length: +5\r\n",
        "content-length:\r\n",
        "content-length: 18446744073709551616\r\n",
        "x: 1\n",
        " x: 1\r\n",
        "x: 1\r\n\ty\r\n",
        ": 1\r\n",
        "nothing\r\n",
    ] {
        assert!(matches!(verdict(&format!("{head}{bad}\r\n")).0, Verdict::BadHead(_)), "{bad:?}");
    }
    assert!(matches!(verdict("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n").0, Verdict::BadHead(_)));
    assert_eq!(verdict("\r\n\r\nGET").0, Verdict::BadHead(2));
}

#[test]
fn broken_chunks_are_refused() {
    let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    for bad in [
        "\r\n",
        "zz\r\n",
        "-1\r\n",
        "0x5\r\n",
        "5 \r\n",
        " 5\r\n",
        "5 5\r\n",
        "5\n",
        "5;a\n",
        "5;\u{1}\r\n",
        "5;a\rb\r\n",
        "00000000000000005\r\n",
        "1\r\nab",
        "1\r\na\n",
        "0\r\nx\r\n",
        "0\r\n x: 1\r\n",
        "0\r\nx: 1\n",
    ] {
        assert!(matches!(verdict(&format!("{head}{bad}")).0, Verdict::BadBody(_)), "{bad:?}");
    }
}

#[test]
fn what_may_change_the_protocol_is_waited_for() {
    let ask = "GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n";
    for open in [true, false] {
        let mut scan = Scan::new();
        assert_eq!(scan.take(format!("{ask}\u{1}more").as_bytes()), Verdict::Stop(ask.len()));
        assert!(scan.is_held() && scan.heads() == 1);
        scan.release(open);
        assert_eq!((scan.is_open(), scan.is_between()), (open, !open));
        assert_eq!(scan.take(b"\x01more"), Verdict::Pass);
    }
    for last in ["CONNECT a:1 HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n"]
    {
        let mut scan = Scan::new();
        assert_eq!(scan.take(format!("{last}GET").as_bytes()), Verdict::Stop(last.len()));
        assert!(scan.is_ended());
    }
}
