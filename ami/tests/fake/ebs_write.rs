//! EBS direct, the writing half: StartSnapshot, PutSnapshotBlock and CompleteSnapshot, with all that their pages in the
//! API reference demand.

use super::account::{Account, Block, Snapshot, State, Tags};
use super::answer::{Answer, Refusal, Reply};
use super::clock;
use super::form::check_tag;
use super::request::Request;
use super::{BLOCK, OWNER};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Blocks in a GiB.
const BLOCKS_PER_GIB: u64 = (1 << 30) / BLOCK as u64;
const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/default";

/// Whether an action is answered here.
pub(crate) fn knows(action: &str) -> bool {
    matches!(action, "StartSnapshot" | "PutSnapshotBlock" | "CompleteSnapshot")
}

/// Answers one of them.
pub(crate) fn answer(request: &Request, account: &mut Account) -> Answer {
    match request.action.as_str() {
        "StartSnapshot" => start(request, account),
        "PutSnapshotBlock" => put(request, account),
        _ => complete(request, account),
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::invalid("INVALID_PARAMETER_VALUE", message)
}

fn tags(body: &Value) -> Result<Tags, Refusal> {
    let mut tags = Tags::new();
    for tag in body["Tags"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let (key, value) = (tag["Key"].as_str().unwrap_or_default(), tag["Value"].as_str().unwrap_or_default());
        check_tag(key, value).map_err(|why| Refusal::invalid("INVALID_TAG", why))?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Refusal::invalid("INVALID_TAG", format!("the tag '{key}' is there twice")));
        }
    }
    if tags.len() > 50 { Err(Refusal::invalid("INVALID_TAG", "more than 50 tags")) } else { Ok(tags) }
}

fn start(request: &Request, account: &mut Account) -> Answer {
    let body: Value =
        serde_json::from_slice(&request.body).map_err(|why| invalid(format!("not JSON: {why}")))?;
    let gib = body["VolumeSize"].as_u64().unwrap_or(0);
    if !(1..=65_536).contains(&gib) {
        return Err(Refusal::invalid("INVALID_VOLUME_SIZE", format!("{gib} GiB is no size of a volume")));
    }
    let token = body["ClientToken"].as_str().unwrap_or_default().to_owned();
    if token.is_empty() || token.len() > 64 || !token.is_ascii() {
        return Err(invalid("a client token has 1 to 64 characters of ASCII"));
    }
    let timeout = body["Timeout"].as_u64().unwrap_or(60);
    if !(10..=4320).contains(&timeout) {
        return Err(invalid("the timeout is between 10 and 4320 minutes"));
    }
    let encrypted = body["Encrypted"].as_bool().unwrap_or(false);
    let parent = body["ParentSnapshotId"].as_str().map(str::to_owned);
    if parent.is_some() && !body["Encrypted"].is_null() {
        return Err(invalid("ParentSnapshotId and Encrypted can not be specified together"));
    }
    if !body["KmsKeyArn"].is_null() && !encrypted {
        return Err(invalid("KmsKeyArn requires Encrypted"));
    }
    let tags = tags(&body)?;
    let same = body.to_string();
    if let Some((before, id)) = account.region(&request.region).tokens.get(&token) {
        if *before != same {
            let message = "The request uses the same client token as a previous, but non-identical request.";
            return Err(Refusal::new(503, "ConflictException", message));
        }
        let id = id.clone();
        let snapshot =
            account.region(&request.region).snapshots.get(&id).ok_or_else(|| Refusal::no_snapshot(&id))?;
        return Ok(started(&id, snapshot));
    }
    let (id, unseen) = (account.id("snap"), account.lag);
    let region = account.region(&request.region);
    let mut snapshot = Snapshot {
        owner: OWNER.to_owned(),
        gib,
        started: clock::now(),
        description: body["Description"].as_str().unwrap_or_default().to_owned(),
        tags,
        state: State::Pending,
        unseen,
        timeout,
        sealed: false,
        looks: 0,
        root: id.clone(),
        parent: parent.clone(),
        blocks: BTreeMap::new(),
        written: BTreeSet::new(),
        kms_key: encrypted.then(|| body["KmsKeyArn"].as_str().unwrap_or(KEY).to_owned()),
        encrypted,
        shared: BTreeSet::new(),
    };
    if let Some(parent) = parent {
        let parent = region.snapshots.get(&parent).ok_or_else(|| Refusal::no_snapshot(&parent))?;
        if parent.state != State::Ready {
            return Err(Refusal::invalid("INVALID_SNAPSHOT_ID", "the parent snapshot is not completed"));
        }
        if parent.gib > gib {
            return Err(Refusal::invalid("INVALID_VOLUME_SIZE", "smaller than the parent snapshot's volume"));
        }
        snapshot.root.clone_from(&parent.root);
        snapshot.blocks = parent.blocks.clone();
        snapshot.encrypted = parent.encrypted;
        snapshot.kms_key.clone_from(&parent.kms_key);
    }
    let reply = started(&id, &snapshot);
    region.tokens.insert(token, (same, id.clone()));
    region.snapshots.insert(id, snapshot);
    Ok(reply)
}

fn started(id: &str, snapshot: &Snapshot) -> Reply {
    let tags: Vec<_> = snapshot.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    let document = json!({
        "SnapshotId": id, "OwnerId": snapshot.owner, "Status": "pending", "StartTime": snapshot.started,
        "VolumeSize": snapshot.gib, "BlockSize": BLOCK, "Tags": tags, "ParentSnapshotId": snapshot.parent,
        "Description": snapshot.description, "KmsKeyArn": snapshot.kms_key,
    });
    Reply::json(201, &document)
}

/// A snapshot of the owner's that still takes blocks.
fn open<'a>(account: &'a mut Account, region: &str, id: &str) -> Result<&'a mut Snapshot, Refusal> {
    let snapshot = account.region(region).snapshots.get_mut(id).ok_or_else(|| Refusal::no_snapshot(id))?;
    if snapshot.owner != OWNER {
        return Err(Refusal::no_snapshot(id));
    }
    if snapshot.state != State::Pending || snapshot.sealed {
        return Err(Refusal::invalid(
            "INVALID_SNAPSHOT_ID",
            format!("The snapshot '{id}' is not in the pending state"),
        ));
    }
    Ok(snapshot)
}

fn put(request: &Request, account: &mut Account) -> Answer {
    let index: u64 =
        request.path[3].parse().map_err(|_| Refusal::invalid("INVALID_BLOCK", "no index of a block"))?;
    let snapshot = open(account, &request.region, &request.path[1])?;
    if index >= snapshot.gib * BLOCKS_PER_GIB {
        return Err(Refusal::invalid("INVALID_BLOCK", format!("block {index} is beyond the volume's end")));
    }
    if request.header("x-amz-data-length") != Some("524288") || request.body.len() != BLOCK {
        return Err(Refusal::invalid("INVALID_BLOCK", "a block has 524288 bytes"));
    }
    if request.header("x-amz-checksum-algorithm") != Some("SHA256") {
        return Err(invalid("the checksum's algorithm is SHA256"));
    }
    if let Some(progress) = request.header("x-amz-progress")
        && !progress.parse().is_ok_and(|progress: u32| progress <= 100)
    {
        return Err(invalid("progress is between 0 and 100"));
    }
    let sum = Sha256::digest(&request.body).to_vec();
    let told = STANDARD.encode(&sum);
    if request.header("x-amz-checksum") != Some(told.as_str()) {
        return Err(Refusal::invalid(
            "INVALID_BLOCK",
            "The checksum does not match the data that was received",
        ));
    }
    let index = u32::try_from(index).map_err(|_| Refusal::invalid("INVALID_BLOCK", "no index of a block"))?;
    snapshot.blocks.insert(index, Block { data: request.body.clone(), sum });
    snapshot.written.insert(index);
    let mut reply = Reply::json(201, &json!({}));
    reply.headers = vec![("x-amz-Checksum", told), ("x-amz-Checksum-Algorithm", "SHA256".to_owned())];
    Ok(reply)
}

fn complete(request: &Request, account: &mut Account) -> Answer {
    let settle = account.settle;
    let failure = account.next_completion_fails.take();
    let snapshot = open(account, &request.region, &request.path[2])?;
    let told: usize =
        request.header("x-amz-changedblockscount").and_then(|it| it.parse().ok()).unwrap_or(usize::MAX);
    if told != snapshot.written.len() {
        return Err(invalid(format!("{told} changed blocks instead of {}", snapshot.written.len())));
    }
    if let Some(sum) = request.header("x-amz-checksum") {
        let method = request.header("x-amz-checksum-aggregation-method");
        if request.header("x-amz-checksum-algorithm") != Some("SHA256") || method != Some("LINEAR") {
            return Err(invalid("a checksum needs its algorithm, SHA256, and its aggregation, LINEAR"));
        }
        let mut linear = Sha256::new();
        for index in &snapshot.written {
            linear.update(&snapshot.blocks[index].sum);
        }
        if STANDARD.encode(linear.finalize()) != sum {
            return Err(invalid("the aggregated checksum does not match the blocks"));
        }
    }
    snapshot.sealed = true;
    snapshot.looks = settle;
    if let Some(failure) = failure {
        snapshot.state = State::Failed(failure);
    } else if settle == 0 {
        snapshot.state = State::Ready;
    }
    Ok(Reply::json(202, &json!({"Status": "pending"})))
}
