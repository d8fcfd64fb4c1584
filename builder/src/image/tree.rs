//! A file tree in memory, before it becomes a file system: folders, files and symbolic links with owner, mode and
//! label. File contents stay where they are until they are needed. How packages become a tree is `merge`'s business,
//! what a file system makes of it is `erofs`'s.

use std::collections::BTreeMap;
use std::io::Write;

use super::content::Content;
use crate::digest::{Hasher, Sha256};

/// Nodes by absolute path; the root is `/`. A folder comes before what is in it.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

/// A file, folder or link.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// SELinux context, once `labels` has given it one.
    pub label: Option<String>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File(Content),
    /// A symbolic link with this target.
    Symlink(String),
}

/// What is wrong with a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Two sources disagree about a path.
    #[error("{path}: {first} and {second} both want to put something else there")]
    Conflict {
        /// The path.
        path: String,
        /// What was there.
        first: String,
        /// What came second.
        second: String,
    },
    /// The path is not of the form that the tree uses.
    #[error("{0:?} is not a plain absolute path")]
    Path(String),
    /// Something below a thing that is no folder.
    #[error("{0} should be a folder but is not")]
    NotAFolder(String),
}

impl Node {
    fn new(kind: Kind, mode: u32) -> Self {
        Self { kind, mode, uid: 0, gid: 0, label: None }
    }

    /// A folder of root's.
    pub fn folder(mode: u32) -> Self {
        Self::new(Kind::Folder, mode)
    }

    /// A file of root's.
    pub fn file(mode: u32, content: Content) -> Self {
        Self::new(Kind::File(content), mode)
    }

    /// A symbolic link.
    pub fn symlink(target: impl Into<String>) -> Self {
        Self::new(Kind::Symlink(target.into()), 0o777)
    }

    /// For messages.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Folder => "a folder".into(),
            Kind::File(content) => format!("a file of {} bytes", content.size()),
            Kind::Symlink(target) => format!("a link to {target}"),
        }
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: BTreeMap::from([("/".to_owned(), Node::folder(0o755))]) }
    }
}

impl Tree {
    /// Adds a node and the folders above it (0755, root's) that are not there yet. Two folders merge; the same file or
    /// link twice is fine.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn add(&mut self, path: &str, node: Node) -> Result<(), TreeError> {
        self.add_parents(path)?;
        match self.nodes.get(path) {
            None => {
                self.nodes.insert(path.to_owned(), node);
                Ok(())
            }
            Some(old) if old.kind == node.kind => Ok(()),
            Some(old) => Err(TreeError::Conflict {
                path: path.to_owned(),
                first: old.describe(),
                second: node.describe(),
            }),
        }
    }

    /// Adds a file of root's with these bytes.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn add_bytes(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) -> Result<(), TreeError> {
        self.add(path, Node::file(mode, Content::bytes(bytes.into())))
    }

    /// Adds a folder of root's.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn add_folder(&mut self, path: &str, mode: u32) -> Result<(), TreeError> {
        self.add(path, Node::folder(mode))
    }

    fn add_parents(&mut self, path: &str) -> Result<(), TreeError> {
        check(path)?;
        for (end, _) in path.match_indices('/').skip(1) {
            let parent = &path[..end];
            match self.nodes.get(parent) {
                None => drop(self.nodes.insert(parent.to_owned(), Node::folder(0o755))),
                Some(Node { kind: Kind::Folder, .. }) => {}
                Some(_) => return Err(TreeError::NotAFolder(parent.to_owned())),
            }
        }
        Ok(())
    }

    /// Removes a node and, of a folder, everything in it.
    pub fn remove(&mut self, path: &str) {
        let inside = format!("{path}/");
        self.nodes.retain(|other, _| other != path && !other.starts_with(&inside));
    }

    /// The node of this path.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The content of the file of this path, if it is a file.
    pub fn content(&self, path: &str) -> Option<&Content> {
        match &self.nodes.get(path)?.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }

    /// All nodes, folders before what is in them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// All nodes, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Node)> {
        self.nodes.iter_mut().map(|(path, node)| (path.as_str(), node))
    }

    /// All files below a folder, with their contents.
    pub fn files_below<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a str, &'a Content)> + use<'a> {
        let inside = format!("{folder}/");
        let nodes = self.nodes.range(inside.clone()..).take_while(move |(path, _)| path.starts_with(&inside));
        nodes.filter_map(|(path, node)| match &node.kind {
            Kind::File(content) => Some((path.as_str(), content)),
            _ => None,
        })
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.nodes
            .values()
            .map(|node| if let Kind::File(content) = &node.kind { content.size() } else { 0 })
            .sum()
    }

    /// Stands for the whole tree: paths, modes, owners, labels, contents.
    pub fn digest(&self) -> Sha256 {
        let mut hasher = Hasher::default();
        for (path, node) in self.iter() {
            let what = match &node.kind {
                Kind::Folder => "folder".to_owned(),
                Kind::File(content) => format!("file {}", content.digest()),
                Kind::Symlink(target) => format!("link {target:?}"),
            };
            let label = node.label.as_deref().unwrap_or_default();
            // Writing into a hasher cannot fail.
            let _ = writeln!(hasher, "{path:?} {:o} {} {} {label:?} {what}", node.mode, node.uid, node.gid);
        }
        hasher.finish()
    }
}

/// Absolute, without `.`, `..`, `//` or a slash at the end.
fn check(path: &str) -> Result<(), TreeError> {
    let mut parts = path.split('/');
    let absolute = parts.next() == Some("") && path.len() > 1;
    if path == "/" || absolute && parts.all(|part| !matches!(part, "" | "." | "..")) {
        Ok(())
    } else {
        Err(TreeError::Path(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn folders_appear_above_and_come_first() {
        let mut tree = Tree::default();
        tree.add_bytes("/usr/lib/a", 0o644, "a").unwrap();
        tree.add_bytes("/usr/lib-b", 0o644, "b").unwrap();
        assert_eq!(paths(&tree), ["/", "/usr", "/usr/lib", "/usr/lib-b", "/usr/lib/a"]);
        assert_eq!(tree.files_below("/usr/lib").map(|(path, _)| path).collect::<Vec<_>>(), ["/usr/lib/a"]);
        tree.remove("/usr/lib");
        assert_eq!(paths(&tree), ["/", "/usr", "/usr/lib-b"]);
        assert_eq!(tree.size(), 1);
    }

    #[test]
    fn the_same_twice_is_fine_and_two_different_things_are_not() {
        let mut tree = Tree::default();
        tree.add_bytes("/a", 0o644, "a").unwrap();
        tree.add_bytes("/a", 0o644, "a").unwrap();
        let error = tree.add_bytes("/a", 0o644, "bb").unwrap_err();
        let expect = "/a: a file of 1 bytes and a file of 2 bytes both want to put something else there";
        assert_eq!(error.to_string(), expect);
        assert!(matches!(tree.add_folder("/a", 0o755), Err(TreeError::Conflict { .. })));
        assert_eq!(tree.add_folder("/a/b", 0o755), Err(TreeError::NotAFolder("/a".into())));
    }

    #[test]
    fn odd_paths_are_refused() {
        for path in ["", "a", "//", "/a/", "/a//b", "/a/../b", "/./a"] {
            assert_eq!(Tree::default().add_folder(path, 0o755), Err(TreeError::Path(path.into())), "{path}");
        }
    }

    #[test]
    fn the_digest_tells_any_two_trees_apart() {
        let tree = |change: fn(&mut Tree)| {
            let mut tree = Tree::default();
            tree.add_bytes("/a", 0o644, "a").unwrap();
            change(&mut tree);
            tree.digest()
        };
        let changes: [fn(&mut Tree); 6] = [
            |_| {},
            |tree| tree.add_bytes("/b", 0o644, "a").unwrap(),
            |tree| tree.iter_mut().for_each(|(_, node)| node.mode = 0o700),
            |tree| tree.iter_mut().for_each(|(_, node)| node.uid = 1),
            |tree| tree.iter_mut().for_each(|(_, node)| node.label = Some("x".into())),
            |tree| tree.iter_mut().for_each(|(_, node)| node.kind = Kind::Symlink("a".into())),
        ];
        let digests: std::collections::BTreeSet<_> = changes.map(tree).into();
        assert_eq!(digests.len(), 6);
        assert_eq!(tree(|_| {}), tree(|_| {}));
    }
}
