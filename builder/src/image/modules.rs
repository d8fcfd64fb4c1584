//! Kernel modules: which files a list of names stands for, with everything that they depend on, in an order in which
//! they can be loaded. What a module needs it says itself, in its `.modinfo`; compressed modules stay as they are. When
//! they are loaded is init's business.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use object::{Object, ObjectSection};

use super::BuildError;
use super::content::Content;
use super::tree::Tree;

const MODULES: &str = "/usr/lib/modules";
const SUFFIX: &str = ".ko.xz";

/// The modules of one kernel.
pub(super) struct Modules<'a> {
    version: String,
    loadable: BTreeMap<String, (&'a str, &'a Content)>,
    built_in: BTreeSet<String>,
}

/// A module to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    /// Absolute path in the tree.
    pub path: String,
    /// The file as it is, compressed.
    pub content: Content,
}

impl<'a> Modules<'a> {
    /// Looks through a tree with one kernel's modules.
    ///
    /// # Errors
    /// When there is no kernel in it, or more than one.
    pub(super) fn of(tree: &'a Tree) -> Result<Self, BuildError> {
        let missing = |path: &str| BuildError::NotBrought { set: "kernel".into(), path: path.into() };
        let versions: BTreeSet<&str> = tree
            .files_below(MODULES)
            .filter_map(|(path, _)| path[MODULES.len() + 1..].split('/').next())
            .collect();
        let version = match Vec::from_iter(versions)[..] {
            [one] => one.to_owned(),
            [] => return Err(missing(MODULES)),
            _ => return Err(BuildError::Module { name: "*".into(), what: "there are two kernels".into() }),
        };
        let list = format!("{MODULES}/{version}/modules.builtin");
        let text = tree.content(&list).ok_or_else(|| missing(&list))?;
        let text = text.read().map_err(BuildError::io(&list))?;
        let built_in = String::from_utf8_lossy(&text).lines().map(|line| name(line, ".ko")).collect();
        let loadable = tree
            .files_below(MODULES)
            .filter(|(path, _)| path.ends_with(SUFFIX))
            .map(|(path, content)| (name(path, SUFFIX), (path, content)))
            .collect();
        Ok(Self { version, loadable, built_in })
    }

    /// The kernel's version, as `uname -r` says it.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Everything that must be loaded for these names, dependencies first, without what `before` has loaded already.
    ///
    /// # Errors
    /// When a name is unknown or a module is unreadable.
    pub(super) fn closure(&self, names: &[String], before: &[Module]) -> Result<Vec<Module>, BuildError> {
        let loaded = before.iter().map(|module| name(&module.path, SUFFIX)).collect();
        let mut walk = Walk { modules: self, seen: loaded, order: Vec::new() };
        names.iter().try_for_each(|wanted| walk.visit(&plain(wanted), true))?;
        Ok(walk.order)
    }

    /// A name that looks like one that is not there.
    fn similar(&self, wanted: &str) -> Option<&str> {
        let names = self.loadable.keys().map(|name| (strsim::jaro_winkler(name, wanted), name));
        names
            .filter(|(score, _)| *score > 0.85)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name.as_str())
    }
}

/// A depth-first walk along the dependencies.
struct Walk<'m, 'a> {
    modules: &'m Modules<'a>,
    seen: BTreeSet<String>,
    order: Vec<Module>,
}

impl Walk<'_, '_> {
    fn visit(&mut self, wanted: &str, needed: bool) -> Result<(), BuildError> {
        // Seen before its dependencies are: a circle (which the kernel's build excludes) would end here.
        if !self.seen.insert(wanted.to_owned()) {
            return Ok(());
        }
        let fault = |what: String| BuildError::Module { name: wanted.to_owned(), what };
        let Some((path, content)) = self.modules.loadable.get(wanted) else {
            if !needed || self.modules.built_in.contains(wanted) {
                return Ok(());
            }
            let similar = self.modules.similar(wanted).map(|name| format!("; is {name} meant?"));
            let version = &self.modules.version;
            return Err(fault(format!(
                "kernel {version} has none of that name{}",
                similar.unwrap_or_default()
            )));
        };
        let info = content.read().map_err(|error| error.to_string()).and_then(|file| Info::read(&file));
        let info = info.map_err(fault)?;
        for name in &info.depends {
            self.visit(name, true)?;
        }
        for name in &info.before {
            self.visit(name, false)?;
        }
        self.order.push(Module { path: (*path).to_owned(), content: (*content).clone() });
        for name in &info.after {
            self.visit(name, false)?;
        }
        Ok(())
    }
}

/// What a module says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Info {
    /// Without these it cannot be loaded.
    depends: Vec<String>,
    /// Better loaded before it (`softdep=pre:`).
    before: Vec<String>,
    /// Better loaded after it (`softdep=post:`).
    after: Vec<String>,
}

impl Info {
    fn read(compressed: &[u8]) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let mut reader = liblzma::read::XzDecoder::new(compressed);
        reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        let elf = object::read::elf::ElfFile64::<object::LittleEndian>::parse(&*bytes);
        let elf = elf.map_err(|error| error.to_string())?;
        let section = elf.section_by_name(".modinfo").ok_or("it has no .modinfo")?;
        Ok(Self::parse(section.data().map_err(|error| error.to_string())?))
    }

    /// `key=value` texts, each ended by a NUL.
    fn parse(modinfo: &[u8]) -> Self {
        let mut info = Self::default();
        for text in modinfo.split(|&byte| byte == 0).map(String::from_utf8_lossy) {
            match text.split_once('=') {
                Some(("depends", names)) => {
                    info.depends.extend(names.split(',').filter(|name| !name.is_empty()).map(plain));
                }
                Some(("softdep", words)) => info.soft(words),
                _ => {}
            }
        }
        info
    }

    /// `pre: a b post: c`. Aliases of algorithms and protocols (`crypto-crc32c`) name no module and find none.
    fn soft(&mut self, words: &str) {
        let mut list = &mut self.before;
        for word in words.split_whitespace() {
            match word {
                "pre:" => list = &mut self.before,
                "post:" => list = &mut self.after,
                name => list.push(plain(name)),
            }
        }
    }
}

/// A module's name from its path.
fn name(path: &str, suffix: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or_default();
    plain(file.strip_suffix(suffix).unwrap_or(file))
}

/// Files say `dm-mod`, the kernel `dm_mod`.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// The list that init reads: one absolute path a line.
pub(super) fn list(modules: &[Module]) -> String {
    modules.iter().map(|module| format!("{}\n", module.path)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A relocatable ELF file with a `.modinfo`, compressed: the least that is a module.
    fn module(modinfo: &str) -> Vec<u8> {
        let modinfo = modinfo.replace('\n', "\0");
        let names = b"\0.modinfo\0.shstrtab\0";
        let mut elf = vec![0; 64];
        elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        let mut set = |at: usize, value: u16| elf[at..at + 2].copy_from_slice(&value.to_le_bytes());
        for (at, value) in [(16, 1), (18, 62), (20, 1), (52, 64), (58, 64), (60, 3), (62, 2)] {
            set(at, value);
        }
        let data = 64;
        let strings = data + modinfo.len();
        elf.extend(modinfo.as_bytes());
        elf.extend(names);
        let table = elf.len();
        elf[40..48].copy_from_slice(&(table as u64).to_le_bytes());
        let mut section = |name: u32, kind: u32, offset: usize, size: usize| {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[4..8].copy_from_slice(&kind.to_le_bytes());
            header[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(size as u64).to_le_bytes());
            elf.extend(header);
        };
        section(0, 0, 0, 0);
        section(1, 1, data, modinfo.len());
        section(10, 3, strings, names.len());
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&elf).unwrap();
        xz.finish().unwrap()
    }

    fn kernel() -> Tree {
        let mut tree = Tree::default();
        let mut add =
            |name: &str, bytes: Vec<u8>| tree.add_bytes(&format!("/usr/lib/modules/6.12/{name}"), 0o644, bytes);
        add("modules.builtin", b"kernel/crypto/sha256_generic.ko\n".to_vec()).unwrap();
        add("kernel/dm-mod.ko.xz", module("depends=\n")).unwrap();
        add("kernel/dm-bufio.ko.xz", module("name=x\ndepends=dm-mod\n")).unwrap();
        add(
            "kernel/dm-verity.ko.xz",
            module("depends=dm-mod,dm-bufio\nsoftdep=pre: sha256 quick post: late\n"),
        )
        .unwrap();
        add("kernel/quick.ko.xz", module("depends=\n")).unwrap();
        add("kernel/late.ko.xz", module("depends=\n")).unwrap();
        tree
    }

    fn names(modules: &[Module]) -> Vec<String> {
        modules.iter().map(|module| name(&module.path, SUFFIX)).collect()
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let tree = kernel();
        let modules = Modules::of(&tree).unwrap();
        assert_eq!(modules.version(), "6.12");
        let early = modules.closure(&["dm_verity".into(), "sha256-generic".into()], &[]).unwrap();
        assert_eq!(names(&early), ["dm_mod", "dm_bufio", "quick", "dm_verity", "late"]);
        assert_eq!(list(&early[..1]), "/usr/lib/modules/6.12/kernel/dm-mod.ko.xz\n");
        let late = modules.closure(&["dm-bufio".into(), "late".into()], &early[..1]).unwrap();
        assert_eq!(names(&late), ["dm_bufio", "late"]);
    }

    #[test]
    fn a_name_that_is_not_there_and_a_broken_module_are_named() {
        let mut tree = kernel();
        tree.add_bytes("/usr/lib/modules/6.12/kernel/odd.ko.xz", 0o644, "odd").unwrap();
        let modules = Modules::of(&tree).unwrap();
        let error = |name: &str| modules.closure(&[name.into()], &[]).unwrap_err().to_string();
        let expect = "kernel module dm_veritas: kernel 6.12 has none of that name; is dm_verity meant?";
        assert_eq!(error("dm-veritas"), expect);
        assert!(error("odd").starts_with("kernel module odd: "));
        assert!(Modules::of(&Tree::default()).is_err());
    }
}
