//! What a request demands of IAM: which actions on which resources, and with which tags. Whoever makes a thing with tags
//! tags it, and whoever has a snapshot deleted together with its image deletes it.

use super::OWNER;
use super::account::{Account, Tags};
use super::form::Form;
use super::request::{Request, Service};
use std::collections::BTreeMap;

/// Condition keys and their values, as a policy's conditions see them.
pub(crate) type Context = BTreeMap<String, Vec<String>>;

/// One action on one resource.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) context: Context,
}

/// What EBS does with a key of the caller's while it writes an encrypted snapshot.
const WITH_KEY: [&str; 6] = [
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
];

/// A demand, with the tags that are asked for and those that the resource bears.
pub(crate) fn demand(action: String, resource: impl Into<String>, asked: &Tags, bears: &Tags) -> Demand {
    let mut context = Context::new();
    let asked_tags = asked.iter().map(|(key, value)| (format!("aws:RequestTag/{key}"), vec![value.clone()]));
    let borne_tags = bears.iter().map(|(key, value)| (format!("aws:ResourceTag/{key}"), vec![value.clone()]));
    context.extend(asked_tags.chain(borne_tags));
    if !asked.is_empty() {
        context.insert("aws:TagKeys".to_owned(), asked.keys().cloned().collect());
    }
    Demand { action, resource: resource.into(), context }
}

/// All that a request demands; nothing where AWS asks nobody.
pub(crate) fn demands(request: &Request, account: &mut Account) -> Vec<Demand> {
    let action = request.action.as_str();
    match request.service {
        // Of everyone's own identity nobody can be kept in the dark.
        Service::Sts => Vec::new(),
        Service::Ssm => {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let name = body["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
            let resource = format!("arn:aws:ssm:{}:{OWNER}:parameter/{name}", request.region);
            vec![demand(format!("ssm:{action}"), resource, &Tags::new(), &Tags::new())]
        }
        Service::Ebs => ebs(request, account),
        Service::Ec2 if action.starts_with("Describe") => {
            vec![demand(format!("ec2:{action}"), "*", &Tags::new(), &Tags::new())]
        }
        Service::Ec2 => {
            super::demand_compute::demands(request, account).unwrap_or_else(|| ec2(request, account))
        }
    }
}

fn ebs(request: &Request, account: &mut Account) -> Vec<Demand> {
    let action = format!("ebs:{}", request.action);
    if request.action != "StartSnapshot" {
        let id = request.path.iter().find(|part| part.starts_with("snap-")).cloned().unwrap_or_default();
        let (resource, bears) = resource(account, &request.region, &id);
        return vec![demand(action, resource, &Tags::new(), &bears)];
    }
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let tags = body["Tags"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let tags: Tags = tags.iter().map(|tag| (text(&tag["Key"]), text(&tag["Value"]))).collect();
    let new = format!("arn:aws:ec2:{}::snapshot/*", request.region);
    let mut all = vec![demand(action, new, &tags, &Tags::new())];
    if let Some(key) = body["KmsKeyArn"].as_str() {
        all.extend(WITH_KEY.map(|act| {
            let mut demand = demand(format!("kms:{act}"), key, &Tags::new(), &Tags::new());
            if act == "CreateGrant" {
                demand.context.insert("kms:GrantIsForAWSResource".to_owned(), vec!["true".to_owned()]);
            }
            demand
        }));
    }
    all
}

/// The ARN and the tags of a snapshot or an image.
fn resource(account: &mut Account, region: &str, id: &str) -> (String, Tags) {
    let kind = if id.starts_with("ami-") { "image" } else { "snapshot" };
    let there = account.region(region);
    let image = there.images.get(id).map(|it| it.tags.clone());
    let tags = image.or_else(|| there.snapshots.get(id).map(|it| it.tags.clone())).unwrap_or_default();
    (format!("arn:aws:ec2:{region}::{kind}/{id}"), tags)
}

/// The tags that a request gives to what it makes of a kind.
pub(crate) fn given(form: &Form, kind: &str) -> Tags {
    let all = form.structures("TagSpecification").into_iter();
    all.filter(|it| it.get("ResourceType") == Some(kind)).filter_map(|it| it.tags().ok()).flatten().collect()
}

fn ec2(request: &Request, account: &mut Account) -> Vec<Demand> {
    let (form, region) = (&request.form, request.region.as_str());
    let action = || format!("ec2:{}", request.action);
    let mut all = Vec::new();
    let mut on = |account: &mut Account, region: &str, id: &str, asked: &Tags, action: String| {
        let (resource, bears) = resource(account, region, id);
        all.push(demand(action, resource, asked, &bears));
    };
    // What is there already.
    let asked = if request.action == "CreateTags" { form.tags().unwrap_or_default() } else { Tags::new() };
    let named = ["ImageId", "SnapshotId"].iter().filter_map(|name| form.get(name)).map(str::to_owned);
    for id in named.chain(form.list("ResourceId")) {
        on(account, region, &id, &asked, action());
    }
    for mapping in form.structures("BlockDeviceMapping") {
        if let Some(id) = mapping.get("Ebs.SnapshotId") {
            on(account, region, id, &given(form, "image"), action());
        }
    }
    if let Some(id) = form.get("SourceImageId") {
        on(account, form.get("SourceRegion").unwrap_or(region), id, &given(form, "image"), action());
    }
    if form.get("DeleteAssociatedSnapshots") == Some("true") {
        let image = form.get("ImageId").and_then(|id| account.region(region).images.get(id).cloned());
        for id in image.iter().flat_map(|image| image.snapshots()) {
            on(account, region, id, &Tags::new(), "ec2:DeleteSnapshot".to_owned());
        }
    }
    // What it makes.
    let makes: &[&str] = match request.action.as_str() {
        "RegisterImage" => &["image"],
        "CopyImage" => &["image", "snapshot"],
        _ => &[],
    };
    for kind in makes {
        let (new, tags) = (format!("arn:aws:ec2:{region}::{kind}/*"), given(form, kind));
        all.push(demand(action(), new.clone(), &tags, &Tags::new()));
        if !tags.is_empty() {
            all.push(demand("ec2:CreateTags".to_owned(), new, &tags, &Tags::new()));
        }
    }
    all
}
