//! PHP's own process manager, as a child: started with the runtime's configuration (`kennel.toml`), told how many workers it may
//! have, waited for until it accepts, ended with this program.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

/// The program.
const PROGRAM: &str = "/usr/sbin/php-fpm8.4";
/// Where it listens; the configuration names the same.
pub const SOCKET: &str = "/tmp/.php-fpm.sock";
/// The variable by which the configuration knows how many workers there may be.
const WORKERS: &str = "KENNEL_PHP_WORKERS";
/// How many, unless somebody says.
const USUAL_WORKERS: usize = 4;
/// How many there may be at most.
const MAX_WORKERS: usize = 64;
/// Where it keeps what visitors have in `$_SESSION`: it is to last longer than the program, which sleeps.
const SESSIONS: &str = "/data/.php-sessions";
/// How long it may take until it accepts.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often that is tried.
const PACE: Duration = Duration::from_millis(5);
/// How long requests may take to their end once it is asked to end.
const LAST: Duration = Duration::from_secs(8);

/// The process manager.
#[derive(Debug)]
pub struct Fpm {
    child: Child,
    children: Signal,
    socket: PathBuf,
}

/// Why it cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum FpmError {
    /// There is no such number of workers.
    #[error("WEB_CONCURRENCY is {0:?}: it is a number from 1 to {MAX_WORKERS}")]
    Workers(String),
    /// The folder of sessions cannot be made.
    #[error("cannot make {SESSIONS}: {0}")]
    Sessions(io::Error),
    /// The system refuses it.
    #[error("cannot start {PROGRAM}: {0}")]
    Start(io::Error),
    /// It ended instead of accepting.
    #[error("php-fpm has ended at its start: {0}")]
    Ended(ExitStatus),
    /// It does not accept.
    #[error("php-fpm does not accept: {0}")]
    Deaf(io::Error),
}

/// How many workers there may be: as many requests are answered by PHP at a time.
///
/// # Errors
/// What was said is no such number.
pub fn workers(said: Option<&str>) -> Result<usize, FpmError> {
    let Some(said) = said.filter(|said| !said.is_empty()) else { return Ok(USUAL_WORKERS) };
    let number = said.parse().ok().filter(|number| (1..=MAX_WORKERS).contains(number));
    number.ok_or_else(|| FpmError::Workers(said.to_owned()))
}

impl Fpm {
    /// Starts it, and waits until it accepts.
    ///
    /// # Errors
    /// It cannot be started, or ends, or does not accept.
    pub async fn start(workers: usize) -> Result<Self, FpmError> {
        sessions(Path::new(SESSIONS)).map_err(FpmError::Sessions)?;
        let mut command = Command::new(PROGRAM);
        // In the foreground, and telling its standard error, which is the tenant's log.
        command.args(["--nodaemonize", "--force-stderr"]).env(WORKERS, workers.to_string());
        command.stdin(Stdio::null());
        let children = signal(SignalKind::child()).map_err(FpmError::Start)?;
        let child = command.spawn().map_err(FpmError::Start)?;
        let mut fpm = Self { child, children, socket: SOCKET.into() };
        let accepts = async {
            loop {
                match UnixStream::connect(&fpm.socket).await {
                    Ok(_) => return Ok(()),
                    Err(_) => match fpm.child.try_wait() {
                        Ok(None) => sleep(PACE).await,
                        Ok(Some(status)) => return Err(FpmError::Ended(status)),
                        Err(error) => return Err(FpmError::Deaf(error)),
                    },
                }
            }
        };
        timeout(PATIENCE, accepts).await.map_err(|late| FpmError::Deaf(late.into()))??;
        Ok(fpm)
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits for it to end, which it does not of itself.
    ///
    /// # Errors
    /// The system's.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            self.children.recv().await;
        }
    }
}

/// It ends with this program: nobody is being answered any more.
impl Drop for Fpm {
    fn drop(&mut self) {
        // Asked, and not killed: it has to end its workers.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if self.child.try_wait().is_ok_and(|ended| ended.is_none())
            && let Some(pid) = pid
            && kill_process(pid, rustix::process::Signal::TERM).is_ok()
        {
            let _ = self.child.wait();
        }
    }
}

/// Requests in the middle of an answer have so long.
pub(crate) const fn last() -> Duration {
    LAST
}

/// Makes the folder, for its owner alone.
fn sessions(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_a_small_number() {
        assert_eq!(workers(None).unwrap(), USUAL_WORKERS);
        assert_eq!(workers(Some("")).unwrap(), USUAL_WORKERS);
        assert_eq!(workers(Some("2")).unwrap(), 2);
        for odd in ["0", "65", "-1", "four", "2 "] {
            assert!(workers(Some(odd)).unwrap_err().to_string().contains("WEB_CONCURRENCY"), "{odd}");
        }
    }

    #[test]
    fn the_folder_of_sessions_is_its_owners_and_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        sessions(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(path.join("sess_1"), "x").unwrap();
        sessions(&path).unwrap();
        assert!(path.join("sess_1").exists());
        assert!(sessions(&path.join("none/there")).is_err());
    }
}
