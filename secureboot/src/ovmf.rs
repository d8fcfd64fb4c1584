//! OVMF's file of variables with our keys in it, for machines in QEMU. The empty file that comes with the firmware is the
//! template: its headers are kept as they are. The format is that of EDK2's authenticated variables.

use crate::error::Error;
use crate::variables::{ATTRIBUTES, Enrolment, Variable, utf16};

/// The firmware volume's header: its length at 48, then the variable store's: kind, size, state.
const VOLUME_HEADER_LENGTH: usize = 48;
const STORE_HEADER: usize = 28;
/// `EFI_AUTHENTICATED_VARIABLE_GUID`
const AUTHENTICATED: [u8; 16] =
    [0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92];
const START: [u8; 2] = [0xaa, 0x55];
/// Written and valid.
const ADDED: u8 = 0x3f;
const ERASED: u8 = 0xff;

/// The template with PK, KEK and db. With a PK in it the firmware turns Secure Boot on by itself.
///
/// # Errors
/// The template is not an empty one of this format.
pub fn enroll(template: &[u8], enrolment: &Enrolment) -> Result<Vec<u8>, Error> {
    let wrong = || Error::Store("not a file of variables in the format of OVMF");
    let header = template.get(VOLUME_HEADER_LENGTH..VOLUME_HEADER_LENGTH + 2).ok_or_else(wrong)?;
    let store = usize::from(u16::from_le_bytes([header[0], header[1]]));
    let header = template.get(store..store + STORE_HEADER).ok_or_else(wrong)?;
    if !header.starts_with(&AUTHENTICATED) || template.get(40..44) != Some(b"_FVH") {
        return Err(wrong());
    }
    let size = u32::from_le_bytes([header[16], header[17], header[18], header[19]]) as usize;
    let start = store + STORE_HEADER;
    let end = store + size;
    if template.get(start..end).ok_or_else(wrong)?.iter().any(|&byte| byte != ERASED) {
        return Err(Error::Store("the template is not empty"));
    }
    let records: Vec<u8> =
        enrolment.variables.iter().flat_map(|variable| record(variable, enrolment)).collect();
    if start + records.len() > end {
        return Err(Error::Store("the keys do not fit"));
    }
    let mut image = template.to_vec();
    image[start..start + records.len()].copy_from_slice(&records);
    Ok(image)
}

/// One variable, padded to where the next one begins.
fn record(variable: &Variable, enrolment: &Enrolment) -> Vec<u8> {
    let name = [utf16(variable.name()), vec![0, 0]].concat();
    let mut bytes = [&START[..], &[ADDED, 0], &ATTRIBUTES.to_le_bytes(), &[0; 8]].concat();
    bytes.extend(enrolment.time.encode());
    // No index of a public key: that was for counted variables.
    bytes.extend([0; 4]);
    bytes.extend((name.len() as u32).to_le_bytes());
    bytes.extend((variable.list.len() as u32).to_le_bytes());
    bytes.extend(variable.namespace().to_bytes_le());
    bytes.extend(name);
    bytes.extend(&variable.list);
    bytes.resize(bytes.len().next_multiple_of(4), ERASED);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::KEYS;

    fn template() -> Vec<u8> {
        let mut image = vec![ERASED; 0x4000];
        image[..72].fill(0);
        image[40..44].copy_from_slice(b"_FVH");
        image[48] = 72;
        image[72..88].copy_from_slice(&AUTHENTICATED);
        image[88..92].copy_from_slice(&0x3000u32.to_le_bytes());
        image[92..100].copy_from_slice(&[0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
        image
    }

    #[test]
    fn only_an_empty_template_takes_keys_and_only_as_many_as_fit() {
        let enrolment = Enrolment::new([0, 1, 2].map(|n| &KEYS[n].certificate));
        let full = enroll(&template(), &enrolment).unwrap();
        assert_eq!(full.len(), template().len());
        assert_eq!(full[..100], template()[..100]);
        let said = |template: &[u8]| enroll(template, &enrolment).unwrap_err().to_string();
        assert!(said(&full).contains("not empty"));
        let mut small = template();
        small[88..92].copy_from_slice(&0x400u32.to_le_bytes());
        assert!(said(&small).contains("do not fit"));
        assert!(said(&[0; 100]).contains("not a file of variables"));
        assert!(said(b"").contains("not a file of variables"));
    }
}
