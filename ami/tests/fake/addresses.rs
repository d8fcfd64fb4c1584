//! The network around hosts: elastic addresses (AllocateAddress, AssociateAddress, DisassociateAddress, DescribeAddresses,
//! ReleaseAddress), and what is there from the first day (DescribeSubnets, DescribeKeyPairs).

use super::account::Account;
use super::answer::{Answer, Refusal, Reply};
use super::compute::{Address, Phase};
use super::ec2::{Filters, page, tag_set};
use super::instances::named;
use super::life::fresh_address;
use super::request::Request;
use super::xml::Xml;
use super::{OWNER, account::Tags};

fn missing(id: &str) -> Refusal {
    Refusal::new(400, "InvalidAllocationID.NotFound", format!("The allocation ID '{id}' does not exist"))
}

/// Answers AllocateAddress.
pub(crate) fn allocate(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["Domain", "TagSpecification"])?;
    if request.form.get("Domain").is_some_and(|domain| domain != "vpc") {
        return Err(Refusal::new(400, "InvalidParameterValue", "the domain is vpc"));
    }
    let tags = request.form.tag_specifications(&["elastic-ip"])?.remove("elastic-ip").unwrap_or_default();
    let (id, ip, most) = (account.id("eipalloc"), fresh_address(), account.most_addresses);
    let addresses = &mut account.region(&request.region).compute.addresses;
    if addresses.len() >= most {
        let message = "The maximum number of addresses has been reached.";
        return Err(Refusal::new(400, "AddressLimitExceeded", message));
    }
    addresses.insert(id.clone(), Address { ip: ip.clone(), tags, at: None });
    account.doors.push(ip.clone());
    Ok(Reply::xml(Xml::document("AllocateAddressResponse", |xml| {
        xml.text("publicIp", &ip).text("domain", "vpc").text("allocationId", &id)
    })))
}

/// Answers AssociateAddress. Where it was before, it is no longer, if that is not forbidden.
pub(crate) fn associate(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&["AllocationId", "InstanceId", "AllowReassociation"])?;
    let (id, instance) = (form.need("AllocationId")?, form.need("InstanceId")?);
    let association = account.id("eipassoc");
    let compute = &mut account.region(&request.region).compute;
    let at = compute.addresses.get(id).ok_or_else(|| missing(id))?.at.clone();
    let host = named(compute, instance)?;
    if !matches!(host.phase, Phase::Running | Phase::Stopped) {
        let (_, phase) = host.phase.named();
        let message = format!("The {phase} instance '{instance}' is not in a valid state for this operation.");
        return Err(Refusal::new(400, "InvalidInstanceID", message));
    }
    let association = match at {
        Some((before, there)) if there == instance => before,
        Some((before, _)) if form.flag("AllowReassociation")? == Some(false) => {
            let message = format!("resource {id} is already associated with associate-id {before}");
            return Err(Refusal::new(400, "Resource.AlreadyAssociated", message));
        }
        _ => association,
    };
    // An instance has one at most, and its own address is given up.
    compute.addresses.values_mut().for_each(|it| drop(it.at.take_if(|(_, at)| at == instance)));
    if let Some(address) = compute.addresses.get_mut(id) {
        address.at = Some((association.clone(), instance.to_owned()));
    }
    if let Some(host) = compute.instances.get_mut(instance) {
        host.address = None;
    }
    Ok(Reply::xml(Xml::document("AssociateAddressResponse", |xml| {
        xml.text("return", "true").text("associationId", &association)
    })))
}

/// Answers DisassociateAddress; the instance gets an address of its own again.
pub(crate) fn disassociate(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["AssociationId"])?;
    let (id, fresh) = (request.form.need("AssociationId")?, fresh_address());
    let compute = &mut account.region(&request.region).compute;
    let mut addresses = compute.addresses.values_mut();
    let at = addresses.find_map(|it| it.at.take_if(|(association, _)| association == id));
    let none = || {
        let message = format!("The association ID '{id}' does not exist");
        Refusal::new(400, "InvalidAssociationID.NotFound", message)
    };
    let (_, instance) = at.ok_or_else(none)?;
    let host = compute.instances.get_mut(&instance).filter(|it| it.public && it.phase == Phase::Running);
    if let Some(host) = host {
        host.address = Some(fresh.clone());
        account.doors.push(fresh);
    }
    Ok(Reply::done("DisassociateAddressResponse"))
}

/// Answers DescribeAddresses, which knows no pages.
pub(crate) fn describe(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&["AllocationId", "PublicIp", "Filter"])?;
    let filters =
        Filters::of(form, &["allocation-id", "public-ip", "instance-id", "domain", "association-id"])?;
    let (ids, ips) = (form.list("AllocationId"), form.list("PublicIp"));
    let addresses = &account.region(&request.region).compute.addresses;
    if let Some(id) = ids.iter().find(|id| !addresses.contains_key(*id)) {
        return Err(missing(id));
    }
    let all = addresses.iter().filter(|(id, it)| {
        let property = |name: &str| match name {
            "allocation-id" => vec![(*id).clone()],
            "public-ip" => vec![it.ip.clone()],
            "instance-id" => it.at.iter().map(|(_, at)| at.clone()).collect(),
            "association-id" => it.at.iter().map(|(association, _)| association.clone()).collect(),
            _ => vec!["vpc".to_owned()],
        };
        let asked = (ids.is_empty() || ids.contains(id)) && (ips.is_empty() || ips.contains(&it.ip));
        asked && filters.pass(&it.tags, property)
    });
    Ok(Reply::xml(Xml::document("DescribeAddressesResponse", |xml| {
        xml.list("addressesSet", all, |xml, (id, it)| {
            xml.text("publicIp", &it.ip).text("allocationId", id).text("domain", "vpc");
            if let Some((association, instance)) = &it.at {
                xml.text("associationId", association).text("instanceId", instance);
            }
            tag_set(xml, &it.tags);
        })
    })))
}

/// Answers ReleaseAddress.
pub(crate) fn release(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["AllocationId"])?;
    let id = request.form.need("AllocationId")?;
    let addresses = &mut account.region(&request.region).compute.addresses;
    if addresses.get(id).ok_or_else(|| missing(id))?.at.is_some() {
        let message = format!("Address with allocation id {id} is in use");
        return Err(Refusal::new(400, "InvalidIPAddress.InUse", message));
    }
    addresses.remove(id);
    Ok(Reply::done("ReleaseAddressResponse"))
}

/// Answers DescribeSubnets.
pub(crate) fn subnets(request: &Request, account: &mut Account) -> Answer {
    let form = &request.form;
    form.only(&["SubnetId", "Filter", "MaxResults", "NextToken"])?;
    let known = ["default-for-az", "defaultForAz", "availability-zone", "vpc-id", "subnet-id", "state"];
    let (filters, ids, most) = (Filters::of(form, &known)?, form.list("SubnetId"), account.most);
    let subnets = &account.region(&request.region).compute.subnets;
    if let Some(id) = ids.iter().find(|id| !subnets.contains_key(*id)) {
        let message = format!("The subnet ID '{id}' does not exist");
        return Err(Refusal::new(400, "InvalidSubnetID.NotFound", message));
    }
    let all = subnets.iter().filter(|(id, it)| {
        let property = |name: &str| match name {
            "default-for-az" | "defaultForAz" => vec![it.default.to_string()],
            "availability-zone" => vec![it.zone.clone()],
            "vpc-id" => vec![it.vpc.clone()],
            "state" => vec!["available".to_owned()],
            _ => vec![(*id).clone()],
        };
        (ids.is_empty() || ids.contains(id)) && filters.pass(&Tags::new(), property)
    });
    let (all, next) = page(form, all.collect(), most)?;
    Ok(Reply::xml(Xml::document("DescribeSubnetsResponse", |xml| {
        xml.list("subnetSet", all, |xml, (id, it)| {
            xml.text("subnetId", id).text("state", "available").text("vpcId", &it.vpc).text("ownerId", OWNER);
            xml.text("availabilityZone", &it.zone).text("defaultForAz", it.default.to_string());
            xml.text("mapPublicIpOnLaunch", it.public.to_string());
        })
        .option("nextToken", next.as_deref())
    })))
}

/// Answers DescribeKeyPairs; those whose name begins with `rsa` are of that kind.
pub(crate) fn keys(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["KeyName", "Filter"])?;
    let names = request.form.list("KeyName");
    let keys = &account.region(&request.region).compute.keys;
    if let Some(name) = names.iter().find(|name| !keys.contains(*name)) {
        let message = format!("The key pair '{name}' does not exist");
        return Err(Refusal::new(400, "InvalidKeyPair.NotFound", message));
    }
    let all = keys.iter().filter(|name| names.is_empty() || names.contains(name));
    Ok(Reply::xml(Xml::document("DescribeKeyPairsResponse", |xml| {
        xml.list("keySet", all, |xml, name| {
            let kind = if name.starts_with("rsa") { "rsa" } else { "ed25519" };
            xml.text("keyName", name).text("keyType", kind).text("keyPairId", "key-0123456789abcdef0");
        })
    })))
}
