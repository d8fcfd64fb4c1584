//! Who may use images and snapshots, and until when: ModifyImageAttribute, ModifySnapshotAttribute,
//! EnableImageDeprecation and DisableImageDeprecation.

use super::account::Account;
use super::answer::{Answer, Refusal, Reply};
use super::clock;
use super::form::Form;
use super::image::ours;
use super::request::Request;
use super::snapshot::missing;
use std::collections::BTreeSet;

fn wrong(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterValue", message)
}

/// Accounts and groups of `Add.N` or `Remove.N`.
fn named(form: &Form, list: &str) -> Result<Vec<String>, Refusal> {
    let mut all = Vec::new();
    for one in form.structures(list) {
        all.push(match (one.get("UserId"), one.get("Group")) {
            (Some(user), None) if user.len() == 12 && user.bytes().all(|byte| byte.is_ascii_digit()) => {
                user.to_owned()
            }
            (None, Some("all")) => "all".to_owned(),
            _ => return Err(Refusal::new(400, "InvalidAMIAttributeItemValue", "no account and no group")),
        });
    }
    Ok(all)
}

/// Changes a set of accounts: either by `NAME.Add` and `NAME.Remove`, or by `OperationType` and lists.
fn change(form: &Form, name: &str, set: &mut BTreeSet<String>) -> Result<(), Refusal> {
    let mut add = named(form, &format!("{name}.Add"))?;
    let mut remove = named(form, &format!("{name}.Remove"))?;
    let users: Vec<String> = form.list("UserId").into_iter().chain(form.list("UserGroup")).collect();
    match form.get("OperationType") {
        Some("add") => add.extend(users),
        Some("remove") => remove.extend(users),
        None if users.is_empty() => {}
        _ => return Err(wrong("OperationType is add or remove")),
    }
    if add.is_empty() && remove.is_empty() {
        return Err(wrong("nobody is named"));
    }
    set.extend(add);
    set.retain(|user| !remove.contains(user));
    Ok(())
}

/// Answers ModifyImageAttribute.
pub(crate) fn modify_image(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&[
        "ImageId",
        "Attribute",
        "LaunchPermission",
        "OperationType",
        "UserId",
        "UserGroup",
        "Description",
        "ImdsSupport",
    ])?;
    let encrypted = {
        let image = ours(request, account)?;
        image.mappings.iter().any(|mapping| mapping.snapshot.is_some() && mapping.encrypted)
    };
    let image = ours(request, account)?;
    if let Some(description) = form.get("Description.Value") {
        image.description = description.to_owned();
        return Ok(Reply::done("ModifyImageAttributeResponse"));
    }
    if form.get("Attribute").is_some_and(|attribute| attribute != "launchPermission") {
        return Err(wrong("the attribute that can be changed is launchPermission"));
    }
    let mut launchers = image.launchers.clone();
    change(form, "LaunchPermission", &mut launchers)?;
    if encrypted && launchers.contains("all") {
        return Err(Refusal::new(400, "InvalidParameter", "Snapshots encrypted cannot be shared publicly"));
    }
    image.launchers = launchers;
    Ok(Reply::done("ModifyImageAttributeResponse"))
}

/// Answers ModifySnapshotAttribute.
pub(crate) fn modify_snapshot(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&["SnapshotId", "Attribute", "CreateVolumePermission", "OperationType", "UserId", "UserGroup"])?;
    let id = form.need("SnapshotId")?;
    let snapshot = account.region(&request.region).snapshots.get_mut(id).ok_or_else(|| missing(id))?;
    if form.get("Attribute").is_some_and(|attribute| attribute != "createVolumePermission") {
        return Err(wrong("the attribute that can be changed is createVolumePermission"));
    }
    let mut shared = snapshot.shared.clone();
    change(form, "CreateVolumePermission", &mut shared)?;
    if snapshot.encrypted && shared.contains("all") {
        return Err(Refusal::new(400, "InvalidParameter", "Encrypted snapshots cannot be shared publicly"));
    }
    snapshot.shared = shared;
    Ok(Reply::done("ModifySnapshotAttributeResponse"))
}

/// Answers EnableImageDeprecation: a time as `2027-01-01T00:00:00Z`, in the future and no more than ten years away.
pub(crate) fn deprecate(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["ImageId", "DeprecateAt"])?;
    let at = request.form.need("DeprecateAt")?;
    let (now, latest) = (clock::now(), clock::now() + 10 * 366 * 86_400);
    let shape = at.len() >= 20 && at.ends_with('Z') && at.as_bytes()[10] == b'T';
    if !shape || *at <= *clock::text(now) || *at > *clock::text(latest) {
        return Err(wrong(format!("'{at}' is no time within the next ten years")));
    }
    ours(request, account)?.deprecated_at = Some(at.to_owned());
    Ok(Reply::done("EnableImageDeprecationResponse"))
}

/// Answers DisableImageDeprecation.
pub(crate) fn undeprecate(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["ImageId"])?;
    ours(request, account)?.deprecated_at = None;
    Ok(Reply::done("DisableImageDeprecationResponse"))
}
