//! Names inside a release: the only way from the archive's bytes to a path that is handed to the kernel.

use crate::error::Fault;
use crate::{MAX_DEPTH, MAX_NAME_BYTES, MAX_PATH_BYTES};

/// A checked path inside the release: relative, without `.`, `..` or empty parts; empty for the release itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryName(String);

impl EntryName {
    /// Checks and normalises `raw` (`./a//b/` becomes `a/b`).
    ///
    /// # Errors
    /// [`Fault`] says what is not allowed.
    pub fn new(raw: &[u8]) -> Result<Self, Fault> {
        if raw.is_empty() {
            return Err(Fault::EmptyName);
        }
        if raw.len() > MAX_PATH_BYTES {
            return Err(Fault::LongPath);
        }
        if raw.contains(&0) {
            return Err(Fault::Nul);
        }
        let text = std::str::from_utf8(raw).map_err(|_| Fault::NotUtf8)?;
        if text.starts_with('/') {
            return Err(Fault::Absolute);
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.contains(&"..") {
            return Err(Fault::DotDot);
        }
        if parts.iter().any(|part| part.len() > MAX_NAME_BYTES) {
            return Err(Fault::LongName);
        }
        if parts.len() > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        Ok(Self(parts.join("/")))
    }

    /// The path, relative to the release.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the release's own folder.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder that it lies in (empty for the release) and its name there.
    pub fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }

    /// Checks a symbolic link's target by its text alone: relative, and no `..` that climbs out of the release.
    /// A link on the way can still lead it elsewhere, so that it is resolved too once everything is unpacked.
    ///
    /// # Errors
    /// [`Fault::BadTarget`] or [`Fault::LinkLeaves`].
    pub fn check_target(&self, raw: &[u8]) -> Result<String, Fault> {
        let target = std::str::from_utf8(raw).map_err(|_| Fault::BadTarget)?;
        if target.is_empty() || target.len() > MAX_PATH_BYTES || target.contains('\0') {
            return Err(Fault::BadTarget);
        }
        let leaves = || Fault::LinkLeaves(target.chars().take(200).collect());
        if target.starts_with('/') {
            return Err(leaves());
        }
        let mut depth = self.0.split('/').count() - 1;
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => depth = depth.checked_sub(1).ok_or_else(leaves)?,
                _ => depth += 1,
            }
        }
        Ok(target.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_names_are_normalised() {
        for (raw, name) in [("a", "a"), ("./a//b/", "a/b"), ("./", ""), (".", ""), ("..a/b..", "..a/b..")] {
            assert_eq!(EntryName::new(raw.as_bytes()).unwrap().as_str(), name);
        }
    }

    #[test]
    fn bad_names_are_named() {
        let fault = |raw: &[u8]| EntryName::new(raw).unwrap_err();
        assert_eq!(fault(b""), Fault::EmptyName);
        assert_eq!(fault(b"/etc/passwd"), Fault::Absolute);
        assert_eq!(fault(b"a/../b"), Fault::DotDot);
        assert_eq!(fault(b".."), Fault::DotDot);
        assert_eq!(fault(b"a\0b"), Fault::Nul);
        assert_eq!(fault(b"a\xff"), Fault::NotUtf8);
        assert_eq!(fault("x".repeat(256).as_bytes()), Fault::LongName);
        assert_eq!(fault("x/".repeat(65).as_bytes()), Fault::TooDeep);
        assert_eq!(fault("x".repeat(4000).as_bytes()), Fault::LongPath);
    }

    #[test]
    fn targets_stay_inside() {
        let name = EntryName::new(b"a/b/link").unwrap();
        for good in ["x", "../x", "../../x", "../..", "./../b/x", "x/../y"] {
            assert!(name.check_target(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["../../..", "/x", "../../../a", "x/../../../../y"] {
            assert!(matches!(name.check_target(bad.as_bytes()), Err(Fault::LinkLeaves(_))), "{bad}");
        }
        for bad in [&b""[..], b"a\0b", b"\xff"] {
            assert_eq!(name.check_target(bad), Err(Fault::BadTarget));
        }
    }

    proptest! {
        #[test]
        fn a_checked_name_never_climbs(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(name) = EntryName::new(&raw) {
                prop_assert!(!name.as_str().starts_with('/'));
                prop_assert!(name.is_root() || name.as_str().split('/').all(|p| !matches!(p, "" | "." | "..")));
            }
        }
    }
}
