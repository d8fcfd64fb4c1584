//! Calls about AMIs.

use std::time::Duration;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, Filter, ImageAttributeName,
    ImdsSupportValues, LaunchPermission, LaunchPermissionModifications, PermissionGroup, ResourceType,
    TpmSupportValues, VolumeType,
};

use super::{Ami, tagged, tags_for};
use crate::aws::table::Call;
use crate::aws::{Aws, Fault};
use crate::names::{self, Tags};
use crate::time;

/// The root volume, as instances name it.
const ROOT_DEVICE: &str = "/dev/xvda";
/// The volume for tenants' data.
pub(super) const DATA_DEVICE: &str = "/dev/sdf";

/// What an AMI is to be.
#[derive(Debug, Clone, Copy)]
pub struct NewImage<'a> {
    /// Its name.
    pub name: &'a str,
    /// In a sentence.
    pub description: &'a str,
    /// The snapshot of its root volume.
    pub snapshot: &'a str,
    /// Size of its root volume in GiB.
    pub root_gib: i32,
    /// Size of its data volume in GiB.
    pub data_gib: i32,
    /// The Secure Boot keys that instances start with.
    pub uefi_data: Option<&'a str>,
    /// Its tags.
    pub tags: &'a Tags,
}

/// Who may launch an AMI besides its owner.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// Everyone.
    Public,
    /// An account.
    Account(String),
    /// An organisation, or another word that this program does not give out.
    Other(String),
}

impl Aws {
    /// Every AMI of ours; with a digest, only of that image.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn images(&self, digest: Option<&str>) -> Result<Vec<Ami>, Fault> {
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let answer = self
                .call(Call::DescribeImages, || {
                    self.ec2
                        .describe_images()
                        .owners("self")
                        .include_deprecated(true)
                        .include_disabled(true)
                        .filters(tagged(names::DIGEST, digest))
                        .set_next_token(next.clone())
                        .send()
                })
                .await?;
            found.extend(answer.images().iter().filter_map(Ami::of));
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// One AMI, if it is there.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn image(&self, id: &str) -> Result<Option<Ami>, Fault> {
        let answer = self
            .call(Call::DescribeImages, || {
                self.ec2.describe_images().image_ids(id).include_deprecated(true).include_disabled(true).send()
            })
            .await;
        match answer {
            Ok(answer) => Ok(answer.images().iter().find_map(Ami::of)),
            Err(fault) if fault.is("InvalidAMIID.NotFound") || fault.is("InvalidAMIID.Unavailable") => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// The AMI of this account that has a name, if it is seen already.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn image_named(&self, name: &str) -> Result<Option<Ami>, Fault> {
        let named = Filter::builder().name("name").values(name).build();
        let answer = self
            .call(Call::DescribeImages, || {
                let request = self.ec2.describe_images().owners("self").filters(named.clone());
                request.include_deprecated(true).include_disabled(true).send()
            })
            .await?;
        Ok(answer.images().iter().find_map(Ami::of))
    }

    /// Makes an AMI; returns its id.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn register_image(&self, new: &NewImage<'_>) -> Result<String, Fault> {
        let answer = self
            .call(Call::RegisterImage, || {
                self.ec2
                    .register_image()
                    .name(new.name)
                    .description(new.description)
                    .architecture(ArchitectureValues::X8664)
                    .virtualization_type("hvm")
                    .boot_mode(BootModeValues::Uefi)
                    .tpm_support(TpmSupportValues::V20)
                    .imds_support(ImdsSupportValues::V20)
                    .set_uefi_data(new.uefi_data.map(str::to_owned))
                    .ena_support(true)
                    .root_device_name(ROOT_DEVICE)
                    .block_device_mappings(device(ROOT_DEVICE, root_volume(new)))
                    .block_device_mappings(device(DATA_DEVICE, data_volume(new)))
                    .tag_specifications(tags_for(ResourceType::Image, new.tags))
                    .send()
            })
            .await?;
        answer.image_id.ok_or_else(|| Fault::incomplete(Call::RegisterImage, "AMI"))
    }

    /// Copies an AMI from another region into this one; returns the id of the copy, which is not yet finished.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn copy_image(&self, ami: &Ami, from: &str) -> Result<String, Fault> {
        let mut of_snapshot = ami.tags.clone();
        let token = names::token();
        of_snapshot.insert(names::STATE.to_owned(), names::PUBLISHED.to_owned());
        let answer = self
            .call(Call::CopyImage, || {
                self.ec2
                    .copy_image()
                    .name(&ami.name)
                    .description(&ami.description)
                    .source_image_id(&ami.id)
                    .source_region(from)
                    .client_token(&token)
                    .set_encrypted(ami.encrypted.then_some(true))
                    .tag_specifications(tags_for(ResourceType::Image, &ami.tags))
                    .tag_specifications(tags_for(ResourceType::Snapshot, &of_snapshot))
                    .send()
            })
            .await?;
        answer.image_id.ok_or_else(|| Fault::incomplete(Call::CopyImage, "AMI"))
    }

    /// Who may launch an AMI besides its owner.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn grants(&self, id: &str) -> Result<Vec<Grant>, Fault> {
        let answer = self
            .call(Call::DescribeImageAttribute, || {
                let request = self.ec2.describe_image_attribute().image_id(id);
                request.attribute(ImageAttributeName::LaunchPermission).send()
            })
            .await?;
        Ok(answer.launch_permissions().iter().map(Grant::of).collect())
    }

    /// Gives the permission to launch an AMI, or takes it back.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn grant(&self, id: &str, to: &[Grant], give: bool) -> Result<(), Fault> {
        let list: Vec<_> = to.iter().map(Grant::permission).collect();
        let change = LaunchPermissionModifications::builder();
        let change = if give { change.set_add(Some(list)) } else { change.set_remove(Some(list)) }.build();
        self.call(Call::ModifyImageAttribute, || {
            self.ec2.modify_image_attribute().image_id(id).launch_permission(change.clone()).send()
        })
        .await
        .map(drop)
    }

    /// Sets from when on an AMI should not be used; returns that time.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn deprecate_image(&self, id: &str, after: Duration) -> Result<String, Fault> {
        let span = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
        let at = DateTime::from_secs(time::now().saturating_add(span));
        self.call(Call::EnableImageDeprecation, || {
            self.ec2.enable_image_deprecation().image_id(id).deprecate_at(at).send()
        })
        .await?;
        Ok(at.to_string())
    }

    /// Forbids launches of an AMI.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn disable_image(&self, id: &str) -> Result<(), Fault> {
        self.call(Call::DisableImage, || self.ec2.disable_image().image_id(id).send()).await.map(drop)
    }

    /// Removes an AMI, but not its snapshot; one that is gone already is as good.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn deregister_image(&self, id: &str) -> Result<(), Fault> {
        match self.call(Call::DeregisterImage, || self.ec2.deregister_image().image_id(id).send()).await {
            Err(fault) if !fault.is("InvalidAMIID.Unavailable") && !fault.is("InvalidAMIID.NotFound") => {
                Err(fault)
            }
            _ => Ok(()),
        }
    }
}

impl Grant {
    fn of(permission: &LaunchPermission) -> Self {
        match (permission.group(), permission.user_id()) {
            (Some(PermissionGroup::All), _) => Self::Public,
            (_, Some(account)) => Self::Account(account.to_owned()),
            _ => {
                let other = permission.organization_arn().or(permission.organizational_unit_arn());
                Self::Other(other.unwrap_or("unknown").to_owned())
            }
        }
    }

    fn permission(&self) -> LaunchPermission {
        let builder = LaunchPermission::builder();
        match self {
            Self::Public => builder.group(PermissionGroup::All),
            Self::Account(account) => builder.user_id(account),
            Self::Other(arn) => builder.organization_arn(arn),
        }
        .build()
    }
}

fn device(name: &str, volume: EbsBlockDevice) -> BlockDeviceMapping {
    BlockDeviceMapping::builder().device_name(name).ebs(volume).build()
}

/// As small as the image, and gone with the instance: nothing is ever written to it.
fn root_volume(new: &NewImage<'_>) -> EbsBlockDevice {
    EbsBlockDevice::builder()
        .snapshot_id(new.snapshot)
        .volume_size(new.root_gib)
        .volume_type(VolumeType::Gp3)
        .delete_on_termination(true)
        .build()
}

/// For tenants: encrypted, and still there when the instance is gone.
fn data_volume(new: &NewImage<'_>) -> EbsBlockDevice {
    EbsBlockDevice::builder()
        .volume_size(new.data_gib)
        .volume_type(VolumeType::Gp3)
        .encrypted(true)
        .delete_on_termination(false)
        .build()
}
