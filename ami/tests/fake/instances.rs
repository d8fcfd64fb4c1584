//! Instances that there are: DescribeInstances, and how they are shown.

use super::account::Account;
use super::answer::{Answer, Refusal, Reply};
use super::compute::{Compute, Instance, Phase};
use super::ec2::{Filters, page, tag_set};
use super::request::Request;
use super::xml::Xml;
use super::{OWNER, clock};

const FILTERS: [&str; 10] = [
    "instance-state-name",
    "instance-id",
    "image-id",
    "client-token",
    "availability-zone",
    "vpc-id",
    "subnet-id",
    "instance-type",
    "network-interface.group-id",
    "instance.group-id",
];

/// That there is no such instance.
pub(crate) fn missing(id: &str) -> Refusal {
    let well =
        id.strip_prefix("i-").is_some_and(|it| it.len() == 17 && it.bytes().all(|b| b.is_ascii_hexdigit()));
    if !well {
        return Refusal::new(400, "InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\""));
    }
    Refusal::new(400, "InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
}

/// The instance that is named, if others may see it already.
pub(crate) fn named<'a>(compute: &'a mut Compute, id: &str) -> Result<&'a mut Instance, Refusal> {
    compute.instances.get_mut(id).filter(|it| it.unseen == 0).ok_or_else(|| missing(id))
}

/// The ids that a request selects, those that nobody sees yet not among them; who looks next sees more.
fn selected(request: &Request, account: &mut Account) -> Result<Vec<String>, Refusal> {
    let (ids, filters) = (request.form.list("InstanceId"), Filters::of(&request.form, &FILTERS)?);
    let most = account.most;
    let compute = &mut account.region(&request.region).compute;
    let unseen: Vec<String> =
        compute.instances.iter().filter(|(_, it)| it.unseen > 0).map(|(id, _)| id.clone()).collect();
    for instance in compute.instances.values_mut() {
        instance.unseen = instance.unseen.saturating_sub(1);
    }
    if let Some(id) = ids.iter().find(|id| unseen.contains(id) || !compute.instances.contains_key(*id)) {
        return Err(missing(id));
    }
    let all = compute.instances.iter().filter(|(id, _)| !unseen.contains(id));
    let all = all.filter(|(id, it)| {
        (ids.is_empty() || ids.contains(id)) && filters.pass(&it.tags, |name| property(name, id, it, compute))
    });
    let all: Vec<String> = all.map(|(id, _)| id.clone()).collect();
    if request.form.get("MaxResults").is_some() && !ids.is_empty() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(Refusal::new(400, "InvalidParameterCombination", message));
    }
    Ok(page(&request.form, all, most)?.0)
}

fn property(name: &str, id: &str, it: &Instance, compute: &Compute) -> Vec<String> {
    match name {
        "instance-state-name" => vec![it.phase.named().1.to_owned()],
        "instance-id" => vec![id.to_owned()],
        "image-id" => vec![it.image.clone()],
        "client-token" => it.token.iter().cloned().collect(),
        "availability-zone" => vec![it.zone.clone()],
        "subnet-id" => vec![it.subnet.clone()],
        "instance-type" => vec![it.kind.clone()],
        "vpc-id" => compute.subnets.get(&it.subnet).map(|subnet| subnet.vpc.clone()).into_iter().collect(),
        _ => it.groups.iter().cloned().collect(),
    }
}

/// Answers DescribeInstances.
pub(crate) fn describe(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["InstanceId", "Filter", "MaxResults", "NextToken"])?;
    let ids = selected(request, account)?;
    let answer = Reply::xml(Xml::document("DescribeInstancesResponse", |xml| {
        let compute = &account.region(&request.region).compute;
        xml.list("reservationSet", &ids, |xml, id| reservation(xml, compute, std::slice::from_ref(id)))
    }));
    ids.iter().for_each(|id| account.look_at(&request.region, id));
    Ok(answer)
}

/// A reservation with these instances in it.
pub(crate) fn reservation(xml: &mut Xml, compute: &Compute, ids: &[String]) {
    let first = ids.first().map_or("", |id| id.trim_start_matches("i-"));
    xml.text("reservationId", format!("r-{first}")).text("ownerId", OWNER);
    xml.list("groupSet", [""; 0], |_, _| ()).list("instancesSet", ids, |xml, id| {
        if let Some(instance) = compute.instances.get(id) {
            show(xml, id, instance, compute);
        }
    });
}

fn state(xml: &mut Xml, name: &str, phase: Phase) {
    let (code, word) = phase.named();
    xml.within(name, |xml| xml.text("code", code.to_string()).text("name", word));
}

fn show(xml: &mut Xml, id: &str, it: &Instance, compute: &Compute) {
    let gone = it.phase == Phase::Terminated;
    xml.text("instanceId", id).text("imageId", &it.image).text("instanceType", &it.kind);
    state(xml, "instanceState", it.phase);
    xml.option("keyName", it.key.as_deref()).text("amiLaunchIndex", "0");
    xml.text("launchTime", clock::text(it.launched)).option("clientToken", it.token.as_deref());
    xml.within("placement", |xml| xml.text("availabilityZone", &it.zone).text("tenancy", "default"));
    xml.text("architecture", "x86_64").text("rootDeviceType", "ebs").text("rootDeviceName", &it.root_device);
    xml.text("virtualizationType", "hvm").text("hypervisor", "xen").text("enaSupport", "true");
    xml.text("bootMode", "uefi")
        .text("ebsOptimized", "true")
        .option("instanceLifecycle", it.spot.then_some("spot"));
    // A terminated one has no place any more, and soon not even tags.
    if !gone {
        let vpc = compute.subnets.get(&it.subnet).map(|subnet| subnet.vpc.as_str());
        xml.text("subnetId", &it.subnet).option("vpcId", vpc).text("privateIpAddress", &it.private);
        xml.option("ipAddress", compute.public_address(id));
    }
    xml.list("groupSet", it.groups.iter().filter(|_| !gone), |xml, group| {
        xml.text("groupId", group).option("groupName", compute.groups.get(group).map(|it| it.name.as_str()));
    });
    xml.list("blockDeviceMapping", compute.at(id), |xml, (volume, _, at)| {
        xml.text("deviceName", &at.device).within("ebs", |xml| {
            xml.text("volumeId", volume).text("status", at.state);
            xml.text("deleteOnTermination", at.delete_on_termination.to_string())
        });
    });
    if let Some(profile) = &it.profile {
        xml.within("iamInstanceProfile", |xml| {
            xml.text("arn", format!("arn:aws:iam::{OWNER}:instance-profile/{profile}"))
                .text("id", "AIPAEXAMPLE")
        });
    }
    if let Some((code, message)) = &it.doom {
        xml.within("stateReason", |xml| xml.text("code", code).text("message", message));
    }
    xml.within("metadataOptions", |xml| {
        xml.text("state", "applied").text("httpTokens", &it.metadata.tokens);
        xml.text("httpPutResponseHopLimit", it.metadata.hops.to_string());
        xml.text("httpEndpoint", &it.metadata.endpoint).text("instanceMetadataTags", &it.metadata.tags)
    });
    tag_set(xml, &it.tags);
}

/// The answer to whatever changes instances' states.
pub(crate) fn changes(response: &str, all: &[(String, Phase, Phase)]) -> Reply {
    Reply::xml(Xml::document(response, |xml| {
        xml.list("instancesSet", all, |xml, (id, before, now)| {
            xml.text("instanceId", id);
            state(xml, "currentState", *now);
            state(xml, "previousState", *before);
        })
    }))
}
