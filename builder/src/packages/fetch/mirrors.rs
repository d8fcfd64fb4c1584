//! Where the registries are: `kennel.toml` says it, the environment may say otherwise on this computer. Mirrors are no
//! part of the lock: whatever the mirror, the files must be the same.

use crate::lock::Origin;
use crate::spec::Debian;

const NPM: &str = "https://registry.npmjs.org";

/// One base URL per registry, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    debian: String,
    debian_security: String,
    npm: String,
}

impl Mirrors {
    /// The spec's mirrors, or those of `KENNEL_MIRROR`, `KENNEL_SECURITY_MIRROR` and `KENNEL_NPM_REGISTRY`.
    pub fn new(spec: &Debian) -> Self {
        Self::with(spec, |name| std::env::var(name).ok())
    }

    /// The spec's mirrors, whatever the environment says.
    pub fn official(spec: &Debian) -> Self {
        Self::with(spec, |_| None)
    }

    fn with(spec: &Debian, variable: impl Fn(&str) -> Option<String>) -> Self {
        let choose = |name, otherwise: &str| {
            let chosen = variable(name).filter(|url| !url.is_empty()).unwrap_or_else(|| otherwise.to_owned());
            chosen.trim_end_matches('/').to_owned()
        };
        Self {
            debian: choose("KENNEL_MIRROR", &spec.mirror),
            debian_security: choose("KENNEL_SECURITY_MIRROR", &spec.security_mirror),
            npm: choose("KENNEL_NPM_REGISTRY", NPM),
        }
    }

    /// All registries below one address.
    #[cfg(test)]
    pub(crate) fn all_at(base: &str) -> Self {
        let below = |name| format!("{base}/{name}");
        Self { debian: below("debian"), debian_security: below("debian-security"), npm: below("npm") }
    }

    /// Base URL of a registry.
    pub fn base(&self, origin: Origin) -> &str {
        match origin {
            Origin::Debian => &self.debian,
            Origin::DebianSecurity => &self.debian_security,
            Origin::Npm => &self.npm,
        }
    }

    /// URL of a path below a registry. `+` and `~` and whatever else Debian's names hold need no escape.
    pub fn url(&self, origin: Origin, path: &str) -> String {
        format!("{}/{}", self.base(origin), path.trim_start_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_and_slashes_do_not_matter() {
        let spec = Debian { mirror: "http://a/debian/".into(), ..Debian::default() };
        let plain = Mirrors::with(&spec, |_| None);
        assert_eq!(plain.url(Origin::Debian, "pool/x.deb"), "http://a/debian/pool/x.deb");
        assert_eq!(plain.url(Origin::Npm, "/node"), "https://registry.npmjs.org/node");
        let set = Mirrors::with(&spec, |name| (name == "KENNEL_MIRROR").then(|| "http://b/".into()));
        assert_eq!(set.url(Origin::Debian, "pool/x.deb"), "http://b/pool/x.deb");
        assert_eq!(set.base(Origin::DebianSecurity), plain.base(Origin::DebianSecurity));
        let empty = Mirrors::with(&spec, |_| Some(String::new()));
        assert_eq!(empty, plain);
    }
}
