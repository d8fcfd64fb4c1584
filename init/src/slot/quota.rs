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
    set(slot, Quota { bytes: limits.disk_max_bytes, inodes: limits.disk_max_inodes.into() })
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
