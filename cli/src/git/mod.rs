//! `git push` to a host: git calls this program as `git-remote-kennel` and speaks gitremote-helpers(7) with it (`talk`).
//! What is pushed is written out by git itself (`repository`) and then sent as any folder is; no host reads a pack. So is what is
//! fetched for a deploy (`remote`).
//! Which branch is deployed how is decided here (`refs`), deploying is `commands`' work.

mod address;
mod program;
mod refs;
mod remote;
mod repository;
mod talk;

use std::io;
use std::path::PathBuf;

use crate::exit::{Exit, Explain, FileError};

pub use address::{Address, InvalidAddress};
pub use program::{HELPER, Installed, install, is_helper};
pub use refs::{Place, Refused, place};
pub use remote::{Fetched, Remote};
pub use repository::{Repository, Tree};
pub use talk::{Ask, Push, Talk};

/// Why something about git went wrong.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// A person has called the helper.
    #[error("this is the part of kennel that git calls")]
    NotByGit,
    /// There is no git.
    #[error("cannot run git: {0}")]
    NoGit(#[source] io::Error),
    /// Git did not do what it was asked.
    #[error("git {what} failed: {said}")]
    Git {
        /// Its command.
        what: &'static str,
        /// Its words, or how it ended.
        said: String,
    },
    /// No such repository or ref, or no way to it.
    #[error("cannot fetch {from}: {said}")]
    NotFetched {
        /// From where, and what.
        from: String,
        /// Git's words.
        said: String,
    },
    /// It is a tree or a file.
    #[error("{0} is no commit")]
    NoCommit(String),
    /// Files that another repository has.
    #[error("{} is a submodule, and its files are not in the commit", .0.display())]
    Submodule(PathBuf),
    /// Somebody fetches, pulls or clones.
    #[error("nothing can be fetched from a host: it keeps releases, and no history")]
    NothingToFetch,
    /// Not the protocol that is known here.
    #[error("git asks for what is not known here: {0}")]
    Unknown(String),
    /// A remote of that name leads elsewhere.
    #[error("the remote {name} is there, and leads to {url}")]
    Taken {
        /// Its name.
        name: String,
        /// Where it leads.
        url: String,
        /// Where it was to lead.
        wanted: String,
    },
    /// Another program of the helper's name comes first.
    #[error("git would run {}, which is not this kennel", .0.display())]
    Another(PathBuf),
    /// The link to this program could not be made.
    #[error("cannot make {}: {cause}", link.display())]
    NoLink {
        /// Where it was to be.
        link: PathBuf,
        /// What it was to lead to.
        to: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The pipes to git.
    #[error("the connection to git broke: {0}")]
    Pipe(#[source] io::Error),
    /// The folder for what is pushed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The remote's address makes no sense.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
}

impl Explain for GitError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotByGit => Some("`kennel git setup TENANT`, then `git push kennel main`".to_owned()),
            Self::NoGit(_) => Some("install git".to_owned()),
            Self::NotFetched { .. } => {
                Some("what `git fetch` reads is read; behind # goes a branch, a tag or all digits of a commit".to_owned())
            }
            Self::Submodule(_) => Some(
                "`kennel deploy TENANT .` sends a folder with its submodules; or name it in a .kennelignore file"
                    .to_owned(),
            ),
            Self::NothingToFetch => {
                Some("fetch from where the repository is kept; `kennel releases` says which commits were deployed".to_owned())
            }
            Self::Taken { name, wanted, .. } => {
                Some(format!("`git remote set-url {name} {wanted}` changes it; --remote chooses another name"))
            }
            Self::Another(_) => Some("remove it, or have this kennel's folder come first in PATH".to_owned()),
            Self::NoLink { link, to, .. } => {
                Some(format!("as root: ln -s {} {}", to.display(), link.display()))
            }
            Self::Address(_) => Some("expected kennel::TENANT, or kennel://HOST/TENANT with a host of `kennel host ls`".to_owned()),
            Self::Git { .. } | Self::NoCommit(_) | Self::Unknown(_) | Self::Pipe(_) | Self::File(_) => None,
        }
    }

    fn code(&self) -> String {
        "git".to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotByGit => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}
