//! Instances and their data volumes, read from the SDK's types.

use std::net::IpAddr;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{Instance as SdkInstance, InstanceLifecycleType, Volume as SdkVolume};
use serde::Serialize;

use super::images::DATA_DEVICE;
use super::parse::tags;
use crate::names::{self, Tags};

/// An instance.
#[derive(Debug, Clone, Serialize)]
pub struct Instance {
    /// Its id.
    #[serde(rename = "instance")]
    pub id: String,
    /// `pending`, `running`, `stopping`, `stopped`, `shutting-down`, `terminated`.
    pub state: String,
    /// Why it is in that state, if AWS says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The AMI.
    pub ami: String,
    /// Such as `t3.small`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its availability zone.
    pub zone: String,
    /// Its public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Its data volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Its data volume would be removed together with it.
    #[serde(skip)]
    pub volume_goes: bool,
    /// It may be taken away at any time.
    pub spot: bool,
    /// The call that made it had this client token.
    #[serde(skip)]
    pub token: String,
    /// Its subnet.
    #[serde(skip)]
    pub subnet: String,
    /// Its security groups.
    #[serde(skip)]
    pub groups: Vec<String>,
    /// Its key pair.
    #[serde(skip)]
    pub key: Option<String>,
    /// The ARN of its instance profile.
    #[serde(skip)]
    pub profile: Option<String>,
    /// When it was last started, in seconds since 1970; a reboot is no start.
    #[serde(skip)]
    pub started: i64,
    /// Its tags.
    pub tags: Tags,
}

/// A volume.
#[derive(Debug, Clone, Serialize)]
pub struct Volume {
    /// Its id.
    #[serde(rename = "volume")]
    pub id: String,
    /// Its size.
    pub gib: i32,
    /// Its availability zone.
    pub zone: String,
    /// `creating`, `available`, `in-use`, `deleting`, …
    pub state: String,
    /// The instance that has it, and how far that is: `attaching`, `attached`, `detaching`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
}

/// Which instance has a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// The instance.
    pub instance: String,
    /// `attaching`, `attached`, `detaching`, `busy`.
    pub state: String,
    /// As which device.
    pub device: String,
    /// When that was asked for, in seconds since 1970.
    #[serde(skip)]
    pub since: i64,
}

impl Instance {
    /// The host that it is, or is to be.
    pub fn host(&self) -> &str {
        self.tags.get(names::HOST).map_or("", String::as_str)
    }

    pub(super) fn of(instance: &SdkInstance) -> Option<Self> {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let mut devices = instance.block_device_mappings().iter();
        let data = devices.find(|mapping| mapping.device_name() == Some(DATA_DEVICE));
        let data = data.and_then(|mapping| mapping.ebs());
        Some(Self {
            id: instance.instance_id()?.to_owned(),
            state: text(instance.state().and_then(|state| state.name()).map(|name| name.as_str())),
            reason: instance.state_reason().and_then(|reason| reason.message()).map(str::to_owned),
            ami: text(instance.image_id()),
            kind: text(instance.instance_type().map(|kind| kind.as_str())),
            zone: text(instance.placement().and_then(|placement| placement.availability_zone())),
            address: instance.public_ip_address().and_then(|address| address.parse().ok()),
            volume: data.and_then(|data| data.volume_id()).map(str::to_owned),
            volume_goes: data.and_then(|data| data.delete_on_termination()).unwrap_or_default(),
            spot: instance.instance_lifecycle() == Some(&InstanceLifecycleType::Spot),
            token: text(instance.client_token()),
            subnet: text(instance.subnet_id()),
            groups: instance
                .security_groups()
                .iter()
                .filter_map(|group| group.group_id())
                .map(str::to_owned)
                .collect(),
            key: instance.key_name().map(str::to_owned),
            profile: instance.iam_instance_profile().and_then(|profile| profile.arn()).map(str::to_owned),
            started: seconds(instance.launch_time()),
            tags: tags(instance.tags()),
        })
    }
}

impl Volume {
    pub(super) fn of(volume: &SdkVolume) -> Option<Self> {
        let attachment = volume.attachments().iter().find_map(|attachment| {
            let state = attachment.state().map_or("", |state| state.as_str()).to_owned();
            let instance = attachment.instance_id()?.to_owned();
            let device = attachment.device().unwrap_or_default().to_owned();
            let since = seconds(attachment.attach_time());
            (state != "detached").then_some(Attachment { instance, state, device, since })
        });
        Some(Self {
            id: volume.volume_id()?.to_owned(),
            gib: volume.size().unwrap_or_default(),
            zone: volume.availability_zone().unwrap_or_default().to_owned(),
            state: volume.state().map_or("", |state| state.as_str()).to_owned(),
            attachment,
        })
    }
}

fn seconds(time: Option<&DateTime>) -> i64 {
    time.map_or(0, DateTime::secs)
}
