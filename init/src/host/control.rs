//! What control may ask, and the answers. Control decides, this carries out; every request is checked again here, since
//! control is what parses bytes from the network.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use kennel_model::msg::{
    Cause, ControlReply, ControlRequest, FromControl, HostStatus, Refusal, RequestId, SlotEvent, ToControl,
};
use kennel_model::{LaunchSpec, NodeName, SlotId, SlotState};
use kennel_sys::memfd::is_sealed;
use kennel_sys::power::End;

use super::Host;
use super::link::Outgoing;
use super::services::Service;
use super::waiting::{Starter, Who};
use crate::console::{self, uptime};
use crate::say;
use crate::slot::folders;
use crate::slot::install::Act;
use crate::slot::ladder::Event;
use crate::slot::quota;
use crate::step::Failed;

/// Longest line that control may announce.
const MAX_LINE: usize = 200;

impl Host {
    pub(super) fn on_control(&mut self, message: FromControl, fds: Vec<OwnedFd>) {
        let FromControl { id, request } = message;
        // `None` when the answer comes later, from where the act ends.
        if let Some(result) = self.answer(id, request, fds) {
            self.reply(id, result, vec![]);
        }
    }

    fn answer(
        &mut self,
        id: RequestId,
        request: ControlRequest,
        fds: Vec<OwnedFd>,
    ) -> Option<Result<ControlReply, Refusal>> {
        if let Some(slot) = slot_of(&request)
            && slot.index() >= self.facts.slots
        {
            return Some(invalid(format!("{slot:?} is not in this image, which has {}", self.facts.slots)));
        }
        if self.ending.is_some() && !matches!(request, ControlRequest::Status | ControlRequest::Counters(_)) {
            return Some(Err(Refusal::Busy("the host is shutting down".into())));
        }
        match request {
            ControlRequest::Prepare(slot) => Some(self.prepare(slot)),
            ControlRequest::Configure(slot, spec) => Some(self.configure(slot, spec)),
            ControlRequest::Start(slot, cause) => self.start_for_control(slot, cause, id).err().map(Err),
            ControlRequest::StartOnce(slot) if self.slots.get(&slot).is_some_and(|s| s.was_started) => {
                Some(Ok(ControlReply::Done))
            }
            ControlRequest::StartOnce(slot) => {
                self.start_for_control(slot, Cause::always_on(), id).err().map(Err)
            }
            ControlRequest::Sleep(slot, depth) => self.put_to_sleep(slot, depth, id).err().map(Err),
            ControlRequest::Stop(slot) => self.stop_slot(slot, Some(id)).err().map(Err),
            ControlRequest::Wipe(slot) => self.begin_wipe(slot, id).err().map(Err),
            ControlRequest::Unpack { slot, release, limits, onto } => {
                self.begin_unpack(slot, Act::Unpack(release, limits, onto), id).err().map(Err)
            }
            ControlRequest::ListRelease(slot, release) => {
                self.begin_telling(slot, Act::List(release), id).err().map(Err)
            }
            ControlRequest::SaveRelease(slot, release) => {
                self.begin_telling(slot, Act::SaveRelease(release), id).err().map(Err)
            }
            ControlRequest::BeginBuild(slot, release, limits) => {
                self.begin_build(slot, (release, limits), id).err().map(Err)
            }
            ControlRequest::EndBuild { slot, release, limits, onto } => {
                self.begin_telling(slot, Act::EndBuild(release, limits, onto), id).err().map(Err)
            }
            ControlRequest::SaveData(slot) => self.begin_telling(slot, Act::SaveData, id).err().map(Err),
            ControlRequest::RestoreData(slot, limits) => self.begin_restore(slot, limits, id).err().map(Err),
            ControlRequest::TakeData(slot) => self.take_data(slot, id).err().map(Err),
            ControlRequest::RemoveRelease(slot, release) => {
                self.begin_removal(slot, Act::Remove(release), id).err().map(Err)
            }
            ControlRequest::PublishRoutes => self.publish(fds, id).err().map(Err),
            ControlRequest::PublishCertificates => self.publish_certificates(fds, id).err().map(Err),
            ControlRequest::RunTask { slot, task, spec, io } => {
                self.begin_task(slot, task, spec, io, id).err().map(Err)
            }
            ControlRequest::StopTask(task) => {
                self.stop_task(task);
                Some(Ok(ControlReply::Done))
            }
            ControlRequest::AskTask(task, ask) => self.ask_task(task, ask, id).err().map(Err),
            ControlRequest::Promote(task, spec) => Some(self.promote(task, &spec)),
            ControlRequest::Show { slot, spec, task } => Some(self.show(slot, spec, task)),
            ControlRequest::Hide(slot, release) => {
                self.hide(slot, release);
                Some(Ok(ControlReply::Done))
            }
            ControlRequest::StartAcme => Some(self.start_asked(kennel_model::services::ACME)),
            ControlRequest::Status => Some(Ok(ControlReply::Status(Box::new(self.status())))),
            ControlRequest::Counters(from) => Some(Ok(ControlReply::Counters(Box::new(self.counters(from))))),
            ControlRequest::Announce(text) => Some(announce(&text)),
            ControlRequest::Name(name) => Some(rename(&name)),
            ControlRequest::PowerOff => Some(self.end_by_request(End::PowerOff)),
            ControlRequest::Reboot => Some(self.end_by_request(End::Reboot)),
            ControlRequest::SetEgress(slot, list) => self.set_egress(slot, list, id),
            ControlRequest::TimeServers(servers) => Some(self.set_time_servers(servers)),
            ControlRequest::Drain(wanted) => self.drain(wanted, id),
            ControlRequest::CountEgress(slot) => self.count_egress(slot, id).err().map(Err),
            ControlRequest::Tpm(question) => self.ask_tpm(id, question).err().map(Err),
        }
    }

    fn start_for_control(&mut self, slot: SlotId, cause: Cause, id: RequestId) -> Result<(), Refusal> {
        self.start_slot(slot, Starter { who: Who::Control(id), cause })
    }

    fn prepare(&self, slot: SlotId) -> Result<ControlReply, Refusal> {
        if self.slots.get(&slot).is_some_and(|s| s.wipe.is_some()) {
            return Err(Refusal::Busy("it is being wiped".into()));
        }
        folders::prepare(slot).map_err(failed)?;
        Ok(ControlReply::Done)
    }

    fn configure(&mut self, slot: SlotId, spec: LaunchSpec) -> Result<ControlReply, Refusal> {
        spec.validate().map_err(|e| Refusal::Invalid(e.to_string()))?;
        if !self.facts.runtimes.iter().any(|r| r.name == spec.runtime) {
            return invalid(format!("this image has no runtime {}", spec.runtime));
        }
        let entry = self.slots.entry(slot).or_default();
        if entry.wipe.is_some() {
            return Err(Refusal::Busy("it is being wiped".into()));
        }
        quota::limit(slot, &spec.limits).map_err(failed)?;
        let is_new = entry.spec.replace(Rc::new(spec)).is_none();
        self.feed(slot, Event::Configured);
        if is_new {
            self.sweep_new_data(slot);
        }
        Ok(ControlReply::Done)
    }

    fn publish(&mut self, fds: Vec<OwnedFd>, id: RequestId) -> Result<(), Refusal> {
        self.routes = Some(one_sealed(fds)?);
        self.send_routes(Some(id));
        Ok(())
    }

    fn publish_certificates(&mut self, fds: Vec<OwnedFd>, id: RequestId) -> Result<(), Refusal> {
        self.certificates = Some(one_sealed(fds)?);
        self.send_certificates(Some(id));
        Ok(())
    }

    fn status(&self) -> HostStatus {
        let slots = self.slots.iter().filter(|(_, s)| s.state.public() != SlotState::Stopped);
        HostStatus {
            slots: slots.map(|(id, s)| (*id, s.state.public())).collect(),
            services: self.services.iter().filter(|s| self.is_shown(s)).map(Service::status).collect(),
            uptime_ms: u64::try_from(uptime().as_millis()).unwrap_or(u64::MAX),
            name: own_name(),
            addresses: self.network.as_ref().map(super::network::Network::addresses).unwrap_or_default(),
            processors: self.processors,
            clock: self.clock_status(),
            draining: self.draining.is_some(),
            memory: Self::memory(),
        }
    }

    fn end_by_request(&mut self, how: End) -> Result<ControlReply, Refusal> {
        self.begin_ending(how, "control asks for it");
        Ok(ControlReply::Done)
    }

    pub(super) fn reply(
        &mut self,
        id: RequestId,
        result: Result<ControlReply, Refusal>,
        fds: Vec<Rc<OwnedFd>>,
    ) {
        self.send("control", Outgoing::Control(ToControl::Reply { id, result }), fds);
    }

    pub(super) fn tell_control(&mut self, event: SlotEvent) {
        self.send("control", Outgoing::Control(ToControl::Slot(event)), vec![]);
    }
}

/// A table for the proxy.
fn one_sealed(mut fds: Vec<OwnedFd>) -> Result<Rc<OwnedFd>, Refusal> {
    match (fds.pop(), fds.is_empty()) {
        (Some(fd), true) if is_sealed(&fd) => Ok(Rc::new(fd)),
        _ => Err(Refusal::Invalid("a table comes in one sealed memfd".to_owned())),
    }
}

/// The slot that a request is about.
const fn slot_of(request: &ControlRequest) -> Option<SlotId> {
    match request {
        ControlRequest::Prepare(slot)
        | ControlRequest::Configure(slot, _)
        | ControlRequest::Start(slot, _)
        | ControlRequest::StartOnce(slot)
        | ControlRequest::Sleep(slot, _)
        | ControlRequest::Stop(slot)
        | ControlRequest::Wipe(slot)
        | ControlRequest::Unpack { slot, .. }
        | ControlRequest::ListRelease(slot, _)
        | ControlRequest::SaveRelease(slot, _)
        | ControlRequest::BeginBuild(slot, ..)
        | ControlRequest::EndBuild { slot, .. }
        | ControlRequest::SaveData(slot)
        | ControlRequest::RestoreData(slot, _)
        | ControlRequest::TakeData(slot)
        | ControlRequest::RunTask { slot, .. }
        | ControlRequest::Show { slot, .. }
        | ControlRequest::Hide(slot, _)
        | ControlRequest::RemoveRelease(slot, _)
        | ControlRequest::SetEgress(slot, _)
        | ControlRequest::CountEgress(slot) => Some(*slot),
        ControlRequest::PublishRoutes
        | ControlRequest::PublishCertificates
        | ControlRequest::StartAcme
        | ControlRequest::StopTask(_)
        | ControlRequest::AskTask(..)
        | ControlRequest::Promote(..)
        | ControlRequest::Status
        | ControlRequest::Counters(_)
        | ControlRequest::Announce(_)
        | ControlRequest::Name(_)
        | ControlRequest::Tpm(_)
        | ControlRequest::TimeServers(_)
        | ControlRequest::Drain(_)
        | ControlRequest::PowerOff
        | ControlRequest::Reboot => None,
    }
}

fn announce(text: &str) -> Result<ControlReply, Refusal> {
    if text.chars().count() > MAX_LINE || text.chars().any(char::is_control) {
        return invalid(format!("a line has at most {MAX_LINE} printable characters"));
    }
    // Whatever it says, it says in its own name.
    console::raw(&format!("control: {}", text.strip_prefix("control: ").unwrap_or(text)));
    Ok(ControlReply::Done)
}

/// Programs of tenants have names of their own, in UTS namespaces of their own.
fn rename(name: &NodeName) -> Result<ControlReply, Refusal> {
    let before = own_name();
    if before != name.as_str() {
        let set = rustix::system::sethostname(name.as_str().as_bytes());
        set.map_err(|cause| Refusal::Failed(format!("cannot name the host {name}: {cause}")))?;
        say!("this host is called {name} now, and was {before}");
    }
    Ok(ControlReply::Done)
}

/// What the kernel calls the host.
fn own_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn invalid<T>(why: String) -> Result<T, Refusal> {
    Err(Refusal::Invalid(why))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn failed(e: Failed) -> Refusal {
    Refusal::Failed(e.to_string())
}
