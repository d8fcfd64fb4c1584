//! The host at work: one thread, one loop. Whatever happens (a signal, a message, a deadline) is handled at once and
//! without waiting for anybody; what takes time is a child whose end is an event like any other.
//!
//! Each file here is one of the host's concerns, as methods of [`Host`]: `services` are started and supervised, `control`
//! and `proxy` say what may be asked by whom, `slots` and `rungs` carry out what the table in `slot/ladder.rs` decides, `jobs` runs
//! `kennel-unpack`, `tasks` whatever else is wanted in slots, `trials` lets a release take over from another, `files` opens folders for the proxy, `counters` says what slots have spent, `egress` loads slots' lists into the packet filter, `denials` passes
//! on what `kennel-audit` saw, `cloud` what `kennel-imds` heard, `pressure` makes room when memory is short, `shares` gives
//! reserved processor time, `clock` sets whom chronyd asks, `asked` starts what runs only when it is asked for, `tpm` asks the TPM, `drain` empties the host, `ending` shuts
//! down. The boot hands over a [`Setting`]; nothing here ever ends but by `ending`.

mod asked;
mod betas;
mod bounds;
mod clock;
mod cloud;
mod control;
mod counters;
mod data;
mod denials;
mod drain;
mod egress;
pub(crate) mod ending;
mod files;
mod handed;
mod jobs;
pub mod link;
pub mod network;
pub mod poller;
mod pressure;
mod proxy;
mod rungs;
mod services;
mod shares;
mod slots;
pub mod supervise;
mod tasks;
pub mod timers;
mod tpm;
mod trials;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::convert::Infallible;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use kennel_model::layout::ImageFacts;
use kennel_model::task::TaskId;
use kennel_model::{SlotId, denial, services as table};
use kennel_sys::Channel;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::{Pid, WaitOptions};

use crate::console::uptime;
use crate::slot::ending::End;
use crate::slot::launch::Surroundings;
use crate::step::{Failed, Step};
use ending::Ending;
use network::Network;
use poller::{Poller, Ready, Source};
use services::Service;
use slots::Slot;
use tasks::Task;
use timers::{Timer, Timers};

/// What the boot has prepared.
#[derive(Debug)]
pub struct Setting {
    /// What the image says of itself.
    pub facts: ImageFacts,
    /// What children need.
    pub surroundings: Surroundings,
    /// Services to start, with the listening sockets they are handed.
    pub services: Vec<table::Service>,
    /// Listening sockets by port.
    pub listeners: BTreeMap<u16, Vec<OwnedFd>>,
    /// The host's user-data, sealed.
    pub user_data: OwnedFd,
    /// Where the proxy's records go in, and where they come out; never read here.
    pub records: (Channel, Channel),
    /// Control's way to `kennel-acme`, and the other end; never read here.
    pub acme: (Channel, Channel),
    /// The kernel's log, open for reading.
    pub kernel_log: Option<OwnedFd>,
    /// The NIC, when there is one.
    pub network: Option<Network>,
    /// Power buttons.
    pub buttons: Vec<File>,
}

/// Which child a PID is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Child {
    Service(usize),
    Tenant(SlotId),
    Job(SlotId),
    Task(TaskId),
    /// Loads rules of the packet filter.
    Filter,
    /// Reads counters of the packet filter.
    Counter,
}

/// Everything that PID 1 knows. All of it is in memory only: what has to outlive a reboot is control's.
#[derive(Debug)]
pub struct Host {
    facts: ImageFacts,
    /// Random: who has counters of another boot sees that these began anew.
    boot: u64,
    surroundings: Surroundings,
    listeners: BTreeMap<u16, Vec<OwnedFd>>,
    user_data: OwnedFd,
    records: (Channel, Channel),
    acme: (Channel, Channel),
    kernel_log: Option<OwnedFd>,
    network: Option<Network>,
    buttons: Vec<File>,
    signals: SignalFd,
    poller: Poller,
    timers: Timers,
    services: Vec<Service>,
    slots: BTreeMap<SlotId, Slot>,
    tasks: BTreeMap<TaskId, Task>,
    children: HashMap<Pid, Child>,
    /// The route table as control last published it.
    routes: Option<Rc<OwnedFd>>,
    certificates: Option<Rc<OwnedFd>>,
    /// Of each table that the proxy was sent and has not taken yet, the oldest first, which request of control's waits for that.
    tables_sent: VecDeque<Option<kennel_model::msg::RequestId>>,
    /// What the cloud says of this machine, last; nothing where there is none.
    cloud: Option<kennel_model::cloud::Report>,
    asked_tpm: tpm::Asked,
    /// Questions of control's that the proxy has not answered yet.
    asks: BTreeSet<kennel_model::msg::RequestId>,
    /// Denied acts that control does not take yet.
    denials: Option<denial::Batch>,
    filter: egress::Filter,
    clock: clock::Watch,
    /// That programs can run on.
    processors: u16,
    /// Of what goes to swap.
    slice: rungs::Slice,
    memory: pressure::Watch,
    draining: Option<drain::Draining>,
    ending: Option<Ending>,
}

impl Host {
    /// Takes over from the boot.
    ///
    /// # Errors
    /// The system's.
    pub fn new(setting: Setting) -> Result<Self, Failed> {
        let signals = listen_to_signals().step(|| "listen to signals".to_owned())?;
        let poller = Poller::new()?;
        poller.add(&signals, Source::Signals)?;
        for (n, button) in (0..).zip(&setting.buttons) {
            poller.add(button, Source::Button(n))?;
        }
        let services: Vec<Service> = setting.services.into_iter().map(Service::new).collect();
        Ok(Self {
            facts: setting.facts,
            // Seeded by the kernel.
            boot: RandomState::new().hash_one(0),
            surroundings: setting.surroundings,
            listeners: setting.listeners,
            user_data: setting.user_data,
            records: setting.records,
            acme: setting.acme,
            kernel_log: setting.kernel_log,
            network: setting.network,
            buttons: setting.buttons,
            signals,
            poller,
            timers: Timers::default(),
            cloud: cloud::first(&services),
            services,
            slots: BTreeMap::new(),
            tasks: BTreeMap::new(),
            children: HashMap::new(),
            routes: None,
            certificates: None,
            tables_sent: VecDeque::new(),
            asked_tpm: tpm::Asked::Nothing,
            asks: BTreeSet::new(),
            denials: None,
            filter: egress::Filter::new().step(|| "read the packet filter's templates".to_owned())?,
            clock: clock::Watch::default(),
            slice: rungs::Slice::default(),
            processors: std::thread::available_parallelism()
                .map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX)),
            memory: pressure::Watch::default(),
            draining: None,
            ending: None,
        })
    }

    /// Starts the services and works until the machine ends.
    ///
    /// # Errors
    /// Only when there is no listening to anything any more.
    pub fn run(mut self) -> Result<Infallible, Failed> {
        for index in 0..self.services.len() {
            if self.services[index].entry.restart != table::Restart::Asked {
                self.start_service(index);
            }
        }
        self.memory = pressure::Watch::begin(&self.poller);
        self.look_at_memory(false);
        loop {
            for ready in self.poller.wait(self.timers.wait(uptime()))? {
                self.handle(ready);
            }
            // One at a time: where a slice of memory takes longer to compress than the pause until the next one is due, or
            // many programs' slices are due at once, there would always be another, and nobody would be listened to.
            if let Some(timer) = self.timers.due(uptime()) {
                self.handle_timer(timer);
            }
            self.continue_draining();
            self.continue_ending();
        }
    }

    fn handle(&mut self, ready: Ready) {
        match ready.source {
            Source::Signals => self.handle_signals(),
            Source::Button(n) => self.handle_button(n.into()),
            Source::Channel(n) => self.handle_channel(n.into(), ready),
            Source::ServiceReport(n) => self.handle_service_report(n.into()),
            Source::SlotReport(slot) => self.handle_slot_report(slot),
            Source::JobReport(slot) => self.handle_job_report(slot),
            Source::TaskReport(place) => self.handle_task_report(place),
            Source::Cgroup(slot) => self.handle_cgroup(slot, false),
            Source::Freezer(slot) => self.handle_freezer(slot),
            Source::Memory => self.look_at_memory(true),
        }
    }

    fn handle_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Slot(slot) => self.handle_slot_timer(slot),
            Timer::Job(slot) => self.handle_job_timer(slot),
            Timer::Task(task) => self.handle_task_timer(task),
            Timer::Cgroup(slot) => self.handle_cgroup(slot, true),
            Timer::Filter => self.handle_filter_timer(),
            Timer::Network => self.handle_network_timer(),
            Timer::Service(index) => self.handle_service_timer(index),
            Timer::Clock => self.look_at_clock(),
            Timer::Memory => self.handle_memory_timer(),
            Timer::Admission => self.handle_admission_timer(),
            // `continue_draining` and `continue_ending` look at the time themselves.
            Timer::Drain | Timer::Ending => {}
        }
    }

    fn handle_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == Signal::SIGINT as u32 {
                self.begin_ending(kennel_sys::power::End::Reboot, "Ctrl-Alt-Del");
            }
        }
        // One signal may stand for many children, so all that have ended are looked at whatever came.
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            self.handle_end(pid, status.into());
        }
    }

    /// A child has ended; others than ours are orphans, for which reaping is all.
    fn handle_end(&mut self, pid: Pid, end: End) {
        match self.children.remove(&pid) {
            Some(Child::Service(index)) => self.service_ended(index, end),
            Some(Child::Tenant(slot)) => self.tenant_ended(slot, end),
            Some(Child::Job(slot)) => self.job_ended(slot, end),
            Some(Child::Task(task)) => self.task_ended(task, end),
            Some(Child::Filter) => self.filter_ended(end),
            Some(Child::Counter) => self.counter_ended(pid),
            None => {}
        }
    }
}

fn listen_to_signals() -> nix::Result<SignalFd> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.add(Signal::SIGINT);
    mask.thread_block()?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// A time limit in milliseconds, as limits of slots have it.
const fn millis(n: u32) -> Duration {
    Duration::from_millis(n as u64)
}
