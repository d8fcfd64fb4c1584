//! From `kennel.toml` and `kennel.lock` to a disk image, without root and without running a maintainer script.
//! `packages` knows Debian and npm (what to take, verified and fetched); `image` knows the disk (tree, labels, EROFS,
//! verity, UKI, GPT). Both speak through `spec` and `lock` (a crate of their own) and `store`; `steps` narrates. What
//! boots the result is cli's.

pub mod image;
pub mod packages;
pub mod steps;
pub mod store;

pub use kennel_spec::{Lock, Sha256, Spec, digest, lock, spec};
pub use steps::Steps;
pub use store::Store;
