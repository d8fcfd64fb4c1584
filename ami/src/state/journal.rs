//! The journal of one upload: enough to go on with it after this process is gone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::image::Digest;
use crate::names::{self, Identity};

/// Number of the format.
const FORMAT: u32 = 1;

/// What has been done of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    format: u32,
    digest: Digest,
    key: Option<String>,
    region: String,
    /// Makes AWS give the same snapshot when its id did not arrive here the first time.
    pub token: String,
    /// What it builds on. An upload goes on only with the same: it decides which blocks are sent.
    pub parent: Option<Origin>,
    /// The snapshot, once it is known.
    pub snapshot: Option<String>,
    /// Blocks that have arrived.
    pub done: BTreeSet<u32>,
    /// All have, and AWS may have been told so.
    pub sealing: bool,
}

/// A published snapshot that another builds on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The snapshot.
    pub snapshot: String,
    /// The image it was made of.
    pub digest: Digest,
}

impl Journal {
    /// Of an upload that begins.
    pub fn new(identity: &Identity<'_>, region: &str, parent: Option<Origin>) -> Self {
        Self {
            format: FORMAT,
            digest: identity.digest,
            key: identity.key.map(str::to_owned),
            region: region.to_owned(),
            token: names::token(),
            parent,
            snapshot: None,
            done: BTreeSet::new(),
            sealing: false,
        }
    }

    /// Whether it is about this.
    pub(super) fn is_of(&self, identity: &Identity<'_>, region: &str) -> bool {
        self.format == FORMAT
            && self.digest == identity.digest
            && self.key.as_deref() == identity.key
            && self.region == region
    }
}
