//! EBS direct, the reading half: ListSnapshotBlocks, ListChangedBlocks and GetSnapshotBlock. Tokens of blocks and of
//! pages are good only for what they were given for.

use super::BLOCK;
use super::account::{Account, Snapshot, State};
use super::answer::{Answer, Refusal, Reply};
use super::clock;
use super::request::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Answers one of them.
pub(crate) fn answer(request: &Request, account: &mut Account) -> Answer {
    let page = account.page;
    let second = &request.path[1];
    match request.action.as_str() {
        "ListSnapshotBlocks" => {
            let snapshot = completed(account, &request.region, second)?;
            let all = snapshot.blocks.keys().copied().collect();
            let each = |index| json!({"BlockIndex": index, "BlockToken": token(second, index)});
            list(request, page, snapshot.gib, "Blocks", &all, each)
        }
        "ListChangedBlocks" => changed(request, account, page),
        _ => get(request, account),
    }
}

fn completed<'a>(account: &'a mut Account, region: &str, id: &str) -> Result<&'a Snapshot, Refusal> {
    let snapshot = account.region(region).snapshots.get(id).ok_or_else(|| Refusal::no_snapshot(id))?;
    if snapshot.state == State::Ready {
        return Ok(snapshot);
    }
    Err(Refusal::invalid("INVALID_SNAPSHOT_ID", format!("The snapshot '{id}' is not completed")))
}

/// What GetSnapshotBlock wants to see again.
fn token(snapshot: &str, index: u32) -> String {
    STANDARD.encode(Sha256::digest(format!("{snapshot}/{index}")))
}

fn changed(request: &Request, account: &mut Account, page: usize) -> Answer {
    let second = &request.path[1];
    let after = completed(account, &request.region, second)?.clone();
    let Some(first) = request.form.get("firstSnapshotId") else {
        let all = after.blocks.keys().copied().collect();
        let each = |index| json!({"BlockIndex": index, "SecondBlockToken": token(second, index)});
        return list(request, page, after.gib, "ChangedBlocks", &all, each);
    };
    let before = completed(account, &request.region, first)?;
    if before.root != after.root {
        return Err(Refusal::invalid("UNRELATED_SNAPSHOTS", "The snapshots are not of the same volume"));
    }
    let mut all: BTreeSet<u32> = before.blocks.keys().chain(after.blocks.keys()).copied().collect();
    let sum = |snapshot: &Snapshot, index| snapshot.blocks.get(&index).map(|block| block.sum.clone());
    all.retain(|index| sum(before, *index) != sum(&after, *index));
    let each = |index| {
        let token = |snapshot: &Snapshot, id| snapshot.blocks.contains_key(&index).then(|| token(id, index));
        json!({"BlockIndex": index, "FirstBlockToken": token(before, first), "SecondBlockToken": token(&after, second)})
    };
    list(request, page, after.gib, "ChangedBlocks", &all, each)
}

/// A page of blocks.
fn list(
    request: &Request,
    page: usize,
    gib: u64,
    name: &str,
    all: &BTreeSet<u32>,
    each: impl Fn(u32) -> Value,
) -> Answer {
    let number = |name: &str| {
        request.form.number(name).map_err(|it| Refusal::invalid("INVALID_PARAMETER_VALUE", it.message))
    };
    let most = match number("maxResults")? {
        Some(most) if !(100..=10_000).contains(&most) => {
            return Err(Refusal::invalid("INVALID_PARAMETER_VALUE", "maxResults is between 100 and 10000"));
        }
        most => most.map_or(page, |most| page.min(usize::try_from(most).unwrap_or(page))),
    };
    let from = match request.form.get("pageToken") {
        Some(token) => page_at(request, token)?,
        None => u32::try_from(number("startingBlockIndex")?.unwrap_or(0)).unwrap_or(u32::MAX),
    };
    let blocks: Vec<Value> = all.range(from..).take(most).map(|index| each(*index)).collect();
    let next = all.range(from..).nth(most).map(|index| format!("{index}@{}", request.path[1]));
    let document = json!({
        name: blocks, "ExpiryTime": clock::now() + 604_800, "VolumeSize": gib, "BlockSize": BLOCK, "NextToken": next,
    });
    Ok(Reply::json(200, &document))
}

fn page_at(request: &Request, token: &str) -> Result<u32, Refusal> {
    let place = token.split_once('@').filter(|(_, snapshot)| *snapshot == request.path[1]);
    let index = place.and_then(|(index, _)| index.parse().ok());
    index.ok_or_else(|| Refusal::invalid("INVALID_PAGE_TOKEN", "the page's token is not one of this list's"))
}

fn get(request: &Request, account: &mut Account) -> Answer {
    let id = &request.path[1];
    let snapshot = completed(account, &request.region, id)?;
    let none = || Refusal::invalid("INVALID_BLOCK", "there is no such block");
    let index: u32 = request.path[3].parse().map_err(|_| none())?;
    if request.form.get("blockToken") != Some(token(id, index).as_str()) {
        return Err(Refusal::invalid("INVALID_BLOCK_TOKEN", "the token is not of this block"));
    }
    let block = snapshot.blocks.get(&index).ok_or_else(none)?;
    // Of the bytes as they lie here: what tipped over since it was written is told as it is.
    let sum = STANDARD.encode(Sha256::digest(&block.data));
    let headers = vec![
        ("x-amz-Data-Length", BLOCK.to_string()),
        ("x-amz-Checksum", sum),
        ("x-amz-Checksum-Algorithm", "SHA256".to_owned()),
    ];
    Ok(Reply { status: 200, kind: "application/octet-stream", headers, body: block.data.clone() })
}
