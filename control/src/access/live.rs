//! Telling requests to those who look on, as they come. A few are kept, so that there is something to see at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kennel_model::TenantName;
use kennel_model::access::{LeftOut, Line};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc;

use super::now_ms;
use crate::control::Control;
use crate::logs::Wish;

/// Lines that are kept.
const KEPT: usize = 200;
/// Lines that somebody who looks on may be behind; then he misses some, and is told how many.
const BEHIND: usize = 2048;
/// Bytes that are told at a time.
const BLOCK: usize = 32 << 10;

/// A line and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) tenant: Option<TenantName>,
    pub(super) line: Bytes,
}

/// The last lines, and those who wait for the next.
#[derive(Debug)]
pub(super) struct Live {
    kept: Mutex<VecDeque<Shown>>,
    news: broadcast::Sender<Shown>,
}

impl Default for Live {
    fn default() -> Self {
        Self { kept: Mutex::default(), news: broadcast::channel(BEHIND).0 }
    }
}

type Sink = mpsc::Sender<std::io::Result<Bytes>>;

impl Live {
    /// These lines are new.
    pub(super) fn tell(&self, lines: Vec<Shown>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = lines.len().saturating_sub(KEPT);
        let room = KEPT - (lines.len() - skip);
        while kept.len() > room {
            kept.pop_front();
        }
        kept.extend(lines.iter().skip(skip).cloned());
        // Under the same lock, so that nobody who begins now gets one twice or misses one.
        if self.news.receiver_count() > 0 {
            for line in lines {
                // Whoever looked on may have gone just now.
                let _ = self.news.send(line);
            }
        }
    }

    /// The last lines of a tenant's, or of all; and what comes after them.
    fn begin(&self, of: Option<&TenantName>, lines: usize) -> (Vec<u8>, broadcast::Receiver<Shown>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted: Vec<_> = kept.iter().rev().filter(|shown| is_of(shown, of)).take(lines).collect();
        wanted.reverse();
        let text = wanted.iter().flat_map(|shown| shown.line.iter().copied()).collect();
        (text, self.news.subscribe())
    }

    async fn stream(&self, of: Option<TenantName>, wish: Wish, sink: &Sink) {
        let (mut text, mut news) = self.begin(of.as_ref(), wish.lines);
        loop {
            if !text.is_empty() && sink.send(Ok(std::mem::take(&mut text).into())).await.is_err() {
                return;
            }
            if !wish.follow {
                return;
            }
            let first = tokio::select! {
                () = sink.closed() => return,
                first = news.recv() => first,
            };
            match first {
                Ok(shown) => add(&mut text, &shown, of.as_ref()),
                Err(RecvError::Lagged(missed)) => add_missed(&mut text, missed),
                Err(RecvError::Closed) => return,
            }
            while text.len() < BLOCK {
                match news.try_recv() {
                    Ok(shown) => add(&mut text, &shown, of.as_ref()),
                    Err(TryRecvError::Lagged(missed)) => add_missed(&mut text, missed),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
        }
    }
}

impl Control {
    /// Writes lines into the sink, the last ones and, if asked to, those that come, until the client has gone.
    pub(crate) async fn tell_traffic(self: Arc<Self>, of: Option<TenantName>, wish: Wish, sink: Sink) {
        self.access.live.stream(of, wish, &sink).await;
    }
}

fn is_of(shown: &Shown, of: Option<&TenantName>) -> bool {
    of.is_none() || shown.tenant.as_ref() == of
}

fn add(text: &mut Vec<u8>, shown: &Shown, of: Option<&TenantName>) {
    if is_of(shown, of) {
        text.extend_from_slice(&shown.line);
    }
}

/// Of anybody's: whose they were, nobody knows any more.
fn add_missed(text: &mut Vec<u8>, missed: u64) {
    let left_out = u32::try_from(missed).unwrap_or(u32::MAX);
    let line = Line::LeftOut(LeftOut { at_ms: now_ms(), tenant: None, left_out });
    if serde_json::to_writer(&mut *text, &line).is_ok() {
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Pick;

    fn shown(tenant: &str, n: usize) -> Shown {
        Shown { tenant: Some(tenant.parse().unwrap()), line: format!("{tenant} {n}\n").into() }
    }

    async fn next(source: &mut mpsc::Receiver<std::io::Result<Bytes>>) -> String {
        String::from_utf8(source.recv().await.unwrap().unwrap().to_vec()).unwrap()
    }

    fn look(live: &Arc<Live>, of: &str, lines: usize) -> mpsc::Receiver<std::io::Result<Bytes>> {
        let (sink, source) = mpsc::channel(4);
        let (live, of) = (live.clone(), (!of.is_empty()).then(|| of.parse().unwrap()));
        let wish = Wish { lines, follow: true, pick: Pick::default() };
        tokio::spawn(async move { live.stream(of, wish, &sink).await });
        source
    }

    #[tokio::test]
    async fn the_last_lines_then_each_as_it_comes() {
        let live = Arc::new(Live::default());
        live.tell((0..KEPT + 5).map(|n| shown("blog", n)).collect());
        live.tell(vec![shown("shop", 1)]);
        let (mut blog, mut all) = (look(&live, "blog", 2), look(&live, "", KEPT * 2));
        assert_eq!(next(&mut blog).await, format!("blog {}\nblog {}\n", KEPT + 3, KEPT + 4));
        let text = next(&mut all).await;
        assert_eq!((text.lines().count(), text.lines().last()), (KEPT, Some("shop 1")));
        live.tell(vec![shown("shop", 2), shown("blog", 7)]);
        assert_eq!(next(&mut blog).await, "blog 7\n");
        assert_eq!(next(&mut all).await, "shop 2\nblog 7\n");
    }

    #[tokio::test]
    async fn who_is_slow_is_told_how_many_it_missed() {
        let live = Arc::new(Live::default());
        let mut slow = look(&live, "", 0);
        while live.news.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        live.tell((0..BEHIND + 10).map(|n| shown("blog", n)).collect());
        let mut text = String::new();
        while text.lines().count() < BEHIND + 1 {
            text += &next(&mut slow).await;
        }
        let first: Line<'static> = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert!(matches!(first, Line::LeftOut(LeftOut { left_out: 10, .. })), "{first:?}");
        assert_eq!(text.lines().nth(1), Some("blog 10"));
    }
}
