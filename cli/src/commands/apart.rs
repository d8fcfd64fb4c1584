//! Commands that are programs of their own, run as git runs its subcommands: what they need is too big for everyone's build.
//! They take this program's place, with its terminal and its exit code.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Global;
use crate::exit::{Explain, Failure};

/// Why such a program did not run.
#[derive(Debug, thiserror::Error)]
enum NotRun {
    /// Nobody has built it.
    #[error("{name} is not there: neither beside `kennel` nor in PATH")]
    Missing {
        /// The program.
        name: &'static str,
        /// The command that builds it.
        build: &'static str,
    },
    /// The system said no.
    #[error("cannot run {}: {cause}", path.display())]
    Failed {
        /// The program.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
}

impl Explain for NotRun {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { build, .. } => {
                Some(format!("`{build}` in Kennel's source builds it (about ten minutes, the first time)"))
            }
            Self::Failed { .. } => None,
        }
    }

    fn code(&self) -> String {
        "not-installed".to_owned()
    }
}

/// Becomes `kennel-ami`, which knows AWS.
///
/// # Errors
/// When it is not there, with the command that builds it.
pub(super) fn ami(global: &Global, words: &[&str], arguments: &[OsString]) -> Result<(), Failure> {
    let (name, build) = ("kennel-ami", "make ami");
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent);
    let path =
        find(name, beside, std::env::var_os("PATH").as_deref()).ok_or(NotRun::Missing { name, build })?;
    let mut command = Command::new(&path);
    for (option, given) in [("--json", global.json), ("--quiet", global.quiet)] {
        if given {
            command.arg(option);
        }
    }
    Err(NotRun::Failed { path, cause: command.args(words).args(arguments).exec() }.into())
}

/// Looks beside this program first: that one is of the same build.
fn find(name: &str, beside: Option<&Path>, path: Option<&OsStr>) -> Option<PathBuf> {
    let folders = path.map(std::env::split_paths).into_iter().flatten();
    // An empty entry would mean whatever folder a person happens to be in.
    let folders = folders.filter(|folder| folder.is_absolute());
    beside
        .map(Path::to_owned)
        .into_iter()
        .chain(folders)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_beside_comes_first_then_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let [beside, first, second] = ["beside", "first", "second"].map(|name| folder.path().join(name));
        for place in [&beside, &first, &second] {
            std::fs::create_dir(place).unwrap();
        }
        let path = std::env::join_paths([Path::new(""), &first, &second]).unwrap();
        let find = || find("kennel-x", Some(&beside), Some(&path));
        assert_eq!(find(), None);
        for place in [&second, &first, &beside] {
            std::fs::write(place.join("kennel-x"), "").unwrap();
            assert_eq!(find(), Some(place.join("kennel-x")));
        }
    }

    #[test]
    fn without_it_the_hint_is_the_command_that_builds_it() {
        let failure = Failure::from(NotRun::Missing { name: "kennel-ami", build: "make ami" });
        assert!(failure.message.contains("kennel-ami") && failure.hint.unwrap().contains("`make ami`"));
    }
}
