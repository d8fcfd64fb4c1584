//! AMIs and snapshots, read from the SDK's types.

use aws_sdk_ec2::types::{Image, Snapshot as SdkSnapshot, SnapshotState as SdkState, Tag};
use serde::Serialize;

use crate::names::{self, Tags};

/// An AMI.
#[derive(Debug, Clone, Serialize)]
pub struct Ami {
    /// Its id.
    #[serde(rename = "ami")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// In a sentence.
    pub description: String,
    /// `pending`, `available`, `failed`, `disabled`, …
    pub state: String,
    /// Why it is in that state, if AWS says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was made.
    pub created: String,
    /// From when on it should not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// Everyone may launch it.
    pub public: bool,
    /// How it boots: `uefi` for ours.
    pub boot_mode: String,
    /// `v2.0` for ours.
    pub tpm: String,
    /// `v2.0` for ours: the metadata service answers only to tokens.
    pub imds: String,
    /// Its root device.
    pub root_device: String,
    /// The snapshot of its root volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The root volume is encrypted.
    pub encrypted: bool,
    /// Its tags.
    pub tags: Tags,
}

/// A snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Its id.
    #[serde(rename = "snapshot")]
    pub id: String,
    /// How far it is.
    pub state: SnapshotState,
    /// Size of the volume.
    pub gib: i32,
    /// When it was begun, in seconds since 1970.
    pub started: i64,
    /// It is encrypted.
    pub encrypted: bool,
    /// Its tags.
    pub tags: Tags,
}

/// How far a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotState {
    /// It is being written, or being finished.
    Pending,
    /// It can be used.
    Completed,
    /// It never will be.
    Error,
    /// A state that this program does not know.
    Other,
}

impl Ami {
    /// Whether this program made it.
    pub fn is_ours(&self) -> bool {
        self.tags.contains_key(names::DIGEST)
    }

    pub(super) fn of(image: &Image) -> Option<Self> {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let root = image.block_device_mappings().iter();
        let root = root.filter(|mapping| mapping.device_name() == image.root_device_name());
        let root = root.filter_map(|mapping| mapping.ebs()).next();
        Some(Self {
            id: image.image_id()?.to_owned(),
            name: text(image.name()),
            description: text(image.description()),
            state: text(image.state().map(|state| state.as_str())),
            reason: image.state_reason().and_then(|reason| reason.message()).map(str::to_owned),
            created: text(image.creation_date()),
            deprecated: image.deprecation_time().map(str::to_owned),
            public: image.public().unwrap_or_default(),
            boot_mode: text(image.boot_mode().map(|mode| mode.as_str())),
            tpm: text(image.tpm_support().map(|tpm| tpm.as_str())),
            imds: text(image.imds_support().map(|imds| imds.as_str())),
            root_device: text(image.root_device_name()),
            snapshot: root.and_then(|ebs| ebs.snapshot_id()).map(str::to_owned),
            encrypted: root.and_then(|ebs| ebs.encrypted()).unwrap_or_default(),
            tags: tags(image.tags()),
        })
    }
}

impl Snapshot {
    /// How far this program says it is: its tag.
    pub fn is_published(&self) -> bool {
        self.tags.get(names::STATE).is_some_and(|state| state == names::PUBLISHED)
    }

    pub(super) fn of(snapshot: &SdkSnapshot) -> Option<Self> {
        Some(Self {
            id: snapshot.snapshot_id()?.to_owned(),
            state: match snapshot.state() {
                Some(SdkState::Pending) => SnapshotState::Pending,
                Some(SdkState::Completed) => SnapshotState::Completed,
                Some(SdkState::Error) => SnapshotState::Error,
                _ => SnapshotState::Other,
            },
            gib: snapshot.volume_size().unwrap_or_default(),
            started: snapshot.start_time().map(|time| time.secs()).unwrap_or_default(),
            encrypted: snapshot.encrypted().unwrap_or_default(),
            tags: tags(snapshot.tags()),
        })
    }
}

pub(super) fn tags(tags: &[Tag]) -> Tags {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().filter_map(pair).collect()
}
