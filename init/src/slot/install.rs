//! `kennel-unpack` at work: what it can be asked to do in a slot, where that happens, and how it is started.

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};

use caps::CapsHashSet;
use kennel_model::{Limits, ReleaseId, SlotId};
use kennel_sys::clone::Namespaces;

use super::folders;
use super::launch::{Surroundings, bounds, present, text};
use crate::child::landlock::{self, Fence};
use crate::child::root::Root;
use crate::child::seccomp::table::Kind;
use crate::child::{Plan, Program};
use crate::step::{Failed, Step};

/// The program that turns an archive into a release.
const UNPACK: &str = "/usr/sbin/kennel-unpack";

/// What `kennel-unpack` is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Write a new release from its standard input, perhaps with files of this earlier one.
    Unpack(ReleaseId, Limits, Option<ReleaseId>),
    /// Tell on its standard output what a release holds.
    List(ReleaseId),
    /// Pack a release onto its standard output.
    SaveRelease(ReleaseId),
    /// Remove a release, and what is left of a build that was not ended.
    Remove(ReleaseId),
    /// Pack the tenant's data onto its standard output.
    SaveData,
    /// Copy a release to where a build may write.
    BeginBuild(ReleaseId),
    /// Make that the release, perhaps with files of this earlier one.
    EndBuild(ReleaseId, Limits, Option<ReleaseId>),
    /// Empty the folder of builds.
    WipeBuild,
    /// Unpack what is to be the tenant's data from its standard input, within what the slot may hold.
    RestoreData(Limits),
    /// Empty the folder of what is, or was, to be the tenant's data.
    WipeNewData,
    /// Empty the folder of releases.
    WipeReleases,
    /// Empty the tenant's data.
    WipeData,
}

impl Act {
    /// The folder that it happens in, which is all that `kennel-unpack` sees. Of the slot's own folder it may use two that are in it.
    pub fn folder(self, slot: SlotId) -> String {
        match self {
            Self::Unpack(..) | Self::List(_) | Self::SaveRelease(_) | Self::WipeReleases => {
                folders::releases(slot)
            }
            Self::SaveData | Self::WipeData => folders::data(slot),
            Self::RestoreData(_) | Self::WipeNewData => folders::new_data(slot),
            Self::BeginBuild(_) | Self::EndBuild(..) | Self::Remove(_) => slot.dir(),
            Self::WipeBuild => folders::build(slot),
        }
    }

    const fn places(self) -> &'static [(&'static str, landlock::Reach)] {
        match self {
            Self::BeginBuild(_) | Self::EndBuild(..) | Self::Remove(_) => landlock::RELEASES_AND_BUILD,
            _ => landlock::UNPACK,
        }
    }

    fn arguments(self) -> Vec<String> {
        match self {
            Self::Unpack(release, limits, onto) | Self::EndBuild(release, limits, onto) => {
                let act = if matches!(self, Self::Unpack(..)) { "release" } else { "end-build" };
                let bounds = [limits.release_max_bytes, limits.release_max_entries.into()];
                let numbers = [release.0.to_string()].into_iter().chain(bounds.map(|bound| bound.to_string()));
                let numbers = numbers.chain(onto.map(|onto| onto.0.to_string()));
                std::iter::once(act.to_owned()).chain(numbers).collect()
            }
            Self::BeginBuild(release) => vec!["begin-build".into(), release.0.to_string()],
            Self::List(release) => vec!["list".into(), release.0.to_string()],
            Self::Remove(release) => vec!["remove".into(), release.0.to_string()],
            Self::SaveRelease(release) => vec!["save".into(), release.0.to_string()],
            Self::SaveData => vec!["save".into()],
            Self::RestoreData(limits) => {
                let bounds = [limits.disk_max_bytes, limits.disk_max_inodes.into()];
                std::iter::once("restore".to_owned()).chain(bounds.map(|bound| bound.to_string())).collect()
            }
            Self::WipeReleases | Self::WipeData | Self::WipeNewData | Self::WipeBuild => vec!["wipe".into()],
        }
    }
}

/// The plan of `kennel-unpack` for one act: as the slot's user, in a domain of the slot's, with that one folder as its
/// root and no network.
///
/// # Errors
/// When the folder or the program is missing.
pub fn plan<'a>(
    slot: SlotId,
    act: Act,
    stdio: [BorrowedFd<'a>; 3],
    cgroup: BorrowedFd<'a>,
    around: &'a Surroundings,
) -> Result<Plan<'a>, Failed> {
    let folder = act.folder(slot);
    present("folder", &folder)?;
    let program = File::open(UNPACK).step(|| format!("open {UNPACK}"))?;
    let arguments = std::iter::once("kennel-unpack".to_owned()).chain(act.arguments());
    Ok(Plan {
        program: Program::File(OwnedFd::from(program)),
        argv: arguments.map(text).collect::<Result<_, _>>()?,
        env: vec![],
        descriptors: stdio.to_vec(),
        cgroup: Some(cgroup),
        namespaces: Namespaces::ALL,
        root: Some(Root::Folder(folder)),
        host_name: None,
        limits: bounds(64),
        uid: folders::owner(slot),
        capabilities: CapsHashSet::new(),
        context: Some(slot.install_context()),
        fence: Some(Fence { places: act.places(), bind: vec![], connect: Some(vec![]) }),
        no_new_code: true,
        filter: Some(around.filters.of(Kind::Unpack)),
        oom_score: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpack_is_told_its_bounds() {
        let limits = Limits { release_max_bytes: 10, release_max_entries: 5, ..Limits::default() };
        let (two, one) = (ReleaseId(2), ReleaseId(1));
        assert_eq!(Act::Unpack(two, limits, None).arguments(), ["release", "2", "10", "5"]);
        assert_eq!(Act::Unpack(two, limits, Some(one)).arguments(), ["release", "2", "10", "5", "1"]);
        assert_eq!(Act::BeginBuild(two).arguments(), ["begin-build", "2"]);
        assert_eq!(Act::EndBuild(two, limits, Some(one)).arguments(), ["end-build", "2", "10", "5", "1"]);
        assert_eq!(Act::List(two).arguments(), ["list", "2"]);
        assert_eq!(Act::SaveRelease(two).arguments(), ["save", "2"]);
        assert_eq!(Act::Remove(ReleaseId(2)).arguments(), ["remove", "2"]);
        let slot = SlotId::new(1).unwrap();
        assert_eq!(Act::WipeData.folder(slot), "/data/slots/0001/data");
        let limits = Limits { disk_max_bytes: 9, disk_max_inodes: 4, ..Limits::default() };
        assert_eq!(Act::RestoreData(limits).arguments(), ["restore", "9", "4"]);
        assert_eq!(Act::RestoreData(limits).folder(slot), "/data/slots/0001/data.new");
    }
}
