//! The loop: hears what control asks, works at each question as a task of its own, and tells control what comes of it. It ends
//! when control has gone, or when nothing was asked for a while: it is started again when it is needed.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_model::acme::{Ask, Authority, Failure, FromAcme, Proof, Said, ToAcme};
use kennel_sys::{Channel, ChannelError, async_channel};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::net::Net;
use crate::{order, words};

/// How long it stays without anything to do.
const IDLE: Duration = Duration::from_secs(60);
/// Longest way of one question, an order among them.
const LONGEST: Duration = Duration::from_secs(300);
/// How long control may take to have a challenge shown.
const SHOWING: Duration = Duration::from_secs(30);
/// Questions at a time; control has one order at a time, and an operator's question beside it.
const MOST: usize = 8;

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The channel's.
    #[error("the channel to control: {0}")]
    Channel(#[from] ChannelError),
    /// The event loop's.
    #[error("waiting for control: {0}")]
    Wait(#[from] io::Error),
}

/// What it knows.
#[derive(Debug, Clone)]
pub struct Service {
    servers: Vec<SocketAddr>,
    idle: Duration,
    showing: Arc<Mutex<HashMap<u32, oneshot::Sender<()>>>>,
}

impl Service {
    /// With these name servers.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, idle: IDLE, showing: Arc::default() }
    }

    /// Ends sooner when there is nothing to do.
    #[must_use]
    pub fn idle_after(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }
}

/// Serves control until there is nothing to do.
///
/// # Errors
/// [`ServiceError`].
pub async fn serve(control: Channel, service: Service) -> Result<(), ServiceError> {
    let control = async_channel::register(control)?;
    let (say, mut said) = mpsc::channel::<FromAcme>(MOST);
    let (mut working, mut until) = (0_usize, Instant::now() + service.idle);
    loop {
        let asked = tokio::select! {
            Some(message) = said.recv() => {
                if !matches!(message.said, Said::Challenge(_)) {
                    (working, until) = (working.saturating_sub(1), Instant::now() + service.idle);
                }
                send(&control, &message).await?;
                continue;
            }
            asked = receive(&control) => asked?,
            () = sleep_until(until), if working == 0 => return Ok(()),
        };
        match asked {
            None => return Ok(()),
            Some(ToAcme { id, ask: Ask::Shown }) => {
                let shown = service.showing.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                // An order that has ended meanwhile need not know.
                shown.map(|shown| shown.send(()));
            }
            Some(ToAcme { id, .. }) if working >= MOST => {
                let failure = words::authority("too much is asked at once");
                send(&control, &FromAcme { id, said: Said::Failed(failure) }).await?;
            }
            Some(asked) => {
                working += 1;
                tokio::spawn(service.clone().work(asked, say.clone()));
            }
        }
    }
}

impl Service {
    async fn work(self, asked: ToAcme, say: mpsc::Sender<FromAcme>) {
        let id = asked.id;
        let said = match timeout(LONGEST, self.answer(asked, &say)).await {
            Ok(Ok(said)) => said,
            Ok(Err(failure)) => Said::Failed(failure),
            Err(_) => Said::Failed(words::authority("the authority did not come to an end with it in time")),
        };
        self.showing.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        // Nobody listens any more when the loop has ended.
        let _ = say.send(FromAcme { id, said }).await;
    }

    async fn answer(&self, asked: ToAcme, say: &mpsc::Sender<FromAcme>) -> Result<Said, Failure> {
        let net = |authority: &Authority| Net::new(self.servers.clone(), authority).map_err(words::authority);
        match asked.ask {
            Ask::Terms(authority) => order::terms(&net(&authority)?, &authority).await.map(Said::Terms),
            Ask::Register(authority, email) => {
                order::register(&net(&authority)?, &authority, email).await.map(Said::Account)
            }
            Ask::Renewal(authority, account, chain) => {
                order::renewal(&net(&authority)?, &account, &chain).await.map(Said::Renewal)
            }
            Ask::Order(wish) => {
                let show = async |proof| self.show(asked.id, proof, say).await;
                order::issue(&net(&wish.authority)?, &wish, show).await.map(Said::Issued)
            }
            // Handled before.
            Ask::Shown => Err(words::authority("nothing was asked")),
        }
    }

    /// Asks control to show it. What comes back waits until it does; if control does not say so, the authority will.
    async fn show(
        &self,
        id: u32,
        proof: Proof,
        say: &mpsc::Sender<FromAcme>,
    ) -> impl Future<Output = ()> + use<> {
        let (shown, is_shown) = oneshot::channel();
        self.showing.lock().unwrap_or_else(PoisonError::into_inner).insert(id, shown);
        let _ = say.send(FromAcme { id, said: Said::Challenge(proof) }).await;
        async move { drop(timeout(SHOWING, is_shown).await) }
    }
}

async fn receive(control: &AsyncFd<Channel>) -> Result<Option<ToAcme>, ServiceError> {
    loop {
        let mut ready = control.readable().await?;
        match control.get_ref().recv::<ToAcme>() {
            Ok(received) => return Ok(received.map(|(message, _)| message)),
            Err(ChannelError::WouldBlock) => ready.clear_ready(),
            // One question is lost; control has a deadline for each.
            Err(ChannelError::Bad(_)) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

async fn send(control: &AsyncFd<Channel>, message: &FromAcme) -> Result<(), ServiceError> {
    loop {
        let mut ready = control.writable().await?;
        match control.get_ref().send(message, &[]) {
            Err(ChannelError::WouldBlock) => ready.clear_ready(),
            other => return Ok(other?),
        }
    }
}
