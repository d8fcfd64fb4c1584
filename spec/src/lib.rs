//! The image's two documents: `kennel.toml`, what a person wants in it, and `kennel.lock`, every file that it is made of.
//! Reads, checks, writes and explains them. Which packages a spec leads to, and what becomes of them, is the builder's
//! business; this crate knows neither network nor disk image, so that both documents can be fuzzed without them.

pub mod digest;
pub mod lock;
pub mod spec;

pub use digest::Sha256;
pub use lock::Lock;
pub use spec::Spec;
