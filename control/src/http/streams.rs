//! Answers that go on for as long as the client wishes: what tenants print, what was denied, and which requests there were.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use kennel_model::{ReleaseId, TenantName};
use tokio::sync::mpsc;

use super::answers::{Answer, NDJSON};
use super::body::{Streamed, stream};
use super::paths::Endpoint;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::logs::{Log, Pick, Reach, Wish};
use crate::registry::TenantRow;

/// Most lines that a reader begins with.
const MAX_LINES: usize = 10_000;
/// Lines that a reader begins with when it does not say.
const LINES: usize = 100;
/// Begins to answer.
pub(super) async fn of(
    control: &Arc<Control>,
    endpoint: Endpoint,
    name: Option<TenantName>,
    query: Option<&str>,
) -> Result<Answer> {
    let more: &[&str] = match endpoint {
        Endpoint::Logs => &["since_s", "release"],
        Endpoint::Access | Endpoint::TenantAccess => &["since_s"],
        _ => &[],
    };
    let wish = asked(query.unwrap_or(""), more)?;
    let row = match &name {
        Some(name) => Some(control.row(name).await?),
        None => None,
    };
    if let (Some(row), Some(release)) = (&row, wish.pick.release) {
        has_lines(control, row, release, wish.follow).await?;
    }
    let (sink, body) = Streamed::channel();
    let log = match (endpoint, row.map(|row| row.slot)) {
        (Endpoint::Logs, Some(slot)) => Some(Log::Printed(slot)),
        (Endpoint::Access | Endpoint::TenantAccess, slot) => Some(Log::Access(slot)),
        _ => None,
    };
    match (endpoint, log) {
        (_, Some(log)) => {
            let logs = control.logs.clone();
            let (lines, source) = mpsc::channel(1);
            tokio::spawn(async move { logs.stream(log, wish, lines).await });
            tokio::spawn(whole_lines(source, wish.pick, sink));
        }
        (Endpoint::Traffic | Endpoint::TenantTraffic, _) => {
            tokio::spawn(Arc::clone(control).tell_traffic(name, wish, sink));
        }
        _ => {
            tokio::spawn(Arc::clone(control).tell_denials(name, wish, sink));
        }
    }
    Ok(stream(StatusCode::OK, NDJSON, body.boxed_unsync()))
}

fn asked(query: &str, more: &[&str]) -> Result<Wish> {
    let mut wish = Wish { lines: LINES, follow: false, pick: Pick::default() };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let bad = || Error::BadRequest(format!("the parameter {name} cannot be {value:?}"));
        match name {
            "lines" => {
                wish.lines = value.parse().ok().filter(|n| *n <= MAX_LINES).ok_or_else(bad)?;
            }
            "follow" => wish.follow = value.parse().map_err(|_| bad())?,
            "since_s" if more.contains(&name) => {
                wish.pick.from_ms =
                    from_ms(Duration::from_secs(value.parse::<u32>().map_err(|_| bad())?.into()));
            }
            "release" if more.contains(&name) => {
                wish.pick.release = Some(ReleaseId(value.parse().map_err(|_| bad())?));
            }
            _ => {
                let others = ["lines", "follow"].into_iter().chain(more.iter().copied());
                let others = others.collect::<Vec<_>>().join(", ");
                return Err(Error::BadRequest(format!("there is no parameter {name:?}: use one of {others}")));
            }
        }
    }
    Ok(wish)
}

/// Whether the log has a line of this release, or may yet have one.
async fn has_lines(control: &Control, row: &TenantRow, release: ReleaseId, follow: bool) -> Result<()> {
    let name = row.name.clone();
    let newest = control.registry.with(move |store| store.newest_release(&name)).await?;
    if release.0 == 0 || release > newest {
        return Err(Error::NeverReleased(row.name.clone(), release, newest));
    }
    let may_print = follow && row.releases.iter().any(|kept| kept.id == release);
    match control.logs.has_printed(row.slot, release).await? {
        Reach::Lacks(first) if !may_print => Err(Error::NoLines(row.name.clone(), release, first)),
        _ => Ok(()),
    }
}

/// So long ago, in milliseconds since 1970-01-01 UTC.
pub(super) fn from_ms(since: Duration) -> u64 {
    let from = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(since);
    u64::try_from(from.as_millis()).unwrap_or(u64::MAX)
}

/// Passes on those lines of a log that are whole and wanted.
async fn whole_lines(
    mut source: mpsc::Receiver<io::Result<Bytes>>,
    pick: Pick,
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
            Some(Ok(block)) => pick.of_block(&mut rest, &block),
            Some(Err(e)) => Err(e),
        };
        let is_over = piece.is_err();
        let is_news = piece.as_ref().map_or(true, |lines| !lines.is_empty());
        if (is_news && sink.send(piece.map(Bytes::from)).await.is_err()) || is_over {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_strict() {
        let wish = |query| asked(query, &[]).unwrap();
        assert_eq!(wish(""), Wish { lines: LINES, follow: false, pick: Pick::default() });
        assert_eq!(wish("follow=true&lines=7"), Wish { lines: 7, follow: true, pick: Pick::default() });
        for bad in
            ["lines=-1", "lines=10001", "lines=", "follow=yes", "tail=3", "lines", "since_s=1", "release=1"]
        {
            assert!(asked(bad, &[]).is_err(), "{bad}");
        }
        let all = ["since_s", "release"];
        assert_eq!(asked("release=3", &all).unwrap().pick, Pick { from_ms: 0, release: Some(ReleaseId(3)) });
        let (before, since) =
            (from_ms(Duration::from_secs(90)), asked("since_s=90", &all).unwrap().pick.from_ms);
        assert!((before..before + 60_000).contains(&since));
        for bad in ["since_s=-1", "since_s=1h", "release=r3", "release=", "release=-1"] {
            assert!(asked(bad, &all).is_err(), "{bad}");
        }
    }
}
