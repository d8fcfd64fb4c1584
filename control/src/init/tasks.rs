//! Tasks that init runs for control, and who waits for their ends.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_model::msg::{ControlReply, ControlRequest};
use kennel_model::task::{Ask, Asked, TaskEnd, TaskId, TaskIo};
use kennel_model::{LaunchSpec, SlotId};
use tokio::sync::oneshot;

use super::{Init, InitError};

/// Whose tasks run, and who waits for their ends.
type Waiting = HashMap<TaskId, (SlotId, oneshot::Sender<TaskEnd>)>;

/// Who waits for the ends of tasks.
#[derive(Debug)]
pub(super) struct Tasks {
    last: AtomicU32,
    waiting: Mutex<Waiting>,
}

/// A task that was started.
#[derive(Debug)]
pub struct Started {
    /// Its number.
    pub id: TaskId,
    /// Where what it reads goes in, and what it prints comes out, on its standard and its error output; none if it has no streams.
    pub streams: Vec<OwnedFd>,
    /// Comes when it has ended; never when init goes before.
    pub end: oneshot::Receiver<TaskEnd>,
}

impl Default for Tasks {
    /// Beginning anywhere: of the control before, some may still be on their way out, with numbers that it gave.
    fn default() -> Self {
        let first = RandomState::new().hash_one(0);
        Self { last: AtomicU32::new(first as u32), waiting: Mutex::default() }
    }
}

impl Tasks {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Init says that one has ended.
    pub(super) fn ended(&self, id: TaskId, end: TaskEnd) {
        if let Some((_, waits)) = self.waiting().remove(&id) {
            // Who waited may have gone.
            let _ = waits.send(end);
        }
    }
}

impl Init {
    /// Slots where something is awake that may print: the program, or a task.
    pub fn printing(&self) -> HashSet<SlotId> {
        let tasks = self.tasks.waiting();
        tasks.values().map(|(slot, _)| *slot).chain(self.awake()).collect()
    }

    /// Has something run beside a slot's program.
    ///
    /// # Errors
    /// [`InitError`].
    pub async fn run_task(
        &self,
        slot: SlotId,
        spec: LaunchSpec,
        io: TaskIo,
        deadline: Duration,
    ) -> Result<Started, InitError> {
        let id = TaskId(self.tasks.last.fetch_add(1, Ordering::Relaxed));
        let (ended, end) = oneshot::channel();
        // Before init is asked: its end may come right behind the answer.
        self.tasks.waiting().insert(id, (slot, ended));
        let asked = self.ask(ControlRequest::RunTask { slot, task: id, spec, io }, vec![], deadline).await;
        if asked.is_err() {
            self.tasks.waiting().remove(&id);
        }
        if matches!(asked, Err(InitError::Deadline(_))) {
            // It may be started yet, and nobody would know of it.
            let _ = self.act(ControlRequest::StopTask(id), deadline).await;
        }
        Ok(Started { id, streams: asked?, end })
    }

    /// Has what is on trial asked whether it is ready.
    ///
    /// # Errors
    /// [`InitError`]: busy when nobody was there to ask it.
    pub async fn ask_task(&self, task: TaskId, ask: Ask, deadline: Duration) -> Result<Asked, InitError> {
        match self.exchange(ControlRequest::AskTask(task, ask), vec![], deadline).await? {
            (ControlReply::Asked(asked), _) => Ok(asked),
            _ => Err(InitError::Nonsense),
        }
    }
}
