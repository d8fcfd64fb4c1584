//! Images: DescribeImages, CopyImage, DeregisterImage, EnableImage and DisableImage.

use super::account::{Account, Image, Mapping, Snapshot, State};
use super::answer::{Answer, Refusal, Reply};
use super::clock;
use super::ec2::{Filters, page, tag_set};
use super::register::check_name;
use super::request::Request;
use super::xml::Xml;
use super::{OWNER, STRANGER};
use std::collections::BTreeSet;

const FILTERS: [&str; 9] = [
    "name",
    "state",
    "image-id",
    "owner-id",
    "description",
    "architecture",
    "is-public",
    "root-device-type",
    "block-device-mapping.snapshot-id",
];

/// That there is no such image.
pub(crate) fn missing(id: &str) -> Refusal {
    Refusal::new(400, "InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist"))
}

fn state(image: &Image) -> &'static str {
    match image.state {
        State::Pending => "pending",
        State::Ready => "available",
        State::Failed(_) => "failed",
        State::Disabled => "disabled",
    }
}

fn yes(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// One look more at an image that is not there yet, and at its snapshots.
fn look(account: &mut Account, region: &str, id: &str) {
    let region = account.region(region);
    let Some(image) = region.images.get_mut(id) else { return };
    if image.state != State::Pending {
        return;
    }
    if image.looks > 0 {
        image.looks -= 1;
        return;
    }
    image.state = State::Ready;
    for snapshot in image.mappings.iter().filter_map(|mapping| mapping.snapshot.as_ref()) {
        if let Some(snapshot) = region.snapshots.get_mut(snapshot) {
            snapshot.state = State::Ready;
        }
    }
}

fn show(xml: &mut Xml, id: &str, image: &Image) {
    let ours = image.owner == OWNER;
    xml.text("imageId", id)
        .text("name", &image.name)
        .text("imageState", state(image))
        .text("imageOwnerId", &image.owner);
    xml.text("imageLocation", format!("{}/{}", image.owner, image.name)).text("imageType", "machine");
    xml.text("creationDate", clock::text(image.created)).text("isPublic", yes(image.launchers.contains("all")));
    xml.text("architecture", &image.architecture).text("virtualizationType", &image.virtualization);
    xml.text("rootDeviceType", "ebs").text("rootDeviceName", &image.root_device).text("hypervisor", "xen");
    xml.text("enaSupport", yes(image.ena)).option("description", Some(&image.description));
    xml.option("bootMode", Some(&image.boot_mode)).option("tpmSupport", Some(&image.tpm));
    xml.option("imdsSupport", Some(&image.imds)).option("deprecationTime", image.deprecated_at.as_deref());
    if let Some((region, from)) = &image.source {
        xml.text("sourceImageRegion", region).text("sourceImageId", from);
    }
    xml.list("blockDeviceMapping", &image.mappings, |xml, mapping| {
        xml.text("deviceName", &mapping.device).within("ebs", |xml| {
            xml.option("snapshotId", mapping.snapshot.as_deref()).text("volumeSize", mapping.gib.to_string());
            xml.text("volumeType", &mapping.kind)
                .text("deleteOnTermination", yes(mapping.delete_on_termination));
            xml.text("encrypted", yes(mapping.encrypted))
        });
    });
    if ours {
        tag_set(xml, &image.tags);
    }
}

/// Whether the account's owner sees an image at all.
fn visible(image: &Image) -> bool {
    image.owner == OWNER || image.launchers.contains("all") || image.launchers.contains(OWNER)
}

/// Answers DescribeImages. A stranger's image shows, if it is public, but never its tags.
pub(crate) fn describe(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&[
        "ImageId",
        "Owner",
        "Filter",
        "MaxResults",
        "NextToken",
        "IncludeDeprecated",
        "IncludeDisabled",
        "ExecutableBy",
    ])?;
    let filters = Filters::of(form, &FILTERS)?;
    let (ids, owners) = (form.list("ImageId"), form.list("Owner"));
    let disabled = form.flag("IncludeDisabled")?.unwrap_or(false);
    let (most, region) = (account.most, account.region(&request.region));
    // Whoever looks now sees what was already to be seen; the next one sees more.
    let unseen: BTreeSet<String> =
        region.images.iter().filter(|(_, it)| it.unseen > 0).map(|(id, _)| id.clone()).collect();
    for image in region.images.values_mut() {
        image.unseen = image.unseen.saturating_sub(1);
    }
    if let Some(id) = ids.iter().find(|id| unseen.contains(*id)) {
        return Err(missing(id));
    }
    if let Some(id) = ids.iter().find(|id| !region.images.get(*id).is_some_and(visible)) {
        let gone = region.deregistered.contains(id);
        let unavailable = || {
            Refusal::new(400, "InvalidAMIID.Unavailable", format!("The image ID '{id}' is no longer available"))
        };
        return Err(if gone { unavailable() } else { missing(id) });
    }
    let owned = |image: &Image| {
        let is = |owner: &String| owner == &image.owner || (owner == "self" && image.owner == OWNER);
        owners.is_empty() || owners.iter().any(is)
    };
    let passes = |id: &str, image: &Image| {
        let hidden = image.state == State::Disabled && !disabled;
        let tags = if image.owner == OWNER { image.tags.clone() } else { Default::default() };
        !hidden && filters.pass(&tags, |name| property(name, id, image))
    };
    let all = region.images.iter().filter(|(id, _)| ids.is_empty() || ids.contains(id));
    let all = all.filter(|(id, _)| !unseen.contains(*id));
    let all = all.filter(|(id, image)| visible(image) && owned(image) && passes(id, image));
    let all: Vec<String> = all.map(|(id, _)| id.clone()).collect();
    let (all, next) = page(form, all, most)?;
    let shown: Vec<(String, Image)> = all.iter().map(|id| (id.clone(), region.images[id].clone())).collect();
    for id in &all {
        look(account, &request.region, id);
    }
    Ok(Reply::xml(Xml::document("DescribeImagesResponse", |xml| {
        xml.list("imagesSet", &shown, |xml, (id, image)| show(xml, id, image))
            .option("nextToken", next.as_deref())
    })))
}

fn property(name: &str, id: &str, image: &Image) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match name {
        "name" => one(&image.name),
        "state" => one(state(image)),
        "image-id" => one(id),
        "owner-id" => one(&image.owner),
        "description" => one(&image.description),
        "architecture" => one(&image.architecture),
        "is-public" => one(yes(image.launchers.contains("all"))),
        "root-device-type" => one("ebs"),
        _ => image.snapshots().map(str::to_owned).collect(),
    }
}

/// The owner's image that a request names, to change it.
pub(crate) fn ours<'a>(request: &Request, account: &'a mut Account) -> Result<&'a mut Image, Refusal> {
    let id = request.form.need("ImageId")?;
    let image = account.region(&request.region).images.get_mut(id).ok_or_else(|| missing(id))?;
    let theirs = || Refusal::new(403, "AuthFailure", format!("Not authorized for image {id}"));
    if image.owner == OWNER { Ok(image) } else { Err(theirs()) }
}

/// Answers DeregisterImage, with its snapshots where that is asked for.
pub(crate) fn deregister(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["ImageId", "DeleteAssociatedSnapshots"])?;
    ours(request, account)?;
    let with_snapshots = request.form.flag("DeleteAssociatedSnapshots")?.unwrap_or(false);
    let region = account.region(&request.region);
    let id = request.form.need("ImageId")?;
    let image = region.images.remove(id).ok_or_else(|| missing(id))?;
    region.deregistered.insert(id.to_owned());
    let mut results = Vec::new();
    for snapshot in image.snapshots().filter(|_| with_snapshots) {
        let used = region.images.values().any(|other| other.snapshots().any(|it| it == snapshot));
        if !used {
            region.snapshots.remove(snapshot);
        }
        results.push((snapshot.to_owned(), if used { "skipped" } else { "success" }));
    }
    Ok(Reply::xml(Xml::document("DeregisterImageResponse", |xml| {
        xml.text("return", "true").list("deleteSnapshotResultSet", results, |xml, (snapshot, code)| {
            xml.text("snapshotId", snapshot).text("returnCode", code);
        })
    })))
}

/// Answers EnableImage and DisableImage; a disabled image is nobody's to launch any more, also after it is enabled.
pub(crate) fn able(request: &Request, account: &mut Account, able: bool) -> Answer {
    request.form.only(&["ImageId"])?;
    let image = ours(request, account)?;
    let right = if able { image.state == State::Disabled } else { image.state == State::Ready };
    if !right {
        return Err(Refusal::new(400, "InvalidAMIID.Unavailable", "The image is not in a state for that"));
    }
    image.state = if able { State::Ready } else { State::Disabled };
    image.launchers.clear();
    Ok(Reply::done(if able { "EnableImageResponse" } else { "DisableImageResponse" }))
}

/// Answers CopyImage, which the destination's region is asked. Of the tags only the image's come along, and only if asked
/// for; permissions never do.
pub(crate) fn copy(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&[
        "Name",
        "SourceImageId",
        "SourceRegion",
        "ClientToken",
        "CopyImageTags",
        "Description",
        "Encrypted",
        "KmsKeyId",
        "TagSpecification",
    ])?;
    let (name, from, source) = (form.need("Name")?, form.need("SourceRegion")?, form.need("SourceImageId")?);
    let encrypted = form.flag("Encrypted")?.unwrap_or(false);
    if form.get("KmsKeyId").is_some() && !encrypted {
        return Err(Refusal::new(400, "InvalidParameterDependency", "KmsKeyId requires Encrypted"));
    }
    let original = account.region(from).images.get(source).filter(|it| visible(it)).cloned();
    let mut image = original.ok_or_else(|| missing(source))?;
    if image.state != State::Ready {
        return Err(Refusal::new(400, "IncorrectState", format!("The image '{source}' is not available")));
    }
    let same = format!("{from} {source} {name} {encrypted}");
    if let Some(token) = form.get("ClientToken")
        && let Some((before, id)) = account.region(&request.region).tokens.get(token)
    {
        let other =
            || Refusal::new(400, "IdempotentParameterMismatch", "the client token was of another request");
        return if *before == same { Ok(copied(id)) } else { Err(other()) };
    }
    check_name(name, account.region(&request.region))?;
    let mut tags = form.tag_specifications(&["image", "snapshot"])?;
    let keep = form.flag("CopyImageTags")?.unwrap_or(false) && image.owner == OWNER;
    let mut bears = if keep { std::mem::take(&mut image.tags) } else { Default::default() };
    bears.extend(tags.remove("image").unwrap_or_default());
    let id = account.id("ami");
    for mapping in image.mappings.iter_mut().filter(|mapping| mapping.snapshot.is_some()) {
        let bears = tags.get("snapshot").cloned().unwrap_or_default();
        copy_snapshot(account, (from, &request.region), mapping, (source, &id), encrypted, bears);
    }
    image = Image {
        owner: OWNER.to_owned(),
        name: name.to_owned(),
        description: form.get("Description").unwrap_or_default().to_owned(),
        tags: bears,
        state: State::Pending,
        looks: account.settle,
        unseen: account.lag,
        launchers: BTreeSet::new(),
        deprecated_at: None,
        created: clock::now(),
        source: Some((from.to_owned(), source.to_owned())),
        ..image
    };
    let region = account.region(&request.region);
    if let Some(token) = form.get("ClientToken") {
        region.tokens.insert(token.to_owned(), (same, id.clone()));
    }
    region.images.insert(id.clone(), image);
    Ok(copied(&id))
}

fn copied(id: &str) -> Reply {
    Reply::xml(Xml::document("CopyImageResponse", |xml| xml.text("imageId", id)))
}

fn copy_snapshot(
    account: &mut Account,
    (from, to): (&str, &str),
    mapping: &mut Mapping,
    (source, image): (&str, &str),
    encrypted: bool,
    tags: super::account::Tags,
) {
    let old = mapping.snapshot.clone().unwrap_or_default();
    let Some(original) = account.region(from).snapshots.get(&old).cloned() else { return };
    let id = account.id("snap");
    let copy = Snapshot {
        owner: OWNER.to_owned(),
        description: format!(
            "Copied for DestinationAmi {image} from SourceAmi {source} for SourceSnapshot {old}."
        ),
        tags,
        state: State::Pending,
        sealed: true,
        looks: u32::MAX,
        root: id.clone(),
        parent: None,
        encrypted: original.encrypted || encrypted,
        shared: BTreeSet::new(),
        started: clock::now(),
        ..original
    };
    mapping.encrypted = copy.encrypted;
    account.region(to).snapshots.insert(id.clone(), copy);
    mapping.snapshot = Some(id);
}

/// A stranger's public image by some name, with tags that nobody but the stranger sees.
pub(crate) fn strange(name: &str, tags: super::account::Tags) -> Image {
    Image {
        owner: STRANGER.to_owned(),
        name: name.to_owned(),
        description: String::new(),
        tags,
        state: State::Ready,
        looks: 0,
        unseen: 0,
        architecture: "x86_64".to_owned(),
        virtualization: "hvm".to_owned(),
        boot_mode: "uefi".to_owned(),
        tpm: String::new(),
        imds: String::new(),
        ena: true,
        uefi_data: None,
        root_device: "/dev/xvda".to_owned(),
        mappings: Vec::new(),
        launchers: BTreeSet::from(["all".to_owned()]),
        deprecated_at: None,
        source: None,
        created: clock::now(),
    }
}
