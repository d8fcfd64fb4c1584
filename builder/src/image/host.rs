//! The host's own root: what the spec takes from packages, Kennel's programs, the runtimes, and the sealed files that
//! they read. After the build nothing of it ever changes.

use std::io;
use std::path::Path;

use kennel_model::layout::{self, ImageFacts, RUNTIME_IMAGES};
use kennel_model::services;

use super::BuildError;
use super::content::Content;
use super::erofs::Origin;
use super::flavour::Flavour;
use super::guests::Guest;
use super::modules::{self, Module};
use super::runtime::Runtime;
use super::tree::{Node, Tree, TreeError};
use super::{etc, merge};
use crate::spec::Spec;

/// Where init mounts; what is mounted there has its own mode. `/root` is nobody's home: nobody logs in.
const MOUNT_POINTS: [&str; 6] = ["/data", "/dev", "/proc", "/run", "/sys", "/tmp"];

/// Whose a file of the root is.
pub(super) fn origin(path: &str) -> Origin {
    match path {
        _ if path.starts_with(RUNTIME_IMAGES) => Origin::Runtime,
        _ if path.starts_with("/usr/lib/kennel/") || path.starts_with("/usr/sbin/kennel-") => Origin::Own,
        _ => Origin::Package,
    }
}

/// Everything that the root is made of, beside packages.
pub(super) struct Furniture<'a> {
    /// What was asked for.
    pub spec: &'a Spec,
    /// Which image.
    pub flavour: Flavour,
    /// Kennel's programs.
    pub guests: &'a [Guest],
    /// The compiled policy.
    pub policy: &'a [u8],
    /// The packet filter's rules.
    pub rules: &'a kennel_iptables::Rules,
    /// The runtimes.
    pub runtimes: &'a [Runtime],
    /// The modules that are loaded from the root.
    pub modules: &'a [Module],
    /// And those for a disk to swap to.
    pub swap_modules: &'a [Module],
}

impl Furniture<'_> {
    /// Adds everything to the tree of the packages.
    ///
    /// # Errors
    /// When a file cannot be read, or is where something else is.
    pub(super) fn add_to(&self, tree: &mut Tree) -> Result<(), BuildError> {
        let files = self.files(tree);
        files.map_err(|cause| BuildError::Tree { tree: "host".into(), cause })?;
        for runtime in self.runtimes {
            let path = format!("{RUNTIME_IMAGES}/{}.erofs", runtime.facts.name);
            add_file(tree, &path, 0o644, &runtime.image)?;
        }
        for extra in &self.spec.extra.files {
            add_file(tree, &extra.path, extra.mode, &extra.source)?;
        }
        Ok(())
    }

    fn files(&self, tree: &mut Tree) -> Result<(), TreeError> {
        let image = &self.spec.image;
        etc::add_host(tree, &etc::os_release(&image.version, &self.spec.debian.suite, self.flavour))?;
        for folder in MOUNT_POINTS {
            tree.add_folder(folder, 0o755)?;
        }
        for guest in self.guests {
            tree.add(&format!("/usr/sbin/{}", guest.name), Node::file(0o755, guest.content.clone()))?;
        }
        for module in self.modules.iter().chain(self.swap_modules) {
            tree.add(&module.path, Node::file(0o644, module.content.clone()))?;
        }
        tree.add_bytes(layout::MODULES_LIST, 0o644, modules::list(self.modules))?;
        tree.add_bytes(layout::SWAP_MODULES_LIST, 0o644, modules::list(self.swap_modules))?;
        tree.add_bytes(layout::POLICY_FILE, 0o644, self.policy)?;
        tree.add_bytes(layout::IPTABLES_RULES, 0o644, self.rules.v4.as_str())?;
        tree.add_bytes(layout::IP6TABLES_RULES, 0o644, self.rules.v6.as_str())?;
        let mut table = services::standard();
        table.extend(self.spec.extra.services.iter().cloned());
        tree.add_bytes(layout::SERVICES_FILE, 0o644, json(&table))?;
        let facts = ImageFacts {
            version: image.version.clone(),
            slots: image.slots,
            runtimes: self.runtimes.iter().map(|runtime| runtime.facts.clone()).collect(),
            proof: self.flavour.is_proof(),
        };
        tree.add_bytes(layout::FACTS_FILE, 0o644, json(&facts))?;
        merge::link_merged(tree)
    }
}

/// Types of the model, which have no map with odd keys: they always have a JSON form.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

fn add_file(tree: &mut Tree, path: &str, mode: u32, source: &Path) -> Result<(), BuildError> {
    let content =
        Content::file(source).map_err(|cause: io::Error| BuildError::Io { path: source.into(), cause })?;
    let added = tree.add(path, Node::file(mode, content));
    added.map_err(|cause| BuildError::Tree { tree: "host".into(), cause })
}
