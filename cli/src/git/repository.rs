//! The repository that git pushes from, through git itself: which commit is meant, and its files in a folder of their own. The
//! person's index, working tree and hooks have no part in it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kennel_model::CommitId;
use tempfile::TempDir;

use super::GitError;
use crate::deploy::{Plan, pointers};
use crate::exit::FileError;

/// What the person may have set for a working tree, and what has no sense for one that nobody works in.
const SETTINGS: [&str; 7] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "core.sparseCheckout=false",
    "index.sparse=false",
    "core.autocrlf=false",
    "core.symlinks=true",
];
/// The kind of a submodule in an index.
const SUBMODULE: &[u8] = b"160000 ";

/// A repository.
#[derive(Debug)]
pub struct Repository {
    /// Its `.git`.
    folder: PathBuf,
}

/// The files of a commit, for as long as this is there.
#[derive(Debug)]
pub struct Tree {
    place: TempDir,
    submodules: Vec<PathBuf>,
}

impl Repository {
    /// The one that git says in the environment when it calls a helper.
    ///
    /// # Errors
    /// [`GitError::NotByGit`].
    pub fn of_helper() -> Result<Self, GitError> {
        let folder = std::env::var_os("GIT_DIR").ok_or(GitError::NotByGit)?;
        let folder = std::path::absolute(folder).map_err(|_| GitError::NotByGit)?;
        Ok(Self { folder })
    }

    /// One whose `.git` is this, or is to be.
    pub(super) const fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The commit that is meant by `source`, a ref or whatever else names one.
    ///
    /// # Errors
    /// [`GitError::NoCommit`], or git itself failed.
    pub fn commit(&self, source: &str) -> Result<CommitId, GitError> {
        // In two steps: not everything that names a commit can have a suffix.
        let object = self.resolved(source)?;
        let commit = self.resolved(&format!("{object}^{{commit}}"))?;
        CommitId::new(commit).map_err(|e| GitError::Git { what: "rev-parse", said: e.to_string() })
    }

    /// How it names objects: `sha1` or `sha256`.
    ///
    /// # Errors
    /// Git itself failed.
    pub fn format(&self) -> Result<String, GitError> {
        let output =
            self.git().args(["rev-parse", "--show-object-format"]).output().map_err(GitError::NoGit)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn resolved(&self, name: &str) -> Result<String, GitError> {
        let mut command = self.git();
        command.args(["rev-parse", "--verify", "--quiet", "--end-of-options", name]);
        let output = command.output().map_err(GitError::NoGit)?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        // Before git 2.30 it repeated that option.
        let said = said.lines().last().unwrap_or_default().to_owned();
        if output.status.success() { Ok(said) } else { Err(GitError::NoCommit(name.to_owned())) }
    }

    /// Writes all files of a commit, as a check-out would: with the filters that the person has (Git LFS is one), and no hooks.
    ///
    /// # Errors
    /// [`GitError`].
    pub fn check_out(&self, commit: &CommitId) -> Result<Tree, GitError> {
        let temporary = std::env::temp_dir();
        let place = tempfile::Builder::new().prefix("kennel-push-").tempdir();
        let place = place.map_err(|e| FileError::at("write", &temporary)(e))?;
        let mut tree = Tree { place, submodules: vec![] };
        std::fs::create_dir(tree.folder()).map_err(FileError::at("write", &tree.folder()))?;
        self.in_tree(&tree, "read-tree", &[commit.as_str()])?;
        self.in_tree(&tree, "checkout-index", &["--all", "--quiet"])?;
        let listed = self.in_tree(&tree, "ls-files", &["--stage", "-z"])?.stdout;
        let submodules = listed.split(|byte| *byte == 0).filter(|line| line.starts_with(SUBMODULE));
        let path = |line: &[u8]| {
            let tab = line.iter().position(|byte| *byte == b'\t')?;
            Some(PathBuf::from(OsStr::from_bytes(&line[tab + 1..])))
        };
        tree.submodules = submodules.filter_map(path).collect();
        Ok(tree)
    }

    fn in_tree(&self, tree: &Tree, what: &'static str, args: &[&str]) -> Result<Output, GitError> {
        let mut command = self.git();
        command.current_dir(tree.folder());
        command.env("GIT_WORK_TREE", tree.folder()).env("GIT_INDEX_FILE", tree.place.path().join("index"));
        done(command, what, args)
    }

    /// Has git do something with the repository itself.
    pub(super) fn run(&self, what: &'static str, args: &[&str]) -> Result<(), GitError> {
        done(self.git(), what, args).map(drop)
    }

    /// Git for this repository. It must not read what git has to say to the helper.
    fn git(&self) -> Command {
        let mut command = Command::new("git");
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.env("GIT_DIR", &self.folder);
        for name in ["GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_ATTR_SOURCE", "GIT_NAMESPACE"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }
}

fn done(mut command: Command, what: &'static str, args: &[&str]) -> Result<Output, GitError> {
    let output = command.arg(what).args(args).output().map_err(GitError::NoGit)?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let said = if said.is_empty() { output.status.to_string() } else { said };
    Err(GitError::Git { what, said })
}

impl Tree {
    /// Where the files are.
    pub fn folder(&self) -> PathBuf {
        self.place.path().join("tree")
    }

    /// What of it is to be sent, and what the person should know of that.
    ///
    /// # Errors
    /// Something that cannot be sent.
    pub fn plan(&self) -> Result<(Plan, Option<String>), crate::exit::Failure> {
        let plan = Plan::of_tracked(&self.folder()).map_err(|e| self.told(e.into()))?;
        let sent = |path: &Path| plan.entries().iter().any(|entry| entry.path == path);
        if let Some(path) = self.submodules.iter().find(|path| sent(path)) {
            return Err(GitError::Submodule(path.clone()).into());
        }
        let found = pointers(&plan).map_err(|e: io::Error| FileError::at("read", &self.folder())(e))?;
        let note = found.first().map(|first| {
            let more = if found.len() > 1 {
                format!(" and {} more are pointers", found.len() - 1)
            } else {
                " is a pointer".to_owned()
            };
            format!(
                "{}{more} of Git LFS, without what they stand for: `git lfs install` has them come along",
                first.display()
            )
        });
        Ok((plan, note))
    }

    /// A failure without the name of the folder, which nobody knows.
    pub fn told(&self, failure: crate::exit::Failure) -> crate::exit::Failure {
        let folder = self.folder().display().to_string();
        let message = failure.message.replace(&format!("{folder}/"), "").replace(&folder, "the commit");
        crate::exit::Failure { message, ..failure }
    }
}
