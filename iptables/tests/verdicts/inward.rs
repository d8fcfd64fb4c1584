//! What comes from outside: the web and the API are reached, and what a network needs to work.

use super::interpreter::Packet;
use super::{Host, out};

#[test]
fn from_outside_only_the_web_and_the_api_are_reached() {
    let host = Host::of(1000);
    for to in ["10.0.2.15", "2600:1f18::1"] {
        let judge = |packet: &Packet| host.verdict("INPUT", packet);
        let inward = |protocol, port| Packet { uid: None, interface: "eth0", ..out(protocol, to, port, 0) };
        for port in [80, 443, 8443] {
            assert_eq!(judge(&inward("tcp", port)), "ACCEPT", "{to} {port}");
            assert_eq!(judge(&inward("udp", port)), "DROP", "{to} {port}");
        }
        for port in [22, 20_000, 27_999, 40_000] {
            assert_eq!(judge(&inward("tcp", port)), "DROP", "{to} {port}");
            assert_eq!(judge(&inward("udp", port)), "DROP", "{to} {port}");
        }
        assert_eq!(judge(&Packet { interface: "lo", ..inward("tcp", 20_000) }), "ACCEPT");
        assert_eq!(host.verdict("FORWARD", &inward("tcp", 80)), "DROP");
    }
    let icmp = |protocol, to, icmp_type, hop_limit| Packet {
        icmp_type,
        hop_limit,
        uid: None,
        interface: "eth0",
        ..out(protocol, to, 0, 0)
    };
    let inward = |protocol, to, source_port| Packet {
        source_port,
        uid: None,
        interface: "eth0",
        ..out(protocol, to, 68, 0)
    };
    let from_link = |from: &str, to, port| Packet {
        from: from.parse().unwrap(),
        uid: None,
        interface: "eth0",
        ..out("udp", to, port, 0)
    };
    let answers = [
        (from_link("fe80::1", "fe80::2", 546), "ACCEPT"),
        (from_link("2600:1f18::1", "fe80::2", 546), "DROP"),
        (from_link("fe80::1", "2600:1f18::2", 546), "DROP"),
        (from_link("fe80::1", "ff02::1", 546), "DROP"),
        (from_link("fe80::1", "fe80::2", 547), "DROP"),
        (Packet { from: "fe80::1".parse().unwrap(), ..icmp("ipv6-icmp", "ff02::1", 130, 1) }, "ACCEPT"),
        (icmp("ipv6-icmp", "ff02::1", 130, 1), "DROP"),
        (icmp("ipv6-icmp", "ff02::1", 134, 255), "ACCEPT"),
        (icmp("ipv6-icmp", "ff02::1", 134, 64), "DROP"),
        (icmp("ipv6-icmp", "ff02::1", 133, 255), "DROP"),
        (icmp("icmp", "10.0.2.15", 8, 64), "ACCEPT"),
        (icmp("icmp", "10.0.2.15", 5, 64), "DROP"),
        (icmp("ipv6-icmp", "fe80::2", 135, 255), "ACCEPT"),
        (icmp("ipv6-icmp", "fe80::2", 135, 64), "DROP"),
        (icmp("ipv6-icmp", "fe80::2", 137, 255), "DROP"),
        (icmp("ipv6-icmp", "2600:1f18::1", 2, 64), "ACCEPT"),
        (inward("udp", "255.255.255.255", 67), "ACCEPT"),
        (inward("udp", "10.0.2.15", 53), "DROP"),
    ];
    for (packet, expected) in answers {
        assert_eq!(host.verdict("INPUT", &packet), expected, "{packet:?}");
    }
}
