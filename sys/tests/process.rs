//! Cloning and handing over descriptors, outside cargo's test harness, whose threads `clone` refuses.

#![allow(clippy::unwrap_used, reason = "a test without the harness is not seen as one")]

use std::io::{Read, Write};
use std::os::fd::AsFd;

use kennel_sys::clone::{Namespaces, spawn};
use kennel_sys::process::hand_over;
use rustix::process::{WaitId, WaitIdOptions, waitid};

fn status_of(work: impl FnOnce() -> i32) -> Option<i32> {
    let child = spawn(Namespaces::default(), None, work).unwrap();
    waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap().exit_status()
}

fn the_childs_answer_is_its_exit_status() {
    assert_eq!(status_of(|| 7), Some(7));
}

fn descriptors_land_where_the_program_looks() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let kept = writer.try_clone().unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let work = || {
        let handed = [null.as_fd(), writer.as_fd(), null.as_fd(), writer.as_fd()];
        let Ok([kept]) = hand_over(&handed, [kept.into()]) else { return 1 };
        let ok = std::io::stdout().write_all(b"one,").is_ok()
            && std::io::stdout().flush().is_ok()
            && std::fs::write("/proc/self/fd/3", b"three,").is_ok()
            && std::fs::File::from(kept).write_all(b"kept").is_ok();
        if ok { 0 } else { 2 }
    };
    assert_eq!(status_of(work), Some(0));
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one,three,kept");
}

fn a_process_with_threads_is_refused() {
    let (wait, go) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || go.recv());
    let refused = spawn(Namespaces::default(), None, || 0).unwrap_err();
    assert_eq!(refused.to_string(), "a process with 2 threads cannot be cloned");
    drop(wait);
    thread.join().unwrap().unwrap_err();
}

fn main() {
    the_childs_answer_is_its_exit_status();
    descriptors_land_where_the_program_looks();
    a_process_with_threads_is_refused();
    println!("process: ok");
}
