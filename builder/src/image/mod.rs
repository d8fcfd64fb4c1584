//! The disk image: tree, labels, EROFS, verity, UKI, GPT, manifest.
