//! Puts the data of a file system's files where it stays from one version of the image to the next, so that a change of one
//! program changes little more of the image than that program (docs/decisions/0006-unchanged-files-stay-in-place.md).
//! `mkfs.erofs` writes one file behind the other: when one grows by a block, all behind it move.
//!
//! First comes what is another in nearly every version: inodes, names and small files, and then Kennel's own files, each with
//! room to grow. Behind them, at a place that all this does not reach, lies what comes from packages; last the runtimes, each
//! with room. Room is a hole: it takes no bytes of the image, only its share of the hash tree.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::BuildError;
use super::format::{BLOCK, FormatError, Node, Volume, renumber};

/// In blocks, as everything here.
const MIB: usize = (1 << 20) / BLOCK;
/// What is uploaded, or not, as one.
const UPLOAD: usize = MIB / 2;
/// Where packages begin, if Kennel's own files do not need more.
const FRONT: usize = 32 * MIB;
/// The whole is a multiple of this, so that the hash tree behind it stays where it is. Large room is, too.
const WHOLE: usize = 16 * MIB;

/// Whose a file is, and by that how often it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::image) enum Origin {
    /// Kennel's own.
    Own,
    /// From a package.
    Package,
    /// A runtime's image.
    Runtime,
}

/// Moves the data of the image's files; the image becomes a sparse file.
///
/// # Errors
/// When the image cannot be read or written, or is of a form that is not known here.
pub(super) fn arrange(image: &Path, origin: fn(&str) -> Origin) -> Result<(), BuildError> {
    let bytes = std::fs::read(image).map_err(BuildError::io(image))?;
    let mut volume = Volume::open(bytes)?;
    let nodes = volume.nodes()?;
    let plan = Plan::of(volume.bytes.len() / BLOCK, &nodes, origin)?;
    plan.renumber(&mut volume, &nodes)?;
    plan.write(&volume, image).map_err(BuildError::io(image))
}

/// Where every block goes.
struct Plan {
    to: Vec<usize>,
    blocks: usize,
}

impl Plan {
    fn of(blocks: usize, nodes: &[Node], origin: fn(&str) -> Origin) -> Result<Self, FormatError> {
        let mut files: Vec<_> = nodes.iter().filter(|node| node.regular && !node.data.is_empty()).collect();
        files.sort_unstable_by_key(|node| &node.path);
        let of = |wanted| files.iter().copied().filter(move |file| origin(&file.path) == wanted);

        let mut places = Places { to: vec![None; blocks], end: 0 };
        let claimed: usize = files.iter().map(|file| file.data.len()).sum();
        places.end = room(blocks.saturating_sub(claimed));
        for file in of(Origin::Own) {
            places.put(file, room(file.data.len()))?;
        }
        places.end = places.end.next_multiple_of(FRONT);
        let start = places.end;
        for file in of(Origin::Package) {
            places.put(file, file.data.len())?;
        }
        places.end = start + room(places.end - start);
        for file in of(Origin::Runtime) {
            places.put(file, room(file.data.len()))?;
        }
        Ok(Self { to: places.with_the_rest_in_front(), blocks: places.end.next_multiple_of(WHOLE) })
    }

    /// Brings every number of a block and of an inode up to date.
    fn renumber(&self, volume: &mut Volume, nodes: &[Node]) -> Result<(), FormatError> {
        const FAR: FormatError = FormatError("a block behind its end");
        for node in nodes {
            let start = node.data.start;
            let moved = self.to.get(start).ok_or(FAR)?.wrapping_sub(start) as u32;
            for &at in &node.addresses {
                let address = volume.u32(at)?.wrapping_add(moved);
                volume.put(at, &address.to_le_bytes())?;
            }
            for &at in &node.links {
                let number = renumber(volume.u64(at)?, |block| self.to.get(block).copied()).ok_or(FAR)?;
                volume.put(at, &number.to_le_bytes())?;
            }
        }
        // The root's number has 16 bits in the superblock. It and the attributes that inodes share are written before all data.
        let root = volume.root()?;
        if renumber(root, |block| self.to.get(block).copied()) != Some(root) {
            return Err(FormatError("a root behind the first data"));
        }
        volume.finish(u32::try_from(self.blocks).map_err(|_| FAR)?)
    }

    fn write(&self, volume: &Volume, image: &Path) -> io::Result<()> {
        let file = File::create(image)?;
        file.set_len((self.blocks * BLOCK) as u64)?;
        let mut from = 0;
        while from < self.to.len() {
            // Blocks that stay together are written together.
            let run = (from + 1..self.to.len()).find(|&n| self.to[n] != self.to[from] + (n - from));
            let end = run.unwrap_or(self.to.len());
            file.write_all_at(&volume.bytes[from * BLOCK..end * BLOCK], (self.to[from] * BLOCK) as u64)?;
            from = end;
        }
        Ok(())
    }
}

/// A plan in the making.
struct Places {
    to: Vec<Option<usize>>,
    end: usize,
}

impl Places {
    /// Puts a file's data at the end, which then lies so many blocks further on.
    fn put(&mut self, file: &Node, room: usize) -> Result<(), FormatError> {
        let places = self.to.get_mut(file.data.clone()).ok_or(FormatError("data behind its end"))?;
        for (place, at) in places.iter_mut().zip(self.end..) {
            if place.replace(at).is_some() {
                return Err(FormatError("files that share blocks"));
            }
        }
        self.end += room;
        Ok(())
    }

    /// What belongs to no file keeps its order, since an inode may reach over several blocks.
    fn with_the_rest_in_front(&self) -> Vec<usize> {
        let mut front = 0..;
        self.to.iter().map(|place| place.or_else(|| front.next()).unwrap_or_default()).collect()
    }
}

/// So many blocks with an eighth to grow, in large steps, so that it is seldom that one is taken and all behind it moves:
/// the next power of two, from 16 MiB on a multiple of that.
fn room(blocks: usize) -> usize {
    let wanted = (blocks + blocks / 8).max(UPLOAD);
    wanted.next_multiple_of(wanted.next_power_of_two().min(WHOLE))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::ops::Range;
    use std::process::Command;

    use super::*;

    /// Bytes that compress to about half.
    fn noise(seed: u32, bytes: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 28) as u8
        };
        (0..bytes).map(|_| next()).collect()
    }

    fn origin(path: &str) -> Origin {
        match () {
            () if path.starts_with("/own/") => Origin::Own,
            () if path.starts_with("/runtimes/") => Origin::Runtime,
            () => Origin::Package,
        }
    }

    /// An arranged image of files of all kinds, and where their data lies.
    fn build(own: usize, runtime: usize) -> (Vec<u8>, BTreeMap<String, Range<usize>>) {
        let folder = tempfile::tempdir().unwrap();
        let [tree, image, back] = ["tree", "image", "back"].map(|name| folder.path().join(name));
        for inside in ["own", "lib", "runtimes"] {
            fs::create_dir_all(tree.join(inside)).unwrap();
        }
        fs::write(tree.join("own/a"), noise(1, own)).unwrap();
        fs::write(tree.join("own/b"), noise(2, 3 << 20)).unwrap();
        fs::write(tree.join("runtimes/one"), noise(3, runtime)).unwrap();
        for n in 0..300usize {
            fs::write(tree.join(format!("lib/a-name-of-some-length-{n}")), noise(n as u32, n * 499)).unwrap();
        }
        std::os::unix::fs::symlink("own/a", tree.join("link")).unwrap();
        let output = Command::new("mkfs.erofs")
            .args(["-zlz4hc,9", "-C65536", "-T1"])
            .args([&image, &tree])
            .output()
            .expect("erofs-utils is needed for this test: run `make deps`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        arrange(&image, origin).unwrap();
        let check =
            Command::new("fsck.erofs").arg(format!("--extract={}", back.display())).arg(&image).output();
        let check = check.unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
        let same = Command::new("diff").arg("-r").args([&tree, &back]).output().unwrap();
        assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
        let bytes = fs::read(&image).unwrap();
        let nodes = Volume::open(bytes.clone()).unwrap().nodes().unwrap();
        (bytes, nodes.into_iter().filter(|node| node.regular).map(|node| (node.path, node.data)).collect())
    }

    #[test]
    fn what_did_not_change_stays_in_its_place() {
        let (one, before) = build(2 << 20, 5 << 20);
        let (two, grown) = build((2 << 20) + 150_000, (5 << 20) + 400_000);
        assert_eq!(one.len() % (WHOLE * BLOCK), 0);
        assert_eq!(one.len(), two.len());
        for (path, place) in &before {
            let changed = path == "/own/a" || path == "/runtimes/one";
            assert_eq!(grown[path] != *place, changed, "{path}: {place:?} and {:?}", grown[path]);
            assert_eq!(grown[path].start, place.start, "{path}");
        }
        assert_eq!(before["/own/a"].start % UPLOAD, 0);
        assert!(before["/own/b"].start > before["/own/a"].start);
        assert!(before["/runtimes/one"].start > before["/lib/a-name-of-some-length-299"].start);
    }

    #[test]
    fn an_image_of_another_form_is_refused() {
        let (bytes, _) = build(100, 100);
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] ^= byte;
            Volume::open(bytes).err().map(|error| error.to_string())
        };
        assert_eq!(with(5000, 1), None);
        assert!(with(1024 + 80, 0x10).unwrap().contains("unknown feature"));
        assert!(with(1024 + 40, 1).unwrap().contains("points elsewhere"));
        assert!(with(1024 + 50, 1).unwrap().contains("checksum"));
        assert!(Volume::open(vec![0; BLOCK]).is_err() && Volume::open(Vec::new()).is_err());
    }
}
