//! UefiData of RegisterImage: base64 of a header with a checksum, and the compressed variables, into which nobody looks here.

use super::answer::Refusal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// No longer text is taken.
const MOST: usize = 64_000;
/// The magic number, the checksum and the version.
const HEADER: usize = 16;

/// CRC-32C, bit by bit.
fn checksum(data: &[u8]) -> u32 {
    let shift = |sum: u32| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
    !data.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| shift(sum)))
}

/// Whether a text may be UefiData.
pub(crate) fn check(text: &str) -> Result<(), Refusal> {
    let wrong =
        |why: &str| Refusal::new(400, "InvalidParameterValue", format!("Invalid value for UefiData: {why}"));
    if text.len() > MOST {
        return Err(wrong("it has more than 64000 characters"));
    }
    let data = STANDARD.decode(text).map_err(|_| wrong("it is not base64"))?;
    if data.len() <= HEADER || !data.starts_with(b"AMZNUEFI") || data[12..16] != [0; 4] {
        return Err(wrong("it is no store of variables"));
    }
    if checksum(&data[12..]).to_le_bytes() != data[8..12] {
        return Err(wrong("its checksum is another one"));
    }
    Ok(())
}

/// A store with this in it, as AWS takes it.
pub(crate) fn store(variables: &[u8]) -> String {
    let checked = [&[0; 4][..], variables].concat();
    STANDARD.encode([&b"AMZNUEFI"[..], &checksum(&checked).to_le_bytes(), &checked].concat())
}
