//! Removes a host. What it leaves to others, on purpose, is said: the data volume with the tenants, and the Elastic IP.

use std::time::Duration;

use kennel_known::hosts::HostBook;
use serde::Serialize;

use super::wait::takes_its_data;
use super::{LaunchError, Site};
use crate::aws::pace::Looks;
use crate::aws::{Address, Group, Instance, Volume};

/// An instance that is terminated may hold its security group for so long.
const RELEASED: Duration = Duration::from_secs(60);

/// What there is of a host.
#[derive(Debug, Serialize)]
pub struct Remains {
    /// Its instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// Its data volumes: one, as a rule.
    pub volumes: Vec<Volume>,
    /// Its Elastic IPs: one or none.
    pub addresses: Vec<Address>,
    #[serde(skip)]
    groups: Vec<Group>,
}

/// What is to be removed besides the instance and its security group.
#[derive(Debug, Clone, Copy)]
pub struct Removal {
    /// The data volume.
    pub data: bool,
    /// The Elastic IP.
    pub address: bool,
}

impl Site<'_> {
    /// What there is of the host.
    ///
    /// # Errors
    /// [`LaunchError::Missing`]; [`LaunchError::Conflict`] while it is being replaced.
    pub async fn remains(&self) -> Result<Remains, LaunchError> {
        if self.journals.replace()?.is_some() {
            return Err(self.half_way());
        }
        let instance = self.instance().await?;
        let data = instance.as_ref().and_then(|instance| instance.volume.as_deref());
        let mut volumes = self.aws.volumes_of(self.host).await?;
        // Not the root volume, which goes with its instance.
        volumes.retain(|volume| volume.state == "available" || data == Some(&volume.id));
        let addresses = self.aws.addresses(self.host).await?;
        let groups = self.aws.groups_of(self.host).await?;
        let begun = self.journals.launch()?.is_some();
        if instance.is_none() && volumes.is_empty() && addresses.is_empty() && groups.is_empty() && !begun {
            return Err(LaunchError::Missing {
                host: self.host.to_string(),
                region: self.aws.region().to_owned(),
            });
        }
        Ok(Remains { instance, volumes, addresses, groups })
    }

    /// Removes it. Each step that is done already does nothing.
    ///
    /// # Errors
    /// [`LaunchError`]. The same call again goes on from where this one stopped.
    pub async fn terminate(&self, remains: &Remains, removal: Removal) -> Result<(), LaunchError> {
        let _claim = self.journals.claim()?;
        if let Some(instance) = &remains.instance {
            if instance.volume_goes && !removal.data {
                return Err(takes_its_data(instance, "if that is what you want: --with-data; else "));
            }
            self.terminated(&instance.id).await?;
        }
        for group in &remains.groups {
            self.remove_group(&group.id).await?;
        }
        if removal.data {
            for volume in &remains.volumes {
                self.remove_volume(volume).await?;
            }
        }
        if removal.address {
            for address in &remains.addresses {
                self.aws.release_address(&address.id).await?;
                self.ui.note(&format!("{} is given back", address.ip));
            }
        }
        self.journals.keep_launch(None)?;
        let mut book = HostBook::load(&self.book)?;
        if book.remove(self.host).is_ok() {
            book.save(&self.book)?;
        }
        Ok(())
    }

    async fn remove_volume(&self, volume: &Volume) -> Result<(), LaunchError> {
        // It may have gone with the instance.
        if self.aws.volume(&volume.id).await?.is_some_and(|volume| volume.state != "deleting") {
            self.volume(&volume.id, "free", |volume| volume.state == "available").await?;
            self.aws.delete_volume(&volume.id).await?;
        }
        self.ui.note(&format!("{} is removed, with all that was on it", volume.id));
        Ok(())
    }

    async fn remove_group(&self, id: &str) -> Result<(), LaunchError> {
        let mut looks = Looks::until(self.by(RELEASED));
        loop {
            match self.aws.delete_group(id).await {
                Err(fault) if fault.is("DependencyViolation") && looks.again().await => {}
                done => return Ok(done?),
            }
        }
    }
}
