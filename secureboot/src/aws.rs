//! `UefiData` of EC2's RegisterImage: the variables that every instance of an image starts with. The format is AWS's, as
//! their python-uefivars writes it: a header with a checksum, then the variables, compressed, in base64.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISCSI, Crc};
use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::error::Error;
use crate::variables::{ATTRIBUTES, Enrolment, Variable};

const MAGIC: &[u8; 8] = b"AMZNUEFI";
const VERSION: [u8; 4] = [0; 4];
/// zlib: deflate with a window of 32 KiB, a preset dictionary, best compression.
const ZLIB_HEADER: [u8; 2] = [0x78, 0xf9];
/// Adler-32 of the dictionary that readers have. We compress without it, but say that it is the one: then readers that
/// must find it named do, and nothing in the data refers to it.
const DICTIONARY: u32 = 0x6bb7_d9f7;

/// The blob.
///
/// # Errors
/// None is expected: all is in memory.
pub fn uefi_data(enrolment: &Enrolment) -> Result<String, Error> {
    let mut raw = (enrolment.variables.len() as u64).to_le_bytes().to_vec();
    for variable in &enrolment.variables {
        write(&mut raw, variable, enrolment);
    }
    let checked = [&VERSION[..], &compress(&raw).map_err(Error::file("compress", "UefiData"))?].concat();
    let checksum = Crc::<u32>::new(&CRC_32_ISCSI).checksum(&checked).to_le_bytes();
    Ok(STANDARD.encode([&MAGIC[..], &checksum, &checked].concat()))
}

fn write(raw: &mut Vec<u8>, variable: &Variable, enrolment: &Enrolment) {
    for data in [variable.name().as_bytes(), &variable.list] {
        raw.extend((data.len() as u64).to_le_bytes());
        raw.extend(data);
    }
    raw.extend(variable.namespace().to_bytes_le());
    raw.extend(ATTRIBUTES.to_le_bytes());
    raw.extend(enrolment.time.encode());
    // The digest of a signer that only private variables have.
    raw.extend(32u64.to_le_bytes());
    raw.extend([0; 32]);
}

fn compress(raw: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = ZLIB_HEADER.to_vec();
    out.extend(DICTIONARY.to_be_bytes());
    let mut encoder = DeflateEncoder::new(out, Compression::best());
    encoder.write_all(raw)?;
    let mut out = encoder.finish()?;
    out.extend(adler32(raw).to_be_bytes());
    Ok(out)
}

fn adler32(data: &[u8]) -> u32 {
    let (low, high) = data.iter().fold((1u32, 0u32), |(low, high), &byte| {
        let low = (low + u32::from(byte)) % 65521;
        (low, (high + low) % 65521)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }
}
