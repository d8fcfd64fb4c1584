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
/// [`VmError::StillUp`] without `force`; [`VmError::Kill`] with it.
pub fn stop(
    instance: &Instance,
    process: &Process,
    patience: Duration,
    force: bool,
) -> Result<Stopped, VmError> {
    // A QEMU that does not take the order is waited for in vain, which is then said.
    let asked = qmp::press_power_button(&instance.qmp());
    if asked.is_ok() && process.wait(patience) {
        instance.forget_process();
        return Ok(Stopped::Cleanly);
    }
    if !force {
        return Err(VmError::StillUp { name: instance.name().clone(), seconds: patience.as_secs() });
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
