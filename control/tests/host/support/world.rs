//! A stand-in for init and the host: keeps the slots as init would, unpacks archives as `kennel-unpack` would, and can
//! break off at any request. What a power cut would lose and what it would keep are held apart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use kennel_model::certificate::CertificateTable;
use kennel_model::clock::Clock;
use kennel_model::counters::{Counters, SlotCounters};
use kennel_model::egress::Egress;
use kennel_model::memory::{Memory, Pressure, Reclaimed, Swap};
use kennel_model::msg::{
    ControlReply, ControlRequest, Depth, FromControl, HostStatus, Refusal, Rung, ServiceStatus, SlotEvent,
    ToControl, UnpackReport,
};
use kennel_model::routes::RouteTable;
use kennel_model::task::{Asked, TaskId, TaskIo};
use kennel_model::{LaunchSpec, ReleaseId, SlotId, SlotState};
use kennel_sys::Channel;

use super::pipes::{printed, published, read_archive, read_changes, write_report};

/// The host as init sees it; it outlives every control.
#[derive(Default)]
pub(crate) struct World {
    /// On disk.
    pub(crate) slots: BTreeMap<SlotId, Slot>,
    /// In memory.
    pub(crate) routes: Option<RouteTable>,
    pub(crate) certificates: Option<CertificateTable>,
    /// Lines for the console.
    pub(crate) announced: Vec<String>,
    /// What the host is called.
    pub(crate) name: String,
    /// Whom it asks for the time.
    pub(crate) time_servers: Vec<SocketAddr>,
    /// It takes no requests.
    pub(crate) draining: bool,
    /// Every request in the order of its arrival.
    pub(crate) requests: Vec<ControlRequest>,
    /// To the control that runs now.
    pub(crate) channel: Option<Arc<Channel>>,
    /// What the probing program prints.
    pub(crate) villain_says: String,
    /// The other end of the way to `kennel-acme`, until it has been started.
    pub(crate) acme: Option<OwnedFd>,
    /// What the TPM answers, where there is one.
    pub(crate) tpm: Option<kennel_model::tpm::Answer>,
    /// Times that control was started again since the boot.
    pub(crate) control_restarts: u32,
    /// What runs beside programs.
    pub(crate) tasks: BTreeMap<TaskId, super::tasks::Task>,
    /// What a program on trial answers, one after the other, and the last ever after; nothing: it is ready.
    pub(crate) asked: VecDeque<Asked>,
    /// When to break the channel.
    pub(crate) break_at: Option<Break>,
    /// Requests that are to be refused, by the beginning of their debug text.
    pub(crate) refuse: Option<(&'static str, Refusal)>,
    /// Releases whose programs end as soon as they have started.
    pub(crate) broken: BTreeSet<u32>,
    /// Packages cannot be fetched.
    pub(crate) builds_fail: bool,
    /// Uploads wait until it is false.
    pub(crate) hold_unpacking: bool,
    /// What the programs that read counters print, for IPv4 and IPv6.
    pub(crate) counters: (String, String),
    /// What slots have spent.
    pub(crate) spent: BTreeMap<SlotId, SlotCounters>,
    /// Which start of the host this is.
    pub(crate) boot: u64,
    /// For how long it has been up.
    pub(crate) uptime_ms: u64,
    /// Where slots have their folders.
    pub(crate) slots_dir: PathBuf,
}

/// One slot's files and program.
#[derive(Default, Debug)]
pub(crate) struct Slot {
    /// On disk.
    pub(crate) releases: BTreeSet<u32>,
    /// A `kennel-unpack` at work; its files are on disk until it is done.
    pub(crate) incoming: Option<u32>,
    /// Which release is made complete; its files are on disk beside it until it is.
    pub(crate) build: Option<u32>,
    /// In memory: what the next start runs.
    pub(crate) spec: Option<LaunchSpec>,
    /// In memory: what runs.
    pub(crate) running: Option<LaunchSpec>,
    /// In memory: what is shown beside it.
    pub(crate) shown: Option<LaunchSpec>,
    /// On disk.
    pub(crate) data: super::data::Data,
    /// In the packet filter: what it may connect to, when control has said so.
    pub(crate) egress: Option<Egress>,
}

/// At which request control is cut off, counted from 1, and whether init acts on it first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Break {
    pub(crate) at: usize,
    pub(crate) acted: bool,
}

/// A world that threads share.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<(Mutex<World>, Condvar)>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.0.lock().unwrap()
    }

    /// Lets waiting uploads look again.
    pub(crate) fn wake(&self) {
        self.0.1.notify_all();
    }

    /// Waits, within reason, until the world is as wanted.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&World) -> bool) {
        let (world, timed_out) =
            self.0.1.wait_timeout_while(self.lock(), Duration::from_secs(60), |world| !wanted(world)).unwrap();
        assert!(!timed_out.timed_out(), "never: {what}; {:?}", world.slots);
    }

    /// Everything that is only in memory is gone.
    pub(crate) fn cut_power(&self) {
        let mut world = self.lock();
        world.routes = None;
        world.certificates = None;
        for slot in world.slots.values_mut() {
            (slot.spec, slot.running, slot.egress) = (None, None, None);
        }
    }

    /// Serves one control until either side breaks off.
    pub(crate) fn serve(&self, channel: Channel) -> thread::JoinHandle<()> {
        let shared = self.clone();
        let channel = Arc::new(channel);
        self.lock().channel = Some(Arc::clone(&channel));
        thread::spawn(move || {
            while let Ok(Some((message, fds))) = channel.recv::<FromControl>() {
                if !shared.handle(&channel, message, fds) {
                    break;
                }
            }
            rustix::net::shutdown(&*channel, rustix::net::Shutdown::Both).ok();
        })
    }

    /// Tells control something by itself.
    pub(crate) fn tell(&self, message: &ToControl) {
        self.lock().channel.as_ref().expect("control was started").send(message, &[]).unwrap();
    }

    /// False when the channel is to be broken now.
    fn handle(&self, channel: &Channel, message: FromControl, fds: Vec<OwnedFd>) -> bool {
        let mut world = self.lock();
        // Control looks whenever it likes: that is no act to be cut off at.
        if let ControlRequest::Counters(from) = message.request {
            let result = Ok(ControlReply::Counters(Box::new(world.counters(from))));
            return channel.send(&ToControl::Reply { id: message.id, result }, &[]).is_ok();
        }
        world.requests.push(message.request.clone());
        let breaks = world.break_at.filter(|b| b.at == world.requests.len());
        if breaks.is_some_and(|b| !b.acted) {
            return false;
        }
        let (result, give) = match self.act(&mut world, channel, message.request, fds) {
            Ok((reply, give)) => (Ok(reply), give),
            Err(refusal) => (Err(refusal), vec![]),
        };
        drop(world);
        self.wake();
        if breaks.is_some() {
            return false;
        }
        let give: Vec<_> = give.iter().map(AsFd::as_fd).collect();
        channel.send(&ToControl::Reply { id: message.id, result }, &give).is_ok()
    }

    fn act(
        &self,
        world: &mut World,
        channel: &Channel,
        request: ControlRequest,
        fds: Vec<OwnedFd>,
    ) -> Result<(ControlReply, Vec<OwnedFd>), Refusal> {
        if let Some((prefix, refusal)) = &world.refuse
            && format!("{request:?}").starts_with(prefix)
        {
            return Err(refusal.clone());
        }
        match request {
            ControlRequest::Prepare(slot) => {
                std::fs::create_dir_all(world.slots_dir.join(slot.to_string()).join("log")).unwrap();
                world.slots.entry(slot).or_default();
            }
            ControlRequest::Configure(slot, spec) => {
                spec.validate().map_err(|e| Refusal::Invalid(e.to_string()))?;
                world.slot(slot)?.spec = Some(spec);
            }
            ControlRequest::Start(slot, _) | ControlRequest::StartOnce(slot) => world.start(channel, slot)?,
            ControlRequest::Sleep(slot, depth) => world.sleep(channel, slot, depth)?,
            ControlRequest::Stop(slot) => world.stop(channel, slot)?,
            ControlRequest::Wipe(slot) => world.wipe(channel, slot)?,
            ControlRequest::Unpack { slot, release, onto, .. } => {
                let pipes = self.unpack(world, slot, release.0, onto.map(|onto| onto.0))?;
                return Ok((ControlReply::Done, pipes));
            }
            ControlRequest::BeginBuild(slot, release, _) => {
                let slot = world.slot(slot)?;
                assert!(slot.releases.contains(&release.0), "{release} is built, and not there");
                slot.build = Some(release.0);
            }
            ControlRequest::EndBuild { slot, release, onto, .. } => {
                let slot = world.slot(slot)?;
                assert_eq!(slot.build.take(), Some(release.0), "{release} is not what is built");
                assert!(
                    onto.is_none_or(|onto| slot.releases.contains(&onto.0)),
                    "onto {onto:?}, which is not there"
                );
                return Ok((ControlReply::Done, vec![super::pipes::built()]));
            }
            ControlRequest::SaveData(slot) => {
                return Ok((ControlReply::Done, super::data::save(&world.slot(slot)?.data)));
            }
            ControlRequest::SaveRelease(slot, release) => {
                assert!(world.slot(slot)?.releases.contains(&release.0), "{release} is saved, and not there");
                return Ok((ControlReply::Done, super::data::save_release(release.0)));
            }
            ControlRequest::RestoreData(slot, _) => {
                return Ok((ControlReply::Done, super::data::restore(self, slot)));
            }
            ControlRequest::TakeData(slot) => super::data::take(world, channel, slot)?,
            ControlRequest::ListRelease(slot, release) => {
                assert!(world.slot(slot)?.releases.contains(&release.0), "{release} is listed, and not there");
                return Ok((ControlReply::Done, vec![printed(&format!("what release {} holds", release.0))]));
            }
            ControlRequest::RemoveRelease(slot, release) => {
                let slot = world.slot(slot)?;
                if slot.incoming == Some(release.0) {
                    return Err(Refusal::Busy("unpacking".into()));
                }
                slot.releases.remove(&release.0);
                slot.build = None;
            }
            ControlRequest::RunTask { slot, task, spec, io } => {
                let channel = Arc::clone(world.channel.as_ref().expect("control was started"));
                let ends = io == TaskIo::Trial && world.broken.contains(&spec.release.0);
                let given = super::tasks::start(self, channel, task, &spec, io);
                world.tasks.insert(task, super::tasks::Task { slot, spec, stopped: ends });
                return Ok((ControlReply::Done, given));
            }
            ControlRequest::StopTask(task) => {
                world.tasks.entry(task).and_modify(|task| task.stopped = true);
            }
            ControlRequest::AskTask(task, _) => {
                let gone = || Refusal::Failed("it has ended".into());
                world.tasks.get(&task).filter(|task| !task.stopped).ok_or_else(gone)?;
                // The last answer is given from then on.
                let asked =
                    if world.asked.len() > 1 { world.asked.pop_front() } else { world.asked.front().copied() };
                return Ok((ControlReply::Asked(asked.unwrap_or(Asked::Accepted)), vec![]));
            }
            ControlRequest::Show { slot, spec, task } => return Ok((world.show(slot, spec, task)?, vec![])),
            ControlRequest::Hide(slot, release) => world.hide(slot, release)?,
            ControlRequest::Promote(task, spec) => world.promote(channel, task, &spec)?,
            ControlRequest::PublishRoutes => world.publish(fds)?,
            ControlRequest::PublishCertificates => world.publish_certificates(fds)?,
            ControlRequest::StartAcme => world.start_acme(),
            ControlRequest::Announce(line) => world.announced.push(line),
            ControlRequest::Name(name) => world.name = name.to_string(),
            ControlRequest::TimeServers(servers) => world.time_servers = servers,
            ControlRequest::Drain(wanted) => world.draining = wanted,
            ControlRequest::Status => return Ok((ControlReply::Status(Box::new(world.status())), vec![])),
            ControlRequest::SetEgress(slot, list) => world.slot(slot)?.egress = Some(list),
            ControlRequest::CountEgress(_) => {
                let pipes = [&world.counters.0, &world.counters.1].map(|text| printed(text));
                return Ok((ControlReply::Done, pipes.into()));
            }
            ControlRequest::Tpm(_) => {
                let answer = world.tpm.clone().ok_or_else(|| Refusal::Invalid("no TPM".into()))?;
                return Ok((ControlReply::Tpm(answer), vec![]));
            }
            ControlRequest::PowerOff | ControlRequest::Reboot | ControlRequest::Counters(_) => {}
        }
        Ok((ControlReply::Done, vec![]))
    }

    /// A thread does what `kennel-unpack` does, also when control is gone.
    fn unpack(
        &self,
        world: &mut World,
        slot: SlotId,
        release: u32,
        onto: Option<u32>,
    ) -> Result<Vec<OwnedFd>, Refusal> {
        let place = world.slot(slot)?;
        if place.incoming.is_some() || place.releases.contains(&release) {
            return Err(Refusal::Invalid(format!("release {release} exists or another is unpacked")));
        }
        assert!(onto.is_none_or(|onto| place.releases.contains(&onto)), "onto {onto:?}, which is not there");
        place.incoming = Some(release);
        let (archive, feed) = io::pipe().unwrap();
        let (report, mut say) = io::pipe().unwrap();
        let shared = self.clone();
        thread::spawn(move || {
            let said = if onto.is_some() { read_changes(archive) } else { read_archive(archive) };
            shared.wait("unpacking is let go on", |world| !world.hold_unpacking);
            if let Some(place) = shared.lock().slots.get_mut(&slot) {
                place.incoming = None;
                if matches!(said, UnpackReport::Done { .. }) {
                    place.releases.insert(release);
                }
            }
            shared.wake();
            write_report(&mut say, &said);
        });
        Ok(vec![feed.into(), report.into()])
    }
}

impl World {
    /// The program itself, on a thread; it runs until the test ends.
    fn start_acme(&mut self) {
        let Some(end) = self.acme.take() else { return };
        thread::spawn(move || {
            let service = kennel_acme::service::Service::new(vec![]).idle_after(Duration::from_secs(3600));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _ = runtime.block_on(kennel_acme::service::serve(Channel::from_fd(end), service));
        });
    }

    pub(super) fn slot(&mut self, slot: SlotId) -> Result<&mut Slot, Refusal> {
        self.slots.get_mut(&slot).ok_or_else(|| Refusal::Invalid(format!("{slot:?} was never prepared")))
    }

    fn start(&mut self, channel: &Channel, id: SlotId) -> Result<(), Refusal> {
        let slot = self.slot(id)?;
        assert!(slot.egress.is_some(), "{id:?} is started although nobody said what it may connect to");
        let spec = slot.spec.clone().ok_or_else(|| Refusal::Invalid("not configured".into()))?;
        assert!(slot.releases.contains(&spec.files.0), "a start of a release that is not there: {spec:?}");
        let broken = self.broken.contains(&spec.release.0);
        let slot = self.slot(id)?;
        let probes = spec.argv.first().is_some_and(|program| program == "./kennel-villain");
        slot.running = Some(spec);
        tell(channel, id, SlotState::Running);
        if broken {
            self.slot(id)?.running = None;
            tell(channel, id, SlotState::Failed);
        }
        if probes {
            let log = self.slots_dir.join(id.to_string()).join("log/0-1");
            std::fs::write(log, &self.villain_says).unwrap();
            self.slot(id)?.running = None;
            tell(channel, id, SlotState::Stopped);
        }
        Ok(())
    }

    /// The task has the number of what it relieves then, which sleeps.
    fn promote(&mut self, channel: &Channel, task: TaskId, spec: &LaunchSpec) -> Result<(), Refusal> {
        let kept = self.tasks.get(&task).filter(|task| !task.stopped);
        let kept = kept.ok_or_else(|| Refusal::Failed("it has ended".into()))?.clone();
        if kept.spec != *spec {
            return Err(Refusal::Invalid("that is not what is wanted any more".into()));
        }
        let slot = self.slot(kept.slot)?;
        let before = slot.running.take();
        (slot.spec, slot.running) = (Some(kept.spec.clone()), Some(kept.spec));
        let relieved = before.map(|spec| super::tasks::Task { slot: kept.slot, spec, stopped: false });
        self.tasks.entry(task).and_modify(|task| match relieved {
            Some(relieved) => *task = relieved,
            None => task.stopped = true,
        });
        tell(channel, kept.slot, SlotState::Running);
        Ok(())
    }

    fn show(&mut self, id: SlotId, spec: LaunchSpec, task: Option<TaskId>) -> Result<ControlReply, Refusal> {
        let is_its = |task: &&super::tasks::Task| !task.stopped && task.spec == spec;
        let gone = || Refusal::Failed("it has ended".into());
        if let Some(task) = task {
            self.tasks.get(&task).filter(is_its).ok_or_else(gone)?;
        }
        self.slot(id)?.shown = Some(spec);
        Ok(ControlReply::Shown(task.map(|_| id.last_port())))
    }

    fn hide(&mut self, id: SlotId, release: ReleaseId) -> Result<(), Refusal> {
        self.slot(id)?.shown.take_if(|shown| shown.release == release);
        Ok(())
    }

    fn sleep(&mut self, channel: &Channel, id: SlotId, depth: Depth) -> Result<(), Refusal> {
        let slot = self.slot(id)?;
        if slot.running.is_none() {
            return Ok(());
        }
        match depth {
            Depth::Frozen => tell(channel, id, SlotState::Frozen),
            Depth::Reclaimed => tell(channel, id, SlotState::Reclaimed),
            Depth::Stopped => self.stop(channel, id)?,
        }
        Ok(())
    }

    pub(super) fn stop(&mut self, channel: &Channel, id: SlotId) -> Result<(), Refusal> {
        self.slot(id)?.running = None;
        tell(channel, id, SlotState::Stopped);
        Ok(())
    }

    fn wipe(&mut self, channel: &Channel, id: SlotId) -> Result<(), Refusal> {
        if self.slots.get(&id).is_some_and(|slot| slot.incoming.is_some()) {
            return Err(Refusal::Busy("unpacking".into()));
        }
        self.slots.remove(&id);
        let _ = std::fs::remove_dir_all(self.slots_dir.join(id.to_string()));
        tell(channel, id, SlotState::Stopped);
        Ok(())
    }

    fn publish(&mut self, fds: Vec<OwnedFd>) -> Result<(), Refusal> {
        let table: RouteTable = published(fds)?;
        table.validate().unwrap();
        if let Some(old) = &self.routes {
            assert!(table.generation > old.generation, "{} after {}", table.generation, old.generation);
        }
        self.routes = Some(table);
        Ok(())
    }

    fn publish_certificates(&mut self, fds: Vec<OwnedFd>) -> Result<(), Refusal> {
        let table: CertificateTable = published(fds)?;
        if let Some(old) = &self.certificates {
            assert!(table.generation > old.generation, "{} after {}", table.generation, old.generation);
        }
        self.certificates = Some(table);
        Ok(())
    }

    /// One slot a piece, whatever fits.
    fn counters(&self, from: SlotId) -> Counters {
        let mut told = self.spent.range(from..);
        Counters {
            boot: self.boot,
            uptime_ms: self.uptime_ms,
            slots: told.next().map(|(id, counters)| (*id, *counters)).into_iter().collect(),
            next: told.next().map(|(id, _)| *id),
        }
    }

    fn status(&self) -> HostStatus {
        let running = self.slots.iter().filter(|(_, slot)| slot.running.is_some());
        HostStatus {
            slots: running.map(|(id, _)| (*id, SlotState::Running)).collect(),
            services: ["control"]
                .into_iter()
                .chain(self.tpm.as_ref().map(|_| "tpm"))
                .map(|name| running_service(name, self.control_restarts))
                .collect(),
            uptime_ms: 1234,
            name: self.name.clone(),
            addresses: vec![[10, 0, 2, 15].into()],
            processors: 2,
            clock: Clock { servers: self.time_servers.clone(), ..Clock::default() },
            draining: self.draining,
            memory: Memory {
                total_bytes: 1 << 30,
                available_bytes: 1 << 29,
                swap: Swap { total_bytes: 1 << 31, used_bytes: 1 << 20, ..Swap::default() },
                pressure: Pressure { some_avg10_bp: 123, full_avg10_bp: 45 },
                reclaimed: Reclaimed { anon_bytes: 3 << 20, file_bytes: 1 << 20 },
            },
        }
    }
}

fn running_service(name: &str, restarts: u32) -> ServiceStatus {
    ServiceStatus { name: name.into(), pid: Some(7), restarts }
}

fn tell(channel: &Channel, slot: SlotId, state: SlotState) {
    let _ = channel.send(
        &ToControl::Slot(SlotEvent {
            slot,
            state,
            from: Rung::Stopped,
            at_ms: 1000,
            reason: "as asked".into(),
        }),
        &[],
    );
}
