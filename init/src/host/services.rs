//! The services: started from the sealed table, each with a channel and what else it is handed, and started again when
//! they end. What they may ask is in `control` and `proxy`; when they are tried again is decided in `supervise`.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use caps::{Capability, CapsHashSet};
use kennel_model::cloud::Report as Cloud;
use kennel_model::denial::Batch;
use kennel_model::labels;
use kennel_model::msg::{FromControl, FromProxy, ServiceStatus};
use kennel_model::network::FromDhcp;
use kennel_model::services::{self as table, Handed, Restart};
use kennel_model::tpm::Answer;
use kennel_sys::clone::Namespaces;
use kennel_sys::{Channel, ChannelError};
use rustix::process::{Pid, Resource, Signal, kill_process};
use serde::de::DeserializeOwned;

use super::link::{Link, Outgoing};
use super::poller::{Ready, Source};
use super::supervise::{Next, after_end};
use super::timers::Timer;
use super::{Child, Host, bounds, tpm};
use crate::child::report::{News, Report};
use crate::child::seccomp::Filters;
use crate::child::{self, Plan, Program};
use crate::console::{self, uptime};
use crate::say;
use crate::slot::cgroup::{Cgroup, SERVICES};
use crate::slot::ending::End;
use crate::step::{Failed, Step};

/// A service that has closed its channel is on its way out, and may still want to say why.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Messages taken from one channel before others get their turn.
const MESSAGES_AT_A_TIME: usize = 64;

/// A service and what has become of it.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) entry: table::Service,
    pid: Option<Pid>,
    link: Option<Link>,
    report: Option<Report>,
    started: Duration,
    /// When it is to be started again; nothing while it runs and when it has been given up.
    again: Option<Duration>,
    crashes: u32,
    restarts: u32,
}

impl Service {
    pub(super) const fn new(entry: table::Service) -> Self {
        let started = Duration::ZERO;
        Self { entry, pid: None, link: None, report: None, started, again: None, crashes: 0, restarts: 0 }
    }

    pub(super) fn status(&self) -> ServiceStatus {
        let pid = self.pid.map(|p| p.as_raw_pid().unsigned_abs());
        ServiceStatus { name: self.entry.name.clone(), pid, restarts: self.restarts }
    }

    pub(super) const fn is_alive(&self) -> bool {
        self.pid.is_some()
    }

    /// Programs of others have none.
    fn has_channel(&self) -> bool {
        self.entry.handed.contains(&Handed::Channel)
    }

    fn cgroup(&self) -> Cgroup {
        Cgroup::at(&format!("{SERVICES}/{}", self.entry.name))
    }
}

impl Host {
    /// Starts a service, or arranges for the next attempt.
    pub(super) fn start_service(&mut self, index: usize) {
        if !self.is_wanted(&self.services[index]) {
            return;
        }
        let service = &mut self.services[index];
        (service.started, service.again) = (uptime(), None);
        if let Err(e) = self.try_start_service(index) {
            say!("FAILED to start {}: {e}", self.services[index].entry.name);
            self.plan_restart(index);
        }
    }

    /// Whether there is anything to do for it: nobody sets the clock where there is nobody to ask.
    pub(super) fn is_wanted(&self, service: &Service) -> bool {
        service.entry.name != table::CHRONYD || self.clock.is_open()
    }

    fn try_start_service(&mut self, index: usize) -> Result<(), Failed> {
        let service = &self.services[index];
        let (ours, theirs) = Channel::pair().step(|| "make a channel".to_owned())?;
        let link = service.has_channel().then(|| Link::new(ours)).transpose();
        let link = link.step(|| "make a channel".to_owned())?;
        let cgroup = service.cgroup();
        cgroup.make()?;
        cgroup.share(service.entry.weight)?;
        cgroup.spare(true)?;
        let cgroup = cgroup.open()?;
        let stderr = console::open().step(|| "open the console".to_owned())?;
        let null = self.surroundings.null.as_fd();
        let tpm = service.entry.handed.contains(&Handed::Tpm).then(tpm::open).transpose()?;
        let mut descriptors = vec![null, stderr.as_fd(), stderr.as_fd()];
        for handed in &service.entry.handed {
            match (handed, &tpm) {
                (Handed::Tpm, Some(tpm)) => descriptors.push(tpm.as_fd()),
                _ => descriptors.extend(self.handed(*handed, theirs.as_fd())?),
            }
        }
        let filters = &self.surroundings.filters;
        let more = match service.entry.name.as_str() {
            table::CHRONYD => self.clock.arguments(),
            // Whom it asks for addresses.
            table::ACME => self.network.iter().flat_map(|n| n.name_servers()).map(|s| s.to_string()).collect(),
            _ => vec![],
        };
        let started = child::start(plan(&service.entry, &more, descriptors, cgroup.as_fd(), filters)?)?;
        self.children.insert(started.pid, Child::Service(index));
        let n = index as u16;
        if let Some(link) = &link {
            self.poller.add(link, Source::Channel(n))?;
        }
        self.poller.add(&started.report, Source::ServiceReport(n))?;
        let service = &mut self.services[index];
        (service.pid, service.report, service.link) = (Some(started.pid), Some(started.report), link);
        match service.entry.name.as_str() {
            "proxy" => {
                self.send_routes(None);
                self.send_certificates(None);
                self.tell_proxy_of_awake();
                self.tell_proxy_of_drain();
            }
            "control" => self.pass_on_cloud(),
            _ => {}
        }
        self.pass_on_denials();
        Ok(())
    }

    pub(super) fn handle_service_report(&mut self, index: usize) {
        let Some(service) = self.services.get_mut(index) else { return };
        let Some(report) = &service.report else { return };
        match report.read() {
            News::None => return,
            News::Executed => say!("{} started", service.entry.name),
            News::Failed(Some(failed)) => say!("FAILED {}", failed.explain(&service.entry.exec)),
            News::Failed(None) => say!("FAILED to start {}: it ended on the way", service.entry.name),
        }
        self.poller.forget(report);
        service.report = None;
        if service.has_channel() {
            self.announce_ready();
        }
    }

    pub(super) fn handle_channel(&mut self, index: usize, ready: Ready) {
        if ready.writable {
            self.flush(index);
        }
        if !ready.readable {
            return;
        }
        let name = self.services.get(index).map(|s| s.entry.name.clone()).unwrap_or_default();
        for _ in 0..MESSAGES_AT_A_TIME {
            let more = match name.as_str() {
                "control" => self.receive(index, |host, m: FromControl, fds| host.on_control(m, fds)),
                "proxy" => self.receive(index, |host, m: FromProxy, _| host.on_proxy(m)),
                "audit" => self.receive(index, |host, m: Batch, _| host.on_denials(m)),
                "dhcp" => self.receive(index, |host, m: FromDhcp, _| host.on_network(m)),
                "imds" => self.receive(index, |host, m: Cloud, _| host.on_cloud(m)),
                "tpm" => self.receive(index, |host, m: Answer, _| host.on_tpm(m)),
                _ => Err(Some("this service has nothing to say".to_owned())),
            };
            match more {
                Ok(true) => {}
                Ok(false) => return,
                Err(None) => return self.let_go(index),
                Err(Some(why)) => return self.disconnect(index, &why),
            }
        }
    }

    /// Receives and handles one message; answers whether there may be another, or why the channel is of no use: nothing
    /// when the service has closed it.
    fn receive<T: DeserializeOwned>(
        &mut self,
        index: usize,
        handle: impl FnOnce(&mut Self, T, Vec<OwnedFd>),
    ) -> Result<bool, Option<String>> {
        let Some(link) = self.services.get(index).and_then(|s| s.link.as_ref()) else { return Ok(false) };
        match link.channel().recv::<T>() {
            Ok(Some((message, fds))) => {
                handle(self, message, fds);
                Ok(true)
            }
            Ok(None) => Err(None),
            Err(ChannelError::WouldBlock) => Ok(false),
            Err(e) => Err(Some(e.to_string())),
        }
    }

    /// Sends a message to the service of this name, if it runs.
    pub(super) fn send(&mut self, name: &str, message: Outgoing, fds: Vec<Rc<OwnedFd>>) {
        let Some(index) = self.services.iter().position(|s| s.entry.name == name) else { return };
        let Some(link) = &mut self.services[index].link else { return };
        match link.send(message, fds) {
            Ok(()) => self.flush(index),
            Err(e) => self.disconnect(index, &e.to_string()),
        }
    }

    /// Sends what waits, and asks to be woken for the rest.
    fn flush(&mut self, index: usize) {
        let Some(link) = self.services.get_mut(index).and_then(|s| s.link.as_mut()) else { return };
        if let Err(e) = link.flush() {
            return self.disconnect(index, &e.to_string());
        }
        if let Err(e) = self.poller.want_room(&*link, Source::Channel(index as u16), link.is_waiting()) {
            say!("FAILED to {e}");
        }
        self.pass_on_denials();
    }

    /// Whether what is sent to the service of this name comes to it.
    pub(super) fn is_linked(&self, name: &str) -> bool {
        self.services.iter().any(|s| s.entry.name == name && s.link.is_some())
    }

    /// Whether the service of this name runs and has read all that was sent to it.
    pub(super) fn is_idle(&self, name: &str) -> bool {
        let link = self.services.iter().find(|s| s.entry.name == name).and_then(|s| s.link.as_ref());
        link.is_some_and(|link| !link.is_waiting())
    }

    /// Drops a channel that is of no use any more, and ends the service: it starts again with a new one. While the host
    /// shuts down it may finish what it does.
    fn disconnect(&mut self, index: usize, why: &str) {
        let service = &mut self.services[index];
        let Some(link) = service.link.take() else { return };
        self.poller.forget(&link);
        if self.ending.is_none() {
            say!("{} is ended: {why}", service.entry.name);
            self.kill_service(index);
        }
    }

    /// The service has closed its channel. It gets a moment to end by itself.
    fn let_go(&mut self, index: usize) {
        if let Some(link) = self.services[index].link.take() {
            self.poller.forget(&link);
            self.timers.arm(uptime() + LAST_WORDS, Timer::Service(index));
        }
    }

    pub(super) fn kill_service(&mut self, index: usize) {
        if let Err(e) = self.services[index].cgroup().kill() {
            say!("FAILED to {e}");
        }
    }

    /// Asks a service to end.
    pub(super) fn terminate_service(&self, index: usize) {
        if let Some(pid) = self.services[index].pid {
            // It is our child and not reaped yet, so the PID is its own; that it has ended meanwhile is fine.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    pub(super) fn service_ended(&mut self, index: usize, end: End) {
        self.handle_service_report(index);
        // Children of its own, of which it should have none.
        self.kill_service(index);
        let service = &mut self.services[index];
        service.pid = None;
        let name = service.entry.name.clone();
        if let Some(link) = service.link.take() {
            self.poller.forget(&link);
        }
        self.forget_waiters(&name);
        self.forget_tpm_question(&name);
        if self.ending.is_none() {
            say!("{name} {end}");
            self.plan_restart(index);
        }
    }

    fn plan_restart(&mut self, index: usize) {
        let service = &mut self.services[index];
        if service.entry.restart != Restart::Always {
            return;
        }
        let now = uptime();
        match after_end(now.saturating_sub(service.started), service.crashes) {
            Next::Restart { delay, crashes } => {
                (service.crashes, service.again) = (crashes, Some(now + delay));
                self.timers.arm(now + delay, Timer::Service(index));
            }
            Next::GiveUp => say!(
                "FAILED to keep {} up: it ended {} times in a row; it stays down until the host is restarted",
                service.entry.name,
                service.crashes
            ),
        }
    }

    /// A service's last words are over, or it is to be started again: one that was waited for when it closed its channel
    /// may have ended since, and is not to be started before its time.
    pub(super) fn handle_service_timer(&mut self, index: usize) {
        let service = &mut self.services[index];
        if self.ending.is_some() || service.link.is_some() {
            return;
        }
        if service.is_alive() && service.has_channel() {
            say!("{} is ended: it closed its channel", service.entry.name);
            self.kill_service(index);
        } else if !service.is_alive() && service.again.is_some_and(|again| again <= uptime()) {
            service.restarts += 1;
            self.start_service(index);
        }
    }

    /// The boot's last line, when every service of ours has got as far as its program.
    fn announce_ready(&self) {
        let first = |s: &Service| s.restarts == 0 && s.report.is_none() && s.is_alive();
        if self.services.iter().filter(|s| s.has_channel()).all(first) {
            console::raw(&format!("init: ready in {:.1} s", uptime().as_secs_f64()));
        }
    }
}

fn plan<'a>(
    entry: &table::Service,
    more: &[String],
    descriptors: Vec<BorrowedFd<'a>>,
    cgroup: BorrowedFd<'a>,
    filters: &'a Filters,
) -> Result<Plan<'a>, Failed> {
    let (fence, calls) = bounds::of(entry).map(|bounds| (bounds.fence, bounds.calls)).unzip();
    let text = |s: &str| CString::new(s).step(|| format!("read the table's entry of {}", entry.name));
    let name = entry.exec.rsplit('/').next().unwrap_or_default();
    let argv = std::iter::once(name).chain(entry.args.iter().chain(more).map(String::as_str));
    let capabilities: Result<CapsHashSet, _> =
        entry.capabilities.iter().map(|c| c.parse::<Capability>()).collect();
    Ok(Plan {
        program: Program::Paths(vec![text(&entry.exec)?]),
        argv: argv.map(text).collect::<Result<_, _>>()?,
        env: vec![],
        descriptors,
        cgroup: Some(cgroup),
        namespaces: Namespaces::default(),
        root: None,
        host_name: None,
        limits: vec![(Resource::Nofile, 65_536), (Resource::Core, 0)],
        uid: entry.uid,
        capabilities: capabilities.step(|| format!("read the capabilities of {}", entry.name))?,
        context: Some(labels::process(&entry.domain)),
        fence,
        no_new_code: true,
        filter: calls.map(|kind| filters.of(kind)),
        // When memory is short, tenants go first.
        oom_score: -900,
    })
}
