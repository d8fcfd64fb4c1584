//! What the rules decide: for sample packets of every kind of sender, and for every slot of a pool.

#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failed test")]

mod interpreter;
mod inward;
mod labels;
mod lists;
mod table;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use interpreter::{Packet, Table, Verdict};
use kennel_iptables::{BOUNDS, Change, Updates, render};
use kennel_model::{SlotId, layout};

/// The host's own addresses in these tests, beside loopback.
const OWN: [&str; 2] = ["10.0.2.15", "2600:1f18::15"];

fn out(protocol: &'static str, to: &str, port: u16, uid: u32) -> Packet {
    let to: IpAddr = to.parse().unwrap();
    let here = to.is_loopback() || OWN.contains(&to.to_string().as_str());
    Packet {
        protocol,
        to,
        // Whoever it is, an address that no rule is about.
        from: if to.is_ipv4() {
            Ipv4Addr::new(9, 9, 9, 9).into()
        } else {
            Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 9).into()
        },
        source_port: 40_000,
        port,
        uid: Some(uid),
        interface: if here { "lo" } else { "eth0" },
        state: "NEW",
        icmp_type: 0,
        hop_limit: 64,
        reset: false,
        mark: "",
    }
}

/// Both families' rules, read once.
struct Host {
    v4: Table,
    v6: Table,
}

impl Host {
    fn of(slots: u16) -> Self {
        let rules = render(slots).unwrap();
        let mut host = Self { v4: Table::parse(&rules.v4), v6: Table::parse(&rules.v6) };
        let name_servers = NAME_SERVERS.map(|address| address.parse().unwrap());
        let time_servers = TIME_SERVERS.map(|address| address.parse().unwrap());
        let (name_servers, time_servers) = (Some(&name_servers[..]), Some(&time_servers[..]));
        host.update(&Change { name_servers, time_servers, ..Change::default() });
        host
    }

    fn update(&mut self, change: &Change<'_>) {
        let rules = Updates::new().unwrap().render(change).unwrap();
        self.v4.update(&rules.v4);
        self.v6.update(&rules.v6);
    }

    fn judge(&self, hook: &str, packet: &Packet) -> Verdict {
        if packet.to.is_ipv4() { self.v4.judge(hook, packet) } else { self.v6.judge(hook, packet) }
    }

    fn verdict(&self, hook: &str, packet: &Packet) -> String {
        self.judge(hook, packet).target
    }
}

/// Whom the host asks for the time.
const TIME_SERVERS: [&str; 3] = ["169.254.169.123:123", "10.0.2.2:11123", "[2001:db8::7]:123"];

/// The host's name servers, one that lies where nobody else is reached, and some that cannot be any.
const NAME_SERVERS: [&str; 6] =
    ["10.0.2.3", "169.254.169.253", "2001:db8::53", "127.0.0.53", "169.254.169.254", "fe80::1"];

/// Where a tenant may connect, beyond its own slot: protocol, address, port.
const ALLOWED: [(&str, &str, u16); 7] = [
    ("tcp", "93.184.215.14", 443),
    ("tcp", "93.184.215.14", 80),
    ("tcp", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", 443),
    ("udp", "10.0.2.3", 53),
    ("tcp", "10.0.2.3", 53),
    ("udp", "169.254.169.253", 53),
    ("udp", "2001:db8::53", 53),
];

/// Where it may not.
const REFUSED: [(&str, &str, u16); 42] = [
    ("udp", "8.8.8.8", 53),
    ("tcp", "8.8.8.8", 53),
    ("udp", "2001:4860:4860::8888", 53),
    ("udp", "172.31.0.2", 53),
    ("tcp", "10.0.2.3", 80),
    ("tcp", "2600:1f18::15", 443),
    ("tcp", "169.254.169.254", 80),
    ("tcp", "169.254.169.254", 443),
    ("udp", "169.254.169.254", 53),
    ("tcp", "169.254.169.253", 80),
    ("tcp", "169.254.170.2", 80),
    ("tcp", "fd00:ec2::254", 80),
    ("udp", "fd00:ec2::254", 53),
    ("tcp", "fd00:ec2::253", 80),
    ("tcp", "10.0.2.2", 80),
    ("tcp", "172.16.0.1", 443),
    ("tcp", "172.31.255.255", 443),
    ("tcp", "192.168.1.1", 80),
    ("tcp", "100.64.0.1", 443),
    ("tcp", "0.0.0.0", 80),
    ("tcp", "224.0.0.1", 80),
    ("tcp", "255.255.255.255", 80),
    ("tcp", "127.0.0.1", 80),
    ("tcp", "127.0.0.1", 8443),
    ("tcp", "127.0.0.1", 53),
    ("udp", "127.0.0.53", 53),
    ("tcp", "::1", 80),
    ("tcp", "::1", 8443),
    ("udp", "::1", 53),
    ("tcp", "fe80::1", 80),
    ("udp", "fe80::1", 53),
    ("tcp", "fc00::1", 443),
    ("tcp", "ff02::1", 80),
    ("tcp", "64:ff9b::a9fe:a9fe", 80),
    ("tcp", "2002:a9fe:a9fe::", 80),
    ("tcp", "2001:db8::1", 443),
    ("tcp", "93.184.215.14", 22),
    ("tcp", "93.184.215.14", 25),
    ("udp", "93.184.215.14", 443),
    ("icmp", "93.184.215.14", 0),
    ("ipv6-icmp", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", 0),
    ("sctp", "93.184.215.14", 443),
];

#[test]
fn a_tenant_reaches_the_public_web_and_names_and_nothing_else() {
    let host = Host::of(1000);
    for slot in [0, 1, 15, 16, 255, 256, 777, 999].map(|n| SlotId::new(n).unwrap()) {
        for (protocol, to, port) in ALLOWED {
            let packet = out(protocol, to, port, slot.uid());
            assert_eq!(host.verdict("OUTPUT", &packet), "ACCEPT", "slot {slot}: {packet:?}");
        }
        for (protocol, to, port) in REFUSED {
            let packet = out(protocol, to, port, slot.uid());
            assert_eq!(host.verdict("OUTPUT", &packet), "REJECT", "slot {slot}: {packet:?}");
        }
    }
}

/// Once, by a rule of the sender's own; what passes is not said.
#[test]
fn whatever_is_refused_is_said_once() {
    let host = Host::of(1000);
    for to in ["169.254.169.254", "fd00:ec2::254"] {
        for slot in SlotId::pool(1000) {
            let judged = host.judge("OUTPUT", &out("tcp", to, 80, slot.uid()));
            assert_eq!(judged.logged, 1, "{to} from slot {slot}");
        }
        for uid in [0, layout::PROXY_UID, layout::CONTROL_UID, 99_999] {
            let judged = host.judge("OUTPUT", &out("tcp", to, 80, uid));
            assert_eq!(judged.logged, 1, "{to} from user {uid}");
        }
    }
    let public = out("tcp", "93.184.215.14", 443, 100_007);
    assert_eq!(host.judge("OUTPUT", &public).logged, 0);
}

#[test]
fn every_slot_reaches_its_own_ports_only() {
    let host = Host::of(1000);
    for loopback in ["127.0.0.1", "127.3.4.5", "::1"] {
        let judge = |protocol, port, uid| host.verdict("OUTPUT", &out(protocol, loopback, port, uid));
        for slot in SlotId::pool(1000) {
            for port in [slot.port(), slot.last_port()] {
                assert_eq!(judge("tcp", port, slot.uid()), "ACCEPT", "slot {slot}, port {port}");
                assert_eq!(judge("udp", port, slot.uid()), "REJECT", "slot {slot}, port {port}");
            }
            for port in [slot.port() - 1, slot.last_port() + 1] {
                assert_eq!(judge("tcp", port, slot.uid()), "REJECT", "slot {slot}, port {port}");
            }
        }
    }
    // The same port at the host's other address is not its own.
    assert_eq!(host.verdict("OUTPUT", &out("tcp", "10.0.2.15", 20_000, 100_000)), "REJECT");
}

#[test]
fn services_and_strangers_reach_what_is_theirs() {
    let host = Host::of(1000);
    let (proxy, control, dhcp) = (layout::PROXY_UID, layout::CONTROL_UID, layout::DHCP_UID);
    let (imds, acme) = (layout::IMDS_UID, layout::ACME_UID);
    let dhcp6_packet = |to, source_port, uid| Packet { source_port, ..out("udp", to, 547, uid) };
    let dhcp_packet = |port, uid| Packet { source_port: 68, ..out("udp", "10.0.2.2", port, uid) };
    let accepted = [
        out("tcp", "127.0.0.1", 20_000, proxy),
        out("tcp", "127.0.0.1", 27_999, proxy),
        out("tcp", "::1", 20_008, proxy),
        dhcp_packet(67, dhcp),
        dhcp6_packet("ff02::1:2", 546, dhcp),
        out("tcp", "169.254.169.254", 80, imds),
        out("tcp", "fd00:ec2::254", 80, imds),
        out("tcp", "93.184.215.14", 443, acme),
        out("tcp", "10.0.0.7", 443, acme),
        out("tcp", "2600:1f18::1", 443, acme),
        out("tcp", "fd12::1", 443, acme),
        Packet { uid: None, ..out("icmp", "8.8.8.8", 0, 0) },
        Packet { uid: None, ..out("ipv6-icmp", "ff02::1", 0, 0) },
        Packet { uid: None, reset: true, ..out("tcp", "8.8.8.8", 1, 0) },
    ];
    for packet in accepted {
        assert_eq!(host.verdict("OUTPUT", &packet), "ACCEPT", "{packet:?}");
    }
    let refused = [
        out("tcp", "127.0.0.1", 19_999, proxy),
        out("tcp", "127.0.0.1", 28_000, proxy),
        out("udp", "127.0.0.1", 20_000, proxy),
        out("tcp", "10.0.2.15", 20_000, proxy),
        out("tcp", "93.184.215.14", 443, proxy),
        out("tcp", "169.254.169.254", 80, proxy),
        out("tcp", "169.254.169.254", 80, dhcp),
        out("tcp", "169.254.169.254", 80, 0),
        out("tcp", "169.254.169.254", 443, imds),
        out("udp", "169.254.169.254", 80, imds),
        out("tcp", "169.254.169.123", 80, imds),
        out("tcp", "169.254.170.2", 80, imds),
        out("tcp", "fd00:ec2::253", 80, imds),
        out("tcp", "93.184.215.14", 80, imds),
        out("tcp", "127.0.0.1", 20_000, imds),
        out("udp", "10.0.2.3", 53, imds),
        out("tcp", "93.184.215.14", 80, acme),
        out("udp", "93.184.215.14", 443, acme),
        out("udp", "8.8.8.8", 53, acme),
        out("tcp", "127.0.0.1", 443, acme),
        out("tcp", "::1", 443, acme),
        out("tcp", "127.0.0.1", 20_000, acme),
        out("tcp", "169.254.169.254", 80, acme),
        out("tcp", "169.254.169.254", 443, acme),
        out("tcp", "fd00:ec2::254", 443, acme),
        out("tcp", "fe80::1", 443, acme),
        out("tcp", "127.0.0.1", 20_000, control),
        out("tcp", "93.184.215.14", 443, control),
        dhcp_packet(67, control),
        dhcp6_packet("ff02::1:2", 546, control),
        dhcp6_packet("ff02::1:2", 546, 100_000),
        dhcp6_packet("ff02::1:2", 40_000, dhcp),
        dhcp6_packet("ff02::1", 546, dhcp),
        dhcp6_packet("fe80::1", 546, dhcp),
        out("tcp", "2600:1f18::1", 443, dhcp),
        dhcp_packet(53, dhcp),
        out("tcp", "93.184.215.14", 443, dhcp),
        out("tcp", "93.184.215.14", 443, 0),
        out("tcp", "127.0.0.1", 20_000, 0),
        out("tcp", "93.184.215.14", 443, 1000),
        // The first number that is no slot of this pool.
        out("tcp", "93.184.215.14", 443, 101_000),
        out("tcp", "93.184.215.14", 443, 99_999),
    ];
    for packet in refused {
        assert_eq!(host.verdict("OUTPUT", &packet), "REJECT", "{packet:?}");
    }
    let stray = Packet { uid: None, ..out("tcp", "8.8.8.8", 443, 0) };
    assert_eq!(host.verdict("OUTPUT", &stray), "DROP");
}

#[test]
fn what_belongs_to_an_allowed_connection_passes_first() {
    let host = Host::of(1000);
    for (hook, uid) in [("INPUT", None), ("OUTPUT", Some(100_500)), ("OUTPUT", Some(layout::CONTROL_UID))] {
        let packet = Packet { uid, state: "ESTABLISHED", ..out("tcp", "93.184.215.14", 9999, 0) };
        let judged = host.judge(hook, &packet);
        assert_eq!(judged.target, "ACCEPT");
        assert!(judged.rules <= 2, "{judged:?}");
    }
}

/// Three chains lead to one of a thousand slots, and two from there to a verdict; the rules that are looked at grow with
/// the logarithm of the number of slots.
#[test]
fn a_packet_goes_by_a_handful_of_chains_however_many_slots_there_are() {
    for (slots, forks) in [(1, 1), (10, 1), (100, 2), (1000, 3), (4096, 4)] {
        let table = Table::parse(&render(slots).unwrap().v4);
        for slot in SlotId::pool(slots) {
            let own = table.judge("OUTPUT", &out("tcp", "127.0.0.1", slot.port(), slot.uid()));
            assert_eq!(own.target, "ACCEPT");
            assert!(own.path.len() <= forks + 1, "{slots} slots, slot {slot}: {own:?}");
            assert!(own.rules <= 3 + 10 * forks, "{slots} slots, slot {slot}: {own:?}");
            let public = table.judge("OUTPUT", &out("tcp", "93.184.215.14", 443, slot.uid()));
            assert_eq!(public.target, "ACCEPT");
            assert!(public.path.len() <= forks + 3, "{slots} slots, slot {slot}: {public:?}");
            assert!(public.rules <= 26 + 10 * forks, "{slots} slots, slot {slot}: {public:?}");
        }
    }
}

/// Whatever leads to a slot's chain does so within the slot's bounds; what is beyond them meets no other rule.
#[test]
fn no_slot_begins_connections_without_bounds() {
    for slots in [1, 17, 1000] {
        let rules = render(slots).unwrap();
        let bounds = format!(
            "-m limit --limit {}/second --limit-burst {} -m connlimit --connlimit-upto {} --connlimit-mask 0",
            BOUNDS.new, BOUNDS.burst, BOUNDS.open
        );
        for text in [&rules.v4, &rules.v6] {
            let filter = text.split("COMMIT").next().unwrap();
            let ways: Vec<&str> = filter.lines().filter(|line| line.contains(" -g slot0")).collect();
            assert_eq!(ways.len(), usize::from(slots));
            assert!(ways.iter().all(|way| way.contains(&bounds)), "{}", ways[0]);
        }
        let table = Table::parse(&rules.v4);
        let beyond = table.without_bounded().judge("OUTPUT", &out("tcp", "127.0.0.1", 20000, 100_000));
        assert_eq!(beyond.target, "DROP");
    }
}

#[test]
fn every_chain_is_reached_and_nothing_is_reset_halfway() {
    let rules = render(1000).unwrap();
    for text in [&rules.v4, &rules.v6] {
        let table = Table::parse(text);
        // No list leads to `allowed` before there is one, and nobody to `timed` before somebody is to be asked.
        let entries = ["INPUT", "FORWARD", "OUTPUT", "allowed", "timed"];
        let reached: HashSet<&str> = table.targets().chain(entries).collect();
        let lost: Vec<&str> = table.chain_names().filter(|chain| !reached.contains(chain)).collect();
        assert_eq!(lost, Vec::<&str>::new());
        assert_eq!(text.matches("COMMIT").count(), 2);
    }
}

/// In a network namespace of its own, so that it touches nobody's rules. Without privilege it only reads them: the
/// kernel refuses rules about users that a user namespace does not have. The table of labels needs a kernel with our
/// policy: the host's boot is its test.
#[test]
fn the_real_program_takes_them() {
    let rules = render(1000).unwrap();
    for (program, text) in [("iptables-nft-restore", &rules.v4), ("ip6tables-nft-restore", &rules.v6)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let filter = text.split_inclusive("COMMIT\n").next().unwrap();
        std::fs::write(file.path(), filter).unwrap();
        let mut command = Command::new("unshare");
        if rustix::process::geteuid().is_root() {
            command.args(["--net", program]);
        } else {
            command.args(["--user", "--map-root-user", "--net", program, "--test"]);
        }
        command.arg(file.path()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        let output = command.output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {complaint}");
    }
}

#[test]
fn one_user_asks_for_the_time_and_nothing_else() {
    let host = Host::of(3);
    let asks = |to: &str, port, uid| host.judge("OUTPUT", &out("udp", to, port, uid));
    let servers = [("169.254.169.123", 123), ("10.0.2.2", 11_123), ("2001:db8::7", 123)];
    for (to, port) in servers {
        let verdict = asks(to, port, layout::CHRONYD_UID);
        assert_eq!((verdict.target.as_str(), verdict.mark.as_str()), ("ACCEPT", "0x2"), "{to}");
        for uid in [0, layout::IMDS_UID, layout::CONTROL_UID, layout::DHCP_UID, 100_000, 100_002] {
            assert_eq!(asks(to, port, uid).target, "REJECT", "{to} by {uid}");
        }
    }
    for (to, port) in [
        ("10.0.2.2", 123),
        ("10.0.2.3", 53),
        ("93.184.215.14", 123),
        ("127.0.0.1", 123),
        ("169.254.169.123", 53),
        ("169.254.169.254", 123),
        ("2001:db8::8", 123),
    ] {
        assert_eq!(asks(to, port, layout::CHRONYD_UID).target, "REJECT", "{to} {port}");
    }
    for (to, port) in [("93.184.215.14", 443), ("127.0.0.1", 20_000), ("10.0.2.2", 11_123)] {
        assert_eq!(host.verdict("OUTPUT", &out("tcp", to, port, layout::CHRONYD_UID)), "REJECT", "{to}");
    }
    // Others are asked from now on, and the first no more.
    let mut host = host;
    let others = ["192.0.2.9:123".parse().unwrap()];
    host.update(&Change { time_servers: Some(&others), ..Change::default() });
    let now = |to| host.verdict("OUTPUT", &out("udp", to, 123, layout::CHRONYD_UID));
    assert_eq!((now("192.0.2.9").as_str(), now("169.254.169.123").as_str()), ("ACCEPT", "REJECT"));
}
