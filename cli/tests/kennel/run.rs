//! `kennel run` and `kennel stop` with a stand-in for QEMU: a script that goes into the background like it, with its
//! arguments, and writes a console. The real thing is booted by the scenarios in the VM.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command as Std, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::{Home, error, result};

const PIN: &str = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";

/// Puts an image and a QEMU in place that writes these lines and then stays, or ends.
fn with_qemu(lines: &str, then: &str) -> Home {
    let home = Home::new();
    home.file("out/kennel-0-x86_64.raw", "image");
    let script = format!(
        r#"#!/bin/bash
pid= console=
words=("$@")
for ((i = 0; i < $#; i++)); do
    case ${{words[i]}} in
        -pidfile) pid=${{words[i + 1]}} ;;
        file,id=console,*) console=${{words[i]##*path=}} ;;
    esac
done
if [ -z "$IN_BACKGROUND" ]; then
    IN_BACKGROUND=1 setsid "$0" "$@" </dev/null >/dev/null 2>&1 &
    echo $! > "$pid"
    # Until the other one carries these arguments, it is not recognised.
    until tr '\0' ' ' < /proc/$!/cmdline | grep -q -- -pidfile; do sleep 0.01; done
    exit 0
fi
cat > "$console" <<'LINES'
{lines}
LINES
{then}
"#
    );
    let qemu = home.file("bin/qemu-system-x86_64", &script);
    std::fs::set_permissions(qemu, PermissionsExt::from_mode(0o755)).unwrap();
    home
}

const STAYS: &str = "for i in {1..600}; do sleep 0.1; done";

/// A port that nobody listens on, and that no other test here is given: `kennel` looks at it by listening for a moment,
/// and two who look at the same one at once each find it taken. Below the ports that the kernel gives out by itself.
fn own_port() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed)).find(free).unwrap().to_string()
}

/// The stand-in cannot say which ports it took, so it is given all three.
fn run_args(home: &Home) -> (String, [String; 10]) {
    let path = format!("{}:{}", home.path("bin").display(), std::env::var("PATH").unwrap());
    let [web, https, api] = [(); 3].map(|()| own_port());
    let args = ["run", "--accel", "tcg", "--port", &web, "--https-port", &https, "--api-port", &api, "--json"];
    (path, args.map(str::to_owned))
}

fn ready() -> String {
    format!("init: [  1.000] mounted\ncontrol: api certificate {PIN}\ninit: ready in 4.2 s")
}

#[test]
fn a_host_is_started_pinned_found_again_and_stopped() {
    let home = with_qemu(&ready(), STAYS);
    let (path, args) = run_args(&home);
    let run = || home.kennel(&args).env("PATH", &path).arg("--detach").output().unwrap();
    let document = result(&run());
    assert_eq!(document["fingerprint"], PIN);
    assert_eq!(document["boot_seconds"], "4.2");
    assert_eq!(document["accel"], "tcg");
    let hosts = result(&home.kennel(&["host", "ls", "--json"]).output().unwrap());
    assert_eq!(hosts["hosts"]["local"]["fingerprint"], PIN);
    assert_eq!(hosts["hosts"]["local"]["web_port"], document["web_port"]);
    let user_data = std::fs::read_to_string(home.path(".local/state/kennel/hosts/local/user-data")).unwrap();
    assert!(user_data.starts_with("[operator]\nssh_keys = [\"ssh-ed25519 "), "{user_data}");

    assert_eq!(error(&run())["code"], "runs-already");
    // The stand-in has no power button.
    assert_eq!(error(&home.kennel(&["stop", "--json"]).output().unwrap())["code"], "no-power-button");
    let stopped = result(&home.kennel(&["stop", "--force", "--json"]).output().unwrap());
    assert_eq!(stopped["stopped"], "forced");
    let stopped = result(&home.kennel(&["stop", "--json"]).output().unwrap());
    assert_eq!(stopped["stopped"], "was-not-running");
}

#[test]
fn a_boot_that_fails_shows_the_console_and_leaves_nothing_running() {
    let panic = "init: [  1.000] FAILED root: no partition\nKernel panic - not syncing: no root";
    for (lines, then, cause) in [
        ("init: [  1.000] FAILED root: no partition", "exit 1", "root: no partition"),
        ("BdsDxe: starting", "exit 1", "the machine ended"),
        (panic, STAYS, "kernel panic: no root"),
    ] {
        let home = with_qemu(lines, then);
        let (path, args) = run_args(&home);
        let output = home.kennel(&args).env("PATH", &path).arg("--detach").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = error(&output);
        // A machine that ended before it was looked at cannot be told from one that never started.
        if error["code"] == "qemu" {
            continue;
        }
        assert_eq!(error["code"], "not-ready");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(cause) && message.contains(lines.lines().last().unwrap()), "{message}");
        let stopped = result(&home.kennel(&["stop", "--json"]).output().unwrap());
        assert_eq!(stopped["stopped"], "was-not-running");
    }
}

#[test]
fn in_the_foreground_the_console_is_shown_and_ctrl_c_twice_pulls_the_plug() {
    let home = with_qemu(&ready(), STAYS);
    let (path, args) = run_args(&home);
    let mut child = Std::new(env!("CARGO_BIN_EXE_kennel"))
        .args(&args[..args.len() - 1])
        .current_dir(home.0.path())
        .env_clear()
        .env("HOME", home.0.path())
        .env("PATH", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.starts_with("next:")).collect();
    assert!(seen.iter().any(|line| line == "init: [  1.000] mounted"), "{seen:?}");
    assert!(seen.iter().any(|line| line.starts_with("host local is ready after 4.2 s")), "{seen:?}");
    let id = child.id().to_string();
    let interrupt = || Std::new("kill").args(["-INT", &id]).status().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    interrupt();
    let mut said = String::new();
    while !said.contains("shutting down") {
        assert_ne!(errors.read_line(&mut said).unwrap(), 0, "{said}");
    }
    interrupt();
    errors.read_to_string(&mut said).unwrap();
    assert!(said.contains("pulling the plug"), "{said}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let stopped = result(&home.kennel(&["stop", "--json"]).output().unwrap());
    assert_eq!(stopped["stopped"], "was-not-running");
}

#[test]
fn a_taken_port_names_the_option_that_chooses_another() {
    let home = with_qemu(&ready(), STAYS);
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (path, mut args) = run_args(&home);
    args[8].clone_from(&port);
    let output = home.kennel(&args).env("PATH", path).output().unwrap();
    let error = error(&output);
    assert_eq!(error["code"], "port-in-use");
    assert!(error["message"].as_str().unwrap().contains(&port), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("--api-port PORT"), "{error}");
}
