//! Reading a log to its end and, when asked to, on: new bytes are looked for at an interval, across rotations, until
//! the client hangs up or the tenant is removed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::tail::start_of;
use super::{BLOCK, Log, Logs, Marks, Sink, Wish};
use bytes::Bytes;

/// How far a reader has come.
struct Place {
    log: Log,
    marks: Marks,
    /// In the current log.
    at: u64,
}

impl Logs {
    pub(super) async fn try_stream(&self, log: Log, wish: Wish, sink: &Sink) -> io::Result<()> {
        let mut place = self.begin(log, wish.lines, sink).await?;
        self.catch_up(&mut place, sink).await?;
        if !wish.follow {
            return Ok(());
        }
        loop {
            tokio::select! {
                () = sink.closed() => return Ok(()),
                () = tokio::time::sleep(self.config.logs.follow_every) => {}
            }
            if self.mark(log).lives != place.marks.lives {
                return Ok(());
            }
            self.catch_up(&mut place, sink).await?;
        }
    }

    /// Finds where the wished-for lines begin; sends those that are in the rotated log.
    async fn begin(&self, log: Log, lines: usize, sink: &Sink) -> io::Result<Place> {
        let marks = self.mark(log);
        let (at, found) = find(self.current(log), lines).await?;
        if found < lines {
            let rotated = self.rotated(log);
            let (from, _) = find(rotated.clone(), lines - found).await?;
            send_from(&rotated, from, sink).await?;
        }
        Ok(Place { log, marks, at })
    }

    /// Sends what is new since the last look.
    async fn catch_up(&self, place: &mut Place, sink: &Sink) -> io::Result<()> {
        let marks = self.mark(place.log);
        if marks.rotations != place.marks.rotations {
            // Of several rotations between two looks the last one's lines are still there, whole.
            let missed = marks.rotations - place.marks.rotations > 1;
            let from = if missed { 0 } else { place.at.saturating_sub(marks.rotated_from) };
            send_from(&self.rotated(place.log), from, sink).await?;
            *place = Place { marks, at: 0, ..*place };
        }
        let reached = send_from(&self.current(place.log), place.at, sink).await?;
        // Shorter because of a rotation just now: the next look finds the rest in the rotated log.
        if reached >= place.at || self.mark(place.log) == marks {
            place.at = reached;
        }
        Ok(())
    }
}

/// Where the last lines of a file begin, and how many there are; nothing when it is not there.
async fn find(path: PathBuf, lines: usize) -> io::Result<(u64, usize)> {
    let find = move || match open(&path)? {
        Some((file, size)) => start_of(&file, size, lines),
        None => Ok((0, 0)),
    };
    tokio::task::spawn_blocking(find).await?
}

/// Sends a file's bytes from `at` to its present end; gives the place reached, which is before `at` when the file has
/// become shorter.
async fn send_from(path: &Path, mut at: u64, sink: &Sink) -> io::Result<u64> {
    let Some((file, size)) = open(path)? else { return Ok(0) };
    if size < at {
        return Ok(size);
    }
    let file = std::sync::Arc::new(file);
    while at < size {
        let (file, from) = (std::sync::Arc::clone(&file), at);
        let want = usize::try_from(size - at).unwrap_or(BLOCK).min(BLOCK);
        let block = tokio::task::spawn_blocking(move || {
            let mut block = vec![0; want];
            let n = file.read_at(&mut block, from)?;
            block.truncate(n);
            io::Result::Ok(block)
        })
        .await??;
        // It was cut meanwhile; the next look sees to it.
        if block.is_empty() {
            break;
        }
        at += block.len() as u64;
        if sink.send(Ok(Bytes::from(block))).await.is_err() {
            break;
        }
    }
    Ok(at)
}

fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let size = file.metadata()?.len();
            Ok(Some((file, size)))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{append, logs};
    use super::*;
    use kennel_model::SlotId;
    use tokio::sync::mpsc;

    /// Everything that is sent until the stream ends.
    async fn all(logs: &Logs, slot: SlotId, lines: usize) -> String {
        let (sink, mut source) = mpsc::channel(4);
        let streaming = tokio::spawn({
            let logs = logs.clone();
            async move { logs.stream(Log::Printed(slot), Wish { lines, follow: false }, sink).await }
        });
        let mut text = String::new();
        while let Some(block) = source.recv().await {
            text.push_str(std::str::from_utf8(&block.unwrap()).unwrap());
        }
        streaming.await.unwrap();
        text
    }

    /// Receives until the text ends as expected.
    async fn until(source: &mut mpsc::Receiver<io::Result<Bytes>>, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let block = source.recv().await.expect("the stream ended early").unwrap();
            text.push_str(std::str::from_utf8(&block).unwrap());
        }
        text
    }

    #[tokio::test]
    async fn the_last_lines_reach_back_into_the_rotated_log() {
        let (_dir, logs, slot) = logs();
        assert_eq!(all(&logs, slot, 10).await, "");
        append(&logs, slot, &format!("{}\nlast\n", "x".repeat(1500)));
        logs.rotate(slot);
        append(&logs, slot, "a\nb\n");
        assert_eq!(all(&logs, slot, 1).await, "b\n");
        assert_eq!(all(&logs, slot, 3).await, "last\na\nb\n");
        assert_eq!(all(&logs, slot, 0).await, "");
    }

    #[tokio::test]
    async fn following_loses_nothing_across_a_rotation() {
        let (_dir, logs, slot) = logs();
        append(&logs, slot, "before\n");
        let (sink, mut source) = mpsc::channel(4);
        tokio::spawn({
            let logs = logs.clone();
            async move { logs.stream(Log::Printed(slot), Wish { lines: 1, follow: true }, sink).await }
        });
        assert_eq!(until(&mut source, "before\n").await, "before\n");
        let filler = "y".repeat(1500);
        append(&logs, slot, &format!("{filler}\n"));
        logs.rotate(slot);
        append(&logs, slot, "after\n");
        assert_eq!(until(&mut source, "after\n").await, format!("{filler}\nafter\n"));
    }

    #[tokio::test]
    async fn following_ends_with_the_tenant_and_with_the_client() {
        let (_dir, logs, slot) = logs();
        let follow = |sink| {
            let logs = logs.clone();
            tokio::spawn(
                async move { logs.stream(Log::Printed(slot), Wish { lines: 1, follow: true }, sink).await },
            )
        };
        append(&logs, slot, "here\n");
        let (sink, mut source) = mpsc::channel(4);
        let streaming = follow(sink);
        until(&mut source, "here\n").await;
        logs.forget(slot).await.unwrap();
        assert!(source.recv().await.is_none());
        streaming.await.unwrap();
        let (sink, source) = mpsc::channel(4);
        let streaming = follow(sink);
        drop(source);
        streaming.await.unwrap();
    }
}
