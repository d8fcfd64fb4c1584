//! A tree becomes an EROFS image: written as a tar with PAX headers (which carry the labels) into `mkfs.erofs`, with
//! fixed times and a UUID derived from the contents, and for the host's root arranged anew. Images are cached by everything
//! that they depend on.

mod arrange;
mod format;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::BuildError;
use super::cache::Cache;
use super::tools::{self, Tools};
use super::tree::{Kind, Node, Tree};
use crate::digest::Sha256;

pub(super) use arrange::Origin;
pub(super) use format::FormatError;

/// 2025-01-01, the time of every file and of the file system.
const TIME: u64 = 1_735_689_600;
/// Of what was measured with Node (123 MiB): lz4hc level 9 in clusters of 64 KiB gives 52 MiB in 5 s, level 12 hardly
/// less in three times the time, clusters of 4 KiB 66 MiB; zstd 42 MiB in 14 s and up, but it takes several times as
/// long to read, which shows under emulation.
const COMPRESSION: [&str; 2] = ["-zlz4hc,9", "-C65536"];
/// Name of the image in its folder of the cache.
const IMAGE: &str = "image";
/// Changes when the same tree and tool would give another image.
const RECIPE: u32 = 2;

/// How an image is made of a tree.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style<'a> {
    /// Files that match one of these extended regular expressions are not compressed again.
    pub stored: &'a [&'a str],
    /// Whose a file is, for images whose files are to stay in their places from version to version.
    pub origin: Option<fn(&str) -> Origin>,
}

/// Makes the image or finds it in the cache; gives its path.
///
/// # Errors
/// When the cache cannot be written, mkfs.erofs fails, or what it wrote cannot be arranged.
pub(super) fn make(
    tree: &Tree,
    kind: &str,
    style: Style<'_>,
    tools: &Tools,
    cache: &Cache,
) -> Result<PathBuf, BuildError> {
    let digest = tree.digest();
    let (stored, arranged) = (style.stored, style.origin.is_some());
    let recipe = format!("{RECIPE} {TIME} {COMPRESSION:?} {stored:?} {arranged} {} {digest}", tools.digest());
    let folder = cache.entry(kind, &Sha256::of(recipe.as_bytes()), |folder| {
        write(tree, &uuid(&digest).to_string(), stored, tools, folder)?;
        style.origin.map_or(Ok(()), |origin| arrange::arrange(&folder.join(IMAGE), origin))
    })?;
    Ok(folder.join(IMAGE))
}

/// A UUID made of a digest's first bytes.
pub(super) fn uuid(digest: &Sha256) -> uuid::Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn write(tree: &Tree, uuid: &str, stored: &[&str], tools: &Tools, folder: &Path) -> Result<(), BuildError> {
    let hints = folder.join("hints");
    let text: String = stored.iter().map(|pattern| format!("0 {pattern}\n")).collect();
    std::fs::write(&hints, text).map_err(BuildError::io(&hints))?;
    let mut command = tools.command("mkfs.erofs")?;
    command.args(["--quiet", "--tar=f", "-U", uuid, &format!("-T{TIME}"), "--all-time"]);
    command.args(COMPRESSION);
    if !stored.is_empty() {
        command.arg("--compress-hints=hints");
    }
    // The archive comes by standard input.
    command.arg(IMAGE);
    tools::run("mkfs.erofs", command, folder, |input| {
        write_tar(tree, io::BufWriter::with_capacity(1 << 20, input))
    })
}

/// The tree as a tar in POSIX format, with labels as `SCHILY.xattr.security.selinux`.
fn write_tar(tree: &Tree, out: impl Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    for (path, node) in tree.iter() {
        append(&mut tar, path, node)?;
    }
    tar.into_inner()?.flush()
}

fn append(tar: &mut tar::Builder<impl Write>, path: &str, node: &Node) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(node.mode);
    header.set_uid(node.uid.into());
    header.set_gid(node.gid.into());
    header.set_mtime(TIME);
    header.set_size(0);
    // Names are in the PAX header, so that they may have any length.
    let name = if path == "/" { "./" } else { &path[1..] };
    let mut pax = vec![("path", name.as_bytes())];
    pax.extend(node.label.iter().map(|label| ("SCHILY.xattr.security.selinux", label.as_bytes())));
    header.set_entry_type(match &node.kind {
        Kind::Folder => tar::EntryType::Directory,
        Kind::File(_) => tar::EntryType::Regular,
        Kind::Symlink(_) => tar::EntryType::Symlink,
    });
    match &node.kind {
        Kind::Folder => {}
        Kind::File(content) => header.set_size(content.size()),
        Kind::Symlink(target) => pax.push(("linkpath", target.as_bytes())),
    }
    header.set_cksum();
    tar.append_pax_extensions(pax)?;
    tar.append(&header, io::empty())?;
    if let Kind::File(content) = &node.kind {
        content.copy_to(tar.get_mut())?;
        let padding = content.size().next_multiple_of(512) - content.size();
        tar.get_mut().write_all(&[0; 512][..padding as usize])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::content::Content;
    use super::*;

    #[test]
    fn the_tar_carries_everything() {
        let mut tree = Tree::default();
        let long = format!("/usr/{}/x", "long".repeat(40));
        tree.add(&long, Node::file(0o640, Content::bytes(vec![7; 1000]))).unwrap();
        tree.add("/link", Node::symlink("usr/lib")).unwrap();
        tree.iter_mut().for_each(|(path, node)| {
            (node.uid, node.label) = (3, Some(format!("u:r:{}_t", path.len())));
        });
        let mut bytes = Vec::new();
        write_tar(&tree, &mut bytes).unwrap();

        let mut seen = Vec::new();
        for entry in tar::Archive::new(&*bytes).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut pax = entry.pax_extensions().unwrap().unwrap().map(Result::unwrap);
            let label = pax.find(|pax| pax.key() == Ok("SCHILY.xattr.security.selinux"));
            let label = label.map(|pax| pax.value().unwrap().to_owned());
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            assert!(data.iter().all(|&byte| byte == 7));
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (TIME, 3));
            let link = entry.link_name().unwrap().map(|link| link.display().to_string());
            seen.push((
                entry.path().unwrap().display().to_string(),
                header.mode().unwrap(),
                data.len(),
                link,
                label,
            ));
        }
        let name = |length: usize| Some(format!("u:r:{length}_t"));
        let expect = [
            ("./".to_owned(), 0o755, 0, None, name(1)),
            ("link".to_owned(), 0o777, 0, Some("usr/lib".to_owned()), name(5)),
            ("usr".to_owned(), 0o755, 0, None, name(4)),
            (long[1..long.len() - 2].to_owned(), 0o755, 0, None, name(165)),
            (long[1..].to_owned(), 0o640, 1000, None, name(167)),
        ];
        assert_eq!(seen, expect);
    }
}
