//! Secure Boot, from the keys to what the firmware is told: RSA keys and their certificates, the signature of a boot
//! program (Authenticode), the firmware's variables as signed updates, as AWS takes them and as OVMF keeps them, and
//! the TPM registers that an image leads to. Everything but `folder`, `keys` and `signer` works on bytes in memory; which files
//! are read and what is said to a person is the callers' business.

mod authenticode;
mod aws;
mod error;
mod folder;
#[cfg(test)]
mod judges;
mod keys;
mod ovmf;
mod pcr;
mod pe;
mod pkcs7;
mod signer;
mod variables;

pub use authenticode::{sign, signatures};
pub use aws::uefi_data;
pub use error::Error;
pub use folder::KeyFolder;
pub use keys::{Certificate, KeyPair, Role};
pub use ovmf::enroll;
pub use pcr::{boot_program_pcr, parts_pcr, secure_boot_pcr};
pub use pe::{PeError, authenticode_digest};
pub use signer::{HookSigner, KeySigner, Signer};
pub use variables::{Enrolment, Time, Variable};
