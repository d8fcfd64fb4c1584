//! Shutting a host down: the power button, patience, and the plug only when asked for.

use std::time::Duration;

use super::VmError;
use super::instance::{Instance, Process};
use super::qmp;

/// Time for a killed process to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How a host went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// It did not run.
    WasNotRunning,
    /// By itself, after the power button.
    Cleanly,
    /// The plug was pulled.
    Forced,
}

/// Presses the power button and waits. What then still runs is killed only with `force`.
///
/// # Errors
/// [`VmError::StillUp`] or [`VmError::NoPowerButton`] without `force`; [`VmError::Kill`] with it.
pub fn stop(
    instance: &Instance,
    process: &Process,
    patience: Duration,
    force: bool,
) -> Result<Stopped, VmError> {
    let name = || instance.name().clone();
    let failure = match qmp::press_power_button(&instance.qmp()) {
        Ok(()) if process.wait(patience) => {
            instance.forget_process();
            return Ok(Stopped::Cleanly);
        }
        Ok(()) => VmError::StillUp { name: name(), seconds: patience.as_secs() },
        Err(cause) => VmError::NoPowerButton { name: name(), cause },
    };
    if !force {
        return Err(failure);
    }
    kill(instance, process)?;
    Ok(Stopped::Forced)
}

/// Pulls the plug.
///
/// # Errors
/// [`VmError::Kill`].
pub fn kill(instance: &Instance, process: &Process) -> Result<(), VmError> {
    let failed = |cause| VmError::Kill { name: instance.name().clone(), pid: process.pid(), cause };
    process.kill().map_err(failed)?;
    if !process.wait(KILL_PATIENCE) {
        return Err(failed(std::io::ErrorKind::TimedOut.into()));
    }
    instance.forget_process();
    Ok(())
}

/// Presses the power button without waiting; whoever watches the console sees the rest.
///
/// # Errors
/// What the system says.
pub fn press_power_button(instance: &Instance) -> std::io::Result<()> {
    qmp::press_power_button(&instance.qmp())
}
