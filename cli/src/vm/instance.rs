//! What is kept of a host on this computer from one command to the next: its folder with the data disk, the firmware's
//! variables, the console and the process id. A process id is believed only when that process is this host's QEMU.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kennel_model::HostName;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::VmError;
use crate::exit::FileError;
use crate::paths::make_private_folder;

/// A host of this computer, running or not.
#[derive(Debug, Clone)]
pub struct Instance {
    name: HostName,
    folder: PathBuf,
}

/// Keeps other commands from starting or stopping the same host meanwhile.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl Instance {
    /// The host of this name, kept in this folder.
    pub const fn new(name: HostName, folder: PathBuf) -> Self {
        Self { name, folder }
    }

    /// Its name.
    pub const fn name(&self) -> &HostName {
        &self.name
    }

    /// The name that its process carries.
    pub fn process_name(&self) -> String {
        format!("kennel-{}", self.name)
    }

    /// The data disk.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data.raw")
    }

    /// The disk to swap to.
    pub fn swap(&self) -> PathBuf {
        self.folder.join("swap.raw")
    }

    /// The firmware's variables.
    pub fn vars(&self) -> PathBuf {
        self.folder.join("vars.fd")
    }

    /// The firmware's variables with a person's keys for Secure Boot in them.
    pub fn secure_vars(&self) -> PathBuf {
        self.folder.join("vars-secure.fd")
    }

    /// The host's user-data.
    pub fn user_data(&self) -> PathBuf {
        self.folder.join("user-data")
    }

    /// What the guest wrote to its console since it was started.
    pub fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    /// QEMU's own messages.
    pub fn qemu_log(&self) -> PathBuf {
        self.folder.join("qemu.log")
    }

    /// QEMU's control socket.
    pub fn qmp(&self) -> PathBuf {
        self.folder.join("qmp")
    }

    /// What the TPM keeps.
    pub fn tpm_state(&self) -> PathBuf {
        self.folder.join("tpm-state")
    }

    /// By which QEMU speaks with the TPM.
    pub fn tpm_socket(&self) -> PathBuf {
        self.folder.join("tpm")
    }

    /// The TPM's process id.
    pub fn tpm_pid(&self) -> PathBuf {
        self.folder.join("tpm.pid")
    }

    /// The TPM's own messages.
    pub fn tpm_log(&self) -> PathBuf {
        self.folder.join("tpm.log")
    }

    /// QEMU's process id.
    pub fn pid_file(&self) -> PathBuf {
        self.folder.join("pid")
    }

    /// Makes its folder and keeps other commands away from it.
    ///
    /// # Errors
    /// [`VmError::Busy`], [`VmError::File`].
    pub fn claim(&self) -> Result<Claim, VmError> {
        make_private_folder(&self.folder)?;
        let path = self.folder.join("lock");
        let file = File::create(&path).map_err(FileError::at("make", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Claim(file)),
            Err(TryLockError::WouldBlock) => Err(VmError::Busy(self.name.clone())),
            Err(TryLockError::Error(e)) => Err(FileError::at("lock", &path)(e).into()),
        }
    }

    /// Its process, if it runs. The files of a process that is gone are removed.
    ///
    /// # Errors
    /// [`VmError::File`].
    pub fn running(&self) -> Result<Option<Process>, VmError> {
        let path = self.pid_file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(FileError::at("read", &path)(e).into()),
        };
        let process = text.trim().parse().ok().and_then(|pid| Process::of(pid, &self.process_name(), &path));
        if process.is_none() {
            self.forget_process();
        }
        Ok(process)
    }

    /// Removes what only a running process needs.
    pub fn forget_process(&self) {
        for path in [self.pid_file(), self.qmp()] {
            // Not there is as good as removed.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A running QEMU, held by a descriptor, so that another process that gets its id later is never meant.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    handle: OwnedFd,
}

impl Process {
    /// The process, if it is there and is the machine of this name with this pid file.
    fn of(pid: u32, name: &str, pid_file: &Path) -> Option<Self> {
        let handle = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
        // Read after the handle was opened: what it says is about the process that is held.
        let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<&[u8]> = cmdline.split(|b| *b == 0).collect();
        let has =
            |option: &str, value: &[u8]| words.windows(2).any(|w| w[0] == option.as_bytes() && w[1] == value);
        let process = Self { pid, handle };
        let ours = has("-name", name.as_bytes()) && has("-pidfile", pid_file.as_os_str().as_encoded_bytes());
        (ours && process.is_alive()).then_some(process)
    }

    /// Its id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it still runs. One that has ended and was not reaped yet does not.
    pub fn is_alive(&self) -> bool {
        let mut fds = [PollFd::new(&self.handle, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(poll(&mut fds, Some(&now)), Ok(n) if n > 0)
    }

    /// Waits until it has ended, or the deadline.
    pub fn wait(&self, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        while self.is_alive() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// What the system says; a process that has ended already is no error.
    pub fn kill(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.handle, Signal::KILL) {
            Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn instance() -> (tempfile::TempDir, Instance) {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::new(HostName::new("local").unwrap(), dir.path().join("local"));
        drop(instance.claim().unwrap());
        (dir, instance)
    }

    /// A process with the arguments that QEMU would have.
    fn stand_in(instance: &Instance, name: &str) -> Child {
        Command::new("/bin/sh")
            .args(["-c", "while :; do sleep 1; done", "-name", name, "-pidfile"])
            .arg(instance.pid_file())
            .spawn()
            .unwrap()
    }

    #[test]
    fn a_process_is_found_and_ended() {
        let (_dir, instance) = instance();
        assert!(instance.running().unwrap().is_none());
        let mut child = stand_in(&instance, "kennel-local");
        std::fs::write(instance.pid_file(), format!("{}\n", child.id())).unwrap();
        let process = loop {
            // Until the child has become the shell, its arguments are this test's.
            if let Some(process) = instance.running().unwrap() {
                break process;
            }
            std::fs::write(instance.pid_file(), format!("{}\n", child.id())).unwrap();
        };
        assert_eq!(process.pid(), child.id());
        process.kill().unwrap();
        assert!(process.wait(Duration::from_secs(30)));
        assert!(instance.running().unwrap().is_none(), "a process that waits to be reaped counts as ended");
        child.wait().unwrap();
    }

    #[test]
    fn a_stale_pid_file_is_seen_through_and_removed() {
        let (_dir, instance) = instance();
        let mut other = stand_in(&instance, "kennel-other");
        for stale in [other.id().to_string(), std::process::id().to_string(), "4194304999".into(), "x".into()] {
            std::fs::write(instance.pid_file(), &stale).unwrap();
            assert!(instance.running().unwrap().is_none(), "{stale}");
            assert!(!instance.pid_file().exists());
        }
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn two_commands_do_not_get_into_each_others_way() {
        let (_dir, instance) = instance();
        let claim = instance.claim().unwrap();
        assert!(matches!(instance.claim(), Err(VmError::Busy(_))));
        drop(claim);
        assert!(instance.claim().is_ok());
    }
}
