//! How what is published is named and tagged, so that it is found again: by this program, and by people in the console.

use std::collections::BTreeMap;

use kennel_model::HostName;

use crate::image::{Digest, Facts};

/// Tags.
pub type Tags = BTreeMap<String, String>;

/// SHA-256 of the image. What has it is ours.
pub const DIGEST: &str = "kennel:image-digest";
/// Version of the image.
pub const VERSION: &str = "kennel:version";
/// On a snapshot: how far it is.
pub const STATE: &str = "kennel:state";
/// A snapshot that is being written.
pub const PUBLISHING: &str = "publishing";
/// A snapshot that is complete.
pub const PUBLISHED: &str = "published";
/// The KMS key, where one was asked for.
pub const KEY: &str = "kennel:kms-key";

/// SHA-256 of the Secure Boot keys that instances start with.
pub const SECURE_BOOT: &str = "kennel:secure-boot";
/// On all that belongs to a host: its name. What has it is ours.
pub const HOST: &str = "kennel:host";
/// On an instance that is to take another's place: that other's id.
pub const REPLACES: &str = "kennel:replaces";

/// What identifies a published image: its content, and the key that was asked for. An AMI that is encrypted with a key is
/// not one that can be given to everyone, so the two are not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The image's digest.
    pub digest: Digest,
    /// The KMS key.
    pub key: Option<&'a str>,
}

impl Identity<'_> {
    /// Whether what has these tags is it.
    pub fn is(&self, tags: &Tags) -> bool {
        tags.get(DIGEST) == Some(&self.digest.to_string()) && tags.get(KEY).map(String::as_str) == self.key
    }

    /// Name of the AMI, of which an account has only one in a region. AWS takes 128 letters, and not all of them.
    pub fn name(&self, version: &str) -> String {
        let digest = self.digest.to_string();
        let may = |letter: char| letter.is_ascii_alphanumeric() || "-._/()".contains(letter);
        let version: String =
            version.chars().map(|letter| if may(letter) { letter } else { '-' }).take(64).collect();
        format!("kennel-{version}-{}{}", &digest[..12], self.suffix())
    }

    /// Name of files about it.
    pub fn stem(&self) -> String {
        format!("{}{}", self.digest, self.suffix())
    }

    fn suffix(&self) -> String {
        self.key.map(|key| format!("-{}", &Digest::of(key.as_bytes()).to_string()[..8])).unwrap_or_default()
    }

    /// The tags of its AMI.
    pub fn tags(&self, facts: &Facts) -> Tags {
        let mut tags = Tags::from([
            ("Name".to_owned(), format!("{} {}", facts.name, facts.version)),
            (DIGEST.to_owned(), self.digest.to_string()),
            (VERSION.to_owned(), facts.version.clone()),
        ]);
        if let Some(key) = self.key {
            tags.insert(KEY.to_owned(), key.to_owned());
        }
        tags
    }

    /// The tags of its snapshot while it is being written.
    pub fn snapshot_tags(&self, facts: &Facts) -> Tags {
        let mut tags = self.tags(facts);
        tags.insert(STATE.to_owned(), PUBLISHING.to_owned());
        tags
    }
}

/// A sentence that tells what the image is.
pub fn description(facts: &Facts) -> String {
    let root = facts.root_hash.as_ref().map(|hash| format!(", root hash {hash}")).unwrap_or_default();
    // AWS takes 255 characters.
    format!("{} {}{root}", facts.name, facts.version).chars().take(255).collect()
}

/// The tags of what belongs to a host.
pub fn host_tags(host: &HostName) -> Tags {
    Tags::from([("Name".to_owned(), host.to_string()), (HOST.to_owned(), host.to_string())])
}

/// Name of a host's security group, of which a network has only one.
pub fn group(host: &HostName) -> String {
    format!("kennel-{host}")
}

/// A word that AWS has not heard before: a call that is repeated with it makes nothing twice.
pub fn token() -> String {
    format!("kennel-{:032x}", fastrand::u128(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            name: "kennel".into(),
            version: "1.2".into(),
            root_hash: Some("ab".repeat(32)),
            signed: None,
            uefi_data: None,
        }
    }

    #[test]
    fn encrypted_is_another_image() {
        let digest = Digest::of(b"image");
        let open = Identity { digest, key: None };
        let closed = Identity { digest, key: Some("arn:aws:kms:eu-west-1:1:key/a") };
        assert!(open.is(&open.tags(&facts())) && closed.is(&closed.tags(&facts())));
        assert!(!open.is(&closed.tags(&facts())) && !closed.is(&open.tags(&facts())));
        assert_ne!(open.name("1"), closed.name("1"));
        assert_ne!(open.stem(), closed.stem());
    }

    #[test]
    fn the_name_is_the_version_and_the_start_of_the_digest() {
        let digest = Digest::of(b"image");
        let name = Identity { digest, key: None }.name("1.2");
        assert_eq!(name, format!("kennel-1.2-{}", &digest.to_string()[..12]));
        let odd = Identity { digest, key: Some("k") }.name(&format!("1.2+é~{}", "9".repeat(200)));
        assert!(odd.starts_with("kennel-1.2---99") && odd.len() <= 128, "{odd}");
    }

    #[test]
    fn a_description_fits() {
        assert!(description(&facts()).contains(&"ab".repeat(32)));
        let long = Facts { version: "1".repeat(300), ..facts() };
        assert_eq!(description(&long).chars().count(), 255);
    }
}
