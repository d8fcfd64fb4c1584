//! What goes to the host in one request: all of a source, or what has changed.

use std::io::{self, Write};
use std::sync::Arc;

use kennel_model::ReleaseId;
use kennel_model::listing::CHANGES;

use super::{Delta, Source};

/// What is sent.
#[derive(Debug, Clone)]
pub enum Parcel {
    /// All of it.
    Whole(Arc<Source>),
    /// What has changed of a folder since this release.
    Changed(Arc<Source>, Delta, ReleaseId),
}

impl Parcel {
    /// The release that it builds on.
    pub const fn onto(&self) -> Option<ReleaseId> {
        match self {
            Self::Whole(_) => None,
            Self::Changed(_, _, onto) => Some(*onto),
        }
    }

    /// What it is, for the host.
    pub const fn media_type(&self) -> &'static str {
        match self {
            Self::Whole(_) => "application/x-tar",
            Self::Changed(..) => CHANGES,
        }
    }

    /// How much there is to send, but for names.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Whole(source) => source.bytes(),
            Self::Changed(source, delta, _) => source.plan().map_or(0, |plan| delta.bytes(plan)),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// When something cannot be read or has changed since, or `out` takes no more.
    pub fn write<W: Write>(&self, out: W) -> io::Result<W> {
        match self {
            Self::Whole(source) => source.write(out),
            Self::Changed(source, delta, _) => match source.plan() {
                Some(plan) => delta.write(plan, out),
                None => Err(io::Error::other("an archive is sent whole")),
            },
        }
    }
}
