//! What is remembered of a release's files while they are written: those that say how it is run, and what the first bytes
//! of programs say. Files are known by their inode, so that links lead to them whatever they are called.

use std::collections::HashMap;

use kennel_model::found::{Found, MAX_PROGRAMS, MAX_TOP, Program};

use super::{HEAD_BYTES, Head, MAX_TEXT_BYTES, Release, SHOWING, SPOKEN, Text, Thing, classify, said};
use crate::name::EntryName;
use crate::tree::{At, Tree};

/// Programs and scripts that are remembered; a release with more has no other that is run by its name.
const MAX_HEADS: usize = 4096;

/// What has been seen so far.
#[derive(Default)]
pub(crate) struct Seen {
    found: Found,
    texts: HashMap<&'static str, Text>,
    heads: HashMap<u64, Head>,
}

/// What is seen of one file while its content comes by.
pub(crate) struct Look {
    head: Vec<u8>,
    text: Option<Text>,
}

impl Seen {
    /// Something other than a folder lies there now, which is not looked into: a link.
    pub(crate) fn link(&mut self, name: &EntryName) {
        if let Some(spoken) = spoken(name) {
            self.texts.insert(spoken, Text::Link);
        }
        self.top(name);
    }

    /// Begins to look at a file.
    pub(crate) fn look(name: &EntryName) -> Look {
        Look { head: Vec::new(), text: spoken(name).map(|_| Text::Whole(Vec::new())) }
    }

    /// The file has been looked at to its end.
    pub(crate) fn file(&mut self, name: &EntryName, look: Look, inode: u64, executable: bool) {
        if let (Some(spoken), Some(text)) = (spoken(name), look.text) {
            self.texts.insert(spoken, text);
        }
        let head = classify(&look.head);
        if self.top(name)
            && self.found.programs.len() < MAX_PROGRAMS
            && let Some(Head::Machine(kind)) = head
            && !is_library(name.as_str())
        {
            self.found.programs.push(Program { name: name.as_str().to_owned(), kind, executable });
        }
        if let Some(head) = head.filter(|_| self.heads.len() < MAX_HEADS) {
            self.heads.insert(inode, head);
        }
    }

    /// What all of it says.
    pub(crate) fn found(mut self, tree: &Tree<'_>) -> Found {
        let found = std::mem::take(&mut self.found);
        said(&Unpacked { seen: &self, tree }, found)
    }

    /// A folder is there.
    pub(crate) fn folder(&mut self, name: &EntryName) {
        if !name.is_root() {
            self.top_folder(name.as_str().split('/').next().unwrap_or_default());
        }
    }

    fn top_folder(&mut self, name: &str) {
        let folders = &mut self.found.folders;
        if folders.len() < MAX_TOP && !folders.iter().rev().any(|known| known == name) {
            folders.push(name.to_owned());
        }
    }

    /// Whether the name is one of those that are reported.
    fn top(&mut self, name: &EntryName) -> bool {
        if let Some((folder, _)) = name.as_str().split_once('/') {
            self.top_folder(folder);
            return false;
        }
        let top = self.found.top.len() < MAX_TOP;
        if top {
            self.found.top.push(name.as_str().to_owned());
        }
        top
    }
}

impl Look {
    /// More of its content.
    pub(crate) fn more(&mut self, piece: &[u8]) {
        let wanted = HEAD_BYTES.saturating_sub(self.head.len()).min(piece.len());
        self.head.extend_from_slice(&piece[..wanted]);
        if let Some(Text::Whole(text)) = &mut self.text {
            if text.len() + piece.len() > MAX_TEXT_BYTES {
                self.text = Some(Text::TooLong);
            } else {
                text.extend_from_slice(piece);
            }
        }
    }
}

/// The release once all of it is there.
struct Unpacked<'a> {
    seen: &'a Seen,
    tree: &'a Tree<'a>,
}

impl Release for Unpacked<'_> {
    fn text(&self, name: &str) -> Option<&Text> {
        self.seen.texts.get(name)
    }

    fn at(&self, path: &str) -> Option<Thing> {
        match self.tree.at(path)? {
            At::Folder => Some(Thing::Folder),
            At::File(inode) => Some(Thing::File(self.seen.heads.get(&inode).cloned())),
        }
    }
}

fn spoken(name: &EntryName) -> Option<&'static str> {
    SPOKEN.into_iter().chain(SHOWING).find(|spoken| *spoken == name.as_str())
}

fn is_library(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.") || name.ends_with(".node")
}
