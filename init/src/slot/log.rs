//! What a slot's programs print into: a file for each place and release, opened for the program to append to, and written to by
//! init itself where the program cannot speak for itself, because it did not start or was killed. Reading and shortening is control's.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::time::SystemTime;

use kennel_model::layout;
use kennel_model::printed::LogFile;
use kennel_model::slot::FileKind;
use kennel_model::task::Place;
use kennel_model::{ReleaseId, SlotId};

use super::folders::{gone, log_dir};
use crate::fs::{label, own};
use crate::say;
use crate::step::{Failed, Step};

/// Files of a place that are kept beside the one that is printed into: control may not have read their ends yet.
const KEPT: usize = 2;

/// Opens the file for appending; makes it when it is missing.
///
/// # Errors
/// The system's.
pub fn open(place: Place, release: ReleaseId) -> Result<File, Failed> {
    let (slot, file) = (place.slot, LogFile { place: place.number(), release });
    let path = format!("{}/{file}", log_dir(slot));
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o660).custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY);
    let opened = options.open(&path).step(|| format!("open {path}"))?;
    let owner = opened.metadata().step(|| format!("look at {path}"))?.gid();
    if owner != layout::CONTROL_UID {
        own(&path, (0, layout::CONTROL_UID), 0o660)?;
        label(&path, &slot.file_context(FileKind::Log))?;
        remove_old(&log_dir(slot), file)?;
    }
    Ok(opened)
}

/// Writes one line of init's own to it. A log that cannot be written is said on the console, and stops nothing.
pub fn note(place: Place, release: ReleaseId, text: &str) {
    let written = open(place, release).and_then(|mut file| {
        file.write_all(format!("kennel: {text}\n").as_bytes()).step(|| "write to it".to_owned())
    });
    if let Err(e) = written {
        say!("FAILED to write to the log of {:?}: {e}", place.slot);
    }
}

/// Removes what nothing prints into any more: of the same place, but for the newest; and what has no such name. There is one program
/// at a time at a place, so that the others' have ended.
fn remove_old(folder: &str, new: LogFile) -> Result<(), Failed> {
    let mut others: Vec<(SystemTime, std::path::PathBuf)> = vec![];
    for entry in fs::read_dir(folder).step(|| format!("read {folder}"))? {
        let entry = entry.step(|| format!("read {folder}"))?;
        let name = entry.file_name().to_str().and_then(|name| name.parse::<LogFile>().ok());
        match name {
            Some(file) if file.place != new.place || file == new => {}
            Some(_) => {
                let written = entry.metadata().and_then(|about| about.modified());
                others.push((written.step(|| format!("look at {}", entry.path().display()))?, entry.path()));
            }
            None => others.push((SystemTime::UNIX_EPOCH, entry.path())),
        }
    }
    others.sort();
    others.truncate(others.len().saturating_sub(KEPT));
    others
        .iter()
        .try_for_each(|(_, path)| gone(fs::remove_file(path)).step(|| format!("remove {}", path.display())))
}

/// Removes every file of the log's folder.
///
/// # Errors
/// The system's.
pub(super) fn remove(slot: SlotId) -> Result<(), Failed> {
    let folder = log_dir(slot);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) => return gone(Err(e)).step(|| format!("read {folder}")),
    };
    for entry in entries {
        let path = entry.step(|| format!("read {folder}"))?.path();
        gone(fs::remove_file(&path)).step(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_place_the_newest_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        for (age, name) in ["0-1", "1-2", "0-3", "0-2", "0-9"].iter().rev().enumerate() {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - std::time::Duration::from_secs(60 + age as u64)).unwrap();
        }
        remove_old(folder.path().to_str().unwrap(), "0-9".parse().unwrap()).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["0-2", "0-3", "0-9", "1-2"]);
    }
}
