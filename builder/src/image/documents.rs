//! The documents beside an image: the manifest for programs, the bill of materials for auditors, the policy report for
//! whoever wants to know what may reach what. They say nothing of the computer or the time of the build.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use kennel_policy::Rendered;
use kennel_secureboot::{Certificate, Enrolment, Signer};

use super::BuildError;
use super::boot::Boot;
use super::flavour::Flavour;
use super::guests::Guest;
use super::manifest::Manifest;
use super::output::Output;
use super::runtime::Runtime;
use super::sbom;
use super::sources::Share;
use super::tree::{Kind, Tree};
use super::verity;
use crate::digest::{Hasher, Sha256};
use crate::lock::Lock;
use crate::spec::Spec;

/// Everything that the documents tell of.
pub(super) struct Facts<'a> {
    /// What was asked for.
    pub spec: &'a Spec,
    /// Which image.
    pub flavour: Flavour,
    /// Which packages that was.
    pub lock: &'a Lock,
    /// The disk image.
    pub disk: Disk<'a>,
    /// The parts of the boot program.
    pub boot: &'a Boot,
    /// The boot program.
    pub program: Program<'a>,
    /// The root file system.
    pub root: Root<'a>,
    /// Packages that gave the kernel and its modules.
    pub kernel: &'a [Share],
    /// The runtimes.
    pub runtimes: &'a [Runtime],
    /// Kennel's programs for the host.
    pub guests: &'a [Guest],
    /// And those in runtimes.
    pub brought: &'a [Guest],
    /// The policy's sources.
    pub rendered: &'a Rendered,
    /// The compiled policy.
    pub policy: &'a [u8],
}

/// The boot program.
#[derive(Clone, Copy)]
pub(super) struct Program<'a> {
    /// Its size, signature included.
    pub bytes: u64,
    /// The kernel's command line in it.
    pub command_line: &'a str,
    /// What a signature is made of.
    pub authenticode: Sha256,
    /// What TPMs will have measured: registers 4, 7 (where the hosts' keys are known) and 11.
    pub pcrs: (Sha256, Option<Sha256>, Sha256),
    /// Whose key has signed it.
    pub certificate: Option<&'a Certificate>,
    /// The keys of the hosts that will boot it.
    pub enrolment: Option<&'a Enrolment>,
}

impl<'a> Program<'a> {
    /// About this program.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn of(
        program: &[u8],
        command_line: &'a str,
        signer: Option<&'a dyn Signer>,
        enrolment: Option<&'a Enrolment>,
    ) -> Result<Self, BuildError> {
        let authenticode =
            kennel_secureboot::authenticode_digest(program).map_err(kennel_secureboot::Error::from)?;
        let boot = kennel_secureboot::boot_program_pcr(program, signer.is_some())?;
        let keys = enrolment.map(kennel_secureboot::secure_boot_pcr);
        let parts = kennel_secureboot::parts_pcr(program)?;
        let pcr = Sha256::from_bytes;
        Ok(Self {
            bytes: program.len() as u64,
            command_line,
            authenticode: Sha256::from_bytes(authenticode),
            pcrs: (pcr(boot), keys.map(pcr), pcr(parts)),
            certificate: signer.map(|signer| signer.certificate()),
            enrolment,
        })
    }
}

/// The disk image.
#[derive(Clone, Copy)]
pub(super) struct Disk<'a> {
    /// Its file name.
    pub file: &'a str,
    /// Its digest and how much of it is not zero.
    pub measure: Measure,
}

/// The root file system.
#[derive(Clone, Copy)]
pub(super) struct Root<'a> {
    /// Its hash tree.
    pub verity: &'a verity::Tree,
    /// Its size, without the hash tree.
    pub bytes: u64,
    /// The packages that gave something.
    pub shares: &'a [Share],
    /// Its files.
    pub files: &'a [(String, u64)],
}

/// A file's digest and how much there really is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measure {
    /// Of the whole file.
    pub sha256: Sha256,
    /// Bytes in blocks that are not zero: what it takes on a disk, whatever the file system there.
    pub written: u64,
}

impl Measure {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        const BLOCK: usize = 4096;
        let size = file.metadata()?.len();
        let (mut hasher, mut written, mut at) = (Hasher::default(), 0, 0);
        let mut buffer = vec![0; 256 * BLOCK];
        while at < size {
            let part = &mut buffer[..(size - at).min(256 * BLOCK as u64) as usize];
            file.read_exact_at(part, at)?;
            io::Write::write_all(&mut hasher, part)?;
            let used = part.chunks(BLOCK).filter(|block| block.iter().any(|&byte| byte != 0));
            written += used.map(|block| block.len() as u64).sum::<u64>();
            at += part.len() as u64;
        }
        Ok(Self { sha256: hasher.finish(), written })
    }
}

/// All files of a tree with their sizes.
pub(super) fn files(tree: &Tree) -> Vec<(String, u64)> {
    let file = |(path, kind): (&str, &Kind)| match kind {
        Kind::File(content) => Some((path.to_owned(), content.size())),
        _ => None,
    };
    tree.iter().filter_map(|(path, node)| file((path, &node.kind))).collect()
}

/// Writes all documents and gives the manifest's path.
///
/// # Errors
/// When the output folder cannot be written.
pub(super) fn write(output: &mut Output, facts: &Facts<'_>) -> Result<PathBuf, BuildError> {
    let report = kennel_policy::report(facts.rendered)?;
    output.bytes("policy-report.txt", report.text().as_bytes())?;
    output.bytes("policy-report.json", &json(&report)?)?;
    output.bytes("sbom.spdx.json", &json(&sbom::document(facts)?)?)?;
    output.bytes("manifest.json", &json(&Manifest::of(facts)?)?)
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, BuildError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| BuildError::io("json")(error.into()))?;
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_and_zeros_are_not_counted_as_written() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 << 20).unwrap();
        file.write_all_at(b"x", (2 << 20) + 5).unwrap();
        file.write_all_at(&[0; 9000], 0).unwrap();
        let measure = Measure::of(&file).unwrap();
        assert_eq!(measure.written, 4096);
        let mut bytes = vec![0; 3 << 20];
        bytes[(2 << 20) + 5] = b'x';
        assert_eq!(measure.sha256, Sha256::of(&bytes));
    }
}
