//! What a person asks for when launching, and what that comes to: which AMI, which subnet, which keys. Only looks; nothing
//! is made here.

use std::fmt;
use std::str::FromStr;

use kennel_model::{HostName, NodeName};
use kennel_user_data::UserData;
use serde::{Deserialize, Serialize};

use super::{LaunchError, Site};
use crate::aws::{Ami, Subnet, Volume};

/// The only type of key pair that signs in.
const KEY_TYPE: &str = "ed25519";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Which AMI.
    pub ami: Choice,
    /// Such as `t3.small`.
    pub kind: String,
    /// Where.
    pub subnet: Option<String>,
    /// A key pair, by its name at AWS.
    pub key: Option<String>,
    /// Who may sign in besides.
    pub ssh_keys: Vec<String>,
    /// An instance profile.
    pub profile: Option<String>,
    /// A spot instance.
    pub spot: bool,
    /// An Elastic IP.
    pub elastic_ip: bool,
    /// Size of a new data volume in GiB.
    pub data_gib: i32,
    /// From where the API may be reached, if that was said.
    pub api_from: Option<String>,
}

/// Which AMI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// The newest that was published from here.
    Newest,
    /// The one that an SSM parameter names.
    Parameter(String),
    /// This one.
    Id(String),
}

/// What is looked up once.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) ami: Ami,
    pub(super) subnet: Subnet,
    /// The data volume of an earlier host of this name.
    pub(super) volume: Option<Volume>,
    pub(super) user_data: String,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "newest" => Ok(Self::Newest),
            path if path.starts_with('/') => Ok(Self::Parameter(path.to_owned())),
            id if id.starts_with("ami-") => Ok(Self::Id(id.to_owned())),
            _ => Err("an AMI is named ami-…, by the /path of an SSM parameter, or as `newest`".to_owned()),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newest => "newest",
            Self::Parameter(text) | Self::Id(text) => text,
        })
    }
}

impl Site<'_> {
    /// Looks up what a wish comes to.
    pub(super) async fn place(&self, wish: &Wish) -> Result<Place, LaunchError> {
        let user_data = user_data(self.host, wish)?;
        let ami = self.ami(&wish.ami).await?;
        let volume = self.free_volume().await?;
        let zone = volume.as_ref().map(|volume| volume.zone.as_str());
        let subnet = self.subnet(wish.subnet.as_deref(), zone).await?;
        if let Some(key) = &wish.key {
            let kind = self.aws.key_type(key).await?;
            if kind != KEY_TYPE {
                return Err(LaunchError::Conflict {
                    what: format!("the key pair {key} is of the type {kind}, and hosts take only {KEY_TYPE}"),
                    hint: "name a key of yours with --ssh-key FILE, or another key pair".to_owned(),
                });
            }
        }
        Ok(Place { ami, subnet, volume, user_data })
    }

    /// The AMI that is meant; it can be launched.
    pub(super) async fn ami(&self, choice: &Choice) -> Result<Ami, LaunchError> {
        let region = self.aws.region();
        let id = match choice {
            Choice::Newest => return self.newest().await,
            Choice::Parameter(path) => self.aws.parameter(path).await?,
            Choice::Id(id) => id.clone(),
        };
        let hint = format!("`kennel ami ls --region {region}` lists those that were published from here");
        let conflict = |what: String| LaunchError::Conflict { what, hint };
        match self.aws.image(&id).await? {
            None => Err(conflict(format!("there is no {id} in {region}"))),
            Some(ami) if ami.state != "available" => Err(conflict(format!("{id} is {}", ami.state))),
            Some(ami) if !ami.boot_mode.starts_with("uefi") => {
                Err(conflict(format!("{id} does not boot by UEFI: it is not one of Kennel's")))
            }
            Some(ami) => Ok(ami),
        }
    }

    async fn newest(&self) -> Result<Ami, LaunchError> {
        let images = self.aws.images(None).await?;
        let usable = images.into_iter().filter(|ami| ami.state == "available" && ami.deprecated.is_none());
        usable.max_by(|one, other| one.created.cmp(&other.created)).ok_or_else(|| LaunchError::Conflict {
            what: format!("nothing is published in {}", self.aws.region()),
            hint: "`kennel ami publish` publishes an image; --ami names one of somebody else".to_owned(),
        })
    }

    async fn free_volume(&self) -> Result<Option<Volume>, LaunchError> {
        let mut free = self.aws.free_volumes(self.host).await?;
        match (free.pop(), free.is_empty()) {
            (Some(volume), true) => {
                self.ui.note(&format!(
                    "{} of {} GiB, the data volume of an earlier {}, is used again",
                    volume.id, volume.gib, self.host
                ));
                Ok(Some(volume))
            }
            (None, _) => Ok(None),
            (Some(volume), false) => Err(LaunchError::Conflict {
                what: format!(
                    "there are {} data volumes of {}, {} among them",
                    free.len() + 1,
                    self.host,
                    volume.id
                ),
                hint: "take the tag kennel:host from those that are not meant, or choose another name"
                    .to_owned(),
            }),
        }
    }

    async fn subnet(&self, id: Option<&str>, zone: Option<&str>) -> Result<Subnet, LaunchError> {
        let found = self.aws.subnets(id, zone).await?;
        found.into_iter().next().ok_or_else(|| {
            let place = zone.map(|zone| format!(" in {zone}, where the data volume is")).unwrap_or_default();
            LaunchError::Conflict {
                what: match id {
                    Some(id) => format!("{id} is not{place}"),
                    None => format!("there is no default subnet in {}{place}", self.aws.region()),
                },
                hint: "name one with --subnet; `aws ec2 describe-subnets` lists them".to_owned(),
            }
        })
    }
}

/// The user-data, as the host will read it: the same code has checked it.
fn user_data(host: &HostName, wish: &Wish) -> Result<String, LaunchError> {
    if wish.ssh_keys.is_empty() && wish.key.is_none() {
        return Err(LaunchError::Unusable {
            what: "nobody could sign in: there is no key".to_owned(),
            hint: "name an ssh-ed25519 key with --ssh-key FILE; `ssh-keygen -t ed25519` makes one".to_owned(),
        });
    }
    // What may be typed as a host's name is short enough to be its own.
    let name = NodeName::new(host.as_str()).ok();
    let text = kennel_user_data::write(name.as_ref(), &wish.ssh_keys, &[]);
    UserData::from_bytes(text.as_bytes()).map_err(|faults| LaunchError::Unusable {
        what: faults.to_string(),
        hint: "name fewer keys, or other ones, with --ssh-key".to_owned(),
    })?;
    Ok(text)
}
