//! The loop with a log of our own making and init's end of the channel: what is sent, when, and what is not.

#![allow(clippy::unwrap_used)]

use std::os::fd::OwnedFd;
use std::time::Duration;

use kennel_audit::watch::Watch;
use kennel_model::SlotId;
use kennel_model::denial::{Actor, Batch, ToAudit};
use kennel_sys::Channel;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

/// A log into which records can be put, as `/dev/kmsg` gives one a read.
fn log() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

fn put(log: &OwnedFd, sequence: u64, text: &str) {
    rustix::io::write(log, format!("5,{sequence},1,-;{text}\n").as_bytes()).unwrap();
}

fn denied(log: &OwnedFd, sequence: u64, slot: u16) {
    let text = format!(
        "audit: type=1400 audit(1.0:{sequence}): avc:  denied  {{ read }} for  pid={sequence} comm=\"x\" \
         scontext=u:r:tenant{slot:04}_t tcontext=u:r:proc_net_t tclass=file permissive=0"
    );
    put(log, sequence, &text);
}

/// A watch at work, its log, and init's end.
fn start() -> (OwnedFd, Channel) {
    let (ours, theirs) = log();
    let (init, channel) = Channel::pair().unwrap();
    // A test that would wait for ever fails instead.
    sockopt::set_socket_timeout(&init, sockopt::Timeout::Recv, Some(Duration::from_secs(20))).unwrap();
    std::thread::spawn(move || Watch::new(channel, theirs).unwrap().run().map(drop));
    (ours, init)
}

fn next(init: &Channel) -> Batch {
    init.recv::<Batch>().unwrap().unwrap().0
}

/// Counts by slot in batches, each of which is taken, until `total` denials were counted.
fn collect(init: &Channel, total: u64) -> (u64, u64) {
    let (mut seen, mut lost) = (0, 0);
    while seen < total {
        let batch = next(init);
        seen += batch.counted.iter().map(|c| c.count).sum::<u64>();
        lost += batch.lost;
        init.send(&ToAudit::Taken, &[]).unwrap();
    }
    (seen, lost)
}

#[test]
fn a_denial_is_told_at_once_and_a_flood_is_counted() {
    let (log, init) = start();
    denied(&log, 0, 3);
    let first = next(&init);
    assert_eq!(first.counted[0].denial.actor, Actor::Tenant(SlotId::new(3).unwrap()));
    init.send(&ToAudit::Taken, &[]).unwrap();
    let count = 5000;
    for n in 1..=count {
        denied(&log, n, 3);
    }
    assert_eq!(collect(&init, count), (count, 0));
}

#[test]
fn nothing_is_sent_before_the_last_was_taken() {
    let (log, init) = start();
    denied(&log, 0, 1);
    assert_eq!(next(&init).counted.len(), 1);
    denied(&log, 1, 1);
    denied(&log, 2, 2);
    // Longer than the pause between two batches: only the missing word keeps the next one back.
    sockopt::set_socket_timeout(&init, sockopt::Timeout::Recv, Some(Duration::from_millis(1500))).unwrap();
    assert!(init.recv::<Batch>().is_err());
    init.send(&ToAudit::Taken, &[]).unwrap();
    assert_eq!(collect(&init, 2), (2, 0));
}

#[test]
fn gaps_and_what_the_kernel_held_back_are_counted_as_lost() {
    let (log, init) = start();
    put(&log, 10, "Linux version 6.12");
    put(&log, 15, "kauditd_printk_skb: 7 callbacks suppressed");
    denied(&log, 16, 1);
    assert_eq!(collect(&init, 1), (1, 11));
}

#[test]
fn other_bytes_are_passed_over() {
    let (log, init) = start();
    rustix::io::write(&log, b"\xff\xfe;\n").unwrap();
    put(&log, 1, "audit: type=1400 audit(1.0:1): avc:  denied  { read } for  nonsense");
    rustix::io::write(&log, &[b'x'; 8192]).unwrap();
    denied(&log, 2, 1);
    assert_eq!(collect(&init, 1), (1, 0));
}
