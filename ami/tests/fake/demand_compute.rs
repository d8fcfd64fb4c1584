//! What requests about hosts demand of IAM. RunInstances is asked for on everything that it touches and on everything that
//! it makes, with the tags that each gets; handing over a role is `iam:PassRole`.

use super::OWNER;
use super::account::{Account, Tags};
use super::demand::{Demand, demand, given};
use super::request::Request;

/// What RunInstances makes.
const MADE: [&str; 3] = ["instance", "volume", "network-interface"];

fn arn(region: &str, kind: &str, id: &str) -> String {
    format!("arn:aws:ec2:{region}:{OWNER}:{kind}/{id}")
}

/// The ARN and the tags of something of compute; nothing if the id is of another kind.
fn resource(account: &mut Account, region: &str, id: &str) -> Option<(String, Tags)> {
    let compute = &account.region(region).compute;
    let (kind, tags) = match id.split('-').next()? {
        "i" => ("instance", compute.instances.get(id).map(|it| it.tags.clone())),
        "vol" => ("volume", compute.volumes.get(id).map(|it| it.tags.clone())),
        "sg" => ("security-group", compute.groups.get(id).map(|it| it.tags.clone())),
        "eipalloc" => ("elastic-ip", compute.addresses.get(id).map(|it| it.tags.clone())),
        "subnet" => ("subnet", None),
        "vpc" => ("vpc", None),
        _ => return None,
    };
    Some((arn(region, kind, id), tags.unwrap_or_default()))
}

/// What an action demands on one thing that is there.
pub(crate) fn on(account: &mut Account, region: &str, action: &str, id: &str) -> Demand {
    let (resource, bears) = resource(account, region, id).expect("an id of compute");
    demand(action.to_owned(), resource, &Tags::new(), &bears)
}

/// Making something with tags is tagging it, which IAM is told with the name of the action that makes it.
fn tagging(action: &str, new: String, tags: &Tags) -> Option<Demand> {
    let mut all = demand("ec2:CreateTags".to_owned(), new, tags, &Tags::new());
    all.context.insert("ec2:CreateAction".to_owned(), vec![action.to_owned()]);
    (!tags.is_empty()).then_some(all)
}

/// The demands of an action about hosts; none if it is no such action.
pub(crate) fn demands(request: &Request, account: &mut Account) -> Option<Vec<Demand>> {
    let (form, region, action) = (&request.form, request.region.as_str(), request.action.as_str());
    let own = format!("ec2:{action}");
    let makes: &[&str] = match action {
        "RunInstances" => &MADE,
        "CreateSecurityGroup" => &["security-group"],
        "AllocateAddress" => &["elastic-ip"],
        "AssociateAddress"
        | "DisassociateAddress"
        | "ReleaseAddress"
        | "AttachVolume"
        | "DetachVolume"
        | "DeleteVolume"
        | "DeleteSecurityGroup"
        | "AuthorizeSecurityGroupIngress"
        | "StopInstances"
        | "StartInstances"
        | "RebootInstances"
        | "TerminateInstances"
        | "GetConsoleOutput" => &[],
        _ => return None,
    };
    let named = ["InstanceId", "VolumeId", "GroupId", "SubnetId", "AllocationId", "VpcId"];
    let mut ids: Vec<String> = named.iter().filter_map(|name| form.get(name).map(str::to_owned)).collect();
    ids.extend(["InstanceId", "SecurityGroupId"].iter().flat_map(|name| form.list(name)));
    for interface in form.structures("NetworkInterface") {
        ids.extend(interface.get("SubnetId").map(str::to_owned));
        ids.extend(interface.list("SecurityGroupId"));
    }
    let mut all: Vec<Demand> = Vec::new();
    for (resource, bears) in ids.iter().filter_map(|id| resource(account, region, id)) {
        all.push(demand(own.clone(), resource, &Tags::new(), &bears));
    }
    for kind in makes {
        let (new, tags) = (arn(region, kind, "*"), given(form, kind));
        all.push(demand(own.clone(), new.clone(), &tags, &Tags::new()));
        all.extend(tagging(action, new, &tags));
    }
    if action == "RunInstances" {
        all.extend(around(request, account));
    }
    Some(all)
}

/// What RunInstances uses that has no id of compute: the image, the key pair, and the role.
fn around(request: &Request, account: &mut Account) -> Vec<Demand> {
    let (form, region) = (&request.form, request.region.as_str());
    let own = || "ec2:RunInstances".to_owned();
    let id = form.get("ImageId").unwrap_or_default();
    let bears = account.region(region).images.get(id).map(|it| it.tags.clone()).unwrap_or_default();
    let mut all = vec![demand(own(), format!("arn:aws:ec2:{region}::image/{id}"), &Tags::new(), &bears)];
    if let Some(key) = form.get("KeyName") {
        all.push(demand(own(), arn(region, "key-pair", key), &Tags::new(), &Tags::new()));
    }
    if form.get("InstanceMarketOptions.MarketType") == Some("spot") {
        let request = arn(region, "spot-instances-request", "*");
        all.push(demand(own(), request, &given(form, "spot-instances-request"), &Tags::new()));
    }
    if let Some(profile) = form.get("IamInstanceProfile.Name") {
        let role = format!("arn:aws:iam::{OWNER}:role/{profile}");
        let mut pass = demand("iam:PassRole".to_owned(), role, &Tags::new(), &Tags::new());
        pass.context.insert("iam:PassedToService".to_owned(), vec!["ec2.amazonaws.com".to_owned()]);
        all.push(pass);
    }
    all
}
