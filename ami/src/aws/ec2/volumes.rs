//! Calls about data volumes.

use aws_sdk_ec2::types::Filter;
use kennel_model::HostName;

use super::images::DATA_DEVICE;
use super::{Volume, tagged};
use crate::aws::table::Call;
use crate::aws::{Aws, Fault};
use crate::names;

/// AWS's word for a volume that is not there.
const NO_VOLUME: &str = "InvalidVolume.NotFound";

impl Aws {
    /// Volumes of a host that no instance has. Root volumes are not among them: they are gone with their instance.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn free_volumes(&self, host: &HostName) -> Result<Vec<Volume>, Fault> {
        let free = Filter::builder().name("status").values("available").build();
        self.volumes(host, Some(free)).await
    }

    /// All volumes of a host, those of its instances among them.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn volumes_of(&self, host: &HostName) -> Result<Vec<Volume>, Fault> {
        self.volumes(host, None).await
    }

    async fn volumes(&self, host: &HostName, filter: Option<Filter>) -> Result<Vec<Volume>, Fault> {
        let request = || {
            let request = self.ec2.describe_volumes().filters(tagged(names::HOST, Some(host.as_str())));
            filter.iter().cloned().fold(request, |request, filter| request.filters(filter)).send()
        };
        // A host has a handful, which is one page.
        let answer = self.call(Call::DescribeVolumes, request).await?;
        Ok(answer.volumes().iter().filter_map(Volume::of).collect())
    }

    /// One volume, if it is there.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn volume(&self, id: &str) -> Result<Option<Volume>, Fault> {
        match self.call(Call::DescribeVolumes, || self.ec2.describe_volumes().volume_ids(id).send()).await {
            Ok(answer) => Ok(answer.volumes().iter().find_map(Volume::of)),
            Err(fault) if fault.is(NO_VOLUME) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Gives a free volume to an instance, as its data volume.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn attach_volume(&self, volume: &str, instance: &str) -> Result<(), Fault> {
        let request =
            || self.ec2.attach_volume().volume_id(volume).instance_id(instance).device(DATA_DEVICE).send();
        match self.call(Call::AttachVolume, request).await {
            // An earlier attempt of which the answer was lost; whose it is now is looked at next.
            Err(fault) if fault.is("VolumeInUse") && fault.before > 0 => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Takes a volume from an instance that is stopped.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn detach_volume(&self, volume: &str, instance: &str) -> Result<(), Fault> {
        let request = || self.ec2.detach_volume().volume_id(volume).instance_id(instance).send();
        match self.call(Call::DetachVolume, request).await {
            // An earlier attempt of which the answer was lost; whether it is free is looked at next.
            Err(fault) if fault.is("IncorrectState") && fault.before > 0 => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Removes a volume with what is on it; one that is gone already is as good.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn delete_volume(&self, id: &str) -> Result<(), Fault> {
        match self.call(Call::DeleteVolume, || self.ec2.delete_volume().volume_id(id).send()).await {
            Err(fault) if !fault.is(NO_VOLUME) => Err(fault),
            _ => Ok(()),
        }
    }
}
