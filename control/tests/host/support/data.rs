//! What the stand-in for init does with the data of slots: it keeps how many entries there are, and says what they would be.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::data::SaveReport;
use kennel_model::msg::{Refusal, UnpackReport};
use kennel_sys::Channel;

use super::pipes::{read_archive, write_report};
use super::world::{Shared, World};

/// From the last byte of an archive to the end of who sent it.
const TO_END: Duration = Duration::from_millis(50);

/// The data of a slot.
#[derive(Default, Debug, Clone)]
pub(crate) struct Data {
    /// On disk: entries of the archive that it came as.
    pub(crate) entries: u32,
    /// On disk: the same of what is to take its place.
    pub(crate) new: Option<u32>,
    /// What the next that saves it is told, instead of an archive.
    pub(crate) refused: Option<String>,
    /// What is said of the archive's size, where it is not the truth.
    pub(crate) said: Option<Option<u64>>,
}

/// Says what was found, and sends some bytes that stand for the archive.
pub(super) fn save(data: &Data) -> Vec<OwnedFd> {
    let content = format!("{} entries", data.entries);
    let archive_bytes = data.said.unwrap_or(Some(content.len() as u64));
    match data.refused.clone() {
        Some(reason) => sent(&SaveReport::Refused { reason }, String::new()),
        None => sent(&SaveReport::Saved { archive_bytes }, content),
    }
}

/// The same of a release, whose size is not known before.
pub(super) fn save_release(number: u32) -> Vec<OwnedFd> {
    sent(&SaveReport::Saved { archive_bytes: None }, format!("the files of release {number}"))
}

fn sent(report: &SaveReport, content: String) -> Vec<OwnedFd> {
    let (archive, mut send) = io::pipe().unwrap();
    let line = serde_json::to_string(report).unwrap();
    thread::spawn(move || {
        // Control may be gone.
        let _ = send.write_all(format!("{line}\n{content}").as_bytes());
        // A program that has said its last word has not ended yet.
        thread::sleep(TO_END);
    });
    vec![archive.into()]
}

/// A thread does what `kennel-unpack` does, also when control is gone.
pub(super) fn restore(world: &Shared, slot: SlotId) -> Vec<OwnedFd> {
    let (archive, feed) = io::pipe().unwrap();
    let (report, mut say) = io::pipe().unwrap();
    let world = world.clone();
    thread::spawn(move || {
        let said = read_archive(archive);
        if let Some(slot) = world.lock().slots.get_mut(&slot) {
            slot.data.new = match said {
                UnpackReport::Done { entries, .. } => Some(entries),
                _ => None,
            };
        }
        world.wake();
        write_report(&mut say, &said);
    });
    vec![feed.into(), report.into()]
}

/// What is to be the data is that from now on; what ran has ended.
pub(super) fn take(world: &mut World, channel: &Channel, id: SlotId) -> Result<(), Refusal> {
    let data = &mut world.slot(id)?.data;
    data.entries = data.new.take().ok_or_else(|| Refusal::Invalid("there is no new data".into()))?;
    for task in world.tasks.values_mut().filter(|task| task.slot == id) {
        task.stopped = true;
    }
    world.stop(channel, id)
}
