//! Makes the snapshot of an image: finds one that is there, goes on with one that was begun, or begins one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plan::{self, Block};
use super::upload::{Stats, Upload};
use super::{PublishError, Publisher, wait};
use crate::aws::{Fault, Kind, NewSnapshot, Snapshot, SnapshotState};
use crate::image::{BLOCK, BlockMap, ImageError};
use crate::names::{self, Tags};
use crate::state::{Journal, Origin};

/// The journal is written at most this often: what it forgets is sent again.
const KEEP_EVERY: Duration = Duration::from_millis(500);
/// A snapshot whose sealing is refused, and that an earlier call may have sealed already, gets so long to show it.
const SEALED_BEFORE: Duration = Duration::from_secs(60);
const MIB: f64 = 1_048_576.0;

/// A snapshot that can be registered.
#[derive(Debug)]
pub struct Sealed {
    /// Its id.
    pub snapshot: String,
    /// The upload, if there was one in this run.
    pub upload: Option<Stats>,
}

/// What an upload builds on.
#[derive(Debug)]
pub(super) struct Base {
    pub origin: Origin,
    pub blocks: BlockMap,
}

impl Publisher<'_> {
    /// The snapshot of the image.
    pub(super) async fn snapshot(&self) -> Result<Sealed, PublishError> {
        let identity = self.identity();
        let ours = self.aws.snapshots(None).await?;
        let same =
            |snapshot: &&Snapshot| identity.is(&snapshot.tags) && snapshot.state == SnapshotState::Completed;
        if let Some(found) = ours.iter().find(same) {
            self.ui.note(&format!("{} is complete already", found.id));
            self.tag_as_published(found.id.clone()).await?;
            return Ok(Sealed { snapshot: found.id.clone(), upload: None });
        }
        let (mut journal, mut base) = self.begin(&ours).await?;
        let snapshot = match self.start(&mut journal).await {
            // A parent that is gone, or, since the account has begun to encrypt everything, one that is not encrypted.
            Err(PublishError::Aws(fault)) if base.is_some() && about_parent(&fault) => {
                self.ui.note(&format!("AWS does not let it build on another: {}", fault.message));
                (journal, base) = self.anew(None)?;
                self.start(&mut journal).await?
            }
            started => started?,
        };
        let blocks = plan::plan(&self.image.blocks, base.as_ref().map(|base| &base.blocks));
        let upload = self.send(&mut journal, &snapshot, &blocks).await?;
        self.seal(&mut journal, &snapshot, &blocks).await?;
        self.tag_as_published(snapshot.clone()).await?;
        Ok(Sealed { snapshot, upload: Some(upload) })
    }

    /// The journal to go on with, or a new one.
    async fn begin(&self, ours: &[Snapshot]) -> Result<(Journal, Option<Base>), PublishError> {
        let identity = self.identity();
        if let Some(journal) = self.state.journal(&identity, self.aws.region())?
            && let Some(base) = self.base_of(&journal)
            && self.can_go_on(&journal, ours)
        {
            if !journal.done.is_empty() {
                self.ui
                    .note(&format!("going on with an upload that has {} blocks already", journal.done.len()));
            }
            return Ok((journal, base));
        }
        self.anew(if self.incremental { self.newest(ours) } else { None })
    }

    /// A new journal, of an upload that builds on this.
    fn anew(&self, base: Option<Base>) -> Result<(Journal, Option<Base>), PublishError> {
        let identity = self.identity();
        let journal = Journal::new(&identity, self.aws.region(), base.as_ref().map(|base| base.origin.clone()));
        // Before the call: its token must survive what happens during it.
        self.state.keep(&journal, &identity, self.aws.region())?;
        Ok((journal, base))
    }

    /// What a journal builds on, which may be nothing; none if that is not known any more.
    pub(super) fn base_of(&self, journal: &Journal) -> Option<Option<Base>> {
        let Some(origin) = &journal.parent else { return Some(None) };
        let blocks = self.state.blocks(origin.digest, self.image.path())?;
        Some(Some(Base { origin: origin.clone(), blocks }))
    }

    /// A snapshot that AWS has given up, or that was removed, cannot be gone on with.
    fn can_go_on(&self, journal: &Journal, ours: &[Snapshot]) -> bool {
        let Some(id) = &journal.snapshot else { return true };
        let known = ours.iter().find(|snapshot| snapshot.id == *id);
        let good = known.is_some_and(|snapshot| snapshot.state == SnapshotState::Pending);
        if !good {
            self.ui.note(&format!(
                "{id}, which an earlier run began, is of no use any more; `kennel ami gc` removes what is left"
            ));
        }
        good
    }

    /// The newest published snapshot that the image can build on. It must be encrypted with the same key, since a snapshot
    /// inherits that, and not be larger.
    pub(super) fn newest(&self, ours: &[Snapshot]) -> Option<Base> {
        let key = |snapshot: &Snapshot| snapshot.tags.get(names::KEY).map(String::as_str) == self.key;
        let mut usable: Vec<_> = ours
            .iter()
            .filter(|snapshot| snapshot.is_published() && snapshot.state == SnapshotState::Completed)
            .filter(|snapshot| key(snapshot) && snapshot.gib <= self.image.gib())
            .collect();
        usable.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.started));
        usable.into_iter().find_map(|snapshot| {
            let digest = snapshot.tags.get(names::DIGEST)?.parse().ok()?;
            let blocks = self.state.blocks(digest, self.image.path())?;
            Some(Base { origin: Origin { snapshot: snapshot.id.clone(), digest }, blocks })
        })
    }

    async fn start(&self, journal: &mut Journal) -> Result<String, PublishError> {
        if let Some(id) = &journal.snapshot {
            return Ok(id.clone());
        }
        let identity = self.identity();
        let started = self
            .aws
            .start_snapshot(&NewSnapshot {
                gib: self.image.gib(),
                token: &journal.token,
                description: &names::description(&self.image.facts),
                tags: &identity.snapshot_tags(&self.image.facts),
                parent: journal.parent.as_ref().map(|origin| origin.snapshot.as_str()),
                key: self.key,
            })
            .await;
        match started {
            Ok(id) => {
                journal.snapshot = Some(id.clone());
                self.state.keep(journal, &identity, self.aws.region())?;
                Ok(id)
            }
            Err(fault) => {
                // What AWS refuses once it refuses again: the next run must not repeat it word for word.
                if fault.kind == Kind::Refused {
                    self.state.forget(&identity, self.aws.region())?;
                }
                Err(fault.into())
            }
        }
    }

    async fn send(&self, journal: &mut Journal, snapshot: &str, all: &[Block]) -> Result<Stats, PublishError> {
        let identity = self.identity();
        let left: Vec<_> = all.iter().filter(|block| !journal.done.contains(&block.index)).copied().collect();
        let bytes = |blocks: usize| (blocks * BLOCK) as u64;
        let parent = journal.parent.as_ref().map(|origin| format!(" on top of {}", origin.snapshot));
        self.ui.note(&format!(
            "uploading {:.1} MiB in {} blocks to {snapshot}{}",
            bytes(left.len()) as f64 / MIB,
            left.len(),
            parent.unwrap_or_default()
        ));
        let mut bar = self.ui.bar("uploading", bytes(all.len() - left.len()), bytes(all.len()));
        let upload = Upload::new(left, |shard, block| carry(self.clone_for_attempt(snapshot), shard, block));
        let mut kept = Instant::now();
        let result = upload
            .run(|block| {
                bar.add(BLOCK as u64);
                journal.done.insert(block.index);
                if kept.elapsed() >= KEEP_EVERY {
                    self.state.keep(journal, &identity, self.aws.region())?;
                    kept = Instant::now();
                }
                Ok(())
            })
            .await;
        // Whatever the end: what has arrived is known to the next run.
        self.state.keep(journal, &identity, self.aws.region())?;
        let stats = result?;
        if stats.blocks > 0 {
            self.ui.note(&format!("uploaded at {:.1} MiB/s", bar.rate()));
        }
        Ok(stats)
    }

    fn clone_for_attempt(&self, snapshot: &str) -> Attempt {
        Attempt { aws: self.aws.clone(), image: Arc::clone(self.image), snapshot: snapshot.to_owned() }
    }

    /// Says to AWS that all blocks are there, and waits until the snapshot can be used.
    async fn seal(&self, journal: &mut Journal, snapshot: &str, blocks: &[Block]) -> Result<(), PublishError> {
        let identity = self.identity();
        let maybe_sealed = journal.sealing;
        journal.sealing = true;
        self.state.keep(journal, &identity, self.aws.region())?;
        self.ui.note(&format!("completing {snapshot}"));
        let count = u32::try_from(blocks.len()).unwrap_or(u32::MAX);
        match self.aws.complete_snapshot(snapshot, count, plan::seal(blocks)).await {
            Ok(()) => wait::snapshot(self.aws, snapshot, self.aws.deadline()).await,
            Err(fault) if fault.kind == Kind::Refused => {
                // An earlier call of which the answer was lost may have done it.
                let patience = if maybe_sealed || fault.before > 0 { SEALED_BEFORE } else { Duration::ZERO };
                let until = self.aws.deadline().min(Instant::now() + patience);
                if wait::snapshot(self.aws, snapshot, until).await.is_ok() {
                    return Ok(());
                }
                self.state.forget(&identity, self.aws.region())?;
                Err(fault.into())
            }
            Err(fault) => Err(fault.into()),
        }
    }

    async fn tag_as_published(&self, snapshot: String) -> Result<(), PublishError> {
        let tags = Tags::from([(names::STATE.to_owned(), names::PUBLISHED.to_owned())]);
        Ok(self.aws.tag(&snapshot, &tags).await?)
    }
}

/// Whether AWS may have refused to begin a snapshot because of its parent.
fn about_parent(fault: &Fault) -> bool {
    fault.is("ValidationException") || fault.is("ResourceNotFoundException")
}

/// What an attempt takes with it.
struct Attempt {
    aws: crate::aws::Aws,
    image: Arc<crate::image::Image>,
    snapshot: String,
}

/// Reads a block and sends it.
async fn carry(attempt: Attempt, shard: usize, block: Block) -> Result<(), PublishError> {
    let Attempt { aws, image, snapshot } = attempt;
    let data = if block.blank {
        vec![0; BLOCK]
    } else {
        let path = image.path().to_owned();
        let read = tokio::task::spawn_blocking(move || image.block(block.index, block.digest)).await;
        read.map_err(|error| ImageError::Io { path, cause: std::io::Error::other(error) })??
    };
    Ok(aws.put_block(shard, &snapshot, block.index, data, block.digest).await?)
}
