//! The other `kennel-init`, of proof images (`kennel_model::proof`): it leaves a slot's UNIX means away where the image says
//! that the slot has none. Compiled only into the package `kennel-init-proof`; the ordinary program has none of this.
//!
//! What is left away is everything between clone and exec but the session, the descriptors and the domain: such a program
//! is root with every capability, in the host's root and namespaces. It keeps its cgroup and its log.

use kennel_model::layout::RUNTIME_MOUNTS;
use kennel_model::proof::Layers;
use kennel_model::{LaunchSpec, SlotId};
use kennel_sys::clone::Namespaces;

use crate::child::root::Root;
use crate::child::{Plan, Program};
use crate::slot::folders;
use crate::slot::launch::text;
use crate::step::Failed;

/// Said when the host boots.
pub(crate) const WARNING: &str =
    "PROOF IMAGE: some of its slots are deliberately open; never put it on a network or let tenants in";

/// Whether a slot's files belong to root and its program runs as root.
pub(crate) const fn as_root(slot: SlotId) -> bool {
    Layers::of(slot).as_root()
}

/// Takes the UNIX means out of a tenant's plan, if its slot has none.
///
/// # Errors
/// A path with a NUL byte.
pub(crate) fn open<'a>(slot: SlotId, spec: &LaunchSpec, plan: Plan<'a>) -> Result<Plan<'a>, Failed> {
    if !as_root(slot) {
        return Ok(plan);
    }
    let folder = folders::release(slot, spec.files);
    Ok(Plan {
        program: Program::Paths(vec![text(program_path(spec, &folder))?]),
        namespaces: Namespaces::default(),
        root: Some(Root::Host(folder)),
        host_name: None,
        limits: vec![],
        uid: 0,
        fence: None,
        no_new_code: false,
        filter: None,
        ..plan
    })
}

/// The program as it is found from the host's root.
fn program_path(spec: &LaunchSpec, folder: &str) -> String {
    let program = spec.argv.first().map_or("", String::as_str);
    match program.strip_prefix("/app/") {
        Some(own) => format!("{folder}/{own}"),
        None if program.starts_with('/') => format!("{RUNTIME_MOUNTS}/{}{program}", spec.runtime),
        None => format!("{folder}/{program}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::{Limits, ReleaseId, RuntimeName, TenantName};

    #[test]
    fn programs_are_found_from_outside() {
        let path = |program: &str| {
            let spec = LaunchSpec {
                tenant: TenantName::new("villain").unwrap(),
                runtime: RuntimeName::new("static").unwrap(),
                release: ReleaseId(7),
                files: ReleaseId(7),
                argv: vec![program.to_owned()],
                env: vec![],
                limits: Limits::default(),
                connect_ports: vec![],
            };
            program_path(&spec, "/data/slots/0002/releases/7")
        };
        assert_eq!(path("server"), "/data/slots/0002/releases/7/server");
        assert_eq!(path("/app/server"), "/data/slots/0002/releases/7/server");
        assert_eq!(path("/usr/bin/node"), "/run/runtimes/static/usr/bin/node");
    }
}
