//! RunInstances: what must fit together before there is an instance, and the disks that it comes with.

use super::account::{Account, Image, Mapping, Region, State, Tags};
use super::answer::{Answer, Refusal, Reply};
use super::compute::{Boot, Compute, Instance, Metadata, Phase, Volume};
use super::form::Form;
use super::image::missing as no_image;
use super::life::attaching;
use super::request::Request;
use super::types::kind_of;
use super::xml::Xml;
use super::{OWNER, clock, instances};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeMap, BTreeSet};

const PARAMETERS: [&str; 16] = [
    "ImageId",
    "InstanceType",
    "MinCount",
    "MaxCount",
    "KeyName",
    "SecurityGroupId",
    "SubnetId",
    "UserData",
    "ClientToken",
    "TagSpecification",
    "BlockDeviceMapping",
    "MetadataOptions",
    "NetworkInterface",
    "IamInstanceProfile",
    "InstanceMarketOptions",
    "DisableApiTermination",
];
/// No more bytes of user-data are taken, counted before base64.
const MOST_USER_DATA: usize = 16 << 10;

fn wrong(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterValue", message)
}

fn at_odds(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterCombination", message)
}

/// Where an instance is going to be.
struct Place {
    subnet: String,
    zone: String,
    groups: BTreeSet<String>,
    public: bool,
}

/// Answers RunInstances.
pub(crate) fn run(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&PARAMETERS)?;
    let region = request.region.as_str();
    let token = form.get("ClientToken").map(str::to_owned);
    let same = form.text_without(&["ClientToken", "Version"]);
    if let Some(id) = before(token.as_deref(), &same, account.region(region))? {
        return Ok(reservation(&account.region(region).compute, &id));
    }
    let image = image(request, account)?;
    check(form, &image, &account.region(region).compute)?;
    let place = place(form, &account.region(region).compute)?;
    let disks = disks(form, &image)?;
    let tags =
        form.tag_specifications(&["instance", "volume", "network-interface", "spot-instances-request"])?;
    let id = account.id("i");
    let instance = instance(form, &image, place, tags.get("instance").cloned().unwrap_or_default(), account)?;
    if let Some(token) = token {
        account.region(region).tokens.insert(token, (same, id.clone()));
    }
    let zone = instance.zone.clone();
    account.region(region).compute.instances.insert(id.clone(), instance);
    for disk in disks {
        let volume = account.id("vol");
        let made = made(&disk, &id, &zone, tags.get("volume").cloned().unwrap_or_default());
        account.region(region).compute.volumes.insert(volume, made);
    }
    Ok(reservation(&account.region(region).compute, &id))
}

/// The instance that a request with the same token has made, also if it has ended since.
fn before(token: Option<&str>, same: &str, region: &Region) -> Result<Option<String>, Refusal> {
    let Some(token) = token else { return Ok(None) };
    if token.len() > 64 || !token.is_ascii() {
        return Err(wrong("a client token has at most 64 ASCII characters"));
    }
    let other =
        "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).";
    match region.tokens.get(token) {
        Some((before, id)) if before == same => Ok(Some(id.clone())),
        Some(_) => Err(Refusal::new(400, "IdempotentParameterMismatch", other)),
        None => Ok(None),
    }
}

fn reservation(compute: &Compute, id: &str) -> Reply {
    Reply::xml(Xml::document("RunInstancesResponse", |xml| {
        instances::reservation(xml, compute, &[id.to_owned()]);
        xml
    }))
}

fn image(request: &Request, account: &mut Account) -> Result<Image, Refusal> {
    let id = request.form.need("ImageId")?;
    let image = account.region(&request.region).images.get(id);
    let may = |it: &&Image| it.owner == OWNER || it.launchers.contains("all") || it.launchers.contains(OWNER);
    let image = image.filter(may).cloned().ok_or_else(|| no_image(id))?;
    let unavailable =
        || Refusal::new(400, "InvalidAMIID.Unavailable", format!("The image ID '{id}' is not available"));
    if image.state == State::Ready { Ok(image) } else { Err(unavailable()) }
}

/// What needs nothing but a look at the request, the image and the account.
fn check(form: &Form, image: &Image, compute: &Compute) -> Result<(), Refusal> {
    if (form.number("MinCount")?, form.number("MaxCount")?) != (Some(1), Some(1)) {
        return Err(wrong("this fake starts one instance at a time: MinCount and MaxCount are 1"));
    }
    let kind = form.need("InstanceType")?;
    let kind = kind_of(kind).ok_or_else(|| wrong(format!("Invalid value '{kind}' for InstanceType.")))?;
    if kind.architecture != image.architecture {
        return Err(wrong(format!(
            "The architecture '{}' of the specified instance type does not match the architecture '{}' of the specified AMI. \
             Specify an instance type and an AMI that have matching architectures, and try again.",
            kind.architecture, image.architecture
        )));
    }
    if image.boot_mode == "uefi" && !kind.nitro {
        return Err(at_odds(format!(
            "The instance type '{}' does not support the boot mode 'uefi'",
            kind.name
        )));
    }
    if let Some(key) = form.get("KeyName").filter(|key| !compute.keys.contains(*key)) {
        let message = format!("The key pair '{key}' does not exist");
        return Err(Refusal::new(400, "InvalidKeyPair.NotFound", message));
    }
    if form.get("IamInstanceProfile.Name").is_some_and(|name| name == "nobody") {
        return Err(wrong(
            "Value (nobody) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        ));
    }
    check_market(form)?;
    user_data(form.get("UserData").unwrap_or_default())
}

fn check_market(form: &Form) -> Result<(), Refusal> {
    let spot = form.get("InstanceMarketOptions.SpotOptions.SpotInstanceType");
    let interruption = form.get("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior");
    match (form.get("InstanceMarketOptions.MarketType"), spot, interruption) {
        (None, None, None) | (Some("spot"), None | Some("one-time"), None | Some("terminate")) => Ok(()),
        (Some("spot"), Some("persistent"), _) => Ok(()),
        (Some("spot"), _, Some(_)) => {
            Err(at_odds("one-time spot instances can only be terminated on interruption"))
        }
        _ => Err(wrong("InstanceMarketOptions")),
    }
}

/// Base64 of at most 16 KiB.
fn user_data(text: &str) -> Result<(), Refusal> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| Refusal::new(400, "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."))?;
    let message = "User data is limited to 16384 bytes";
    if bytes.len() > MOST_USER_DATA { Err(wrong(message)) } else { Ok(()) }
}

/// The network, which is named either directly or by the one network interface.
fn place(form: &Form, compute: &Compute) -> Result<Place, Refusal> {
    let interfaces = form.structures("NetworkInterface");
    let (subnet, groups, public) = match &interfaces[..] {
        [] => (form.get("SubnetId"), form.list("SecurityGroupId"), None),
        [one] => {
            if form.get("SubnetId").is_some() || form.get("SecurityGroupId.1").is_some() {
                let message = "Network interfaces and an instance-level subnet ID may not be specified on the same request";
                return Err(at_odds(message));
            }
            if one.need("DeviceIndex")? != "0" {
                return Err(wrong("the first network interface has the device index 0"));
            }
            (one.get("SubnetId"), one.list("SecurityGroupId"), one.flag("AssociatePublicIpAddress")?)
        }
        _ => return Err(wrong("this fake gives an instance one network interface")),
    };
    let default = compute.subnets.iter().find(|(_, it)| it.default).map(|(id, _)| id.as_str());
    let none = || Refusal::new(400, "VPCIdNotSpecified", "No default VPC for this user");
    let id = subnet.or(default).ok_or_else(none)?;
    let gone = || Refusal::new(400, "InvalidSubnetID.NotFound", format!("The subnet ID '{id}' does not exist"));
    let there = compute.subnets.get(id).ok_or_else(gone)?;
    let mut in_groups = BTreeSet::new();
    for group in groups {
        let missing = || super::groups::missing(&group);
        let vpc = &compute.groups.get(&group).ok_or_else(missing)?.vpc;
        if *vpc != there.vpc {
            let message = format!("Security group {group} and subnet {id} belong to different networks.");
            return Err(Refusal::new(400, "InvalidParameter", message));
        }
        in_groups.insert(group);
    }
    if in_groups.is_empty() {
        let default = compute.groups.iter().find(|(_, it)| it.vpc == there.vpc && it.name == "default");
        in_groups.extend(default.map(|(id, _)| id.clone()));
    }
    let (subnet, public) = (id.to_owned(), public.unwrap_or(there.public));
    Ok(Place { subnet, zone: there.zone.clone(), groups: in_groups, public })
}

/// The image's disks, as far as the request does not say otherwise, and those that it adds.
fn disks(form: &Form, image: &Image) -> Result<Vec<Mapping>, Refusal> {
    let broken = |message: String| Refusal::new(400, "InvalidBlockDeviceMapping", message);
    let mut all: BTreeMap<String, Mapping> =
        image.mappings.iter().map(|it| (it.device.clone(), it.clone())).collect();
    let mut seen = BTreeSet::new();
    for change in form.structures("BlockDeviceMapping") {
        let device = change.need("DeviceName")?.to_owned();
        if !device.starts_with("/dev/sd") && !device.starts_with("/dev/xvd") {
            return Err(wrong(format!(
                "Value ({device}) for parameter blockDeviceMapping.deviceName is invalid"
            )));
        }
        if !seen.insert(device.clone()) {
            return Err(broken(format!("{device} is mapped twice")));
        }
        if change.get("NoDevice").is_some() {
            if device == image.root_device || change.get("Ebs.VolumeSize").is_some() {
                return Err(broken(format!("{device} can not be left out, or not and be described")));
            }
            all.remove(&device);
            continue;
        }
        let changed = changed(&change, all.get(&device).cloned(), &device)?;
        all.insert(device, changed);
    }
    Ok(all.into_values().collect())
}

/// A disk of the image, or a new one, as the request wants it.
fn changed(change: &Form, of_image: Option<Mapping>, device: &str) -> Result<Mapping, Refusal> {
    let mut disk = of_image.unwrap_or_else(|| Mapping {
        device: device.to_owned(),
        kind: "gp2".to_owned(),
        delete_on_termination: true,
        ..Mapping::default()
    });
    sized(change, &mut disk)?;
    if let Some(kind) = change.get("Ebs.VolumeType") {
        disk.kind = kind.to_owned();
    }
    match change.flag("Ebs.Encrypted")? {
        // What is encrypted stays so.
        Some(false) if disk.encrypted && disk.snapshot.is_some() => {
            let message = format!("encrypted flag cannot be turned off for {device}");
            return Err(Refusal::new(400, "InvalidBlockDeviceMapping", message));
        }
        Some(encrypted) => disk.encrypted = encrypted,
        None => {}
    }
    if let Some(goes) = change.flag("Ebs.DeleteOnTermination")? {
        disk.delete_on_termination = goes;
    }
    Ok(disk)
}

/// What a disk is made of and how big it is: of the image's snapshot and no smaller, or blank.
fn sized(change: &Form, disk: &mut Mapping) -> Result<(), Refusal> {
    let broken = |message: String| Refusal::new(400, "InvalidBlockDeviceMapping", message);
    if change.get("Ebs.SnapshotId").is_some_and(|it| disk.snapshot.as_deref() != Some(it)) {
        return Err(broken(format!("snapshotId can not be modified on {}", disk.device)));
    }
    if let Some(gib) = change.number("Ebs.VolumeSize")? {
        if gib == 0 || gib > 65_536 || (disk.snapshot.is_some() && gib < disk.gib) {
            let least = disk.gib;
            return Err(broken(format!(
                "Volume of size {gib}GB is smaller than snapshot, expect size >= {least}GB"
            )));
        }
        disk.gib = gib;
    }
    let nothing = format!("{} has neither a size nor a snapshot", disk.device);
    if disk.gib == 0 { Err(Refusal::new(400, "MissingParameter", nothing)) } else { Ok(()) }
}

/// The metadata service: without a wish, as the image wants it, and two hops.
fn metadata(form: &Form, image: &Image, tags: &Tags) -> Result<Metadata, Refusal> {
    let option =
        |name: &str, default: &str| form.get(&format!("MetadataOptions.{name}")).unwrap_or(default).to_owned();
    let tokens = option("HttpTokens", if image.imds == "v2.0" { "required" } else { "optional" });
    let hops = form.number("MetadataOptions.HttpPutResponseHopLimit")?.unwrap_or(2);
    if !["required", "optional"].contains(&tokens.as_str()) || !(1..=64).contains(&hops) {
        return Err(wrong("MetadataOptions"));
    }
    let shown = option("InstanceMetadataTags", "disabled");
    if shown == "enabled" && tags.keys().any(|key| key.contains('/') || key.contains(' ')) {
        return Err(wrong("with tags in the instance metadata no key may have a space or a slash"));
    }
    Ok(Metadata { tokens, hops, endpoint: option("HttpEndpoint", "enabled"), tags: shown })
}

fn instance(
    form: &Form,
    image: &Image,
    place: Place,
    tags: Tags,
    account: &mut Account,
) -> Result<Instance, Refusal> {
    let option = |name: &str| form.get(name).map(str::to_owned);
    let metadata = metadata(form, image, &tags)?;
    let doom = account.next_instance_fails.take();
    let doom = doom.map(|code| (code.clone(), format!("{code}: the instance could not be started")));
    Ok(Instance {
        image: form.need("ImageId")?.to_owned(),
        kind: form.need("InstanceType")?.to_owned(),
        phase: Phase::Pending,
        looks: account.settle,
        unseen: account.lag,
        doomed: doom.is_some(),
        doom,
        tags,
        subnet: place.subnet,
        zone: place.zone,
        groups: place.groups,
        key: option("KeyName"),
        profile: option("IamInstanceProfile.Name"),
        user_data: option("UserData").unwrap_or_default(),
        metadata,
        spot: form.get("InstanceMarketOptions.MarketType").is_some(),
        public: place.public,
        address: None,
        private: "172.31.0.10".to_owned(),
        root_device: image.root_device.clone(),
        token: option("ClientToken"),
        protected: form.flag("DisableApiTermination")?.unwrap_or(false),
        launched: clock::now(),
        boot: Boot::default(),
    })
}

fn made(disk: &Mapping, instance: &str, zone: &str, tags: Tags) -> Volume {
    let mut attachment = attaching(instance, &disk.device, 0, clock::now());
    attachment.delete_on_termination = disk.delete_on_termination;
    attachment.state = "attached";
    Volume {
        gib: disk.gib,
        kind: disk.kind.clone(),
        encrypted: disk.encrypted,
        snapshot: disk.snapshot.clone(),
        zone: zone.to_owned(),
        tags,
        created: clock::now(),
        attachment: Some(attachment),
        precious: false,
        certificate: None,
    }
}
