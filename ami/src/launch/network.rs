//! A host's security group and its Elastic IP: found by name or tag, made if they are not there.

use std::time::Duration;

use super::{LaunchError, Site};
use crate::aws::pace::Looks;
use crate::aws::{Address, Group};
use crate::names;

/// What AWS has made is seen by then.
const SEEN: Duration = Duration::from_secs(60);

impl Site<'_> {
    /// The host's security group, open as it has to be. Done already: there is one of its name, with all the rules.
    pub(super) async fn group(&self, vpc: &str, api_from: &str) -> Result<String, LaunchError> {
        let group = self.bare_group(vpc).await?;
        if self.aws.open_ports(&group, api_from).await? {
            self.ui.note(&format!("{}: 80 and 443 open to everyone, 8443 to {api_from}", group.id));
        }
        Ok(group.id)
    }

    async fn bare_group(&self, vpc: &str) -> Result<Group, LaunchError> {
        let name = names::group(self.host);
        if let Some(group) = self.aws.group(&name, vpc).await? {
            return self.is_ours(group);
        }
        match self.aws.create_group(self.host, vpc).await {
            // An earlier attempt of which the answer was lost, or which is not seen yet.
            Err(fault) if !fault.is("InvalidGroup.Duplicate") => return Err(fault.into()),
            _ => {}
        }
        let mut looks = Looks::until(self.by(SEEN));
        loop {
            if let Some(group) = self.aws.group(&name, vpc).await? {
                return self.is_ours(group);
            }
            if !looks.again().await {
                return Err(LaunchError::Late {
                    what: format!("the security group {name} was made, but is not seen"),
                    waited: looks.waited(),
                    hint: "the same command goes on where this one stopped".to_owned(),
                });
            }
        }
    }

    fn is_ours(&self, group: Group) -> Result<Group, LaunchError> {
        if group.tags.get(names::HOST).is_some_and(|host| host == self.host.as_str()) {
            return Ok(group);
        }
        Err(LaunchError::Conflict {
            what: format!(
                "there is a security group {} that is not ours: {}",
                names::group(self.host),
                group.id
            ),
            hint: "choose another name for the host, or remove the group".to_owned(),
        })
    }

    /// The host's Elastic IP. Done already: there is one with its tag.
    pub(super) async fn own_address(&self) -> Result<Address, LaunchError> {
        let mut looks = Looks::until(self.by(SEEN));
        let mut made = false;
        loop {
            if let Some(address) = self.aws.addresses(self.host).await?.into_iter().next() {
                return Ok(address);
            }
            if !made {
                match self.aws.allocate_address(self.host).await {
                    Ok(()) => made = true,
                    // Whether AWS has done it is seen at the next look.
                    Err(fault) if fault.passes() => {}
                    Err(fault) => return Err(fault.into()),
                }
            }
            if !looks.again().await {
                return Err(LaunchError::Late {
                    what: "no Elastic IP was to be had".to_owned(),
                    waited: looks.waited(),
                    hint: "the same command goes on where this one stopped".to_owned(),
                });
            }
        }
    }

    /// Sees to it that an instance that runs has an Elastic IP. Done already: the address says so.
    pub(super) async fn give_address(&self, address: &Address, instance: &str) -> Result<(), LaunchError> {
        if address.instance.as_deref() != Some(instance) {
            self.aws.associate_address(&address.id, instance).await?;
            self.ui.note(&format!("{instance} has the address {}", address.ip));
        }
        Ok(())
    }
}
