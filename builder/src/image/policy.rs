//! The policy of the image: rendered for the spec's slots with the spec's additions, compiled by the lock's secilc once
//! for the same sources.

use std::fs;
use std::path::Path;

use kennel_model::proof::Layers;
use kennel_policy::{Extra, Proof, Rendered, isolation};

use super::BuildError;
use super::cache::{self, Cache};
use super::flavour::Flavour;
use super::tools::Tools;
use crate::digest::Sha256;
use crate::spec::Spec;

/// Renders the sources.
///
/// # Errors
/// When an addition cannot be read, or does not fit.
pub(super) fn render(spec: &Spec, flavour: Flavour) -> Result<Rendered, BuildError> {
    let read = |path: &Path| fs::read_to_string(path).map_err(BuildError::io(path));
    let mut extras: Vec<Extra> = flavour.policy().into_iter().collect();
    for path in &spec.extra.policy {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        extras.push(Extra { name, cil: read(path)?, ..Extra::default() });
    }
    for (index, path) in spec.extra.file_contexts.iter().enumerate() {
        // Contexts need no source of their own; a comment makes one.
        let name = format!("contexts-{index}");
        extras.push(Extra {
            name,
            cil: "; contexts only\n".into(),
            host_contexts: read(path)?,
            ..Extra::default()
        });
    }
    Ok(kennel_policy::render(spec.image.slots, &extras)?)
}

/// Shows that the policy keeps slots apart, and that each of its claims serves a row of the table of forbidden acts. Only
/// a proof image has slots that are left open.
///
/// # Errors
/// When there is a rule, or a chain of rules, from one slot to another, or a claim without a row.
pub(super) fn prove(rendered: &Rendered, flavour: Flavour) -> Result<Proof, BuildError> {
    isolation::check(rendered)?;
    Ok(kennel_policy::prove(rendered, |slot| flavour.is_proof() && Layers::of(slot).permissive())?)
}

/// The binary policy.
///
/// # Errors
/// When secilc refuses the sources.
pub(super) fn compile(rendered: &Rendered, tools: &Tools, cache: &Cache) -> Result<Vec<u8>, BuildError> {
    let sources =
        rendered.cil.iter().map(|file| format!("{} {}\n", file.name, Sha256::of(file.text.as_bytes())));
    let inputs = format!("{}\n{}", tools.digest(), sources.collect::<String>());
    let folder = cache.entry("policy", &Sha256::of(inputs.as_bytes()), |folder| {
        let compiled = kennel_policy::compile(rendered, tools.command("secilc")?)?;
        let path = folder.join("policy");
        fs::write(&path, compiled.binary).map_err(BuildError::io(&path))
    })?;
    cache::read(&folder.join("policy"))
}
