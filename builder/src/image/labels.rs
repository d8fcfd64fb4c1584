//! Gives every node of a tree the SELinux label that the policy's file contexts say, and insists that there is one:
//! a file without a label would be out of everybody's reach on the running host, or worse, within.

use kennel_policy::{Contexts, FileType};

use super::BuildError;
use super::tree::{Kind, Tree};

/// How many paths an error names.
const SHOWN: usize = 8;

/// Labels all nodes; `name` is the tree's, for the error.
///
/// # Errors
/// [`BuildError::Unlabelled`].
pub(super) fn label(tree: &mut Tree, contexts: &Contexts, name: &str) -> Result<(), BuildError> {
    let mut paths = Vec::new();
    for (path, node) in tree.iter_mut() {
        let file_type = match node.kind {
            Kind::Folder => FileType::Directory,
            Kind::File(_) => FileType::Regular,
            Kind::Symlink(_) => FileType::Symlink,
        };
        match contexts.label(path, file_type).filter(|label| !label.contains(":unlabeled_t")) {
            Some(label) => node.label = Some(label.to_owned()),
            None => paths.push(path.to_owned()),
        }
    }
    match paths.len() {
        0 => Ok(()),
        count => {
            paths.truncate(SHOWN);
            if count > SHOWN {
                paths.push(format!("and {} more", count - SHOWN));
            }
            Err(BuildError::Unlabelled { tree: name.to_owned(), paths })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Node;
    use super::*;

    #[test]
    fn all_get_their_label_or_are_named() {
        let mut tree = Tree::default();
        tree.add_bytes("/usr/bin/x", 0o755, "").unwrap();
        tree.add("/bin", Node::symlink("usr/bin")).unwrap();
        tree.add_bytes("/proc/x", 0o644, "").unwrap();
        let text = "/ u:r:root_t\n/usr(/.*)? u:r:usr_t\n/usr/bin/.* -- u:r:exec_t\n/.* -l u:r:link_t\n";
        let contexts = Contexts::parse(&format!("{text}/proc(/.*)? <<none>>\n")).unwrap();
        let error = label(&mut tree, &contexts, "host").unwrap_err().to_string();
        assert_eq!(error, "host: the policy's file contexts give no label to /proc, /proc/x");

        tree.remove("/proc");
        label(&mut tree, &contexts, "host").unwrap();
        let labels: Vec<_> = tree.iter().map(|(_, node)| node.label.as_deref().unwrap()).collect();
        assert_eq!(labels, ["u:r:root_t", "u:r:link_t", "u:r:usr_t", "u:r:usr_t", "u:r:exec_t"]);
    }
}
