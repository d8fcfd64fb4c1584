//! What there is of compute in a region: instances, volumes, security groups, elastic addresses and the network that they
//! are in. How they come and go is in `life`; the requests have files of their own.

use super::account::Tags;
use std::collections::{BTreeMap, BTreeSet};

/// Where an instance is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Running,
    Stopping,
    Stopped,
    ShuttingDown,
    Terminated,
}

impl Phase {
    /// EC2's number and word for it.
    pub(crate) fn named(self) -> (u16, &'static str) {
        match self {
            Phase::Pending => (0, "pending"),
            Phase::Running => (16, "running"),
            Phase::ShuttingDown => (32, "shutting-down"),
            Phase::Terminated => (48, "terminated"),
            Phase::Stopping => (64, "stopping"),
            Phase::Stopped => (80, "stopped"),
        }
    }
}

/// How far a system has come since it was last switched on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Boot {
    /// How many more looks it takes until the API answers and the console tells so.
    pub(crate) looks: u32,
    /// The disk for data that it found, at once or while it waited, without which there is no API.
    pub(crate) data: Option<String>,
    /// How often it was switched on or started again.
    pub(crate) count: u32,
}

/// What the metadata service of an instance is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) tokens: String,
    pub(crate) hops: u64,
    pub(crate) endpoint: String,
    pub(crate) tags: String,
}

/// A virtual machine.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) image: String,
    pub(crate) kind: String,
    pub(crate) phase: Phase,
    /// How many more looks it takes until the phase's end, if it has one.
    pub(crate) looks: u32,
    /// How many looks it takes until anyone sees it.
    pub(crate) unseen: u32,
    /// Why it ended, if not on demand: a code and a sentence.
    pub(crate) doom: Option<(String, String)>,
    /// Whether it never gets beyond pending, because of `doom`.
    pub(crate) doomed: bool,
    pub(crate) tags: Tags,
    pub(crate) subnet: String,
    pub(crate) zone: String,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) key: Option<String>,
    pub(crate) profile: Option<String>,
    /// As it was sent: base64.
    pub(crate) user_data: String,
    pub(crate) metadata: Metadata,
    pub(crate) spot: bool,
    /// Whether its network gives it an address of its own.
    pub(crate) public: bool,
    pub(crate) address: Option<String>,
    pub(crate) private: String,
    pub(crate) root_device: String,
    pub(crate) token: Option<String>,
    pub(crate) protected: bool,
    /// When it was last started, in seconds since 1970.
    pub(crate) launched: u64,
    pub(crate) boot: Boot,
}

/// A volume's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) instance: String,
    pub(crate) device: String,
    pub(crate) delete_on_termination: bool,
    /// `attaching`, `attached` or `detaching`.
    pub(crate) state: &'static str,
    pub(crate) looks: u32,
    /// When it was asked for, in seconds since 1970.
    pub(crate) since: u64,
}

/// A disk.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    pub(crate) gib: u64,
    pub(crate) kind: String,
    pub(crate) encrypted: bool,
    pub(crate) snapshot: Option<String>,
    pub(crate) zone: String,
    pub(crate) tags: Tags,
    pub(crate) created: u64,
    pub(crate) attachment: Option<Attachment>,
    /// Tenants' data are on it: it must never be deleted, torn out of a system that runs, or given to two.
    pub(crate) precious: bool,
    /// The number of the certificate that the system made on it, once it has.
    pub(crate) certificate: Option<usize>,
}

/// What a security group lets in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Permission {
    pub(crate) protocol: String,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) cidr: String,
}

/// A security group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) vpc: String,
    pub(crate) tags: Tags,
    pub(crate) permissions: BTreeSet<Permission>,
    pub(crate) unseen: u32,
}

/// An elastic address.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) ip: String,
    pub(crate) tags: Tags,
    /// The association's id and the instance.
    pub(crate) at: Option<(String, String)>,
}

/// A part of a network in one zone.
#[derive(Clone, Debug)]
pub(crate) struct Subnet {
    pub(crate) vpc: String,
    pub(crate) zone: String,
    pub(crate) default: bool,
    /// Whether instances in it get a public address.
    pub(crate) public: bool,
}

/// All of it, in one region.
#[derive(Default)]
pub(crate) struct Compute {
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) addresses: BTreeMap<String, Address>,
    pub(crate) subnets: BTreeMap<String, Subnet>,
    /// Networks; of each, whether it is the default one.
    pub(crate) vpcs: BTreeMap<String, bool>,
    pub(crate) keys: BTreeSet<String>,
}

impl Compute {
    /// What an account has from its first day: a network with a group, and a subnet in each of three zones.
    pub(crate) fn of(region: &str) -> Compute {
        let vpc = "vpc-0f00000000000000f".to_owned();
        let mut compute = Compute { vpcs: [(vpc.clone(), true)].into(), ..Compute::default() };
        for zone in ["a", "b", "c"] {
            let subnet =
                Subnet { vpc: vpc.clone(), zone: format!("{region}{zone}"), default: true, public: true };
            compute.subnets.insert(format!("subnet-0{zone}00000000000000{zone}"), subnet);
        }
        let group = Group {
            name: "default".to_owned(),
            description: "default VPC security group".to_owned(),
            vpc,
            tags: Tags::new(),
            permissions: BTreeSet::new(),
            unseen: 0,
        };
        compute.groups.insert("sg-0d00000000000000d".to_owned(), group);
        compute.keys.insert("alice".to_owned());
        compute
    }

    /// The volumes at an instance, with their ids.
    pub(crate) fn at<'a>(
        &'a self,
        instance: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Volume, &'a Attachment)> {
        self.volumes.iter().filter_map(move |(id, volume)| {
            let attachment = volume.attachment.as_ref().filter(|it| it.instance == instance)?;
            Some((id.as_str(), volume, attachment))
        })
    }

    /// The volume that is an instance's disk for data, if it has one.
    pub(crate) fn data_of(&self, instance: &str) -> Option<String> {
        let root = &self.instances.get(instance)?.root_device;
        self.at(instance)
            .find(|(.., it)| it.device != *root && it.state != "detaching")
            .map(|(id, ..)| id.to_owned())
    }

    /// The public address of an instance: an elastic one before its own.
    pub(crate) fn public_address(&self, instance: &str) -> Option<&str> {
        let elastic = self.addresses.values().find(|it| it.at.as_ref().is_some_and(|(_, at)| at == instance));
        elastic.map(|it| it.ip.as_str()).or_else(|| self.instances.get(instance)?.address.as_deref())
    }

    /// The instance that is behind a public address.
    pub(crate) fn behind(&self, ip: &str) -> Option<&str> {
        self.instances.keys().map(String::as_str).find(|id| self.public_address(id) == Some(ip))
    }

    /// Instances that are there and will not be gone in a moment.
    pub(crate) fn living(&self) -> Vec<(&str, &Instance)> {
        let gone = |it: &Instance| matches!(it.phase, Phase::ShuttingDown | Phase::Terminated);
        self.instances.iter().filter(|(_, it)| !gone(it)).map(|(id, it)| (id.as_str(), it)).collect()
    }

    /// Whether the groups of an instance let a peer connect to a port of TCP.
    pub(crate) fn admits(&self, instance: &Instance, port: i64, peer: std::net::Ipv4Addr) -> bool {
        let of = instance.groups.iter().filter_map(|id| self.groups.get(id));
        of.flat_map(|group| &group.permissions).any(|it| {
            let open = it.protocol == "-1" || (it.protocol == "tcp" && it.from <= port && port <= it.to);
            open && within(&it.cidr, peer)
        })
    }
}

/// Whether an address of IPv4 is in a range.
fn within(cidr: &str, peer: std::net::Ipv4Addr) -> bool {
    let Some((net, bits)) = parse_cidr(cidr) else { return false };
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    u32::from(net) & mask == u32::from(peer) & mask
}

/// A range of IPv4, if it is one.
pub(crate) fn parse_cidr(cidr: &str) -> Option<(std::net::Ipv4Addr, u32)> {
    let (net, bits) = cidr.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    Some((net.parse().ok()?, bits)).filter(|_| bits <= 32)
}
