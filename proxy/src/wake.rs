//! Carries a start out: asks init once, then tries to connect with growing pauses until the program listens, died, or
//! the route's time is over. One that runs already or was asleep listens at the first attempt. Its rules stand in `starts`; who waits for it and what they answer, in `connect`.

use std::sync::Arc;
use std::time::Duration;

use kennel_model::msg::{FromProxy, RequestId, Rung};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connect::{self, DialError};
use crate::log;
use crate::routes::Target;
use crate::shared::Shared;
use crate::starts::Phase;

/// Runs until the start has ended. The connection that proved the program to listen goes to the pool.
pub(crate) async fn carry_out(
    shared: Arc<Shared>,
    target: Arc<Target>,
    id: RequestId,
    phase: watch::Receiver<Phase>,
) {
    let began = Instant::now();
    let found = phase.clone();
    let end = tokio::time::timeout(target.start_wait, start(&shared, &target, id, phase)).await;
    let end = end.unwrap_or(Phase::Late);
    let ran = matches!(*found.borrow(), Phase::Awake(Rung::Running));
    shared.starts.end(target.slot, end);
    let (tenant, slot, took) = (&target.tenant, target.slot, began.elapsed().as_millis());
    match end {
        // Its lease was renewed, no more.
        Phase::Listens if ran => (),
        Phase::Listens => log::line(format_args!("{tenant} (slot {slot}) listens after {took} ms")),
        Phase::Died => log::line(format_args!("{tenant} (slot {slot}) ended before it listened")),
        Phase::Late => log::line(format_args!(
            "{tenant} (slot {slot}) does not listen on port {} after {took} ms",
            slot.port()
        )),
        Phase::Asked | Phase::Awake(_) | Phase::Busy | Phase::Refused => (),
    }
}

async fn start(shared: &Shared, target: &Target, id: RequestId, mut phase: watch::Receiver<Phase>) -> Phase {
    if let Err(e) = shared.init.send(&FromProxy::Wake { id, slot: target.slot }).await {
        log::line(format_args!("cannot ask to wake slot {}: {e}", target.slot));
        return Phase::Refused;
    }
    match phase.wait_for(|p| *p != Phase::Asked).await.map(|p| *p) {
        Ok(Phase::Awake(_)) => (),
        Ok(end) => return end,
        Err(_) => return Phase::Refused,
    }
    let stream = tokio::select! {
        biased;
        stream = until_it_listens(shared, target) => stream,
        _ = phase.wait_for(|p| p.is_end()) => return Phase::Died,
    };
    keep(shared, target, stream).await
}

async fn until_it_listens(shared: &Shared, target: &Target) -> TcpStream {
    let mut pause = shared.limits.poll_first;
    loop {
        match connect::dial(target.slot, shared.limits.connect).await {
            Ok(stream) => return stream,
            Err(DialError::Refused) => (),
            Err(e) => log::line(format_args!("slot {}: {e}", target.slot)),
        }
        tokio::time::sleep(pause).await;
        pause = next_pause(pause, shared.limits.poll_longest);
    }
}

fn next_pause(pause: Duration, longest: Duration) -> Duration {
    (pause * 2).min(longest)
}

async fn keep(shared: &Shared, target: &Target, stream: TcpStream) -> Phase {
    if let Ok(upstream) = connect::handshake(stream, &shared.limits).await {
        shared.pool.put(target.slot, upstream);
    }
    Phase::Listens
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
