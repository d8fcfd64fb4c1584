//! The program itself: born with its descriptors, and nothing else.

use std::net::{Ipv4Addr, TcpListener};

use kennel_model::access::{MAX_PACKET_BYTES, Part, Parts};
use kennel_model::msg::ToProxy;
use kennel_proxy::Limits;
use kennel_sys::Channel;
use tokio::process::Command;

use crate::born::spawn;
use crate::rig::*;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kennel-proxy");

#[tokio::test]
async fn it_serves_with_what_it_is_handed_and_ends_in_order() {
    let claim = claim();
    let _program = hello(claim.slot).await;
    let (near, far) = Channel::pair().unwrap();
    // For two workers, each of which is found by a port of its own here.
    let listeners: [_; 4] = std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let [address, another] = [0, 1].map(|n: usize| listeners[n].local_addr().unwrap());
    let (records_in, records) = Channel::pair().unwrap();
    let child = spawn(PROGRAM, &near, &records_in, &listeners);
    drop(near);
    let init = Init::new(far);
    init.publish(1, vec![route("a.example", claim.slot)]);
    let get = async |address| {
        let io = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::get("/").header("host", "a.example").body(empty()).unwrap();
        Answer::read(sender.send_request(request).await.unwrap()).await
    };
    soon(async { while get(address).await.code() == Some("starting") {} }).await;
    assert_eq!(get(address).await.text(), "hello");
    assert_eq!(get(another).await.text(), "hello");

    init.say(&ToProxy::Drain);
    let output = soon(child.wait_with_output()).await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("proxy: routes 1: 1 domains\n") && said.contains("proxy: drained\n"), "{said}");
    assert!(said.lines().all(|line| line.starts_with("proxy: ")), "{said}");

    // What it has seen is told before it ends.
    let mut packet = vec![0; MAX_PACKET_BYTES];
    let mut served = 0;
    while let Ok(Some(length)) = records.recv_packet(&mut packet) {
        let is_served = |part: &_| matches!(part, Ok(Part::Record(record)) if record.status == 200);
        served += Parts::of(&packet[..length]).filter(is_served).count();
    }
    assert_eq!(served, 3);

    // The next one goes on where it left: the socket was open all the while.
    let waiting = tokio::net::TcpStream::connect(address).await.unwrap();
    let (near, far) = Channel::pair().unwrap();
    let mut child = spawn(PROGRAM, &near, &records_in, &listeners);
    drop(near);
    Init::new(far).publish(1, vec![]);
    drop(waiting);
    let status = soon(child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(1), "init has gone");
}

#[tokio::test]
async fn without_its_descriptors_it_says_so() {
    let mut bash = Command::new("bash");
    bash.args(["-c", "exec \"$0\" 3<&- 4<&-", PROGRAM]).kill_on_drop(true);
    let output = soon(bash.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("proxy: descriptor 3 was not handed over"), "{said}");
}

#[tokio::test]
async fn sockets_that_do_not_pair_are_refused() {
    let (channel, _far) = Channel::pair().unwrap();
    let (records, _records_out) = Channel::pair().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for (listeners, what) in [
        (vec![], "no listening sockets were handed over"),
        (vec![listener], "not as many sockets for HTTP as for HTTPS"),
    ] {
        let output = soon(spawn(PROGRAM, &channel, &records, &listeners).wait_with_output()).await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("proxy: {what}\n"));
    }
}

#[test]
fn it_needs_no_library_and_no_interpreter() {
    let program = std::fs::read(PROGRAM).unwrap();
    let at = |offset: usize| u64::from_le_bytes(program[offset..offset + 8].try_into().unwrap());
    let half = |offset: usize| usize::from(u16::from_le_bytes([program[offset], program[offset + 1]]));
    let (table, size, count) = (at(32) as usize, half(54), half(56));
    const PT_INTERP: u32 = 3;
    for n in 0..count {
        let header = &program[table + n * size..];
        assert_ne!(u32::from_le_bytes(header[..4].try_into().unwrap()), PT_INTERP);
    }
    assert!(Limits::default().descriptors() < 1 << 20, "more than the kernel allows a process by default");
}
