//! Finds snapshots of ours that belong to no AMI, and removes AMIs with what belongs to them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::{ManageError, ours};
use crate::aws::{Aws, IDLE_MINUTES, Snapshot, SnapshotState};
use crate::state::State;
use crate::time;

/// A snapshot that is left over.
#[derive(Debug, Serialize)]
pub struct Leftover {
    /// The snapshot.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// Why it stays for now, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<&'static str>,
}

/// Every snapshot of ours that belongs to no AMI.
///
/// # Errors
/// [`ManageError::Aws`].
pub async fn leftovers(aws: &Aws, state: &State, older_than: Duration) -> Result<Vec<Leftover>, ManageError> {
    // Snapshots first: one whose AMI is made in between is then found to be used, and not the other way round.
    let snapshots = aws.snapshots(None).await?;
    let used: BTreeSet<_> = aws.images(None).await?.into_iter().filter_map(|ami| ami.snapshot).collect();
    Ok(sort(snapshots, &used, &state.unfinished(), older_than))
}

fn sort(
    snapshots: Vec<Snapshot>,
    used: &BTreeSet<String>,
    unfinished: &[String],
    older_than: Duration,
) -> Vec<Leftover> {
    // AWS gives up what nobody has written to for so long, whatever a journal says.
    let idle = time::now() - IDLE_MINUTES * 60;
    let newest = time::now().saturating_sub(i64::try_from(older_than.as_secs()).unwrap_or(i64::MAX));
    let leftover = |snapshot: Snapshot| {
        let goes_on = snapshot.state == SnapshotState::Pending && snapshot.started > idle;
        let kept = if goes_on && unfinished.contains(&snapshot.id) {
            Some("an upload from this computer goes on with it")
        } else if snapshot.started > newest {
            Some("it is too young: another computer may be uploading it")
        } else {
            None
        };
        Leftover { snapshot, kept }
    };
    snapshots.into_iter().filter(|snapshot| !used.contains(&snapshot.id)).map(leftover).collect()
}

/// Removes an AMI of ours and its snapshot. If that is interrupted in between, [`leftovers`] finds the snapshot.
///
/// # Errors
/// [`ManageError`].
pub async fn remove(aws: &Aws, id: &str) -> Result<Option<String>, ManageError> {
    let ami = ours(aws, id).await?;
    aws.deregister_image(&ami.id).await?;
    let Some(snapshot) = ami.snapshot else { return Ok(None) };
    aws.delete_snapshot(&snapshot).await?;
    Ok(Some(snapshot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Tags;

    fn snapshot(id: &str, age: i64) -> Snapshot {
        let started = time::now() - age;
        Snapshot {
            id: id.into(),
            state: SnapshotState::Pending,
            gib: 1,
            started,
            encrypted: false,
            tags: Tags::new(),
        }
    }

    #[test]
    fn only_old_unused_snapshots_that_nobody_goes_on_with_are_removed() {
        let all = vec![
            snapshot("stale", 200_000),
            snapshot("used", 999),
            snapshot("young", 10),
            snapshot("ours", 999),
            snapshot("old", 999),
        ];
        let used = BTreeSet::from(["used".to_owned()]);
        let found = sort(all, &used, &["ours".to_owned(), "stale".to_owned()], Duration::from_secs(100));
        let kept: Vec<_> = found.iter().map(|left| (left.snapshot.id.as_str(), left.kept.is_some())).collect();
        assert_eq!(kept, [("stale", false), ("young", true), ("ours", true), ("old", false)]);
    }
}
