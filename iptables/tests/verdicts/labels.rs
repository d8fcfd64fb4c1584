//! The labels that packets get: by where they go and never by who sends them.

use kennel_iptables::render;
use kennel_model::SlotId;
use kennel_model::egress::NEVER;

use super::interpreter::{Packet, Table, Verdict};
use super::out;

struct Labels {
    v4: Table,
    v6: Table,
}

impl Labels {
    fn of(slots: u16) -> Self {
        let rules = render(slots).unwrap();
        Self { v4: Table::labels(&rules.v4), v6: Table::labels(&rules.v6) }
    }

    fn judge(&self, hook: &str, packet: &Packet) -> Verdict {
        if packet.to.is_ipv4() { self.v4.judge(hook, packet) } else { self.v6.judge(hook, packet) }
    }

    fn leaving(&self, packet: &Packet) -> String {
        let verdict = self.judge("OUTPUT", packet);
        assert_eq!(verdict.target, "ACCEPT", "the table refuses nothing: {packet:?}");
        verdict.label.unwrap_or_default()
    }
}

/// Protocol, address and port of a packet, and its label; who sends it makes no difference.
const LABELS: [(&str, &str, u16, &str); 31] = [
    ("tcp", "93.184.215.14", 443, "public_packet_t"),
    ("tcp", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", 80, "public_packet_t"),
    ("tcp", "93.184.215.14", 25, "unlisted_packet_t"),
    ("udp", "93.184.215.14", 443, "unlisted_packet_t"),
    ("udp", "8.8.8.8", 53, "unlisted_packet_t"),
    ("icmp", "93.184.215.14", 0, "unlisted_packet_t"),
    ("udp", "169.254.169.253", 53, "dns_packet_t"),
    ("tcp", "fd00:ec2::253", 53, "dns_packet_t"),
    ("tcp", "169.254.169.253", 80, "metadata_packet_t"),
    ("tcp", "169.254.169.254", 80, "metadata_packet_t"),
    ("udp", "169.254.169.254", 53, "metadata_packet_t"),
    ("tcp", "169.254.170.2", 80, "metadata_packet_t"),
    ("tcp", "fd00:ec2::254", 80, "metadata_packet_t"),
    ("tcp", "64:ff9b::a9fe:a9fe", 80, "metadata_packet_t"),
    ("tcp", "2002:a9fe:a9fe::", 80, "metadata_packet_t"),
    ("tcp", "fe80::1", 80, "link_packet_t"),
    ("udp", "ff02::1", 53, "link_packet_t"),
    ("tcp", "0.0.0.0", 80, "reserved_packet_t"),
    ("udp", "224.0.0.251", 53, "reserved_packet_t"),
    ("tcp", "::ffff:169.254.169.254", 80, "reserved_packet_t"),
    ("udp", "10.0.2.3", 53, "private_packet_t"),
    ("tcp", "10.0.2.2", 80, "private_packet_t"),
    ("tcp", "100.64.0.1", 443, "private_packet_t"),
    ("tcp", "172.31.255.255", 443, "private_packet_t"),
    ("tcp", "192.168.1.1", 80, "private_packet_t"),
    ("tcp", "198.18.0.1", 80, "private_packet_t"),
    ("tcp", "fc00::1", 443, "private_packet_t"),
    ("tcp", "2001:db8::1", 443, "private_packet_t"),
    ("tcp", "64:ff9b::808:808", 443, "private_packet_t"),
    ("tcp", "2002:808:808::", 443, "private_packet_t"),
    ("sctp", "93.184.215.14", 443, "unlisted_packet_t"),
];

#[test]
fn what_leaves_is_labelled_by_where_it_goes() {
    let labels = Labels::of(1000);
    for (protocol, to, port, label) in LABELS {
        for uid in [0, 100_000, 100_999] {
            assert_eq!(labels.leaving(&out(protocol, to, port, uid)), label, "{protocol} {to} {port}");
        }
        let marked = Packet { mark: "0x1", ..out(protocol, to, port, 100_000) };
        let allowed = matches!(label, "private_packet_t" | "unlisted_packet_t");
        let expected = if allowed { "allowed_packet_t" } else { label };
        assert_eq!(labels.leaving(&marked), expected, "marked: {protocol} {to} {port}");
    }
}

#[test]
fn what_asks_for_the_time_is_known_by_its_mark_wherever_it_goes() {
    let labels = Labels::of(3);
    for to in ["169.254.169.123", "10.0.2.2", "192.0.2.1", "93.184.215.14", "fd00:ec2::123", "2001:db8::7"] {
        let plain = out("udp", to, 123, kennel_model::layout::CHRONYD_UID);
        assert_eq!(labels.leaving(&Packet { mark: "0x2", ..plain.clone() }), "time_packet_t", "{to}");
        assert_ne!(labels.leaving(&plain), "time_packet_t", "{to}");
    }
}

#[test]
fn a_mark_opens_nothing_that_can_never_be_allowed() {
    let labels = Labels::of(3);
    for (network, why) in NEVER {
        for port in [22, 80] {
            let to = network.address().to_string();
            let packet = Packet { mark: "0x1", ..out("tcp", &to, port, 100_000) };
            let label = labels.leaving(&packet);
            let refused = ["metadata_packet_t", "link_packet_t", "reserved_packet_t", "loopback_packet_t"];
            assert!(refused.contains(&label.as_str()), "{to}: {label}, but {why}");
        }
    }
}

#[test]
fn each_port_of_a_slot_bears_the_slots_label_on_this_host() {
    for slots in [1, 9, 1000] {
        let labels = Labels::of(slots);
        for loopback in ["127.0.0.1", "127.3.4.5", "::1"] {
            let to = |protocol, port| Packet { interface: "lo", ..out(protocol, loopback, port, 0) };
            for slot in SlotId::pool(slots) {
                let own = format!("tenant{slot}_port_t");
                assert_eq!(labels.leaving(&to("tcp", slot.port())), own);
                assert_eq!(labels.leaving(&to("tcp", slot.last_port())), own);
                assert_eq!(labels.leaving(&to("udp", slot.port())), "loopback_packet_t");
            }
            for port in [80, 8443, 19_999, 20_000 + 8 * slots, 53_000] {
                assert_eq!(labels.leaving(&to("tcp", port)), "loopback_packet_t", "port {port}");
            }
        }
        let elsewhere = Packet { interface: "lo", ..out("tcp", "10.0.2.15", 20_000, 0) };
        assert_eq!(labels.leaving(&elsewhere), "loopback_packet_t");
    }
}

#[test]
fn what_arrives_is_for_visitors_or_for_nobody() {
    let labels = Labels::of(1000);
    let arriving = |protocol, to, port| Packet { uid: None, interface: "eth0", ..out(protocol, to, port, 0) };
    for to in ["10.0.2.15", "2600:1f18::1"] {
        let judge = |protocol, port| labels.judge("INPUT", &arriving(protocol, to, port)).label.unwrap();
        assert_eq!(judge("tcp", 80), "web_packet_t");
        assert_eq!(judge("tcp", 8443), "api_packet_t");
        for (protocol, port) in [("tcp", 22), ("tcp", 20_000), ("udp", 80), ("udp", 53_000), ("icmp", 0)] {
            assert_eq!(judge(protocol, port), "foreign_packet_t", "{to}: {protocol} {port}");
        }
    }
    let answer = Packet { source_port: 67, ..arriving("udp", "255.255.255.255", 68) };
    assert_eq!(labels.judge("INPUT", &answer).label.unwrap(), "dhcp_packet_t");
    let link = |from: &str| Packet { from: from.parse().unwrap(), ..arriving("udp", "fe80::2", 546) };
    assert_eq!(labels.judge("INPUT", &link("fe80::1")).label.unwrap(), "dhcp6_packet_t");
    assert_eq!(labels.judge("INPUT", &link("2600:1f18::1")).label.unwrap(), "foreign_packet_t");
    let question = |source_port| Packet { source_port, ..out("udp", "ff02::1:2", 547, 0) };
    assert_eq!(labels.leaving(&question(546)), "dhcp6_packet_t");
    assert_eq!(labels.leaving(&question(40_000)), "link_packet_t");
    // It keeps the label with which it left.
    let from_here = Packet { interface: "lo", ..arriving("tcp", "127.0.0.1", 20_000) };
    assert_eq!(labels.judge("INPUT", &from_here).label, None);
}

#[test]
fn a_packet_passes_few_rules_for_its_label() {
    for (slots, forks) in [(1, 1), (1000, 3), (4096, 4)] {
        let labels = Labels::of(slots);
        for slot in SlotId::pool(slots) {
            let packet = Packet { interface: "lo", ..out("tcp", "127.0.0.1", slot.port(), 0) };
            let first = labels.judge("OUTPUT", &packet);
            assert!(first.path.len() <= forks + 2, "slot {slot}: {first:?}");
            assert!(first.rules <= 8 + 10 * forks, "slot {slot}: {first:?}");
        }
        for packet in [out("tcp", "93.184.215.14", 443, 0), out("tcp", "127.0.0.1", 20_000, 0)] {
            let later = labels.judge("OUTPUT", &Packet { state: "ESTABLISHED", ..packet });
            assert_eq!((later.rules, later.label), (2, None));
        }
    }
}

#[test]
fn that_a_connection_was_refused_can_be_said_on_both_hooks() {
    let labels = Labels::of(3);
    for to in ["127.0.0.1", "::1"] {
        for protocol in ["tcp", "icmp"] {
            let answer = Packet { uid: None, state: "RELATED", ..out(protocol, to, 50_000, 0) };
            for hook in ["OUTPUT", "INPUT"] {
                assert_eq!(labels.judge(hook, &answer).label.as_deref(), Some("answer_packet_t"));
            }
        }
    }
}
