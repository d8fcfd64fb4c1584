//! The client's states (RFC 2131, 4.4), as a pure step function: time and randomness come in, actions go out.
//!
//! | state | waits for | then |
//! |---|---|---|
//! | Selecting | an offer; asks again with back-off | Requesting |
//! | Requesting | the acknowledgement, four times | Bound, or Selecting |
//! | Bound | T1 | Renewing |
//! | Renewing | the lease's server, until T2 | Bound, or Rebinding |
//! | Rebinding | any server, until the lease ends | Bound, or Selecting |
//!
//! A refusal (NAK) leads to Selecting from everywhere, after a pause. There is no Init state: the machine starts
//! selecting at its first step.

use std::time::Duration;

use crate::message::{Answer, Ask, AskKind, Terms};
use kennel_model::msg::Lease;

/// The first wait for an offer; doubled up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(64);
/// Requests for one offer before another is looked for.
const REQUESTS: u32 = 4;
/// The shortest time between two attempts to keep a lease (RFC 2131, 4.4.5).
const KEEP_WAIT: Duration = Duration::from_secs(60);
/// A shorter lease is taken for one of this length: below, the client would only renew.
const MIN_LEASE: Duration = Duration::from_secs(30);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// [`Machine::wake`] has come, or the machine is new.
    Timer,
    /// A server's answer to the machine's current question.
    Answer(Answer),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// To everybody on the link.
    Broadcast(Ask),
    /// To the lease's server.
    Unicast(Ask, std::net::Ipv4Addr),
    /// Tell init; sent once for each new or changed lease.
    Lease(Lease),
    /// A line for the console.
    Note(String),
}

#[derive(Debug, Clone)]
enum State {
    Selecting { tries: u32 },
    Requesting { terms: Terms, tries: u32 },
    Bound(Held),
    Renewing(Held),
    Rebinding(Held),
}

/// A lease with the moments that matter.
#[derive(Debug, Clone)]
struct Held {
    terms: Terms,
    renew: Duration,
    rebind: Duration,
    end: Duration,
}

/// The client.
pub struct Machine<R> {
    state: State,
    /// The next moment to step with [`Event::Timer`]; `None` when nothing is due ever.
    wake: Option<Duration>,
    xid: u32,
    began: Duration,
    told: Option<Lease>,
    random: R,
}

impl<R: FnMut() -> u32> Machine<R> {
    /// A client without a lease, due at once.
    pub fn new(now: Duration, random: R) -> Self {
        let state = State::Selecting { tries: 0 };
        Self { state, wake: Some(now), xid: 0, began: now, told: None, random }
    }

    /// When to step next; `None` when only an answer could bring news, and none is awaited.
    pub fn wake(&self) -> Option<Duration> {
        self.wake
    }

    /// The question that an answer must belong to.
    pub fn xid(&self) -> u32 {
        self.xid
    }

    /// Whether an answer may come.
    pub fn is_asking(&self) -> bool {
        !matches!(self.state, State::Bound(_))
    }

    /// The address of the lease that is held.
    pub fn address(&self) -> Option<std::net::Ipv4Addr> {
        match &self.state {
            State::Bound(held) | State::Renewing(held) | State::Rebinding(held) => {
                Some(held.terms.lease.address)
            }
            _ => None,
        }
    }

    /// One step. Answers that do not fit the state are passed over.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match event {
            Event::Timer if self.wake.is_some_and(|wake| wake <= now) => self.timer(now),
            Event::Timer => Vec::new(),
            Event::Answer(answer) => self.answer(now, answer),
        }
    }

    fn timer(&mut self, now: Duration) -> Vec<Action> {
        match self.state.clone() {
            State::Selecting { tries } => self.discover(now, tries),
            State::Requesting { terms, tries } if tries < REQUESTS => self.request(now, terms, tries),
            State::Requesting { .. } => self.select(now, "the server does not answer the request", FIRST_WAIT),
            State::Bound(held) => {
                self.ask_anew(now);
                self.keep(now, held)
            }
            State::Renewing(held) | State::Rebinding(held) => self.keep(now, held),
        }
    }

    fn answer(&mut self, now: Duration, answer: Answer) -> Vec<Action> {
        match (self.state.clone(), answer) {
            // The first offer is as good as any: who has two servers on a link wants either.
            (State::Selecting { tries }, Answer::Offer(terms)) if tries > 0 => self.request(now, terms, 0),
            (State::Requesting { terms, .. }, Answer::Ack(ack)) if ack.server == terms.server => {
                self.bind(now, ack)
            }
            (State::Renewing(held) | State::Rebinding(held), Answer::Ack(ack))
                if ack.lease.address == held.terms.lease.address =>
            {
                self.bind(now, ack)
            }
            (State::Requesting { .. } | State::Renewing(_) | State::Rebinding(_), Answer::Nak) => {
                self.select(now, "the server refuses the address", 4 * FIRST_WAIT)
            }
            _ => Vec::new(),
        }
    }

    fn discover(&mut self, now: Duration, tries: u32) -> Vec<Action> {
        if tries == 0 {
            self.ask_anew(now);
        }
        let wait = FIRST_WAIT.saturating_mul(1 << tries.min(6)).min(MAX_WAIT);
        self.state = State::Selecting { tries: tries.saturating_add(1) };
        self.wake = Some(now + self.jitter(wait));
        let mut actions = vec![Action::Broadcast(self.ask(now, AskKind::Discover))];
        if tries == 4 {
            actions.push(Action::Note("no DHCP server has answered so far; still asking".into()));
        }
        actions
    }

    fn request(&mut self, now: Duration, terms: Terms, tries: u32) -> Vec<Action> {
        let kind = AskKind::Request(terms.lease.address, terms.server);
        self.state = State::Requesting { terms, tries: tries + 1 };
        self.wake = Some(now + self.jitter(FIRST_WAIT * (1 << tries)));
        vec![Action::Broadcast(self.ask(now, kind))]
    }

    /// Asks to keep the lease: its server before T2, anybody after, nobody once it has ended.
    fn keep(&mut self, now: Duration, held: Held) -> Vec<Action> {
        let address = held.terms.lease.address;
        if now >= held.end {
            return self.select(now, "the lease has ended", Duration::ZERO);
        }
        let renews = now < held.rebind;
        let limit = if renews { held.rebind } else { held.end };
        self.wake = Some((now + ((limit - now) / 2).max(KEEP_WAIT)).min(limit));
        if renews {
            let server = held.terms.server;
            self.state = State::Renewing(held);
            vec![Action::Unicast(self.ask(now, AskKind::Renew(address)), server)]
        } else {
            self.state = State::Rebinding(held);
            vec![Action::Broadcast(self.ask(now, AskKind::Rebind(address)))]
        }
    }

    fn bind(&mut self, now: Duration, terms: Terms) -> Vec<Action> {
        let lease = terms.lease.clone();
        let note = match terms.seconds {
            Some(s) => format!("{}/{} from {} for {s} s", lease.address, lease.prefix_len, terms.server),
            None => format!("{}/{} from {} for good", lease.address, lease.prefix_len, terms.server),
        };
        let held = Held::new(now, terms);
        self.wake = held.terms.seconds.map(|_| held.renew);
        self.state = State::Bound(held);
        if self.told.as_ref() == Some(&lease) {
            return Vec::new();
        }
        self.told = Some(lease.clone());
        vec![Action::Note(note), Action::Lease(lease)]
    }

    fn select(&mut self, now: Duration, why: &str, pause: Duration) -> Vec<Action> {
        self.state = State::Selecting { tries: 0 };
        self.wake = Some(now + pause);
        vec![Action::Note(format!("{why}; looking for another"))]
    }

    fn ask_anew(&mut self, now: Duration) {
        self.xid = (self.random)();
        self.began = now;
    }

    fn ask(&self, now: Duration, kind: AskKind) -> Ask {
        let secs = u16::try_from((now - self.began).as_secs()).unwrap_or(u16::MAX);
        Ask { xid: self.xid, secs, kind }
    }

    /// `wait`, an eighth more or less, so that hosts that boot together do not ask together for ever.
    fn jitter(&mut self, wait: Duration) -> Duration {
        let share = (self.random)() % 256;
        wait * 7 / 8 + wait * share / 1024
    }
}

impl Held {
    /// T1 and T2 as the server says when they are in order, else a half and seven eighths.
    fn new(now: Duration, terms: Terms) -> Self {
        let length = terms.seconds.map_or(Duration::MAX / 4, |s| Duration::from_secs(s.into()).max(MIN_LEASE));
        let said = |s: Option<u32>, other: Duration| s.map_or(other, |s| Duration::from_secs(s.into()));
        let (mut renew, mut rebind) = (said(terms.renew_s, length / 2), said(terms.rebind_s, length / 8 * 7));
        if renew.is_zero() || renew >= rebind || rebind >= length {
            (renew, rebind) = (length / 2, length / 8 * 7);
        }
        Self { terms, renew: now + renew, rebind: now + rebind, end: now + length }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
