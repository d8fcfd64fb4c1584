//! Launches hosts on EC2 and looks after them. A host is known at AWS by the tag `kennel:host` with its name, on its
//! instance, its volumes, its network interface, its security group and its Elastic IP; what has not this tag is not touched.
//! The instance that has the data volume is the host: the OS is disposable, the tenants are not.
//!
//! # What is asked of AWS, by command
//!
//! In this order; waiting repeats a question. *by name* is the filter `tag:kennel:host` = NAME; of instances also
//! `instance-state-name` = `pending`, `running`, `stopping`, `stopped`, `shutting-down`.
//!
//! `launch --name NAME`
//! 1. `DescribeInstances` by name: is it there already? Then it is made known here, unless it is not what was asked for.
//! 2. which AMI: `DescribeImages` (owner `self`, `tag-key` = `kennel:image-digest`, the newest `available` one), or
//!    `ssm:GetParameter` for `--ami /path`; then, as for `--ami ami-…`, `DescribeImages` by its id: state, boot mode, block devices.
//! 3. `DescribeVolumes` by name and `status` = `available`: the data volume of an earlier host of this name is used again.
//! 4. `DescribeSubnets`: by id with `--subnet`, else `default-for-az` = `true` (and `availability-zone`, that of the volume).
//! 5. with `--key`: `DescribeKeyPairs` by its name: must be of the type `ed25519`.
//! 6. without `--api-from`: `GET` of `https://checkip.amazonaws.com` (`KENNEL_CHECKIP_URL` names another).
//! 7. `DescribeSecurityGroups` (`group-name` = `kennel-NAME`, `vpc-id`); `CreateSecurityGroup` (GroupName, Description, VpcId,
//!    TagSpecification `security-group`: `Name`, `kennel:host`); `AuthorizeSecurityGroupIngress`, one call with the rules that are
//!    missing: TCP 80 and 443 from `0.0.0.0/0` and `::/0`, TCP 8443 from `--api-from`.
//! 8. `RunInstances`: ImageId, InstanceType, MinCount = MaxCount = 1, ClientToken, UserData (base64),
//!    MetadataOptions (HttpEndpoint `enabled`, HttpTokens `required`, HttpPutResponseHopLimit 1, InstanceMetadataTags `enabled`),
//!    NetworkInterface.1 (DeviceIndex 0, SubnetId, SecurityGroupId.1, AssociatePublicIpAddress true),
//!    BlockDeviceMapping of the AMI's root device (gp3, Encrypted, DeleteOnTermination true) and of `/dev/sdf` (VolumeSize, gp3,
//!    Encrypted, DeleteOnTermination false; or NoDevice, when a data volume is used again),
//!    TagSpecification `instance`, `volume`, `network-interface` (`Name`, `kennel:host`; `replace`: `kennel:replaces` = the old
//!    instance, on the instance), and where asked for KeyName, IamInstanceProfile.Name,
//!    InstanceMarketOptions (MarketType `spot`, SpotInstanceType `one-time`).
//! 9. `DescribeInstances` by id, until `running`.
//! 10. for a data volume that is used again: `AttachVolume` (`/dev/sdf`), `DescribeVolumes` by id until attached; if that was
//!     asked for later than a host waits, `RebootInstances`.
//! 11. with `--elastic-ip`: `DescribeAddresses` by name; `AllocateAddress` (Domain `vpc`, TagSpecification `elastic-ip`);
//!     `AssociateAddress` (AllocationId, InstanceId, AllowReassociation).
//! 12. `GetConsoleOutput` (Latest) until the line `control: api certificate SHA256:…`.
//! 13. TLS to port 8443 of the instance's public address: that certificate, and `GET /v1/ping` answered with 200 or 204.
//!
//! `hosts`: `DescribeInstances` (`tag-key` = `kennel:host`, the same states).
//!
//! `host console`: `DescribeInstances` by name, `GetConsoleOutput`. `host reboot`: the same, `RebootInstances`.
//!
//! `host terminate`: `DescribeInstances`, `DescribeVolumes`, `DescribeAddresses`, `DescribeSecurityGroups` by name;
//! `TerminateInstances`; `DescribeInstances` by id until `terminated`; `DeleteSecurityGroup`; with `--with-data` `DescribeVolumes` by id
//! until `available`, `DeleteVolume`; with `--with-address` `ReleaseAddress`.
//!
//! `host replace`
//! 1. `DescribeInstances` and `DescribeAddresses` by name, the AMI as in `launch`, `DescribeInstanceAttribute` (`userData`) of the old.
//! 2. `RunInstances` as in `launch`, with the old one's type, subnet, groups, key, profile and user-data, and NoDevice for `/dev/sdf`.
//!    One that was begun on another computer is found by the tag `kennel:replaces` and gone on with.
//! 3. unless the new one has the data volume already (`DescribeVolumes` by id): `DescribeInstances` until the new one is
//!    `running`; `StopInstances` of the old until `stopped`, and `DetachVolume` (VolumeId, InstanceId), or, if it is a spot
//!    instance, `TerminateInstances` until `terminated`; until `available`, `AttachVolume` to the new until `attached`.
//! 4. as 10. of `launch`; `AssociateAddress` if there is an Elastic IP that it has not.
//! 5. the API answers with the certificate that is known (it is on the data volume), else with the console's.
//! 6. `TerminateInstances` of the old, until `terminated`.
//!
//! `host replace --back` does 3 to 6 with the two exchanged (and `StartInstances` of the old): the old one gets the volume and the address back, the new one is terminated.

mod dry;
mod error;
mod journal;
mod launcher;
mod moving;
mod network;
mod replace;
mod story;
mod terminate;
mod wait;
pub mod whoami;
mod wish;

use std::net::IpAddr;
use std::path::PathBuf;

use kennel_known::hosts::{ApiUrl, HostBook, KnownHost};
use kennel_known::paths::Paths;
use kennel_known::pin::Fingerprint;
use kennel_model::{HostName, layout};
use serde::Serialize;

pub use error::LaunchError;
pub use replace::Direction;
pub use story::lines;
pub use terminate::{Remains, Removal};
pub use wish::{Choice, Wish};

use journal::Journals;

use crate::aws::{Aws, Instance};
use crate::names;
use crate::ui::Ui;

/// One host, in one region.
#[derive(Debug)]
pub struct Site<'a> {
    /// Where.
    aws: &'a Aws,
    /// Its name.
    host: &'a HostName,
    /// What is remembered of work on it.
    journals: Journals,
    /// The book of hosts.
    book: PathBuf,
    /// How this run speaks.
    ui: Ui,
}

/// A host that is up.
#[derive(Debug, Serialize)]
pub struct Up {
    /// Its name.
    pub host: HostName,
    /// Its address; in JSON it is the instance's.
    #[serde(skip)]
    pub address: IpAddr,
    /// Address of its API.
    pub url: String,
    /// The certificate that its API shows.
    pub fingerprint: Fingerprint,
    /// It was up before.
    pub existing: bool,
    /// Its instance.
    #[serde(flatten)]
    pub instance: Instance,
}

impl<'a> Site<'a> {
    /// Of this person.
    ///
    /// # Errors
    /// When there is no home folder.
    pub fn new(aws: &'a Aws, host: &'a HostName, ui: Ui) -> Result<Self, LaunchError> {
        let paths = Paths::from_env().map_err(|error| LaunchError::Book(error.to_string()))?;
        Ok(Self { aws, host, journals: Journals::of(host, aws.region())?, book: paths.hosts_file(), ui })
    }

    /// The one instance that is the host.
    ///
    /// # Errors
    /// [`LaunchError::Missing`]; [`LaunchError::Conflict`], when there are several.
    pub async fn the_instance(&self) -> Result<Instance, LaunchError> {
        let missing =
            || LaunchError::Missing { host: self.host.to_string(), region: self.aws.region().to_owned() };
        self.instance().await?.ok_or_else(missing)
    }

    /// The same, if there is one. Of an old instance and the one that takes its place, the one with the data volume is it.
    async fn instance(&self) -> Result<Option<Instance>, LaunchError> {
        let mut all = self.aws.instances(Some(self.host)).await?;
        if all.len() > 1 {
            let half_way = all.iter().any(|new| all.iter().any(|old| replaces(new) == Some(&old.id)));
            all.retain(|instance| instance.state != "shutting-down");
            if !half_way && all.len() > 1 {
                return Err(self.of_one_name(&all));
            }
            all.retain(|instance| instance.volume.is_some());
            if all.len() != 1 {
                return Err(self.half_way());
            }
        }
        Ok(all.pop())
    }

    /// Launched at two desks at the same moment.
    fn of_one_name(&self, all: &[Instance]) -> LaunchError {
        let ids: Vec<_> = all.iter().map(|instance| instance.id.as_str()).collect();
        LaunchError::Conflict {
            what: format!("several instances are called {}: {}", self.host, ids.join(", ")),
            hint: format!(
                "remove one of them by hand: `aws ec2 terminate-instances --region {} --instance-ids …`; its data \
                 volume stays",
                self.aws.region()
            ),
        }
    }

    fn half_way(&self) -> LaunchError {
        let (host, region) = (self.host, self.aws.region());
        LaunchError::Conflict {
            what: format!("{host} is being replaced"),
            hint: format!(
                "`kennel host replace {host} --region {region}` goes on with it, with --back it goes back"
            ),
        }
    }

    /// How the host is known here.
    fn known(&self) -> Result<Option<KnownHost>, LaunchError> {
        Ok(HostBook::load(&self.book)?.hosts.remove(self.host))
    }

    /// Makes sure that the host answers with its certificate, and writes down where it is.
    async fn arrive(&self, id: &str, expected: Option<Fingerprint>) -> Result<Up, LaunchError> {
        let instance = self.running(id).await?;
        let address = instance.address.ok_or_else(|| LaunchError::Conflict {
            what: format!("{id} has no public address"),
            hint: "its subnet has no way to the internet, or somebody took its address: give it one, then run the \
                   same command again"
                .to_owned(),
        })?;
        let fingerprint = match expected {
            Some(fingerprint) => fingerprint,
            None => self.certificate(id).await?,
        };
        let url = api(address);
        self.answers(&url, fingerprint).await?;
        let up = Up {
            host: self.host.clone(),
            address,
            url: url.to_string(),
            fingerprint,
            existing: false,
            instance,
        };
        let mut book = HostBook::load(&self.book)?;
        book.put(
            self.host.clone(),
            KnownHost {
                url,
                fingerprint,
                web_port: layout::HTTP_PORT,
                https_port: layout::HTTPS_PORT,
                tpm: None,
            },
        );
        book.save(&self.book)?;
        Ok(up)
    }
}

/// Where the API of a host is.
fn api(address: IpAddr) -> ApiUrl {
    let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
    ApiUrl { host, port: layout::API_PORT }
}

/// It was made to take another one's place, and has not got its data volume.
fn waits_for_volume(instance: &Instance) -> bool {
    replaces(instance).is_some() && instance.volume.is_none()
}

/// The instance whose place an instance is to take.
fn replaces(instance: &Instance) -> Option<&str> {
    instance.tags.get(names::REPLACES).map(String::as_str)
}
