//! The helper is this program under another name, `git-remote-kennel`, where git looks for it: in PATH. So a link is enough, and
//! here it is made.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::GitError;
use crate::exit::FileError;

/// What git calls for `kennel::` and `kennel://`.
pub const HELPER: &str = "git-remote-kennel";

/// Where the helper is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Installed {
    /// The link.
    pub link: PathBuf,
    /// It was not there before.
    pub made: bool,
    /// Git will find it.
    pub in_path: bool,
}

/// Whether this program was called as the helper.
pub fn is_helper(called: Option<&OsStr>) -> bool {
    called.and_then(|called| Path::new(called).file_name()).is_some_and(|name| name == HELPER)
}

/// Makes the link, if git would not find one.
///
/// # Errors
/// Another program has its name, or the link cannot be made.
pub fn install() -> Result<Installed, GitError> {
    let own = std::env::current_exe().and_then(|own| own.canonicalize());
    let own = own.map_err(|e| FileError::at("find", Path::new("this program"))(e))?;
    install_in(&own, std::env::var_os("PATH").as_deref())
}

fn install_in(own: &Path, path: Option<&OsStr>) -> Result<Installed, GitError> {
    let folders: Vec<PathBuf> = path.map(std::env::split_paths).into_iter().flatten().collect();
    let leads_here = |at: &Path| at.canonicalize().is_ok_and(|real| real == own);
    if let Some(link) = folders.iter().map(|folder| folder.join(HELPER)).find(|link| link.exists()) {
        return match leads_here(&link) {
            true => Ok(Installed { link, made: false, in_path: true }),
            false => Err(GitError::Another(link)),
        };
    }
    let name = own.file_name().unwrap_or_else(|| OsStr::new("kennel"));
    // Beside the name by which the person calls it, which may be a link as well.
    let known = folders.iter().map(|folder| folder.join(name)).find(|at| leads_here(at));
    let in_path = known.is_some();
    let beside = known.unwrap_or_else(|| own.to_owned());
    let link = beside.with_file_name(HELPER);
    if leads_here(&link) {
        return Ok(Installed { link, made: false, in_path });
    }
    match make(&link, name.to_owned()) {
        Ok(()) => Ok(Installed { link, made: true, in_path }),
        Err(cause) => Err(GitError::NoLink { link, to: beside, cause }),
    }
}

fn make(link: &Path, to: OsString) -> io::Result<()> {
    // One that leads nowhere is in the way.
    if link.is_symlink() && !link.exists() {
        std::fs::remove_file(link)?;
    }
    symlink(to, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        for (called, expected) in
            [("git-remote-kennel", true), ("/usr/bin/git-remote-kennel", true), ("kennel", false), ("", false)]
        {
            assert_eq!(is_helper(Some(OsStr::new(called))), expected, "{called}");
        }
        assert!(!is_helper(None));
    }

    #[test]
    fn the_link_is_beside_the_name_that_is_called_and_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let [build, bin] = ["build", "bin"].map(|name| root.join(name));
        for folder in [&build, &bin] {
            std::fs::create_dir(folder).unwrap();
        }
        let own = build.join("kennel");
        std::fs::write(&own, "").unwrap();
        let path = std::env::join_paths([&root, &bin]).unwrap();
        let beside = install_in(&own, Some(&path)).unwrap();
        assert_eq!(beside, Installed { link: build.join(HELPER), made: true, in_path: false });
        assert!(!install_in(&own, Some(&path)).unwrap().made);
        symlink(&own, bin.join("kennel")).unwrap();
        symlink("nowhere", bin.join(HELPER)).unwrap();
        let made = install_in(&own, Some(&path)).unwrap();
        assert_eq!(made, Installed { link: bin.join(HELPER), made: true, in_path: true });
        assert_eq!(bin.join(HELPER).canonicalize().unwrap(), own);
        assert!(!install_in(&own, Some(&path)).unwrap().made);
        std::fs::write(root.join(HELPER), "").unwrap();
        assert!(matches!(install_in(&own, Some(&path)), Err(GitError::Another(at)) if at == root.join(HELPER)));
    }
}
