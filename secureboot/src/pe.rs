//! The layout of a 64-bit PE program as far as its signature needs it: what the digest covers, and where a certificate
//! table goes. After Microsoft's "Windows Authenticode Portable Executable Signature Format".

use std::ops::Range;

use sha2::{Digest, Sha256};

/// Offset of the field that holds the offset of the PE header.
const PE_OFFSET: usize = 0x3c;
/// From the PE header to the optional header.
const OPTIONAL: usize = 24;
const PE32_PLUS: u16 = 0x20b;
/// In the optional header of PE32+.
const SIZE_OF_HEADERS: usize = 60;
const CHECKSUM: usize = 64;
const DIRECTORIES: usize = 108;
/// The fifth directory is the certificate table: offset in the file and size.
const CERTIFICATES: usize = 112 + 4 * 8;
const SECTION: usize = 40;

/// Why it cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeError {
    /// Not a PE program for 64-bit machines.
    #[error("is not a 64-bit PE program")]
    Malformed,
    /// A signature could not cover all of it.
    #[error("has bytes between its sections that no signature covers")]
    Gaps,
    /// It is signed already, or has something else behind its sections.
    #[error("has something behind its sections, perhaps a signature already")]
    Trailing,
    /// Offsets are 32 bits.
    #[error("is too large")]
    TooLarge,
}

/// Where things are.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Left out of the digest.
    pub checksum: Range<usize>,
    /// Left out of the digest: offset and size of the certificate table.
    pub directory: Range<usize>,
    /// The certificate table itself, empty where there is none.
    pub certificates: Range<usize>,
    /// End of the headers.
    headers: usize,
    /// What sections have in the file, by offset; those without are left out.
    sections: Vec<Range<usize>>,
    /// Of the whole file.
    size: usize,
}

fn word(image: &[u8], at: usize) -> Result<u32, PeError> {
    let bytes = image.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_le_bytes).ok_or(PeError::Malformed)
}

fn half(image: &[u8], at: usize) -> Result<u16, PeError> {
    let bytes = image.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u16::from_le_bytes).ok_or(PeError::Malformed)
}

impl Layout {
    /// Reads the headers.
    pub(crate) fn of(image: &[u8]) -> Result<Self, PeError> {
        let header = word(image, PE_OFFSET)? as usize;
        let optional = header.checked_add(OPTIONAL).ok_or(PeError::Malformed)?;
        let fits = image.starts_with(b"MZ") && word(image, header)?.to_le_bytes() == *b"PE\0\0";
        if !fits || half(image, optional)? != PE32_PLUS || word(image, optional + DIRECTORIES)? < 5 {
            return Err(PeError::Malformed);
        }
        let at = optional + CERTIFICATES;
        let start = word(image, at)? as usize;
        let certificates = start..start + word(image, at + 4)? as usize;
        let headers = word(image, optional + SIZE_OF_HEADERS)? as usize;
        let table = optional + usize::from(half(image, header + 20)?);
        let mut sections = Vec::new();
        for number in 0..usize::from(half(image, header + 6)?) {
            let entry = table + number * SECTION;
            let (size, start) = (word(image, entry + 16)? as usize, word(image, entry + 20)? as usize);
            sections.push(start..start + size);
        }
        sections.retain(|section| !section.is_empty());
        sections.sort_by_key(|section| section.start);
        let ends = sections.iter().map(|section| section.end);
        if ends.chain([headers, certificates.end]).any(|end| end > image.len()) || headers < at + 8 {
            return Err(PeError::Malformed);
        }
        let checksum = optional + CHECKSUM;
        Ok(Self {
            checksum: checksum..checksum + 4,
            directory: at..at + 8,
            certificates,
            headers,
            sections,
            size: image.len(),
        })
    }

    /// Checks that headers and sections follow one another without a gap up to the end, and that nothing is behind.
    pub(crate) fn check_whole(&self) -> Result<(), PeError> {
        let mut end = self.headers;
        for section in &self.sections {
            if section.start != end {
                return Err(PeError::Gaps);
            }
            end = section.end;
        }
        if !self.certificates.is_empty() || end != self.size { Err(PeError::Trailing) } else { Ok(()) }
    }
}

/// What Authenticode signs, firmware compares and a TPM measures: SHA-256 over the headers without checksum and
/// certificate table, the sections in their order in the file, and what lies between them and the certificates.
///
/// # Errors
/// [`PeError::Malformed`].
pub fn authenticode_digest(image: &[u8]) -> Result<[u8; 32], PeError> {
    let layout = Layout::of(image)?;
    let mut hasher = Sha256::new();
    hasher.update(&image[..layout.checksum.start]);
    hasher.update(&image[layout.checksum.end..layout.directory.start]);
    hasher.update(&image[layout.directory.end..layout.headers]);
    let mut done = layout.headers;
    for section in &layout.sections {
        hasher.update(&image[section.clone()]);
        done += section.len();
    }
    let end = image.len() - layout.certificates.len();
    if let Some(rest) = image.get(done..end) {
        hasher.update(rest);
    }
    Ok(hasher.finalize().into())
}

/// The sections by name, with as much of each as is in memory once it is loaded, without the padding in the file.
pub(crate) fn sections(image: &[u8]) -> Result<Vec<(String, &[u8])>, PeError> {
    // Checks all offsets.
    Layout::of(image)?;
    let header = word(image, PE_OFFSET)? as usize;
    let table = header + OPTIONAL + usize::from(half(image, header + 20)?);
    let one = |number| {
        let entry = table + number * SECTION;
        let name = image.get(entry..entry + 8).ok_or(PeError::Malformed)?;
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        let [used, stored, start] = [8, 16, 20].map(|at| word(image, entry + at));
        let (used, stored, start) = (used? as usize, stored? as usize, start? as usize);
        let data = image.get(start..start + used.min(stored)).ok_or(PeError::Malformed)?;
        Ok((name, data))
    };
    (0..usize::from(half(image, header + 6)?)).map(one).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A program of two sections, the second first in the file.
    pub(crate) fn program() -> Vec<u8> {
        const TABLE: usize = 0x40 + OPTIONAL + 240;
        let mut image = vec![0; 0x200];
        let mut set = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        set(0, b"MZ");
        set(PE_OFFSET, &0x40u32.to_le_bytes());
        set(0x40, b"PE\0\0");
        set(0x44, &0x8664u16.to_le_bytes());
        set(0x46, &2u16.to_le_bytes());
        set(0x54, &240u16.to_le_bytes());
        set(0x58, &PE32_PLUS.to_le_bytes());
        set(0x58 + 32, &[0, 0x10, 0, 0, 0, 2, 0, 0]);
        set(0x58 + 56, &0x4000u32.to_le_bytes());
        set(0x58 + SIZE_OF_HEADERS, &0x200u32.to_le_bytes());
        set(0x58 + CHECKSUM, b"sum!");
        set(0x58 + DIRECTORIES, &16u32.to_le_bytes());
        for (number, start) in [(0, 0x400u32), (1, 0x200)] {
            set(TABLE + number * SECTION, b".text\0\0\0");
            set(TABLE + number * SECTION + 8, &[0, 2, 0, 0, 0, 0x10 + 0x10 * number as u8, 0, 0]);
            set(TABLE + number * SECTION + 16, &0x200u32.to_le_bytes());
            set(TABLE + number * SECTION + 20, &start.to_le_bytes());
        }
        image.extend([1; 0x200]);
        image.extend([2; 0x200]);
        image
    }

    #[test]
    fn the_digest_covers_all_but_checksum_and_certificates() {
        let image = program();
        let digest = authenticode_digest(&image).unwrap();
        let layout = Layout::of(&image).unwrap();
        layout.check_whole().unwrap();
        // The headers' own fields between these two say where things are.
        for at in (0x200..image.len()).chain(2..PE_OFFSET) {
            let mut other = image.clone();
            other[at] ^= 1;
            assert_ne!(authenticode_digest(&other), Ok(digest), "byte {at:#x}");
        }
        let mut other = image.clone();
        other[layout.checksum.start] ^= 1;
        assert_eq!(authenticode_digest(&other), Ok(digest));
    }

    #[test]
    fn what_a_signature_would_not_cover_is_refused() {
        let mut trailing = program();
        trailing.push(0);
        assert_eq!(Layout::of(&trailing).unwrap().check_whole(), Err(PeError::Trailing));
        let mut gap = program();
        // The headers end before the first section begins.
        gap[0x58 + SIZE_OF_HEADERS..][..4].copy_from_slice(&0x1c0u32.to_le_bytes());
        assert_eq!(Layout::of(&gap).unwrap().check_whole(), Err(PeError::Gaps));
        for length in [0, 2, 0x41, 0x60, 0x1ff, 0x5ff] {
            assert_eq!(authenticode_digest(&program()[..length]), Err(PeError::Malformed), "{length}");
        }
    }
}
