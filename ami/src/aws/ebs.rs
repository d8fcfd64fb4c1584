//! EBS direct: snapshots written and read block by block, without an instance.

use std::ops::Not;

use aws_sdk_ebs::primitives::ByteStream;
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm, Tag};

use super::table::Call;
use super::{Aws, BLOCK_ATTEMPT, Fault, SHARDS};
use crate::image::{BLOCK, Digest};
use crate::names::Tags;

/// A snapshot that nobody writes to for so many minutes is given up by AWS: a day, so that an interrupted upload can go on.
pub const IDLE_MINUTES: i64 = 24 * 60;

/// What a snapshot is to be.
#[derive(Debug, Clone, Copy)]
pub struct NewSnapshot<'a> {
    /// Size of the volume in GiB.
    pub gib: i32,
    /// Makes a repeated call give the same snapshot.
    pub token: &'a str,
    /// In a sentence.
    pub description: &'a str,
    /// Its tags.
    pub tags: &'a Tags,
    /// The snapshot whose blocks it has where it has none of its own. It hands its encryption down.
    pub parent: Option<&'a str>,
    /// The KMS key to encrypt it with, if there is no parent.
    pub key: Option<&'a str>,
}

/// A block that a snapshot has, and what it takes to read it.
#[derive(Debug, Clone)]
pub struct BlockToken {
    /// Which block.
    pub index: u32,
    /// AWS's word for it.
    pub token: String,
}

impl Aws {
    /// Begins a snapshot; returns its id.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn start_snapshot(&self, new: &NewSnapshot<'_>) -> Result<String, Fault> {
        let tags: Vec<_> =
            new.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let own_key = new.key.filter(|_| new.parent.is_none());
        let answer = self
            .call(Call::StartSnapshot, || {
                self.ebs[0]
                    .start_snapshot()
                    .volume_size(new.gib.into())
                    .client_token(new.token)
                    .description(new.description)
                    .set_tags(Some(tags.clone()))
                    .set_parent_snapshot_id(new.parent.map(str::to_owned))
                    .set_encrypted(own_key.map(|_| true))
                    .set_kms_key_arn(own_key.map(str::to_owned))
                    .timeout(i32::try_from(IDLE_MINUTES).unwrap_or(i32::MAX))
                    .send()
            })
            .await?;
        let block = answer.block_size().unwrap_or_default();
        if usize::try_from(block) != Ok(BLOCK) {
            let sentence = format!("AWS wants blocks of {block} bytes, this program knows only {BLOCK}");
            return Err(Fault::own(Call::StartSnapshot, super::Kind::Refused, sentence));
        }
        answer.snapshot_id.ok_or_else(|| Fault::incomplete(Call::StartSnapshot, "snapshot"))
    }

    /// Writes a block, in one attempt: the upload decides itself what to do with failures.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn put_block(
        &self,
        shard: usize,
        snapshot: &str,
        index: u32,
        data: Vec<u8>,
        digest: Digest,
    ) -> Result<(), Fault> {
        let request = self.ebs[shard % SHARDS]
            .put_snapshot_block()
            .snapshot_id(snapshot)
            .block_index(i32::try_from(index).unwrap_or(i32::MAX))
            .data_length(i32::try_from(data.len()).unwrap_or(i32::MAX))
            .checksum(digest.base64())
            .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
            .block_data(ByteStream::from(data))
            .send();
        self.once(Call::PutSnapshotBlock, BLOCK_ATTEMPT, request).await.map(drop)
    }

    /// Seals a snapshot to which so many blocks were written. The checksum is over their digests, in their order.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn complete_snapshot(&self, snapshot: &str, blocks: u32, checksum: Digest) -> Result<(), Fault> {
        self.call(Call::CompleteSnapshot, || {
            self.ebs[0]
                .complete_snapshot()
                .snapshot_id(snapshot)
                .changed_blocks_count(i32::try_from(blocks).unwrap_or(i32::MAX))
                .checksum(checksum.base64())
                .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
                .checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear)
                .send()
        })
        .await
        .map(drop)
    }

    /// Every block that a snapshot has, its ancestors' among them.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn list_blocks(&self, snapshot: &str) -> Result<Vec<BlockToken>, Fault> {
        let mut blocks = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let answer = self
                .call(Call::ListSnapshotBlocks, || {
                    self.ebs[0].list_snapshot_blocks().snapshot_id(snapshot).set_next_token(next.clone()).send()
                })
                .await?;
            for block in answer.blocks() {
                let index = block.block_index().and_then(|index| u32::try_from(index).ok());
                let (Some(index), Some(token)) = (index, block.block_token()) else {
                    return Err(Fault::incomplete(Call::ListSnapshotBlocks, "index or token of a block"));
                };
                blocks.push(BlockToken { index, token: token.to_owned() });
            }
            next = answer.next_token.filter(|token| token.is_empty().not());
            if next.is_none() {
                return Ok(blocks);
            }
        }
    }

    /// Reads a block and returns its bytes, which agree with the checksum that came with them.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn get_block(&self, snapshot: &str, block: &BlockToken) -> Result<Vec<u8>, Fault> {
        let call = Call::GetSnapshotBlock;
        let client = &self.ebs[block.index as usize % SHARDS];
        let answer = self
            .call(call, || {
                client
                    .get_snapshot_block()
                    .snapshot_id(snapshot)
                    .block_index(i32::try_from(block.index).unwrap_or(i32::MAX))
                    .block_token(&block.token)
                    .send()
            })
            .await?;
        let promised = answer.checksum.ok_or_else(|| Fault::incomplete(call, "checksum"))?;
        let body = tokio::time::timeout(BLOCK_ATTEMPT, answer.block_data.collect()).await;
        let data = match body {
            Ok(Ok(data)) => data.to_vec(),
            Ok(Err(error)) => return Err(Fault::own(call, super::Kind::Network, error.to_string())),
            Err(_) => return Err(Fault::own(call, super::Kind::Late, "the block did not come in time")),
        };
        if Digest::of(&data).base64() != promised {
            let sentence = format!("block {} does not have the checksum that came with it", block.index);
            return Err(Fault::own(call, super::Kind::Refused, sentence));
        }
        Ok(data)
    }
}
