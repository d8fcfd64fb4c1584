//! The data volume: found, made if a disk is truly blank, checked, mounted, grown, and given its top folders. A disk that holds
//! anything else is never written to.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use kennel_model::cloud::VOLUME_WAIT;
use kennel_model::labels;
use kennel_model::layout::{CONTROL_DIR, CONTROL_UID, DATA_DIR, DATA_LABEL, SLOTS_DIR};

use super::disks::{self, Content};
use super::format::format;
use super::grow::grow;
use super::tolerate;
use super::tool::Tool;
use super::{machine, poll};
use crate::fs::{PLAIN, folder, label, mount, own};
use crate::say;
use crate::slot::cgroup;
use crate::step::{Failed, Step};

/// Volumes are attached before the machine starts, but may take their time to appear.
const DISK_LIMIT: Duration = Duration::from_secs(10);
/// A check reads all metadata; a large volume after a crash takes minutes.
const CHECK_LIMIT: Duration = Duration::from_secs(1800);

/// Mounts the data volume; answers what it did. Who presses one of `buttons` while there is none to mount ends the machine.
///
/// # Errors
/// Why there is none, and what a person can do about it.
pub(super) fn mount_data(buttons: &mut [File]) -> Result<String, Failed> {
    let (device, content) = choose(look(buttons)?)?;
    let path = format!("/dev/{device}");
    if let Some(serial) = disks::serial(&device) {
        say!("{path} has the serial number {serial}");
    }
    // Once it has its label it is not read here any more.
    let size = (content == Content::Ours).then(|| volume_size(&path)).transpose()?;
    label(&path, &labels::object(labels::DATA_DISK))?;
    let what = match content {
        Content::Blank => {
            say!("{path} is blank: formatting it");
            format(&path, disks::size(&device))?;
            format!("{path} was blank and is formatted now")
        }
        Content::Unfinished => {
            say!("{path}: formatting it was cut off, and begins anew");
            format(&path, disks::size(&device))?;
            format!("{path} was unfinished and is formatted now")
        }
        Content::Ours | Content::Foreign(_) => {
            check_disk(&path)?;
            format!("{path} checked")
        }
    };
    // Without the option, quotas of projects are counted but not enforced.
    mount(&path, DATA_DIR, "ext4", PLAIN, "prjquota")?;
    let grown = size.map(|size| follow(&device, size)).unwrap_or_default();
    folders()?;
    let device = fs::metadata(DATA_DIR).step(|| format!("look at {DATA_DIR}"))?.dev();
    tolerate(cgroup::weigh_disk(device));
    Ok(what + &grown)
}

fn volume_size(path: &str) -> Result<u64, Failed> {
    let read = || disks::volume_size(&mut File::open(path)?);
    read().step(|| format!("read {path}")).map(Option::unwrap_or_default)
}

/// Makes the volume as large as its disk; answers what is to be said of that. A volume that does not grow is used as it is.
fn follow(device: &str, size: u64) -> String {
    match tolerate(grow(size, disks::size(device))) {
        Some(grown) if grown != size => format!(", and grown from {} to {} MiB", size >> 20, grown >> 20),
        _ => String::new(),
    }
}

/// Every disk that might be it, with what it holds.
fn look(buttons: &mut [File]) -> Result<Vec<(String, Content)>, Failed> {
    let kept = |disk: &String| disks::is_for_swap(disk).is_none();
    let there = || Some(disks::other_disks()).filter(|found| found.iter().any(kept));
    let disks = poll(DISK_LIMIT, there).or_else(|| {
        machine::gets_volumes_later().then(|| {
            say!("no disk for data is attached: waiting {} s for one", VOLUME_WAIT.as_secs());
            machine::poll_or_end(VOLUME_WAIT, buttons, there)
        })?
    });
    disks
        .unwrap_or_else(disks::other_disks)
        .into_iter()
        .map(|disk| Ok((disk.clone(), look_at(&disk)?)))
        .collect()
}

fn look_at(disk: &str) -> Result<Content, Failed> {
    if let Some(why) = disks::is_for_swap(disk) {
        return Ok(Content::Foreign(why.into()));
    }
    if disks::has_partitions(disk) {
        return Ok(Content::Foreign("it has partitions".to_owned()));
    }
    let read = || disks::content(&mut File::open(format!("/dev/{disk}"))?, disks::size(disk));
    read().step(|| format!("read /dev/{disk}"))
}

/// One disk is ours, or else one was about to be, or else one is blank, or else there is none to use.
fn choose(disks: Vec<(String, Content)>) -> Result<(String, Content), Failed> {
    let refuse = |why: String| Err(Failed::new("find the data volume", why));
    let count = |wanted: &Content| disks.iter().filter(|(_, c)| c == wanted).count();
    let wanted = match (count(&Content::Ours), count(&Content::Unfinished), count(&Content::Blank)) {
        (1, ..) => Content::Ours,
        (0, 1, _) => Content::Unfinished,
        (0, 0, 1) => Content::Blank,
        (0, 0, 0) if disks.is_empty() => {
            return refuse("there is no second disk; hint: attach an empty one and restart".into());
        }
        (0, 0, 0) => {
            let what = |(disk, content): &(String, Content)| match content {
                Content::Foreign(why) => format!("/dev/{disk} is left alone: {why}"),
                Content::Ours | Content::Unfinished | Content::Blank => disk.clone(),
            };
            let list: Vec<_> = disks.iter().map(what).collect();
            return refuse(format!("{}; hint: attach an empty disk (all zeros) and restart", list.join(", ")));
        }
        (0, 0, n) => return refuse(format!("{n} disks are blank; hint: attach one only")),
        (0, n, _) => return refuse(format!("{n} disks are half formatted; hint: attach one only")),
        (n, ..) => return refuse(format!("{n} disks have the label {DATA_LABEL}; hint: attach one only")),
    };
    match disks.into_iter().find(|(_, content)| *content == wanted) {
        Some(found) => Ok(found),
        None => refuse("it has gone".to_owned()),
    }
}

/// Repairs what can be repaired without a question.
fn check_disk(path: &str) -> Result<(), Failed> {
    match Tool::for_disks("/usr/sbin/e2fsck", &["-p", path]).run(CHECK_LIMIT)? {
        0 => Ok(()),
        1 | 2 => {
            say!("{path} was repaired");
            Ok(())
        }
        code => Err(Failed::new(
            format!("check {path}"),
            format!("e2fsck ended with {code}; hint: attach the volume to another host and run e2fsck there"),
        )),
    }
}

fn folders() -> Result<(), Failed> {
    // The root of a new file system has no label, and may be touched only to get one.
    label(DATA_DIR, &labels::object(labels::DATA))?;
    own(DATA_DIR, (0, 0), 0o711)?;
    folder(SLOTS_DIR, (0, 0), 0o711, &labels::object(labels::DATA))?;
    folder(CONTROL_DIR, (CONTROL_UID, CONTROL_UID), 0o700, &labels::object(labels::CONTROL_DATA))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(disks: &[(&str, Content)]) -> Result<String, String> {
        let copy = |content: &Content| match content {
            Content::Ours => Content::Ours,
            Content::Unfinished => Content::Unfinished,
            Content::Blank => Content::Blank,
            Content::Foreign(why) => Content::Foreign(why.clone()),
        };
        let disks = disks.iter().map(|(disk, content)| ((*disk).to_owned(), copy(content))).collect();
        choose(disks).map(|(disk, _)| disk).map_err(|e| e.to_string())
    }

    #[test]
    fn our_volume_comes_before_blank_ones() {
        assert_eq!(chosen(&[("vda", Content::Blank), ("vdb", Content::Ours)]).as_deref(), Ok("vdb"));
        assert_eq!(chosen(&[("vda", Content::Unfinished), ("vdb", Content::Ours)]).as_deref(), Ok("vdb"));
        assert_eq!(chosen(&[("vda", Content::Blank), ("vdb", Content::Unfinished)]).as_deref(), Ok("vdb"));
        assert_eq!(chosen(&[("vdb", Content::Blank)]).as_deref(), Ok("vdb"));
    }

    #[test]
    fn what_is_foreign_or_in_doubt_is_refused_with_a_hint() {
        let foreign = || Content::Foreign("it has partitions".into());
        for disks in [
            &[][..],
            &[("vdb", foreign())],
            &[("vdb", Content::Blank), ("vdc", Content::Blank)],
            &[("vdb", Content::Unfinished), ("vdc", Content::Unfinished)],
            &[("vdb", Content::Ours), ("vdc", Content::Ours)],
        ] {
            let why = chosen(disks).unwrap_err();
            assert!(why.contains("hint: "), "{why}");
        }
        assert!(
            chosen(&[("vdb", foreign())]).unwrap_err().contains("/dev/vdb is left alone: it has partitions")
        );
    }
}
