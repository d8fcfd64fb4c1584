//! The host's clock: whom chronyd asks, and what becomes of it. Control decides who is asked; this tells the packet filter
//! first and chronyd then, looks at what the kernel says of the clock, and tells the console when the clock is right for the
//! first time, when it was stepped and when it is right no more. Deadlines of this host's are in time since the kernel's
//! start, which no step changes.

use std::net::SocketAddr;
use std::time::Duration;

use kennel_model::clock::{Clock, ENOUGH_TO_VOTE, MAX_SERVERS, check_server};
use kennel_model::msg::{ControlReply, Refusal};
use kennel_model::services::CHRONYD;
use rustix::time::{ClockId, clock_gettime};

use super::Host;
use super::timers::Timer;
use crate::console::uptime;
use crate::say;

/// How often the clock is looked at until it is right, and from then on.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(10);
/// A difference between two looks that is no slewing: chronyd slews by a twelfth at most, and steps what is beyond a second.
const STEP_MS: i64 = 900;

/// What is remembered of the clock.
#[derive(Debug, Default)]
pub(super) struct Watch {
    servers: Vec<SocketAddr>,
    /// The packet filter knows them.
    open: bool,
    /// What time of day it was when the kernel started, in milliseconds, at the last look.
    start_ms: Option<i64>,
    synchronised: bool,
    stepped_ms: i64,
}

/// What a look at the clock brought.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// By so many milliseconds.
    Stepped(i64),
    Synchronised,
    Lost,
}

impl Watch {
    /// What chronyd is told beside the sealed table's words: one argument for each line of its configuration.
    pub(super) fn arguments(&self) -> Vec<String> {
        let server = |s: &SocketAddr| format!("server {} port {} iburst", s.ip(), s.port());
        let vote = (self.servers.len() >= ENOUGH_TO_VOTE).then(|| "minsources 2".to_owned());
        self.servers.iter().map(server).chain(vote).collect()
    }

    /// Whether there is anybody to ask and a way to them.
    pub(super) const fn is_open(&self) -> bool {
        self.open && !self.servers.is_empty()
    }

    /// Takes a look in: what the kernel says, and the time of day when it started.
    fn look(&mut self, synchronised: bool, start_ms: i64) -> Vec<News> {
        let by = self.start_ms.map_or(0, |before| start_ms - before);
        let stepped = (by.abs() >= STEP_MS).then(|| {
            self.stepped_ms = by;
            News::Stepped(by)
        });
        let turned = match (self.synchronised, synchronised) {
            (false, true) => Some(News::Synchronised),
            (true, false) => Some(News::Lost),
            _ => None,
        };
        (self.start_ms, self.synchronised) = (Some(start_ms), synchronised);
        stepped.into_iter().chain(turned).collect()
    }
}

impl Host {
    /// Control says whom to ask.
    pub(super) fn set_time_servers(&mut self, servers: Vec<SocketAddr>) -> Result<ControlReply, Refusal> {
        if servers.len() > MAX_SERVERS {
            return Err(Refusal::Invalid(format!("more than {MAX_SERVERS} time servers")));
        }
        for server in &servers {
            check_server(*server).map_err(|e| Refusal::Invalid(format!("time server {server}: {e}")))?;
        }
        if self.clock.servers != servers {
            self.clock.servers.clone_from(&servers);
            self.clock.open = false;
            self.let_ask_for_time(servers);
            self.look_at_clock();
        }
        Ok(ControlReply::Done)
    }

    /// The packet filter lets these be asked: chronyd starts, or starts anew if it asked others.
    pub(super) fn time_servers_open(&mut self, servers: &[SocketAddr]) {
        if self.clock.servers != servers || self.ending.is_some() {
            return;
        }
        self.clock.open = true;
        let Some(index) = self.services.iter().position(|s| s.entry.name == CHRONYD) else { return };
        if self.services[index].is_alive() {
            self.kill_service(index);
        } else {
            self.start_service(index);
        }
    }

    /// Looks at the clock, and arranges for the next look.
    pub(super) fn look_at_clock(&mut self) {
        if self.clock.servers.is_empty() {
            return;
        }
        let state = match kennel_sys::clock::read() {
            Ok(state) => state,
            Err(e) => return say!("FAILED to read the clock's state: {e}"),
        };
        for news in self.clock.look(state.synchronised, start_ms()) {
            match news {
                News::Stepped(by) => say!("the clock was stepped by {:+.3} s", by as f64 / 1000.0),
                News::Synchronised => {
                    say!("the clock is synchronised, within {} ms", state.max_error.as_millis().max(1));
                }
                News::Lost => say!("the clock is not synchronised any more"),
            }
        }
        self.timers.arm(uptime() + if state.synchronised { SELDOM } else { OFTEN }, Timer::Clock);
    }

    /// What is known of it now.
    pub(super) fn clock_status(&self) -> Clock {
        let state = kennel_sys::clock::read().ok().filter(|_| !self.clock.servers.is_empty());
        Clock {
            servers: self.clock.servers.clone(),
            synchronised: state.is_some_and(|state| state.synchronised),
            max_error_us: state.map_or(0, |s| u64::try_from(s.max_error.as_micros()).unwrap_or(u64::MAX)),
            stepped_s: self.clock.stepped_ms / 1000,
        }
    }
}

/// The time of day when the kernel started, as the clock has it now, in milliseconds. Only a change of the clock changes it.
fn start_ms() -> i64 {
    let day = clock_gettime(ClockId::Realtime);
    let day = day.tv_sec * 1000 + day.tv_nsec / 1_000_000;
    day - i64::try_from(uptime().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_is_told_once() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(false, 1_000), []);
        assert_eq!(watch.look(false, 1_080), []);
        assert_eq!(watch.look(true, 3_601_080), [News::Stepped(3_600_000), News::Synchronised]);
        assert_eq!(watch.look(true, 3_601_000), []);
        assert_eq!(watch.look(false, 3_601_000), [News::Lost]);
        assert_eq!(watch.look(true, 1_000), [News::Stepped(-3_600_000), News::Synchronised]);
        assert_eq!(watch.stepped_ms, -3_600_000);
    }

    #[test]
    fn chronyd_is_told_each_server_and_to_have_two_agree_where_it_can() {
        let servers = |list: &[&str]| list.iter().map(|s| s.parse().unwrap()).collect();
        let mut watch =
            Watch { servers: servers(&["10.0.2.2:11123", "[2001:db8::1]:123"]), ..Watch::default() };
        let two = ["server 10.0.2.2 port 11123 iburst", "server 2001:db8::1 port 123 iburst"];
        assert_eq!(watch.arguments(), two);
        assert!(!watch.is_open());
        watch.servers.push("192.0.2.1:123".parse().unwrap());
        assert_eq!(watch.arguments()[3], "minsources 2");
    }
}
