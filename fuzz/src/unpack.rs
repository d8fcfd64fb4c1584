//! `kennel-unpack` over any bytes, in a folder with something valuable beside it. Judged twice: by what lies on the disk
//! afterwards, and by what the tar crate, which has a reader of its own, finds in the same bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::{Component, Path, PathBuf};

use kennel_unpack::{Bounds, MAX_DEPTH, MAX_NAME_BYTES, MAX_PATH_BYTES, Unpacked, unpack_release};

use crate::tree::{self, Node};

const BLOCK: usize = 512;
/// Small, so that they are reached.
const BOUNDS: Bounds = Bounds { bytes: 8 << 10, entries: 12 };

/// Unpacks the bytes as they are, and again with every checksum put right, without which no change of a header would
/// be looked at.
///
/// # Panics
/// When something is written outside the release, is more than it may be, is left behind, or differs from the archive.
pub fn run(data: &[u8]) {
    unpack(data);
    let mended = mend(data);
    if mended != data {
        unpack(&mended);
    }
}

fn unpack(archive: &[u8]) {
    let slot = tempfile::Builder::new().prefix("unpack").tempdir_in(scratch());
    let slot = slot.unwrap_or_else(|e| panic!("no folder to unpack in: {e}"));
    let releases = slot.path().join("releases");
    prepare(slot.path()).unwrap_or_else(|e| panic!("the folder cannot be prepared: {e}"));
    let folder = File::open(&releases).unwrap_or_else(|e| panic!("{e}"));
    let result = unpack_release(archive, folder.as_fd(), 1, BOUNDS);
    let mut around = tree::list(slot.path());
    let release = PathBuf::from("releases/1");
    around.retain(|path, _| !path.starts_with(&release));
    assert_eq!(around, valuables(), "something beside the release has changed");
    match result {
        Ok(unpacked) => judge(&releases.join("1"), &unpacked, archive),
        Err(error) => {
            assert!(fs::symlink_metadata(slot.path().join(release)).is_err(), "{error}, and yet it is there");
            assert!(!error.to_string().contains('\n'), "the reason is one line: {error}");
        }
    }
}

/// In memory where that is possible: each run makes and flushes files.
fn scratch() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

fn prepare(slot: &Path) -> std::io::Result<()> {
    for (path, node) in valuables() {
        match node {
            Node::File(content, _) => fs::write(slot.join(path), content)?,
            _ => fs::create_dir(slot.join(path))?,
        }
    }
    Ok(())
}

/// What lies beside the release and must lie there afterwards.
fn valuables() -> BTreeMap<PathBuf, Node> {
    let file = |text: &str| Node::File(text.into(), false);
    [
        ("precious", file("precious")),
        ("releases", Node::Folder),
        ("releases/7", Node::Folder),
        ("releases/7/server", file("another release")),
    ]
    .map(|(path, node)| (path.into(), node))
    .into()
}

fn judge(release: &Path, said: &Unpacked, archive: &[u8]) {
    let found = tree::list(release);
    let bytes: usize =
        found.values().map(|n| if let Node::File(content, _) = n { content.len() } else { 0 }).sum();
    // Hard links are one content with two names.
    assert!(said.bytes <= BOUNDS.bytes && said.bytes <= bytes as u64, "{said:?}");
    assert!(said.entries <= BOUNDS.entries && found.len() <= said.entries as usize, "{said:?}: {found:?}");
    assert_eq!(said.found.validate(), Ok(()), "{said:?}");
    assert!(said.found.top.iter().all(|name| found.contains_key(Path::new(name))));
    for (path, node) in &found {
        let names = path.as_os_str().as_encoded_bytes().split(|b| *b == b'/');
        assert!(names.clone().count() <= MAX_DEPTH && path.as_os_str().len() <= MAX_PATH_BYTES);
        assert!(names.clone().all(|name| name.len() <= MAX_NAME_BYTES));
        if let Node::Link(_) = node {
            stays_inside(release, path);
        }
    }
    compare(&found, archive);
}

/// Where a link leads to, if anywhere, is inside the release.
fn stays_inside(release: &Path, link: &Path) {
    if let (Ok(home), Ok(end)) = (release.canonicalize(), release.join(link).canonicalize()) {
        assert!(end.starts_with(home), "{link:?} leads to {end:?}");
    }
}

/// The tar crate's reader must find in an archive that was accepted what lies on the disk.
fn compare(found: &BTreeMap<PathBuf, Node>, archive: &[u8]) {
    let mut left = found.clone();
    let mut other = tar::Archive::new(archive);
    let entries = other.entries().unwrap_or_else(|e| panic!("the tar crate cannot read it: {e}"));
    for entry in entries {
        let mut entry = entry.unwrap_or_else(|e| panic!("the tar crate cannot read on: {e}"));
        // Passed over here, an entry there.
        if entry.header().entry_type().is_pax_global_extensions() {
            continue;
        }
        let path = entry.path().unwrap_or_else(|e| panic!("the tar crate finds no path: {e}"));
        let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        let node = found.get(&path);
        let mut content = Vec::new();
        let read = entry.read_to_end(&mut content);
        assert!(read.is_ok(), "{path:?} cannot be read");
        match (entry.header().entry_type(), node) {
            (tar::EntryType::Directory, node) => {
                assert!(node == Some(&Node::Folder) || path.as_os_str().is_empty())
            }
            (tar::EntryType::Symlink, node) => {
                let target = entry.link_name().ok().flatten().map(|target| target.into_owned());
                assert_eq!(target.map(Node::Link).as_ref(), node, "{path:?}");
            }
            (tar::EntryType::Link, Some(Node::File(..))) | (_, Some(Node::Folder)) => {}
            (_, Some(Node::File(on_disk, _))) => assert_eq!(&content, on_disk, "{path:?}"),
            (kind, node) => panic!("{path:?} is {kind:?} in the archive and {node:?} on the disk"),
        }
        left.remove(&path);
    }
    // Folders on the way are made without being asked for.
    left.retain(|_, node| *node != Node::Folder);
    assert!(left.is_empty(), "not in the archive: {left:?}");
}

/// The same archive with right checksums, found by walking it as a reader would.
fn mend(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let mut at = 0;
    while let Some(block) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..BLOCK)) {
        let mut header = [0; BLOCK];
        header.copy_from_slice(block);
        if header.iter().all(|b| *b == 0) {
            break;
        }
        let mut header = tar::Header::from_byte_slice(&header).clone();
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let size = header.entry_size().unwrap_or(0);
        let size = usize::try_from(size).unwrap_or(usize::MAX).checked_next_multiple_of(BLOCK);
        match size.and_then(|size| size.checked_add(BLOCK)?.checked_add(at)) {
            Some(next) => at = next,
            None => break,
        }
    }
    bytes
}

/// Good releases, and traps.
pub fn seeds() -> Vec<Vec<u8>> {
    use tar::EntryType::{Char, Directory, Fifo, GNULongName, Link, Regular, Symlink, XGlobalHeader, XHeader};
    let long = format!("{}\0", "folder/".repeat(20));
    [
        &[(Directory, "app/", "", ""), (Regular, "app/server", "", "#!"), (Regular, "package.json", "", "{}")]
            [..],
        &[(Regular, "a", "", "1"), (Symlink, "b", "a", ""), (Link, "c", "a", "")],
        &[(XHeader, "x", "", "17 path=from-pax\n12 mtime=1.5\n"), (Regular, "a", "", "1")],
        &[(GNULongName, "././@LongLink", "", &long), (Regular, "a", "", "1")],
        &[(XGlobalHeader, "g", "", "15 comment=a\nb\n"), (Regular, "a", "", "1")],
        &[(Symlink, "out", "../..", ""), (Regular, "out/x", "", "1")],
        &[(Symlink, "a", "b/..", ""), (Symlink, "b", "a/../..", "")],
        &[(Regular, "../../precious", "", "1")],
        &[(Regular, "/etc/passwd", "", "1")],
        &[(Char, "null", "", ""), (Fifo, "pipe", "", "")],
        &[(Link, "other", "../7/server", "")],
        &[
            (
                Regular,
                "package.json",
                "",
                r#"{"scripts": {"start": "next start -p $PORT"}, "engines": {"node": "24"}}"#,
            ),
            (Symlink, "node_modules/.bin/next", "../next/x", ""),
            (Regular, "node_modules/next/x", "", "#!/usr/bin/env node\n"),
        ],
        &[
            (Regular, "Procfile", "", "web: npm start\nworker: x"),
            (Regular, "package.json", "", r#"{"scripts": {"start": "node a"}}"#),
        ],
        &[
            (Regular, "kennel.toml", "", "[app]\ncommand = [\"./server\"]"),
            (Regular, "server", "", "\x7fELF\x02\x01\x01"),
        ],
    ]
    .map(archive)
    .into()
}

fn archive(entries: &[(tar::EntryType, &str, &str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, link, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        // Written as they are: the crate's own setters refuse the traps.
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}
