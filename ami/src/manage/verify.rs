//! Reads an AMI's snapshot back and compares it with an image: every block that either has.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tokio::task::JoinSet;

use super::{ManageError, ours};
use crate::aws::{Aws, BlockToken, Fault, pace};
use crate::image::{BLOCK, Digest, Image};
use crate::ui::Ui;

/// So many blocks are read at a time.
const AT_ONCE: usize = 32;

/// What was compared.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// The AMI.
    pub ami: String,
    /// Its snapshot.
    pub snapshot: String,
    /// Blocks that were read.
    pub read: usize,
    /// Blocks that differ.
    pub differing: Vec<u32>,
}

/// Compares an AMI of ours with an image.
///
/// # Errors
/// [`ManageError`]. That they differ is no error here.
pub async fn verify(aws: &Aws, id: &str, image: &Image, ui: Ui) -> Result<Verdict, ManageError> {
    let ami = ours(aws, id).await?;
    let snapshot = ami.snapshot.ok_or_else(|| ManageError::NoSnapshot(ami.id.clone()))?;
    let listed = aws.list_blocks(&snapshot).await?;
    let read = listed.len();
    let found = digests(aws, &snapshot, listed, ui).await?;
    Ok(Verdict { ami: ami.id, snapshot, read, differing: compare(image, &found) })
}

/// The digests of what AWS has.
async fn digests(
    aws: &Aws,
    snapshot: &str,
    listed: Vec<BlockToken>,
    ui: Ui,
) -> Result<BTreeMap<u32, Digest>, ManageError> {
    let mut bar = ui.bar("reading", 0, (listed.len() * BLOCK) as u64);
    let mut found = BTreeMap::new();
    let mut reading = JoinSet::new();
    let mut listed = listed.into_iter();
    loop {
        while reading.len() < AT_ONCE
            && let Some(block) = listed.next()
        {
            let (aws, snapshot) = (aws.clone(), snapshot.to_owned());
            reading.spawn(
                async move { digest(&aws, &snapshot, &block).await.map(|digest| (block.index, digest)) },
            );
        }
        match reading.join_next().await {
            None => return Ok(found),
            Some(Ok(read)) => {
                let (index, digest) = read?;
                found.insert(index, digest);
                bar.add(BLOCK as u64);
            }
            // None is called off before the end.
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// One block. Its bytes come behind the answer, and can be lost after the call has succeeded.
async fn digest(aws: &Aws, snapshot: &str, block: &BlockToken) -> Result<Digest, Fault> {
    let mut failures = 0;
    loop {
        match aws.get_block(snapshot, block).await {
            Ok(data) => return Ok(Digest::of(&data)),
            Err(fault) => {
                failures += 1;
                if !fault.passes() || failures >= pace::ATTEMPTS {
                    return Err(fault);
                }
                tokio::time::sleep(pace::pause(failures)).await;
            }
        }
    }
}

/// A block that one side does not have is zeros there.
fn compare(image: &Image, found: &BTreeMap<u32, Digest>) -> Vec<u32> {
    let zeros = Digest::of(&vec![0; BLOCK]);
    let all: BTreeSet<u32> = image.blocks.indexes().chain(found.keys().copied()).collect();
    let differs = |index: &u32| {
        let here = image.blocks.get(*index).unwrap_or(zeros);
        let there = found.get(index).copied().unwrap_or(zeros);
        here != there
    };
    all.into_iter().filter(differs).collect()
}
