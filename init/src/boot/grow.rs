//! A data volume whose disk was made larger: its file system follows at the next boot, while it is mounted, since that way a
//! power cut leaves it whole. It grows in steps, so that a boot does not wait for a slow disk without end.

use std::fs::File;
use std::time::{Duration, Instant};

use kennel_model::layout::DATA_DIR;
use kennel_sys::ext4;

use super::format::{BLOCK, RESERVED};
use crate::step::{Failed, Step};

/// The kernel leaves out a last group that is too small to be of use; less than one group is not tried for.
const GROUP: u64 = 8 * BLOCK * BLOCK;
/// Writing what 64 GiB more need takes seconds on a disk of EBS.
const STEP: u64 = 64 << 30;
/// No step is begun later. What is left is done at the next boot.
const LIMIT: Duration = Duration::from_secs(120);

/// Grows the mounted data volume from this size to that of its disk, but for what is reserved there; answers its size.
///
/// # Errors
/// The kernel's; the volume is whole all the same.
pub(super) fn grow(from: u64, disk: u64) -> Result<u64, Failed> {
    let target = disk.saturating_sub(RESERVED) / BLOCK * BLOCK;
    let steps = steps(from, target);
    let folder = File::open(DATA_DIR).step(|| format!("open {DATA_DIR}"))?;
    let end = Instant::now() + LIMIT;
    let mut size = from;
    for next in steps.take_while(|_| Instant::now() < end) {
        ext4::resize(&folder, next / BLOCK)
            .step(|| format!("grow the data volume from {} to {} MiB", size >> 20, next >> 20))?;
        size = next;
    }
    Ok(size)
}

/// The sizes on the way; none when there is next to nothing to gain.
fn steps(from: u64, target: u64) -> impl Iterator<Item = u64> {
    let next = move |size: u64| (size < target).then(|| target.min(size.saturating_add(STEP)));
    let first = if target.saturating_sub(from) < GROUP { None } else { next(from) };
    std::iter::successors(first, move |size| next(*size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_volume_grows_in_steps_to_its_end() {
        let sizes = |from, to| steps(from, to).collect::<Vec<_>>();
        assert_eq!(sizes(4 * GIB, 6 * GIB), [6 * GIB]);
        assert_eq!(sizes(4 * GIB, 140 * GIB), [68 * GIB, 132 * GIB, 140 * GIB]);
        assert_eq!(sizes(4 * GIB, 4 * GIB), [0; 0]);
        assert_eq!(sizes(4 * GIB, 4 * GIB + GROUP - 1), [0; 0]);
        assert_eq!(sizes(4 * GIB, 2 * GIB), [0; 0], "a disk that was made smaller is none of this");
    }
}
