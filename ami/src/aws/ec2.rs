//! EC2: AMIs, snapshots, instances and what lies around them as this program sees them, which is much less than the SDK does.

mod images;
mod instances;
mod machines;
mod network;
mod parse;
mod snapshots;
mod volumes;

pub use images::{Grant, NewImage};
pub use instances::NewInstance;
pub use machines::{Attachment, Instance, Volume};
pub use network::{Address, Group, Subnet};
pub use parse::{Ami, Snapshot, SnapshotState};

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};

use crate::names::Tags;

/// Only what has this tag with this value; with any value, if there is none.
fn tagged(key: &str, value: Option<&str>) -> Filter {
    match value {
        Some(value) => Filter::builder().name(format!("tag:{key}")).values(value).build(),
        None => Filter::builder().name("tag-key").values(key).build(),
    }
}

/// Tags for what the same call makes.
fn tags_for(kind: ResourceType, tags: &Tags) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(list(tags))).build()
}

fn list(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
