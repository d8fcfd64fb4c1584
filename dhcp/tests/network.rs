//! A real exchange: the client on one end of a virtual cable, a small server on the other, each in a network
//! namespace of its own. Needs root, `unshare` and `ip`; without them it says so and shows nothing.

#![allow(clippy::unwrap_used)]

use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Encodable};
use kennel_dhcp::client::Client;
use kennel_dhcp::interface::Interface;
use kennel_model::msg::Lease;
use kennel_model::network::FromDhcp;
use kennel_sys::channel::Channel;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ROLE: &str = "KENNEL_DHCP_TEST_ROLE";
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 42);
const PATIENCE: Duration = Duration::from_secs(30);

struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This test again, in a new network namespace, playing `role`.
fn act(role: &str) -> Guard {
    let child = Command::new("unshare")
        .args(["-n", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_lease_is_got_and_renewed", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Guard(child)
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

fn can_make_namespaces() -> bool {
    let quiet = |program: &str, args: &[&str]| {
        Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status()
    };
    quiet("unshare", &["-n", "true"]).is_ok_and(|s| s.success()) && quiet("ip", &["-V"]).is_ok()
}

#[test]
fn a_lease_is_got_and_renewed() {
    match std::env::var(ROLE).as_deref() {
        Ok("client") => client(),
        Ok("server") => serve(),
        _ if !can_make_namespaces() => eprintln!("skipped: no network namespaces without root, unshare and ip"),
        _ => assert!(act("client").0.wait().unwrap().success()),
    }
}

fn client() {
    let mut server = act("server");
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let mut hears = |word: &str| lines.by_ref().any(|line| line.unwrap().ends_with(word));
    assert!(hears("ready"));
    ip(&format!("link add eth0 type veth peer name eth1 netns {}", server.0.id()));
    ip("link set eth0 up");
    server.0.stdin.as_mut().unwrap().write_all(b"plugged in\n").unwrap();

    let (init, theirs) = Channel::pair().unwrap();
    let interface = Interface::wait(PATIENCE).unwrap();
    let mut xid = 0;
    let client = Client::new(interface, theirs, move || {
        xid += 1;
        xid
    });
    let client = std::thread::spawn(move || client.unwrap().run());

    let mut poll = [rustix::event::PollFd::new(&init, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(rustix::event::poll(&mut poll, Some(&patience)), Ok(1), "no lease came");
    let (news, _) = init.recv::<FromDhcp>().unwrap().unwrap();
    let expected =
        Lease { address: ADDRESS, prefix_len: 24, gateway: Some(SERVER), dns: vec![SERVER], mtu: Some(1400) };
    assert_eq!(news, FromDhcp::Lease(expected));
    // As init would.
    ip(&format!("addr add {ADDRESS}/24 dev eth0"));
    // In whichever order.
    let mut awaited = vec!["renewed by unicast", "routers are asked"];
    assert!(lines.any(|line| {
        let line = line.unwrap();
        awaited.retain(|words| !line.ends_with(words));
        awaited.is_empty()
    }));
    drop(init);
    client.join().unwrap().unwrap();
}

/// Says when routers are asked from no address, which only the client does; on the way the kernel here has not looked at it.
fn hear_solicitation() {
    use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketType};
    // `ETH_P_IPV6`, in network byte order.
    let ipv6 = std::num::NonZeroU32::new(0x86dd_u16.to_be().into()).map(Protocol::from_raw);
    let socket = rustix::net::socket(AddressFamily::PACKET, SocketType::RAW, ipv6).unwrap();
    let mut frame = [0; 1600];
    loop {
        let (got, _) = rustix::net::recv(&socket, &mut frame[..], RecvFlags::empty()).unwrap();
        let asks = got == 62 && frame[20..22] == [58, 255] && frame[22..38] == [0; 16] && frame[54] == 133;
        if asks {
            return println!("routers are asked");
        }
    }
}

/// Leases one address whose renewal is due after a second, and says when that comes as it should.
fn serve() {
    let mut line = String::new();
    println!("ready");
    std::io::stdin().read_line(&mut line).unwrap();
    ip(&format!("addr add {SERVER}/24 dev eth1"));
    ip("link set eth1 up");
    std::thread::spawn(hear_solicitation);
    // Where broadcasts go, for want of SO_BINDTODEVICE.
    ip("route add 255.255.255.255/32 dev eth1");
    let socket = UdpSocket::bind(("0.0.0.0", 67)).unwrap();
    socket.set_broadcast(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 1500];
    loop {
        let (got, from) = socket.recv_from(&mut buffer).unwrap();
        let asked = Message::from_bytes(&buffer[..got]).unwrap();
        let kind = match asked.opts().msg_type().unwrap() {
            MessageType::Discover => MessageType::Offer,
            _ => MessageType::Ack,
        };
        let renewal = asked.ciaddr() == ADDRESS;
        let to = if renewal { ADDRESS } else { Ipv4Addr::BROADCAST };
        socket.send_to(&answer(&asked, kind).to_vec().unwrap(), (to, 68)).unwrap();
        if renewal && from.ip() == ADDRESS {
            println!("renewed by unicast");
        }
    }
}

fn answer(asked: &Message, kind: MessageType) -> Message {
    if kind == MessageType::Ack && asked.ciaddr().is_unspecified() {
        assert_eq!(
            asked.opts().get(OptionCode::RequestedIpAddress),
            Some(&DhcpOption::RequestedIpAddress(ADDRESS))
        );
    }
    let mut message = asked.clone();
    message.set_opcode(Opcode::BootReply).set_yiaddr(ADDRESS).clear_sname();
    let options = message.opts_mut();
    options.clear();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ServerIdentifier(SERVER));
    options.insert(DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)));
    options.insert(DhcpOption::Router(vec![SERVER]));
    options.insert(DhcpOption::DomainNameServer(vec![SERVER]));
    options.insert(DhcpOption::InterfaceMtu(1400));
    options.insert(DhcpOption::AddressLeaseTime(3600));
    options.insert(DhcpOption::Renewal(1));
    options.insert(DhcpOption::Rebinding(1800));
    message
}
