//! Tests of the upload with a carrier that is no network.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::aws::table::Call;
use crate::image::Digest;

fn blocks(count: u32) -> Vec<Block> {
    (0..count).map(|index| Block { index, digest: Digest::of(b""), blank: false }).collect()
}

fn fault(kind: Kind) -> PublishError {
    let fault = Fault { call: Call::PutSnapshotBlock, kind, code: None, message: String::new(), before: 0 };
    PublishError::Aws(fault)
}

/// Runs an upload whose attempts end as `answer` says for the block and the number of the attempt at it.
async fn run(
    count: u32,
    answer: impl Fn(u32, usize) -> Option<Kind> + Clone + Send + 'static,
) -> (Result<Stats, PublishError>, Vec<u32>) {
    let tries = Arc::new((0..count).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
    let upload = Upload::new(blocks(count), move |_, block: Block| {
        let nth = tries[block.index as usize].fetch_add(1, Ordering::SeqCst);
        let kind = answer(block.index, nth);
        async move { kind.map_or(Ok(()), |kind| Err(fault(kind))) }
    });
    let mut arrived = Vec::new();
    let result = upload
        .run(|block| {
            arrived.push(block.index);
            Ok(())
        })
        .await;
    (result, arrived)
}

#[tokio::test]
async fn every_block_arrives_once() {
    let (result, mut arrived) = run(500, |_, _| None).await;
    arrived.sort_unstable();
    assert_eq!(arrived, (0..500).collect::<Vec<_>>());
    assert_eq!(result.unwrap(), Stats { blocks: 500, ..Stats::default() });
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let (result, arrived) = run(20, |index, nth| match (index, nth) {
        (3, 0..2) => Some(Kind::Throttled),
        (5, 0) => Some(Kind::Server),
        (7, 0..3) => Some(Kind::Unseen),
        _ => None,
    })
    .await;
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>().len(), 20);
    assert_eq!(result.unwrap(), Stats { blocks: 20, throttled: 2, failed: 1, hedged: 0 });
}

#[tokio::test]
async fn a_denial_ends_it_at_once() {
    let (result, _) =
        run(20, |index, _| (index == 3).then(|| Kind::Denied("ebs:PutSnapshotBlock".into()))).await;
    let Err(PublishError::Aws(fault)) = result else { panic!("{result:?}") };
    assert_eq!(fault.kind, Kind::Denied("ebs:PutSnapshotBlock".into()));
}

#[tokio::test]
async fn a_stalled_block_gets_a_second_attempt_elsewhere() {
    let shards: Arc<Mutex<Vec<usize>>> = Arc::default();
    let seen = Arc::clone(&shards);
    let put = move |shard, block: Block| {
        let stalls = block.index == 7 && seen.lock().unwrap().is_empty();
        if block.index == 7 {
            seen.lock().unwrap().push(shard);
        }
        async move {
            if stalls {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    };
    let upload = Upload::with_floor(blocks(30), put, Duration::from_millis(1));
    let stats = upload.run(|_| Ok(())).await.unwrap();
    assert_eq!(stats, Stats { blocks: 30, hedged: 1, ..Stats::default() });
    let shards = shards.lock().unwrap();
    assert_eq!(shards.len(), 2);
    assert_ne!(shards[0], shards[1]);
}
