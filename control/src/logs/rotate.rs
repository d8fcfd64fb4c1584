//! Keeping logs short: the log is copied into control's folder and cut. Its writers append, so they go on at its new
//! end; what they write between the copy and the cut is lost, which is the price of not asking them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use kennel_model::SlotId;

use super::{Log, Logs};
use crate::init::Init;
use crate::say;

impl Logs {
    /// Looks at the logs of awake programs for ever. The others do not grow; one that wrote much just before it fell asleep is
    /// cut when it wakes.
    pub async fn rotate_for_ever(self, init: Init) {
        loop {
            tokio::time::sleep(self.config.logs.rotate_every).await;
            let (logs, slots) = (self.clone(), init.awake());
            let look = move || slots.into_iter().for_each(|slot| logs.rotate(slot));
            if let Err(cause) = tokio::task::spawn_blocking(look).await {
                say!("log rotation failed: {cause}");
            }
        }
    }

    /// Cuts one log when it is too long.
    pub(super) fn rotate(&self, slot: SlotId) {
        match self.try_rotate(slot) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => say!("the log of slot {slot} is not cut: {e}"),
            _ => {}
        }
    }

    fn try_rotate(&self, slot: SlotId) -> io::Result<()> {
        let limit = self.config.logs.rotate_bytes;
        let mut log = OpenOptions::new().read(true).write(true).open(self.current(Log::Printed(slot)))?;
        let size = log.metadata()?.len();
        if size <= limit {
            return Ok(());
        }
        // A burst may have made it far larger: the newest part is kept.
        let from = size.saturating_sub(2 * limit);
        let copied = log.seek(SeekFrom::Start(from)).and_then(|_| self.copy(slot, &mut log));
        // Even without a copy (a full disk) the cut is what keeps the host going.
        let mut marks = self.marks();
        log.set_len(0)?;
        let mark = marks.entry(Log::Printed(slot)).or_default();
        mark.rotations += 1;
        mark.rotated_from = from;
        drop(marks);
        copied
    }

    fn copy(&self, slot: SlotId, log: &mut File) -> io::Result<()> {
        let file = self.rotated(Log::Printed(slot));
        let mut rotated = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
        io::copy(&mut log.take(2 * self.config.logs.rotate_bytes), &mut rotated)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Log;
    use super::super::testing::{append, logs};
    use std::fs;

    #[test]
    fn a_long_log_is_cut_and_its_writer_goes_on() {
        let (_dir, logs, slot) = logs();
        append(&logs, slot, "short\n");
        logs.rotate(slot);
        assert_eq!(fs::read(logs.current(Log::Printed(slot))).unwrap(), b"short\n");
        append(&logs, slot, &"x".repeat(1500));
        logs.rotate(slot);
        assert_eq!(fs::read(logs.rotated(Log::Printed(slot))).unwrap().len(), 1506);
        append(&logs, slot, "new\n");
        assert_eq!(fs::read(logs.current(Log::Printed(slot))).unwrap(), b"new\n");
    }

    #[test]
    fn of_a_burst_the_newest_part_is_kept() {
        let (_dir, logs, slot) = logs();
        append(&logs, slot, &"old".repeat(5000));
        append(&logs, slot, "newest");
        logs.rotate(slot);
        let rotated = fs::read(logs.rotated(Log::Printed(slot))).unwrap();
        assert_eq!(rotated.len(), 2000);
        assert!(rotated.ends_with(b"newest"));
    }

    #[test]
    fn a_slot_without_a_log_is_no_trouble() {
        let (_dir, logs, slot) = logs();
        logs.rotate(slot);
        assert!(!logs.rotated(Log::Printed(slot)).exists());
    }
}
