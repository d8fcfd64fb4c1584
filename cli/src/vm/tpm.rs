//! A TPM for a host on this computer: swtpm, a program of its own, whose state stays in the host's folder. It ends by
//! itself when the machine does.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::VmError;
use super::accel::wait;
use super::boot::last_words;
use super::instance::Instance;
use crate::exit::FileError;
use crate::paths::make_private_folder;

/// The program.
pub const SWTPM: &str = "swtpm";
/// It has only to open its files and a socket.
const START: Duration = Duration::from_secs(20);

/// Starts it; it waits for the machine. One that is there already cannot be another machine's, as the caller holds the
/// instance's claim.
///
/// # Errors
/// [`VmError::NoSwtpm`], [`VmError::TpmFailed`].
pub fn start(instance: &Instance) -> Result<(), VmError> {
    make_private_folder(&instance.tpm_state())?;
    let log = instance.tpm_log();
    let with = |before: &str, path: &Path| format!("{before}{}", path.display());
    let mut swtpm = Command::new(SWTPM)
        .args(["socket", "--tpm2", "--terminate", "--daemon"])
        .args(["--tpmstate", &with("mode=0600,dir=", &instance.tpm_state())])
        .args(["--ctrl", &with("type=unixio,mode=0600,path=", &instance.tpm_socket())])
        .args(["--log", &with("file=", &log)])
        .args(["--pid", &with("file=", &instance.tpm_pid())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log).map_err(FileError::at("create", &log))?)
        .spawn()
        .map_err(VmError::NoSwtpm)?;
    // What it has said until it went into the background.
    match wait(&mut swtpm, START).map_err(VmError::NoSwtpm)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(VmError::TpmFailed(last_words(&log).unwrap_or_else(|| status.to_string()))),
        None => Err(VmError::TpmFailed("it hung".into())),
    }
}

/// Ends one whose machine did not start, and answers what it had to say about that.
pub fn dismiss(instance: &Instance) -> Option<String> {
    let pid = std::fs::read_to_string(instance.tpm_pid()).ok().and_then(|text| text.trim().parse().ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It was started a moment ago, by us.
        let _ = kill_process(pid, Signal::TERM);
    }
    last_words(&instance.tpm_log())
}
