//! Snapshots as EC2 sees them: DescribeSnapshots and DeleteSnapshot.

use super::OWNER;
use super::account::{Account, Snapshot, State};
use super::answer::{Answer, Refusal, Reply};
use super::clock;
use super::ec2::{Filters, page, tag_set};
use super::request::Request;
use super::xml::Xml;
use std::collections::BTreeSet;

const FILTERS: [&str; 6] = ["status", "snapshot-id", "owner-id", "description", "volume-size", "encrypted"];

/// That there is no such snapshot.
pub(crate) fn missing(id: &str) -> Refusal {
    Refusal::new(400, "InvalidSnapshot.NotFound", format!("The snapshot '{id}' does not exist."))
}

fn status(snapshot: &Snapshot) -> &'static str {
    match snapshot.state {
        State::Pending | State::Disabled => "pending",
        State::Ready => "completed",
        State::Failed(_) => "error",
    }
}

/// One look more at a snapshot that was sealed.
fn look(snapshot: &mut Snapshot) {
    if snapshot.state == State::Pending && snapshot.sealed && snapshot.looks != u32::MAX {
        match snapshot.looks {
            0 => snapshot.state = State::Ready,
            _ => snapshot.looks -= 1,
        }
    }
}

fn property(name: &str, id: &str, snapshot: &Snapshot) -> Vec<String> {
    vec![match name {
        "status" => status(snapshot).to_owned(),
        "snapshot-id" => id.to_owned(),
        "owner-id" => snapshot.owner.clone(),
        "description" => snapshot.description.clone(),
        "volume-size" => snapshot.gib.to_string(),
        _ => snapshot.encrypted.to_string(),
    }]
}

/// Answers DescribeSnapshots.
pub(crate) fn describe(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&["SnapshotId", "Owner", "Filter", "MaxResults", "NextToken", "RestorableBy"])?;
    let filters = Filters::of(form, &FILTERS)?;
    let (ids, owners) = (form.list("SnapshotId"), form.list("Owner"));
    let (most, region) = (account.most, account.region(&request.region));
    let unseen: BTreeSet<String> =
        region.snapshots.iter().filter(|(_, it)| it.unseen > 0).map(|(id, _)| id.clone()).collect();
    for snapshot in region.snapshots.values_mut() {
        snapshot.unseen = snapshot.unseen.saturating_sub(1);
    }
    if let Some(id) = ids.iter().find(|id| unseen.contains(*id) || !region.snapshots.contains_key(*id)) {
        return Err(missing(id));
    }
    let visible = |it: &Snapshot| it.owner == OWNER || it.shared.contains("all") || it.shared.contains(OWNER);
    let owned = |it: &Snapshot| {
        owners.is_empty()
            || owners.iter().any(|owner| owner == &it.owner || (owner == "self" && it.owner == OWNER))
    };
    let all =
        region.snapshots.iter_mut().filter(|(id, it)| (ids.is_empty() || ids.contains(id)) && visible(it));
    let all = all.filter(|(id, it)| owned(it) && !unseen.contains(*id));
    let all = all.filter(|(id, it)| filters.pass(&it.tags, |name| property(name, id, it)));
    let (all, next) = page(form, all.collect(), most)?;
    let mut shown = Vec::new();
    for (id, snapshot) in all {
        look(snapshot);
        shown.push((id, &*snapshot));
    }
    Ok(Reply::xml(Xml::document("DescribeSnapshotsResponse", |xml| {
        xml.list("snapshotSet", shown, |xml, (id, it)| show(xml, id, it)).option("nextToken", next.as_deref())
    })))
}

fn show(xml: &mut Xml, id: &str, it: &Snapshot) {
    xml.text("snapshotId", id)
        .text("volumeId", "vol-ffffffff")
        .text("status", status(it))
        .text("ownerId", &it.owner);
    xml.text("startTime", clock::text(it.started)).text("volumeSize", it.gib.to_string());
    xml.text("progress", if it.state == State::Ready { "100%" } else { "0%" });
    xml.option("description", Some(&it.description)).text("encrypted", it.encrypted.to_string());
    xml.text("storageTier", "standard").option("kmsKeyId", it.kms_key.as_deref());
    if let State::Failed(why) = &it.state {
        xml.text("statusMessage", why);
    }
    tag_set(xml, &it.tags);
}

/// Answers DeleteSnapshot, of which an image may not be made.
pub(crate) fn delete(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["SnapshotId"])?;
    let id = request.form.need("SnapshotId")?;
    let region = account.region(&request.region);
    let snapshot = region.snapshots.get(id).ok_or_else(|| missing(id))?;
    if snapshot.owner != OWNER {
        return Err(Refusal::new(
            403,
            "UnauthorizedOperation",
            "You are not authorized to perform this operation.",
        ));
    }
    let user = region.images.iter().find(|(_, image)| image.snapshots().any(|it| it == id));
    if let Some((image, _)) = user {
        let message = format!("The snapshot {id} is currently in use by {image}");
        return Err(Refusal::new(400, "InvalidSnapshot.InUse", message));
    }
    region.snapshots.remove(id);
    Ok(Reply::done("DeleteSnapshotResponse"))
}
