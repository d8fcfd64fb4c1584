//! Reading a log to its end and, when asked to, on: new bytes are looked for at an interval, across rotations, until
//! the client hangs up or the tenant is removed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::tail::start_of;
use super::{BLOCK, Log, Logs, Marks, Pick, Reach, Sink, Wish};
use bytes::Bytes;
use kennel_model::printed::Printed;
use kennel_model::{ReleaseId, SlotId};

/// How far a reader has come.
struct Place {
    log: Log,
    marks: Marks,
    /// In the current log.
    at: u64,
}

impl Logs {
    pub(super) async fn try_stream(&self, log: Log, wish: Wish, sink: &Sink) -> io::Result<()> {
        self.see_new(log, true).await?;
        let mut place = self.begin(log, wish, sink).await?;
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
            self.see_new(log, false).await?;
            self.catch_up(&mut place, sink).await?;
        }
    }

    /// Takes in what was just printed.
    async fn see_new(&self, log: Log, all: bool) -> io::Result<()> {
        let Log::Printed(slot) = log else { return Ok(()) };
        let logs = self.clone();
        Ok(tokio::task::spawn_blocking(move || logs.take(slot, all)).await?)
    }

    /// Finds where the wished-for lines begin; sends those that are in the rotated log.
    async fn begin(&self, log: Log, wish: Wish, sink: &Sink) -> io::Result<Place> {
        let marks = self.mark(log);
        let (at, found) = find(self.current(log), wish.lines, wish.pick).await?;
        if found < wish.lines {
            let rotated = self.rotated(log);
            let (from, _) = find(rotated.clone(), wish.lines - found, wish.pick).await?;
            send_from(&rotated, from, sink).await?;
        }
        Ok(Place { log, marks, at })
    }

    /// Whether lines of a release are there; if not, of which release the first line is.
    pub(super) fn reach(&self, slot: SlotId, release: ReleaseId) -> io::Result<Reach> {
        let (log, mut first) = (Log::Printed(slot), None);
        let pick = Pick { release: Some(release), ..Pick::default() };
        for path in [self.rotated(log), self.current(log)] {
            let Some((file, size)) = open(&path)? else { continue };
            if pick.start_of(&file, size, 1)?.1 > 0 {
                return Ok(Reach::There);
            }
            let mut lines = io::BufRead::lines(io::BufReader::new(file));
            while let (None, Some(Ok(line))) = (first, lines.next()) {
                first = serde_json::from_str::<Printed<'_>>(&line).ok().map(|line| line.release);
            }
        }
        Ok(Reach::Lacks(first))
    }

    /// Sends what is new since the last look.
    async fn catch_up(&self, place: &mut Place, sink: &Sink) -> io::Result<()> {
        let marks = self.mark(place.log);
        if marks.rotations != place.marks.rotations {
            // Of several rotations between two looks the last one's lines are still there, whole.
            let missed = marks.rotations - place.marks.rotations > 1;
            let from = if missed { 0 } else { place.at };
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

/// Where the last of the wanted lines of a file begin, and how many there are; nothing when it is not there.
async fn find(path: PathBuf, lines: usize, pick: Pick) -> io::Result<(u64, usize)> {
    let find = move || match open(&path)? {
        Some((file, size)) if pick.is_all() => start_of(&file, size, lines),
        Some((file, size)) => pick.start_of(&file, size, lines),
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
    use super::super::testing::{append_to, logs};
    use super::*;
    use tokio::sync::mpsc;

    /// What was printed, line by line, out of what was sent.
    fn texts(sent: &str) -> Vec<String> {
        sent.lines().map(|line| serde_json::from_str::<Printed<'_>>(line).unwrap().text.into_owned()).collect()
    }

    /// Everything that is sent until the stream ends.
    async fn all(logs: &Logs, slot: SlotId, lines: usize) -> Vec<String> {
        let (sink, mut source) = mpsc::channel(4);
        let wish = Wish { lines, follow: false, pick: Pick::default() };
        let streaming = tokio::spawn({
            let logs = logs.clone();
            async move { logs.stream(Log::Printed(slot), wish, sink).await }
        });
        let mut text = String::new();
        while let Some(block) = source.recv().await {
            text.push_str(std::str::from_utf8(&block.unwrap()).unwrap());
        }
        streaming.await.unwrap();
        texts(&text)
    }

    /// Receives until this line has come, the last of all.
    async fn until(source: &mut mpsc::Receiver<io::Result<Bytes>>, last: &str) -> Vec<String> {
        let mut text = String::new();
        while !(text.ends_with('\n') && texts(&text).last().is_some_and(|line| line == last)) {
            let block = source.recv().await.expect("the stream ended early").unwrap();
            text.push_str(std::str::from_utf8(&block).unwrap());
        }
        texts(&text)
    }

    fn follow(logs: &Logs, slot: SlotId, sink: Sink) -> tokio::task::JoinHandle<()> {
        let (logs, wish) = (logs.clone(), Wish { lines: 1, follow: true, pick: Pick::default() });
        tokio::spawn(async move { logs.stream(Log::Printed(slot), wish, sink).await })
    }

    #[tokio::test]
    async fn the_last_lines_reach_back_into_the_rotated_log() {
        let (_dir, logs, slot) = logs();
        assert_eq!(all(&logs, slot, 10).await, [""; 0]);
        for line in [&"x".repeat(400), &"y".repeat(400), &"z".repeat(400), "last", "a", "b"] {
            append_to(&logs, slot, "0-1", &format!("{line}\n"));
            logs.take(slot, false);
        }
        assert!(logs.rotated(Log::Printed(slot)).exists());
        assert_eq!(all(&logs, slot, 1).await, ["b"]);
        assert_eq!(all(&logs, slot, 3).await, ["last", "a", "b"]);
        assert_eq!(all(&logs, slot, 6).await.len(), 6);
        assert_eq!(all(&logs, slot, 0).await, [""; 0]);
    }

    #[tokio::test]
    async fn following_loses_nothing_across_a_rotation() {
        let (_dir, logs, slot) = logs();
        append_to(&logs, slot, "0-1", "before\n");
        let (sink, mut source) = mpsc::channel(4);
        follow(&logs, slot, sink);
        assert_eq!(until(&mut source, "before").await, ["before"]);
        let filler = ["x", "y", "z"].map(|letter| letter.repeat(400));
        for line in &filler {
            append_to(&logs, slot, "0-1", &format!("{line}\n"));
            logs.take(slot, false);
        }
        append_to(&logs, slot, "0-1", "after\n");
        assert_eq!(until(&mut source, "after").await, [&filler[..], &["after".to_owned()]].concat());
    }

    #[tokio::test]
    async fn following_ends_with_the_tenant_and_with_the_client() {
        let (_dir, logs, slot) = logs();
        append_to(&logs, slot, "0-1", "here\n");
        let (sink, mut source) = mpsc::channel(4);
        let streaming = follow(&logs, slot, sink);
        until(&mut source, "here").await;
        std::fs::remove_file(logs.config.log_folder(slot).join("0-1")).unwrap();
        logs.forget(slot).await.unwrap();
        assert!(source.recv().await.is_none());
        streaming.await.unwrap();
        let (sink, source) = mpsc::channel(4);
        let streaming = follow(&logs, slot, sink);
        drop(source);
        streaming.await.unwrap();
    }

    #[test]
    fn how_far_back_a_log_goes_is_known() {
        let (_dir, logs, slot) = logs();
        assert_eq!(logs.reach(slot, ReleaseId(1)).unwrap(), Reach::Lacks(None));
        append_to(&logs, slot, "0-4", "one\n");
        append_to(&logs, slot, "1-5", "two\n");
        logs.take(slot, false);
        assert_eq!(logs.reach(slot, ReleaseId(5)).unwrap(), Reach::There);
        assert!(matches!(logs.reach(slot, ReleaseId(1)).unwrap(), Reach::Lacks(Some(ReleaseId(4 | 5)))));
    }
}
