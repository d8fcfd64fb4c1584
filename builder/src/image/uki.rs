//! A unified kernel image: kernel, initrd and command line as sections of systemd's stub, one file that the firmware
//! starts. After the unified kernel image specification and what systemd's `ukify` does; signing is `boot`'s.

use std::ops::Range;

use object::LittleEndian as LE;
use object::pe::{IMAGE_SCN_CNT_INITIALIZED_DATA, IMAGE_SCN_MEM_READ, ImageNtHeaders64, ImageSectionHeader};
use object::pod::{bytes_of, from_bytes_mut, slice_from_bytes};
use object::{U16, U32};

/// What goes into the image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    /// systemd's `linuxx64.efi.stub`.
    pub stub: &'a [u8],
    /// An os-release text.
    pub os_release: &'a str,
    /// The kernel's command line.
    pub command_line: &'a str,
    /// The kernel's version, as `uname -r` says it.
    pub kernel_version: &'a str,
    /// A compressed cpio archive.
    pub initrd: &'a [u8],
    /// The kernel, itself an EFI program.
    pub kernel: &'a [u8],
}

/// Why the stub cannot carry the parts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("systemd's EFI stub {0}")]
pub struct UkiError(&'static str);

/// What the end of the file is a multiple of.
const ROUND: usize = 64 << 10;
const LARGE: UkiError = UkiError("cannot carry that much");
const MALFORMED: UkiError = UkiError("is not a 64-bit PE program");

/// Builds the image.
///
/// # Errors
/// [`UkiError`] when the stub is not one, or has no room for more section headers.
pub(super) fn build(parts: &Parts<'_>) -> Result<Vec<u8>, UkiError> {
    let mut image = parts.stub.to_vec();
    let mut layout = Layout::of(&image)?;
    for (name, data) in [
        (".osrel", parts.os_release.as_bytes()),
        (".cmdline", parts.command_line.as_bytes()),
        (".uname", parts.kernel_version.as_bytes()),
    ] {
        let stored = layout.store(&mut image, data, 1)?;
        layout.add(&mut image, name, data, stored)?;
    }
    // In the file the kernel comes before the initrd, so that it stays where it is when init changes, and the file's end
    // is rounded up, so that the file system's tables stay as they are.
    let kernel = layout.store(&mut image, parts.kernel, 1)?;
    let initrd = layout.store(&mut image, parts.initrd, ROUND)?;
    // In memory it comes last: it is decompressed in place and may grow beyond its end.
    layout.add(&mut image, ".initrd", parts.initrd, initrd)?;
    layout.add(&mut image, ".linux", parts.kernel, kernel)?;
    layout.finish(&mut image)?;
    Ok(image)
}

/// Where things are in the image, and where the next section goes.
struct Layout {
    headers: usize,
    section_table: usize,
    sections: u16,
    next_address: u32,
    address_alignment: u32,
    file_alignment: u32,
    end_of_headers: u32,
    added: u32,
}

impl Layout {
    fn of(image: &[u8]) -> Result<Self, UkiError> {
        if image.len() < 0x40 || !image.starts_with(b"MZ") {
            return Err(MALFORMED);
        }
        let headers = u32::from_le_bytes([image[0x3c], image[0x3d], image[0x3e], image[0x3f]]) as usize;
        let rest = image.get(headers..).ok_or(MALFORMED)?;
        let (nt, _) = object::pod::from_bytes::<ImageNtHeaders64>(rest).map_err(|()| MALFORMED)?;
        let optional = &nt.optional_header;
        if !rest.starts_with(b"PE\0\0") || optional.magic.get(LE) != object::pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC {
            return Err(MALFORMED);
        }
        // Signature and file header, then as much optional header as it says.
        let section_table = headers + 24 + usize::from(nt.file_header.size_of_optional_header.get(LE));
        let mut layout = Self {
            headers,
            section_table,
            sections: nt.file_header.number_of_sections.get(LE),
            next_address: 0,
            address_alignment: optional.section_alignment.get(LE),
            file_alignment: optional.file_alignment.get(LE),
            end_of_headers: optional.size_of_headers.get(LE),
            added: 0,
        };
        layout.next_address = layout.end_of_sections(image)?;
        Ok(layout)
    }

    /// The first address behind all sections, aligned.
    fn end_of_sections(&self, image: &[u8]) -> Result<u32, UkiError> {
        let table = image.get(self.section_table..).ok_or(MALFORMED)?;
        let (table, _) =
            slice_from_bytes::<ImageSectionHeader>(table, self.sections.into()).map_err(|()| MALFORMED)?;
        let ends = table.iter().map(|s| s.virtual_address.get(LE).saturating_add(s.virtual_size.get(LE)));
        let end = ends.max().ok_or(MALFORMED)?;
        if !self.address_alignment.is_power_of_two() || !self.file_alignment.is_power_of_two() {
            return Err(MALFORMED);
        }
        end.checked_next_multiple_of(self.address_alignment).ok_or(MALFORMED)
    }

    /// Puts a section's bytes at the end of the file, up to a multiple of `round`; gives their place.
    fn store(&self, image: &mut Vec<u8>, data: &[u8], round: usize) -> Result<Range<u32>, UkiError> {
        let align = self.file_alignment as usize;
        let place = |image: &Vec<u8>| u32::try_from(image.len()).map_err(|_| LARGE);
        image.resize(image.len().next_multiple_of(align), 0);
        let start = place(image)?;
        image.extend_from_slice(data);
        image.resize(image.len().next_multiple_of(align.max(round)), 0);
        Ok(start..place(image)?)
    }

    /// Adds a section's header.
    fn add(&mut self, image: &mut [u8], name: &str, data: &[u8], stored: Range<u32>) -> Result<(), UkiError> {
        const HEADER: usize = size_of::<ImageSectionHeader>();
        let at = self.section_table + usize::from(self.sections) * HEADER;
        if at + HEADER > self.end_of_headers as usize {
            return Err(UkiError("has no room for another section header"));
        }
        let length = stored.end - stored.start;

        let mut field = [0; 8];
        field[..name.len()].copy_from_slice(name.as_bytes());
        let word = |value| U32::new(LE, value);
        let header = ImageSectionHeader {
            name: field,
            virtual_size: word(data.len() as u32),
            virtual_address: word(self.next_address),
            size_of_raw_data: word(length),
            pointer_to_raw_data: word(stored.start),
            pointer_to_relocations: word(0),
            pointer_to_linenumbers: word(0),
            number_of_relocations: U16::new(LE, 0),
            number_of_linenumbers: U16::new(LE, 0),
            characteristics: U32::new(LE, IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ),
        };
        image[at..at + HEADER].copy_from_slice(bytes_of(&header));
        self.sections += 1;
        self.added = self.added.checked_add(length).ok_or(LARGE)?;
        let end = self.next_address.checked_add(data.len() as u32);
        self.next_address =
            end.and_then(|end| end.checked_next_multiple_of(self.address_alignment)).ok_or(LARGE)?;
        Ok(())
    }

    /// Brings the headers up to date.
    fn finish(&self, image: &mut [u8]) -> Result<(), UkiError> {
        let (nt, _) = from_bytes_mut::<ImageNtHeaders64>(&mut image[self.headers..]).map_err(|()| MALFORMED)?;
        nt.file_header.number_of_sections.set(LE, self.sections);
        let optional = &mut nt.optional_header;
        let data = optional.size_of_initialized_data.get(LE).wrapping_add(self.added);
        optional.size_of_initialized_data.set(LE, data);
        optional.size_of_image.set(LE, self.next_address);
        // Firmware does not look at it; a stale one would be worse than none.
        optional.check_sum.set(LE, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use object::read::pe::PeFile64;
    use object::{Object, ObjectSection};

    use super::*;

    /// A stub with one section and room for `room` more headers.
    pub(crate) fn stub(room: usize) -> Vec<u8> {
        const TABLE: usize = 0x40 + 24 + 240;
        let mut stub = vec![0; TABLE + 40 * (1 + room)];
        let headers = stub.len();
        let mut set = |at: usize, bytes: &[u8]| stub[at..at + bytes.len()].copy_from_slice(bytes);
        set(0, b"MZ");
        set(0x3c, &0x40u32.to_le_bytes());
        set(0x40, b"PE\0\0");
        set(0x44, &0x8664u16.to_le_bytes());
        set(0x46, &1u16.to_le_bytes());
        set(0x54, &240u16.to_le_bytes());
        set(0x58, &0x20bu16.to_le_bytes());
        set(0x58 + 32, &4096u32.to_le_bytes());
        set(0x58 + 36, &512u32.to_le_bytes());
        set(0x58 + 60, &(headers as u32).to_le_bytes());
        set(0x58 + 108, &16u32.to_le_bytes());
        set(TABLE, b".text\0\0\0");
        set(TABLE + 8, &5000u32.to_le_bytes());
        set(TABLE + 12, &4096u32.to_le_bytes());
        stub
    }

    fn parts(stub: &[u8]) -> Parts<'_> {
        Parts {
            stub,
            os_release: "ID=kennel\n",
            command_line: "quiet",
            kernel_version: "6.12",
            initrd: &[1; 5000],
            kernel: &[2; 700],
        }
    }

    #[test]
    fn every_part_is_a_section_behind_the_ones_before() {
        let stub = stub(5);
        let image = build(&parts(&stub)).unwrap();
        let pe = PeFile64::parse(&*image).unwrap();
        let seen: Vec<_> =
            pe.sections().map(|s| (s.name().unwrap().to_owned(), s.address(), s.size())).collect();
        let expect = [
            (".text", 0x1000, 5000),
            (".osrel", 0x3000, 10),
            (".cmdline", 0x4000, 5),
            (".uname", 0x5000, 4),
            (".initrd", 0x6000, 5000),
            (".linux", 0x8000, 700),
        ];
        assert_eq!(seen, expect.map(|(name, address, size)| (name.to_owned(), address, size)));
        assert_eq!(pe.section_by_name(".cmdline").unwrap().data().unwrap(), b"quiet");
        assert_eq!(pe.section_by_name(".linux").unwrap().data().unwrap(), [2; 700]);
        assert_eq!(pe.nt_headers().optional_header.size_of_image.get(LE), 0x9000);
    }

    #[test]
    fn the_kernel_stays_in_its_place_when_the_initrd_grows() {
        let stub = stub(5);
        let range = |initrd: &[u8]| {
            let image = build(&Parts { initrd, ..parts(&stub) }).unwrap();
            let pe = PeFile64::parse(&*image).unwrap();
            let kernel = pe.section_by_name(".linux").unwrap().file_range().unwrap();
            (kernel, image.len())
        };
        assert_eq!(range(&[1; 5000]), range(&[1; 60_000]));
    }

    #[test]
    fn a_full_header_and_a_foreign_file_are_refused() {
        let full = stub(4);
        assert!(build(&parts(&full)).unwrap_err().to_string().contains("no room"));
        for foreign in [&b""[..], b"MZ", &[0; 600]] {
            assert_eq!(build(&parts(foreign)), Err(MALFORMED));
        }
        let short = &stub(5)[..0x70];
        assert_eq!(build(&parts(short)), Err(MALFORMED));
    }
}
