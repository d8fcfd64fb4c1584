//! Calls about snapshots, and the tagging of what exists.

use super::{Snapshot, list, tagged};
use crate::aws::table::Call;
use crate::aws::{Aws, Fault};
use crate::names::{self, Tags};

/// AWS's word for a snapshot that is not there.
const NO_SNAPSHOT: &str = "InvalidSnapshot.NotFound";

impl Aws {
    /// Every snapshot of ours; with a digest, only of that image.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn snapshots(&self, digest: Option<&str>) -> Result<Vec<Snapshot>, Fault> {
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let answer = self
                .call(Call::DescribeSnapshots, || {
                    self.ec2
                        .describe_snapshots()
                        .owner_ids("self")
                        .filters(tagged(names::DIGEST, digest))
                        .set_next_token(next.clone())
                        .send()
                })
                .await?;
            found.extend(answer.snapshots().iter().filter_map(Snapshot::of));
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// One snapshot, if it is there.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, Fault> {
        let answer =
            self.call(Call::DescribeSnapshots, || self.ec2.describe_snapshots().snapshot_ids(id).send()).await;
        match answer {
            Ok(answer) => Ok(answer.snapshots().iter().find_map(Snapshot::of)),
            Err(fault) if fault.is(NO_SNAPSHOT) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Removes a snapshot; one that is gone already is as good.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn delete_snapshot(&self, id: &str) -> Result<(), Fault> {
        match self.call(Call::DeleteSnapshot, || self.ec2.delete_snapshot().snapshot_id(id).send()).await {
            Err(fault) if !fault.is(NO_SNAPSHOT) => Err(fault),
            _ => Ok(()),
        }
    }

    /// Sets tags.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn tag(&self, id: &str, tags: &Tags) -> Result<(), Fault> {
        self.call(Call::CreateTags, || self.ec2.create_tags().resources(id).set_tags(Some(list(tags))).send())
            .await
            .map(drop)
    }
}
