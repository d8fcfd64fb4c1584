//! What a TPM will have measured once an image has booted: registers 4 (the boot program), 7 (Secure Boot's state and
//! keys) and 11 (the parts of the boot program), in the bank of SHA-256. Replayed as firmware (TCG's PC Client Platform
//! Firmware Profile) and systemd's stub measure. A host's own events come on top of none of these three.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::Error;
use crate::pe::{authenticode_digest, sections};
use crate::variables::{Enrolment, GLOBAL, IMAGE_SECURITY, utf16};

/// What firmware says into register 4 before it starts anything.
const CALLING: &[u8] = b"Calling EFI Application from Boot Option";
/// The line between the firmware's own measurements and those of what it starts.
const SEPARATOR: [u8; 4] = [0; 4];
/// The part that is a program itself.
const KERNEL: &str = ".linux";
/// The parts of the boot program that systemd's stub measures, in its order, whatever their order in the file.
const PARTS: [&str; 10] =
    [KERNEL, ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey"];

/// A register, all zero at power-on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Register([u8; 32]);

impl Register {
    const START: Self = Self([0; 32]);

    /// Measures data.
    fn measure(self, data: &[u8]) -> Self {
        self.extend(&Sha256::digest(data).into())
    }

    /// Measures what has this digest.
    fn extend(self, digest: &[u8; 32]) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(digest).finalize().into())
    }
}

/// Register 4: firmware starts this boot program, and nothing before it. With Secure Boot off, systemd's stub has the firmware
/// start the kernel too, which measures it; with Secure Boot on, the stub vouches for what it carries, and the firmware is
/// not asked.
///
/// # Errors
/// It is no program.
pub fn boot_program_pcr(image: &[u8], secure_boot: bool) -> Result<[u8; 32], Error> {
    let program = Register::START.measure(CALLING).measure(&SEPARATOR).extend(&authenticode_digest(image)?);
    let sections = sections(image)?;
    match sections.iter().find(|(name, _)| name == KERNEL) {
        Some((_, kernel)) if !secure_boot => Ok(program.extend(&authenticode_digest(kernel)?).0),
        _ => Ok(program.0),
    }
}

/// Register 7: Secure Boot is on with these keys, no program is forbidden by name, and what boots is signed by db.
pub fn secure_boot_pcr(enrolment: &Enrolment) -> [u8; 32] {
    let [platform, exchange, database] = &enrolment.variables;
    let register = Register::START
        .measure(&variable(GLOBAL, "SecureBoot", &[1]))
        .measure(&variable(GLOBAL, "PK", &platform.list))
        .measure(&variable(GLOBAL, "KEK", &exchange.list))
        .measure(&variable(IMAGE_SECURITY, "db", &database.list))
        .measure(&variable(IMAGE_SECURITY, "dbx", &[]));
    // The authority is the entry of db that has let the program start, without the list around it.
    register.measure(&SEPARATOR).measure(&variable(IMAGE_SECURITY, "db", database.entry())).0
}

/// Register 11: systemd's stub with these parts.
///
/// # Errors
/// It is no program.
pub fn parts_pcr(image: &[u8]) -> Result<[u8; 32], Error> {
    let sections = sections(image)?;
    let mut register = Register::START;
    for part in PARTS {
        if let Some((_, data)) = sections.iter().find(|(name, _)| name == part) {
            register = register.measure(&[part.as_bytes(), &[0]].concat()).measure(data);
        }
    }
    Ok(register.0)
}

/// `UEFI_VARIABLE_DATA`: namespace, length of the name, length of the data, both.
fn variable(namespace: Uuid, name: &str, data: &[u8]) -> Vec<u8> {
    let length = |value: usize| (value as u64).to_le_bytes();
    let name = utf16(name);
    [&namespace.to_bytes_le()[..], &length(name.len() / 2), &length(data.len()), &name, data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::KEYS;
    use crate::pe::tests::program;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Taken from what OVMF of Debian 12 sent to a TPM.
    #[test]
    fn measured_data_has_the_digests_that_firmware_has_sent() {
        let digest = |data: &[u8]| hex(&Sha256::digest(data));
        assert_eq!(
            digest(&variable(GLOBAL, "SecureBoot", &[1])),
            "ccfc4bb32888a345bc8aeadaba552b627d99348c767681ab3141f5b01e40a40e"
        );
        assert_eq!(
            digest(&variable(IMAGE_SECURITY, "dbx", &[])),
            "9f75b6823bff6af1024a4e2036719cdd548d3cbc2bf1de8e7ef4d0ed01f94bf9"
        );
        assert_eq!(digest(CALLING), "3d6772b4f84ed47595d72a2c4c5ffd15f5bb72c7507fe26f2aaee2c69d5633ba");
        assert_eq!(digest(&SEPARATOR), "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119");
    }

    #[test]
    fn each_key_and_each_part_counts() {
        let [one, two] =
            [[0, 1, 2], [0, 2, 1]].map(|order| Enrolment::new(order.map(|n| &KEYS[n].certificate)));
        assert_ne!(secure_boot_pcr(&one), secure_boot_pcr(&two));
        let image = program();
        assert_eq!(parts_pcr(&image).unwrap(), [0; 32], "it has no such parts");
        let mut other = image.clone();
        let name = other.windows(6).position(|bytes| bytes == b".text\0").unwrap();
        other[name..name + 8].copy_from_slice(b".cmdline");
        let first = parts_pcr(&other).unwrap();
        assert_eq!(first, Register::START.measure(b".cmdline\0").measure(&[2; 0x200]).0);
        let started = |image: &[u8], secure_boot| boot_program_pcr(image, secure_boot).unwrap();
        assert_ne!(started(&image, true), started(&other, true));
        assert_eq!(started(&image, true), started(&image, false), "it carries no kernel");
    }
}
