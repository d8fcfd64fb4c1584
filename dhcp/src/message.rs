//! DHCP messages: what the client says, and what of a server's answer it believes. Every value that reaches init is
//! checked here. Their bytes are `wire`'s business; when what is said is decided in `machine`.

use kennel_model::msg::{LEASE_MTU, Lease, is_host};
use std::net::Ipv4Addr;

use crate::frame::Mac;
use crate::wire::{Reply, Request, option};

/// Values of the message type option.
mod kind {
    pub(super) const DISCOVER: u8 = 1;
    pub(super) const OFFER: u8 = 2;
    pub(super) const REQUEST: u8 = 3;
    pub(super) const ACK: u8 = 5;
    pub(super) const NAK: u8 = 6;
}

/// Name servers that a lease carries at most.
const MAX_DNS: usize = 3;
/// The longest message that the client wants, in bytes with the IP header: what fits a standard frame.
const MAX_MESSAGE: u16 = 1500;

/// What the client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Ties the answer to the question.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// What it asks for.
    pub kind: AskKind,
}

/// The client's questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskKind {
    /// Who has an address?
    Discover,
    /// I take this address from this server.
    Request(Ipv4Addr, Ipv4Addr),
    /// To the lease's server alone: may I keep the address?
    Renew(Ipv4Addr),
    /// To everybody: may I keep the address?
    Rebind(Ipv4Addr),
}

/// A server's answer, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An address to be had.
    Offer(Terms),
    /// The address is ours.
    Ack(Terms),
    /// It is not.
    Nak,
}

/// An address with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// For init.
    pub lease: Lease,
    /// Who gives it.
    pub server: Ipv4Addr,
    /// For how long, in seconds; `None` for ever.
    pub seconds: Option<u32>,
    /// When to ask the server again (T1), in seconds, when it says.
    pub renew_s: Option<u32>,
    /// When to ask anybody (T2), in seconds, when it says.
    pub rebind_s: Option<u32>,
}

/// Encodes a question from `mac`.
pub fn encode(ask: &Ask, mac: Mac) -> Vec<u8> {
    let client = match ask.kind {
        AskKind::Renew(address) | AskKind::Rebind(address) => address,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    let what = if ask.kind == AskKind::Discover { kind::DISCOVER } else { kind::REQUEST };
    let wanted = [
        option::SUBNET_MASK,
        option::ROUTER,
        option::DNS,
        option::MTU,
        option::LEASE_TIME,
        option::SERVER_ID,
        option::RENEWAL,
        option::REBINDING,
    ];
    let mut request = Request::new(mac, ask.xid, ask.secs, client)
        .option(option::MESSAGE_TYPE, &[what])
        .option(option::CLIENT_ID, &[&[1], &mac[..]].concat())
        .option(option::MAX_MESSAGE, &MAX_MESSAGE.to_be_bytes())
        .option(option::PARAMETERS, &wanted);
    if let AskKind::Request(address, server) = ask.kind {
        request = request
            .option(option::REQUESTED_ADDRESS, &address.octets())
            .option(option::SERVER_ID, &server.octets());
    }
    request.finish()
}

/// The answer to question `xid` of `mac` in these bytes; `None` when it is something else or not to be believed.
pub fn decode(bytes: &[u8], xid: u32, mac: Mac) -> Option<Answer> {
    let reply = Reply::new(bytes).filter(|reply| reply.xid() == xid && reply.hardware_address() == mac)?;
    match reply.byte(option::MESSAGE_TYPE)? {
        kind::OFFER => terms(&reply).map(Answer::Offer),
        kind::ACK => terms(&reply).map(Answer::Ack),
        kind::NAK => Some(Answer::Nak),
        _ => None,
    }
}

fn terms(reply: &Reply<'_>) -> Option<Terms> {
    let address = reply.your_address();
    let server = reply.address(option::SERVER_ID)?;
    let mask = reply.address(option::SUBNET_MASK)?;
    let prefix_len = prefix_len(mask)?;
    if !is_host(server) {
        return None;
    }
    let gateway = reply.addresses(option::ROUTER).next();
    let lease = Lease {
        address,
        prefix_len,
        // A gateway that is not on the link could not be reached.
        gateway: gateway.filter(|g| is_host(*g) && *g != address && same_net(*g, address, mask)),
        dns: reply.addresses(option::DNS).filter(|server| is_host(*server)).take(MAX_DNS).collect(),
        mtu: reply.word(option::MTU).filter(|bytes| LEASE_MTU.contains(bytes)),
    };
    lease.validate().ok()?;
    Some(Terms {
        lease,
        server,
        seconds: reply.long(option::LEASE_TIME).filter(|s| *s != u32::MAX),
        renew_s: reply.long(option::RENEWAL),
        rebind_s: reply.long(option::REBINDING),
    })
}

/// The length of a mask's prefix; `None` when its ones are not all in front, or there are none.
fn prefix_len(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    (ones > 0 && ones == bits.count_ones()).then_some(ones as u8)
}

fn same_net(a: Ipv4Addr, b: Ipv4Addr, mask: Ipv4Addr) -> bool {
    (u32::from(a) ^ u32::from(b)) & u32::from(mask) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
    use dhcproto::{Decodable, Encodable};
    use proptest::prelude::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    fn offer() -> Message {
        let none = Ipv4Addr::UNSPECIFIED;
        let mut message = Message::new_with_id(7, none, Ipv4Addr::new(10, 0, 2, 15), none, none, &MAC);
        message.set_opcode(Opcode::BootReply);
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(MessageType::Offer));
        options.insert(DhcpOption::ServerIdentifier(Ipv4Addr::new(10, 0, 2, 2)));
        options.insert(DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)));
        options.insert(DhcpOption::Router(vec![Ipv4Addr::new(10, 0, 2, 2)]));
        options.insert(DhcpOption::DomainNameServer(vec![Ipv4Addr::new(10, 0, 2, 3); 5]));
        options.insert(DhcpOption::AddressLeaseTime(86_400));
        message
    }

    fn bytes(message: &Message) -> Vec<u8> {
        message.to_vec().unwrap()
    }

    fn believed(change: impl FnOnce(&mut Message)) -> Option<Terms> {
        let mut message = offer();
        change(&mut message);
        match decode(&bytes(&message), 7, MAC) {
            Some(Answer::Offer(terms)) => Some(terms),
            _ => None,
        }
    }

    #[test]
    fn an_offer_is_read() {
        let terms = believed(|_| {}).unwrap();
        assert_eq!((terms.lease.address, terms.lease.prefix_len), (Ipv4Addr::new(10, 0, 2, 15), 24));
        assert_eq!(terms.lease.gateway, Some(Ipv4Addr::new(10, 0, 2, 2)));
        assert_eq!((terms.lease.dns.len(), terms.seconds, terms.renew_s), (3, Some(86_400), None));
    }

    #[test]
    fn what_is_not_ours_or_makes_no_sense_is_not_believed() {
        assert!(
            believed(|m| {
                m.set_xid(8);
            })
            .is_none()
        );
        assert!(
            believed(|m| {
                m.set_chaddr(&[9; 6]);
            })
            .is_none()
        );
        assert!(
            believed(|m| {
                m.set_opcode(Opcode::BootRequest);
            })
            .is_none()
        );
        assert!(
            believed(|m| {
                m.set_yiaddr(Ipv4Addr::LOCALHOST);
            })
            .is_none()
        );
        assert!(
            believed(|m| {
                m.set_yiaddr(Ipv4Addr::BROADCAST);
            })
            .is_none()
        );
        assert!(
            believed(|m| {
                m.opts_mut().remove(OptionCode::ServerIdentifier);
            })
            .is_none()
        );
        assert!(
            believed(|m| {
                m.opts_mut().remove(OptionCode::SubnetMask);
            })
            .is_none()
        );
        let mask = |m: &mut Message, mask| {
            m.opts_mut().insert(DhcpOption::SubnetMask(mask));
        };
        assert!(believed(|m| mask(m, Ipv4Addr::new(255, 0, 255, 0))).is_none());
        assert!(believed(|m| mask(m, Ipv4Addr::UNSPECIFIED)).is_none());
        assert!(believed(|m| mask(m, Ipv4Addr::new(128, 0, 0, 0))).is_none(), "init would refuse it");
    }

    #[test]
    fn doubtful_extras_are_left_out() {
        let terms = believed(|m| {
            m.opts_mut().insert(DhcpOption::Router(vec![Ipv4Addr::new(192, 168, 0, 1)]));
            m.opts_mut()
                .insert(DhcpOption::DomainNameServer(vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(1, 1, 1, 1)]));
            m.opts_mut().insert(DhcpOption::InterfaceMtu(68));
            m.opts_mut().insert(DhcpOption::AddressLeaseTime(u32::MAX));
        });
        let terms = terms.unwrap();
        assert_eq!((terms.lease.gateway, terms.lease.mtu, terms.seconds), (None, None, None));
        assert_eq!(terms.lease.dns, [Ipv4Addr::new(1, 1, 1, 1)]);
        let terms = believed(|m| {
            m.opts_mut().insert(DhcpOption::Router(vec![Ipv4Addr::new(10, 0, 2, 15)]));
            m.opts_mut().insert(DhcpOption::InterfaceMtu(u16::MAX));
        });
        let terms = terms.unwrap();
        assert_eq!(
            (terms.lease.gateway, terms.lease.mtu),
            (None, None),
            "its own address; more than any network has"
        );
    }

    #[test]
    fn a_request_names_address_and_server() {
        let (address, server) = (Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 2, 2));
        let ask = Ask { xid: 7, secs: 3, kind: AskKind::Request(address, server) };
        let message = Message::from_bytes(&encode(&ask, MAC)).unwrap();
        assert_eq!(
            message.opts().get(OptionCode::RequestedIpAddress),
            Some(&DhcpOption::RequestedIpAddress(address))
        );
        assert_eq!((message.ciaddr(), message.chaddr(), message.secs()), (Ipv4Addr::UNSPECIFIED, &MAC[..], 3));

        let renew = Message::from_bytes(&encode(&Ask { kind: AskKind::Renew(address), ..ask }, MAC)).unwrap();
        assert_eq!(renew.ciaddr(), address);
        assert!(renew.opts().get(OptionCode::ServerIdentifier).is_none());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode(&bytes, 0, MAC);
        }

        #[test]
        fn damaged_offers_never_panic(damage in proptest::collection::vec((0usize..400, any::<u8>()), 1..6)) {
            let mut bytes = bytes(&offer());
            for (at, value) in damage {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            let _ = decode(&bytes, 7, MAC);
        }
    }
}
