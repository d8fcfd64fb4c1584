//! Copies of the registry: taken while it is whole, looked at before anything relies on them, and put in its place when somebody
//! who knows what is lost asks for that.
//!
//! A copy lies beside the registry as `snapshot-SECONDS.sqlite`. It is always a whole database of its own, without a log.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use kennel_model::doctor::Snapshot;
use rusqlite::{Connection, MAIN_DB};

use super::{Store, now_s, schema};
use crate::error::{Error, Result};

/// Copies that are kept, the newest; and of each earlier schema the newest, for the way back to an older image.
const KEPT: usize = 7;
/// A copy that has no name yet.
const BEING_MADE: &str = "snapshot.new";
const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".sqlite";
/// No registry is larger; what a thousand tenants leave in theirs is some megabytes.
const MAX_BYTES: u64 = 256 << 20;

impl Store {
    /// Copies everything into this folder; [`keep`] makes a snapshot of it, for which nobody need wait who wants the registry.
    ///
    /// # Errors
    /// The database's or the disk's; there is no copy then.
    pub fn copy_into(&mut self, folder: &Path) -> Result<()> {
        copy(&self.db, folder)
    }
}

/// Copies a database that is open, and keeps that.
pub(super) fn take(db: &Connection, folder: &Path) -> Result<Snapshot> {
    copy(db, folder)?;
    keep(folder)
}

fn copy(db: &Connection, folder: &Path) -> Result<()> {
    let being_made = folder.join(BEING_MADE);
    removed(fs::remove_file(&being_made))?;
    let text = being_made.to_str().ok_or_else(|| Error::Internal("a path is no text".into()))?;
    db.execute("VACUUM INTO ?1", [text])?;
    Ok(())
}

/// Looks at what was copied, gives it its name, and removes those snapshots that are too many.
pub(super) fn keep(folder: &Path) -> Result<Snapshot> {
    let (name, file) = (1..)
        .map(|more| format!("{PREFIX}{}{SUFFIX}", now_s() + more - 1))
        .map(|name| (folder.join(&name), name))
        .find_map(|(file, name)| (!file.exists()).then_some((name, file)))
        .ok_or_else(|| Error::Internal("there is no name for a snapshot".into()))?;
    let being_made = folder.join(BEING_MADE);
    File::open(&being_made).and_then(|f| f.sync_all()).map_err(|e| Error::Io("a snapshot", e))?;
    let taken = look(&being_made, &name)?;
    fs::rename(&being_made, &file).and_then(|()| sync(folder)).map_err(|e| Error::Io("a snapshot", e))?;
    for old in superfluous(&all(folder)?) {
        removed(fs::remove_file(folder.join(old)))?;
    }
    Ok(taken)
}

/// All copies that are whole, the newest first.
pub(super) fn all(folder: &Path) -> Result<Vec<Snapshot>> {
    let mut names: Vec<_> = names(folder)?.into_iter().filter(|name| taken_at(name).is_some()).collect();
    names.sort_by_key(|name| std::cmp::Reverse(taken_at(name)));
    Ok(names.into_iter().filter_map(|name| look(&folder.join(&name), &name).ok()).collect())
}

/// Which of these go.
fn superfluous(all: &[Snapshot]) -> Vec<&str> {
    let is_last_of_its_version = |at: usize| !all[..at].iter().any(|newer| newer.version == all[at].version);
    (KEPT..all.len()).filter(|at| !is_last_of_its_version(*at)).map(|at| all[at].name.as_str()).collect()
}

/// The names of files in a folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|e| Error::Io("the registry's folder", e))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

fn taken_at(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

/// What a copy is, if it is whole.
fn look(file: &Path, name: &str) -> Result<Snapshot> {
    let db = in_memory(file)?;
    let version = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tenants = db.query_row("SELECT count(*) FROM tenants", [], |row| row.get(0))?;
    let bytes = fs::metadata(file).map_err(|e| Error::Io("a snapshot", e))?.len();
    Ok(Snapshot { name: name.to_owned(), taken_at_s: taken_at(name).unwrap_or(0), bytes, version, tenants })
}

/// A copy's contents in memory, found to be whole. Nothing is written anywhere.
pub(super) fn in_memory(file: &Path) -> Result<Connection> {
    let broken = |what: String| Error::Damaged(format!("{}: {what}", file.display()));
    let open = File::open(file).map_err(|e| Error::Io("a snapshot", e))?;
    let bytes = open.metadata().map_err(|e| Error::Io("a snapshot", e))?.len();
    if bytes == 0 || bytes > MAX_BYTES {
        return Err(broken(format!("{bytes} bytes are no registry")));
    }
    let mut db = Connection::open_in_memory()?;
    let bytes = usize::try_from(bytes).map_err(|e| Error::Internal(e.to_string()))?;
    db.deserialize_read_exact(MAIN_DB, open, bytes, false)?;
    let found: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(db) } else { Err(broken(found)) }
}

/// Puts a copy in the registry's place. What was there is put aside, and its name told.
///
/// What the copy does not know may be on disk all the same: releases with numbers that it would give again, so numbers go on far
/// behind those; and whoever has tables that control published since then takes only newer ones, so those are numbered by the clock.
pub(super) fn restore(registry: &Path, name: &str) -> Result<(Snapshot, Option<String>)> {
    let folder = registry.parent().unwrap_or(Path::new("."));
    let copy = folder.join(name);
    if taken_at(name).is_none() || !copy.exists() {
        return Err(Error::NoSuchSnapshot(name.chars().take(80).collect()));
    }
    let snapshot = look(&copy, name)?;
    let being_made = folder.join("registry.new");
    let failed = |e: io::Error| Error::Io("a snapshot", e);
    for file in [&being_made, &beside(&being_made, "-wal"), &beside(&being_made, "-journal")] {
        removed(fs::remove_file(file))?;
    }
    // Not `fs::copy`, which sets the file's mode: control may not, and need not.
    fs::write(&being_made, fs::read(&copy).map_err(failed)?).map_err(failed)?;
    let db = Connection::open(&being_made)?;
    db.execute("UPDATE host SET starts = max(starts, ?1)", [now_s()])?;
    db.execute("UPDATE tenants SET next_release = next_release + 1000", [])?;
    db.close().map_err(|(_, cause)| cause)?;
    File::open(&being_made).and_then(|f| f.sync_all()).map_err(failed)?;
    let aside = format!("broken-{}{SUFFIX}", now_s());
    let was_there = registry.exists();
    // Its log first: with another database before it, it would be taken for that one's.
    for (from, to) in [(beside(registry, "-wal"), format!("{aside}-wal")), (registry.into(), aside.clone())] {
        if from.exists() {
            fs::rename(from, folder.join(to)).map_err(failed)?;
        }
    }
    fs::rename(&being_made, registry).and_then(|()| sync(folder)).map_err(failed)?;
    Ok((snapshot, was_there.then_some(aside)))
}

/// Whether a file is one that was put aside.
pub(super) fn is_aside(name: &str) -> bool {
    name.starts_with("broken-") && name.ends_with(SUFFIX)
}

/// An empty database or a copy's, in which nothing can be changed; with the copy's name.
pub(super) fn stand_in(folder: &Path) -> std::result::Result<(Connection, Option<String>), schema::OpenError> {
    for snapshot in all(folder).unwrap_or_default() {
        let standing = in_memory(&folder.join(&snapshot.name)).ok().and_then(|db| schema::prepare(db).ok());
        if let Some(db) = standing {
            return Ok((read_only(db)?, Some(snapshot.name)));
        }
    }
    Ok((read_only(schema::prepare(Connection::open_in_memory()?)?)?, None))
}

fn read_only(db: Connection) -> rusqlite::Result<Connection> {
    db.execute_batch("PRAGMA query_only = ON")?;
    Ok(db)
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// That something is gone already is what was wanted.
fn removed(result: io::Result<()>) -> Result<()> {
    match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::Io("a snapshot", e)),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_tenant;
    use super::*;

    #[test]
    fn a_copy_is_whole_and_can_stand_in_without_being_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (store, name) = with_tenant();
        let taken = take(&store.db, folder.path()).unwrap();
        assert_eq!((taken.tenants, all(folder.path()).unwrap()), (1, vec![taken.clone()]));
        let (db, stands_in) = stand_in(folder.path()).unwrap();
        assert_eq!(stands_in, Some(taken.name.clone()));
        let mut standing = Store { db };
        assert_eq!(standing.tenant(&name).unwrap().unwrap().name, name);
        assert!(matches!(standing.count_start(), Err(Error::Failsafe)));
        assert_eq!(names(folder.path()).unwrap(), [taken.name], "nothing else is written");
    }

    #[test]
    fn what_is_broken_is_no_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = with_tenant();
        let good = take(&store.db, folder.path()).unwrap();
        let newer = folder.path().join("snapshot-9999999999.sqlite");
        let mut bytes = fs::read(folder.path().join(&good.name)).unwrap();
        fs::write(&newer, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(all(folder.path()).unwrap(), std::slice::from_ref(&good), "cut off");
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0x5a);
        fs::write(&newer, &bytes).unwrap();
        assert_eq!(all(folder.path()).unwrap(), std::slice::from_ref(&good), "overwritten");
        fs::write(&newer, b"").unwrap();
        fs::write(folder.path().join("snapshot-x.sqlite"), b"x").unwrap();
        assert_eq!(stand_in(folder.path()).unwrap().1, Some(good.name));
    }

    #[test]
    fn without_any_copy_there_is_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (db, stands_in) = stand_in(folder.path()).unwrap();
        assert_eq!((Store { db }.tenants().unwrap(), stands_in), (vec![], None));
    }

    #[test]
    fn some_are_kept_and_the_last_of_each_schema() {
        let snapshot = |n: u64, version| Snapshot {
            name: format!("{PREFIX}{n}{SUFFIX}"),
            taken_at_s: n,
            bytes: 1,
            version,
            tenants: 1,
        };
        let mut all: Vec<_> = (0..9).rev().map(|n| snapshot(100 + n, 14)).collect();
        all.extend([snapshot(50, 13), snapshot(49, 13), snapshot(20, 12)]);
        let names: Vec<_> = ["101", "100", "49"].map(|n| format!("{PREFIX}{n}{SUFFIX}")).into();
        assert_eq!(superfluous(&all), names);
    }

    #[test]
    fn a_copy_takes_the_registrys_place_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let registry = folder.path().join("registry.sqlite");
        let db = schema::open(&registry, |_| Ok(())).unwrap();
        let mut store = Store { db };
        let wish = super::super::testing::wish("blog", "blog.test");
        store.reserve(&wish, 9).unwrap();
        store.confirm(&wish.name).unwrap();
        let taken = take(&store.db, folder.path()).unwrap();
        drop(store);
        fs::write(&registry, b"SQLite format 3\0 and then nothing of the kind").unwrap();
        assert!(schema::open(&registry, |_| Ok(())).is_err());
        fs::write(beside(&registry, "-wal"), b"a log of it").unwrap();
        assert!(matches!(restore(&registry, "../registry.sqlite"), Err(Error::NoSuchSnapshot(_))));
        let (restored, aside) = restore(&registry, &taken.name).unwrap();
        let aside = aside.unwrap();
        assert_eq!(restored, taken);
        assert!(is_aside(&aside) && folder.path().join(format!("{aside}-wal")).exists());
        let mut store = Store { db: schema::open(&registry, |_| Ok(())).unwrap() };
        assert!(store.count_start().unwrap() > 1_700_000_000);
        assert_eq!(store.begin_release(&wish.name).unwrap().0, 1001);
        assert!(all(folder.path()).unwrap().contains(&taken), "it is still there");
    }
}
