//! A slot's folders on the data volume: made with owner, mode, label and project (`quota.rs`), and removed when they are
//! empty. What is in releases and data is neither read nor written here; `kennel-unpack` empties them, as the slot's own
//! user.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use kennel_model::SlotId;
use kennel_model::layout::{self, slot_dirs};
use kennel_model::slot::FileKind;
use kennel_model::{ReleaseId, labels};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::{log, quota};
use crate::fs::folder;
use crate::step::{Failed, Step};

/// Makes what is missing and puts right owner, mode, label and project of the rest.
///
/// # Errors
/// The system's.
pub fn prepare(slot: SlotId) -> Result<(), Failed> {
    let uid = owner(slot);
    folder(&slot.dir(), (0, 0), 0o711, &labels::object(labels::DATA))?;
    quota::count(slot, &slot.dir())?;
    folder(&releases(slot), (uid, uid), 0o750, &slot.file_context(FileKind::Code))?;
    folder(&data(slot), (uid, uid), 0o700, &slot.file_context(FileKind::Data))?;
    folder(&log_dir(slot), (0, layout::CONTROL_UID), 0o750, &slot.file_context(FileKind::Log))?;
    // New ones have it from the slot's folder; ones that were there already need not.
    for path in [releases(slot), data(slot), log_dir(slot)] {
        quota::count(slot, &path)?;
    }
    // Control commits the tenant next; after a power cut its folders must not be the ones that are missing.
    for path in [log_dir(slot), slot.dir(), layout::SLOTS_DIR.to_owned()] {
        File::open(&path).and_then(|f| f.sync_all()).step(|| format!("sync {path}"))?;
    }
    Ok(())
}

/// Who owns a slot's files, and unpacks and removes them: the slot's user.
pub(super) const fn owner(slot: SlotId) -> u32 {
    #[cfg(feature = "proof")]
    if crate::proof::as_root(slot) {
        return 0;
    }
    slot.uid()
}

/// Removes the slot's folders, whose contents are gone already but for the log.
///
/// # Errors
/// The system's; that something is missing is none.
pub fn remove(slot: SlotId) -> Result<(), Failed> {
    log::remove(slot)?;
    for path in [log_dir(slot), build(slot), new_data(slot), data(slot), releases(slot), slot.dir()] {
        gone(fs::remove_dir(&path)).step(|| format!("remove {path}"))?;
    }
    quota::lift(slot)?;
    let path = layout::SLOTS_DIR;
    File::open(path).and_then(|f| f.sync_all()).step(|| format!("sync {path}"))
}

/// That something is missing already is what was wanted.
pub(super) fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The folder of all releases.
pub fn releases(slot: SlotId) -> String {
    format!("{}/{}", slot.dir(), slot_dirs::RELEASES)
}

/// The folder of one release.
pub fn release(slot: SlotId, release: ReleaseId) -> String {
    format!("{}/{}", releases(slot), release.0)
}

/// A folder of a release, as a place to look below and nothing else: it can be neither listed nor read through this. No link
/// is followed on the way, and none leads out of the release.
///
/// # Errors
/// The system's: there is none.
pub fn files(slot: SlotId, number: ReleaseId, folder: &str) -> Result<OwnedFd, Errno> {
    files_at(&release(slot, number), folder)
}

fn files_at(release: &str, folder: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let release = rustix::fs::open(release, flags | OFlags::NOFOLLOW, Mode::empty())?;
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(release.as_fd(), folder, flags, Mode::empty(), resolve)
}

/// The folder that is `/data` inside.
pub fn data(slot: SlotId) -> String {
    format!("{}/{}", slot.dir(), slot_dirs::DATA)
}

/// The folder that is to be that.
pub fn new_data(slot: SlotId) -> String {
    format!("{}/{}", slot.dir(), slot_dirs::NEW_DATA)
}

/// The folder of builds.
pub fn build(slot: SlotId) -> String {
    format!("{}/{}", slot.dir(), slot_dirs::BUILD)
}

/// Makes that of data to be, as the one that there is was made.
///
/// # Errors
/// The system's; that it is there is none.
pub fn make_new_data(slot: SlotId) -> Result<(), Failed> {
    make_as_data(slot, new_data(slot))
}

/// Makes the folder of builds, which is as data is: the tenant's programs may write there, and run nothing.
///
/// # Errors
/// The system's; that it is there is none.
pub fn make_build(slot: SlotId) -> Result<(), Failed> {
    make_as_data(slot, build(slot))
}

fn make_as_data(slot: SlotId, path: String) -> Result<(), Failed> {
    let uid = owner(slot);
    folder(&path, (uid, uid), 0o700, &slot.file_context(FileKind::Data))?;
    quota::count(slot, &path)
}

/// Has the two change places, in one step and on the disk.
///
/// # Errors
/// The system's: they have not changed places, or have and that may not outlast a power cut.
pub fn exchange_data(slot: SlotId) -> Result<(), Failed> {
    let (one, other) = (data(slot), new_data(slot));
    rustix::fs::renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE)
        .step(|| format!("exchange {one} and {other}"))?;
    let path = slot.dir();
    File::open(&path).and_then(|f| f.sync_all()).step(|| format!("sync {path}"))
}

/// Removes it once it is empty.
///
/// # Errors
/// The system's; that it is missing is none.
pub fn remove_new_data(slot: SlotId) -> Result<(), Failed> {
    let path = new_data(slot);
    gone(fs::remove_dir(&path)).step(|| format!("remove {path}"))
}

/// The folder of the log.
pub fn log_dir(slot: SlotId) -> String {
    format!("{}/{}", slot.dir(), slot_dirs::LOG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_a_folder_of_the_release_is_handed_over() {
        let slot = tempfile::tempdir().unwrap();
        let (release, data) = (slot.path().join("7"), slot.path().join("data"));
        fs::create_dir_all(release.join("public/assets")).unwrap();
        fs::create_dir(&data).unwrap();
        fs::write(release.join("file"), "x").unwrap();
        symlink("../data", release.join("out")).unwrap();
        symlink("public", release.join("within")).unwrap();
        symlink(&data, release.join("public/data")).unwrap();
        let open = |folder: &str| files_at(release.to_str().unwrap(), folder);
        for good in [".", "public", "public/assets"] {
            let folder = open(good).unwrap();
            let read = rustix::fs::openat(&folder, ".", OFlags::RDONLY, Mode::empty());
            assert!(read.is_ok(), "it is a place to look below");
            assert_eq!(rustix::io::read(&folder, &mut [0; 9]).unwrap_err(), Errno::BADF);
        }
        for bad in ["out", "within", "within/assets", "public/data", "..", "../data", "/", "file", "none"] {
            assert!(open(bad).is_err(), "{bad}");
        }
        symlink("7", slot.path().join("8")).unwrap();
        assert!(files_at(slot.path().join("8").to_str().unwrap(), ".").is_err(), "a release is no link");
    }
}
