//! Answers that go on for as long as the client wishes: what tenants print, what was denied, and which requests there were.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use kennel_model::TenantName;
use tokio::sync::mpsc;

use super::answers::{Answer, NDJSON};
use super::body::{Streamed, stream};
use super::paths::Endpoint;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::logs::{Log, Wish};

/// Most lines that a reader begins with.
const MAX_LINES: usize = 10_000;
/// Lines that a reader begins with when it does not say.
const LINES: usize = 100;
/// No line of an access log is longer.
const MAX_LINE_BYTES: usize = 16 << 10;

/// What is asked for with a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    wish: Wish,
    /// Nothing that is older.
    since: Option<Duration>,
}

/// Begins to answer.
pub(super) async fn of(
    control: &Arc<Control>,
    endpoint: Endpoint,
    name: Option<TenantName>,
    query: Option<&str>,
) -> Result<Answer> {
    let has_since = matches!(endpoint, Endpoint::Access | Endpoint::TenantAccess);
    let Asked { wish, since } = asked(query.unwrap_or(""), has_since)?;
    let slot = match &name {
        Some(name) => Some(control.row(name).await?.slot),
        None => None,
    };
    let (sink, body) = Streamed::channel();
    let media_type = match (endpoint, slot) {
        (Endpoint::Logs, Some(slot)) => {
            let logs = control.logs.clone();
            tokio::spawn(async move { logs.stream(Log::Printed(slot), wish, sink).await });
            "text/plain; charset=utf-8"
        }
        (Endpoint::Access | Endpoint::TenantAccess, slot) => {
            let logs = control.logs.clone();
            let (lines, source) = mpsc::channel(1);
            tokio::spawn(async move { logs.stream(Log::Access(slot), wish, lines).await });
            tokio::spawn(whole_lines(source, since.map_or(0, from_ms), sink));
            NDJSON
        }
        (Endpoint::Traffic | Endpoint::TenantTraffic, _) => {
            tokio::spawn(Arc::clone(control).tell_traffic(name, wish, sink));
            NDJSON
        }
        _ => {
            tokio::spawn(Arc::clone(control).tell_denials(name, wish, sink));
            NDJSON
        }
    };
    Ok(stream(StatusCode::OK, media_type, body.boxed_unsync()))
}

fn asked(query: &str, has_since: bool) -> Result<Asked> {
    let mut asked = Asked { wish: Wish { lines: LINES, follow: false }, since: None };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let bad = || Error::BadRequest(format!("the parameter {name} cannot be {value:?}"));
        match name {
            "lines" => {
                asked.wish.lines = value.parse().ok().filter(|n| *n <= MAX_LINES).ok_or_else(bad)?;
            }
            "follow" => asked.wish.follow = value.parse().map_err(|_| bad())?,
            "since_s" if has_since => {
                asked.since = Some(Duration::from_secs(value.parse::<u32>().map_err(|_| bad())?.into()));
            }
            _ => {
                let others = if has_since { "lines, follow or since_s" } else { "lines or follow" };
                return Err(Error::BadRequest(format!("there is no parameter {name:?}: use {others}")));
            }
        }
    }
    Ok(asked)
}

/// So long ago, in milliseconds since 1970-01-01 UTC.
pub(super) fn from_ms(since: Duration) -> u64 {
    let from = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(since);
    u64::try_from(from.as_millis()).unwrap_or(u64::MAX)
}

/// Passes on those lines of an access log that are whole and not older than this.
async fn whole_lines(
    mut source: mpsc::Receiver<io::Result<Bytes>>,
    from_ms: u64,
    sink: mpsc::Sender<io::Result<Bytes>>,
) {
    let mut rest = Vec::new();
    loop {
        let block = tokio::select! {
            () = sink.closed() => return,
            block = source.recv() => block,
        };
        let piece = match block {
            None => return,
            Some(Ok(block)) => pick(&mut rest, &block, from_ms),
            Some(Err(e)) => Err(e),
        };
        let is_over = piece.is_err();
        let is_news = piece.as_ref().map_or(true, |lines| !lines.is_empty());
        if (is_news && sink.send(piece.map(Bytes::from)).await.is_err()) || is_over {
            return;
        }
    }
}

/// The lines that end in this block; what is behind them waits for the next.
fn pick(rest: &mut Vec<u8>, block: &[u8], from_ms: u64) -> io::Result<Vec<u8>> {
    rest.extend_from_slice(block);
    let end = rest.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    if rest.len() - end > MAX_LINE_BYTES {
        return Err(io::Error::other("a line of the access log is too long"));
    }
    let whole = rest.drain(..end).collect::<Vec<_>>();
    let mut picked = Vec::with_capacity(whole.len());
    for line in whole.split_inclusive(|b| *b == b'\n') {
        // A line that a kill has cut off has no meaning.
        if at_ms(line).is_some_and(|at_ms| at_ms >= from_ms) && line.ends_with(b"}\n") {
            picked.extend_from_slice(line);
        }
    }
    Ok(picked)
}

/// The time of a line, with which it begins.
fn at_ms(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(b"{\"at_ms\":")?;
    let end = digits.iter().position(|b| !b.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_strict() {
        let wish = |query| asked(query, false).unwrap().wish;
        assert_eq!(wish(""), Wish { lines: LINES, follow: false });
        assert_eq!(wish("follow=true&lines=7"), Wish { lines: 7, follow: true });
        for bad in ["lines=-1", "lines=10001", "lines=", "follow=yes", "tail=3", "lines", "since_s=1"] {
            assert!(asked(bad, false).is_err(), "{bad}");
        }
        assert_eq!(asked("since_s=90", true).unwrap().since, Some(Duration::from_secs(90)));
        assert!(asked("since_s=-1", true).is_err() && asked("since_s=1h", true).is_err());
    }

    #[test]
    fn lines_come_whole_and_not_too_old() {
        let mut rest = Vec::new();
        let mut text = |block: &str| String::from_utf8(pick(&mut rest, block.as_bytes(), 7).unwrap()).unwrap();
        assert_eq!(text("{\"at_ms\":6,\"x\":1}\n{\"at_ms\":7}\n{\"at_"), "{\"at_ms\":7}\n");
        assert_eq!(text("ms\":8,"), "");
        assert_eq!(
            text("\"y\":2}\n{\"at_ms\":9,\"cut o\n{\"at_ms\":10}\n"),
            "{\"at_ms\":8,\"y\":2}\n{\"at_ms\":10}\n"
        );
        assert!(pick(&mut Vec::new(), &[b'x'; MAX_LINE_BYTES + 1], 0).is_err());
    }
}
