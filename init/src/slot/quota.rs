//! What a slot may hold on the data volume: all its folders (releases, data, log) are one project of the volume's, whose
//! number is the slot's UID. The limits are kept by the volume; they are set again whenever control says them.

use std::fs::File;

use kennel_model::layout::DATA_DIR;
use kennel_model::{Limits, SlotId};
use kennel_sys::quota::{self, Quota};

use crate::step::{Failed, Step};

/// Puts a folder of the slot's into its project.
///
/// # Errors
/// The system's.
pub(super) fn count(slot: SlotId, folder: &str) -> Result<(), Failed> {
    let put = || quota::put_in_project(File::open(folder)?, slot.uid());
    put().step(|| format!("count {folder} for {slot:?}"))
}

/// Sets what the slot may hold.
///
/// # Errors
/// The system's.
pub fn limit(slot: SlotId, limits: &Limits) -> Result<(), Failed> {
    let volume = rustix::fs::statvfs(DATA_DIR).step(|| format!("look at {DATA_DIR}"))?;
    let bytes = below_volume(limits.disk_max_bytes, volume.f_blocks, volume.f_frsize);
    set(slot, Quota { bytes, inodes: limits.disk_max_inodes.into() })
}

/// A limit that the volume tells of. Of a project whose limit is not smaller than the volume it tells no usage
/// (`ext4_statfs_project`), and control would charge nothing; nobody can hold the whole volume anyway.
fn below_volume(bytes: u64, blocks: u64, block: u64) -> u64 {
    bytes.min(blocks.saturating_sub(1).saturating_mul(block)).max(block)
}

/// Forgets the limits of a slot that holds nothing any more.
///
/// # Errors
/// The system's.
pub(super) fn lift(slot: SlotId) -> Result<(), Failed> {
    set(slot, Quota::default())
}

fn set(slot: SlotId, limits: Quota) -> Result<(), Failed> {
    let set = || quota::limit(File::open(DATA_DIR)?, slot.uid(), limits);
    set().step(|| format!("set the disk limits of {slot:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_below_the_volumes_size() {
        assert_eq!(below_volume(4096, 100, 4096), 4096);
        assert_eq!(below_volume(100 * 4096, 100, 4096), 99 * 4096);
        assert_eq!(below_volume(u64::MAX, 100, 4096), 99 * 4096);
        assert_eq!(below_volume(u64::MAX, 0, 4096), 4096, "0 would be no limit");
    }
}
