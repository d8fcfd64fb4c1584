//! Publishes an image in one region: uploads it as a snapshot and registers an AMI of that. Every step leaves enough behind,
//! in tags at AWS and in the journal here, that the same command finds what is there and goes on from it.

pub mod dry;
mod error;
mod limit;
mod plan;
mod secure_boot;
mod snapshot;
mod upload;
mod wait;

use std::sync::Arc;

pub use error::PublishError;
pub use secure_boot::{UefiData, may_start};
pub use snapshot::Sealed;
pub use upload::Stats;
pub use wait::image as wait_for_image;

use crate::aws::{Ami, Aws, NewImage};
use crate::image::Image;
use crate::names::{self, Identity};
use crate::state::State;
use crate::ui::Ui;

/// AWS's word for a name that is taken.
const NAME_TAKEN: &str = "InvalidAMIName.Duplicate";

/// What is published, and how.
#[derive(Debug, Clone, Copy)]
pub struct Publisher<'a> {
    /// Where.
    pub aws: &'a Aws,
    /// The image.
    pub image: &'a Arc<Image>,
    /// The KMS key to encrypt the snapshot with.
    pub key: Option<&'a str>,
    /// The Secure Boot keys that instances start with.
    pub keys: Option<&'a UefiData>,
    /// Whether to build on a published version.
    pub incremental: bool,
    /// Size of the data volume.
    pub data_gib: i32,
    /// What is remembered here.
    pub state: &'a State,
    /// How this run speaks.
    pub ui: Ui,
}

/// What came of it.
#[derive(Debug)]
pub struct Published {
    /// The AMI.
    pub ami: Ami,
    /// It was there before.
    pub existing: bool,
    /// The upload, if there was one.
    pub upload: Option<Stats>,
}

impl Publisher<'_> {
    /// Publishes it, or finds that it is published.
    ///
    /// # Errors
    /// [`PublishError`]. The same call again goes on from where this one stopped.
    pub async fn run(&self) -> Result<Published, PublishError> {
        let identity = self.identity();
        if let Some(ami) = self.existing().await? {
            self.ui.note(&format!("{} is this image already", ami.id));
            self.remember(&identity)?;
            return Ok(Published { ami, existing: true, upload: None });
        }
        let _claim = self.state.claim(&identity, self.aws.region())?;
        let Sealed { snapshot, upload } = self.snapshot().await?;
        let ami = self.register(&snapshot).await?;
        self.remember(&identity)?;
        Ok(Published { ami, existing: false, upload })
    }

    fn identity(&self) -> Identity<'_> {
        Identity { digest: self.image.digest, key: self.key }
    }

    /// The AMI of this image, if there is one.
    async fn existing(&self) -> Result<Option<Ami>, PublishError> {
        let identity = self.identity();
        let found = self.aws.images(Some(&self.image.digest.to_string())).await?;
        let mut ours = found.into_iter().filter(|ami| identity.is(&ami.tags));
        let Some(ami) = ours.find(|ami| ["available", "pending", "disabled"].contains(&ami.state.as_str()))
        else {
            return Ok(None);
        };
        self.has_our_keys(&ami)?;
        match ami.state.as_str() {
            "available" => Ok(Some(ami)),
            "disabled" => Err(PublishError::Disabled(ami.id)),
            _ => Ok(Some(wait::image(self.aws, &ami.id).await?)),
        }
    }

    /// An AMI keeps the keys that it was registered with.
    fn has_our_keys(&self, ami: &Ami) -> Result<(), PublishError> {
        let ours = self.keys.map(|keys| keys.digest.to_string());
        if ami.tags.get(names::SECURE_BOOT) == ours.as_ref() {
            return Ok(());
        }
        Err(PublishError::OtherKeys(ami.id.clone()))
    }

    async fn register(&self, snapshot: &str) -> Result<Ami, PublishError> {
        let identity = self.identity();
        let name = identity.name(&self.image.facts.version);
        let mut tags = identity.tags(&self.image.facts);
        tags.extend(self.keys.map(|keys| (names::SECURE_BOOT.to_owned(), keys.digest.to_string())));
        self.ui.note(&format!("registering {name}"));
        let registered = self
            .aws
            .register_image(&NewImage {
                name: &name,
                description: &names::description(&self.image.facts),
                snapshot,
                root_gib: self.image.gib(),
                data_gib: self.data_gib,
                uefi_data: self.keys.map(|keys| keys.text.as_str()),
                tags: &tags,
            })
            .await;
        match registered {
            Ok(id) => wait::image(self.aws, &id).await,
            Err(fault) if fault.is(NAME_TAKEN) => self.registered_before(name).await,
            Err(fault) => Err(fault.into()),
        }
    }

    /// The AMI that has our name already: the answer to an earlier attempt, or to an earlier run, was lost on its way.
    async fn registered_before(&self, name: String) -> Result<Ami, PublishError> {
        let identity = self.identity();
        match wait::named(self.aws, &name).await? {
            Some(ami) if identity.is(&ami.tags) => {
                self.has_our_keys(&ami)?;
                wait::image(self.aws, &ami.id).await
            }
            _ => Err(PublishError::NameTaken(name)),
        }
    }

    /// Keeps what the next version builds on, and drops what was for this upload.
    fn remember(&self, identity: &Identity<'_>) -> Result<(), PublishError> {
        self.state.keep_blocks(self.image.digest, &self.image.blocks)?;
        Ok(self.state.forget(identity, self.aws.region())?)
    }
}
