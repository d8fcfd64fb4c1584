//! Plain requests of one client's connection of HTTP/1.1, passed on without hyper: each head is read once (`request`), and so is its answer's (`answer`);
//! both go on as bytes, over connections that `pool` keeps. Every connection begins here. The first request that is not plain takes it to hyper
//! with every byte that was not used (`http1`), at its boundary and while no answer is owed; and what turns out not to be plain only by its program's answer, or
//! by its failing, is taken on there from where it is (`begun`, `replay`). So nothing here refuses, judges, retries or words an answer.
//!
//! `admit` says what may be passed on at once, `relay` waits and copies.

mod admit;
mod answer;
mod buffer;
mod clock;
mod date;
mod relay;
pub mod request;
mod spare;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Version};
use kennel_model::access::Ended;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use self::admit::admit;
use self::answer::Answer;
use self::relay::{Came, Got, Line};
use self::request::Head;
use crate::begun::{Admitted, Begun, SoFar};
use crate::client::Client;
use crate::connect::{self, DialError};
use crate::exchange::{Start, is_young};
use crate::fault::Fault;
use crate::plain::{Kept, Plain};
use crate::replay::Replay;
use crate::seen::{Ids, Phase, Said, Seen};
use crate::shared::Shared;
use crate::stall::WriteBound;
use crate::tally::Way;
use crate::{host, wake};

/// What becomes of a connection.
pub(crate) enum Next {
    /// No request has come for a while.
    Idle,
    /// It has ended.
    Ended,
    /// It is hyper's, with what was begun of its next request.
    Hypers(Option<Box<Begun>>),
}

/// Passes on plain requests for as long as no others come; `rest` is what was read and not used, before and afterwards. Answers what is next, and
/// how many it has passed on.
pub(crate) async fn serve<T>(
    shared: &Arc<Shared>,
    io: &mut WriteBound<T>,
    rest: &mut Vec<u8>,
    client: &Client,
    drain: watch::Receiver<bool>,
) -> (Next, u64)
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut line = Line::new(shared, io, rest, client, drain);
    let mut passed = 0;
    let next = loop {
        if line.input.is_empty() {
            match line.next().await {
                Came::Bytes => (),
                Came::Nothing => break Next::Idle,
                Came::End => {
                    line.closes().await;
                    break Next::Ended;
                }
            }
        }
        let Some(head) = line.head().await else { break Next::Hypers(None) };
        match pass(&mut line, &head).await {
            Passed::On => passed += 1,
            Passed::Last => break Next::Ended,
            Passed::Not(begun) => break Next::Hypers(begun),
        }
    };
    rest.clear();
    rest.extend_from_slice(line.input.bytes());
    (next, passed)
}

/// What became of a request.
enum Passed {
    /// It has its answer.
    On,
    /// So it has, or never will, and there is no other.
    Last,
    /// It is hyper's.
    Not(Option<Box<Begun>>),
}

impl Passed {
    fn failed(seen: Seen, fault: Fault) -> Self {
        Self::Not(Some(Box::new(Begun { seen, so_far: SoFar::Failed(fault) })))
    }

    fn let_in(seen: Seen, admitted: Admitted, start: Start) -> Self {
        Self::Not(Some(Box::new(Begun { seen, so_far: SoFar::Let(admitted, start) })))
    }
}

async fn pass<T: AsyncRead + AsyncWrite + Unpin + Send>(line: &mut Line<'_, T>, head: &Head) -> Passed {
    let Some((mut seen, begun)) = begin(line, head) else { return Passed::Not(None) };
    let (admitted, kept) = match begun {
        Ok(begun) => begun,
        Err(fault) => return Passed::failed(seen, fault),
    };
    let (shared, slot, was_kept) = (line.shared, admitted.target.slot, kept.is_some());
    let (endings, port) = (shared.awake.endings(slot), shared.awake.port(slot));
    shared.tally.request(slot);
    seen.enter(Phase::Upstream);
    let mut program = match kept {
        Some(program) => program,
        // Boxed, as it is large and most requests need none of it.
        None => match Box::pin(connect::dial(port, shared.limits.connect)).await {
            Ok(stream) => Plain::new(stream, port, &shared.limits),
            Err(DialError::Refused) => return Passed::let_in(seen, admitted, Start::Unsent),
            Err(e) => {
                let fault = connect::fault_of(e, &admitted.target);
                wake::answered(shared, slot).await;
                return Passed::failed(seen, fault);
            }
        },
    };
    match line.ask(&mut program, head.method == Method::HEAD).await {
        Got::Plain(answer) => pass_back(line, (admitted, seen), program, answer).await,
        Got::Left => Passed::Last,
        Got::Late => {
            seen.enter(Phase::Own);
            wake::answered(shared, slot).await;
            Passed::failed(seen, Fault::AnsweredLate)
        }
        Got::Odd(failed) => {
            let read = Bytes::copy_from_slice(line.answer.bytes());
            let port = program.port();
            let replay = Replay::new(program.wire, read, failed);
            match connect::handshake(replay, port, &shared.limits).await {
                Ok(upstream) => Passed::let_in(seen, admitted, Start::Sent(upstream, was_kept, endings)),
                Err(_) => Passed::failed(seen, Fault::Broke),
            }
        }
    }
}

/// A request that is let in, with a connection to its program if one is kept; or fails.
type Begin = (Seen, Result<(Admitted, Option<Plain>), Fault>);

/// Begins with a request; none if it is hyper's from the first on.
fn begin<T>(line: &mut Line<'_, T>, head: &Head) -> Option<Begin> {
    let (shared, client, bytes) = (line.shared, line.client, line.input.bytes());
    let text = |part: &Range<usize>| std::str::from_utf8(&bytes[part.clone()]).ok();
    let name = host::name_of(text(&head.host)?).ok()?;
    let admitted = admit(shared, client, &name, text(&head.path)?)?;
    let said = said(head, bytes)?;
    let slot = admitted.target.slot;
    let kept = shared.pool.take_plain(slot, shared.awake.port(slot));
    // What has just begun to listen may break off what it is sent.
    if kept.is_none() && shared.awake.life(slot).is_some_and(|life| is_young(shared, slot, life)) {
        return None;
    }
    let mut seen = Seen::of(&shared.records, client.address(), said);
    seen.routed(&admitted.target, &name);
    if let Err(fault) = shared.rates.enter(slot, client.address(), &admitted.target.traffic) {
        if let Some(kept) = kept {
            shared.pool.put(slot, Kept::Plain(kept));
        }
        return Some((seen, Err(fault)));
    }
    head.finish(bytes, client.who(), seen.ids(), &mut line.out);
    Some((seen, Ok((admitted, kept))))
}

fn said(head: &Head, bytes: &[u8]) -> Option<Said> {
    let all = Bytes::copy_from_slice(&bytes[..head.bytes]);
    let value = |part: &Range<usize>| HeaderValue::from_maybe_shared(all.slice(part.clone())).ok();
    Some(Said {
        method: head.method.clone(),
        target: Some(PathAndQuery::from_maybe_shared(all.slice(head.target.clone())).ok()?),
        version: Version::HTTP_11,
        host: Some(value(&head.host)?),
        referer: head.referer.as_ref().and_then(value),
        agent: head.agent.as_ref().and_then(value),
        ids: Ids::below(head.parent.clone().map(|parent| &bytes[parent])),
    })
}

/// Passes an answer back, whose head is read, and gives its connection back.
async fn pass_back<T: AsyncRead + AsyncWrite + Unpin + Send>(
    line: &mut Line<'_, T>,
    (admitted, mut seen): (Admitted, Seen),
    mut program: Plain,
    answer: Answer,
) -> Passed {
    let shared = line.shared;
    let Admitted { target, visit, turn } = admitted;
    let slot = target.slot;
    seen.enter(Phase::Own);
    wake::answered(shared, slot).await;
    seen.answers(answer.status);
    let closes = line.is_draining().await;
    let hsts_s = if line.client.has_tls() { target.hsts_s } else { 0 };
    answer.finish(&seen, hsts_s, closes, &mut line.out);
    line.begins(answer.bytes);
    // What lasts is no work for the program while it lasts.
    let turn = (!answer.lasts).then_some(turn);
    let meter = shared.tally.meter(slot, Way::Out);
    let mut throttle = shared.pace.throttle(slot, target.traffic.send_bytes_per_s);
    let mut left = answer.length;
    loop {
        let part =
            usize::try_from(left).map_or(line.answer.bytes().len(), |left| left.min(line.answer.bytes().len()));
        if part > 0 {
            if let Some(throttle) = &mut throttle {
                if !line.waits_for(throttle).await {
                    return Passed::Last;
                }
                throttle.count(part);
            }
            meter.count(part);
            seen.passed(part);
            left -= part as u64;
        }
        if left == 0 {
            line.takes(part);
            break;
        }
        let until = Instant::now() + shared.limits.response_stall;
        if !line.writes(part).await || !line.reads_on(&mut program, left, until).await {
            return Passed::Last;
        }
    }
    // Before the last of it is written: whoever has it may ask again at once.
    if answer.keep && line.answer.is_empty() {
        shared.pool.put(slot, Kept::Plain(program));
    }
    seen.ends(Ended::Whole);
    drop((seen, turn, visit));
    match line.writes(0).await {
        true if closes => {
            line.closes().await;
            Passed::Last
        }
        true => Passed::On,
        false => Passed::Last,
    }
}

#[cfg(test)]
mod tests;
