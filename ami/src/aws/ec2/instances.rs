//! Calls about instances.

use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, Filter, HttpTokensState, IamInstanceProfileSpecification,
    InstanceAttributeName, InstanceInterruptionBehavior, InstanceMarketOptionsRequest,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceMetadataTagsState,
    InstanceNetworkInterfaceSpecification, InstanceType, MarketType, ResourceType, SpotInstanceType,
    SpotMarketOptions, VolumeType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kennel_model::HostName;
use serde::{Deserialize, Serialize};

use super::images::DATA_DEVICE;
use super::{Instance, tagged, tags_for};
use crate::aws::table::Call;
use crate::aws::{Aws, Fault};
use crate::names::{self, Tags};

/// AWS's word for an instance that is not there, or not seen yet.
const NO_INSTANCE: &str = "InvalidInstanceID.NotFound";
/// States of instances that are there, or will be.
const THERE: [&str; 5] = ["pending", "running", "stopping", "stopped", "shutting-down"];

/// What an instance is to be. It is written down before the call, so that the call can be repeated word for word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInstance {
    /// Makes a repeated call give the same instance.
    pub token: String,
    /// The AMI.
    pub ami: String,
    /// Its root device.
    pub root_device: String,
    /// Such as `t3.small`.
    pub kind: String,
    /// Where.
    pub subnet: String,
    /// Its security groups.
    pub groups: Vec<String>,
    /// Its key pair.
    pub key: Option<String>,
    /// Its instance profile, by name or ARN.
    pub profile: Option<String>,
    /// Who may sign in.
    pub user_data: String,
    /// Size of a new data volume in GiB; none, if it is to get one that is there.
    pub data_gib: Option<i32>,
    /// It may be taken away in exchange for a lower price.
    pub spot: bool,
    /// The instance whose place it is to take.
    pub replaces: Option<String>,
}

impl Aws {
    /// Every instance of a host; of all hosts, if none is named. One that is gone is none.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn instances(&self, host: Option<&HostName>) -> Result<Vec<Instance>, Fault> {
        let there = Filter::builder().name("instance-state-name");
        let there = there.set_values(Some(THERE.map(str::to_owned).to_vec())).build();
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let answer = self
                .call(Call::DescribeInstances, || {
                    self.ec2
                        .describe_instances()
                        .filters(tagged(names::HOST, host.map(HostName::as_str)))
                        .filters(there.clone())
                        .set_next_token(next.clone())
                        .send()
                })
                .await?;
            let all = answer.reservations().iter().flat_map(|reservation| reservation.instances());
            found.extend(all.filter_map(Instance::of));
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// One instance, if it is seen; also one that is gone, for about an hour.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn instance(&self, id: &str) -> Result<Option<Instance>, Fault> {
        let request = || self.ec2.describe_instances().instance_ids(id).send();
        match self.call(Call::DescribeInstances, request).await {
            Ok(answer) => {
                let mut all = answer.reservations().iter().flat_map(|reservation| reservation.instances());
                Ok(all.find_map(Instance::of))
            }
            Err(fault) if fault.is(NO_INSTANCE) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Makes an instance, or finds the one that the same words have made before; returns its id.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn run_instance(&self, host: &HostName, new: &NewInstance) -> Result<String, Fault> {
        let common = names::host_tags(host);
        let mut own = common.clone();
        own.extend(new.replaces.iter().map(|old| (names::REPLACES.to_owned(), old.clone())));
        let profile = new.profile.as_deref().map(profile);
        let answer = self
            .call(Call::RunInstances, || {
                self.ec2
                    .run_instances()
                    .client_token(&new.token)
                    .image_id(&new.ami)
                    .instance_type(InstanceType::from(new.kind.as_str()))
                    .min_count(1)
                    .max_count(1)
                    .user_data(STANDARD.encode(&new.user_data))
                    .metadata_options(metadata())
                    .network_interfaces(interface(new))
                    .block_device_mappings(root_volume(&new.root_device))
                    .block_device_mappings(data_volume(new.data_gib))
                    .set_tag_specifications(Some(tags(&own, &common)))
                    .set_key_name(new.key.clone())
                    .set_iam_instance_profile(profile.clone())
                    .set_instance_market_options(new.spot.then(spot))
                    .send()
            })
            .await?;
        let made = answer.instances().first().and_then(|instance| instance.instance_id());
        made.map(str::to_owned).ok_or_else(|| Fault::incomplete(Call::RunInstances, "instance"))
    }

    /// Starts an instance that is stopped.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn start_instance(&self, id: &str) -> Result<(), Fault> {
        self.call(Call::StartInstances, || self.ec2.start_instances().instance_ids(id).send()).await.map(drop)
    }

    /// Has an instance shut down. Its volumes stay.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn stop_instance(&self, id: &str) -> Result<(), Fault> {
        self.call(Call::StopInstances, || self.ec2.stop_instances().instance_ids(id).send()).await.map(drop)
    }

    /// Starts an instance again.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn reboot_instance(&self, id: &str) -> Result<(), Fault> {
        self.call(Call::RebootInstances, || self.ec2.reboot_instances().instance_ids(id).send()).await.map(drop)
    }

    /// Removes an instance; one that is gone already is as good.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn terminate_instance(&self, id: &str) -> Result<(), Fault> {
        let request = || self.ec2.terminate_instances().instance_ids(id).send();
        match self.call(Call::TerminateInstances, request).await {
            Err(fault) if !fault.is(NO_INSTANCE) => Err(fault),
            _ => Ok(()),
        }
    }

    /// What an instance has printed on its console: the last 64 KiB, as they are.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn console(&self, id: &str) -> Result<Vec<u8>, Fault> {
        let call = Call::GetConsoleOutput;
        let answer =
            self.call(call, || self.ec2.get_console_output().instance_id(id).latest(true).send()).await?;
        let text = answer.output.unwrap_or_default();
        STANDARD.decode(text.trim()).map_err(|_| Fault::incomplete(call, "readable text"))
    }

    /// The user-data that an instance was launched with.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn user_data_of(&self, id: &str) -> Result<String, Fault> {
        let call = Call::DescribeInstanceAttribute;
        let answer = self
            .call(call, || {
                let request = self.ec2.describe_instance_attribute().instance_id(id);
                request.attribute(InstanceAttributeName::UserData).send()
            })
            .await?;
        let encoded = answer.user_data.and_then(|data| data.value).unwrap_or_default();
        let bytes = STANDARD.decode(encoded.trim()).ok();
        bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| Fault::incomplete(call, "readable user-data"))
    }
}

/// Version 2 only, for the host itself only, with tags.
fn metadata() -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(1)
        .instance_metadata_tags(InstanceMetadataTagsState::Enabled)
        .build()
}

fn interface(new: &NewInstance) -> InstanceNetworkInterfaceSpecification {
    InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .subnet_id(&new.subnet)
        .set_groups(Some(new.groups.clone()))
        .associate_public_ip_address(true)
        .build()
}

/// Encrypted, and gone with the instance: nothing is ever written to it.
fn root_volume(device: &str) -> BlockDeviceMapping {
    let volume = EbsBlockDevice::builder().volume_type(VolumeType::Gp3).encrypted(true);
    BlockDeviceMapping::builder().device_name(device).ebs(volume.delete_on_termination(true).build()).build()
}

/// For tenants: encrypted, and still there when the instance is gone.
fn data_volume(gib: Option<i32>) -> BlockDeviceMapping {
    let mapping = BlockDeviceMapping::builder().device_name(DATA_DEVICE);
    let Some(gib) = gib else { return mapping.no_device("").build() };
    let volume = EbsBlockDevice::builder().volume_type(VolumeType::Gp3).volume_size(gib).encrypted(true);
    mapping.ebs(volume.delete_on_termination(false).build()).build()
}

fn tags(instance: &Tags, others: &Tags) -> Vec<aws_sdk_ec2::types::TagSpecification> {
    vec![
        tags_for(ResourceType::Instance, instance),
        tags_for(ResourceType::Volume, others),
        tags_for(ResourceType::NetworkInterface, others),
    ]
}

fn profile(name: &str) -> IamInstanceProfileSpecification {
    let builder = IamInstanceProfileSpecification::builder();
    if name.starts_with("arn:") { builder.arn(name) } else { builder.name(name) }.build()
}

/// Once: a request that outlived its instance would make another.
fn spot() -> InstanceMarketOptionsRequest {
    let options = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate);
    InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(options.build()).build()
}
