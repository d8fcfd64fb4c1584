//! Taking in what programs have printed since the last look: whole lines, each with when it was seen and of which release it is,
//! which the name of its file says. What has been read is cut off when it has become much. Programs append, so they go on at
//! the new end; what they write between the last look and the cut is lost, which is the price of not asking them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{SystemTime, UNIX_EPOCH};

use kennel_model::printed::{LogFile, Printed};
use kennel_model::{ReleaseId, SlotId};
use serde::{Deserialize, Serialize};

use super::{Log, Logs};
use crate::init::Init;
use crate::say;

/// A longer line is several, so that each can be told as one document.
const LONGEST: usize = 8 << 10;
/// A file is cut when so much of it has been read.
const CUT: u64 = 64 << 10;
/// Lines are taken to be so long, where their number is bounded as well.
const SHORT_LINE: u64 = 64;

/// How far a file has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spot {
    /// So many bytes.
    at: u64,
    /// How long it was at the last look.
    seen: u64,
}

/// How far each slot's files have been read.
pub(super) type Spots = HashMap<SlotId, BTreeMap<String, Spot>>;

/// A file with something new in it.
struct News {
    path: PathBuf,
    of: LogFile,
    about: Metadata,
    modified: SystemTime,
}

impl Logs {
    /// Looks at what awake programs print, for ever. The others print nothing; what one printed just before it fell asleep is seen by
    /// one look more, or by who asks for it.
    pub async fn take_for_ever(self, init: Init) {
        let mut before = HashSet::new();
        loop {
            tokio::time::sleep(self.config.logs.look_every).await;
            let now = init.printing();
            let slots: Vec<_> = before.union(&now).copied().collect();
            before = now;
            let logs = self.clone();
            let look = move || slots.into_iter().for_each(|slot| logs.take(slot, false));
            if let Err(cause) = tokio::task::spawn_blocking(look).await {
                say!("tenants' lines are not taken in: {cause}");
            }
        }
    }

    /// Takes in what is new in a slot; with `all`, also what has no line feed yet. To be called where waiting for the disk does no
    /// harm.
    pub(super) fn take(&self, slot: SlotId, all: bool) {
        match self.try_take(slot, all) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                say!("what is printed in {slot:?} is not taken in: {e}");
            }
            _ => {}
        }
    }

    fn try_take(&self, slot: SlotId, all: bool) -> io::Result<()> {
        let mut spots = self.spots.lock().unwrap_or_else(PoisonError::into_inner);
        let known = spots.entry(slot).or_insert_with(|| self.remembered(slot));
        let before = known.clone();
        let files = self.files(slot)?;
        known.retain(|name, _| files.iter().any(|file| file.of.to_string() == *name));
        let mut lines = Vec::new();
        let mut longest = vec![];
        for file in &files {
            let spot = known.entry(file.of.to_string()).or_default();
            let size = file.about.len();
            // Somebody else than we has cut it: all that is in it is new.
            if size < spot.at {
                *spot = Spot::default();
            }
            let rests = all || size == spot.seen;
            spot.seen = size;
            if size > spot.at {
                match self.read(file, *spot, rests, &mut lines) {
                    Ok(at) => spot.at = at,
                    // Init has removed it since it was listed.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    Err(e) => {
                        known.clone_from(&before);
                        return Err(e);
                    }
                }
            }
            longest.push((file, *spot));
        }
        let written = if lines.is_empty() { Ok(()) } else { self.append(Log::Printed(slot), &lines) };
        if written.is_err() {
            known.clone_from(&before);
        }
        for (file, spot) in longest {
            // Even when nothing can be kept (a full disk) the cut is what keeps the host going.
            let too_long = written.is_err() && file.about.len() > 2 * self.config.logs.rotate_bytes;
            if too_long || (written.is_ok() && spot.at == spot.seen && spot.at > CUT) {
                OpenOptions::new().write(true).open(&file.path)?.set_len(0)?;
                known.insert(file.of.to_string(), Spot::default());
            }
        }
        if *known != before {
            self.remember(slot, known)?;
        }
        written
    }

    /// What programs of the slot print into, what was written to last at the end.
    fn files(&self, slot: SlotId) -> io::Result<Vec<News>> {
        let mut files = vec![];
        for entry in std::fs::read_dir(self.config.log_folder(slot))? {
            let entry = entry?;
            let Some(of) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // Init may just have removed it.
            let Ok(about) = entry.metadata() else { continue };
            if about.is_file() {
                files.push(News { path: entry.path(), of, modified: about.modified()?, about });
            }
        }
        files.sort_by_key(|file| (file.modified, file.of));
        Ok(files)
    }

    /// Adds what is new in a file as lines; gives how far it has been read then. Of a flood the newest part is kept.
    fn read(&self, file: &News, spot: Spot, rests: bool, lines: &mut Vec<u8>) -> io::Result<u64> {
        let most = self.config.logs.rotate_bytes / 2;
        let from = spot.at.max(spot.seen.saturating_sub(most));
        let mut bytes = vec![0; (spot.seen - from) as usize];
        let opened = File::open(&file.path)?;
        opened.read_exact_at(&mut bytes, from)?;
        let newest = newest_lines(&bytes, (most / SHORT_LINE) as usize, from > spot.at);
        let left_out_bytes = from - spot.at + newest as u64;
        let at_ms = millis(file.modified.min(SystemTime::now()));
        let mut write = Writer { at_ms, release: file.of.release, left_out_bytes, lines };
        Ok(from + (newest + write.all(&bytes[newest..], rests)?) as u64)
    }

    fn remembered(&self, slot: SlotId) -> BTreeMap<String, Spot> {
        let kept = std::fs::read(self.config.log_places(slot));
        kept.ok().and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default()
    }

    /// A kill between lines and this has them taken in twice.
    fn remember(&self, slot: SlotId, spots: &BTreeMap<String, Spot>) -> io::Result<()> {
        let file = self.config.log_places(slot);
        let new = file.with_extension("new");
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        opened.write_all_at(&serde_json::to_vec(spots)?, 0)?;
        std::fs::rename(new, file)
    }
}

/// Makes lines of what a release has printed.
struct Writer<'a> {
    at_ms: u64,
    release: ReleaseId,
    /// To be said by the first.
    left_out_bytes: u64,
    lines: &'a mut Vec<u8>,
}

impl Writer<'_> {
    /// All whole lines; with `rests` what follows them as well. Gives how many bytes that were.
    fn all(&mut self, bytes: &[u8], rests: bool) -> io::Result<usize> {
        let mut done = 0;
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let (mut text, ends) = match line.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (line, false),
            };
            while text.len() > LONGEST {
                let (piece, rest) = text.split_at(whole_characters(&text[..LONGEST]));
                self.one(piece, true)?;
                (text, done) = (rest, done + piece.len());
            }
            if ends {
                self.one(text, false)?;
                done += text.len() + 1;
            } else if rests && !text.is_empty() {
                self.one(text, true)?;
                done += text.len();
            }
        }
        Ok(done)
    }

    fn one(&mut self, text: &[u8], unfinished: bool) -> io::Result<()> {
        let line = Printed {
            at_ms: self.at_ms,
            release: self.release,
            text: String::from_utf8_lossy(text),
            unfinished,
            left_out_bytes: std::mem::take(&mut self.left_out_bytes),
        };
        serde_json::to_writer(&mut *self.lines, &line)?;
        self.lines.push(b'\n');
        Ok(())
    }
}

/// Where the last so many lines begin; none that has lost its beginning is among them.
fn newest_lines(bytes: &[u8], most: usize, is_cut: bool) -> usize {
    let mut ends = bytes.iter().enumerate().rev().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
    if let Some(start) = ends.nth(most) {
        return start;
    }
    let first = bytes.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
    if is_cut { first } else { 0 }
}

/// How many of these bytes no character is cut in two by; all of them where that is no text anyway.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(e) if e.error_len().is_none() && e.valid_up_to() > 0 => e.valid_up_to(),
        _ => bytes.len(),
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{append_to, logs};
    use super::*;
    use std::fs;

    fn kept(logs: &Logs, slot: SlotId) -> Vec<(u32, String, bool, u64)> {
        let text = fs::read_to_string(logs.current(Log::Printed(slot))).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Printed<'_>>(line).unwrap());
        lines.map(|l| (l.release.0, l.text.into_owned(), l.unfinished, l.left_out_bytes)).collect()
    }

    fn line(release: u32, text: &str) -> (u32, String, bool, u64) {
        (release, text.to_owned(), false, 0)
    }

    #[test]
    fn each_line_is_its_releases_also_when_two_print_at_once() {
        let (_dir, logs, slot) = logs();
        append_to(&logs, slot, "0-1", "kennel: starting release 1: x\none\n");
        append_to(&logs, slot, "1-2", "kennel: starting release 2 on trial: x\ntwo\n");
        append_to(&logs, slot, "0-1", "kennel: starting release 2: a lie\n");
        logs.take(slot, false);
        let told = kept(&logs, slot);
        let of = |release| told.iter().filter(|l| l.0 == release).map(|l| l.1.as_str()).collect::<Vec<_>>();
        assert_eq!(of(1), ["kennel: starting release 1: x", "one", "kennel: starting release 2: a lie"]);
        assert_eq!(of(2), ["kennel: starting release 2 on trial: x", "two"]);
        logs.take(slot, true);
        assert_eq!(kept(&logs, slot), told, "nothing is taken in twice");
    }

    #[test]
    fn what_has_no_end_yet_waits_for_one_look_or_for_who_asks() {
        let (_dir, logs, slot) = logs();
        append_to(&logs, slot, "0-1", "whole\nha");
        logs.take(slot, false);
        assert_eq!(kept(&logs, slot), [line(1, "whole")]);
        append_to(&logs, slot, "0-1", "lf\n? ");
        logs.take(slot, true);
        assert_eq!(kept(&logs, slot)[1..], [line(1, "half"), (1, "? ".into(), true, 0)]);
        append_to(&logs, slot, "0-1", "yes");
        logs.take(slot, false);
        assert_eq!(kept(&logs, slot).len(), 3);
        logs.take(slot, false);
        assert_eq!(kept(&logs, slot)[3], (1, "yes".into(), true, 0), "it rests");
    }

    #[test]
    fn another_control_goes_on_where_the_one_before_was() {
        let (_dir, logs, slot) = logs();
        append_to(&logs, slot, "0-1", "one\n");
        logs.take(slot, false);
        let next = Logs::new(logs.config.as_ref().clone());
        append_to(&logs, slot, "0-1", "two\n");
        next.take(slot, false);
        assert_eq!(kept(&logs, slot), [line(1, "one"), line(1, "two")]);
        fs::write(logs.config.log_folder(slot).join("0-1"), "x\n").unwrap();
        next.take(slot, false);
        assert_eq!(kept(&logs, slot)[2..], [line(1, "x")], "a file that was cut is new");
    }

    #[test]
    fn what_was_read_is_cut_off_and_its_writer_goes_on() {
        let (_dir, mut logs, slot) = logs();
        std::sync::Arc::make_mut(&mut logs.config).logs.rotate_bytes = 1 << 20;
        let file = logs.config.log_folder(slot).join("0-1");
        append_to(&logs, slot, "0-1", &format!("{}\n", "x".repeat(70_000)));
        logs.take(slot, false);
        assert_eq!(fs::metadata(&file).unwrap().len(), 0);
        assert_eq!(kept(&logs, slot).iter().map(|l| l.1.len()).sum::<usize>(), 70_000);
        append_to(&logs, slot, "0-1", "new\n");
        logs.take(slot, false);
        assert_eq!(kept(&logs, slot).last().unwrap(), &line(1, "new"));
    }

    #[test]
    fn of_a_flood_the_newest_part_is_kept_and_the_rest_is_said() {
        let (_dir, logs, slot) = logs();
        append_to(&logs, slot, "0-1", &format!("{}\nnewest\n", "old line\n".repeat(1000)));
        logs.take(slot, false);
        let told = kept(&logs, slot);
        let most = (logs.config.logs.rotate_bytes / 2 / SHORT_LINE) as usize;
        assert_eq!((told.len(), told.last().unwrap().1.as_str()), (most, "newest"));
        let kept: usize = told.iter().map(|l| l.1.len() + 1).sum();
        assert_eq!(told[0].3, (9000 + 8 - kept) as u64);
        assert!(told[1..].iter().all(|l| l.3 == 0));
    }

    #[test]
    fn characters_stay_whole_and_what_is_no_text_is_shown_as_such() {
        let (_dir, mut logs, slot) = logs();
        std::sync::Arc::make_mut(&mut logs.config).logs.rotate_bytes = 1 << 20;
        append_to(&logs, slot, "0-1", &format!("x{}\n", "\u{e9}".repeat(LONGEST)));
        let mut bytes = OpenOptions::new().append(true).open(logs.config.log_folder(slot).join("0-1")).unwrap();
        io::Write::write_all(&mut bytes, b"a\xffb\n").unwrap();
        logs.take(slot, false);
        let told = kept(&logs, slot);
        assert!(told.iter().rev().skip(1).all(|l| !l.1.contains('\u{fffd}')));
        assert_eq!(told.last().unwrap().1, "a\u{fffd}b");
    }

    #[test]
    fn a_slot_without_a_log_is_no_trouble() {
        let (_dir, logs, slot) = logs();
        logs.take(slot, true);
        logs.take(SlotId::new(9).unwrap(), true);
        assert!(!logs.current(Log::Printed(slot)).exists());
    }
}
