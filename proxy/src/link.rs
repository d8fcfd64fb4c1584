//! The channel to init: hears what init says and gives it to who it concerns, and carries to it what the proxy
//! has to say.
//! What may be said stands in `kennel_model::msg`.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::certificate::CertificateTable;
use kennel_model::msg::{FromProxy, ToProxy};
use kennel_model::routes::RouteTable;
use kennel_sys::{Channel, ChannelError, async_channel};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::shared::Shared;
use crate::{log, snapshot, trial};

/// How often is looked whether the last request has ended, while new ones are refused.
const LOOK: Duration = Duration::from_millis(50);

/// The channel, for this runtime.
#[derive(Debug)]
pub(crate) struct Link {
    channel: AsyncFd<Channel>,
}

/// Why init can no longer be heard.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Init has gone or has given us up.
    #[error("init closed the channel")]
    Closed,
    /// The channel itself failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The runtime could not wait for it.
    #[error("waiting for the channel: {0}")]
    Wait(#[from] io::Error),
}

impl Link {
    /// To be called within the runtime.
    ///
    /// # Errors
    /// [`LinkError`], when it is not a descriptor that can be waited for.
    pub(crate) fn new(channel: Channel) -> Result<Self, LinkError> {
        Ok(Self { channel: async_channel::register(channel)? })
    }

    /// Sends one message, waiting until there is room.
    ///
    /// # Errors
    /// [`LinkError`].
    pub(crate) async fn send(&self, message: &FromProxy) -> Result<(), LinkError> {
        loop {
            let mut ready = self.channel.writable().await?;
            match self.channel.get_ref().send(message, &[]) {
                Err(ChannelError::WouldBlock) => ready.clear_ready(),
                other => return Ok(other?),
            }
        }
    }

    /// Hears init until it asks to drain (which is told through `drain`) and beyond, or goes away.
    pub(crate) async fn hear(&self, shared: &Arc<Shared>, drain: &watch::Sender<bool>) -> LinkError {
        loop {
            let mut ready = match self.channel.readable().await {
                Ok(ready) => ready,
                Err(e) => return e.into(),
            };
            match self.channel.get_ref().recv::<ToProxy>() {
                Ok(Some((ToProxy::Drain, _))) => _ = drain.send_replace(true),
                Ok(Some((ToProxy::Refuse(refuse), _))) => {
                    log::line(format_args!(
                        "new requests are {}",
                        if refuse { "refused" } else { "taken again" }
                    ));
                    if !shared.refusing.swap(refuse, Ordering::Relaxed) && refuse {
                        tokio::spawn(tell_when_quiet(shared.clone()));
                    }
                }
                Ok(Some((ToProxy::Wake { id, slot, result }, _))) => {
                    if result.is_ok() {
                        shared.leases.grant(slot, id);
                    }
                    shared.starts.answered(id, &result);
                }
                Ok(Some((ToProxy::Moved(slot, port), _))) => {
                    let before = shared.awake.port(slot);
                    shared.awake.moved(slot, port);
                    // After the port: whoever counts as the new one's, on any worker, is led to it.
                    let turn = shared.leases.takes_over(slot);
                    shared.pool.clear(slot);
                    shared.h2c.clear(slot);
                    tokio::spawn(tell_when_left(shared.clone(), slot, turn, before));
                }
                Ok(Some((ToProxy::Ask { id, slot, port, ask }, _))) => {
                    tokio::spawn(trial::answer(shared.clone(), id, (slot, port), ask));
                }
                Ok(Some((ToProxy::Ending(slot), _))) => {
                    shared.leases.revoke(slot);
                    shared.awake.ending(slot);
                    shared.pool.clear(slot);
                    shared.h2c.clear(slot);
                }
                Ok(Some((ToProxy::Down(slot), _))) => {
                    shared.leases.revoke(slot);
                    shared.awake.down(slot);
                    shared.pool.clear(slot);
                    shared.h2c.clear(slot);
                    shared.starts.down(slot);
                }
                Ok(Some((ToProxy::Awake(slot, release), _))) => shared.awake.set(slot, release),
                Ok(Some((table @ (ToProxy::Routes | ToProxy::Certificates), fds))) => {
                    match table {
                        ToProxy::Routes => take_routes(shared, fds),
                        _ => take_certificates(shared, fds),
                    }
                    if let Err(e) = self.send(&FromProxy::Taken).await {
                        return e;
                    }
                }
                Ok(Some((ToProxy::Files { id, result }, fds))) => shared.files.opened(id, result, fds),
                Ok(None) => return LinkError::Closed,
                Err(ChannelError::WouldBlock) => ready.clear_ready(),
                // One message is lost; the next is whole again, as each is a packet of its own.
                Err(ChannelError::Bad(e)) => log::line(format_args!("message from init not understood: {e}")),
                Err(e) => return e.into(),
            }
        }
    }
}

/// Tells init when no request is in flight, unless new ones are taken again before.
async fn tell_when_quiet(shared: Arc<Shared>) {
    while !shared.records.are_complete() {
        tokio::time::sleep(LOOK).await;
    }
    if shared.refusing.load(Ordering::Relaxed)
        && let Err(e) = shared.init.send(&FromProxy::Quiet).await
    {
        log::line(format_args!("cannot say that nothing is in flight: {e}"));
    }
}

/// Tells init when nothing is in flight any more that the program before was given.
async fn tell_when_left(shared: Arc<Shared>, slot: SlotId, turn: u8, port: u16) {
    while !shared.leases.has_left(slot, turn) {
        tokio::time::sleep(LOOK).await;
    }
    if let Err(e) = shared.init.send(&FromProxy::Left(port)).await {
        log::line(format_args!("cannot say that nothing is left at port {port} of slot {slot}: {e}"));
    }
}

/// Puts a new route table in force, or says why not and keeps the one before.
fn take_routes(shared: &Shared, fds: Vec<OwnedFd>) {
    let table: RouteTable = match snapshot::read(fds, shared.limits.snapshot_bytes) {
        Ok(table) => table,
        Err(e) => return log::line(format_args!("route table refused: {e}")),
    };
    let (generation, names) = (table.generation, table.routes.len());
    match shared.routes.replace(table, shared.limits.start_longest) {
        Ok(()) => log::line(format_args!("routes {generation}: {names} domains")),
        Err(e) => log::line(format_args!("route table refused: {e}")),
    }
}

/// Puts other certificates in force, or says why not and keeps those before.
fn take_certificates(shared: &Shared, fds: Vec<OwnedFd>) {
    let table: CertificateTable = match snapshot::read(fds, shared.limits.snapshot_bytes) {
        Ok(table) => table,
        Err(e) => return log::line(format_args!("certificates refused: {e}")),
    };
    let generation = table.generation;
    match shared.certificates.replace(table) {
        Ok(names) => log::line(format_args!("certificates {generation}: {names} names")),
        Err(e) => log::line(format_args!("certificates refused: {e}")),
    }
}
