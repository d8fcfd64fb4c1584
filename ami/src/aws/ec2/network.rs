//! Calls about what lies around an instance: subnets, security groups, key pairs, Elastic IPs.

use aws_sdk_ec2::types::{
    Address as SdkAddress, DomainType, Filter, IpPermission, IpRange, Ipv6Range, ResourceType, SecurityGroup,
};
use kennel_model::{HostName, layout};
use serde::Serialize;

use super::parse::tags;
use super::{tagged, tags_for};
use crate::aws::table::Call;
use crate::aws::{Aws, Fault};
use crate::names::{self, Tags};

/// AWS's word for a rule that a group has already.
const RULE_THERE: &str = "InvalidPermission.Duplicate";
/// Everybody.
const EVERYONE: (&str, &str) = ("0.0.0.0/0", "::/0");
/// Ports that everybody may reach.
const PUBLIC_PORTS: [u16; 2] = [layout::HTTP_PORT, 443];

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its network.
    pub vpc: String,
    /// Its availability zone.
    pub zone: String,
}

/// A security group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Its tags.
    pub tags: Tags,
    /// Port, and from where it may be reached.
    open: Vec<(u16, String)>,
}

/// An Elastic IP.
#[derive(Debug, Clone, Serialize)]
pub struct Address {
    /// Its id.
    #[serde(rename = "allocation")]
    pub id: String,
    /// The address itself.
    pub ip: String,
    /// The instance that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl Aws {
    /// A subnet by its id; else the default subnets of the default network, in the order of their zones.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn subnets(&self, id: Option<&str>, zone: Option<&str>) -> Result<Vec<Subnet>, Fault> {
        let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
        let request = || {
            let request = self.ec2.describe_subnets();
            let request = match id {
                Some(id) => request.subnet_ids(id),
                None => request.filters(filter("default-for-az", "true")),
            };
            zone.iter().fold(request, |request, zone| request.filters(filter("availability-zone", zone))).send()
        };
        let answer = self.call(Call::DescribeSubnets, request).await?;
        let mut found: Vec<_> = answer.subnets().iter().filter_map(Subnet::of).collect();
        found.sort_by(|one, other| one.zone.cmp(&other.zone));
        Ok(found)
    }

    /// Of which type a key pair is: `ed25519` or `rsa`.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn key_type(&self, name: &str) -> Result<String, Fault> {
        let call = Call::DescribeKeyPairs;
        let answer = self.call(call, || self.ec2.describe_key_pairs().key_names(name).send()).await?;
        let kind = answer.key_pairs().first().and_then(|pair| pair.key_type());
        kind.map(|kind| kind.as_str().to_owned()).ok_or_else(|| Fault::incomplete(call, "type"))
    }

    /// The security group that has this name in a network.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn group(&self, name: &str, vpc: &str) -> Result<Option<Group>, Fault> {
        let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
        self.groups(&[filter("group-name", name), filter("vpc-id", vpc)])
            .await
            .map(|all| all.into_iter().next())
    }

    /// The security groups of a host.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn groups_of(&self, host: &HostName) -> Result<Vec<Group>, Fault> {
        self.groups(&[tagged(names::HOST, Some(host.as_str()))]).await
    }

    async fn groups(&self, filters: &[Filter]) -> Result<Vec<Group>, Fault> {
        let request = || self.ec2.describe_security_groups().set_filters(Some(filters.to_vec())).send();
        let answer = self.call(Call::DescribeSecurityGroups, request).await?;
        Ok(answer.security_groups().iter().filter_map(Group::of).collect())
    }

    /// Makes a host's security group, with no rule yet. It has no client token: who is told that the name is taken looks.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn create_group(&self, host: &HostName, vpc: &str) -> Result<(), Fault> {
        let tags = tags_for(ResourceType::SecurityGroup, &names::host_tags(host));
        self.call(Call::CreateSecurityGroup, || {
            self.ec2
                .create_security_group()
                .group_name(names::group(host))
                .description(format!("Kennel host {host}"))
                .vpc_id(vpc)
                .tag_specifications(tags.clone())
                .send()
        })
        .await
        .map(drop)
    }

    /// Opens what a host needs open and the group has not: the web for everybody, the API for one network. Answers whether
    /// there was anything.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn open_ports(&self, group: &Group, api_from: &str) -> Result<bool, Fault> {
        let missing = group.missing(api_from);
        if missing.is_empty() {
            return Ok(false);
        }
        let request = || {
            let request = self.ec2.authorize_security_group_ingress().group_id(&group.id);
            request.set_ip_permissions(Some(missing.clone())).send()
        };
        match self.call(Call::AuthorizeSecurityGroupIngress, request).await {
            // All or nothing: an earlier attempt of which the answer was lost has made them.
            Err(fault) if fault.is(RULE_THERE) && fault.before > 0 => Ok(true),
            answer => answer.map(|_| true),
        }
    }

    /// Removes a security group; one that is gone already is as good.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn delete_group(&self, id: &str) -> Result<(), Fault> {
        let request = || self.ec2.delete_security_group().group_id(id).send();
        match self.call(Call::DeleteSecurityGroup, request).await {
            Err(fault) if !fault.is("InvalidGroup.NotFound") => Err(fault),
            _ => Ok(()),
        }
    }

    /// The Elastic IPs of a host.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn addresses(&self, host: &HostName) -> Result<Vec<Address>, Fault> {
        let filter = tagged(names::HOST, Some(host.as_str()));
        let request = || self.ec2.describe_addresses().filters(filter.clone()).send();
        let answer = self.call(Call::DescribeAddresses, request).await?;
        Ok(answer.addresses().iter().filter_map(Address::of).collect())
    }

    /// Gets an Elastic IP, in one attempt: it has no client token, and each attempt that AWS carried out costs money, so the
    /// caller looks before each.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn allocate_address(&self, host: &HostName) -> Result<(), Fault> {
        let tags = tags_for(ResourceType::ElasticIp, &names::host_tags(host));
        let request = self.ec2.allocate_address().domain(DomainType::Vpc).tag_specifications(tags).send();
        self.once(Call::AllocateAddress, super::super::ATTEMPT, request).await.map(drop)
    }

    /// Gives an Elastic IP to an instance, whoever has it now.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn associate_address(&self, address: &str, instance: &str) -> Result<(), Fault> {
        self.call(Call::AssociateAddress, || {
            let request = self.ec2.associate_address().allocation_id(address).instance_id(instance);
            request.allow_reassociation(true).send()
        })
        .await
        .map(drop)
    }

    /// Gives an Elastic IP back; one that is gone already is as good.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn release_address(&self, address: &str) -> Result<(), Fault> {
        let request = || self.ec2.release_address().allocation_id(address).send();
        match self.call(Call::ReleaseAddress, request).await {
            Err(fault) if !fault.is("InvalidAllocationID.NotFound") => Err(fault),
            _ => Ok(()),
        }
    }
}

impl Subnet {
    fn of(subnet: &aws_sdk_ec2::types::Subnet) -> Option<Self> {
        Some(Self {
            id: subnet.subnet_id()?.to_owned(),
            vpc: subnet.vpc_id()?.to_owned(),
            zone: subnet.availability_zone()?.to_owned(),
        })
    }
}

impl Address {
    fn of(address: &SdkAddress) -> Option<Self> {
        Some(Self {
            id: address.allocation_id()?.to_owned(),
            ip: address.public_ip()?.to_owned(),
            instance: address.instance_id().filter(|id| !id.is_empty()).map(str::to_owned),
        })
    }
}

impl Group {
    fn of(group: &SecurityGroup) -> Option<Self> {
        let open = group.ip_permissions().iter().flat_map(|rule| {
            let port = rule.from_port().filter(|from| rule.to_port() == Some(*from));
            let port = port.filter(|_| rule.ip_protocol() == Some("tcp"));
            let port = port.and_then(|port| u16::try_from(port).ok());
            let four = rule.ip_ranges().iter().filter_map(|range| range.cidr_ip());
            let six = rule.ipv6_ranges().iter().filter_map(|range| range.cidr_ipv6());
            four.chain(six).filter_map(move |from| Some((port?, from.to_owned())))
        });
        let id = group.group_id()?.to_owned();
        Some(Self { id, tags: tags(group.tags()), open: open.collect() })
    }

    /// The rules that a host needs and the group has not.
    fn missing(&self, api_from: &str) -> Vec<IpPermission> {
        let public = PUBLIC_PORTS.iter().flat_map(|port| [(*port, EVERYONE.0), (*port, EVERYONE.1)]);
        let wanted = public.chain([(layout::API_PORT, api_from)]);
        let lacks = |port: u16, from: &str| !self.open.iter().any(|(p, f)| *p == port && f == from);
        wanted.filter(|(port, from)| lacks(*port, from)).map(|(port, from)| rule(port, from)).collect()
    }
}

fn rule(port: u16, from: &str) -> IpPermission {
    let rule = IpPermission::builder().ip_protocol("tcp").from_port(port.into()).to_port(port.into());
    if from.contains(':') {
        rule.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(from).build()).build()
    } else {
        rule.ip_ranges(IpRange::builder().cidr_ip(from).build()).build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_rules_are_added() {
        let mut group = Group { id: "sg-1".into(), tags: Tags::new(), open: Vec::new() };
        assert_eq!(group.missing("203.0.113.7/32").len(), 5);
        group.open = vec![(80, "0.0.0.0/0".into()), (80, "::/0".into()), (8443, "203.0.113.7/32".into())];
        let ports = |from| group.missing(from).iter().map(|rule| rule.from_port()).collect::<Vec<_>>();
        assert_eq!(ports("203.0.113.7/32"), [Some(443), Some(443)]);
        assert_eq!(ports("203.0.113.8/32"), [Some(443), Some(443), Some(8443)]);
    }
}
