//! The client's states (RFC 8415, 18.2), as a pure step function like DHCPv4's: time and randomness come in, actions go out.
//!
//! | state | waits for | then |
//! |---|---|---|
//! | Idle | routers to say that addresses are to be had by DHCPv6 | Soliciting |
//! | Soliciting | offers; asks again with back-off | Requesting |
//! | Requesting | the reply, ten times | Bound, or Soliciting |
//! | Bound | T1 | Renewing |
//! | Renewing | the lease's server, until T2 | Bound, or Rebinding |
//! | Rebinding | any server, until the address' life ends | Bound, or Soliciting |
//! | Declining | that the server knows: somebody else has the address | Soliciting |
//!
//! There is no Confirm: nothing is kept from an earlier boot, and a machine's link does not move.

use std::net::Ipv6Addr;
use std::time::Duration;

use kennel_model::network::Leased;

use super::message::{Answer, Ask, AskKind, Duid, FOR_EVER, No, Offered, Terms};

/// How often a question is repeated: first wait, longest wait, number (RFC 8415, 7.6).
struct Pace(Duration, Duration, u32);
const SOLICIT: Pace = Pace(Duration::from_secs(1), Duration::from_secs(3600), u32::MAX);
const REQUEST: Pace = Pace(Duration::from_secs(1), Duration::from_secs(30), 10);
const RENEW: Pace = Pace(Duration::from_secs(10), Duration::from_secs(600), u32::MAX);
const REBIND: Pace = Pace(Duration::from_secs(10), Duration::from_secs(600), u32::MAX);
const DECLINE: Pace = Pace(Duration::from_secs(1), Duration::from_secs(3600), 4);
/// The first Solicit comes after up to so much, so that hosts that boot together do not ask together.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// A pause after a refusal or an end, so that no server makes us ask in circles.
const PAUSE: Duration = Duration::from_secs(4);
/// Nobody is asked to renew earlier, and an address for less is not taken.
const MIN_RENEW: Duration = Duration::from_secs(10);
const MIN_VALID: u32 = 30;
/// An offer with this preference is taken at once.
const BEST: u8 = 255;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// [`Machine::wake`] has come.
    Timer,
    /// A router says that addresses are to be had by DHCPv6.
    Managed,
    /// A server's answer to the machine's current question.
    Answer(Answer),
    /// The kernel found this address in use by somebody else.
    Duplicate(Ipv6Addr),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// To all servers on the link.
    Send(Ask),
    /// Tell init what address there is now, and the servers that came with it.
    Hold(Option<Leased>, Vec<Ipv6Addr>),
    /// A line for the console.
    Note(String),
}

#[derive(Debug, Clone)]
enum State {
    Idle,
    Soliciting { best: Option<(Terms, u8)> },
    Requesting(Terms),
    Bound(Held),
    Renewing(Held),
    Rebinding(Held),
    Declining(Ipv6Addr, Duid),
}

/// A lease with the moments that matter.
#[derive(Debug, Clone)]
struct Held {
    server: Duid,
    address: Ipv6Addr,
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
    /// When the current question was first asked.
    began: Duration,
    /// How often it was asked, and the wait after the last time.
    asked: u32,
    wait: Duration,
    max_pause: Duration,
    random: R,
}

impl<R: FnMut() -> u32> Machine<R> {
    /// A client that nobody has told to ask.
    pub const fn new(random: R) -> Self {
        let (began, wait) = (Duration::ZERO, Duration::ZERO);
        Self { state: State::Idle, wake: None, xid: 0, began, asked: 0, wait, max_pause: SOLICIT.1, random }
    }

    /// When to step next.
    pub const fn wake(&self) -> Option<Duration> {
        self.wake
    }

    /// The question that an answer must belong to.
    pub const fn xid(&self) -> u32 {
        self.xid
    }

    /// Whether an answer may come.
    pub const fn is_asking(&self) -> bool {
        !matches!(self.state, State::Idle | State::Bound(_)) && self.asked > 0
    }

    /// The address that is held.
    pub const fn address(&self) -> Option<Ipv6Addr> {
        match &self.state {
            State::Bound(held) | State::Renewing(held) | State::Rebinding(held) => Some(held.address),
            _ => None,
        }
    }

    /// The last question could not be sent: the next one is the first.
    pub const fn not_sent(&mut self) {
        self.asked = 0;
    }

    /// One step. What does not fit the state is passed over.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match event {
            Event::Timer if self.wake.is_some_and(|wake| wake <= now) => self.timer(now),
            Event::Managed if matches!(self.state, State::Idle) => {
                let delay = self.share(FIRST_DELAY);
                self.solicit_after(now, delay);
                Vec::new()
            }
            Event::Timer | Event::Managed => Vec::new(),
            Event::Answer(answer) if self.is_asking() => self.answer(now, answer),
            Event::Answer(_) => Vec::new(),
            Event::Duplicate(address) => self.duplicate(now, address),
        }
    }

    fn timer(&mut self, now: Duration) -> Vec<Action> {
        match self.state.clone() {
            State::Idle => Vec::new(),
            State::Soliciting { best: Some((terms, _)) } => self.request(now, terms),
            State::Soliciting { best: None } => self.solicit(now),
            State::Requesting(_) if self.asked >= REQUEST.2 => {
                self.lost(now, "the DHCPv6 server does not answer the request", false)
            }
            State::Requesting(terms) => self.ask_for(now, terms),
            State::Bound(held) | State::Renewing(held) | State::Rebinding(held) => self.keep(now, held),
            State::Declining(..) if self.asked >= DECLINE.2 => {
                self.solicit_after(now, PAUSE);
                Vec::new()
            }
            State::Declining(address, server) => {
                vec![self.ask(now, &DECLINE, None, AskKind::Decline(address, server))]
            }
        }
    }

    fn answer(&mut self, now: Duration, answer: Answer) -> Vec<Action> {
        match (self.state.clone(), answer) {
            (State::Soliciting { best }, Answer::Advertise(terms, preference)) => {
                self.offered(now, best, terms, preference)
            }
            (State::Soliciting { .. }, Answer::No(No { max_pause_s: Some(s), is_reply: false, .. })) => {
                self.max_pause = Duration::from_secs(s.into());
                Vec::new()
            }
            (State::Requesting(asked), Answer::Reply(reply)) if reply.server == asked.server => {
                self.replied(now, reply, None)
            }
            (State::Requesting(asked), Answer::No(no)) if no.is_reply && no.server == asked.server => {
                self.lost(now, "the DHCPv6 server refuses the address", false)
            }
            (State::Renewing(held), Answer::Reply(reply)) if reply.server == held.server => {
                self.replied(now, reply, Some(held))
            }
            (State::Rebinding(held), Answer::Reply(reply)) => self.replied(now, reply, Some(held)),
            (State::Renewing(held), Answer::No(no)) if no.server == held.server => self.unknown(now, &no),
            (State::Rebinding(_), Answer::No(no)) => self.unknown(now, &no),
            (
                State::Declining(_, server),
                Answer::Reply(Terms { server: by, .. }) | Answer::No(No { server: by, .. }),
            ) if by == server => {
                self.solicit_after(now, PAUSE);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn solicit(&mut self, now: Duration) -> Vec<Action> {
        let pace = Pace(SOLICIT.0, self.max_pause, SOLICIT.2);
        let mut actions = vec![self.ask(now, &pace, None, AskKind::Solicit)];
        if self.asked == 5 {
            let note = "routers say that addresses are to be had by DHCPv6, but no server has answered so far; \
                        still asking";
            actions.push(Action::Note(note.into()));
        }
        actions
    }

    /// The best offer of the first wait is taken; after it the first one that comes.
    fn offered(
        &mut self,
        now: Duration,
        best: Option<(Terms, u8)>,
        terms: Terms,
        preference: u8,
    ) -> Vec<Action> {
        if preference == BEST || self.asked > 1 {
            return self.request(now, terms);
        }
        let best = best.filter(|(_, before)| *before >= preference).unwrap_or((terms, preference));
        self.state = State::Soliciting { best: Some(best) };
        Vec::new()
    }

    fn request(&mut self, now: Duration, terms: Terms) -> Vec<Action> {
        self.state = State::Requesting(terms.clone());
        self.asked = 0;
        self.ask_for(now, terms)
    }

    fn ask_for(&mut self, now: Duration, terms: Terms) -> Vec<Action> {
        match usable(&terms, None) {
            Some(offered) => {
                vec![self.ask(now, &REQUEST, None, AskKind::Request(offered.address, terms.server))]
            }
            None => self.lost(now, "the DHCPv6 server offers no usable address", false),
        }
    }

    /// A reply binds, takes back what is held, or says nothing of it.
    fn replied(&mut self, now: Duration, reply: Terms, before: Option<Held>) -> Vec<Action> {
        let had = before.as_ref().map(|held| held.address);
        let Some(offered) = usable(&reply, had) else {
            let is_ours = |offered: &Offered| Some(offered.address) == had && offered.valid_s == 0;
            return match had {
                None => self.lost(now, "the DHCPv6 server gives no usable address", false),
                Some(_) if reply.addresses.iter().any(is_ours) => {
                    self.lost(now, "the DHCPv6 server takes the address back", true)
                }
                Some(_) => Vec::new(),
            };
        };
        let held = Held::new(now, &reply, offered);
        self.wake = (held.end != Duration::MAX || held.renew != Duration::MAX).then_some(held.renew);
        self.asked = 0;
        self.state = State::Bound(held);
        let seconds = (offered.valid_s != FOR_EVER).then_some(offered.valid_s);
        let mut actions = Vec::new();
        if had != Some(offered.address) {
            let time = seconds.map_or("for good".to_owned(), |s| format!("for {s} s"));
            actions.push(Action::Note(format!("{} by DHCPv6 {time}", offered.address)));
        }
        actions.push(Action::Hold(Some(Leased { address: offered.address, seconds }), reply.dns));
        actions
    }

    /// A server that is asked to renew knows nothing of it: a new one is looked for, and the old address is let go of when
    /// that server says so. Any other refusal may be that server's own trouble, and is waited out.
    fn unknown(&mut self, now: Duration, no: &No) -> Vec<Action> {
        if no.is_reply && no.no_binding {
            return self.lost(now, "the DHCPv6 server knows nothing of the address", true);
        }
        Vec::new()
    }

    /// Asks to keep the lease: its server before T2, anybody after, nobody once it has ended.
    fn keep(&mut self, now: Duration, held: Held) -> Vec<Action> {
        if now >= held.end {
            return self.lost(now, &format!("the life of {} has ended", held.address), true);
        }
        let renews = now < held.rebind;
        let (pace, limit) = if renews { (RENEW, held.rebind) } else { (REBIND, held.end) };
        if !matches!((&self.state, renews), (State::Renewing(_), true) | (State::Rebinding(_), false)) {
            self.asked = 0;
        }
        let mut actions = Vec::new();
        let kind = if renews {
            self.state = State::Renewing(held.clone());
            AskKind::Renew(held.address, held.server)
        } else {
            if self.asked == 0 {
                actions
                    .push(Action::Note("the DHCPv6 server does not renew the address; asking others".into()));
            }
            self.state = State::Rebinding(held.clone());
            AskKind::Rebind(held.address)
        };
        actions.push(self.ask(now, &pace, Some(limit), kind));
        actions
    }

    /// Somebody else has the address that we were given.
    fn duplicate(&mut self, now: Duration, address: Ipv6Addr) -> Vec<Action> {
        let (State::Bound(held) | State::Renewing(held) | State::Rebinding(held)) = self.state.clone() else {
            return Vec::new();
        };
        if held.address != address {
            return Vec::new();
        }
        self.state = State::Declining(address, held.server.clone());
        self.asked = 0;
        let note = format!("somebody else on the link has {address}; it is given back");
        let decline = self.ask(now, &DECLINE, None, AskKind::Decline(address, held.server));
        vec![Action::Note(note), Action::Hold(None, Vec::new()), decline]
    }

    /// Begins anew; what was held is let go of.
    fn lost(&mut self, now: Duration, why: &str, held: bool) -> Vec<Action> {
        self.solicit_after(now, PAUSE);
        let note = Action::Note(format!("{why}; looking for another"));
        if held { vec![note, Action::Hold(None, Vec::new())] } else { vec![note] }
    }

    fn solicit_after(&mut self, now: Duration, pause: Duration) {
        self.state = State::Soliciting { best: None };
        self.asked = 0;
        self.wake = Some(now + pause);
    }

    /// Asks once more, and says when it is due again (RFC 8415, 15): twice the wait before, a tenth more or less, and at most
    /// until `limit`.
    fn ask(&mut self, now: Duration, pace: &Pace, limit: Option<Duration>, kind: AskKind) -> Action {
        if self.asked == 0 {
            self.xid = (self.random)() & 0x00ff_ffff;
            self.began = now;
        }
        let tenth = |wait: Duration, share: Duration| wait * 9 / 10 + share;
        let base = if self.asked == 0 { pace.0 } else { (self.wait * 2).min(pace.1) };
        let share = self.share(base / 5);
        // The first wait for offers is never shorter than a second (RFC 8415, 18.2.1).
        let whole = self.asked == 0 && kind == AskKind::Solicit;
        self.wait = if whole { base + share / 2 } else { tenth(base, share) };
        self.asked = self.asked.saturating_add(1);
        let due = now + self.wait;
        self.wake = Some(limit.map_or(due, |limit| due.min(limit)));
        let elapsed = u16::try_from((now - self.began).as_millis() / 10).unwrap_or(u16::MAX);
        Action::Send(Ask { xid: self.xid, elapsed, kind })
    }

    /// Some part of `whole`, by chance.
    fn share(&mut self, whole: Duration) -> Duration {
        whole * ((self.random)() % 256) / 256
    }
}

/// The address to take of these: the one that is held, or else the first.
fn usable(terms: &Terms, held: Option<Ipv6Addr>) -> Option<Offered> {
    let fit = || terms.addresses.iter().filter(|offered| offered.valid_s >= MIN_VALID);
    fit().find(|offered| Some(offered.address) == held).or_else(|| fit().next()).copied()
}

impl Held {
    /// T1 and T2 as the server says when they are in order, else a half and four fifths of the preferred life.
    fn new(now: Duration, terms: &Terms, offered: Offered) -> Self {
        let after = |s: u32| if s == FOR_EVER { Duration::MAX } else { now + Duration::from_secs(s.into()) };
        let end = after(offered.valid_s);
        // An address that is not preferred from the start has still to be renewed in time.
        let life = if offered.preferred_s < MIN_VALID { offered.valid_s } else { offered.preferred_s };
        let part = |of_ten: u32| if life == FOR_EVER { FOR_EVER } else { life / 10 * of_ten };
        let said = |s: u32, other: u32| after(if s == 0 { other } else { s });
        let (mut renew, mut rebind) = (said(terms.renew_s, part(5)), said(terms.rebind_s, part(8)));
        if renew > rebind || rebind > end {
            (renew, rebind) = (after(part(5)), after(part(8)));
        }
        let renew = renew.max(now + MIN_RENEW).min(end);
        let rebind = rebind.max(renew).min(end);
        Self { server: terms.server.clone(), address: offered.address, renew, rebind, end }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
