//! Waits for instances and volumes, each with a deadline of its own, in words that a person can follow.

use std::time::{Duration, Instant as Clock};

use super::{LaunchError, Site};
use crate::aws::pace::Looks;
use crate::aws::{Instance, Volume};
use crate::ui::Waiting;

/// From the order to the state. EC2 gives a shutdown some minutes, after which it pulls the plug.
const RUNNING: Duration = Duration::from_secs(5 * 60);
const STOPPED: Duration = Duration::from_secs(10 * 60);
const TERMINATED: Duration = Duration::from_secs(15 * 60);
const MOVED: Duration = Duration::from_secs(5 * 60);

impl Site<'_> {
    /// Until an instance runs; it is started if it is stopped. Nothing is said of one that does.
    pub(super) async fn running(&self, id: &str) -> Result<Instance, LaunchError> {
        let mut step: Option<Waiting> = None;
        let mut looks = Looks::until(self.by(RUNNING));
        let mut told = false;
        loop {
            if let Some(instance) = self.aws.instance(id).await? {
                match instance.state.as_str() {
                    "running" => {
                        if let Some(step) = step {
                            step.done(&format!("{id} runs"));
                        }
                        return Ok(instance);
                    }
                    "stopped" if !told => {
                        self.aws.start_instance(id).await?;
                        told = true;
                    }
                    "terminated" | "shutting-down" => return Err(gone(instance)),
                    _ => {}
                }
            }
            step.get_or_insert_with(|| self.ui.step(&format!("{id}: waiting until it runs")));
            if !looks.again().await {
                return Err(late(format!("{id} does not run"), &looks));
            }
        }
    }

    /// Until an instance is stopped, or gone; it is told to if it runs. A spot instance of ours cannot be stopped and kept: it
    /// is terminated, which shuts it down as cleanly, if its data volume stays.
    pub(super) async fn stopped(&self, id: &str) -> Result<Instance, LaunchError> {
        let step = self.ui.step(&format!("{id}: waiting until it is shut down"));
        let mut looks = Looks::until(self.by(STOPPED));
        let mut told = false;
        loop {
            if let Some(instance) = self.aws.instance(id).await? {
                match instance.state.as_str() {
                    "stopped" | "terminated" => {
                        step.done(&format!("{id} is {}", instance.state));
                        return Ok(instance);
                    }
                    "running" if !told => {
                        match instance.spot {
                            true if instance.volume_goes => return Err(takes_its_data(&instance, "")),
                            true => self.aws.terminate_instance(id).await?,
                            false => self.aws.stop_instance(id).await?,
                        }
                        told = true;
                    }
                    _ => {}
                }
            }
            if !looks.again().await {
                return Err(late(format!("{id} did not shut down"), &looks));
            }
        }
    }

    /// Until an instance is gone; it is told to go.
    pub(super) async fn terminated(&self, id: &str) -> Result<(), LaunchError> {
        let step = self.ui.step(&format!("{id}: waiting until it is terminated"));
        self.aws.terminate_instance(id).await?;
        let mut looks = Looks::until(self.by(TERMINATED));
        loop {
            // One that is not known any more has been gone for an hour.
            if self.aws.instance(id).await?.is_none_or(|instance| instance.state == "terminated") {
                step.done(&format!("{id} is terminated"));
                return Ok(());
            }
            if !looks.again().await {
                return Err(late(format!("{id} is not terminated"), &looks));
            }
        }
    }

    /// Until a volume is as wanted.
    pub(super) async fn volume(
        &self,
        id: &str,
        what: &str,
        good: impl Fn(&Volume) -> bool,
    ) -> Result<Volume, LaunchError> {
        let step = self.ui.step(&format!("{id}: waiting until it is {what}"));
        let mut looks = Looks::until(self.by(MOVED));
        loop {
            let volume = self.the_volume(id).await?;
            if good(&volume) {
                step.done(&format!("{id} is {what}"));
                return Ok(volume);
            }
            if !looks.again().await {
                return Err(late(format!("{id} is not {what}"), &looks));
            }
        }
    }

    /// A volume that must be there.
    pub(super) async fn the_volume(&self, id: &str) -> Result<Volume, LaunchError> {
        self.aws.volume(id).await?.ok_or_else(|| LaunchError::Conflict {
            what: format!("the data volume {id} is not there any more"),
            hint: "somebody has deleted it; look for a snapshot of it in the console".to_owned(),
        })
    }

    /// After this time, but not beyond the deadline of the whole command.
    pub(super) fn by(&self, within: Duration) -> Clock {
        self.aws.deadline().min(Clock::now() + within)
    }
}

/// Its data volume was made one that is deleted with it.
pub(super) fn takes_its_data(instance: &Instance, otherwise: &str) -> LaunchError {
    LaunchError::Conflict {
        what: format!("{} would take its data volume with it", instance.id),
        hint: format!(
            "{otherwise}`aws ec2 modify-instance-attribute --instance-id {} --block-device-mappings \
             DeviceName=/dev/sdf,Ebs={{DeleteOnTermination=false}}` makes it stay",
            instance.id
        ),
    }
}

/// It will not run any more.
pub(super) fn gone(instance: Instance) -> LaunchError {
    let reason = instance.reason.unwrap_or_else(|| "AWS says no more".to_owned());
    LaunchError::Gone { instance: instance.id, state: instance.state, reason }
}

fn late(what: String, looks: &Looks) -> LaunchError {
    LaunchError::Late {
        what,
        waited: looks.waited(),
        hint: "the same command goes on where this one stopped".to_owned(),
    }
}
