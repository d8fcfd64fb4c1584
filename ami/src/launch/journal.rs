//! What is remembered of a launch or a replacement that is under way. Not how far it is: that is found out from AWS at each
//! step, so that a journal cannot be wrong about it. Only what cannot be asked for: what was wanted, and the client token,
//! which makes the call that costs money give the same instance however often it is made.

use kennel_known::pin::Fingerprint;
use kennel_model::HostName;
use serde::{Deserialize, Serialize};

use super::wish::Wish;
use crate::aws::NewInstance;
use crate::state::{Claim, Folder, StateError};

/// A launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Launch {
    /// What was typed: it is gone on only with the same.
    pub(super) wish: Wish,
    /// The instance.
    pub(super) new: NewInstance,
    /// Its id, once it is known.
    pub(super) instance: Option<String>,
    /// The data volume of an earlier host of this name.
    pub(super) volume: Option<String>,
}

/// A replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replace {
    /// The instance that is replaced.
    pub(super) old: String,
    /// The one that takes its place.
    pub(super) new: New,
    /// The data volume.
    pub(super) volume: String,
    /// The Elastic IP's id, if there is one.
    pub(super) address: Option<String>,
    /// The certificate that is on the data volume, if this computer knows the host.
    pub(super) fingerprint: Option<Fingerprint>,
    /// It is being undone.
    pub(super) back: bool,
}

/// An instance that is not there yet, or that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum New {
    /// In these words, again and again, it is asked for.
    Asked(Box<NewInstance>),
    /// This is it.
    Made(String),
}

/// The journals of one host.
#[derive(Debug)]
pub(super) struct Journals {
    folder: Folder,
    stem: String,
}

impl Journals {
    /// Of a host in a region.
    ///
    /// # Errors
    /// [`StateError::NoHome`].
    pub(super) fn of(host: &HostName, region: &str) -> Result<Self, StateError> {
        Ok(Self { folder: Folder::from_env("launch")?, stem: format!("{host}-{region}") })
    }

    /// Keeps other processes on this computer from the same host.
    ///
    /// # Errors
    /// [`StateError`].
    pub(super) fn claim(&self) -> Result<Claim, StateError> {
        self.folder.claim(&self.name("lock"), "at work on this host")
    }

    /// The launch that is under way.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub(super) fn launch(&self) -> Result<Option<Launch>, StateError> {
        self.folder.read(&self.name("json"))
    }

    /// Remembers a launch; forgets it, if there is none.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub(super) fn keep_launch(&self, launch: Option<&Launch>) -> Result<(), StateError> {
        self.keep(&self.name("json"), launch)
    }

    /// The replacement that is under way.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub(super) fn replace(&self) -> Result<Option<Replace>, StateError> {
        self.folder.read(&self.name("replace.json"))
    }

    /// Remembers a replacement; forgets it, if there is none.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub(super) fn keep_replace(&self, replace: Option<&Replace>) -> Result<(), StateError> {
        self.keep(&self.name("replace.json"), replace)
    }

    fn keep(&self, name: &str, what: Option<&impl Serialize>) -> Result<(), StateError> {
        what.map_or_else(|| self.folder.forget(name), |what| self.folder.write(name, what))
    }

    fn name(&self, kind: &str) -> String {
        format!("{}.{kind}", self.stem)
    }
}
