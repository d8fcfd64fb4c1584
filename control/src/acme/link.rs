//! The way to `kennel-acme`: a pair of sockets that init made and keeps at both ends, so that either program may be started
//! again. That one runs only when it is asked something, and ends by itself: whoever waits for an answer has init see to it
//! that it does, now and then.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kennel_model::acme::{Ask, Failure, Fault, FromAcme, Said, ToAcme};
use kennel_model::msg::ControlRequest;
use kennel_sys::{Channel, ChannelError, async_channel};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::control::QUICK;
use crate::init::Init;
use crate::say;

/// How often init is asked to see to it that it runs.
const LOOK: Duration = Duration::from_secs(10);
/// How long one question may take: a little longer than it gives itself.
const LONGEST: Duration = Duration::from_secs(330);
/// What may be said to one question before somebody looks.
const QUEUE: usize = 4;

/// This program's end.
#[derive(Debug)]
pub(crate) struct Way {
    channel: AsyncFd<Channel>,
    waiting: Mutex<HashMap<u32, mpsc::Sender<Said>>>,
    last: AtomicU32,
}

impl Way {
    /// Takes over the descriptor. To be called within the runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(channel: Channel) -> std::io::Result<Self> {
        // What was said to a control that has ended is nobody's: numbers begin where chance has it.
        let last = AtomicU32::new(super::chance_u32());
        Ok(Self { channel: async_channel::register(channel)?, waiting: Mutex::default(), last })
    }

    /// Hears what it says, for ever.
    pub(crate) async fn hear(&self) {
        loop {
            let Ok(mut ready) = self.channel.readable().await else { return };
            match self.channel.get_ref().recv::<FromAcme>() {
                Ok(Some((FromAcme { id, said }, _))) => {
                    let waits = self.waiting().get(&id).cloned();
                    // Who asks more than it takes is not waited for: it is a program that has been taken over.
                    waits.map(|waits| waits.try_send(said));
                }
                // Init keeps the other end too.
                Ok(None) => return say!("the way to kennel-acme is closed"),
                Err(ChannelError::WouldBlock) => ready.clear_ready(),
                Err(ChannelError::Bad(cause)) => say!("kennel-acme's message was skipped: {cause}"),
                Err(other) => return say!("the way to kennel-acme is lost: {other}"),
            }
        }
    }

    /// Asks; the answer, and each step on the way to it, comes by [`Asked::next`].
    ///
    /// # Errors
    /// [`Failure`]: it cannot be asked.
    pub(crate) async fn ask<'w>(&'w self, init: &'w Init, ask: Ask) -> Result<Asked<'w>, Failure> {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let (say, said) = mpsc::channel(QUEUE);
        self.waiting().insert(id, say);
        let asked = Asked { way: self, init, id, said, until: Instant::now() + LONGEST };
        asked.start().await?;
        self.send(&ToAcme { id, ask }).await?;
        Ok(asked)
    }

    async fn send(&self, message: &ToAcme) -> Result<(), Failure> {
        let sent = async {
            loop {
                let mut ready = self.channel.writable().await.map_err(|e| e.to_string())?;
                match self.channel.get_ref().send(message, &[]) {
                    Err(ChannelError::WouldBlock) => ready.clear_ready(),
                    other => return other.map_err(|e| e.to_string()),
                }
            }
        };
        match timeout(LOOK, sent).await {
            Ok(sent) => sent.map_err(broken),
            Err(_) => Err(broken("kennel-acme does not listen".to_owned())),
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u32, mpsc::Sender<Said>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is waited for, until this is dropped.
pub(crate) struct Asked<'w> {
    way: &'w Way,
    init: &'w Init,
    id: u32,
    said: mpsc::Receiver<Said>,
    until: Instant,
}

impl Asked<'_> {
    /// What is said next.
    ///
    /// # Errors
    /// [`Failure`]: what it says, or that it says nothing.
    pub(crate) async fn next(&mut self) -> Result<Said, Failure> {
        while Instant::now() < self.until {
            match timeout(LOOK, self.said.recv()).await {
                Ok(Some(Said::Failed(failure))) => return Err(failure),
                Ok(Some(said)) => return Ok(said),
                Ok(None) => break,
                // It may have ended, between two questions, before it saw this one.
                Err(_) => self.start().await?,
            }
        }
        Err(broken("kennel-acme does not answer".to_owned()))
    }

    /// What was to be shown is shown.
    ///
    /// # Errors
    /// [`Failure`]: it cannot be told.
    pub(crate) async fn shown(&self) -> Result<(), Failure> {
        self.way.send(&ToAcme { id: self.id, ask: Ask::Shown }).await
    }

    async fn start(&self) -> Result<(), Failure> {
        self.init.act(ControlRequest::StartAcme, QUICK).await.map_err(|e| broken(e.to_string()))
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.way.waiting().remove(&self.id);
    }
}

/// A failure of the host's own.
pub(super) fn broken(reason: String) -> Failure {
    Failure { fault: Fault::Authority, reason, retry_after_s: None }
}
