//! Waits until AWS has finished a snapshot or an AMI.

use std::time::{Duration, Instant};

use super::PublishError;
use crate::aws::pace::Looks;
use crate::aws::{Ami, Aws, SnapshotState};

/// What AWS has made is seen by then.
const SEEN: Duration = Duration::from_secs(60);

/// Until a snapshot can be used.
///
/// # Errors
/// When AWS gives it up, or not in time.
pub(super) async fn snapshot(aws: &Aws, id: &str, deadline: Instant) -> Result<(), PublishError> {
    let mut looks = Looks::until(deadline);
    loop {
        match aws.snapshot(id).await?.map(|snapshot| snapshot.state) {
            Some(SnapshotState::Completed) => return Ok(()),
            Some(SnapshotState::Pending) | None => {}
            Some(SnapshotState::Error | SnapshotState::Other) => {
                return Err(PublishError::SnapshotFailed(id.to_owned()));
            }
        }
        if !looks.again().await {
            return Err(PublishError::NotReady(id.to_owned()));
        }
    }
}

/// Until an AMI is seen that has a name which AWS says is taken: what was made a moment ago may not be seen yet.
///
/// # Errors
/// [`PublishError::Aws`].
pub(super) async fn named(aws: &Aws, name: &str) -> Result<Option<Ami>, PublishError> {
    let mut looks = Looks::until(aws.deadline().min(Instant::now() + SEEN));
    loop {
        let found = aws.image_named(name).await?;
        if found.is_some() || !looks.again().await {
            return Ok(found);
        }
    }
}

/// Until an AMI can be launched.
///
/// # Errors
/// When AWS gives it up, or not in time.
pub async fn image(aws: &Aws, id: &str) -> Result<Ami, PublishError> {
    let mut looks = Looks::until(aws.deadline());
    loop {
        // What was made a moment ago may not be seen yet.
        if let Some(ami) = aws.image(id).await? {
            match ami.state.as_str() {
                "available" => return Ok(ami),
                "pending" | "transient" => {}
                _ => {
                    let reason = ami.reason.unwrap_or_else(|| "AWS says no more".to_owned());
                    return Err(PublishError::ImageFailed { ami: ami.id, state: ami.state, reason });
                }
            }
        }
        if !looks.again().await {
            return Err(PublishError::NotReady(id.to_owned()));
        }
    }
}
