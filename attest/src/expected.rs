//! What the registers should hold, as an image's manifest says, and what it means when they do not.

use std::collections::BTreeMap;

use kennel_model::tpm::{Hex, REGISTERS};
use serde::{Deserialize, Serialize};

use crate::error::Fault;
use crate::evidence::Evidence;

/// What an image leads to.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Name and version of the image.
    pub image: String,
    registers: BTreeMap<u8, Hex>,
}

/// How a register is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Same,
    /// Not as it should be.
    Differs,
    /// Nobody has said how it should be.
    NotPredicted,
}

/// One register, compared.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Its number.
    pub register: u8,
    /// What is measured into it.
    pub of: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What follows from that, as a clause.
    pub meaning: &'static str,
    /// What it holds.
    pub quoted: Hex,
    /// What it should hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Hex>,
}

/// As much of a manifest as is needed here.
#[derive(Deserialize)]
struct Manifest {
    name: String,
    version: String,
    boot: Boot,
}

#[derive(Deserialize)]
struct Boot {
    expected_pcrs: BTreeMap<u8, Hex>,
}

impl Expected {
    /// Reads `manifest.json`. Register 12 is none of the image's: it is empty unless somebody adds to what boots.
    ///
    /// # Errors
    /// [`Fault::Manifest`].
    pub fn read(manifest: &str) -> Result<Self, Fault> {
        let manifest: Manifest =
            serde_json::from_str(manifest).map_err(|cause| Fault::Manifest(cause.to_string()))?;
        let mut registers = manifest.boot.expected_pcrs;
        if registers.values().any(|value| value.0.len() != 32) {
            return Err(Fault::Manifest("a register has not 32 bytes".into()));
        }
        registers.insert(12, Hex(vec![0; 32]));
        Ok(Self { image: format!("{} {}", manifest.name, manifest.version), registers })
    }

    /// Register 7 is to be this, whatever the manifest says.
    pub fn with_keys(&mut self, register: [u8; 32]) {
        self.registers.insert(7, Hex(register.to_vec()));
    }

    /// Each register beside what it should be.
    pub fn compare(&self, evidence: &Evidence) -> Vec<Finding> {
        let compare = |(register, value): (u8, &[u8; 32])| {
            let expected = self.registers.get(&register).cloned();
            let verdict = match &expected {
                None => Verdict::NotPredicted,
                Some(expected) if expected.0 == value => Verdict::Same,
                Some(_) => Verdict::Differs,
            };
            let (of, meaning) = words(register, verdict);
            Finding { register, of, verdict, meaning, quoted: Hex(value.to_vec()), expected }
        };
        REGISTERS.into_iter().zip(&evidence.registers).map(compare).collect()
    }
}

/// What a register is of, and what its verdict means.
const fn words(register: u8, verdict: Verdict) -> (&'static str, &'static str) {
    use Verdict::{Differs, NotPredicted, Same};
    match (register, verdict) {
        (4, Same) => {
            ("boot program", "the firmware has started this image's boot program and nothing before it")
        }
        (4, _) => (
            "boot program",
            "the firmware has started another boot program than this image's, or tried another disk before it, or Secure \
             Boot is not as it was built for",
        ),
        (7, Same) => ("Secure Boot", "it is on, with these keys and no others"),
        (7, Differs) => ("Secure Boot", "it is off, or on with other keys"),
        (7, NotPredicted) => {
            ("Secure Boot", "the manifest says nothing of it: the image was built without keys")
        }
        (11, Same) => {
            ("kernel", "kernel, initramfs and command line are this image's, and so is the root file system")
        }
        (11, _) => (
            "kernel",
            "kernel, initramfs or command line (with the root file system's hash) are not this image's",
        ),
        (_, Same) => ("additions", "nothing was added to the kernel's command line"),
        (_, _) => (
            "additions",
            "something was added to the kernel's command line or to the boot program (an SMBIOS string, an addon)",
        ),
    }
}
