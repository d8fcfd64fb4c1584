//! Signing a boot program as firmware wants it: Authenticode's statement about the program's digest in a PKCS #7
//! structure, in a certificate table at the program's end.

use cms::content_info::ContentInfo;
use der::asn1::{Any, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Tag};

use crate::error::Error;
use crate::pe::{Layout, PeError, authenticode_digest};
use crate::pkcs7;
use crate::signer::Signer;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
const PE_IMAGE_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");
/// `AlgorithmIdentifier` of SHA-256: its number, and no parameters.
const SHA_256: [u8; 15] = [0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0];
/// `SpcPeImageData`: no flags, and in place of a file's name what signers have always put there, "<<<Obsolete>>>".
const OBSOLETE: &[u8] = b"\x30\x25\x03\x01\x00\xa0\x20\xa2\x1e\x80\x1c\
    \0<\0<\0<\0O\0b\0s\0o\0l\0e\0t\0e\0>\0>\0>";
/// `WIN_CERTIFICATE`: length, revision 2.0, PKCS #7.
const ENTRY_HEADER: usize = 8;
const REVISION_AND_TYPE: [u8; 4] = [0, 2, 2, 0];
/// Entries begin at multiples of this.
const ALIGNMENT: usize = 8;

/// The program with a signature. The same program and key give the same bytes.
///
/// # Errors
/// It is no program that can be signed, or there is no signature.
pub fn sign(mut image: Vec<u8>, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
    let layout = Layout::of(&image)?;
    layout.check_whole()?;
    image.resize(image.len().next_multiple_of(ALIGNMENT), 0);
    let structure = structure(&authenticode_digest(&image)?, signer)?;

    let length = (ENTRY_HEADER + structure.len()).next_multiple_of(ALIGNMENT);
    let word = |value: usize| u32::try_from(value).map_err(|_| PeError::TooLarge);
    let (start, length) = (word(image.len())?.to_le_bytes(), word(length)?.to_le_bytes());
    image[layout.directory.clone()].copy_from_slice(&[start, length].concat());
    image.extend(length);
    image.extend(REVISION_AND_TYPE);
    image.extend(structure);
    image.resize(image.len().next_multiple_of(ALIGNMENT), 0);
    Ok(image)
}

/// The PKCS #7 structure for a program of this digest.
fn structure(digest: &[u8; 32], signer: &dyn Signer) -> Result<Vec<u8>, Error> {
    let digest = OctetStringRef::new(digest)?.to_der()?;
    let data = pkcs7::sequence(&[&PE_IMAGE_DATA.to_der()?, OBSOLETE])?.to_der()?;
    let info = pkcs7::sequence(&[&SHA_256, &digest])?.to_der()?;
    let statement = Any::new(Tag::Sequence, [data, info].concat())?;
    let signed = pkcs7::around(INDIRECT_DATA, statement, signer)?;
    Ok(ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&signed)? }.to_der()?)
}

/// The PKCS #7 structures in a program's certificate table.
///
/// # Errors
/// It is no program.
pub fn signatures(image: &[u8]) -> Result<Vec<ContentInfo>, Error> {
    let layout = Layout::of(image)?;
    let mut rest = &image[layout.certificates];
    let mut found = Vec::new();
    while let Some((header, _)) = rest.split_first_chunk::<ENTRY_HEADER>() {
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let entry = rest.get(ENTRY_HEADER..length).ok_or(PeError::Malformed)?;
        // What follows the structure is padding.
        let mut reader = der::SliceReader::new(entry)?;
        found.push(ContentInfo::decode(&mut reader)?);
        rest = rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use cms::signed_data::SignedData;

    use super::*;
    use crate::keys::tests::KEYS;
    use crate::pe::tests::program;
    use crate::signer::KeySigner;

    #[test]
    fn the_same_program_and_key_give_the_same_bytes() {
        let signer = KeySigner::from(&KEYS[2]);
        let [one, two] = [(); 2].map(|()| sign(program(), &signer).unwrap());
        assert!(one == two);
        assert!(one.starts_with(&program()[..0x40]) && one.len() % ALIGNMENT == 0);
        assert_eq!(authenticode_digest(&one).unwrap(), authenticode_digest(&program()).unwrap());
    }

    #[test]
    fn the_signature_states_the_programs_digest_and_who_signed() {
        let signed = sign(program(), &KeySigner::from(&KEYS[2])).unwrap();
        let found = signatures(&signed).unwrap();
        let [info] = found.as_slice() else { panic!("{} signatures", found.len()) };
        let data: SignedData = info.content.decode_as().unwrap();
        let statement = data.encap_content_info.econtent.unwrap();
        assert!(statement.value().ends_with(&authenticode_digest(&program()).unwrap()));
        let signer = data.signer_infos.0.get(0).unwrap();
        assert!(signer.signed_attrs.as_ref().unwrap().len() == 2, "no time of signing");
        assert!(data.certificates.unwrap().to_der().unwrap().ends_with(KEYS[2].certificate.der()));
    }

    #[test]
    fn a_program_is_signed_once() {
        let signer = KeySigner::from(&KEYS[2]);
        let signed = sign(program(), &signer).unwrap();
        let again = sign(signed, &signer).unwrap_err();
        assert!(again.to_string().contains("signature already"), "{again}");
        assert!(signatures(&program()).unwrap().is_empty());
    }
}
