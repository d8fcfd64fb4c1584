//! What lies in a folder, without following a link: the judge's own view of what was unpacked.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// One name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Folder,
    /// With content, and whether it may be executed.
    File(Vec<u8>, bool),
    Link(PathBuf),
}

/// Everything below `folder`, by its path from there.
///
/// # Panics
/// When something is neither file, folder nor link, or has other rights than a release gives.
pub(crate) fn list(folder: &Path) -> BTreeMap<PathBuf, Node> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inside) = folders.pop() {
        let entries = fs::read_dir(folder.join(&inside)).unwrap_or_else(|e| panic!("{inside:?}: {e}"));
        for entry in entries.flatten() {
            let path = inside.join(entry.file_name());
            let node = node(&entry.path());
            if node == Node::Folder {
                folders.push(path.clone());
            }
            found.insert(path, node);
        }
    }
    found
}

fn node(path: &Path) -> Node {
    let look = || -> std::io::Result<Node> {
        let stat = fs::symlink_metadata(path)?;
        let mode = stat.permissions().mode() & 0o7777;
        if stat.is_symlink() {
            return Ok(Node::Link(fs::read_link(path)?));
        }
        if stat.is_dir() {
            assert_eq!(mode, 0o755, "{path:?}");
            return Ok(Node::Folder);
        }
        assert!(stat.is_file() && (mode == 0o644 || mode == 0o755), "{path:?}: {mode:o}");
        assert!(stat.size() < 1 << 24, "{path:?}");
        Ok(Node::File(fs::read(path)?, mode == 0o755))
    };
    look().unwrap_or_else(|e| panic!("{path:?}: {e}"))
}
