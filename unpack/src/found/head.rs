//! What the first bytes of a file say of what it takes to run it.

use kennel_model::found::ProgramKind;
use object::LittleEndian;
use object::elf::{EM_X86_64, ET_DYN, ET_EXEC, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

/// How much of a file is looked at: a header and some thirty program headers.
pub(crate) const HEAD_BYTES: usize = 2048;
/// Longest first line of a script that is read, as the kernel reads them.
const MAX_LINE_BYTES: usize = 256;

/// What a file needs to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Head {
    /// An interpreter, by its name without folders, with arguments.
    Script(Vec<String>),
    /// The machine.
    Machine(ProgramKind),
}

/// What a file that begins with these bytes needs, if it says so.
pub(crate) fn classify(head: &[u8]) -> Option<Head> {
    match head.strip_prefix(b"#!") {
        Some(line) => script(line).map(Head::Script),
        None if head.starts_with(b"\x7fELF") => Some(Head::Machine(machine(head))),
        None => None,
    }
}

fn script(line: &[u8]) -> Option<Vec<String>> {
    let line = line.split(|b| *b == b'\n').next().filter(|line| line.len() <= MAX_LINE_BYTES)?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let base = |word: &str| word.rsplit('/').next().map(str::to_owned).filter(|name| !name.is_empty());
    let mut interpreter = base(words.next()?)?;
    if interpreter == "env" {
        // `env -S node --flag`; other options of it set variables, which is not followed.
        interpreter = base(words.find(|word| *word != "-S")?)?;
    }
    Some([interpreter].into_iter().chain(words.map(str::to_owned)).collect())
}

fn machine(head: &[u8]) -> ProgramKind {
    let parsed = || {
        let file = FileHeader64::<LittleEndian>::parse(head).ok()?;
        let endian = file.endian().ok()?;
        let runs = matches!(file.e_type(endian), ET_EXEC | ET_DYN) && file.e_machine(endian) == EM_X86_64;
        let headers = file.program_headers(endian, head).ok().filter(|headers| runs && !headers.is_empty())?;
        let loader = headers.iter().any(|header| header.p_type(endian) == PT_INTERP);
        Some(if loader { ProgramKind::Dynamic } else { ProgramKind::Static })
    };
    parsed().unwrap_or(ProgramKind::Foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_name_their_interpreter() {
        for (head, words) in [
            ("#!/usr/bin/env node\nx", &["node"][..]),
            ("#!/usr/bin/env -S node --no-warnings\n", &["node", "--no-warnings"]),
            ("#! /usr/local/bin/node\r\n", &["node"]),
            ("#!/bin/sh", &["sh"]),
            ("#!/usr/bin/python3 -u\n", &["python3", "-u"]),
        ] {
            let words = words.iter().map(|w| (*w).to_owned()).collect();
            assert_eq!(classify(head.as_bytes()), Some(Head::Script(words)), "{head}");
        }
        for head in ["#!\n", "#!", "#!/\n", "#!/usr/bin/env\n", "console.log(1)", ""] {
            assert_eq!(classify(head.as_bytes()), None, "{head}");
        }
        assert_eq!(classify(b"#!/bin/\xff\n"), None);
        assert_eq!(classify(&[b"#!/".as_slice(), &[b'x'; 300]].concat()), None);
    }

    #[test]
    fn machine_programs_are_told_apart() {
        use ProgramKind::{Dynamic, Foreign, Static};
        for (program, kind) in [
            (elf(62, &[1]), Static),
            (elf(62, &[6, 3, 1]), Dynamic),
            (elf(183, &[1]), Foreign),
            (elf(62, &[]), Foreign),
        ] {
            assert_eq!(classify(&program), Some(Head::Machine(kind)));
            for cut in 4..program.len() {
                assert!(matches!(classify(&program[..cut]), Some(Head::Machine(Foreign))), "{cut}");
            }
        }
    }

    /// A header and program headers of these types.
    fn elf(machine: u16, types: &[u32]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend(2u16.to_le_bytes());
        bytes.extend(machine.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend([0x40_0000u64, 64, 0].map(u64::to_le_bytes).concat());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend([64, 56, types.len() as u16, 64, 0, 0].map(u16::to_le_bytes).concat());
        for kind in types {
            bytes.extend(kind.to_le_bytes());
            bytes.resize(bytes.len() + 52, 0);
        }
        bytes
    }
}
