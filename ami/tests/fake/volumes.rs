//! Volumes: DescribeVolumes, AttachVolume, DetachVolume and DeleteVolume. A volume is at one instance at most.

use super::account::Account;
use super::answer::{Answer, Refusal, Reply};
use super::clock;
use super::compute::{Attachment, Compute, Instance, Phase, Volume};
use super::ec2::{Filters, page, tag_set};
use super::instances;
use super::life::attaching;
use super::request::Request;
use super::xml::Xml;

const FILTERS: [&str; 7] = [
    "status",
    "volume-id",
    "availability-zone",
    "encrypted",
    "attachment.instance-id",
    "attachment.device",
    "attachment.status",
];

fn missing(id: &str) -> Refusal {
    Refusal::new(400, "InvalidVolume.NotFound", format!("The volume '{id}' does not exist."))
}

fn incorrect(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "IncorrectState", message)
}

fn status(volume: &Volume) -> &'static str {
    if volume.attachment.is_some() { "in-use" } else { "available" }
}

/// Answers DescribeVolumes.
pub(crate) fn describe(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&["VolumeId", "Filter", "MaxResults", "NextToken"])?;
    let (filters, ids, most) = (Filters::of(form, &FILTERS)?, form.list("VolumeId"), account.most);
    let compute = &account.region(&request.region).compute;
    if let Some(id) = ids.iter().find(|id| !compute.volumes.contains_key(*id)) {
        return Err(missing(id));
    }
    let all = compute.volumes.iter().filter(|(id, it)| {
        (ids.is_empty() || ids.contains(id)) && filters.pass(&it.tags, |name| property(name, id, it))
    });
    let (all, next) = page(form, all.map(|(id, it)| (id.clone(), it.clone())).collect(), most)?;
    for (id, _) in &all {
        account.look_at_volume(&request.region, id);
    }
    Ok(Reply::xml(Xml::document("DescribeVolumesResponse", |xml| {
        xml.list("volumeSet", &all, |xml, (id, it)| show(xml, id, it)).option("nextToken", next.as_deref())
    })))
}

fn property(name: &str, id: &str, it: &Volume) -> Vec<String> {
    let of = |what: fn(&Attachment) -> &str| it.attachment.iter().map(|at| what(at).to_owned()).collect();
    match name {
        "status" => vec![status(it).to_owned()],
        "volume-id" => vec![id.to_owned()],
        "availability-zone" => vec![it.zone.clone()],
        "encrypted" => vec![it.encrypted.to_string()],
        "attachment.instance-id" => of(|at| &at.instance),
        "attachment.device" => of(|at| &at.device),
        _ => of(|at| at.state),
    }
}

fn show(xml: &mut Xml, id: &str, it: &Volume) {
    xml.text("volumeId", id).text("size", it.gib.to_string()).option("snapshotId", it.snapshot.as_deref());
    xml.text("availabilityZone", &it.zone)
        .text("status", status(it))
        .text("createTime", clock::text(it.created));
    xml.text("volumeType", &it.kind).text("encrypted", it.encrypted.to_string());
    xml.list("attachmentSet", &it.attachment, |xml, at| place(xml, id, at));
    tag_set(xml, &it.tags);
}

fn place(xml: &mut Xml, id: &str, at: &Attachment) {
    xml.text("volumeId", id)
        .text("instanceId", &at.instance)
        .text("device", &at.device)
        .text("status", at.state);
    xml.text("attachTime", clock::text(at.since));
    xml.text("deleteOnTermination", at.delete_on_termination.to_string());
}

fn placed(response: &str, id: &str, at: &Attachment) -> Reply {
    Reply::xml(Xml::document(response, |xml| {
        place(xml, id, at);
        xml
    }))
}

/// Answers AttachVolume.
pub(crate) fn attach(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&["VolumeId", "InstanceId", "Device"])?;
    let (id, instance, device) = (form.need("VolumeId")?, form.need("InstanceId")?, form.need("Device")?);
    let (settle, since) = (account.settle, clock::now() + account.dawdles);
    let compute = &mut account.region(&request.region).compute;
    let host = instances::named(compute, instance)?.clone();
    let volume = compute.volumes.get(id).ok_or_else(|| missing(id))?;
    if let Some(at) = volume.attachment.clone() {
        if volume.precious && at.instance != instance {
            account.violate(format!("{id} was to be at {instance} while it is at {}", at.instance));
        }
        let message = format!("{id} is already attached to an instance");
        return Err(Refusal::new(400, "VolumeInUse", message));
    }
    fits(compute, volume, (instance, &host), device)?;
    let attachment = attaching(instance, device, settle, since);
    let answer = placed("AttachVolumeResponse", id, &attachment);
    if let Some(volume) = compute.volumes.get_mut(id) {
        volume.attachment = Some(attachment);
    }
    Ok(answer)
}

fn fits(compute: &Compute, volume: &Volume, host: (&str, &Instance), device: &str) -> Result<(), Refusal> {
    let (id, host) = host;
    if !matches!(host.phase, Phase::Running | Phase::Stopped) {
        return Err(incorrect(format!("Instance '{id}' is not 'running'.")));
    }
    if volume.zone != host.zone {
        let message = format!("The volume is not in the same availability zone as instance '{id}'");
        return Err(Refusal::new(400, "InvalidVolume.ZoneMismatch", message));
    }
    if compute.at(id).any(|(.., at)| at.device == device) {
        let message =
            format!("Invalid value '{device}' for unixDevice. Attachment point {device} is already in use");
        return Err(Refusal::new(400, "InvalidParameterValue", message));
    }
    Ok(())
}

/// Answers DetachVolume.
pub(crate) fn detach(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&["VolumeId", "InstanceId", "Device", "Force"])?;
    let (id, settle) = (form.need("VolumeId")?, account.settle);
    let compute = &mut account.region(&request.region).compute;
    let volume = compute.volumes.get(id).ok_or_else(|| missing(id))?;
    let (precious, there) = (volume.precious, volume.attachment.clone());
    let nowhere = || incorrect(format!("Volume '{id}' is in the 'available' state."));
    let mut at = there.filter(|it| it.state != "detaching").ok_or_else(nowhere)?;
    let elsewhere = |it: &str| it != at.instance;
    if form.get("InstanceId").is_some_and(elsewhere) || form.get("Device").is_some_and(|it| it != at.device) {
        let message = format!("Volume '{id}' is not attached there");
        return Err(Refusal::new(400, "InvalidAttachment.NotFound", message));
    }
    let host = instances::named(compute, &at.instance)?;
    let off = host.phase == Phase::Stopped;
    if at.device == host.root_device && !off {
        let message = format!("Unable to detach root volume '{id}' from instance '{}'", at.instance);
        return Err(Refusal::new(400, "OperationNotPermitted", message));
    }
    // AWS does it; the system that is writing to it is not asked.
    if precious && !off && host.boot.data.as_deref() == Some(id) {
        let instance = at.instance.clone();
        account.violate(format!("{id} was torn out of {instance}, which was not stopped"));
    }
    at.state = "detaching";
    at.looks = settle;
    let answer = placed("DetachVolumeResponse", id, &at);
    if let Some(volume) = account.region(&request.region).compute.volumes.get_mut(id) {
        volume.attachment = Some(at);
    }
    Ok(answer)
}

/// Answers DeleteVolume.
pub(crate) fn delete(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["VolumeId"])?;
    let id = request.form.need("VolumeId")?;
    let compute = &mut account.region(&request.region).compute;
    let volume = compute.volumes.get(id).ok_or_else(|| missing(id))?;
    if let Some(at) = &volume.attachment {
        let message = format!("Volume {id} is currently attached to {}", at.instance);
        return Err(Refusal::new(400, "VolumeInUse", message));
    }
    let precious = volume.precious;
    compute.volumes.remove(id);
    if let Some(machines) = &mut account.machines {
        machines.delete(id);
    }
    if precious {
        account.violate(format!("{id} with tenants' data was deleted"));
    }
    Ok(Reply::done("DeleteVolumeResponse"))
}
