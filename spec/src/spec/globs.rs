//! Lists of path patterns, as in `keep = ["/usr/sbin/mke2fs", "/usr/lib/**/*.so*"]`.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::de::{Deserialize, Deserializer, Error};

/// Patterns of absolute paths: `*` and `?` stay within a folder, `**` goes through folders. A folder that matches
/// takes everything below it along.
#[derive(Debug, Clone, Default)]
pub struct Globs {
    patterns: Vec<String>,
    set: GlobSet,
}

impl Globs {
    /// Compiles patterns.
    ///
    /// # Errors
    /// Names the pattern that is malformed or not absolute.
    pub fn new(patterns: Vec<String>) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        for pattern in &patterns {
            if !pattern.starts_with('/') {
                return Err(format!("pattern {pattern:?} must begin with /"));
            }
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            set.add(glob.map_err(|error| format!("pattern {pattern:?}: {}", error.kind()))?);
        }
        let set = set.build().map_err(|error| error.to_string())?;
        Ok(Self { patterns, set })
    }

    /// Whether the absolute path, or a folder above it, matches.
    pub fn matches(&self, path: &Path) -> bool {
        path.ancestors().any(|path| self.set.is_match(path))
    }

    /// The patterns as written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

/// Whether a tree with this `keep` and `drop` takes a path.
pub(super) fn takes(keep: Option<&Globs>, drop: &Globs, path: &Path) -> bool {
    keep.is_none_or(|keep| keep.matches(path)) && !drop.matches(path)
}

impl<'de> Deserialize<'de> for Globs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_takes_what_is_below_and_a_star_stays_within_it() {
        let globs = Globs::new(vec!["/usr/share/doc".into(), "/usr/*/x".into(), "/lib/**/*.a".into()]).unwrap();
        for path in ["/usr/share/doc", "/usr/share/doc/a/b", "/usr/lib/x/y", "/lib/a.a", "/lib/b/c/a.a"] {
            assert!(globs.matches(Path::new(path)), "{path}");
        }
        for path in ["/usr/share/docs", "/usr/a/b/x", "/usr/share", "/lib/a.ab"] {
            assert!(!globs.matches(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn keep_takes_nothing_else_and_drop_wins() {
        let globs = |pattern: &str| Globs::new(vec![pattern.to_owned()]).unwrap();
        let (keep, drop) = (globs("/usr/lib"), globs("/usr/lib/gconv"));
        let taken = |keep, path: &str| takes(keep, &drop, Path::new(path));
        assert!(taken(Some(&keep), "/usr/lib/libc.so.6") && taken(None, "/etc/x"));
        assert!(!taken(Some(&keep), "/etc/x"));
        assert!(!taken(Some(&keep), "/usr/lib/gconv/x.so") && !taken(None, "/usr/lib/gconv/x.so"));
    }

    #[test]
    fn a_relative_or_broken_pattern_is_named() {
        assert_eq!(Globs::new(vec!["usr".into()]).unwrap_err(), "pattern \"usr\" must begin with /");
        assert!(Globs::new(vec!["/a[".into()]).unwrap_err().starts_with("pattern \"/a[\": "));
    }
}
