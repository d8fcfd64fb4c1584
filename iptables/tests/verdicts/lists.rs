//! Slots with lists of their own: what `allow` and `deny` do, in both families, and what they cannot do.

use kennel_iptables::{Change, Updates, render};
use kennel_model::SlotId;
use kennel_model::egress::{Action, Egress, MAX_RULES, Rule};

use super::interpreter::{Packet, Table, Verdict};
use super::{ALLOWED, Host, REFUSED, out};

/// A list as people write it: `allow 10.0.5.7:5432`.
fn list(rules: &[&str]) -> Egress {
    let rule = |text: &&str| match text.split_once(' ').unwrap() {
        ("allow", to) => Rule::new(Action::Allow, to.parse().unwrap()).unwrap(),
        ("deny", to) => Rule::new(Action::Deny, to.parse().unwrap()).unwrap(),
        _ => panic!("{text}"),
    };
    Egress::new(rules.iter().map(rule).collect()).unwrap()
}

const SLOT: u16 = 7;

fn uid() -> u32 {
    SlotId::new(SLOT).unwrap().uid()
}

/// A host where one slot has this list.
fn host(rules: &[&str]) -> Host {
    let mut host = Host::of(20);
    set(&mut host, rules);
    host
}

fn set(host: &mut Host, rules: &[&str]) {
    let list = list(rules);
    host.update(&Change { lists: vec![(SlotId::new(SLOT).unwrap(), &list)], ..Change::default() });
}

fn judge(host: &Host, (protocol, to, port): (&'static str, &str, u16)) -> Verdict {
    host.judge("OUTPUT", &out(protocol, to, port, uid()))
}

fn accepted(host: &Host, packets: &[(&'static str, &str, u16)]) {
    for packet in packets {
        assert_eq!(judge(host, *packet).target, "ACCEPT", "{packet:?}");
    }
}

fn refused(host: &Host, packets: &[(&'static str, &str, u16)]) {
    for packet in packets {
        let verdict = judge(host, *packet);
        assert_eq!(verdict.target, "REJECT", "{packet:?}");
        // By a rule of the slot's own chain, whose counters tell the tenant.
        assert_eq!(verdict.path.last().unwrap(), "refuse", "{packet:?}");
        assert_eq!(verdict.sent_by, format!("slot{SLOT:04}"), "{packet:?}");
    }
}

#[test]
fn an_empty_list_is_the_default() {
    let host = host(&[]);
    accepted(&host, &ALLOWED);
    for packet in REFUSED {
        let verdict = judge(&host, packet);
        assert_eq!(verdict.target, "REJECT", "{packet:?}");
    }
    let sealed = render(1).unwrap();
    let (slot, empty) = (SlotId::new(0).unwrap(), Egress::default());
    let update = Updates::new().unwrap();
    let update = update.render(&Change { lists: vec![(slot, &empty)], ..Change::default() }).unwrap();
    let chain = |text: &str| {
        let filter = text.lines().take_while(|line| *line != "COMMIT");
        filter.filter(|line| line.starts_with("-A slot0000")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(chain(&sealed.v4), chain(&update.v4));
    assert_eq!(chain(&sealed.v6), chain(&update.v6));
}

#[test]
fn allow_opens_what_it_names_and_nothing_beside_it() {
    let rules =
        ["allow 10.0.5.7:5432", "allow 8.8.8.0/24:53/udp", "allow [fd12::/16]:6000-6010", "allow [2600::1]:22"];
    let host = host(&rules);
    accepted(&host, &ALLOWED);
    let opened =
        [("tcp", "10.0.5.7", 5432), ("udp", "8.8.8.8", 53), ("tcp", "fd12::1", 6005), ("tcp", "2600::1", 22)];
    accepted(&host, &opened);
    for packet in opened {
        assert_eq!(judge(&host, packet).mark, "0x1", "{packet:?}: SELinux is told by a mark");
        let other = out(packet.0, packet.1, packet.2, uid() + 1);
        assert_eq!(host.verdict("OUTPUT", &other), "REJECT", "{packet:?} is not the neighbour's");
    }
    refused(
        &host,
        &[
            ("tcp", "10.0.5.7", 5433),
            ("udp", "10.0.5.7", 5432),
            ("tcp", "10.0.5.8", 5432),
            ("tcp", "8.8.8.8", 53),
            ("udp", "8.8.9.8", 53),
            ("tcp", "fd12::1", 6011),
            ("tcp", "fd13::1", 6005),
            ("tcp", "2600::1", 23),
            ("sctp", "10.0.5.7", 5432),
        ],
    );
    assert_eq!(judge(&host, ("tcp", "93.184.215.14", 443)).mark, "");
}

#[test]
fn deny_beats_allow_and_the_default_in_whatever_order_they_stand() {
    for rules in [
        [
            "allow 10.0.0.0/8:5432",
            "deny 10.0.5.0/24",
            "deny 93.184.215.0/24",
            "deny [2606::/16]",
            "deny 10.0.2.3:53/udp",
        ],
        [
            "deny 10.0.2.3:53/udp",
            "deny [2606::/16]",
            "deny 93.184.215.0/24",
            "deny 10.0.5.0/24",
            "allow 10.0.0.0/8:5432",
        ],
    ] {
        let host = host(&rules);
        accepted(&host, &[("tcp", "10.0.4.1", 5432), ("tcp", "93.184.216.1", 443), ("tcp", "10.0.2.3", 53)]);
        refused(
            &host,
            &[
                ("tcp", "10.0.5.7", 5432),
                ("tcp", "93.184.215.14", 443),
                ("tcp", "93.184.215.14", 80),
                ("tcp", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", 443),
                ("udp", "10.0.2.3", 53),
            ],
        );
    }
}

#[test]
fn deny_is_for_the_ports_and_protocol_that_it_names() {
    let host = host(&["deny 93.184.215.14:80", "deny 8.8.8.8/udp", "allow 8.8.8.8:53", "allow 8.8.8.8:53/udp"]);
    accepted(&host, &[("tcp", "93.184.215.14", 443), ("tcp", "8.8.8.8", 53)]);
    refused(&host, &[("tcp", "93.184.215.14", 80), ("udp", "8.8.8.8", 53)]);
}

#[test]
fn the_widest_allow_leaves_this_host_and_the_metadata_service_out() {
    let everything = ["allow 0.0.0.0/0:1-19999", "allow [::/0]:1-19999", "allow 0.0.0.0/0:20000-60000/udp"];
    let host = host(&everything);
    accepted(&host, &[("tcp", "10.0.5.7", 5432), ("tcp", "2600::1", 22), ("tcp", "fd12::1", 80)]);
    // The host's name server stays one, wherever it is.
    accepted(&host, &[("udp", "169.254.169.253", 53)]);
    refused(
        &host,
        &[
            ("tcp", "169.254.169.254", 80),
            ("tcp", "169.254.170.2", 80),
            ("tcp", "169.254.169.253", 80),
            ("tcp", "fd00:ec2::254", 80),
            ("tcp", "::ffff:169.254.169.254", 80),
            ("tcp", "64:ff9b::a9fe:a9fe", 80),
            ("tcp", "2002:a9fe:a9fe::", 80),
            ("tcp", "fe80::1", 80),
            ("tcp", "127.0.0.1", 8443),
            ("tcp", "0.0.0.0", 80),
            ("tcp", "::1", 80),
            ("tcp", "10.0.2.15", 80),
            ("tcp", "10.0.2.15", 8443),
            ("tcp", "2600:1f18::15", 8443),
            ("udp", "10.0.2.15", 20_064),
            ("udp", "127.0.0.1", 20_064),
        ],
    );
    // Other slots' ports, by whichever of the host's addresses; its own stay its own.
    let own = SlotId::new(SLOT).unwrap();
    for slot in SlotId::pool(20) {
        for address in ["127.0.0.1", "::1", "10.0.2.15", "2600:1f18::15"] {
            let expected = if slot == own && !address.contains("15") { "ACCEPT" } else { "REJECT" };
            assert_eq!(judge(&host, ("tcp", address, slot.port())).target, expected, "{slot:?} at {address}");
        }
    }
}

#[test]
fn a_new_list_replaces_the_old_one_whole() {
    let mut host = host(&["allow 10.0.5.7:5432", "deny 93.184.215.14"]);
    set(&mut host, &["allow 10.0.5.8:5432"]);
    accepted(&host, &[("tcp", "10.0.5.8", 5432), ("tcp", "93.184.215.14", 443)]);
    refused(&host, &[("tcp", "10.0.5.7", 5432)]);
    set(&mut host, &[]);
    refused(&host, &[("tcp", "10.0.5.8", 5432)]);
    accepted(&host, &ALLOWED);
}

#[test]
fn name_servers_are_replaced_and_reached_for_names_only() {
    let mut host = Host::of(20);
    let other = ["1.1.1.1".parse().unwrap()];
    host.update(&Change { name_servers: Some(&other), ..Change::default() });
    accepted(&host, &[("udp", "1.1.1.1", 53), ("tcp", "1.1.1.1", 53)]);
    refused(&host, &[("udp", "10.0.2.3", 53), ("udp", "1.1.1.1", 123), ("tcp", "1.1.1.1", 853)]);
}

/// With the fullest list, whatever is at its end costs no more than the list's own rules and a handful of chains.
#[test]
fn the_fullest_list_costs_its_own_rules_and_no_more_chains() {
    let texts: Vec<String> = (0..MAX_RULES)
        .map(|n| if n % 2 == 0 { format!("deny 203.0.113.{n}") } else { format!("allow 10.0.5.{n}:5432") })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let list = list(&texts);
    let slot = SlotId::new(999).unwrap();
    let mut table = Table::parse(&render(1000).unwrap().v4);
    let update = Updates::new().unwrap();
    table.update(&update.render(&Change { lists: vec![(slot, &list)], ..Change::default() }).unwrap().v4);
    let judge = |packet: Packet| table.judge("OUTPUT", &packet);
    let last = judge(out("tcp", "10.0.5.19", 5432, slot.uid()));
    let refused = judge(out("tcp", "10.0.9.9", 5432, slot.uid()));
    let public = judge(out("tcp", "93.184.215.14", 443, slot.uid()));
    for (verdict, target, chains) in [(&last, "ACCEPT", 6), (&refused, "REJECT", 6), (&public, "ACCEPT", 6)] {
        assert_eq!((verdict.target.as_str(), verdict.path.len()), (target, chains), "{verdict:?}");
        assert!(verdict.rules <= 2 + 30 + 5 + 3 + 16 + MAX_RULES, "{verdict:?}");
    }
}
