//! Moves the data volume from one instance to another. Which has it, is asked of AWS before each step; it is attached only
//! when it is free, and taken only from an instance that is shut down, so that it is never written by two and never torn
//! from one that writes. It is given to an instance that runs already: a host without a data volume waits for one.

use kennel_model::cloud::VOLUME_WAIT;

use super::{LaunchError, Site};
use crate::aws::{Attachment, Instance, Volume};

/// Seconds until a volume that is being attached is seen by the host.
const APPEARS: u64 = 60;

impl Site<'_> {
    /// Sees to it that an instance runs and has the data volume. `from` is the one that may have it now; it is shut down.
    ///
    /// | found | done already |
    /// |---|---|
    /// | the volume is at `to`, or on its way there | all; `to` is rebooted if it may have given up waiting and does not answer |
    /// | it is being detached | waited for, then as if it were free |
    /// | it is free | `from` is shut down, the volume detached |
    /// | it is at `from` | nothing that matters: waiting for `to` and shutting down `from` is repeated |
    /// | it is elsewhere | nothing is touched |
    pub(super) async fn give_volume(
        &self,
        volume: &str,
        to: &str,
        from: Option<&str>,
    ) -> Result<Instance, LaunchError> {
        let free = |volume: &Volume| volume.state == "available";
        let mut found = self.the_volume(volume).await?;
        if found.attachment.as_ref().is_some_and(|attachment| attachment.state == "detaching") {
            found = self.volume(volume, "free", free).await?;
        }
        let holder = found.attachment.as_ref().map(|attachment| attachment.instance.as_str());
        if holder != Some(to) {
            if holder.is_some() && holder != from {
                return Err(elsewhere(&found));
            }
            // As long as it has not come so far, nothing is taken from the other.
            self.running(to).await?;
            if let Some(holder) = holder {
                self.stopped(holder).await?;
                self.detached(volume, holder).await?;
            }
            self.volume(volume, "free", free).await?;
            self.aws.attach_volume(volume, to).await?;
        }
        let at = |volume: &Volume| {
            volume.attachment.as_ref().is_some_and(|a| a.instance == to && a.state == "attached")
        };
        let volume = self.volume(volume, &format!("attached to {to}"), at).await?;
        let instance = self.running(to).await?;
        if came_late(&volume, &instance) && !self.is_up(&instance).await {
            self.ui.note(&format!("{to} may have given up waiting for its data volume, and is rebooted"));
            self.aws.reboot_instance(to).await?;
        }
        Ok(instance)
    }

    async fn detached(&self, volume: &str, from: &str) -> Result<(), LaunchError> {
        // Asked again: an instance that was terminated in the meantime has let go of it by itself.
        let found = self.the_volume(volume).await?;
        match found.attachment {
            Some(Attachment { instance, state, .. }) if instance == from && state != "detaching" => {
                Ok(self.aws.detach_volume(volume, from).await?)
            }
            _ => Ok(()),
        }
    }
}

/// Whether a host may not have seen its volume, which it looks for from each start on. Both times are AWS's, so that it makes
/// no difference when this is asked, and on which computer.
fn came_late(volume: &Volume, instance: &Instance) -> bool {
    let in_time = VOLUME_WAIT.as_secs().saturating_sub(APPEARS);
    let waited = volume.attachment.as_ref().map_or(0, |attachment| attachment.since - instance.started);
    u64::try_from(waited).is_ok_and(|waited| waited > in_time)
}

fn elsewhere(volume: &Volume) -> LaunchError {
    let holder = volume.attachment.as_ref().map_or("nobody", |attachment| attachment.instance.as_str());
    LaunchError::Conflict {
        what: format!("the data volume {} is attached to {holder}, which is not part of this", volume.id),
        hint: "detach it there, then run the same command again".to_owned(),
    }
}
