//! The way to init: one task owns the channel, everyone else asks through [`Init`]. Requests are paired with their
//! replies by number, each has a deadline, and what init tells of the slots is kept here for whoever asks.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_model::cloud::Report;
use kennel_model::denial::Batch;
use kennel_model::msg::{
    ControlReply, ControlRequest, FromControl, HostStatus, Refusal, RequestId, SlotEvent, ToControl,
};
use kennel_model::{SlotId, SlotState};
use kennel_sys::{Channel, ChannelError, async_channel};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};

use crate::say;

/// Requests that wait to be sent; more make their askers wait.
const QUEUE: usize = 64;

/// Why init did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// It said why.
    #[error("the host did not do it: {0}")]
    Refused(#[from] Refusal),
    /// No answer within the deadline.
    #[error("the host did not answer in {0:?}")]
    Deadline(Duration),
    /// The channel is closed; control is about to end.
    #[error("the host's control is stopping")]
    Gone,
    /// An answer of the wrong kind.
    #[error("the host's answer makes no sense")]
    Nonsense,
}

/// What ended the channel's task.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Init is gone or has given this control up.
    #[error("init closed the channel")]
    Closed,
    /// The channel's.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The event loop's.
    #[error("waiting for init: {0}")]
    Io(#[from] std::io::Error),
}

/// Batches of denied acts that wait to be kept. Init sends one at a time, a few a second at most.
const BATCHES: usize = 32;

/// A handle for asking init; clones share the channel.
#[derive(Clone)]
pub struct Init {
    calls: mpsc::Sender<Call>,
    slots: Arc<Mutex<HashMap<SlotId, SlotEvent>>>,
    cloud: watch::Receiver<Option<Report>>,
}

/// The task that owns the channel; drive it with [`Link::run`].
pub struct Link {
    channel: AsyncFd<Channel>,
    calls: mpsc::Receiver<Call>,
    slots: Arc<Mutex<HashMap<SlotId, SlotEvent>>>,
    cloud: watch::Sender<Option<Report>>,
    denials: mpsc::Sender<Batch>,
    waiting: HashMap<RequestId, oneshot::Sender<Answer>>,
    last_id: RequestId,
}

type Answer = Result<(ControlReply, Vec<OwnedFd>), Refusal>;

struct Call {
    request: ControlRequest,
    fds: Vec<OwnedFd>,
    answer: oneshot::Sender<Answer>,
}

struct Outgoing {
    message: FromControl,
    fds: Vec<OwnedFd>,
}

impl Init {
    /// Takes the channel over; denied acts come out at the receiver. Nothing is sent before [`Link::run`].
    ///
    /// # Errors
    /// The descriptor's.
    pub fn new(channel: Channel) -> Result<(Self, Link, mpsc::Receiver<Batch>), LinkError> {
        let (denials, batches) = mpsc::channel(BATCHES);
        let (calls, queue) = mpsc::channel(QUEUE);
        let slots = Arc::new(Mutex::default());
        let (cloud, heard) = watch::channel(None);
        let link = Link {
            channel: async_channel::register(channel)?,
            calls: queue,
            slots: Arc::clone(&slots),
            cloud,
            denials,
            waiting: HashMap::new(),
            last_id: 0,
        };
        Ok((Self { calls, slots, cloud: heard }, link, batches))
    }

    /// Asks for an act that is answered by `Done`, within the time that such an act may take.
    ///
    /// # Errors
    /// [`InitError`].
    pub async fn act(&self, request: ControlRequest, deadline: Duration) -> Result<(), InitError> {
        self.ask(request, vec![], deadline).await.map(|_| ())
    }

    /// Asks, with descriptors to go along; gives the reply's descriptors.
    ///
    /// # Errors
    /// [`InitError`].
    pub async fn ask(
        &self,
        request: ControlRequest,
        fds: Vec<OwnedFd>,
        deadline: Duration,
    ) -> Result<Vec<OwnedFd>, InitError> {
        match self.exchange(request, fds, deadline).await? {
            (ControlReply::Done, fds) => Ok(fds),
            (ControlReply::Status(_) | ControlReply::Tpm(_), _) => Err(InitError::Nonsense),
        }
    }

    /// What the host does; also brings the states known here up to date.
    ///
    /// # Errors
    /// [`InitError`].
    pub async fn status(&self) -> Result<HostStatus, InitError> {
        match self.exchange(ControlRequest::Status, vec![], Duration::from_secs(10)).await? {
            (ControlReply::Status(status), _) => {
                self.reconcile(&status);
                Ok(status)
            }
            (ControlReply::Done | ControlReply::Tpm(_), _) => Err(InitError::Nonsense),
        }
    }

    /// A slot's state, and why when there is something to say.
    pub fn slot(&self, slot: SlotId) -> (SlotState, Option<String>) {
        match self.slots().get(&slot) {
            Some(event) => (event.state, Some(event.reason.clone()).filter(|r| !r.is_empty())),
            None => (SlotState::Stopped, None),
        }
    }

    /// Slots with at least one process.
    pub fn running(&self) -> Vec<SlotId> {
        self.slots().values().filter(|e| e.state.is_alive()).map(|e| e.slot).collect()
    }

    /// What the cloud says of the host, now and later; nothing where there is none. Known after the first answer of init's.
    pub fn cloud(&self) -> watch::Receiver<Option<Report>> {
        self.cloud.clone()
    }

    /// The slot was wiped: what is known of its last tenant is not the next one's.
    pub fn forget(&self, slot: SlotId) {
        self.slots().remove(&slot);
    }

    /// A request and whatever it is answered by.
    pub(crate) async fn exchange(
        &self,
        request: ControlRequest,
        fds: Vec<OwnedFd>,
        deadline: Duration,
    ) -> Result<(ControlReply, Vec<OwnedFd>), InitError> {
        let (answer, reply) = oneshot::channel();
        let asked = async {
            self.calls.send(Call { request, fds, answer }).await.map_err(|_| InitError::Gone)?;
            reply.await.map_err(|_| InitError::Gone)
        };
        match tokio::time::timeout(deadline, asked).await {
            Ok(answer) => Ok(answer??),
            Err(_) => Err(InitError::Deadline(deadline)),
        }
    }

    /// Status lists all slots that are not stopped; an event that told more is kept where the state is the same.
    fn reconcile(&self, status: &HostStatus) {
        let mut slots = self.slots();
        let listed: HashMap<_, _> = status.slots.iter().copied().collect();
        for event in slots.values_mut().filter(|e| !listed.contains_key(&e.slot)) {
            event.state = SlotState::Stopped;
        }
        for (&slot, &state) in &listed {
            let event = slots.entry(slot).or_insert_with(|| SlotEvent { slot, state, reason: String::new() });
            if event.state != state {
                (event.state, event.reason) = (state, String::new());
            }
        }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<SlotId, SlotEvent>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Carries messages until init closes the channel.
    ///
    /// # Errors
    /// Always: [`LinkError`] says why it ended.
    pub async fn run(mut self) -> LinkError {
        let mut outgoing: Option<Outgoing> = None;
        loop {
            let step = tokio::select! {
                got = receive(&self.channel) => got.map(|(message, fds)| self.take(message, fds)),
                sent = transmit(&self.channel, outgoing.as_ref()), if outgoing.is_some() => {
                    outgoing = None;
                    sent
                }
                Some(call) = self.calls.recv(), if outgoing.is_none() => {
                    outgoing = Some(self.enlist(call));
                    Ok(())
                }
            };
            if let Err(error) = step {
                return error;
            }
        }
    }

    /// Numbers a request and remembers who waits for its answer.
    fn enlist(&mut self, call: Call) -> Outgoing {
        self.waiting.retain(|_, answer| !answer.is_closed());
        self.last_id = self.last_id.wrapping_add(1);
        self.waiting.insert(self.last_id, call.answer);
        Outgoing { message: FromControl { id: self.last_id, request: call.request }, fds: call.fds }
    }

    fn take(&mut self, message: ToControl, fds: Vec<OwnedFd>) {
        match message {
            // Nobody waits any longer: dropping the answer closes its descriptors, which ends what it was about.
            ToControl::Reply { id, result } => {
                if let Some(answer) = self.waiting.remove(&id) {
                    let _ = answer.send(result.map(|reply| (reply, fds)));
                }
            }
            ToControl::Slot(event) => {
                self.slots.lock().unwrap_or_else(PoisonError::into_inner).insert(event.slot, event);
            }
            ToControl::Cloud(report) => {
                self.cloud.send_replace(Some(*report));
            }
            // When the disk is that slow, counts are the least of it.
            ToControl::Denials(batch) => {
                let _ = self.denials.try_send(batch);
            }
        }
    }
}

/// The next message; a packet that is none is init's fault and skipped.
async fn receive(channel: &AsyncFd<Channel>) -> Result<(ToControl, Vec<OwnedFd>), LinkError> {
    loop {
        let mut ready = channel.readable().await?;
        match channel.get_ref().recv() {
            Ok(Some(message)) => return Ok(message),
            Ok(None) => return Err(LinkError::Closed),
            Err(ChannelError::WouldBlock) => ready.clear_ready(),
            Err(ChannelError::Bad(cause)) => say!("init's message was skipped: {cause}"),
            Err(other) => return Err(other.into()),
        }
    }
}

/// Sends one message, whole.
async fn transmit(channel: &AsyncFd<Channel>, outgoing: Option<&Outgoing>) -> Result<(), LinkError> {
    let Some(Outgoing { message, fds }) = outgoing else { return Ok(()) };
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    loop {
        let mut ready = channel.writable().await?;
        match channel.get_ref().send(message, &fds) {
            Ok(()) => return Ok(()),
            Err(ChannelError::WouldBlock) => ready.clear_ready(),
            // The asker's deadline ends its wait; the channel is as good as before.
            Err(ChannelError::Bad(cause)) => {
                say!("a message to init was not sent: {cause}");
                return Ok(());
            }
            Err(ChannelError::Closed) => return Err(LinkError::Closed),
            Err(other) => return Err(other.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn slot(n: u16) -> SlotId {
        SlotId::new(n).unwrap()
    }

    fn event(n: u16, state: SlotState, reason: &str) -> SlotEvent {
        SlotEvent { slot: slot(n), state, reason: reason.into() }
    }

    /// Both ends: control's handle with its task running, and init's end of the channel.
    fn pair() -> (Init, Channel, tokio::task::JoinHandle<LinkError>) {
        let (ours, theirs) = Channel::pair().unwrap();
        let (init, link, _) = Init::new(ours).unwrap();
        (init, theirs, tokio::spawn(link.run()))
    }

    /// Init's next request, received without holding up the event loop.
    async fn next(init: Channel) -> (FromControl, Channel) {
        tokio::task::spawn_blocking(move || (init.recv::<FromControl>().unwrap().unwrap().0, init))
            .await
            .unwrap()
    }

    fn reply(init: &Channel, id: RequestId, result: Result<ControlReply, Refusal>) {
        init.send(&ToControl::Reply { id, result }, &[]).unwrap();
    }

    #[tokio::test]
    async fn answers_find_their_askers_in_any_order() {
        let (init, theirs, _task) = pair();
        let ask = |n| {
            let init = init.clone();
            tokio::spawn(async move { init.act(ControlRequest::Prepare(slot(n)), SOON).await })
        };
        let first = ask(1);
        let (a, theirs) = next(theirs).await;
        let second = ask(2);
        let (b, theirs) = next(theirs).await;
        assert_eq!(b.request, ControlRequest::Prepare(slot(2)));
        reply(&theirs, b.id, Ok(ControlReply::Done));
        reply(&theirs, a.id, Err(Refusal::Failed("no space".into())));
        second.await.unwrap().unwrap();
        assert_eq!(first.await.unwrap().unwrap_err().to_string(), "the host did not do it: no space");
    }

    #[tokio::test]
    async fn a_late_answer_is_dropped_with_its_descriptors() {
        let (init, theirs, _task) = pair();
        let late = init.act(ControlRequest::Prepare(slot(1)), Duration::from_millis(1)).await;
        assert!(matches!(late, Err(InitError::Deadline(_))));
        let (asked, theirs) = next(theirs).await;
        let (mut reader, writer) = std::io::pipe().unwrap();
        theirs
            .send(&ToControl::Reply { id: asked.id, result: Ok(ControlReply::Done) }, &[writer.as_fd()])
            .unwrap();
        drop(writer);
        let end =
            tokio::task::spawn_blocking(move || std::io::Read::read(&mut reader, &mut [0])).await.unwrap();
        assert_eq!(end.unwrap(), 0, "the write end is closed");
    }

    #[tokio::test]
    async fn events_and_status_make_one_picture() {
        let (init, theirs, _task) = pair();
        for event in [event(1, SlotState::Running, ""), event(2, SlotState::Failed, "exit 1 three times")] {
            theirs.send(&ToControl::Slot(event), &[]).unwrap();
        }
        let asking = tokio::spawn({
            let init = init.clone();
            async move { init.status().await }
        });
        let (asked, theirs) = next(theirs).await;
        let slots = vec![(slot(2), SlotState::Failed), (slot(3), SlotState::Stopping)];
        let status = HostStatus { slots, services: vec![], uptime_ms: 1, ..HostStatus::default() };
        reply(&theirs, asked.id, Ok(ControlReply::Status(status.clone())));
        assert_eq!(asking.await.unwrap().unwrap(), status);
        assert_eq!(init.slot(slot(1)), (SlotState::Stopped, None));
        assert_eq!(init.slot(slot(2)), (SlotState::Failed, Some("exit 1 three times".into())));
        assert_eq!(init.running(), [slot(3)]);
    }

    #[tokio::test]
    async fn the_end_of_init_ends_the_task_and_all_waits() {
        let (init, theirs, task) = pair();
        let asking = tokio::spawn(async move { init.act(ControlRequest::Prepare(slot(1)), SOON).await });
        let (_, theirs) = next(theirs).await;
        drop(theirs);
        assert!(matches!(task.await.unwrap(), LinkError::Closed));
        assert!(matches!(asking.await.unwrap(), Err(InitError::Gone)));
    }
}
