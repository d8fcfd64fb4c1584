//! Gets a connection to a tenant's program: one that is idle, a new one, or, when nobody listens, a new one after
//! the program was started. What kind of connection is `carrier`'s; sending a request over it is left to `exchange`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Uri};
use hyper_util::rt::TokioIo;
use kennel_model::SlotId;
use kennel_model::msg::Cause;
use tokio::net::TcpStream;

use crate::carrier::Carrier;
use crate::fault::Fault;
use crate::gauge::Place;
use crate::lent::Owner;
use crate::limits::Limits;
use crate::log;
use crate::plain::Wire;
use crate::replay::Replay;
use crate::routes::Target;
use crate::shared::Shared;
use crate::starts::Phase;
use crate::upstream::Upstream;
use crate::wake::Wish;

/// Why a connection attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// Nobody listens.
    #[error("nobody listens")]
    Refused,
    /// The program does not accept: its backlog is full.
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    /// It was accepted, and closed before the program said anything: as some do that do not speak what they are spoken to.
    #[error("closed before a word; does it speak HTTP/2 without TLS? See kennel limits --protocol")]
    Closed,
    /// What answers does not speak what the tenant has asked for.
    #[error("it does not speak HTTP/2 without TLS; see kennel limits --protocol")]
    Foreign,
    /// Anything else, which is ours to mend: descriptors, ports, the policy.
    #[error("cannot connect: {0}")]
    Other(io::Error),
}

/// What a request can be sent by at once.
///
/// # Errors
/// The fault that the visitor is to be told.
pub(crate) async fn open<C: Carrier>(
    shared: &Arc<Shared>,
    target: &Arc<Target>,
    asking: Asking<'_>,
) -> Result<C, Fault> {
    match C::connect(shared, target.slot).await {
        Ok(carrier) => return Ok(carrier),
        Err(DialError::Refused | DialError::Closed) => (),
        Err(e) => return Err(fault_of(e, target)),
    }
    open_woken(shared, target, asking).await
}

/// The same, after init was asked to wake it.
///
/// # Errors
/// The fault that the visitor is to be told.
pub(crate) async fn open_woken<C: Carrier>(
    shared: &Arc<Shared>,
    target: &Arc<Target>,
    asking: Asking<'_>,
) -> Result<C, Fault> {
    wake(shared, target, asking).await?;
    if let Some(carrier) = C::kept(shared, target.slot).await {
        return Ok(carrier);
    }
    match C::connect(shared, target.slot).await {
        Ok(carrier) => Ok(carrier),
        Err(DialError::Refused) => Err(Fault::Died),
        Err(e) => Err(fault_of(e, target)),
    }
}

/// One attempt to reach a program at its port.
///
/// # Errors
/// [`DialError`].
pub(crate) async fn dial(port: u16, bound: Duration) -> Result<TcpStream, DialError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match tokio::time::timeout(bound, TcpStream::connect(address)).await {
        // When the kernel picks the very port that we connect to as our own, and nobody listens there, the connection
        // is one with ourselves.
        Ok(Ok(stream)) if stream.local_addr().is_ok_and(|own| own == address) => Err(DialError::Refused),
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => Err(DialError::Refused),
        Ok(Err(e)) => Err(DialError::Other(e)),
        Err(_) => Err(DialError::TimedOut(bound)),
    }
}

/// Makes a connection ready for hyper's requests. It is driven by whoever uses it.
///
/// # Errors
/// [`DialError::Closed`].
pub(crate) async fn handshake(wire: Replay<Wire>, port: u16, limits: &Limits) -> Result<Upstream, DialError> {
    let (owner, lent) = Owner::lend(wire);
    let io = TokioIo::new(lent);
    let mut builder = http1::Builder::new();
    builder.max_header_size(limits.response_head_bytes).max_buf_size(limits.response_head_bytes);
    let (sender, connection) = builder.handshake(io).await.map_err(|_| DialError::Closed)?;
    Ok(Upstream::new(sender, connection.with_upgrades(), owner, port))
}

/// What a request that may have to wait for a start is, and takes. Nothing is worked out before it has to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'r> {
    /// Its method.
    pub(crate) method: &'r Method,
    /// Its target.
    pub(crate) uri: &'r Uri,
    /// Its fields.
    pub(crate) fields: &'r HeaderMap,
    /// Whose it is.
    pub(crate) client: IpAddr,
}

impl Asking<'_> {
    /// Of its head.
    fn bytes(self) -> u32 {
        let fields: usize = self.fields.iter().map(|(n, v)| n.as_str().len() + v.len()).sum();
        let target = self.uri.path_and_query().map_or(0, |target| target.as_str().len());
        u32::try_from(fields + target).unwrap_or(u32::MAX)
    }

    fn cause(self) -> Cause {
        Cause::request(self.method.as_str(), self.uri.path(), self.client)
    }
}

/// Has init wake the slot's program, unless that is under way, and waits until it is ready.
///
/// # Errors
/// The fault that the visitor is to be told.
pub(crate) async fn wake(shared: &Arc<Shared>, target: &Arc<Target>, asking: Asking<'_>) -> Result<(), Fault> {
    let _line = line(shared, target.slot, asking)?;
    let end = join(shared, target, asking).await;
    // A deploy has stopped what was starting: the release that it brought is started instead.
    if end == Err(Fault::Died)
        && let Some(next) = shared.routes.successor(target)
    {
        return join(shared, &next, asking).await;
    }
    end
}

/// A place in the line of those who wait for a slot, given back when it is dropped.
///
/// # Errors
/// [`Fault::Overloaded`] when it is too long.
pub(crate) fn line(shared: &Shared, slot: SlotId, asking: Asking<'_>) -> Result<[Place; 2], Fault> {
    let place = shared.waiting.enter(slot, 1).ok_or(Fault::Overloaded)?;
    let bytes = shared.waiting_bytes.enter(slot, asking.bytes()).ok_or(Fault::Overloaded)?;
    Ok([place, bytes])
}

async fn join(shared: &Arc<Shared>, target: &Arc<Target>, asking: Asking<'_>) -> Result<(), Fault> {
    let mut joined = shared.starts.join(target.slot);
    if let Some(id) = joined.to_carry_out {
        // A task of its own: the start goes on when the visitor who caused it leaves.
        tokio::spawn(crate::wake::carry_out(
            shared.clone(),
            target.clone(),
            Wish { id, cause: asking.cause() },
            joined.phase.clone(),
        ));
    }
    // Bounded by the start itself, which ends after `start_wait` at the latest.
    match joined.phase.wait_for(|p| p.is_end()).await.map(|p| *p) {
        Ok(Phase::Listens) => Ok(()),
        Ok(Phase::Busy) => Err(Fault::Busy),
        Ok(Phase::Died) => Err(Fault::Died),
        Ok(Phase::Late) => Err(Fault::StartedLate),
        Ok(Phase::Refused | Phase::Asked | Phase::Awake(_)) | Err(_) => Err(Fault::CannotStart),
    }
}

/// What the visitor is told of it; the log, what it was.
pub(crate) fn fault_of(e: DialError, target: &Target) -> Fault {
    log::line(format_args!("{} (slot {}): {e}", target.tenant, target.slot));
    match e {
        DialError::TimedOut(_) => Fault::AnsweredLate,
        DialError::Foreign | DialError::Closed => Fault::Protocol,
        DialError::Refused | DialError::Other(_) => Fault::Broke,
    }
}
