//! EC2: which action is answered where, filters, and pages.

use super::account::{Account, Tags};
use super::answer::{Answer, Refusal, Reply};
use super::form::Form;
use super::iam::fits;
use super::power::{Act, act};
use super::request::Request;
use super::{
    addresses, attribute, groups, host, image, instances, permissions, power, register, run, snapshot, volumes,
};

/// Answers an EC2 request.
pub(crate) fn answer(request: &Request, account: &mut Account) -> Answer {
    if request.form.get("Version") != Some("2016-11-15") {
        return Err(Refusal::new(400, "NoSuchVersion", "the API's version is 2016-11-15"));
    }
    match request.action.as_str() {
        "RegisterImage" => register::register(request, account),
        "DescribeImages" => image::describe(request, account),
        "CopyImage" => image::copy(request, account),
        "DeregisterImage" => image::deregister(request, account),
        "DisableImage" => image::able(request, account, false),
        "EnableImage" => image::able(request, account, true),
        "EnableImageDeprecation" => permissions::deprecate(request, account),
        "DisableImageDeprecation" => permissions::undeprecate(request, account),
        "DescribeImageAttribute" => attribute::describe(request, account),
        "ModifyImageAttribute" => permissions::modify_image(request, account),
        "ModifySnapshotAttribute" => permissions::modify_snapshot(request, account),
        "DescribeSnapshots" => snapshot::describe(request, account),
        "DeleteSnapshot" => snapshot::delete(request, account),
        "CreateTags" => tag(request, account),
        _ => compute(request, account),
    }
}

/// What is about hosts and what they are made of.
fn compute(request: &Request, account: &mut Account) -> Answer {
    match request.action.as_str() {
        "RunInstances" => run::run(request, account),
        "DescribeInstances" => instances::describe(request, account),
        "DescribeInstanceAttribute" => power::attribute(request, account),
        "StopInstances" => act(request, account, Act::Stop),
        "StartInstances" => act(request, account, Act::Start),
        "RebootInstances" => act(request, account, Act::Reboot),
        "TerminateInstances" => act(request, account, Act::Terminate),
        "GetConsoleOutput" => host::output(request, account),
        "DescribeVolumes" => volumes::describe(request, account),
        "AttachVolume" => volumes::attach(request, account),
        "DetachVolume" => volumes::detach(request, account),
        "DeleteVolume" => volumes::delete(request, account),
        "CreateSecurityGroup" => groups::create(request, account),
        "AuthorizeSecurityGroupIngress" => groups::authorize(request, account),
        "DescribeSecurityGroups" => groups::describe(request, account),
        "DeleteSecurityGroup" => groups::delete(request, account),
        "AllocateAddress" => addresses::allocate(request, account),
        "AssociateAddress" => addresses::associate(request, account),
        "DisassociateAddress" => addresses::disassociate(request, account),
        "DescribeAddresses" => addresses::describe(request, account),
        "ReleaseAddress" => addresses::release(request, account),
        "DescribeSubnets" => addresses::subnets(request, account),
        "DescribeKeyPairs" => addresses::keys(request, account),
        other => Err(Refusal::new(
            400,
            "InvalidAction",
            format!("The action {other} is not valid for this web service."),
        )),
    }
}

/// `Filter.N.Name` and `Filter.N.Value.M`: all must fit, each by any of its values.
pub(crate) struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// The filters of a request, each of which must be one of `names`, or of tags.
    pub(crate) fn of(form: &Form, names: &[&str]) -> Result<Filters, Refusal> {
        let mut filters = Vec::new();
        for filter in form.structures("Filter") {
            let (name, values) = (filter.need("Name")?.to_owned(), filter.list("Value"));
            let known = names.contains(&name.as_str()) || name == "tag-key" || name.starts_with("tag:");
            if !known {
                return Err(Refusal::new(
                    400,
                    "InvalidParameterValue",
                    format!("The filter '{name}' is invalid"),
                ));
            }
            if values.is_empty() {
                return Err(Refusal::new(
                    400,
                    "InvalidParameterValue",
                    format!("The filter '{name}' has no values"),
                ));
            }
            filters.push((name, values));
        }
        Ok(Filters(filters))
    }

    /// Whether a resource passes, by its tags (as far as the asker sees them) and its other properties.
    pub(crate) fn pass(&self, tags: &Tags, property: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|(name, patterns)| {
            let values = match name.strip_prefix("tag:") {
                Some(key) => tags.get(key).cloned().into_iter().collect(),
                None if name == "tag-key" => tags.keys().cloned().collect(),
                None => property(name),
            };
            values.iter().any(|value| patterns.iter().any(|pattern| fits(pattern, value)))
        })
    }
}

/// The page of a list that a request asks for, of no more than `most`, and the next one's token.
pub(crate) fn page<T>(form: &Form, mut all: Vec<T>, most: usize) -> Result<(Vec<T>, Option<String>), Refusal> {
    let wrong = || Refusal::new(400, "InvalidParameterValue", "Invalid value for NextToken");
    let from = match form.get("NextToken") {
        Some(token) => token.strip_prefix("from-").and_then(|at| at.parse().ok()).ok_or_else(wrong)?,
        None => 0,
    };
    let rest = if from < all.len() { all.split_off(from) } else { Vec::new() };
    let asked = form.number("MaxResults")?;
    if asked.is_some_and(|asked| !(5..=1000).contains(&asked)) {
        return Err(Refusal::new(400, "InvalidParameterValue", "MaxResults is between 5 and 1000"));
    }
    let most = asked.and_then(|asked| usize::try_from(asked).ok()).map_or(most, |asked| asked.min(most));
    let next = (rest.len() > most).then(|| format!("from-{}", from.saturating_add(most)));
    Ok((rest.into_iter().take(most).collect(), next))
}

/// A list of tags in an answer.
pub(crate) fn tag_set(xml: &mut super::xml::Xml, tags: &Tags) {
    xml.list("tagSet", tags, |xml, (key, value)| {
        xml.text("key", key).text("value", value);
    });
}

fn tag(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["ResourceId", "Tag"])?;
    let (tags, region) = (request.form.tags()?, account.region(&request.region));
    let ids = request.form.list("ResourceId");
    if ids.is_empty() || tags.is_empty() {
        return Err(Refusal::new(400, "MissingParameter", "The request must contain ResourceId and Tag"));
    }
    // All or none of them.
    for id in &ids {
        let found = region.snapshots.contains_key(id) || region.images.contains_key(id);
        if !found {
            return Err(Refusal::new(400, "InvalidID", format!("The ID '{id}' is not valid")));
        }
    }
    for id in &ids {
        let snapshot = region.snapshots.get_mut(id).map(|it| &mut it.tags);
        if let Some(bears) = snapshot.or_else(|| region.images.get_mut(id).map(|it| &mut it.tags)) {
            bears.extend(tags.clone());
        }
    }
    Ok(Reply::done("CreateTagsResponse"))
}
