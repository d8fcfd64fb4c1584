//! The end of the machine, in phases that each have a deadline: the proxy finishes its requests and tenants stop, side
//! by side; then the services; then the data volume is unmounted and the machine powers off or starts again.

use std::io::Read as _;
use std::time::Duration;

use kennel_model::layout::DATA_DIR;
use kennel_model::msg::ToProxy;
use kennel_sys::power::{self, End};
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};

use super::Host;
use super::link::Outgoing;
use super::timers::Timer;
use crate::console::uptime;
use crate::say;
use crate::slot::cgroup::{Cgroup, INSTALLS, SERVICES, TASKS, TENANTS};

/// For tenants, whatever graces they were promised, and for the requests that they serve.
const TENANTS_LIMIT: Duration = Duration::from_secs(20);
/// For services: control closes its database.
const SERVICES_LIMIT: Duration = Duration::from_secs(5);
/// For what was killed to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(3);

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Tenants stop, the proxy drains.
    Tenants,
    /// Services stop.
    Services,
    /// Everything was killed.
    Killed,
}

/// A shutdown on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    how: End,
    phase: Phase,
    deadline: Duration,
}

impl Host {
    /// Begins to shut down; a second wish changes nothing.
    pub(super) fn begin_ending(&mut self, how: End, why: &str) {
        if self.ending.is_some() {
            return;
        }
        say!("shutting down to {}: {why}", if how == End::Reboot { "reboot" } else { "power off" });
        self.send("proxy", Outgoing::Proxy(ToProxy::Drain), vec![]);
        self.enter(how, Phase::Tenants, TENANTS_LIMIT);
        self.stop_all();
    }

    fn enter(&mut self, how: End, phase: Phase, limit: Duration) {
        let deadline = uptime() + limit;
        self.ending = Some(Ending { how, phase, deadline });
        self.timers.arm(deadline, Timer::Ending);
    }

    /// Goes to the next phase when this one is done or its time is over.
    pub(super) fn continue_ending(&mut self) {
        let Some(Ending { how, phase, deadline }) = self.ending else { return };
        let over = uptime() >= deadline;
        let alive = self.slots.values().filter(|s| s.state.is_alive() || s.job.is_some()).count();
        let tenants = alive + self.tasks.len();
        let services = self.services.iter().filter(|s| s.is_alive()).count();
        let proxy = self.services.iter().any(|s| s.entry.name == "proxy" && s.is_alive());
        match phase {
            Phase::Tenants if over || (tenants == 0 && !proxy) => {
                say!("tenants stopped{}", if tenants > 0 { ", some by force" } else { "" });
                for index in 0..self.services.len() {
                    self.terminate_service(index);
                }
                self.enter(how, Phase::Services, SERVICES_LIMIT);
            }
            Phase::Services if over || services == 0 => {
                for parent in [TENANTS, TASKS, INSTALLS, SERVICES] {
                    if let Err(e) = Cgroup::at(parent).kill() {
                        say!("FAILED to {e}");
                    }
                }
                self.enter(how, Phase::Killed, KILL_LIMIT);
            }
            Phase::Killed if over || (services == 0 && tenants == 0) => finish(how),
            Phase::Tenants | Phase::Services | Phase::Killed => {}
        }
    }

    pub(super) fn handle_button(&mut self, index: usize) {
        if let Some(button) = self.buttons.get_mut(index)
            && is_pressed(button)
        {
            self.begin_ending(End::PowerOff, "the power button was pressed");
        }
    }
}

/// Unmounts the data volume and ends the machine.
pub(crate) fn finish(how: End) {
    match unmount(DATA_DIR, UnmountFlags::empty()) {
        // Without a data volume there is nothing mounted.
        Ok(()) | Err(rustix::io::Errno::INVAL) => {}
        Err(busy) => {
            // Read-only it is as clean, if less tidy.
            let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
            if mount_remount(DATA_DIR, flags, c"").is_err() {
                say!("FAILED to unmount {DATA_DIR}: {busy}");
            }
        }
    }
    rustix::fs::sync();
    say!("{}", if how == End::Reboot { "rebooting" } else { "powering off" });
    say!("FAILED to end: {}", power::end(how));
}

/// Takes all events from a button; the answer is whether one was a press (`struct input_event`: 16 bytes of time, type,
/// code, value).
pub(crate) fn is_pressed(button: &mut std::fs::File) -> bool {
    const EV_KEY: u16 = 1;
    const KEY_POWER: u16 = 116;
    let mut pressed = false;
    let mut event = [0; 24];
    while let Ok(24) = button.read(&mut event) {
        let [.., t0, t1, c0, c1, v0, v1, v2, v3] = event;
        let (kind, code) = (u16::from_ne_bytes([t0, t1]), u16::from_ne_bytes([c0, c1]));
        pressed |= kind == EV_KEY && code == KEY_POWER && i32::from_ne_bytes([v0, v1, v2, v3]) == 1;
    }
    pressed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write as _;

    fn events(list: &[(u16, u16, i32)]) -> bool {
        let (reader, mut writer) = std::io::pipe().unwrap();
        for (kind, code, value) in list {
            let event = [&[0; 16][..], &kind.to_ne_bytes(), &code.to_ne_bytes(), &value.to_ne_bytes()].concat();
            writer.write_all(&event).unwrap();
        }
        drop(writer);
        is_pressed(&mut File::from(std::os::fd::OwnedFd::from(reader)))
    }

    #[test]
    fn only_a_press_of_the_power_key_counts() {
        assert!(events(&[(1, 116, 1), (0, 0, 0)]));
        assert!(!events(&[(1, 116, 0), (0, 0, 0)]));
        assert!(!events(&[(1, 30, 1)]));
        assert!(!events(&[]));
    }
}
