//! Uploads that mean harm: whoever may deploy one tenant sends archives that would reach beyond the release they become.
//! Each is refused by name through the host's own API, nothing of it is left, and the release before serves on. These are
//! acts of a tenant's developer, not of its program, so they are no rows of `policy/isolation.toml`. What all there is to an
//! archive is tried in `unpack/tests`; here it is tried that a real host has no way around it.

use std::fs;

use tar::{EntryType, Header};

use crate::checks::{contains, holds, same};
use crate::vm::Vm;

/// An archive that goes wrong, and a part of what the host says to it.
struct Trap {
    name: &'static str,
    entries: Vec<Entry>,
    words: &'static str,
}

/// What is said to a link that a release may not have.
const LEAVES: &str = "leaves the release";

/// One entry, its bytes as they will be sent.
struct Entry(Vec<u8>);

impl Entry {
    /// Written field by field: no library makes names like these.
    fn new(kind: EntryType, name: &str, mode: u32, link: &str, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        Self(bytes)
    }

    fn file(name: &str) -> Self {
        Self::new(EntryType::Regular, name, 0o644, "", b"planted")
    }

    fn link(kind: EntryType, name: &str, target: &str) -> Self {
        Self::new(kind, name, 0o777, target, b"")
    }

    /// A name in an entry before the one that it is for.
    fn long_name(name: &str) -> Self {
        Self::new(EntryType::GNULongName, "././@LongLink", 0o644, "", name.as_bytes())
    }

    /// As much as 64 bits can count, of which not a byte comes.
    fn boundless(name: &str) -> Self {
        let mut header = Header::new_gnu();
        header.set_size(u64::MAX - 511);
        header.set_mode(0o644);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        Self(header.as_bytes().to_vec())
    }
}

fn traps() -> Vec<Trap> {
    let one = |name, entry, words| Trap { name, entries: vec![entry], words };
    let two = |name, first, second, words| Trap { name, entries: vec![first, second], words };
    let (symbolic, hard) = (EntryType::Symlink, EntryType::Link);
    let registry = "/data/control/registry.sqlite";
    vec![
        one("absolute", Entry::file("/data/control/planted"), "absolute path"),
        one("dot-dot", Entry::file("../../../control/planted"), "'..' in its path"),
        one("dot-dot-inside", Entry::file("a/../../planted"), "'..' in its path"),
        one("symlink-absolute", Entry::link(symbolic, "l", registry), LEAVES),
        one("symlink-up", Entry::link(symbolic, "l", "../2"), LEAVES),
        one("symlink-to-log", Entry::link(symbolic, "l", "../../log/current"), LEAVES),
        two(
            "through-symlink",
            Entry::link(symbolic, "l", "."),
            Entry::file("l/planted"),
            "below a file or a symbolic",
        ),
        two("over-symlink", Entry::link(symbolic, "l", "x"), Entry::file("l"), "occurs twice"),
        one("hard-link-out", Entry::link(hard, "h", registry), "is a hard link to"),
        one("hard-link-up", Entry::link(hard, "h", "../1/server.js"), "is a hard link to"),
        one("device", Entry::new(EntryType::Block, "disk", 0o666, "", b""), "is a device"),
        one("fifo", Entry::new(EntryType::Fifo, "fifo", 0o666, "", b""), "is a fifo"),
        one("setuid", Entry::new(EntryType::Regular, "su", 0o4755, "", b"#!"), "setuid"),
        one("sparse", Entry::new(EntryType::GNUSparse, "bomb", 0o644, "", b""), "sparse"),
        one("boundless", Entry::boundless("bomb"), "is larger than"),
        two("long-name", Entry::long_name(&"n".repeat(300)), Entry::file("n"), "name longer than"),
        two("long-path", Entry::long_name(&"folder/".repeat(500)), Entry::file("n"), "path longer than"),
        two("deep", Entry::long_name(&format!("{}f", "d/".repeat(70))), Entry::file("n"), "nested deeper"),
    ]
}

/// Whoever has the tenant, with a page of its own.
pub(super) fn refused(vm: &Vm, tenant: &str) -> Result<(), String> {
    let before = vm.show(tenant)?;
    for trap in traps() {
        let error = upload(vm, tenant, &trap)?;
        contains(&format!("what is said to the archive {}", trap.name), &error, trap.words)?;
        let after = vm.show(tenant)?;
        same(&format!("the releases after {}", trap.name), &after["releases"], &before["releases"])?;
        same(&format!("the current release after {}", trap.name), &after["current"], &before["current"])?;
    }
    same("the page", vm.page(tenant, "/")?.status, 200)
}

/// The same archives as data, whose links may lead anywhere, but nothing that follows goes through one.
pub(super) fn refused_as_data(
    vm: &Vm,
    tenant: &str,
    holds_still: impl Fn() -> Result<(), String>,
) -> Result<(), String> {
    for trap in traps().into_iter().filter(|trap| trap.words != LEAVES) {
        let path = written(vm, &trap)?;
        let output = vm.run(&["data", "push", tenant, &path])?;
        holds(&format!("the data {} is refused", trap.name), output.code != 0)?;
        contains(&format!("what is said to the data {}", trap.name), &output.err, trap.words)?;
        holds_still()?;
    }
    Ok(())
}

/// What the host says to it.
fn upload(vm: &Vm, tenant: &str, trap: &Trap) -> Result<String, String> {
    let output = vm.run(&["deploy", tenant, &written(vm, trap)?])?;
    holds(&format!("the archive {} is refused", trap.name), output.code != 0)?;
    Ok(output.err)
}

/// Where it lies. Each begins like a good archive.
fn written(vm: &Vm, trap: &Trap) -> Result<String, String> {
    let path = vm.scratch().join(format!("{}.tar", trap.name));
    let good = Entry::file("server.js");
    let mut archive: Vec<u8> =
        [&good].into_iter().chain(&trap.entries).flat_map(|entry| entry.0.clone()).collect();
    archive.extend([0; 1024]);
    fs::write(&path, archive).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    Ok(path.display().to_string())
}
