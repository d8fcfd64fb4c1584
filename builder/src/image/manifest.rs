//! `manifest.json`: what the image is, what it was built from and where its bytes go, for programs to read.

use serde::Serialize;

use super::BuildError;
use super::documents::{self, Facts};
use super::guests::Guest;
use super::runtime::Runtime;
use super::sources::Share;
use super::verity::hex;
use crate::digest::Sha256;
use crate::lock::Package;

/// Number of the format.
const FORMAT: u32 = 1;

/// The document.
#[derive(Serialize)]
pub(super) struct Manifest<'a> {
    format: u32,
    name: &'a str,
    version: &'a str,
    /// Some of its slots are deliberately open: not to be published.
    proof: bool,
    /// Its policy has passed the static proof. Where not: not to be published.
    proved: bool,
    builder: &'static str,
    image: Image<'a>,
    root: Root<'a>,
    boot: Boot<'a>,
    policy: Policy,
    runtimes: Vec<RuntimePart<'a>>,
    inputs: Inputs<'a>,
}

#[derive(Serialize)]
struct Image<'a> {
    file: &'a str,
    sha256: Sha256,
    written_bytes: u64,
}

#[derive(Serialize)]
struct Root<'a> {
    verity_root_hash: String,
    verity_salt: String,
    data_blocks: u64,
    bytes: u64,
    verity_bytes: u64,
    packages: &'a [Share],
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    bytes: u64,
}

#[derive(Serialize)]
struct Boot<'a> {
    bytes: u64,
    command_line: &'a str,
    kernel_version: &'a str,
    kernel_bytes: u64,
    initramfs_bytes: u64,
    /// What Secure Boot compares of the boot program.
    authenticode_sha256: Sha256,
    /// What a TPM will have measured, in its bank of SHA-256.
    expected_pcrs: Pcrs,
    /// Left out where nobody has signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<SignedBy>,
    /// The keys of the hosts that will boot it, as EC2 takes them (`UefiData`): `kennel ami publish` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    uefi_data: Option<String>,
    packages: &'a [Share],
}

#[derive(Serialize)]
struct Pcrs {
    /// The boot program.
    #[serde(rename = "4")]
    boot: Sha256,
    /// Secure Boot's keys; left out where they are not known.
    #[serde(rename = "7", skip_serializing_if = "Option::is_none")]
    keys: Option<Sha256>,
    /// The parts of the boot program.
    #[serde(rename = "11")]
    parts: Sha256,
}

#[derive(Serialize)]
struct SignedBy {
    subject: String,
    certificate_sha256: Sha256,
}

#[derive(Serialize)]
struct Policy {
    slots: u16,
    bytes: u64,
    sha256: Sha256,
}

#[derive(Serialize)]
struct RuntimePart<'a> {
    name: &'a str,
    version: &'a str,
    bytes: u64,
    default_command: &'a [String],
    packages: &'a [Share],
}

#[derive(Serialize)]
struct Inputs<'a> {
    spec_digest: Sha256,
    packages: &'a [Package],
    programs: Vec<Program>,
}

#[derive(Serialize)]
struct Program {
    name: &'static str,
    bytes: u64,
    sha256: Sha256,
}

impl<'a> Manifest<'a> {
    /// The manifest of an image.
    ///
    /// # Errors
    /// When a runtime's image has gone from the cache.
    pub(super) fn of(facts: &Facts<'a>) -> Result<Self, BuildError> {
        let Facts { spec, lock, disk, root, policy, rendered, .. } = facts;
        let runtimes = facts.runtimes.iter().map(RuntimePart::of).collect::<Result<_, _>>()?;
        Ok(Self {
            format: FORMAT,
            name: &spec.image.name,
            version: &spec.image.version,
            proof: facts.flavour.is_proof(),
            proved: !spec.extra.unproved,
            builder: concat!("kennel ", env!("CARGO_PKG_VERSION")),
            image: Image { file: disk.file, sha256: disk.measure.sha256, written_bytes: disk.measure.written },
            root: Root {
                verity_root_hash: hex(&root.verity.root_hash),
                verity_salt: hex(&root.verity.salt),
                data_blocks: root.verity.data_blocks,
                bytes: root.bytes,
                verity_bytes: root.verity.bytes.len() as u64,
                packages: root.shares,
                files: root.files.iter().map(|(path, bytes)| File { path, bytes: *bytes }).collect(),
            },
            boot: Boot::of(facts)?,
            policy: Policy { slots: rendered.slots, bytes: policy.len() as u64, sha256: Sha256::of(policy) },
            runtimes,
            inputs: Inputs {
                spec_digest: lock.spec,
                packages: &lock.packages,
                programs: facts.guests.iter().chain(facts.brought).map(Program::of).collect(),
            },
        })
    }
}

impl<'a> Boot<'a> {
    fn of(facts: &Facts<'a>) -> Result<Self, BuildError> {
        let (kernel_bytes, initramfs_bytes) = facts.boot.sizes();
        let documents::Program { bytes, command_line, authenticode, pcrs, certificate, enrolment } =
            facts.program;
        Ok(Self {
            bytes,
            command_line,
            kernel_version: facts.boot.kernel_version(),
            kernel_bytes,
            initramfs_bytes,
            authenticode_sha256: authenticode,
            expected_pcrs: Pcrs { boot: pcrs.0, keys: pcrs.1, parts: pcrs.2 },
            signed_by: certificate.map(|certificate| SignedBy {
                subject: certificate.subject(),
                certificate_sha256: Sha256::from_bytes(certificate.fingerprint()),
            }),
            uefi_data: enrolment.map(kennel_secureboot::uefi_data).transpose()?,
            packages: facts.kernel,
        })
    }
}

impl<'a> RuntimePart<'a> {
    fn of(runtime: &'a Runtime) -> Result<Self, BuildError> {
        let image = std::fs::metadata(&runtime.image).map_err(BuildError::io(&runtime.image))?;
        Ok(Self {
            name: runtime.facts.name.as_str(),
            version: &runtime.facts.version,
            bytes: image.len(),
            default_command: &runtime.facts.default_command,
            packages: &runtime.shares,
        })
    }
}

impl Program {
    fn of(guest: &Guest) -> Self {
        Self { name: guest.name, bytes: guest.content.size(), sha256: guest.content.digest() }
    }
}
