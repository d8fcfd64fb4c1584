//! The disk image. [`Build`] goes through the steps: packages are unpacked (`unpack`, `sources`, `merge`), become trees
//! (`tree`) for runtimes (`runtime`) and host (`host`, `etc`, `guests`, `modules`), are judged (`lint`), labelled (`labels`)
//! and packed (`erofs`), sealed (`verity`), tied to a boot program (`initramfs`, `uki`, `boot`) and written (`fat`, `disk`,
//! `output`), with documents that say what it all is (`documents`, `manifest`, `sbom`). Fetching packages is `packages`' business.

mod boot;
mod build;
mod bytecode;
mod cache;
mod content;
mod cpio;
mod crates;
mod disk;
mod documents;
mod erofs;
mod error;
mod etc;
mod fat;
mod flavour;
mod guests;
mod host;
mod initramfs;
mod labels;
mod lint;
mod manifest;
mod merge;
mod modules;
mod output;
mod policy;
mod runtime;
mod sbom;
mod sources;
mod tools;
mod tree;
mod uki;
mod unpack;
mod verity;

pub use build::{Build, Built};
pub use cache::Cache;
pub use content::Content;
pub use error::BuildError;
pub use flavour::Flavour;
pub use lint::{Finding, lint, lint_runtime};
pub use tree::{Kind, Node, Tree, TreeError};
