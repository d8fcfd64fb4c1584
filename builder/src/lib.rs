//! From `kennel.toml` and `kennel.lock` to a disk image, without root and without running a maintainer script.
//! `packages` knows Debian and npm (what to take, verified and fetched); `image` knows the disk (tree, labels, EROFS,
//! verity, UKI, GPT). Both speak through `spec`, `lock` and `store`; `steps` narrates. What boots the result is cli's.

pub mod digest;
pub mod image;
pub mod lock;
pub mod packages;
pub mod spec;
pub mod steps;
pub mod store;

pub use digest::Sha256;
pub use lock::Lock;
pub use spec::Spec;
pub use steps::Steps;
pub use store::Store;
