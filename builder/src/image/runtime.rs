//! A runtime: the read-only tree that becomes a slot's root, with the places where the slot's own things are mounted.
//! What is in it beyond the packages is the least that programs expect of a Linux system.

use std::path::PathBuf;

use kennel_model::layout::RuntimeFacts;
use kennel_policy::Contexts;

use super::BuildError;
use super::cache::Cache;
use super::guests::Guest;
use super::sources::{Share, Sourced, Sources};
use super::tools::Tools;
use super::tree::{Node, Tree, TreeError};
use super::{bytecode, erofs, etc, labels, lint, merge};
use crate::lock::{Lock, PackageSet};
use crate::spec::{self, Spec};

/// Where init mounts, and what is mounted there has its own mode.
const MOUNT_POINTS: [&str; 5] = ["/app", "/data", "/dev", "/proc", "/tmp"];

/// A runtime as an image.
pub(super) struct Runtime {
    /// What the host's root says of it.
    pub facts: RuntimeFacts,
    /// The EROFS image, in the cache.
    pub image: PathBuf,
    /// Where its files come from.
    pub shares: Vec<Share>,
}

/// Makes the image or finds it in the cache.
///
/// # Errors
/// When packages disagree, a file has no label, or mkfs.erofs fails.
pub(super) fn build(
    spec: &Spec,
    runtime: &spec::Runtime,
    (sources, guests): (&Sources<'_>, &[Guest]),
    lock: &Lock,
    contexts: &Contexts,
    tools: &Tools,
    cache: &Cache,
) -> Result<Runtime, BuildError> {
    let set = PackageSet::Runtime(runtime.name.clone());
    let name = set.to_string();
    let mut sourced = sources.tree(&set, |path| runtime.takes(path))?;
    for npm in &runtime.npm {
        sources.add_npm(&mut sourced, &set, npm)?;
    }
    let Sourced { mut tree, shares } = sourced;
    if let Some(wanted) = &runtime.bytecode {
        bytecode::add(&mut tree, wanted, &format!("bytecode-{}", runtime.name), &name, cache)?;
    }
    etc::bundle_certificates(&mut tree).map_err(BuildError::io(&name))?;
    furnish(&mut tree, spec.image.slots)
        .and_then(|()| add_own(&mut tree, runtime, guests))
        .map_err(|cause| BuildError::Tree { tree: name.clone(), cause })?;
    lint::check(&name, lint::lint_runtime(&tree))?;
    labels::label(&mut tree, contexts, &name)?;
    let image = erofs::make(&tree, &format!("erofs-{}", runtime.name), erofs::Style::default(), tools, cache)?;
    let facts = RuntimeFacts {
        name: runtime.name.clone(),
        version: version(runtime, sources, lock, &set),
        default_command: runtime.default_command.clone(),
        jit: runtime.jit,
        env: runtime.env.clone(),
        build: runtime.build.clone(),
    };
    Ok(Runtime { facts, image, shares })
}

/// The version of what runs programs: of the npm package, or of the Debian package that brings the interpreter, as its authors
/// write it. Nothing where there is no interpreter.
fn version(runtime: &spec::Runtime, sources: &Sources<'_>, lock: &Lock, set: &PackageSet) -> String {
    let by_npm =
        || lock.npm_of(&runtime.name, &runtime.npm.first()?.package).map(|package| package.version.clone());
    let brought = || sources.bringer(set, interpreter(runtime)?.strip_prefix('/')?);
    by_npm().or_else(|| brought().map(|package| upstream(&package.version).to_owned())).unwrap_or_default()
}

/// What runs programs: of the default command; where that is a program of Kennel's own, what the runtime's first link leads to, which is
/// the name that people know the interpreter by.
fn interpreter(runtime: &spec::Runtime) -> Option<String> {
    let program = runtime.default_command.first()?;
    if !runtime.programs.values().any(|own| own == program) {
        return Some(program.clone());
    }
    let (link, to) = runtime.links.first_key_value()?;
    Some(format!("{}/{to}", link.rsplit_once('/')?.0))
}

/// `3.13.5` of `1:3.13.5-2+deb13u5`.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    version.rsplit_once('-').map_or(version, |(upstream, _)| upstream)
}

/// All that is in it beside packages.
fn furnish(tree: &mut Tree, slots: u16) -> Result<(), TreeError> {
    etc::add_runtime(tree, slots)?;
    for folder in MOUNT_POINTS {
        tree.add_folder(folder, 0o755)?;
    }
    // Programs look for theirs here first, by PATH.
    tree.add_folder("/usr/local/bin", 0o755)?;
    tree.add_folder("/usr/bin", 0o755)?;
    merge::link_merged(tree)
}

/// What the spec says itself.
fn add_own(tree: &mut Tree, runtime: &spec::Runtime, guests: &[Guest]) -> Result<(), TreeError> {
    for (name, path) in &runtime.programs {
        for guest in guests.iter().filter(|guest| guest.name == name) {
            tree.add(path, Node::file(0o755, guest.content.clone()))?;
        }
    }
    for (path, text) in &runtime.texts {
        tree.add_bytes(path, 0o644, text.as_str())?;
    }
    for (path, to) in &runtime.links {
        tree.add(path, Node::symlink(to))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_what_runs_programs() {
        let of = |text: &str| {
            let text =
                format!("[host]\npackages = []\n[tools]\npackages = []\n[[runtime]]\nname = \"a\"\n{text}");
            interpreter(&Spec::parse(&text, "kennel.toml".as_ref()).unwrap().runtimes[0])
        };
        assert_eq!(of("default_command = [\"/usr/bin/node\", \"a.js\"]").as_deref(), Some("/usr/bin/node"));
        let php = "default_command = [\"/usr/bin/kennel-php\", \"index.php\"]\nlinks = { \"/usr/bin/php\" = \"php8.4\" }\n\
            programs = { kennel-php = \"/usr/bin/kennel-php\" }";
        assert_eq!(of(php).as_deref(), Some("/usr/bin/php8.4"));
        assert_eq!(of(""), None);
    }

    #[test]
    fn a_version_is_what_its_authors_call_it() {
        for (debian, upstreams) in
            [("3.13.5-2+deb13u5", "3.13.5"), ("1:2.0-rc1-3", "2.0-rc1"), ("13.0.0", "13.0.0"), ("2:8", "8")]
        {
            assert_eq!(upstream(debian), upstreams);
        }
    }
}
