//! The documents beside an image.
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use kennel_policy::Rendered;

use super::BuildError;
use super::boot::Boot;
use super::guests::Guest;
use super::output::Output;
use super::runtime::Runtime;
use super::sources::Share;
use super::tree::{Kind, Tree};
use super::verity;
use crate::digest::Sha256;
use crate::lock::Lock;
use crate::spec::Spec;

pub(super) struct Facts<'a> {
    pub spec: &'a Spec,
    pub lock: &'a Lock,
    pub image: (&'a str, Sha256, u64),
    pub boot: (&'a Boot, &'a str, &'a [u8]),
    pub root: (&'a verity::Tree, u64, &'a [Share], &'a [(String, u64)]),
    pub kernel: &'a [Share],
    pub runtimes: &'a [Runtime],
    pub guests: &'a [Guest],
    pub rendered: &'a Rendered,
    pub policy: &'a [u8],
}

pub(super) fn files(tree: &Tree) -> Vec<(String, u64)> {
    tree.iter()
        .filter_map(|(path, node)| match &node.kind {
            Kind::File(content) => Some((path.to_owned(), content.size())),
            _ => None,
        })
        .collect()
}

pub(super) fn measure(file: &File) -> io::Result<(Sha256, u64)> {
    use std::io::{Seek, SeekFrom};
    let mut file = file;
    file.seek(SeekFrom::Start(0))?;
    let (digest, _) = Sha256::of_reader(file)?;
    Ok((digest, file.metadata()?.blocks() * 512))
}

pub(super) fn write(output: &mut Output, facts: &Facts<'_>) -> Result<PathBuf, BuildError> {
    output.bytes("manifest.json", facts.boot.1.as_bytes())
}
