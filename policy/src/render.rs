//! Renders the policy's sources: the files under `policy/cil` as they are, the slot template once for each slot of
//! the pool, and what an image adds of its own. Pure: the same pool and extras give the same bytes.

use std::collections::HashSet;

use handlebars::{Handlebars, no_escape};
use kennel_model::SlotId;
use kennel_model::slot::MAX_SLOTS;
use serde::Serialize;

use crate::cil;
use crate::{BadContexts, Contexts};

/// The template's name among the sources, once rendered.
const SLOTS: &str = "slot.cil";

/// The fixed sources by name; each answers one question.
const SOURCES: &[(&str, &str)] = &[
    ("kernel.cil", include_str!("../cil/kernel.cil")),
    ("classes.cil", include_str!("../cil/classes.cil")),
    ("sets.cil", include_str!("../cil/sets.cil")),
    ("permissions.cil", include_str!("../cil/permissions.cil")),
    ("filesystems.cil", include_str!("../cil/filesystems.cil")),
    ("devices.cil", include_str!("../cil/devices.cil")),
    ("network.cil", include_str!("../cil/network.cil")),
    ("packets.cil", include_str!("../cil/packets.cil")),
    ("image.cil", include_str!("../cil/image.cil")),
    ("process.cil", include_str!("../cil/process.cil")),
    ("boot.cil", include_str!("../cil/boot.cil")),
    ("init.cil", include_str!("../cil/init.cil")),
    ("init_slots.cil", include_str!("../cil/init_slots.cil")),
    ("services.cil", include_str!("../cil/services.cil")),
    ("proxy.cil", include_str!("../cil/proxy.cil")),
    ("control.cil", include_str!("../cil/control.cil")),
    ("dhcp.cil", include_str!("../cil/dhcp.cil")),
    ("audit.cil", include_str!("../cil/audit.cil")),
    ("imds.cil", include_str!("../cil/imds.cil")),
    ("acme.cil", include_str!("../cil/acme.cil")),
    ("tpm.cil", include_str!("../cil/tpm.cil")),
    ("chronyd.cil", include_str!("../cil/chronyd.cil")),
    ("iptables.cil", include_str!("../cil/iptables.cil")),
    ("fsck.cil", include_str!("../cil/fsck.cil")),
    ("tenant.cil", include_str!("../cil/tenant.cil")),
    ("install.cil", include_str!("../cil/install.cil")),
];
/// The rules about rules come last, so that a failure names what came before.
const NEVER: (&str, &str) = ("never.cil", include_str!("../cil/never.cil"));
const SLOT_TEMPLATE: &str = include_str!("../cil/slot.cil.hbs");
const HOST_CONTEXTS: &str = include_str!("../host.file_contexts");
const RUNTIME_CONTEXTS: &str = include_str!("../runtime.file_contexts");

/// Whether the source of this name is ours, and not an image's addition.
pub(crate) fn is_ours(name: &str) -> bool {
    name == SLOTS || name == NEVER.0 || SOURCES.iter().any(|(ours, _)| *ours == name)
}

/// One source file for `secilc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CilFile {
    /// Its file name, unique within a policy.
    pub name: String,
    /// CIL.
    pub text: String,
}

/// What an image adds to the policy, such as the test image's probe program. It is compiled with everything else,
/// so it cannot grant what a `neverallow` forbids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra {
    /// Name of its source file, without `.cil`.
    pub name: String,
    /// CIL.
    pub cil: String,
    /// Lines of file contexts for the host's root.
    pub host_contexts: String,
    /// Lines of file contexts for the runtime images.
    pub runtime_contexts: String,
}

/// A policy's sources.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Slots in the pool.
    pub slots: u16,
    /// In the order in which they are given to `secilc`.
    pub cil: Vec<CilFile>,
    /// Labels of the host's root image.
    pub host: Contexts,
    /// Labels of a runtime image; paths are those inside it.
    pub runtime: Contexts,
}

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// No slot, or more than there can be.
    #[error("a pool of {0} slots: there can be 1 to {MAX_SLOTS}")]
    Pool(u16),
    /// Two sources of one name.
    #[error("the policy already has a source named {0}")]
    Name(String),
    /// The slot template is wrong.
    #[error("policy template {SLOTS}: {0}")]
    Template(#[from] Box<handlebars::RenderError>),
    /// A source that is no CIL.
    #[error("policy source {name}: {source}")]
    Source {
        /// Which one.
        name: String,
        /// The cause.
        source: cil::BadCil,
    },
    /// A source that the report and the proof cannot read.
    #[error("policy source {name}: {source}")]
    Rules {
        /// Which one.
        name: String,
        /// The cause.
        source: crate::Unread,
    },
    /// File contexts that cannot be read.
    #[error("{image} {source}")]
    Contexts {
        /// "host" or "runtime".
        image: &'static str,
        /// The cause.
        source: BadContexts,
    },
    /// File contexts that name what the policy lacks.
    #[error("{image} file contexts: the policy has no type for the label {label}")]
    Label {
        /// "host" or "runtime".
        image: &'static str,
        /// The whole context.
        label: String,
    },
}

/// Renders the policy for a pool of `slots`, with an image's own additions.
///
/// # Errors
/// [`RenderError`]; without extras only for a pool of an impossible size.
pub fn render(slots: u16, extras: &[Extra]) -> Result<Rendered, RenderError> {
    if slots == 0 || slots > MAX_SLOTS {
        return Err(RenderError::Pool(slots));
    }
    let file = |name: &str, text: &str| CilFile { name: name.to_owned(), text: text.to_owned() };
    let mut cil: Vec<CilFile> = SOURCES.iter().map(|(name, text)| file(name, text)).collect();
    for extra in extras {
        let name = format!("{}.cil", extra.name);
        if cil.iter().any(|f| f.name == name) || name == SLOTS || name == NEVER.0 {
            return Err(RenderError::Name(name));
        }
        cil.push(CilFile { name, text: extra.cil.clone() });
    }
    let types = declared_types(&cil)?;
    let host = contexts("host", HOST_CONTEXTS, extras.iter().map(|e| &*e.host_contexts), &types)?;
    let runtime = contexts("runtime", RUNTIME_CONTEXTS, extras.iter().map(|e| &*e.runtime_contexts), &types)?;
    cil.push(CilFile { name: SLOTS.to_owned(), text: expand(slots)? });
    cil.push(file(NEVER.0, NEVER.1));
    Ok(Rendered { slots, cil, host, runtime })
}

/// The types of the fixed sources and the extras; images carry no file of a slot.
fn declared_types(sources: &[CilFile]) -> Result<HashSet<String>, RenderError> {
    let mut types = HashSet::new();
    for file in sources {
        let statements =
            cil::parse(&file.text).map_err(|source| RenderError::Source { name: file.name.clone(), source })?;
        types.extend(statements.iter().filter_map(|s| match s.words()[..] {
            ["type", name] => Some(name.to_owned()),
            _ => None,
        }));
    }
    Ok(types)
}

/// Our own lines, then the extras', so that these win.
fn contexts<'a>(
    image: &'static str,
    ours: &str,
    extras: impl Iterator<Item = &'a str>,
    types: &HashSet<String>,
) -> Result<Contexts, RenderError> {
    let mut text = ours.to_owned();
    for extra in extras.filter(|e| !e.is_empty()) {
        text.push_str(extra.trim_end());
        text.push('\n');
    }
    let contexts = Contexts::parse(&text).map_err(|source| RenderError::Contexts { image, source })?;
    let known = |label: &str| label.strip_prefix("system_u:object_r:").is_some_and(|t| types.contains(t));
    if let Some(label) = contexts.labels().find(|label| !known(label)) {
        return Err(RenderError::Label { image, label: label.to_owned() });
    }
    Ok(contexts)
}

/// What the template is given.
#[derive(Serialize)]
struct Pool {
    slots: Vec<Slot>,
    kinds: Vec<Kind>,
    digits: Vec<Digit>,
}

/// A slot's names.
#[derive(Serialize)]
struct Slot {
    id: String,
    port: u16,
    last_port: u16,
}

/// One type of every slot belongs to this set. Lists are joined here: the template engine would take seconds.
#[derive(Serialize)]
struct Kind {
    set: &'static str,
    types: String,
}

/// All types of the slots whose number has a zero or a one as this binary digit.
#[derive(Serialize)]
struct Digit {
    digit: u32,
    zeros: String,
    ones: String,
}

/// The types of a slot by the end of their names, and the sets that each belongs to.
const TYPES: [(&str, &[&str]); 7] = [
    ("t", &["domain", "tenant_domain"]),
    ("install_t", &["domain", "install_domain"]),
    ("code_t", &["slot_code"]),
    ("data_t", &["slot_data"]),
    ("tmp_t", &["slot_tmp"]),
    ("log_t", &["slot_log"]),
    ("port_t", &["slot_port"]),
];

fn expand(slots: u16) -> Result<String, RenderError> {
    let pool: Vec<SlotId> = SlotId::pool(slots).collect();
    let kinds = TYPES.iter().flat_map(|(end, sets)| {
        let types = joined(pool.iter().map(|slot| format!("tenant{slot}_{end}")));
        sets.iter().map(move |set| Kind { set, types: types.clone() })
    });
    let having = |digit: u32, value: u16| {
        let slots = pool.iter().filter(move |slot| slot.index() >> digit & 1 == value);
        joined(slots.flat_map(|slot| TYPES.iter().map(move |(end, _)| format!("tenant{slot}_{end}"))))
    };
    // The digits that the largest number has; a pool of one slot has nobody to be kept from.
    let digits = (0..u16::BITS - (slots - 1).leading_zeros()).map(|digit| Digit {
        digit,
        zeros: having(digit, 0),
        ones: having(digit, 1),
    });
    let data = Pool {
        slots: pool
            .iter()
            .map(|slot| Slot { id: slot.to_string(), port: slot.port(), last_port: slot.last_port() })
            .collect(),
        kinds: kinds.collect(),
        digits: digits.collect(),
    };
    let mut engine = Handlebars::new();
    engine.register_escape_fn(no_escape);
    engine.set_strict_mode(true);
    engine.render_template(SLOT_TEMPLATE, &data).map_err(|e| RenderError::Template(Box::new(e)))
}

fn joined(names: impl Iterator<Item = String>) -> String {
    let mut list = String::new();
    for name in names {
        if !list.is_empty() {
            list.push(' ');
        }
        list.push_str(&name);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::{labels, services, slot::FileKind};

    #[test]
    fn every_source_in_the_folder_is_compiled() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/cil")).unwrap();
        let mut there: Vec<String> = folder.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        let mut known: Vec<String> =
            SOURCES.iter().chain([&NEVER]).map(|(name, _)| (*name).to_owned()).collect();
        // A proof image's addition: see `proof_image`.
        known.extend([format!("{SLOTS}.hbs"), "proof.cil".to_owned()]);
        there.sort();
        known.sort();
        assert_eq!(there, known);
    }

    #[test]
    fn the_types_that_init_and_the_services_table_name_exist() {
        let rendered = render(1, &[]).unwrap();
        let types = declared_types(&rendered.cil).unwrap();
        let mut named = vec![labels::RUN, labels::RESOLV, labels::SLOT_DEV, labels::DATA, labels::CONTROL_DATA];
        named.extend([labels::PUBLIC_DEVICE, labels::CONSOLE, labels::DATA_DISK, labels::SWAP_DISK]);
        named.extend(labels::DEVICES.map(|(_, label)| label));
        let domains: Vec<String> = services::standard().into_iter().map(|s| s.domain).collect();
        named.extend(domains.iter().map(String::as_str));
        let slot = SlotId::new(0).unwrap();
        let contexts = [slot.run_context(false), slot.install_context()].into_iter();
        let contexts: Vec<String> = contexts.chain(FileKind::ALL.map(|kind| slot.file_context(kind))).collect();
        named.extend(contexts.iter().filter_map(|c| c.rsplit(':').next()));
        for name in named {
            assert!(types.contains(name), "{name}");
        }
    }

    #[test]
    fn a_pool_has_a_sensible_size() {
        assert!(matches!(render(0, &[]), Err(RenderError::Pool(0))));
        assert!(matches!(render(MAX_SLOTS + 1, &[]), Err(RenderError::Pool(_))));
    }

    #[test]
    fn rendering_repeats() {
        let (a, b) = (render(5, &[]).unwrap(), render(5, &[]).unwrap());
        assert_eq!(a.cil, b.cil);
    }

    #[test]
    fn an_extra_may_label_with_its_own_types_only() {
        let extra = Extra {
            name: "probe".into(),
            cil: "(type probe_exec_t)".into(),
            host_contexts: "/usr/bin/probe -- system_u:object_r:probe_exec_t".into(),
            ..Extra::default()
        };
        let rendered = render(1, std::slice::from_ref(&extra)).unwrap();
        let label = rendered.host.label("/usr/bin/probe", crate::FileType::Regular);
        assert_eq!(label, Some("system_u:object_r:probe_exec_t"));
        let wrong = Extra { cil: String::new(), ..extra.clone() };
        assert!(matches!(render(1, &[wrong]), Err(RenderError::Label { image: "host", .. })));
        let taken = Extra { name: "init".into(), ..extra };
        assert!(matches!(render(1, &[taken]), Err(RenderError::Name(_))));
    }

    #[test]
    fn the_image_is_labelled_by_what_files_are_for() {
        let rendered = render(1, &[]).unwrap();
        let host = |path| rendered.host.label(path, crate::FileType::Regular).unwrap();
        assert_eq!(host("/usr/sbin/kennel-init"), "system_u:object_r:init_exec_t");
        assert_eq!(host("/usr/sbin/xtables-nft-multi"), "system_u:object_r:iptables_exec_t");
        assert_eq!(host("/usr/sbin/e2fsck"), "system_u:object_r:fsck_exec_t");
        assert_eq!(host("/usr/sbin/debugfs"), "system_u:object_r:root_t");
        assert_eq!(host("/usr/lib/x86_64-linux-gnu/libc.so.6"), "system_u:object_r:lib_t");
        assert_eq!(host("/usr/lib/modules/6.12/kernel/fs/ext4.ko.xz"), "system_u:object_r:modules_t");
        assert_eq!(host("/usr/lib/kennel/policy.33"), "system_u:object_r:policy_t");
        assert_eq!(host("/usr/lib/kennel/runtimes/node-24.erofs"), "system_u:object_r:runtime_image_t");
        assert_eq!(host("/usr/lib/kennel/services.json"), "system_u:object_r:root_t");
        assert_eq!(rendered.host.label("/", crate::FileType::Directory), Some("system_u:object_r:root_t"));
        let runtime = |path| rendered.runtime.label(path, crate::FileType::Regular).unwrap();
        assert_eq!(runtime("/usr/bin/node"), "system_u:object_r:runtime_exec_t");
        assert_eq!(runtime("/usr/lib64/ld-linux-x86-64.so.2"), "system_u:object_r:runtime_t");
    }
}
