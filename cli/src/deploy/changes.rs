//! What of a folder has to be sent to a host that has an earlier release of it: files whose content is nowhere in that release,
//! and the names of all that is gone or elsewhere. The host makes the release from both and holds it against the digest of the
//! whole folder, so that a mistake here, or a file that changes meanwhile, is found there.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;

use kennel_model::listing::{Changes, Digest, Listing, Moved, SHORT, Sum, Thing};
use sha2::{Digest as _, Sha256};

use super::Plan;
use super::archive::write_some;
use super::plan::{Kind, PACKAGES};

/// What a folder holds, by digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// In the order of the plan.
    things: Vec<(String, Thing<Digest>)>,
    sum: Sum,
}

/// What has to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    changes: Changes,
    /// Entries of the plan that go with it, in its order.
    sent: Vec<usize>,
    counts: Counts,
}

/// How much has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Files and links that there are.
    pub files: usize,
    /// Those that are sent.
    pub changed: usize,
    /// Those that the host has elsewhere.
    pub moved: usize,
    /// Those that it has and that are no more, here or elsewhere.
    pub gone: usize,
}

impl Contents {
    /// Reads all of it; nothing when a host could not take it anyway.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(plan: &Plan) -> io::Result<Option<Self>> {
        let (mut things, mut hash, mut record) = (Vec::new(), Sha256::new(), Vec::new());
        for entry in plan.entries() {
            let Some(path) = entry.path.to_str() else { return Ok(None) };
            let thing = match &entry.kind {
                Kind::Folder => Thing::Folder,
                Kind::Link { target } => Thing::Link(Sha256::digest(target.as_os_str().as_bytes()).into()),
                Kind::File { executable, .. } => {
                    let mut content = Sha256::new();
                    io::copy(&mut File::open(plan.folder().join(path))?, &mut content)?;
                    Thing::File { executable: *executable, digest: content.finalize().into() }
                }
            };
            record.clear();
            thing.record(path, &mut record);
            hash.update(&record);
            things.push((path.to_owned(), thing));
        }
        Ok(Some(Self { things, sum: Sum(hash.finalize().into()) }))
    }

    /// Files and links that there are.
    pub fn files(&self) -> usize {
        self.things.iter().filter(|(_, thing)| *thing != Thing::Folder).count()
    }
}

impl Delta {
    /// What makes the folder of a release.
    pub fn between(listing: &Listing, contents: &Contents) -> Self {
        let had: HashMap<&str, Thing<[u8; SHORT]>> =
            listing.things.iter().map(|(path, thing)| (path.as_str(), *thing)).collect();
        // The first of those that are the same, so that the same is said of the same.
        let mut places = HashMap::new();
        for (path, thing) in &listing.things {
            if let Thing::File { executable, digest } = thing {
                places.entry((*executable, *digest)).or_insert(path.as_str());
            }
        }
        let mut counts = Counts { files: contents.files(), ..Counts::default() };
        let (mut sent, mut moved) = (Vec::new(), Vec::new());
        for (at, (path, thing)) in contents.things.iter().enumerate() {
            let now = thing.short();
            if had.get(path.as_str()) == Some(&now) {
                continue;
            }
            let place = match now {
                Thing::File { executable, digest } => places.get(&(executable, digest)),
                _ => None,
            };
            match place {
                Some(from) => {
                    counts.moved += 1;
                    moved.push(Moved { from: (*from).to_owned(), to: path.clone() });
                }
                None => {
                    counts.changed += usize::from(*thing != Thing::Folder);
                    sent.push(at);
                }
            }
        }
        let (gone, files) = gone(listing, contents);
        let elsewhere: HashSet<&str> = moved.iter().map(|moved| moved.from.as_str()).collect();
        // Packages that the host has fetched for itself were never here.
        let fetched = |path: &str| {
            path.split_once('/')
                .is_some_and(|(top, _)| PACKAGES.contains(&top) && gone.iter().any(|gone| gone == top))
        };
        counts.gone = files.iter().filter(|path| !elsewhere.contains(*path) && !fetched(path)).count();
        Self { changes: Changes { sum: contents.sum, gone, moved }, sent, counts }
    }

    /// How much has changed.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Bytes of the files that are sent.
    pub fn bytes(&self, plan: &Plan) -> u64 {
        let sizes = self.sent.iter().map(|at| match plan.entries()[*at].kind {
            Kind::File { size, .. } => size,
            _ => 0,
        });
        sizes.sum()
    }

    /// Writes all that is sent.
    ///
    /// # Errors
    /// When something cannot be read or has changed since, or `out` takes no more.
    pub fn write<W: Write>(&self, plan: &Plan, mut out: W) -> io::Result<W> {
        let said = serde_json::to_vec(&self.changes)?;
        let length = u32::try_from(said.len()).map_err(io::Error::other)?;
        out.write_all(&length.to_be_bytes())?;
        out.write_all(&said)?;
        write_some(plan, self.sent.iter().map(|at| &plan.entries()[*at]), out)
    }
}

/// What is no more, a folder for all that was in it; and all files and links of that.
fn gone<'l>(listing: &'l Listing, contents: &Contents) -> (Vec<String>, Vec<&'l str>) {
    let now: HashMap<&str, bool> =
        contents.things.iter().map(|(path, thing)| (path.as_str(), *thing == Thing::Folder)).collect();
    let (mut gone, mut files, mut folders) = (Vec::new(), Vec::new(), HashSet::new());
    for (path, thing) in &listing.things {
        let was_folder = *thing == Thing::Folder;
        // A file that is a folder now is replaced by what is sent; a folder that is none has to go first.
        if now.get(path.as_str()).is_some_and(|is_folder| *is_folder || !was_folder) {
            continue;
        }
        let with_its_folder = path.rsplit_once('/').is_some_and(|(folder, _)| folders.contains(folder));
        if was_folder {
            folders.insert(path.as_str());
        } else {
            files.push(path.as_str());
        }
        if !with_its_folder {
            gone.push(path.clone());
        }
    }
    (gone, files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn contents(folder: &Path) -> (Plan, Contents) {
        let plan = Plan::of(folder).unwrap();
        let contents = Contents::of(&plan).unwrap().unwrap();
        (plan, contents)
    }

    /// As its host would tell it.
    fn listed(contents: &Contents) -> Listing {
        let things = contents.things.iter().map(|(path, thing)| (path.clone(), thing.short()));
        Listing { things: things.collect(), sum: contents.sum }
    }

    fn fill(folder: &Path) {
        for (path, text) in
            [("a/deep/x", "x"), ("a/deep/y", "y"), ("a-b", "ab"), ("server.js", "one"), ("run", "#!")]
        {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::set_permissions(folder.join("run"), PermissionsExt::from_mode(0o755)).unwrap();
        symlink("server.js", folder.join("link")).unwrap();
    }

    fn archived(delta: &Delta, plan: &Plan) -> Vec<String> {
        let written = delta.write(plan, Vec::new()).unwrap();
        let (length, rest) = written.split_first_chunk::<4>().unwrap();
        let (said, archive) = rest.split_at(u32::from_be_bytes(*length) as usize);
        assert_eq!(serde_json::from_slice::<Changes>(said).unwrap(), delta.changes);
        let mut archive = tar::Archive::new(archive);
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn of_the_same_nothing_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let (plan, contents) = contents(dir.path());
        let delta = Delta::between(&listed(&contents), &contents);
        assert_eq!(delta.counts(), Counts { files: 6, ..Counts::default() });
        assert_eq!((archived(&delta, &plan), delta.bytes(&plan)), (vec![], 0));
        assert!(delta.changes.gone.is_empty() && delta.changes.moved.is_empty());
    }

    #[test]
    fn what_is_new_other_elsewhere_and_gone_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let before = listed(&contents(dir.path()).1);
        let at = |path: &str| dir.path().join(path);
        std::fs::write(at("server.js"), "two!").unwrap();
        std::fs::create_dir(at("new")).unwrap();
        std::fs::rename(at("a/deep/x"), at("new/x")).unwrap();
        std::fs::remove_dir_all(at("a/deep")).unwrap();
        std::fs::set_permissions(at("run"), PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::remove_file(at("link")).unwrap();
        symlink("run", at("link")).unwrap();
        let (plan, now) = contents(dir.path());
        let delta = Delta::between(&before, &now);
        assert_eq!(archived(&delta, &plan), ["link", "new", "run", "server.js"]);
        assert_eq!(delta.changes.gone, ["a/deep"], "with all that was in it");
        assert_eq!(delta.changes.moved, [Moved { from: "a/deep/x".into(), to: "new/x".into() }]);
        assert_eq!(delta.counts(), Counts { files: 5, changed: 3, moved: 1, gone: 1 });
        assert_eq!(delta.bytes(&plan), 4 + 2);
    }

    #[test]
    fn packages_that_the_host_has_fetched_are_not_missed() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        for folder in ["node_modules/a", "lib"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join("i.js"), folder).unwrap();
        }
        let before = listed(&contents(dir.path()).1);
        for folder in ["node_modules", "lib"] {
            std::fs::remove_dir_all(dir.path().join(folder)).unwrap();
        }
        let delta = Delta::between(&before, &contents(dir.path()).1);
        assert_eq!(delta.changes.gone, ["lib", "node_modules"], "they are the host's to fetch anew");
        assert_eq!(delta.counts().gone, 1);
    }

    #[test]
    fn a_folder_that_is_a_file_now_goes_first_and_the_other_way_round_it_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let before = listed(&contents(dir.path()).1);
        std::fs::remove_dir_all(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a"), "file").unwrap();
        std::fs::remove_file(dir.path().join("a-b")).unwrap();
        std::fs::create_dir(dir.path().join("a-b")).unwrap();
        let (plan, now) = contents(dir.path());
        let delta = Delta::between(&before, &now);
        assert_eq!(
            (archived(&delta, &plan), &delta.changes.gone),
            (vec!["a".into(), "a-b".into()], &vec!["a".into()])
        );
    }
}
