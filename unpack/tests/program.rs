//! The program as init starts it: arguments, exit codes and the report line; and removal however deep it goes.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Slot, Tar};
use kennel_model::found::Found;
use kennel_model::msg::UnpackReport;
use kennel_unpack::{empty_folder, remove_release};
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(cwd: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kennel-unpack"))
        .args(args)
        .current_dir(cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A refusal may close the pipe before all is written.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn report(output: &Output) -> UnpackReport {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_release_is_reported_done() {
    let slot = Slot::new();
    let archive = Tar::new().file("server.js", b"hello").done();
    let output = run(&slot.releases(), &["release", "4", "1000", "10"], &archive);
    assert!(output.status.success());
    let done = UnpackReport::Done {
        bytes: 5,
        entries: 1,
        found: Found { top: vec!["server.js".into()], ..Found::default() },
    };
    assert_eq!(report(&output), done);
    assert_eq!(slot.names(), ["4"]);

    assert!(run(slot.folder(), &["remove", "4"], b"").status.success());
    assert!(slot.names().is_empty());
    assert!(run(slot.folder(), &["remove", "4"], b"").status.success(), "removing twice is fine");
}

#[test]
fn a_refusal_is_reported_with_its_reason() {
    let slot = Slot::new();
    let archive = Tar::new().file("../x", b"hello").done();
    let output = run(&slot.releases(), &["release", "4", "1000", "10"], &archive);
    assert_eq!(output.status.code(), Some(1));
    let UnpackReport::Refused { reason } = report(&output) else { panic!("not refused") };
    assert!(reason.contains("../x"), "{reason}");
    assert!(slot.names().is_empty());
}

#[test]
fn a_killed_upload_leaves_what_remove_takes_away() {
    let slot = Slot::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kennel-unpack"))
        .args(["release", "9", "100000", "10"])
        .current_dir(slot.releases())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&Tar::new().file("a", b"1").open_ended()).unwrap();
    while !slot.path(".incoming-9/a").exists() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(slot.names(), [".incoming-9"]);
    assert!(run(slot.folder(), &["remove", "9"], b"").status.success());
    assert!(slot.names().is_empty());
}

#[test]
fn wrong_calls_are_told_apart() {
    let slot = Slot::new();
    for args in [&[][..], &["release", "1"], &["release", "-1", "1", "1"], &["remove", "../x"], &["explode"]] {
        assert_eq!(run(&slot.releases(), args, b"").status.code(), Some(64), "{args:?}");
    }
}

#[test]
fn wipe_empties_the_folder_and_nothing_else() {
    let slot = Slot::new();
    std::fs::create_dir_all(slot.path("a/b/c")).unwrap();
    std::fs::write(slot.path("a/b/f"), "1").unwrap();
    std::os::unix::fs::symlink("../../precious", slot.path("a/l")).unwrap();
    std::os::unix::fs::symlink("..", slot.path("up")).unwrap();
    assert!(run(&slot.releases(), &["wipe"], b"").status.success());
    assert!(slot.names().is_empty());
}

#[test]
fn a_folder_deeper_than_any_path_is_removed() {
    let slot = Slot::new();
    let mut here = File::open(slot.releases()).unwrap();
    let mode = rustix::fs::Mode::RWXU;
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY;
    for name in std::iter::once("5").chain(std::iter::repeat_n("deeper", 800)) {
        rustix::fs::mkdirat(&here, name, mode).unwrap();
        here = File::from(rustix::fs::openat(&here, name, flags, rustix::fs::Mode::empty()).unwrap());
    }
    remove_release(File::open(slot.releases()).unwrap().as_fd(), 5).unwrap();
    assert!(slot.names().is_empty());
}

#[test]
fn locked_folders_are_removed_too() {
    let slot = Slot::new();
    std::fs::create_dir_all(slot.path("a/locked/in")).unwrap();
    // Under root the bits mean nothing; then this only shows that they do no harm.
    for path in ["a/locked/in", "a/locked", "a"] {
        std::fs::set_permissions(slot.path(path), Permissions::from_mode(0o000)).unwrap();
    }
    empty_folder(File::open(slot.releases()).unwrap().as_fd()).unwrap();
    assert!(slot.names().is_empty());
}

#[test]
fn wipe_gets_into_a_folder_that_its_owner_locked() {
    let slot = Slot::new();
    std::fs::create_dir_all(slot.path("a/b/c")).unwrap();
    std::fs::write(slot.path("a/b/f"), "1").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kennel-unpack"));
    let programs = tempfile::tempdir().unwrap();
    if rustix::process::geteuid().is_root() {
        // As somebody for whom the bits do mean something; the program lies where he can reach it.
        for path in ["", "a", "a/b", "a/b/c", "a/b/f"] {
            std::os::unix::fs::chown(slot.path(path), Some(65534), Some(65534)).unwrap();
        }
        for folder in [slot.releases().parent().unwrap(), programs.path()] {
            std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        let program = programs.path().join("kennel-unpack");
        std::fs::copy(env!("CARGO_BIN_EXE_kennel-unpack"), &program).unwrap();
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    }
    command.arg("wipe").current_dir(slot.releases());
    for path in ["a/b/c", "a/b", "a", ""] {
        std::fs::set_permissions(slot.path(path), Permissions::from_mode(0o000)).unwrap();
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::set_permissions(slot.releases(), Permissions::from_mode(0o755)).unwrap();
    assert!(slot.names().is_empty());
}
