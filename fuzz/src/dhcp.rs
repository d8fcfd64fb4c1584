//! The DHCP client: frames from the link and the messages in them, each also tried by itself, and the states that they
//! drive. What the client tells init, init must be able to take.

use std::net::Ipv4Addr;
use std::time::Duration;

use kennel_dhcp::frame::{self, Mac};
use kennel_dhcp::machine::{Action, Event, Machine};
use kennel_dhcp::message::{self, Answer, Ask, AskKind};

use crate::Numbers;

const MAC: Mac = [2, 0, 0, 0, 0, 1];
/// Of every question: the machine's randomness here.
const XID: u32 = 7;

/// Tries bytes as a frame, as a message, and as a series of messages.
///
/// # Panics
/// When the client believes a lease that init refuses, asks in circles, or fails.
pub fn run(data: &[u8]) {
    if let Some(payload) = frame::payload(data, MAC) {
        assert!(payload.len() <= data.len());
        let _ = message::decode(payload, XID, MAC);
    }
    if let Some(Answer::Offer(terms) | Answer::Ack(terms)) = message::decode(data, XID, MAC) {
        assert_eq!(terms.lease.validate(), Ok(()), "{terms:?}");
    }
    live(data);
}

/// A client's life: pieces of the bytes arrive as messages, and time passes between them.
fn live(data: &[u8]) {
    let mut now = Duration::ZERO;
    let mut machine = Machine::new(now, || XID);
    let mut rest = data;
    for _ in 0..64 {
        let [how, a, b, more @ ..] = rest else { break };
        rest = more;
        let number = usize::from(Numbers::new(&[*a, *b]).word());
        let event = if how % 2 == 0 {
            now = machine.wake().unwrap_or(now).max(now);
            Event::Timer
        } else {
            now += Duration::from_secs(number as u64 >> 12);
            let (piece, more) = rest.split_at(number.min(rest.len()));
            rest = more;
            match message::decode(piece, XID, MAC) {
                Some(answer) => Event::Answer(answer),
                None => continue,
            }
        };
        let timer = event == Event::Timer;
        judge(&machine.step(now, event));
        let selects = machine.wake() == Some(now) && machine.address().is_none();
        assert!(!timer || selects || machine.wake().is_none_or(|wake| wake > now), "due again at once");
    }
}

fn judge(actions: &[Action]) {
    for action in actions {
        match action {
            Action::Lease(lease) => assert_eq!(lease.validate(), Ok(()), "{lease:?}"),
            Action::Broadcast(ask) | Action::Unicast(ask, _) => {
                assert!(message::encode(ask, MAC).len() <= frame::MAX_FRAME);
            }
            Action::Note(_) => {}
        }
    }
}

/// An offer, an acknowledgement and a refusal; a life in which they arrive; a frame.
pub fn seeds() -> Vec<Vec<u8>> {
    let [offer, ack, nak] = [2, 5, 6].map(answer);
    let arrive = |message: &[u8]| [&[1, message.len() as u8, (message.len() >> 8) as u8], message].concat();
    let wait = vec![0, 0, 0];
    let life = [wait.clone(), arrive(&offer), arrive(&ack), wait.clone(), arrive(&nak), wait].concat();
    // Our own frame, turned round: as a server would send it.
    let mut framed = frame::broadcast(MAC, Ipv4Addr::UNSPECIFIED, &offer);
    framed.swap(34 + 1, 36 + 1);
    vec![offer, ack, nak, life, framed]
}

/// A server's answer: the client's own question with the fields of an answer in it.
fn answer(kind: u8) -> Vec<u8> {
    let ask = Ask { xid: XID, secs: 0, kind: AskKind::Discover };
    let mut bytes = message::encode(&ask, MAC);
    bytes[0] = 2;
    bytes[16..20].copy_from_slice(&[10, 0, 2, 15]);
    bytes.truncate(240);
    bytes.extend([53, 1, kind, 54, 4, 10, 0, 2, 2, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 2, 2]);
    bytes.extend([6, 4, 10, 0, 2, 3, 26, 2, 5, 220, 51, 4, 0, 0, 14, 16, 255]);
    bytes
}
