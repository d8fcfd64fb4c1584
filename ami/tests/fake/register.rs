//! RegisterImage: what is recorded of an image, and what AWS would not take. Stricter than AWS in one regard: the defaults
//! that nobody can want (i386, paravirtual) are refused instead of recorded.

use super::OWNER;
use super::account::{Account, Image, Mapping, Region, State};
use super::answer::{Answer, Refusal, Reply};
use super::clock;
use super::form::Form;
use super::request::Request;
use super::xml::Xml;
use std::collections::{BTreeMap, BTreeSet};

fn wrong(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterValue", message)
}

/// 3 to 128 characters, of which only some are taken; unique among the owner's in a region.
pub(crate) fn check_name(name: &str, region: &Region) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    if !(3..=128).contains(&name.len()) || !name.chars().all(legal) {
        let message = "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, and some others";
        return Err(Refusal::new(400, "InvalidAMIName.Malformed", message));
    }
    let taken = region.images.iter().find(|(_, it)| it.owner == OWNER && it.name == name);
    taken.map_or(Ok(()), |(id, _)| {
        let message = format!("AMI name {name} is already in use by AMI {id}");
        Err(Refusal::new(400, "InvalidAMIName.Duplicate", message))
    })
}

fn one_of(form: &Form, name: &str, values: &[&str]) -> Result<String, Refusal> {
    match form.get(name) {
        None => Ok(String::new()),
        Some(value) if values.contains(&value) => Ok(value.to_owned()),
        Some(value) => Err(wrong(format!("Invalid value '{value}' for {name}"))),
    }
}

/// Answers RegisterImage.
pub(crate) fn register(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&[
        "Name",
        "Description",
        "Architecture",
        "VirtualizationType",
        "RootDeviceName",
        "BlockDeviceMapping",
        "BootMode",
        "TpmSupport",
        "ImdsSupport",
        "EnaSupport",
        "UefiData",
        "TagSpecification",
        "SriovNetSupport",
    ])?;
    let (unseen, region) = (account.lag, account.region(&request.region));
    let name = form.need("Name")?;
    check_name(name, region)?;
    let description = form.get("Description").unwrap_or_default();
    if description.len() > 255 {
        return Err(wrong("a description has at most 255 characters"));
    }
    let architecture = one_of(form, "Architecture", &["x86_64", "arm64"])?;
    let virtualization = one_of(form, "VirtualizationType", &["hvm"])?;
    if architecture.is_empty() || virtualization.is_empty() {
        return Err(wrong("without Architecture and VirtualizationType it would be i386 and paravirtual"));
    }
    let boot_mode = one_of(form, "BootMode", &["uefi", "uefi-preferred", "legacy-bios"])?;
    let tpm = one_of(form, "TpmSupport", &["v2.0"])?;
    let imds = one_of(form, "ImdsSupport", &["v2.0"])?;
    // NitroTPM and UEFI variables are there only under UEFI.
    if boot_mode != "uefi" && (!tpm.is_empty() || form.get("UefiData").is_some()) {
        let message = "TpmSupport and UefiData can only be specified with boot mode uefi";
        return Err(Refusal::new(400, "InvalidParameterCombination", message));
    }
    form.get("UefiData").map_or(Ok(()), super::uefi::check)?;
    let root_device = form.need("RootDeviceName")?;
    let mappings = mappings(form, region)?;
    let root = mappings.iter().find(|mapping| mapping.device == root_device && mapping.snapshot.is_some());
    let no_root = || Refusal::new(400, "InvalidBlockDeviceMapping", "the root device is mapped to no snapshot");
    root.ok_or_else(no_root)?;
    let mut tags = form.tag_specifications(&["image", "snapshot"])?;
    for id in mappings.iter().filter_map(|mapping| mapping.snapshot.as_ref()) {
        if let (Some(more), Some(snapshot)) = (tags.get("snapshot"), region.snapshots.get_mut(id)) {
            snapshot.tags.extend(more.clone());
        }
    }
    let image = Image {
        owner: OWNER.to_owned(),
        name: name.to_owned(),
        description: description.to_owned(),
        tags: tags.remove("image").unwrap_or_default(),
        state: State::Ready,
        looks: 0,
        unseen,
        architecture,
        virtualization,
        boot_mode,
        tpm,
        imds,
        ena: form.flag("EnaSupport")?.unwrap_or(false),
        uefi_data: form.get("UefiData").map(str::to_owned),
        root_device: root_device.to_owned(),
        mappings,
        launchers: BTreeSet::new(),
        deprecated_at: None,
        source: None,
        created: clock::now(),
    };
    let id = account.id("ami");
    account.region(&request.region).images.insert(id.clone(), image);
    Ok(Reply::xml(Xml::document("RegisterImageResponse", |xml| xml.text("imageId", &id))))
}

fn mappings(form: &Form, region: &Region) -> Result<Vec<Mapping>, Refusal> {
    let broken = |message: String| Refusal::new(400, "InvalidBlockDeviceMapping", message);
    let mut mappings: BTreeMap<String, Mapping> = BTreeMap::new();
    for mapping in form.structures("BlockDeviceMapping") {
        let device = mapping.need("DeviceName")?.to_owned();
        if !device.starts_with("/dev/sd") && !device.starts_with("/dev/xvd") {
            return Err(broken(format!("{device} is no name of a device")));
        }
        let snapshot = mapping.get("Ebs.SnapshotId").map(str::to_owned);
        let mut gib = mapping.number("Ebs.VolumeSize")?;
        let encrypted = mapping.flag("Ebs.Encrypted")?;
        let mut is_encrypted = encrypted.unwrap_or(false);
        if let Some(id) = &snapshot {
            let missing = || {
                Refusal::new(400, "InvalidSnapshot.NotFound", format!("The snapshot '{id}' does not exist."))
            };
            let snapshot = region.snapshots.get(id).ok_or_else(missing)?;
            if snapshot.state != State::Ready {
                return Err(Refusal::new(
                    400,
                    "IncorrectState",
                    format!("The snapshot '{id}' is not completed"),
                ));
            }
            if encrypted.is_some() {
                return Err(broken(format!(
                    "Encrypted can not be given for {device}, which is made from a snapshot"
                )));
            }
            if gib.is_some_and(|gib| gib < snapshot.gib) {
                return Err(broken(format!("the volume of {device} is smaller than snapshot {id}")));
            }
            gib = gib.or(Some(snapshot.gib));
            is_encrypted = snapshot.encrypted;
        }
        let gib = gib.ok_or_else(|| broken(format!("{device} has neither a size nor a snapshot")))?;
        let kind = one_of(&mapping, "Ebs.VolumeType", &["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"])?;
        let kind = if kind.is_empty() { "gp2".to_owned() } else { kind };
        if !(1..=65_536).contains(&gib) {
            return Err(broken(format!("{gib} GiB is no size of {device}")));
        }
        let delete_on_termination = mapping.flag("Ebs.DeleteOnTermination")?.unwrap_or(true);
        let encrypted = is_encrypted;
        let whole = Mapping { device: device.clone(), snapshot, gib, kind, delete_on_termination, encrypted };
        if mappings.insert(device.clone(), whole).is_some() {
            return Err(broken(format!("{device} is mapped twice")));
        }
    }
    Ok(mappings.into_values().collect())
}
