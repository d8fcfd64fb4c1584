//! What there is in the fake account: snapshots, images and parameters of each region, and how they settle. The rules by
//! which requests change it stand with the requests.

use super::compute::Compute;
use super::machines::Machines;
use super::{BLOCK, OWNER};
use hyper::body::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;

/// Tags of a resource.
pub(crate) type Tags = BTreeMap<String, String>;

/// Where a snapshot or an image is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not sealed, or sealed and still to be looked at so many times.
    Pending,
    /// A snapshot's `completed`, an image's `available`.
    Ready,
    /// With what is told about it.
    Failed(String),
    /// An image's only.
    Disabled,
}

/// A block as it was received.
#[derive(Clone)]
pub(crate) struct Block {
    pub(crate) data: Bytes,
    pub(crate) sum: Vec<u8>,
}

/// A snapshot.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) owner: String,
    pub(crate) gib: u64,
    /// In seconds since 1970.
    pub(crate) started: u64,
    pub(crate) description: String,
    pub(crate) tags: Tags,
    pub(crate) state: State,
    /// How many looks it takes until anyone sees it: what is made on AWS is not seen everywhere at once.
    pub(crate) unseen: u32,
    /// Minutes after which it fails if nobody writes to it.
    pub(crate) timeout: u64,
    /// No more blocks are taken.
    pub(crate) sealed: bool,
    /// How many more looks it takes until it is completed, once sealed.
    pub(crate) looks: u32,
    /// Of those that it is built on, the first: snapshots with the same one can be compared.
    pub(crate) root: String,
    pub(crate) parent: Option<String>,
    /// What it holds, its parent's blocks among it.
    pub(crate) blocks: BTreeMap<u32, Block>,
    /// Which of them were written to itself.
    pub(crate) written: BTreeSet<u32>,
    pub(crate) kms_key: Option<String>,
    pub(crate) encrypted: bool,
    /// Accounts that may make volumes from it; `all` for everyone.
    pub(crate) shared: BTreeSet<String>,
}

impl Snapshot {
    /// Writes the volume that it makes, with holes where nothing is.
    pub(crate) fn write(&self, volume: &std::fs::File) -> std::io::Result<()> {
        for (index, block) in &self.blocks {
            volume.write_all_at(&block.data, u64::from(*index) * BLOCK as u64)?;
        }
        volume.set_len(self.gib << 30)
    }

    /// The first `length` bytes of the volume that it makes.
    pub(crate) fn read(&self, length: usize) -> Vec<u8> {
        let mut volume = vec![0; length.next_multiple_of(BLOCK)];
        for (index, block) in &self.blocks {
            let at = *index as usize * BLOCK;
            if at < volume.len() {
                volume[at..at + BLOCK].copy_from_slice(&block.data);
            }
        }
        volume.truncate(length);
        volume
    }

    /// Damages a block as it lies there, with nobody told.
    pub(crate) fn flip(&mut self, index: u32) {
        let block = self.blocks.get_mut(&index).expect("a block to damage");
        let mut data = block.data.to_vec();
        data[BLOCK / 3] ^= 0x40;
        block.data = data.into();
    }
}

/// A volume that an instance of an image gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) device: String,
    pub(crate) snapshot: Option<String>,
    pub(crate) gib: u64,
    pub(crate) kind: String,
    pub(crate) delete_on_termination: bool,
    pub(crate) encrypted: bool,
}

/// An image.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) tags: Tags,
    pub(crate) state: State,
    pub(crate) looks: u32,
    /// How many looks it takes until anyone sees it.
    pub(crate) unseen: u32,
    pub(crate) architecture: String,
    pub(crate) virtualization: String,
    pub(crate) boot_mode: String,
    pub(crate) tpm: String,
    pub(crate) imds: String,
    pub(crate) ena: bool,
    pub(crate) uefi_data: Option<String>,
    pub(crate) root_device: String,
    pub(crate) mappings: Vec<Mapping>,
    /// Accounts that may launch it; `all` for everyone.
    pub(crate) launchers: BTreeSet<String>,
    pub(crate) deprecated_at: Option<String>,
    pub(crate) source: Option<(String, String)>,
    /// In seconds since 1970.
    pub(crate) created: u64,
}

impl Image {
    /// The snapshots that it is made of.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &str> {
        self.mappings.iter().filter_map(|mapping| mapping.snapshot.as_deref())
    }
}

/// A client token: what the request was and which resource it made.
pub(crate) type Tokens = BTreeMap<String, (String, String)>;

/// What there is in a region.
#[derive(Default)]
pub(crate) struct Region {
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    pub(crate) images: BTreeMap<String, Image>,
    /// Images that were there once.
    pub(crate) deregistered: BTreeSet<String>,
    pub(crate) parameters: BTreeMap<String, (String, u64)>,
    pub(crate) tokens: Tokens,
    pub(crate) compute: Compute,
}

/// An account in all regions.
pub(crate) struct Account {
    regions: BTreeMap<String, Region>,
    made: u64,
    /// How many looks it takes until what was begun is done.
    pub(crate) settle: u32,
    /// How many looks it takes until what was made is seen.
    pub(crate) lag: u32,
    /// How many blocks a page lists, if no fewer were asked for.
    pub(crate) page: usize,
    /// How many images or snapshots a page lists at most.
    pub(crate) most: usize,
    /// How the next snapshot that is completed ends, if not well.
    pub(crate) next_completion_fails: Option<String>,
    /// How many looks it takes until a system is up that was switched on.
    pub(crate) boot: u32,
    /// How many seconds later than they are asked for volumes are attached.
    pub(crate) dawdles: u64,
    /// Why the next instance never runs: a code.
    pub(crate) next_instance_fails: Option<String>,
    /// How many elastic addresses there may be in a region.
    pub(crate) most_addresses: usize,
    /// What goes wrong with hosts' consoles and APIs.
    pub(crate) host: Host,
    /// What is behind the instances, if anything is.
    pub(crate) machines: Option<Box<dyn Machines>>,
    /// How many certificates hosts have made.
    pub(crate) certificates: usize,
    /// Addresses that came into use since they were last opened.
    pub(crate) doors: Vec<String>,
    /// What must never happen, and has.
    pub(crate) violations: Vec<String>,
}

/// How hosts behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Host {
    /// As they should.
    #[default]
    Well,
    /// The console never tells the certificate.
    Mute,
    /// The API shows another certificate than the console tells.
    Impostor,
    /// The API does not answer.
    Deaf,
}

impl Default for Account {
    fn default() -> Account {
        Account {
            regions: BTreeMap::new(),
            made: 0,
            settle: 1,
            lag: 0,
            page: 100,
            most: usize::MAX,
            next_completion_fails: None,
            boot: 1,
            dawdles: 0,
            next_instance_fails: None,
            most_addresses: 5,
            host: Host::Well,
            machines: None,
            certificates: 0,
            doors: Vec::new(),
            violations: Vec::new(),
        }
    }
}

impl Account {
    /// A region; there are all that somebody asks for.
    pub(crate) fn region(&mut self, name: &str) -> &mut Region {
        let new = || Region { compute: Compute::of(name), ..Region::default() };
        self.regions.entry(name.to_owned()).or_insert_with(new)
    }

    /// An id as AWS makes them: seventeen hexadecimal digits.
    pub(crate) fn id(&mut self, kind: &str) -> String {
        self.made += 1;
        // Spread over the digits, so that no order of making shows in the order of ids.
        format!("{kind}-0{:016x}", self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Everything is so many days older; a snapshot to which nobody wrote for longer than its timeout has failed.
    pub(crate) fn days_pass(&mut self, days: u64) {
        for snapshot in self.regions.values_mut().flat_map(|region| region.snapshots.values_mut()) {
            snapshot.started -= days * 86_400;
            if snapshot.state == State::Pending && !snapshot.sealed && days * 1_440 > snapshot.timeout {
                snapshot.state = State::Failed("no blocks were written within the timeout".to_owned());
            }
        }
    }

    /// The region and the id of the instance that has a public address.
    pub(crate) fn region_of(&self, ip: &str) -> Option<(String, String)> {
        let mut each = self.regions.iter();
        each.find_map(|(name, region)| Some((name.clone(), region.compute.behind(ip)?.to_owned())))
    }

    /// All snapshots of the account's owner, with their regions.
    pub(crate) fn snapshots(&self) -> Vec<(&str, &str, &Snapshot)> {
        let all = self.regions.iter();
        let each = all.flat_map(|(name, region)| region.snapshots.iter().map(move |(id, it)| (name, id, it)));
        each.filter(|(.., it)| it.owner == OWNER)
            .map(|(name, id, it)| (name.as_str(), id.as_str(), it))
            .collect()
    }

    /// All images of the account's owner, with their regions.
    pub(crate) fn images(&self) -> Vec<(&str, &str, &Image)> {
        let all = self.regions.iter();
        let each = all.flat_map(|(name, region)| region.images.iter().map(move |(id, it)| (name, id, it)));
        each.filter(|(.., it)| it.owner == OWNER)
            .map(|(name, id, it)| (name.as_str(), id.as_str(), it))
            .collect()
    }

    /// The only snapshot that the owner has.
    pub(crate) fn only_snapshot(&self) -> (String, Snapshot) {
        let all = self.snapshots();
        let [(_, id, snapshot)] = all[..] else { panic!("{} snapshots instead of one", all.len()) };
        (id.to_owned(), snapshot.clone())
    }

    /// The only image that the owner has.
    pub(crate) fn only_image(&self) -> (String, Image) {
        let all = self.images();
        let [(_, id, image)] = all[..] else { panic!("{} images instead of one", all.len()) };
        (id.to_owned(), image.clone())
    }
}
