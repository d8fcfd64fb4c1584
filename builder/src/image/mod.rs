//! The disk image: trees, labels, EROFS, verity, UKI, GPT.

pub mod cpio;
pub mod fat;
pub mod uki;
pub mod verity;
