//! A commit of a repository elsewhere, as `kennel deploy blog https://example.org/blog.git#v2` names it: git fetches that one commit
//! with the keys and helpers that the person has, and writes it out as it does one that is pushed.

use std::fmt;
use std::fs;
use std::path::Path;

use kennel_model::api::Source;

use super::{GitError, Repository, Tree};
use crate::exit::FileError;
use crate::ui::SafeLines;

/// What is meant where nothing is named.
const HEAD: &str = "HEAD";

/// A repository, and what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    url: String,
    /// A branch, a tag, or all digits of a commit.
    name: String,
}

/// What was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// Its files.
    pub tree: Tree,
    /// Which commit that is.
    pub source: Source,
}

impl Remote {
    /// What is meant by an argument, if that is neither a file nor a folder: what git takes for an address, or a folder here, with `#`
    /// and a name behind it.
    pub fn of(argument: &Path) -> Option<Self> {
        if argument.symlink_metadata().is_ok() {
            return None;
        }
        let text = argument.to_str()?;
        let (url, name) = text.rsplit_once('#').unwrap_or((text, ""));
        let name = if name.is_empty() { HEAD } else { name }.to_owned();
        let here = Path::new(url);
        if here.is_dir() {
            let url = here.canonicalize().ok()?.to_str()?.to_owned();
            return Some(Self { url, name });
        }
        // As git-fetch(1), "GIT URLS", has it: HOST:PATH is one if no slash is before the colon.
        let host = url.split_once(':').map(|(host, _)| host);
        let is_address = host.is_some_and(|host| !host.is_empty() && !host.contains('/'));
        is_address.then(|| Self { url: url.to_owned(), name })
    }

    /// Fetches the commit and writes out its files; nothing else of the repository.
    ///
    /// # Errors
    /// [`GitError::NotFetched`] has git's own words; and others.
    pub fn fetch(&self) -> Result<Fetched, GitError> {
        let temporary = std::env::temp_dir();
        let place = tempfile::Builder::new().prefix("kennel-fetch-").tempdir();
        let place = place.map_err(|e| FileError::at("write", &temporary)(e))?;
        let repository = Repository::at(place.path().join("repository"));
        let asked =
            ["--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", "origin", &self.name];
        repository.run("init", &["--bare", "--quiet"])?;
        // As a remote with a name, since filters such as that of Git LFS ask for it.
        repository.run("config", &["remote.origin.url", &self.url])?;
        repository.run("fetch", &asked).map_err(|error| match error {
            GitError::Git { said, .. } => GitError::NotFetched { from: self.to_string(), said: plain(&said) },
            other => other,
        })?;
        let commit = repository.commit("FETCH_HEAD")?;
        let noted = place.path().join("repository/FETCH_HEAD");
        let noted = fs::read_to_string(&noted).map_err(|e| FileError::at("read", &noted)(e))?;
        let tree = repository.check_out(&commit)?;
        Ok(Fetched {
            tree,
            source: Source { commit, name: full_name(&noted).and_then(|name| name.parse().ok()) },
        })
    }
}

/// Without a password that is in the address.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) =
            self.url.split_once("://").map_or(("", &*self.url), |(scheme, rest)| (scheme, rest));
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        match authority.rsplit_once('@') {
            Some((_, host)) if !scheme.is_empty() => write!(f, "{scheme}://{host}{path}")?,
            _ => f.write_str(&self.url)?,
        }
        if self.name == HEAD { Ok(()) } else { write!(f, "#{}", self.name) }
    }
}

/// The ref that was fetched, from what git notes in `FETCH_HEAD`; nothing where it was asked for a commit or for `HEAD`.
fn full_name(noted: &str) -> Option<String> {
    let (_, about) = noted.lines().next()?.rsplit_once('\t')?;
    let (kind, rest) = about.split_once(" '")?;
    let (name, _) = rest.split_once("' of ")?;
    match kind {
        "branch" => Some(format!("refs/heads/{name}")),
        "tag" => Some(format!("refs/tags/{name}")),
        _ => None,
    }
}

/// What git says may be the words of another's server.
fn plain(said: &str) -> String {
    let lines = SafeLines::new(false).push(format!("{said}\n").as_bytes());
    let lines: Vec<&str> = lines.iter().map(|line| line.strip_prefix("fatal: ").unwrap_or(line)).collect();
    lines.join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_a_path_and_what_git_takes_for_an_address_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("a#b")).unwrap();
        let of = |text: &str| Remote::of(Path::new(text)).map(|remote| (remote.url, remote.name));
        let at = |name: &str| root.join(name).display().to_string();
        let is = |url: &str, name: &str| Some((url.to_owned(), name.to_owned()));
        for (text, expected) in [
            (at(""), None),
            (at("a#b"), None),
            (at("absent"), None),
            (at("absent#main"), None),
            (at("a#b#main"), is(&at("a#b"), "main")),
            (format!("{}#", root.display()), is(&root.display().to_string(), "HEAD")),
            ("https://example.org/x.git".to_owned(), is("https://example.org/x.git", "HEAD")),
            ("https://example.org/x#fix/1".to_owned(), is("https://example.org/x", "fix/1")),
            ("git@example.org:me/x#v2".to_owned(), is("git@example.org:me/x", "v2")),
            ("./absent:x".to_owned(), None),
            (":x".to_owned(), None),
            ("absent".to_owned(), None),
        ] {
            assert_eq!(of(&text), expected, "{text}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (text, shown) in [
            ("https://me:secret@example.org/x.git#v2", "https://example.org/x.git#v2"),
            ("https://example.org/a@b", "https://example.org/a@b"),
            ("git@example.org:x", "git@example.org:x"),
        ] {
            assert_eq!(Remote::of(Path::new(text)).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn the_ref_is_what_git_notes() {
        let noted = |about: &str| full_name(&format!("0a0b\t\t{about}\n"));
        assert_eq!(noted("branch 'fix/1' of https://example.org/x").as_deref(), Some("refs/heads/fix/1"));
        assert_eq!(noted("tag 'v1' of /srv/x").as_deref(), Some("refs/tags/v1"));
        assert_eq!(noted("https://example.org/x"), None);
        assert_eq!(noted("'0a0b' of https://example.org/x"), None);
        assert_eq!(full_name(""), None);
    }
}
