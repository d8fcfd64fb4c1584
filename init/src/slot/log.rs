//! A slot's log file: opened for the tenant to append to, and written to by init itself where the program cannot speak
//! for itself, because it did not start or was killed. Reading and shortening it is control's.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

use kennel_model::layout::{self, slot_dirs};
use kennel_model::{SlotId, slot::FileKind};

use super::folders::{gone, log_dir};
use crate::fs::{label, own};
use crate::say;
use crate::step::{Failed, Step};

/// Opens the log for appending; makes it when it is missing.
///
/// # Errors
/// The system's.
pub fn open(slot: SlotId) -> Result<File, Failed> {
    let path = format!("{}/{}", log_dir(slot), slot_dirs::CURRENT_LOG);
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o660).custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY);
    let file = options.open(&path).step(|| format!("open {path}"))?;
    let owner = file.metadata().step(|| format!("look at {path}"))?.gid();
    if owner != layout::CONTROL_UID {
        own(&path, (0, layout::CONTROL_UID), 0o660)?;
        label(&path, &slot.file_context(FileKind::Log))?;
    }
    Ok(file)
}

/// Writes one line of init's own to it. A log that cannot be written is said on the console, and stops nothing.
pub fn note(slot: SlotId, text: &str) {
    let written = open(slot).and_then(|mut file| {
        file.write_all(format!("kennel: {text}\n").as_bytes()).step(|| "write to it".to_owned())
    });
    if let Err(e) = written {
        say!("FAILED to write to the log of slot {slot}: {e}");
    }
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
