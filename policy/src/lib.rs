//! The host's SELinux policy: renders the CIL sources under `policy/cil` for a pool of slots, has them compiled,
//! labels the files of an image, and says in words which domain may reach what.
//!
//! The steps, in the order in which the image builder takes them:
//!
//! 1. [`render()`] expands the slot template for every slot and gathers the sources and the file contexts.
//! 2. [`compile()`] runs `secilc`, which refuses to build a policy that breaks one of the `neverallow`s.
//! 3. [`Contexts::label`] gives the label of each path of the root image and of the runtime images.
//! 4. [`isolation::check()`] holds the policy's claims against the table of forbidden acts, and [`prove()`] shows that no
//!    rule, and no chain of rules, leads from one slot to another.
//! 5. [`report()`] says what the rules add up to.
//!
//! Loading the policy is init's business; where `secilc` comes from is the builder's.

mod cil;
mod compile;
mod contexts;
pub mod docs;
pub mod isolation;
pub mod proof;
mod proof_image;
mod render;
mod report;
mod rules;

pub use cil::BadCil;
pub use compile::{CompileError, Compiled, POLICY_VERSION, compile};
pub use contexts::{BadContexts, Contexts, FileType};
pub use proof::{NotProved, Proof, prove};
pub use proof_image::proof_image;
pub use render::{CilFile, Extra, RenderError, Rendered, render};
pub use report::{Access, Act, DomainAccess, DomainReport, Report, access, report};
pub use rules::Unread;
