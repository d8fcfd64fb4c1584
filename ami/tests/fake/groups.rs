//! Security groups: CreateSecurityGroup, AuthorizeSecurityGroupIngress, DescribeSecurityGroups and DeleteSecurityGroup.

use super::account::Account;
use super::answer::{Answer, Refusal, Reply};
use super::compute::{Compute, Group, Permission, Phase, parse_cidr};
use super::ec2::{Filters, page, tag_set};
use super::form::Form;
use super::request::Request;
use super::xml::Xml;
use super::{OWNER, account::Tags};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

const FILTERS: [&str; 4] = ["group-name", "vpc-id", "group-id", "description"];

fn wrong(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterValue", message)
}

/// That there is no such group.
pub(crate) fn missing(id: &str) -> Refusal {
    Refusal::new(400, "InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
}

/// Names and descriptions have at most 255 of some characters.
fn legal(text: &str) -> bool {
    let may = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    (1..=255).contains(&text.len()) && text.chars().all(may)
}

/// Answers CreateSecurityGroup.
pub(crate) fn create(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&["GroupName", "GroupDescription", "VpcId", "TagSpecification"])?;
    let (name, description) = (form.need("GroupName")?, form.need("GroupDescription")?);
    if !legal(name) || !legal(description) || name.starts_with("sg-") {
        return Err(wrong(format!("Invalid security group name or description: '{name}', '{description}'")));
    }
    let tags = form.tag_specifications(&["security-group"])?.remove("security-group").unwrap_or_default();
    let (id, unseen) = (account.id("sg"), account.lag);
    let compute = &mut account.region(&request.region).compute;
    let default = compute.vpcs.iter().find(|(_, default)| **default).map(|(id, _)| id.as_str());
    let vpc = form.get("VpcId").or(default);
    let none = || Refusal::new(400, "VPCIdNotSpecified", "No default VPC for this user");
    let vpc = vpc.ok_or_else(none)?.to_owned();
    if !compute.vpcs.contains_key(&vpc) {
        return Err(Refusal::new(400, "InvalidVpcID.NotFound", format!("The vpc ID '{vpc}' does not exist")));
    }
    if compute.groups.values().any(|it| it.vpc == vpc && it.name == name) {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(Refusal::new(400, "InvalidGroup.Duplicate", message));
    }
    let (name, description) = (name.to_owned(), description.to_owned());
    let answer = Reply::xml(Xml::document("CreateSecurityGroupResponse", |xml| {
        xml.text("return", "true").text("groupId", &id);
        tag_set(xml, &tags);
        xml
    }));
    let group = Group { name, description, vpc, tags, permissions: BTreeSet::new(), unseen };
    compute.groups.insert(id, group);
    Ok(answer)
}

/// The rules of `IpPermissions.N`, each range one of them.
fn permissions(form: &Form) -> Result<Vec<Permission>, Refusal> {
    let mut all = Vec::new();
    for one in form.structures("IpPermissions") {
        let protocol = one.need("IpProtocol")?.to_owned();
        let port = |name: &str| -> Result<i64, Refusal> {
            let port = one.number(name)?.and_then(|port| u16::try_from(port).ok());
            port.map(i64::from).ok_or_else(|| wrong(format!("Invalid value for {name}")))
        };
        let (from, to) = if protocol == "-1" { (-1, -1) } else { (port("FromPort")?, port("ToPort")?) };
        if !["tcp", "udp", "icmp", "-1"].contains(&protocol.as_str()) || from > to {
            return Err(wrong(format!("Invalid rule: {protocol} {from} {to}")));
        }
        let before = all.len();
        for (list, field) in [("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6")] {
            for range in one.structures(list) {
                let cidr = range.need(field)?.to_owned();
                if !is_range(&cidr, field == "CidrIpv6") {
                    let code = "InvalidParameterValue";
                    return Err(Refusal::new(400, code, format!("CIDR block {cidr} is malformed")));
                }
                if range.get("Description").is_some_and(|it| !legal(it)) {
                    return Err(wrong("Invalid rule description"));
                }
                all.push(Permission { protocol: protocol.clone(), from, to, cidr });
            }
        }
        if all.len() == before {
            return Err(Refusal::new(400, "MissingParameter", "a rule names where connections may come from"));
        }
    }
    if all.is_empty() { Err(Refusal::new(400, "MissingParameter", "no rules")) } else { Ok(all) }
}

/// A range whose address has no bits behind its prefix.
fn is_range(cidr: &str, six: bool) -> bool {
    if !six {
        let whole = |(net, bits): (std::net::Ipv4Addr, u32)| {
            u32::from(net) & !u32::MAX.checked_shl(32 - bits).unwrap_or(0) == 0
        };
        return parse_cidr(cidr).is_some_and(whole);
    }
    let Some((net, bits)) = cidr.split_once('/') else { return false };
    let (net, bits) = (net.parse::<Ipv6Addr>(), bits.parse::<u32>());
    let whole =
        |net: Ipv6Addr, bits: u32| u128::from(net) & !u128::MAX.checked_shl(128 - bits).unwrap_or(0) == 0;
    matches!((net, bits), (Ok(net), Ok(bits)) if bits <= 128 && whole(net, bits))
}

/// Answers AuthorizeSecurityGroupIngress: all rules or, if one is there already, none.
pub(crate) fn authorize(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["GroupId", "IpPermissions", "TagSpecification"])?;
    let rules = permissions(&request.form)?;
    let id = request.form.need("GroupId")?;
    let compute = &mut account.region(&request.region).compute;
    let group = compute.groups.get_mut(id).ok_or_else(|| missing(id))?;
    let mut all = group.permissions.clone();
    for rule in rules {
        if !all.insert(rule.clone()) {
            let message = format!(
                "the specified rule \"peer: {}, {}, from port: {}, to port: {}, ALLOW\" already exists",
                rule.cidr, rule.protocol, rule.from, rule.to
            );
            return Err(Refusal::new(400, "InvalidPermission.Duplicate", message));
        }
    }
    group.permissions = all;
    Ok(Reply::done("AuthorizeSecurityGroupIngressResponse"))
}

/// Answers DescribeSecurityGroups.
pub(crate) fn describe(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&["GroupId", "GroupName", "Filter", "MaxResults", "NextToken"])?;
    let (filters, ids, most) = (Filters::of(form, &FILTERS)?, form.list("GroupId"), account.most);
    let groups = &mut account.region(&request.region).compute.groups;
    let seen: BTreeMap<String, Group> =
        groups.iter().filter(|(_, it)| it.unseen == 0).map(|(id, it)| (id.clone(), it.clone())).collect();
    groups.values_mut().for_each(|it| it.unseen = it.unseen.saturating_sub(1));
    if let Some(id) = ids.iter().find(|id| !seen.contains_key(*id)) {
        return Err(missing(id));
    }
    let all = seen.iter().filter(|(id, it)| {
        let property = |name: &str| match name {
            "group-name" => vec![it.name.clone()],
            "vpc-id" => vec![it.vpc.clone()],
            "group-id" => vec![(*id).clone()],
            _ => vec![it.description.clone()],
        };
        (ids.is_empty() || ids.contains(id)) && filters.pass(&it.tags, property)
    });
    let (all, next) = page(form, all.collect(), most)?;
    Ok(Reply::xml(Xml::document("DescribeSecurityGroupsResponse", |xml| {
        xml.list("securityGroupInfo", all, |xml, (id, it)| show(xml, id, it))
            .option("nextToken", next.as_deref())
    })))
}

fn show(xml: &mut Xml, id: &str, it: &Group) {
    xml.text("ownerId", OWNER).text("groupId", id).text("groupName", &it.name);
    xml.text("groupDescription", &it.description).text("vpcId", &it.vpc);
    // Ranges with the same ports are one entry.
    let mut by_port: BTreeMap<(&str, i64, i64), Vec<&str>> = BTreeMap::new();
    for rule in &it.permissions {
        by_port.entry((&rule.protocol, rule.from, rule.to)).or_default().push(&rule.cidr);
    }
    xml.list("ipPermissions", by_port, |xml, ((protocol, from, to), ranges)| {
        xml.text("ipProtocol", protocol).text("fromPort", from.to_string()).text("toPort", to.to_string());
        let (six, four): (Vec<&str>, Vec<&str>) = ranges.into_iter().partition(|it| it.contains(':'));
        xml.list("ipRanges", four, |xml, it| {
            xml.text("cidrIp", it);
        });
        xml.list("ipv6Ranges", six, |xml, it| {
            xml.text("cidrIpv6", it);
        });
    });
    tag_set(xml, &it.tags);
}

fn used(compute: &Compute, id: &str) -> bool {
    compute.instances.values().any(|it| it.phase != Phase::Terminated && it.groups.contains(id))
}

/// Answers DeleteSecurityGroup, in which nothing may be any more.
pub(crate) fn delete(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["GroupId"])?;
    let id = request.form.need("GroupId")?;
    let compute = &mut account.region(&request.region).compute;
    let group = compute.groups.get(id).ok_or_else(|| missing(id))?;
    if group.name == "default" {
        return Err(Refusal::new(400, "CannotDelete", "the default group cannot be deleted by a user"));
    }
    if used(compute, id) {
        let message = format!("resource {id} has a dependent object");
        return Err(Refusal::new(400, "DependencyViolation", message));
    }
    compute.groups.remove(id);
    Ok(Reply::xml(Xml::document("DeleteSecurityGroupResponse", |xml| {
        xml.text("return", "true").text("groupId", id)
    })))
}

/// The groups that somebody has made.
pub(crate) fn made(compute: &Compute) -> Vec<(&str, &Tags)> {
    compute
        .groups
        .iter()
        .filter(|(_, it)| it.name != "default")
        .map(|(id, it)| (id.as_str(), &it.tags))
        .collect()
}
