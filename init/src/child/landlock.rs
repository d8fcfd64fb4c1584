//! Landlock: what a child may do to files, TCP ports and processes outside of itself, set by itself when it is its user
//! already and kept by all that it executes. It says again what the root, the mounts and the packet filter say, in
//! another part of the kernel. All of ABI 6 is used and required: a host whose kernel lacks it starts no tenant.
//!
//! What it leaves to others: UDP, sockets that are files, and which addresses may be reached.

use std::io;
use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort, PathBeneath,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope,
};
use rustix::fs::{Mode, OFlags};

/// What everything that is built here needs of the kernel.
const NEEDED: ABI = ABI::V6;

/// Beyond it, nothing can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Folders of the child's own root, and what may be done to all that lies below.
    pub places: &'static [(&'static str, Reach)],
    /// TCP ports that it may bind.
    pub bind: Vec<u16>,
    /// TCP ports that it may connect to; absent when these are others' to bound.
    pub connect: Option<Vec<u16>>,
}

/// What may be done in a place. A place within another adds to what is allowed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Read and execute.
    Run,
    /// Read and execute; of a place that is one file.
    Program,
    /// Read files, and list no folder.
    Look,
    /// Read, write and cut what is there.
    Use,
    /// Anything but to execute or make devices.
    Keep,
}

/// Places of a tenant's program.
pub const TENANT: &[(&str, Reach)] =
    &[("/", Reach::Run), ("/data", Reach::Keep), ("/tmp", Reach::Keep), ("/dev", Reach::Use)];
/// Those of what fetches a release's packages, which come to be in `/app`.
pub const BUILD: &[(&str, Reach)] = &[
    ("/", Reach::Run),
    ("/app", Reach::Keep),
    ("/data", Reach::Keep),
    ("/tmp", Reach::Keep),
    ("/dev", Reach::Use),
];
/// Those of `kennel-unpack` where its root is the slot's folder: around a build, and to clear away.
pub const RELEASES_AND_BUILD: &[(&str, Reach)] = &[("/releases", Reach::Keep), ("/build", Reach::Keep)];
/// Places of `kennel-unpack`, whose root is one folder. That it executes itself is by a descriptor.
pub const UNPACK: &[(&str, Reach)] = &[("/", Reach::Keep)];

impl Reach {
    fn rights(self) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        match self {
            Self::Run => read | AccessFs::Execute,
            Self::Program => AccessFs::ReadFile | AccessFs::Execute,
            Self::Look => AccessFs::ReadFile.into(),
            Self::Use => read | AccessFs::WriteFile | AccessFs::Truncate,
            Self::Keep => {
                let no = AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
                AccessFs::from_all(NEEDED) & !no
            }
        }
    }
}

impl Fence {
    /// Puts it around the calling thread, for good. `program` is one that is executed by descriptor and lies in none of the
    /// places, as that of `kennel-unpack`: it may be read and executed, it alone.
    ///
    /// # Errors
    /// The kernel lacks a part of it, or a place is missing.
    pub(super) fn apply(&self, program: Option<&OwnedFd>) -> io::Result<()> {
        let open = |path: &str| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let places = self.places.iter().map(|(path, reach)| Ok((open(path)?, reach.rights())));
        let mut places = places.collect::<io::Result<Vec<_>>>()?;
        if let Some(program) = program {
            places.push((program.try_clone()?, AccessFs::ReadFile | AccessFs::Execute));
        }
        self.set(places).map_err(|e| io::Error::from_raw_os_error(*landlock::Errno::from(e)))
    }

    fn set(&self, places: Vec<(OwnedFd, BitFlags<AccessFs>)>) -> Result<(), RulesetError> {
        let mut net = BitFlags::from(AccessNet::BindTcp);
        if self.connect.is_some() {
            net |= AccessNet::ConnectTcp;
        }
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(NEEDED))?
            .handle_access(net)?
            .scope(Scope::from_all(NEEDED))?
            .create()?;
        for (place, rights) in places {
            rules = rules.add_rule(PathBeneath::new(place, rights))?;
        }
        for port in &self.bind {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
        }
        for port in self.connect.iter().flatten() {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        rules.restrict_self()?;
        Ok(())
    }
}

/// Whether this kernel has all that is needed.
///
/// # Errors
/// What it lacks.
pub fn available() -> Result<(), RulesetError> {
    let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    rules.handle_access(AccessFs::from_all(NEEDED))?.scope(Scope::from_all(NEEDED))?.create()?;
    Ok(())
}
