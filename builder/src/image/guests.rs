//! Kennel's own programs for the host: found in one folder, and insisted to be what the host can run, static programs
//! for x86-64. Who starts them is the sealed table of services' business.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use object::elf::{EM_X86_64, PT_INTERP};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};

use super::BuildError;
use super::content::Content;
use super::flavour::Flavour;

/// PID 1, which is in the initramfs too.
pub(super) const INIT: &str = "kennel-init";
/// All of them.
pub(super) const NAMES: [&str; 10] = [
    INIT,
    "kennel-proxy",
    "kennel-control",
    "kennel-unpack",
    "kennel-dhcp",
    "kennel-audit",
    "kennel-acme",
    "kennel-imds",
    "kennel-tpm",
    "kennel-villain",
];

/// Programs for runtimes that ask for them.
pub(super) const FOR_RUNTIMES: [&str; 1] = ["kennel-php"];

/// One program.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    /// Its file name.
    pub name: &'static str,
    /// The program.
    pub content: Content,
}

/// Reads all of the host's.
///
/// # Errors
/// When one is missing, or cannot run on the host.
pub(super) fn read(folder: &Path, flavour: Flavour) -> Result<Vec<Guest>, BuildError> {
    let file = |name| if name == INIT { flavour.init() } else { name };
    NAMES.into_iter().map(|name| read_one(&folder.join(file(name)), name)).collect()
}

/// Reads those that runtimes ask for.
///
/// # Errors
/// As [`read`], and when there is no such program.
pub(super) fn read_wanted<'a>(
    folder: &Path,
    wanted: impl Iterator<Item = &'a String>,
) -> Result<Vec<Guest>, BuildError> {
    let names: BTreeSet<&str> = wanted.map(String::as_str).collect();
    let one = |name: &str| match FOR_RUNTIMES.into_iter().find(|known| *known == name) {
        Some(name) => read_one(&folder.join(name), name),
        None => Err(BuildError::Guest(format!("{name} is no program of Kennel's for runtimes"))),
    };
    names.into_iter().map(one).collect()
}

fn read_one(path: &Path, name: &'static str) -> Result<Guest, BuildError> {
    let bytes = std::fs::read(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => BuildError::Guest(format!("{} is not there", path.display())),
        _ => BuildError::Io { path: path.to_owned(), cause },
    })?;
    match fault(&bytes) {
        None => Ok(Guest { name, content: Content::bytes(bytes) }),
        Some(fault) => Err(BuildError::Guest(format!("{} {fault}", path.display()))),
    }
}

/// Why the host could not run it.
fn fault(bytes: &[u8]) -> Option<&'static str> {
    let Ok(elf) = ElfFile64::<object::LittleEndian>::parse(bytes) else {
        return Some("is not a 64-bit ELF program");
    };
    let endian = elf.endian();
    if elf.elf_header().e_machine(endian) != EM_X86_64 {
        return Some("is not for x86-64");
    }
    let dynamic = elf.elf_program_headers().iter().any(|header| header.p_type(endian) == PT_INTERP);
    dynamic.then_some("is not static: it would need libraries that the host does not have for it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_foreign_and_dynamic_programs_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = || read(folder.path(), Flavour::Ordinary).unwrap_err().to_string();
        assert!(error().ends_with("kennel-init is not there"));
        std::fs::write(folder.path().join(INIT), "#!/bin/sh").unwrap();
        assert!(error().ends_with("kennel-init is not a 64-bit ELF program"));
        let wanted = |name: &str| read_wanted(folder.path(), [name.to_owned()].iter()).unwrap_err().to_string();
        assert!(wanted("kennel-php").ends_with("kennel-php is not there"));
        assert!(wanted("../../bin/sh").contains("is no program of Kennel's for runtimes"));
        // This computer's own shell is dynamic; this very test is static.
        std::fs::copy("/bin/sh", folder.path().join(INIT)).unwrap();
        assert!(error().contains("kennel-init is not static"));
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(fault(&own), None);
    }
}
