//! Messages, with dhcproto as the outside judge of what we write and the author of what we read.

use super::*;
use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, Message, MessageType, OptionCode, Status, StatusCode,
};
use dhcproto::{Decodable, Encodable};
use proptest::prelude::*;

const MAC: Mac = [2, 0, 0, 0, 0, 1];
const XID: u32 = 0x0001_0203;
const SERVER: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 9];

fn address(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

fn offered(addr: Ipv6Addr, preferred_life: u32, valid_life: u32) -> DhcpOption {
    DhcpOption::IAAddr(IAAddr { addr, preferred_life, valid_life, opts: DhcpOptions::new() })
}

fn status(status: Status) -> DhcpOption {
    DhcpOption::StatusCode(StatusCode { status, msg: "no".into() })
}

/// An answer with these in its set of addresses, which `change` may spoil.
fn answer(kind: MessageType, within: Vec<DhcpOption>, change: impl FnOnce(&mut DhcpOptions)) -> Option<Answer> {
    let mut message = Message::new_with_id(kind, [1, 2, 3]);
    let ia = IANA { id: 1, t1: 100, t2: 160, opts: within.into_iter().collect() };
    let options = message.opts_mut();
    options.insert(DhcpOption::ClientId(client_id(MAC).to_vec()));
    options.insert(DhcpOption::ServerId(SERVER.to_vec()));
    options.insert(DhcpOption::IANA(ia));
    change(options);
    decode(&message.to_vec().unwrap(), XID, MAC)
}

fn reply(within: Vec<DhcpOption>) -> Option<Answer> {
    answer(MessageType::Reply, within, |_| {})
}

#[test]
fn questions_are_what_the_rfc_asks_for() {
    let (held, server) = (address(7), SERVER.to_vec());
    let asks = [
        (AskKind::Solicit, MessageType::Solicit, false, false),
        (AskKind::Request(held, server.clone()), MessageType::Request, true, true),
        (AskKind::Renew(held, server.clone()), MessageType::Renew, true, true),
        (AskKind::Rebind(held), MessageType::Rebind, true, false),
        (AskKind::Decline(held, server), MessageType::Decline, true, true),
    ];
    for (kind, expected, names_address, names_server) in asks {
        let bytes = encode(&Ask { xid: XID, elapsed: 250, kind }, MAC);
        let message = Message::from_bytes(&bytes).unwrap();
        let options = message.opts();
        assert_eq!((message.msg_type(), message.xid()), (expected, [1, 2, 3]));
        assert_eq!(options.get(OptionCode::ClientId), Some(&DhcpOption::ClientId(client_id(MAC).to_vec())));
        assert_eq!(options.get(OptionCode::ServerId).is_some(), names_server, "{expected:?}");
        assert_eq!(options.get(OptionCode::ElapsedTime), Some(&DhcpOption::ElapsedTime(250)));
        assert_eq!(options.get(OptionCode::ORO).is_some(), expected != MessageType::Decline);
        let Some(DhcpOption::IANA(ia)) = options.get(OptionCode::IANA) else { panic!("{expected:?}") };
        let named = ia.opts.get(OptionCode::IAAddr).map(|option| match option {
            DhcpOption::IAAddr(ia) => (ia.addr, ia.preferred_life, ia.valid_life),
            other => panic!("{other:?}"),
        });
        assert_eq!(named, names_address.then_some((held, 0, 0)), "{expected:?}");
    }
}

#[test]
fn an_offer_is_read() {
    let within = vec![offered(address(7), 140, 450), offered(address(8), 1, 2)];
    let found = answer(MessageType::Advertise, within, |options| {
        options.insert(DhcpOption::Preference(9));
        let servers = [address(0x53), "fe80::1".parse().unwrap(), address(0x53), address(0x54)];
        options.insert(DhcpOption::DomainNameServers(servers.to_vec()));
    });
    let Some(Answer::Advertise(terms, 9)) = found else { panic!("{found:?}") };
    assert_eq!((terms.server.as_slice(), terms.renew_s, terms.rebind_s), (SERVER, 100, 160));
    assert_eq!(terms.addresses[0], Offered { address: address(7), preferred_s: 140, valid_s: 450 });
    assert_eq!((terms.addresses.len(), terms.dns), (2, vec![address(0x53), address(0x54)]));
}

#[test]
fn what_is_not_for_us_or_makes_no_sense_is_not_believed() {
    let good = || vec![offered(address(7), 140, 450)];
    let spoilt = |change: fn(&mut DhcpOptions)| answer(MessageType::Reply, good(), change);
    assert!(spoilt(|_| {}).is_some());
    assert_eq!(spoilt(|o| drop(o.remove(OptionCode::ServerId))), None);
    assert_eq!(spoilt(|o| drop(o.remove(OptionCode::ClientId))), None);
    assert_eq!(spoilt(|o| drop(o.remove(OptionCode::IANA))), None);
    let insert = |o: &mut DhcpOptions, option: DhcpOption| {
        o.remove(OptionCode::from(&option));
        o.insert(option);
    };
    assert_eq!(
        answer(MessageType::Reply, good(), |o| insert(o, DhcpOption::ClientId(vec![0, 3, 0, 1, 9]))),
        None
    );
    assert_eq!(answer(MessageType::Reply, good(), |o| insert(o, DhcpOption::ServerId(vec![0; 200]))), None);
    let ia = |id, t1, t2| DhcpOption::IANA(IANA { id, t1, t2, opts: good().into_iter().collect() });
    assert_eq!(answer(MessageType::Reply, good(), |o| insert(o, ia(7, 100, 160))), None, "another set");
    assert_eq!(answer(MessageType::Reply, good(), |o| insert(o, ia(1, 200, 160))), None, "T1 after T2");
    assert_eq!(answer(MessageType::Reconfigure, good(), |_| {}), None);
    let other = Message::new_with_id(MessageType::Reply, [9, 9, 9]).to_vec().unwrap();
    assert_eq!(decode(&other, XID, MAC), None, "another question");
}

#[test]
fn addresses_that_cannot_be_right_are_left_out() {
    let odd = ["::1", "fe80::7", "ff02::1", "::ffff:10.0.0.1", "fd00:ec2::254", "::"];
    let mut within: Vec<_> = odd.iter().map(|a| offered(a.parse().unwrap(), 140, 450)).collect();
    within.push(offered(address(9), 500, 450));
    let Some(Answer::Reply(terms)) = reply(within.clone()) else { panic!("no reply") };
    assert_eq!(terms.addresses, []);
    let found = answer(MessageType::Advertise, within, |_| {});
    assert!(matches!(found, Some(Answer::No(No { is_reply: false, .. }))), "{found:?}");
}

#[test]
fn refusals_are_told_apart() {
    let found = reply(vec![status(Status::NoBinding)]);
    assert!(matches!(found, Some(Answer::No(No { is_reply: true, no_binding: true, .. }))), "{found:?}");
    let found = reply(vec![status(Status::NoAddrsAvail)]);
    assert!(matches!(found, Some(Answer::No(No { no_binding: false, .. }))), "{found:?}");
    let pause = |seconds: u32| {
        let found = answer(MessageType::Advertise, vec![], |options| {
            options.insert(status(Status::NoAddrsAvail));
            let value = seconds.to_be_bytes().to_vec();
            options.insert(DhcpOption::Unknown(dhcproto::v6::UnknownOption::new(82.into(), value)));
        });
        match found {
            Some(Answer::No(no)) => no.max_pause_s,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((pause(7200), pause(59), pause(90_000)), (Some(7200), None, None));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&bytes, 0, MAC);
    }

    #[test]
    fn what_is_believed_of_a_damaged_answer_is_still_right(
        damage in proptest::collection::vec((0usize..400, any::<u8>()), 1..6),
    ) {
        let mut message = Message::new_with_id(MessageType::Reply, [1, 2, 3]);
        let options = message.opts_mut();
        options.insert(DhcpOption::ClientId(client_id(MAC).to_vec()));
        options.insert(DhcpOption::ServerId(SERVER.to_vec()));
        let opts = [offered(address(7), 140, 450)].into_iter().collect();
        options.insert(DhcpOption::IANA(IANA { id: 1, t1: 100, t2: 160, opts }));
        options.insert(DhcpOption::DomainNameServers(vec![address(0x53)]));
        let mut bytes = message.to_vec().unwrap();
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Some(Answer::Reply(terms)) = decode(&bytes, XID, MAC) {
            prop_assert!(terms.addresses.iter().all(|offered| can_be_leased(offered.address)));
            prop_assert!(terms.dns.iter().all(|server| is_host6(*server)));
        }
    }
}
