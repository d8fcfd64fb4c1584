//! The way to init: one task owns the channel, everyone else asks through [`Init`]. Requests are paired with their
//! replies by number, each has a deadline, and what init tells of the slots is kept here for whoever asks.

mod tasks;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_model::cloud::Report;
use kennel_model::counters::Counters;
use kennel_model::denial::Batch;
use kennel_model::msg::{
    ControlReply, ControlRequest, FromControl, HostStatus, Refusal, RequestId, Rung, SlotEvent, ToControl,
};
use kennel_model::{SlotId, SlotState};
use kennel_sys::{Channel, ChannelError, async_channel};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};

use crate::say;
pub use tasks::Started;
use tasks::Tasks;

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
/// Changes of slots that wait to be taken note of: every slot of the largest pool may be woken at once.
const CHANGES: usize = 8192;

/// What init tells of its own accord, to be kept.
#[derive(Debug)]
pub struct Told {
    /// Denied acts.
    pub denials: mpsc::Receiver<Batch>,
    /// What slots did.
    pub changes: mpsc::Receiver<Change>,
}

/// What a slot did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It does something else.
    Moved(SlotEvent),
    /// The program that was woken last takes requests.
    Woken {
        /// Whose.
        slot: SlotId,
        /// Where it was found.
        from: Rung,
        /// How long that took, in milliseconds.
        took_ms: u32,
    },
}

/// A handle for asking init; clones share the channel.
#[derive(Clone)]
pub struct Init {
    calls: mpsc::Sender<Call>,
    slots: Arc<Mutex<HashMap<SlotId, SlotEvent>>>,
    ends: Arc<Mutex<Ends>>,
    tasks: Arc<Tasks>,
    cloud: watch::Receiver<Option<Report>>,
}

/// The task that owns the channel; drive it with [`Link::run`].
pub struct Link {
    channel: AsyncFd<Channel>,
    calls: mpsc::Receiver<Call>,
    slots: Arc<Mutex<HashMap<SlotId, SlotEvent>>>,
    ends: Arc<Mutex<Ends>>,
    tasks: Arc<Tasks>,
    cloud: watch::Sender<Option<Report>>,
    denials: mpsc::Sender<Batch>,
    changes: mpsc::Sender<Change>,
    waiting: HashMap<RequestId, oneshot::Sender<Answer>>,
    last_id: RequestId,
}

/// How slots' programs have ended.
type Ends = HashMap<SlotId, End>;

/// How often a slot's program has ended since control started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// In any way, asked to or not.
    pub count: u64,
    /// Unasked.
    pub failures: u64,
    /// Why last.
    pub why: String,
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
    /// Takes the channel over; what is to be kept comes out at the receivers. Nothing is sent before [`Link::run`].
    ///
    /// # Errors
    /// The descriptor's.
    pub fn new(channel: Channel) -> Result<(Self, Link, Told), LinkError> {
        let (denials, batches) = mpsc::channel(BATCHES);
        let (changes, changed) = mpsc::channel(CHANGES);
        let (calls, queue) = mpsc::channel(QUEUE);
        let (slots, ends) = (Arc::new(Mutex::default()), Arc::new(Mutex::default()));
        let tasks = Arc::<Tasks>::default();
        let (cloud, heard) = watch::channel(None);
        let link = Link {
            channel: async_channel::register(channel)?,
            calls: queue,
            slots: Arc::clone(&slots),
            ends: Arc::clone(&ends),
            tasks: Arc::clone(&tasks),
            cloud,
            denials,
            changes,
            waiting: HashMap::new(),
            last_id: 0,
        };
        Ok((
            Self { calls, slots, ends, tasks, cloud: heard },
            link,
            Told { denials: batches, changes: changed },
        ))
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
            _ => Err(InitError::Nonsense),
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
                Ok(*status)
            }
            _ => Err(InitError::Nonsense),
        }
    }

    /// What slots have spent, piece by piece.
    ///
    /// # Errors
    /// [`InitError`].
    pub async fn counters(&self) -> Result<Counters, InitError> {
        let mut whole = Counters { next: SlotId::pool(1).next(), ..Counters::default() };
        while let Some(from) = whole.next {
            let asked = self.exchange(ControlRequest::Counters(from), vec![], Duration::from_secs(10)).await?;
            let (ControlReply::Counters(piece), _) = asked else { return Err(InitError::Nonsense) };
            // A piece leads on, or there would be no end to asking.
            if piece.next.is_some_and(|next| next <= from) {
                return Err(InitError::Nonsense);
            }
            (whole.boot, whole.uptime_ms, whole.next) = (piece.boot, piece.uptime_ms, piece.next);
            whole.slots.extend(piece.slots);
        }
        Ok(whole)
    }

    /// A slot's state, and why when there is something to say.
    pub fn slot(&self, slot: SlotId) -> (SlotState, Option<String>) {
        match self.slots().get(&slot) {
            Some(event) => (event.state, Some(event.reason.clone()).filter(|r| !r.is_empty())),
            None => (SlotState::Stopped, None),
        }
    }

    /// How the slot's program has ended: also one that was started again since.
    pub fn ends(&self, slot: SlotId) -> End {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.get(&slot).cloned().unwrap_or_default()
    }

    /// Slots with at least one process.
    pub fn running(&self) -> Vec<SlotId> {
        self.slots().values().filter(|e| e.state.is_alive()).map(|e| e.slot).collect()
    }

    /// Those of them that are not asleep.
    pub fn awake(&self) -> Vec<SlotId> {
        let awake = |state| matches!(state, SlotState::Running | SlotState::Stopping);
        self.slots().values().filter(|e| awake(e.state)).map(|e| e.slot).collect()
    }

    /// What the cloud says of the host, now and later; nothing where there is none. Known after the first answer of init's.
    pub fn cloud(&self) -> watch::Receiver<Option<Report>> {
        self.cloud.clone()
    }

    /// The slot was wiped: what is known of its last tenant is not the next one's.
    pub fn forget(&self, slot: SlotId) {
        self.slots().remove(&slot);
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
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
            let event = slots.entry(slot).or_insert_with(|| unheard(slot, state));
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
                // One that cannot be kept is one of thousands that came at once.
                let _ = self.changes.try_send(Change::Moved(event.clone()));
                if matches!(event.state, SlotState::Stopped | SlotState::Failed) {
                    let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
                    let end = ends.entry(event.slot).or_default();
                    end.count += 1;
                    end.failures += u64::from(event.state == SlotState::Failed);
                    end.why.clone_from(&event.reason);
                }
                self.slots.lock().unwrap_or_else(PoisonError::into_inner).insert(event.slot, event);
            }
            ToControl::TaskEnded(id, end) => self.tasks.ended(id, end),
            ToControl::Cloud(report) => {
                self.cloud.send_replace(Some(*report));
            }
            ToControl::Woken { slot, from, took_ms } => {
                let _ = self.changes.try_send(Change::Woken { slot, from, took_ms });
            }
            // When the disk is that slow, counts are the least of it.
            ToControl::Denials(batch) => {
                let _ = self.denials.try_send(batch);
            }
        }
    }
}

/// What a slot does, of which nothing was heard but that.
const fn unheard(slot: SlotId, state: SlotState) -> SlotEvent {
    SlotEvent { slot, state, from: Rung::Stopped, at_ms: 0, reason: String::new() }
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
