//! What `manifest.json` beside an image says. The builder writes it; what is not needed here is not read.

use std::path::Path;

use serde::Deserialize;

use super::{Digest, Facts, ImageError};

/// The manifest, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    name: String,
    version: String,
    /// Some slots are open on purpose. A manifest that does not say it is from a builder that could not make such images.
    #[serde(default)]
    proof: bool,
    /// The policy passed its proof.
    proved: bool,
    pub(super) image: ImageFile,
    root: Root,
    boot: Option<Boot>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ImageFile {
    file: String,
    pub(super) sha256: Digest,
}

#[derive(Debug, Deserialize)]
struct Boot {
    /// Left out where nobody has signed it.
    signed_by: Option<serde::de::IgnoredAny>,
    /// The keys of the hosts that will boot it; left out where they are not known.
    uefi_data: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Root {
    verity_root_hash: String,
}

impl Manifest {
    /// The manifest that lies beside an image and is about it. One that is about another image says nothing about this one.
    pub(super) fn beside(image: &Path) -> Result<Option<Self>, ImageError> {
        let path = image.with_file_name("manifest.json");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(ImageError::Io { path, cause }),
        };
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|cause| ImageError::Manifest { path, cause })?;
        let about = image.file_name().is_some_and(|name| name == manifest.image.file.as_str());
        Ok(about.then_some(manifest))
    }

    /// Refuses an image that is not for tenants.
    pub(super) fn may_be_published(&self, image: &Path) -> Result<(), ImageError> {
        match self {
            Self { proof: true, .. } => Err(ImageError::Proof(image.to_owned())),
            Self { proved: false, .. } => Err(ImageError::Unproved(image.to_owned())),
            _ => Ok(()),
        }
    }

    pub(super) fn facts(self) -> Facts {
        Facts {
            name: self.name,
            version: self.version,
            root_hash: Some(self.root.verity_root_hash),
            signed: self.boot.as_ref().map(|boot| boot.signed_by.is_some()),
            uefi_data: self.boot.and_then(|boot| boot.uefi_data),
        }
    }

    /// What the name of an image without a manifest tells: `kennel-1.2-x86_64.raw`.
    pub(super) fn guess(image: &Path) -> Facts {
        let stem = image.file_stem().unwrap_or_default().to_string_lossy();
        let stem = stem.strip_suffix("-x86_64").unwrap_or(&stem);
        let good = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_+~".contains(&b))
        };
        let (name, version) =
            stem.split_once('-').filter(|(_, version)| good(version)).unwrap_or(("kennel", "unknown"));
        Facts {
            name: name.to_owned(),
            version: version.to_owned(),
            root_hash: None,
            signed: None,
            uefi_data: None,
        }
    }
}
