//! DHCPv6: messages from the link, the kernel's news of routers' advertisements, and the states that both drive. What the
//! client tells init, init must be able to take.

use std::time::Duration;

use kennel_dhcp::frame::Mac;
use kennel_dhcp::v6::machine::{Action, Event, Machine};
use kennel_dhcp::v6::message::{self, Answer, Ask, AskKind};
use kennel_dhcp::v6::news::{self, News};
use kennel_model::network::{Ipv6, can_be_leased};

use crate::Numbers;

const MAC: Mac = [2, 0, 0, 0, 0, 1];
/// Of every question: the machine's randomness here.
const XID: u32 = 7;
/// The interface's.
const INDEX: u32 = 2;

/// Tries bytes as the kernel's news, as a message, and as a series of messages.
///
/// # Panics
/// When the client believes what init refuses, asks in circles, or fails.
pub fn run(data: &[u8]) {
    for one in news::read(data, INDEX) {
        if let News::NameServers(dns, _) = one {
            assert_eq!(Ipv6 { address: None, dns }.validate(), Ok(()));
        }
    }
    if let Some(Answer::Advertise(terms, _) | Answer::Reply(terms)) = message::decode(data, XID, MAC) {
        assert!(terms.addresses.iter().all(|offered| can_be_leased(offered.address)), "{terms:?}");
    }
    live(data);
}

/// A client's life: pieces of the bytes arrive as messages, and time passes between them.
fn live(data: &[u8]) {
    let mut now = Duration::ZERO;
    let mut machine = Machine::new(|| XID);
    judge(machine.step(now, Event::Managed));
    let mut rest = data;
    for _ in 0..64 {
        let [how, a, b, more @ ..] = rest else { break };
        rest = more;
        let number = usize::from(Numbers::new(&[*a, *b]).word());
        let event = match how % 4 {
            0 | 2 => {
                now = machine.wake().unwrap_or(now).max(now);
                Event::Timer
            }
            1 => {
                now += Duration::from_secs(number as u64 >> 12);
                let (piece, more) = rest.split_at(number.min(rest.len()));
                rest = more;
                match message::decode(piece, XID, MAC) {
                    Some(answer) => Event::Answer(answer),
                    None => continue,
                }
            }
            _ => match machine.address() {
                Some(address) => Event::Duplicate(address),
                None => continue,
            },
        };
        let timer = event == Event::Timer;
        judge(machine.step(now, event));
        assert!(!timer || machine.wake().is_none_or(|wake| wake > now), "due again at once");
    }
}

fn judge(actions: Vec<Action>) {
    for action in actions {
        match action {
            Action::Hold(address, dns) => assert_eq!(Ipv6 { address, dns }.validate(), Ok(())),
            Action::Send(ask) => assert!(message::encode(&ask, MAC).len() <= 600),
            Action::Note(_) => {}
        }
    }
}

/// An offer, a reply and a refusal; a life in which they arrive.
pub fn seeds() -> Vec<Vec<u8>> {
    let [offer, reply, refusal] = [(2, 0), (7, 0), (7, 3)].map(|(kind, status)| answer(kind, status));
    let arrive = |message: &[u8]| [&[1, message.len() as u8, (message.len() >> 8) as u8], message].concat();
    let wait = vec![0, 0, 0];
    let life = [
        wait.clone(),
        arrive(&offer),
        wait.clone(),
        arrive(&reply),
        wait.clone(),
        arrive(&reply),
        vec![3, 0, 0],
        wait,
        arrive(&refusal),
    ];
    vec![offer, reply, refusal, life.concat()]
}

/// A server's answer: its name, ours as the client's own question has it, and an address.
fn answer(kind: u8, status: u8) -> Vec<u8> {
    let asked = message::encode(&Ask { xid: XID, elapsed: 0, kind: AskKind::Solicit }, MAC);
    let mut bytes = [&[kind][..], &asked[1..4 + 14], &[0, 2, 0, 4, 0, 3, 0, 1]].concat();
    let mut within = vec![0, 5, 0, 24, 0x26, 0, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    within.extend([0, 0, 0, 140, 0, 0, 1, 194]);
    if status != 0 {
        within = vec![0, 13, 0, 2, 0, status];
    }
    bytes.extend([0, 3, 0, 12 + within.len() as u8, 0, 0, 0, 1, 0, 0, 0, 70, 0, 0, 0, 112]);
    bytes.extend(within);
    bytes.extend([0, 23, 0, 16, 0x26, 0, 0xd, 0xb8, 0, 0x53, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_what_they_are_meant_to_be() {
        let read: Vec<_> = seeds().iter().map(|seed| message::decode(seed, XID, MAC)).collect();
        assert!(matches!(
            &read[..3],
            [Some(Answer::Advertise(..)), Some(Answer::Reply(..)), Some(Answer::No(no))] if no.no_binding
        ));
    }
}
