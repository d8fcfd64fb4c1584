//! Writes a FAT32 file system once, for the EFI system partition: files with upper-case 8.3 names, contiguous, with
//! fixed dates. Only what is used is written, the rest of the partition stays a hole. Reading and changing such a file
//! system is the firmware's and the kernel's business.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;

const SECTOR: u64 = 512;
const RESERVED_SECTORS: u64 = 32;
const BACKUP_BOOT_SECTOR: u64 = 6;
/// Below this a file system counts as FAT16, whatever its label says.
const LEAST_CLUSTERS: u64 = 65_525;
const ROOT_CLUSTER: u32 = 2;
const END_OF_CHAIN: u32 = 0x0fff_ffff;
const ENTRY: usize = 32;
const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_FOLDER: u8 = 0x10;
const ATTRIBUTE_FILE: u8 = 0x20;
/// 2025-01-01: the same for every file, so that the same files give the same bytes.
const DATE: u16 = (2025 - 1980) << 9 | 1 << 5 | 1;

/// Why no file system was written.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// A name that would need a long-name entry.
    #[error("{0:?} is not an upper-case 8.3 path")]
    Name(String),
    /// Less than FAT32 can be.
    #[error("a FAT32 partition of {0} bytes is too small (33 MiB is the least)")]
    Small(u64),
    /// More than fits.
    #[error("the EFI partition of {size} bytes is too small for {needed} bytes of files")]
    Full {
        /// What there is.
        size: u64,
        /// What is needed, at least.
        needed: u64,
    },
    /// The disk refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What goes into the file system.
#[derive(Debug, Clone, Default)]
pub(super) struct Volume<'a> {
    /// Its serial number.
    pub serial: u32,
    root: Folder<'a>,
}

type Folder<'a> = BTreeMap<[u8; 11], Item<'a>>;

#[derive(Debug, Clone)]
enum Item<'a> {
    Folder(Folder<'a>),
    File(&'a [u8]),
}

impl<'a> Volume<'a> {
    /// An empty one.
    pub(super) fn new(serial: u32) -> Self {
        Self { serial, root: Folder::new() }
    }

    /// Adds a file, such as `EFI/BOOT/BOOTX64.EFI`, and the folders above it.
    ///
    /// # Errors
    /// [`FatError::Name`].
    pub(super) fn add(&mut self, path: &str, data: &'a [u8]) -> Result<(), FatError> {
        let bad = || FatError::Name(path.to_owned());
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut folder = &mut self.root;
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            let name = short_name(part).ok_or_else(bad)?;
            match folder.entry(name).or_insert_with(|| Item::Folder(Folder::new())) {
                Item::Folder(inner) => folder = inner,
                Item::File(_) => return Err(bad()),
            }
        }
        match folder.insert(short_name(name).ok_or_else(bad)?, Item::File(data)) {
            None => Ok(()),
            Some(_) => Err(bad()),
        }
    }

    /// Writes the file system of `size` bytes at `start` of the disk, which reads as zeros there.
    ///
    /// # Errors
    /// When the files do not fit, or the disk refuses.
    pub(super) fn write(&self, disk: &impl FileExt, start: u64, size: u64) -> Result<(), FatError> {
        let sectors = size / SECTOR;
        // One sector per cluster: a table's sector of 128 entries covers 128 sectors of data; two entries are reserved.
        let table_sectors = (sectors.saturating_sub(RESERVED_SECTORS) + 2).div_ceil(128 + 2);
        let clusters = sectors.saturating_sub(RESERVED_SECTORS + 2 * table_sectors);
        if clusters < LEAST_CLUSTERS {
            return Err(FatError::Small(size));
        }
        let data_start = start + (RESERVED_SECTORS + 2 * table_sectors) * SECTOR;
        let mut writer = Writer { disk, data_start, clusters, table: vec![0x0fff_fff8, END_OF_CHAIN], size };
        writer.folder(&self.root, None)?;

        let table: Vec<u8> = writer.table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let used = writer.table.len() as u64 - 2;
        for copy in 0..2 {
            disk.write_all_at(&table, start + (RESERVED_SECTORS + copy * table_sectors) * SECTOR)?;
        }
        for sector in [0, BACKUP_BOOT_SECTOR] {
            let boot = boot_sector(start / SECTOR, sectors, table_sectors, self.serial);
            disk.write_all_at(&boot, start + sector * SECTOR)?;
            disk.write_all_at(&info_sector(clusters - used, used), start + (sector + 1) * SECTOR)?;
        }
        Ok(())
    }
}

/// `BOOTX64.EFI` as the eleven bytes of a directory entry.
fn short_name(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fine = |part: &str, most| {
        part.len() <= most && part.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'-')
    };
    if base.is_empty() || !fine(base, 8) || !fine(extension, 3) {
        return None;
    }
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base.as_bytes());
    short[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
    Some(short)
}

struct Writer<'d, D> {
    disk: &'d D,
    data_start: u64,
    clusters: u64,
    table: Vec<u32>,
    size: u64,
}

impl<D: FileExt> Writer<'_, D> {
    /// Writes a folder and all below it; `parent` is the cluster of the folder above, none for the root.
    fn folder(&mut self, items: &Folder<'_>, parent: Option<u32>) -> Result<u32, FatError> {
        let count = items.len() + if parent.is_some() { 2 } else { 1 };
        let own = self.allocate((count * ENTRY) as u64)?;
        let mut entries = Vec::with_capacity(count * ENTRY);
        match parent {
            None => entries.extend(entry(*b"KENNEL-ESP ", ATTRIBUTE_LABEL, 0, 0)),
            Some(parent) => {
                // The root is called cluster 0 by the folders in it.
                let above = if parent == ROOT_CLUSTER { 0 } else { parent };
                entries.extend(entry(*b".          ", ATTRIBUTE_FOLDER, own, 0));
                entries.extend(entry(*b"..         ", ATTRIBUTE_FOLDER, above, 0));
            }
        }
        for (name, item) in items {
            entries.extend(match item {
                Item::Folder(inner) => entry(*name, ATTRIBUTE_FOLDER, self.folder(inner, Some(own))?, 0),
                Item::File(data) => entry(*name, ATTRIBUTE_FILE, self.file(data)?, data.len() as u32),
            });
        }
        self.put(own, &entries)?;
        Ok(own)
    }

    fn file(&mut self, data: &[u8]) -> Result<u32, FatError> {
        if data.is_empty() {
            return Ok(0);
        }
        let first = self.allocate(data.len() as u64)?;
        self.put(first, data)?;
        Ok(first)
    }

    /// Chains as many clusters as the bytes need and gives the first.
    fn allocate(&mut self, bytes: u64) -> Result<u32, FatError> {
        let first = self.table.len() as u64;
        let end = first + bytes.div_ceil(SECTOR);
        if end - 2 > self.clusters || bytes > u64::from(u32::MAX) {
            return Err(FatError::Full { size: self.size, needed: (end - 2) * SECTOR });
        }
        self.table.extend((first + 1..end).map(|next| next as u32));
        self.table.push(END_OF_CHAIN);
        Ok(first as u32)
    }

    /// Writes all that is not zero.
    fn put(&self, cluster: u32, data: &[u8]) -> io::Result<()> {
        let mut at = self.data_start + u64::from(cluster - ROOT_CLUSTER) * SECTOR;
        for sector in data.chunks(SECTOR as usize) {
            if sector.iter().any(|&byte| byte != 0) {
                self.disk.write_all_at(sector, at)?;
            }
            at += sector.len() as u64;
        }
        Ok(())
    }
}

fn entry(name: [u8; 11], attribute: u8, cluster: u32, size: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let cluster = cluster.to_le_bytes();
    let mut set = |at: usize, bytes: &[u8]| entry[at..at + bytes.len()].copy_from_slice(bytes);
    set(0, &name);
    set(11, &[attribute]);
    set(16, &DATE.to_le_bytes()); // made
    set(18, &DATE.to_le_bytes()); // read
    set(20, &cluster[2..]);
    set(24, &DATE.to_le_bytes()); // written
    set(26, &cluster[..2]);
    set(28, &size.to_le_bytes());
    entry
}

fn boot_sector(hidden: u64, sectors: u64, table_sectors: u64, serial: u32) -> [u8; SECTOR as usize] {
    let mut boot = [0; SECTOR as usize];
    let mut set = |at: usize, bytes: &[u8]| boot[at..at + bytes.len()].copy_from_slice(bytes);
    set(0, &[0xeb, 0x58, 0x90]); // jump over the parameters, as everybody expects
    set(3, b"KENNEL  ");
    set(11, &(SECTOR as u16).to_le_bytes());
    set(13, &[1]); // sectors per cluster
    set(14, &(RESERVED_SECTORS as u16).to_le_bytes());
    set(16, &[2]); // tables
    set(21, &[0xf8]); // a fixed disk
    set(24, &32u16.to_le_bytes()); // sectors per track, and heads below: of no meaning, but not zero
    set(26, &64u16.to_le_bytes());
    set(28, &(hidden as u32).to_le_bytes());
    set(32, &(sectors as u32).to_le_bytes());
    set(36, &(table_sectors as u32).to_le_bytes());
    set(44, &ROOT_CLUSTER.to_le_bytes());
    set(48, &1u16.to_le_bytes()); // sector of the counts
    set(50, &(BACKUP_BOOT_SECTOR as u16).to_le_bytes());
    set(64, &[0x80]); // BIOS drive number
    set(66, &[0x29]); // serial, label and type follow
    set(67, &serial.to_le_bytes());
    set(71, b"KENNEL-ESP ");
    set(82, b"FAT32   ");
    set(510, &[0x55, 0xaa]);
    boot
}

fn info_sector(free: u64, used: u64) -> [u8; SECTOR as usize] {
    let mut info = [0; SECTOR as usize];
    let mut set = |at: usize, bytes: &[u8]| info[at..at + bytes.len()].copy_from_slice(bytes);
    set(0, b"RRaA");
    set(484, b"rrAa");
    set(488, &(free as u32).to_le_bytes());
    set(492, &(used as u32 + 1).to_le_bytes()); // the cluster allocated last
    set(508, &[0, 0, 0x55, 0xaa]);
    info
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn fsck_finds_nothing_and_mtools_reads_it_back() {
        let big: Vec<u8> = (0..3_000_001u32).map(|i| ((i * 7) >> 3) as u8).collect();
        let mut volume = Volume::new(0x1234_5678);
        volume.add("EFI/BOOT/BOOTX64.EFI", &big).unwrap();
        volume.add("EFI/BOOT/EMPTY", b"").unwrap();
        // More entries than one cluster holds.
        let names: Vec<_> = (0..40).map(|n| format!("EFI/MANY/F{n}.TXT")).collect();
        names.iter().for_each(|name| volume.add(name, name.as_bytes()).unwrap());
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(64 * MIB).unwrap();
        volume.write(disk.as_file(), 0, 64 * MIB).unwrap();

        let fsck = Command::new("/usr/sbin/fsck.fat").arg("-nv").arg(disk.path()).output();
        let fsck = fsck.expect("fsck.fat is needed for this test: run `make deps`");
        let text = String::from_utf8_lossy(&[fsck.stdout, fsck.stderr].concat()).into_owned();
        assert!(fsck.status.success(), "{text}");
        let read = |name: &str| {
            let output = Command::new("mtype").arg("-i").arg(disk.path()).arg(format!("::/{name}")).output();
            output.expect("mtools is needed for this test: run `make deps`").stdout
        };
        assert!(read("EFI/BOOT/BOOTX64.EFI") == big);
        assert_eq!(read("EFI/MANY/F39.TXT"), b"EFI/MANY/F39.TXT");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let disk = tempfile::tempfile().unwrap();
        let big = vec![1; 34 << 20];
        let mut volume = Volume::new(1);
        volume.add("A", &big).unwrap();
        assert!(matches!(volume.write(&disk, 0, 16 * MIB), Err(FatError::Small(_))));
        assert!(matches!(volume.write(&disk, 0, 34 * MIB), Err(FatError::Full { .. })));
        for name in ["a", "", "LONGNAME9", "A.LONG", "A.B.C", "A/", "A/B"] {
            assert!(matches!(volume.add(name, b""), Err(FatError::Name(_))), "{name}");
        }
    }
}
