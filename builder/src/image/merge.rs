//! Packages become a tree: what the spec takes from them, with `/bin`, `/sbin`, `/lib` and `/lib64` merged into `/usr`
//! as Debian does since 13 (there the links come from base-files, which is not taken). Files that Kennel adds of its
//! own are `host`'s and `runtime`'s business.

use std::collections::HashMap;
use std::path::Path;

use super::tree::{Node, Tree, TreeError};
use super::unpack::{Unit, Unpacked, What};

const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Adds those files and links of a package to the tree that `take` wants, and says how many bytes of files that is.
///
/// # Errors
/// When another package has put something else there.
pub(super) fn add_package(
    tree: &mut Tree,
    package: &Unpacked,
    take: impl Fn(&Path) -> bool,
) -> Result<u64, TreeError> {
    let folders: HashMap<String, &Unit> = package
        .entries
        .iter()
        .filter(|unit| unit.what == What::Folder)
        .map(|unit| (merged(&unit.path), unit))
        .collect();
    let mut size = 0;
    for unit in &package.entries {
        let path = merged(&unit.path);
        let node = match &unit.what {
            What::Folder => continue,
            // The package that has the links themselves.
            What::Symlink(_) if MERGED.contains(&unit.path.as_str()) => continue,
            What::Symlink(target) => Node::symlink(target),
            What::File(place) => Node::file(unit.mode, package.content(place)),
        };
        if !take(Path::new(&path)) {
            continue;
        }
        for (end, _) in path.match_indices('/').skip(1) {
            if let Some(folder) = folders.get(&path[..end]) {
                tree.add(&path[..end], owned(Node::folder(folder.mode), folder))?;
            }
        }
        if let What::File(place) = &unit.what {
            size += place.size();
        }
        tree.add(&path, owned(node, unit))?;
    }
    Ok(size)
}

/// Makes the links of the merged `/usr` to those folders that are there.
///
/// # Errors
/// When something else has their name.
pub(super) fn link_merged(tree: &mut Tree) -> Result<(), TreeError> {
    for name in MERGED {
        if tree.get(&format!("/usr/{name}")).is_some() {
            tree.add(&format!("/{name}"), Node::symlink(format!("usr/{name}")))?;
        }
    }
    Ok(())
}

fn owned(mut node: Node, unit: &Unit) -> Node {
    (node.uid, node.gid) = (unit.uid, unit.gid);
    node
}

/// Where a package's path really goes, as an absolute path.
fn merged(path: &str) -> String {
    let first = path.split('/').next().unwrap_or_default();
    if MERGED.contains(&first) { format!("/usr/{path}") } else { format!("/{path}") }
}

#[cfg(test)]
mod tests {
    use super::super::unpack::tests::unpacked;
    use super::*;

    #[test]
    fn what_is_taken_lands_in_usr_with_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        let package = unpacked(
            folder.path(),
            &[
                ("lib64", 0o777, "-> usr/lib64"),
                ("lib", 0o755, ""),
                ("lib/x.so", 0o644, "library"),
                ("bin/x", 0o755, "program"),
                ("var", 0o755, ""),
                ("var/secret", 0o700, ""),
                ("var/secret/y", 0o600, "y"),
                ("usr/share/doc/z", 0o644, "z"),
                ("empty", 0o755, ""),
            ],
        );
        let mut tree = Tree::default();
        let size = add_package(&mut tree, &package, |path| !path.starts_with("/usr/share/doc")).unwrap();
        link_merged(&mut tree).unwrap();
        assert_eq!(size, 15);
        let seen: Vec<_> = tree.iter().map(|(path, node)| (path, node.mode)).collect();
        let expect = [
            ("/", 0o755),
            ("/bin", 0o777),
            ("/lib", 0o777),
            ("/usr", 0o755),
            ("/usr/bin", 0o755),
            ("/usr/bin/x", 0o755),
            ("/usr/lib", 0o755),
            ("/usr/lib/x.so", 0o644),
            ("/var", 0o755),
            ("/var/secret", 0o700),
            ("/var/secret/y", 0o600),
        ];
        assert_eq!(seen, expect);
    }

    #[test]
    fn two_packages_may_share_a_folder_but_not_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let package =
            |file: &str, text: &str| unpacked(folder.path(), &[("usr", 0o755, ""), (file, 0o644, text)]);
        let mut tree = Tree::default();
        for (file, text) in [("usr/a", "1"), ("usr/b", "2"), ("usr/a", "1")] {
            add_package(&mut tree, &package(file, text), |_| true).unwrap();
        }
        let refused = add_package(&mut tree, &package("usr/a", "other"), |_| true);
        assert!(matches!(refused, Err(TreeError::Conflict { path, .. }) if path == "/usr/a"));
    }
}
