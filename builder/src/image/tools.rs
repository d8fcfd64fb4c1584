//! Programs that the builder runs, taken from the lock rather than from this computer: unpacked into the cache and
//! started through their own dynamic loader, with an empty environment, so that nothing but the packages counts.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::BuildError;
use super::cache::Cache;
use super::content::Content;
use super::tree::{Kind, Tree};
use crate::digest::Sha256;

/// Far beyond what any tool needs; only a hang takes longer.
const DEADLINE: Duration = Duration::from_secs(900);
const LOADER: &str = "usr/lib64/ld-linux-x86-64.so.2";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
/// How much of a failed tool's words an error repeats.
const SAID: usize = 2000;

/// The tools.
pub(super) struct Tools {
    tree: Tree,
    folder: PathBuf,
    digest: Sha256,
}

impl Tools {
    /// Puts the tree of the tools' packages on disk, unless it is there.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub(super) fn install(tree: Tree, cache: &Cache) -> Result<Self, BuildError> {
        let digest = tree.digest();
        let folder = cache.entry("tools", &digest, |folder| write_out(&tree, folder))?;
        Ok(Self { tree, folder, digest })
    }

    /// Stands for all of them, down to the last byte.
    pub(super) fn digest(&self) -> Sha256 {
        self.digest
    }

    /// The command that runs a program, complete but for its arguments.
    ///
    /// # Errors
    /// When no package of the tools brings it.
    pub(super) fn command(&self, name: &str) -> Result<Command, BuildError> {
        let inside = ["usr/bin", "usr/sbin"].map(|folder| format!("{folder}/{name}"));
        let program = inside.iter().find(|path| self.folder.join(path).is_file());
        let program = program.ok_or_else(|| self.missing(name))?;
        Ok(command_in(&self.folder, program))
    }

    /// A file of the tools' packages.
    ///
    /// # Errors
    /// When no package of the tools brings it.
    pub(super) fn content(&self, path: &str) -> Result<&Content, BuildError> {
        self.tree.content(path).ok_or_else(|| self.missing(path))
    }

    fn missing(&self, path: &str) -> BuildError {
        BuildError::NotBrought { set: "tools".into(), path: path.into() }
    }
}

/// The command that runs a program of a tree that was written out, through the tree's own loader and with its libraries; complete
/// but for its arguments.
pub(super) fn command_in(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(folder.join(LOADER));
    command.arg("--library-path").arg(folder.join(LIBRARIES)).arg(folder.join(program));
    command.env_clear();
    command
}

/// Writes a tree into an empty folder, for programs in it to be run.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn write_out(tree: &Tree, folder: &Path) -> Result<(), BuildError> {
    for (path, node) in tree.iter().skip(1) {
        let path = folder.join(&path[1..]);
        let write = || match &node.kind {
            Kind::Folder => fs::create_dir(&path),
            Kind::Symlink(target) => symlink(target, &path),
            Kind::File(content) => {
                content.copy_to(&mut fs::File::create(&path)?)?;
                fs::set_permissions(
                    &path,
                    Permissions::from_mode(if node.mode & 0o111 == 0 { 0o644 } else { 0o755 }),
                )
            }
        };
        write().map_err(BuildError::io(&path))?;
    }
    Ok(())
}

/// Runs a tool in a folder that it may litter, feeding it what `feed` writes. The folder keeps what the tool said.
///
/// # Errors
/// When it cannot be run, fails, or does not end; what it said is in the error.
pub(super) fn run(
    name: &str,
    mut command: Command,
    folder: &Path,
    feed: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send,
) -> Result<(), BuildError> {
    let said = folder.join("said");
    let log = fs::File::create(&said).map_err(BuildError::io(&said))?;
    let log_too = log.try_clone().map_err(BuildError::io(&said))?;
    command.current_dir(folder).env("TMPDIR", folder).stdin(Stdio::piped()).stdout(log).stderr(log_too);
    let mut child = command.spawn().map_err(BuildError::io(command.get_program()))?;
    let stdin = child.stdin.take();
    let (fed, status) = std::thread::scope(|scope| {
        let feeder = scope.spawn(move || stdin.map_or(Ok(()), |mut stdin| feed(&mut stdin)));
        let status = wait(&mut child);
        (feeder.join().unwrap_or_else(|_| Err(io::Error::other("the feeding thread panicked"))), status)
    });
    let status = status.map_err(BuildError::io(command.get_program()))?;
    // A tool that gave up closes its end; its own words say more than our broken pipe.
    if status.is_some_and(|status| status.success()) {
        return fed.map_err(BuildError::io(name));
    }
    let words = fs::read(&said).unwrap_or_default();
    let words = String::from_utf8_lossy(&words[words.len().saturating_sub(SAID)..]).trim().to_owned();
    let status = status.map_or_else(|| "stopped after 15 minutes".to_owned(), |status| status.to_string());
    Err(BuildError::Tool { tool: name.into(), status, said: words })
}

/// How it ended, nothing if it had to be killed.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + DEADLINE;
    let mut pause = Duration::from_millis(1);
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_tool_is_fed_and_its_words_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        run("cat", shell("cat > got"), folder.path(), |input| input.write_all(b"hello")).unwrap();
        assert_eq!(fs::read(folder.path().join("got")).unwrap(), b"hello");

        let lots = vec![0; 1 << 20];
        let error =
            run("picky", shell("echo no such luck >&2; exit 3"), folder.path(), |input| input.write_all(&lots));
        assert_eq!(error.unwrap_err().to_string(), "picky failed (exit status: 3): no such luck");
    }

    #[test]
    fn what_no_package_brings_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        tree.add_bytes("/usr/bin/x", 0o755, "x").unwrap();
        let tools = Tools::install(tree, &Cache::at(folder.path())).unwrap();
        let args =
            |command: Command| command.get_args().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>();
        assert!(args(tools.command("x").unwrap())[2].ends_with("/usr/bin/x"));
        let error = tools.command("y").unwrap_err().to_string();
        assert_eq!(error, "no package of the tools packages brings y");
    }
}
