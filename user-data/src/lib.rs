//! User-data: the one document that a host is started with, TOML of at most 16 KiB. This crate is its only definition:
//! control reads it on the host, `kennel user-data check` beforehand, and both say the same sentence of the same fault.
//! Where user-data comes from, and what becomes of it, is the caller's business.
//!
//! | file | duty |
//! |---|---|
//! | `shape` | which keys there are: the one table |
//! | `read`, `strangers` | from bytes to [`UserData`], or every [`Fault`] |
//! | `key` | lines of OpenSSH |
//! | `write` | a document for a host |
//! | `schema` | the table as JSON Schema |
//!
//! No fault repeats a value, since people put secrets where they do not belong; only names of keys and of kinds are shown.

mod fault;
mod key;
mod read;
mod schema;
mod shape;
mod strangers;
mod write;

use std::net::SocketAddr;

use kennel_model::NodeName;
use kennel_model::routes::Front;
use ssh_key::PublicKey;

pub use fault::{Fault, Faults};
pub use key::{parse_key, public_keys};
pub use schema::schema;
pub use write::write;

/// EC2 takes no longer user-data, counted before it is encoded in base64; so no host does.
pub const MAX_BYTES: usize = kennel_model::cloud::MAX_USER_DATA;

/// What user-data says. Nothing is required: on EC2 a key pair is operator enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserData {
    /// `[host] name`
    pub host_name: Option<NodeName>,
    /// `[operator] ssh_keys`
    pub ssh_keys: Vec<PublicKey>,
    /// `[time] servers`
    pub time_servers: Vec<SocketAddr>,
    /// `[proxy]`
    pub front: Front,
}

impl UserData {
    /// Strict: with a single fault nothing of it is used, so that a typing error never admits anyone. No bytes at all, or
    /// blank ones, say nothing.
    ///
    /// # Errors
    /// [`Faults`]: every one that can be found, in the order of the lines.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Faults> {
        read::read(bytes)
    }
}
