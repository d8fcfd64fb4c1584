//! Carries a start out: asks init once, waits for its turn, then tries to connect with growing pauses until the program
//! listens, died, or the route's time is over, which counts from its turn on; where the route has a path for it, it asks that
//! path whether the program is ready. One that was asleep listens at the first attempt, and is as ready as it was. Its rules
//! stand in `starts`; who waits for it and what they answer, in `connect`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use http_body_util::{Either, Empty};
use hyper::header::{HOST, USER_AGENT};
use hyper::{Request, Version};
use kennel_model::msg::{Cause, FromProxy, RequestId, Rung};
use kennel_model::routes::Protocol;
use kennel_model::{HealthPath, SlotId};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connect::{self, DialError};
use crate::log;
use crate::plain::{Kept, Plain};
use crate::routes::Target;
use crate::shared::Shared;
use crate::starts::Phase;

/// A start that init is to be asked for.
#[derive(Debug)]
pub(crate) struct Wish {
    /// Its number.
    pub(crate) id: RequestId,
    /// The first request's.
    pub(crate) cause: Cause,
}

/// The last status that the route's path was answered with; 0 for none.
type LastStatus = AtomicU16;

/// Runs until the start has ended. The connection that proved the program to listen goes to the pool.
pub(crate) async fn carry_out(
    shared: Arc<Shared>,
    target: Arc<Target>,
    wish: Wish,
    phase: watch::Receiver<Phase>,
) {
    let began = Instant::now();
    let found = phase.clone();
    let (id, last) = (wish.id, LastStatus::new(0));
    let end = start(&shared, &target, wish, phase, &last).await;
    let found = *found.borrow();
    let ran = found == Phase::Awake(Rung::Running);
    if end == Phase::Listens && found == Phase::Awake(Rung::Stopped) {
        shared.awake.listens(target.slot);
    }
    if let (Some(release), true) = (target.release, end != Phase::Busy) {
        shared.awake.ended(target.slot, release, end == Phase::Listens);
    }
    // With a renewed lease nobody was woken.
    if end == Phase::Listens && !ran {
        shared.awake.woken(target.slot, began);
    }
    shared.starts.end(target.slot, id, end);
    let (tenant, slot, took) = (&target.tenant, target.slot, began.elapsed().as_millis());
    match end {
        Phase::Listens if ran => (),
        Phase::Listens => log::line(format_args!("{tenant} (slot {slot}) listens after {took} ms")),
        Phase::Died => log::line(format_args!("{tenant} (slot {slot}) ended before it listened")),
        Phase::Late => {
            let what = late(&target, shared.awake.port(slot), last.into_inner());
            log::line(format_args!("{tenant} (slot {slot}) {what} after {took} ms"));
        }
        Phase::Asked | Phase::Awake(_) | Phase::Busy | Phase::Refused => (),
    }
}

/// A request has been answered, or failed. Init is told if it is the first since a wake: the wake is over then.
pub(crate) async fn answered(shared: &Shared, slot: SlotId) {
    if let Some(took) = shared.awake.answered(slot) {
        let took_ms = u32::try_from(took).unwrap_or(u32::MAX);
        tell(shared, &FromProxy::Woken { slot, took_ms }).await;
    }
}

async fn tell(shared: &Shared, message: &FromProxy) {
    if let Err(e) = shared.init.send(message).await {
        log::line(format_args!("cannot tell init {message:?}: {e}"));
    }
}

/// What a program that was not ready in time does not do.
fn late(target: &Target, port: u16, last: u16) -> String {
    match (target.health, last) {
        (Some(path), 1..) => format!("is not ready: {path} is answered with {last}"),
        (Some(path), 0) => format!("does not listen on port {port}, or not answer {path},"),
        (None, _) => format!("does not listen on port {port}"),
    }
}

async fn start(
    shared: &Arc<Shared>,
    target: &Target,
    Wish { id, cause }: Wish,
    mut phase: watch::Receiver<Phase>,
    last: &LastStatus,
) -> Phase {
    if let Err(e) = shared.init.send(&FromProxy::Wake { id, slot: target.slot, cause }).await {
        log::line(format_args!("cannot ask to wake slot {}: {e}", target.slot));
        return Phase::Refused;
    }
    let turn = phase.wait_for(|p| *p != Phase::Asked);
    let rung = match tokio::time::timeout(shared.limits.start_longest, turn).await.map(|p| p.map(|p| *p)) {
        Ok(Ok(Phase::Awake(rung))) => rung,
        Ok(Ok(end)) => return end,
        Ok(Err(_)) => return Phase::Refused,
        // Many are to be woken, and its turn has not come.
        Err(_) => {
            tell(shared, &FromProxy::GiveUp { slot: target.slot, id }).await;
            return Phase::Busy;
        }
    };
    let was_asleep = matches!(rung, Rung::Frozen | Rung::Reclaimed);
    let health = target.health.filter(|_| !was_asleep && !shared.awake.is_ready(target.slot));
    let ready = tokio::time::timeout(target.start_wait, until_ready(shared, target, health, last));
    tokio::select! {
        biased;
        ready = ready => if ready.is_ok() { Phase::Listens } else { Phase::Late },
        _ = phase.wait_for(|p| p.is_end()) => Phase::Died,
    }
}

async fn until_ready(shared: &Arc<Shared>, target: &Target, health: Option<HealthPath>, last: &LastStatus) {
    let mut pause = shared.limits.poll_first;
    loop {
        let stream = until_it_listens(shared, target).await;
        let Some(path) = health else { return keep(shared, target, stream) };
        let host = target.domain.host().replace('*', "health");
        let asked = ask(shared, target.slot, &host, path, target.protocol, stream);
        let asked = tokio::time::timeout(shared.limits.ask, asked).await;
        let status = asked.ok().flatten().unwrap_or(0);
        if matches!(status, 1..500) {
            return;
        }
        last.store(status, Ordering::Relaxed);
        tokio::time::sleep(pause).await;
        pause = next_pause(pause, shared.limits.ask_longest);
    }
}

/// The status that the path is answered with, if there is an answer. Its connection, to a program at that port, ends with it.
pub(crate) async fn ask(
    shared: &Shared,
    slot: SlotId,
    host: &str,
    path: HealthPath,
    protocol: Protocol,
    (stream, port): (TcpStream, u16),
) -> Option<u16> {
    let request = Request::get(path.as_str()).header(USER_AGENT, "kennel");
    let answer = match protocol {
        Protocol::Http1 => {
            let request = request.header(HOST, host).body(Either::Left(Empty::new())).ok()?;
            let wire = Plain::new(stream, port, &shared.limits).for_hyper();
            connect::handshake(wire, port, &shared.limits).await.ok()?.send(request).await.ok()?
        }
        Protocol::H2c => {
            let request = request.uri(format!("http://{host}{path}"));
            let request = request.version(Version::HTTP_2).body(Either::Left(Empty::new())).ok()?;
            shared.h2c.alone(slot, (stream, port)).await.ok()?.send(request).await.ok()?
        }
    };
    Some(answer.status().as_u16())
}

async fn until_it_listens(shared: &Shared, target: &Target) -> (TcpStream, u16) {
    let mut pause = shared.limits.poll_first;
    loop {
        let port = shared.awake.port(target.slot);
        match connect::dial(port, shared.limits.connect).await {
            Ok(stream) => return (stream, port),
            Err(DialError::Refused) => (),
            Err(e) => log::line(format_args!("slot {}: {e}", target.slot)),
        }
        tokio::time::sleep(pause).await;
        pause = next_pause(pause, shared.limits.poll_longest);
    }
}

/// Twice as long, up to a bound.
pub(crate) fn next_pause(pause: Duration, longest: Duration) -> Duration {
    (pause * 2).min(longest)
}

fn keep(shared: &Shared, target: &Target, (stream, port): (TcpStream, u16)) {
    match target.protocol {
        Protocol::Http1 => {
            shared.pool.put(target.slot, Kept::Plain(Plain::new(stream, port, &shared.limits)));
        }
        Protocol::H2c => shared.h2c.keep(target.slot, (stream, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest() {
        let ms = Duration::from_millis;
        let mut pause = ms(2);
        let mut all = vec![pause];
        for _ in 0..6 {
            pause = next_pause(pause, ms(50));
            all.push(pause);
        }
        assert_eq!(all, [2, 4, 8, 16, 32, 50, 50].map(ms));
    }
}
