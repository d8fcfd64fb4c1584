//! Moves the data volume from one instance to another. Which has it, is asked of AWS before each step; it is attached only
//! when it is free, and detached only from an instance that is shut down, so that it is never written by two and never torn
//! from one that writes.

use super::wait::gone;
use super::{LaunchError, Site};
use crate::aws::{Attachment, Instance, Volume};

impl Site<'_> {
    /// Sees to it that an instance has the data volume and runs. `from` is the one that may have it now; it is shut down.
    ///
    /// | found | done already |
    /// |---|---|
    /// | the volume is at `to`, or on its way there | all but the start |
    /// | it is being detached | waited for, then as if it were free |
    /// | it is free | `from` is shut down (this is made sure of), the volume detached |
    /// | it is at `from` | nothing that matters: shutting down both is repeated |
    /// | it is elsewhere | nothing is touched |
    pub(super) async fn give_volume(
        &self,
        volume: &str,
        to: &str,
        from: Option<&str>,
    ) -> Result<Instance, LaunchError> {
        let at = |volume: &Volume, instance: &str, state: &str| {
            volume.attachment.as_ref().is_some_and(|a| a.instance == instance && a.state == state)
        };
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
            // Given to one that is shut down, it is there when the host looks for it, which is when it boots.
            let waiting = self.stopped(to).await?;
            if waiting.state != "stopped" {
                return Err(gone(waiting));
            }
            if let Some(from) = from {
                self.stopped(from).await?;
                self.detached(volume, from).await?;
            }
            self.volume(volume, "free", free).await?;
            self.aws.attach_volume(volume, to).await?;
        }
        self.volume(volume, &format!("attached to {to}"), |volume| at(volume, to, "attached")).await?;
        self.running(to).await
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

fn elsewhere(volume: &Volume) -> LaunchError {
    let holder = volume.attachment.as_ref().map_or("nobody", |attachment| attachment.instance.as_str());
    LaunchError::Conflict {
        what: format!("the data volume {} is attached to {holder}, which is not part of this", volume.id),
        hint: "detach it there, then run the same command again".to_owned(),
    }
}
