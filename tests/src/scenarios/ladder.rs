//! The ladder: a program that nobody needs is frozen, its memory moved to swap, and at last it is stopped; whoever asks for
//! it gets his page from every rung. What is needed stays awake: a slow response, an open WebSocket.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{PAGE_DEADLINE, Vm, until};

pub(super) const NAME: &str = "sleeper";
/// The machine is slow, and each look at it is a request.
const SOON: Duration = Duration::from_secs(60);

pub(super) fn group() -> Group {
    Group {
        title: "idle programs",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            vm.tenant(NAME, "tests/sleeper")?;
            vm.page_json(NAME, "/").map(drop)
        },
        scenarios: vec![
            Scenario::new("ladder: who nobody needs is frozen, and thawed by a request", frozen),
            Scenario::new("ladder: a frozen program's memory goes to swap and comes back whole", reclaimed),
            Scenario::new("ladder: memory that went to swap leaves its runtime to the next start", shared),
            Scenario::new("ladder: at last it is stopped in order, and started by a request", stopped),
            Scenario::new("ladder: who is always on starts again by itself, and with the host", always_on),
            Scenario::new("ladder: of those who are always on the most visited start first", in_order),
            Scenario::new("ladder: who has processor time reserved gets it beside the busiest", reserved),
            Scenario::new("ladder: a request and a WebSocket keep it awake for as long as they last", needed),
            Scenario::new(
                "ladder: a program's own compile cache is there at its next start, and taken",
                compile_cache,
            ),
            Scenario::new(
                "ladder: a frozen tenant is stopped, deployed to and removed like any other",
                handled,
            ),
        ],
    }
}

/// Never is the rest of the ladder.
fn limits(vm: &Vm, freeze: &str, reclaim: &str, stop: &str) -> Result<(), String> {
    let args = ["limits", NAME, "--freeze-after", freeze, "--reclaim-after", reclaim, "--stop-after", stop];
    vm.ok(&args).map(drop)
}

fn becomes(vm: &Vm, state: &str) -> Result<(), String> {
    until(&format!("{NAME} to be {state}"), SOON, || Ok((vm.show(NAME)?["state"] == state).then_some(())))
}

/// How often it has printed that it is awake.
fn ticks(vm: &Vm) -> Result<u64, String> {
    let log = vm.logs(NAME)?;
    let last = log.lines().rev().find_map(|line| line.split("tick ").nth(1)?.trim().parse().ok());
    last.ok_or(format!("it never ticked: {log}"))
}

fn life(facts: &Value) -> Result<String, String> {
    facts["life"].as_str().map(ToOwned::to_owned).ok_or(format!("no life in {facts}"))
}

fn frozen(vm: &mut Vm) -> Result<(), String> {
    let before = vm.page_json(NAME, "/")?;
    limits(vm, "2s", "never", "never")?;
    becomes(vm, "frozen")?;
    contains("what is shown", &vm.ok(&["tenant", "show", NAME])?, "frozen: not needed for ")?;
    let asleep = ticks(vm)?;
    // Eight ticks' time.
    std::thread::sleep(Duration::from_secs(2));
    same("its ticks while it is frozen", ticks(vm)?, asleep)?;
    let after = vm.page_json(NAME, "/")?;
    same("the process that answers", life(&after)?, life(&before)?)?;
    until("it to tick again", SOON, || Ok((ticks(vm)? > asleep).then_some(())))
}

fn reclaimed(vm: &mut Vm) -> Result<(), String> {
    limits(vm, "2s", "4s", "never")?;
    let before = vm.page_json(NAME, "/")?;
    becomes(vm, "reclaimed")?;
    let after = vm.page_json(NAME, "/")?;
    same("the process that answers", life(&after)?, life(&before)?)?;
    let swap = after["swap"].as_u64().unwrap_or_default();
    holds(&format!("most of its ballast is in swap ({swap} of {} KiB)", 24 << 10), swap > 16 << 10)?;
    same("whether its ballast is what it was", vm.page(NAME, "/ballast")?.body.as_str(), "true")
}

/// The first program of a runtime is charged for what it reads of it; its neighbours use the same pages.
fn shared(vm: &mut Vm) -> Result<(), String> {
    vm.page_json(NAME, "/")?;
    limits(vm, "1s", "2s", "never")?;
    becomes(vm, "reclaimed")?;
    vm.ok(&["tenant", "stop", NAME])?;
    let after = vm.page_json(NAME, "/")?;
    let reads = after["startReads"].as_u64().ok_or(format!("no startReads in {after}"))?;
    holds(&format!("it starts without reading its runtime again ({reads} pages waited for)"), reads < 10)
}

fn stopped(vm: &mut Vm) -> Result<(), String> {
    let before = vm.page_json(NAME, "/")?;
    limits(vm, "2s", "never", "6s")?;
    becomes(vm, "frozen")?;
    becomes(vm, "stopped")?;
    vm.logged(NAME, "asked to end")?;
    let after = vm.page_json(NAME, "/")?;
    holds("another process answers", life(&after)? != life(&before)?)
}

fn always_on(vm: &mut Vm) -> Result<(), String> {
    vm.ok(&["tenant", "stop", NAME])?;
    vm.ok(&["limits", NAME, "--always-on", "--no-freeze", "--stop-after", "3s"])?;
    becomes(vm, "running")?;
    let before = vm.page_json(NAME, "/")?;
    same("the answer of a program that ends over it", vm.page(NAME, "/end")?.status, 502)?;
    becomes(vm, "running")?;
    let shown = vm.show(NAME)?["reason"].to_string();
    let after = vm.page_json(NAME, "/")?;
    holds(&format!("another process answers ({shown})"), life(&after)? != life(&before)?)?;

    vm.tenant("idler", "tests/sleeper")?;
    vm.page_json("idler", "/")?;
    vm.stop()?;
    vm.boot()?;
    becomes(vm, "running")?;
    same("who was not always on", vm.show("idler")?["state"].as_str(), Some("stopped"))?;
    vm.ok(&["tenant", "rm", "idler", "--yes"])?;
    vm.ok(&["limits", NAME, "--on-demand"])?;
    becomes(vm, "stopped")
}

/// By name, by slot and by when they were added they are in another order than by their visitors.
const BY_VISITORS: [(&str, usize); 3] = [("middle", 6), ("last", 3), ("first", 1)];

fn in_order(vm: &mut Vm) -> Result<(), String> {
    for (name, visits) in [BY_VISITORS[2], BY_VISITORS[0], BY_VISITORS[1]] {
        vm.tenant(name, "examples/node-hello")?;
        vm.ok(&["limits", name, "--always-on"])?;
        for _ in 0..visits {
            same("the status", vm.page(name, "/")?.status, 200)?;
        }
    }
    let wanted: usize = BY_VISITORS.iter().map(|(_, visits)| visits).sum();
    until("their visits to be counted", SOON, || {
        let usage = vm.json(&["usage"])?;
        let rows = usage.as_array().into_iter().flatten();
        let counted = rows.filter(|row| BY_VISITORS.iter().any(|(name, _)| row["tenant"] == *name));
        Ok((counted.filter_map(|row| row["requests"].as_u64()).sum::<u64>() == wanted as u64).then_some(()))
    })?;
    let last = |vm: &Vm, name: &str| {
        let change = vm.json(&["tenant", "timeline", name, "-n", "1"])?[0].clone();
        change["at_ms"].as_u64().map(|at| (at, change)).ok_or(format!("{name} has not run"))
    };
    let before = last(vm, BY_VISITORS[1].0)?.0;
    vm.stop()?;
    vm.boot()?;
    let mut starts = Vec::new();
    for (name, _) in BY_VISITORS {
        starts.push(until(&format!("{name} to be started"), SOON, || {
            let (at, change) = last(vm, name)?;
            let reason = change["reason"].as_str().unwrap_or_default();
            Ok((at > before && reason.contains("always on")).then_some(at))
        })?);
    }
    holds(&format!("they started in that order: {starts:?}"), starts.is_sorted())?;
    BY_VISITORS.iter().try_for_each(|(name, _)| vm.ok(&["tenant", "rm", name, "--yes"]).map(drop))
}

/// Who wants a processor beside the one that has most of one reserved; the machine has two.
const BURNERS: [&str; 4] = ["burner-1", "burner-2", "burner-3", "burner-4"];

fn reserved(vm: &mut Vm) -> Result<(), String> {
    let too_much = vm.run(&["limits", NAME, "--reserve-cpu", "1000%"])?;
    contains("the refusal", &too_much.err, "only 150 % of a processor is left to reserve")?;
    vm.ok(&["limits", NAME, "--reserve-cpu", "90%", "--reserve-memory", "48M", "--no-freeze"])?;
    contains("its limits", &vm.ok(&["limits", NAME])?, "48M, 90 % of a processor")?;
    for name in BURNERS {
        vm.tenant(name, "tests/sleeper")?;
        vm.page_json(name, "/")?;
    }
    let port = vm.web_port();
    let burn = |name: &'static str| {
        std::thread::spawn(move || {
            http::get(port, &format!("{name}.localhost"), "/burn?ms=12000", PAGE_DEADLINE)
        })
    };
    let others = BURNERS.map(burn);
    let parts: Vec<f64> = std::iter::once(burn(NAME))
        .chain(others)
        .map(|thread| {
            let answer = thread.join().map_err(|_| "the request panicked")??;
            let facts: Value =
                serde_json::from_str(&answer.body).map_err(|e| format!("{e}: {}", answer.body))?;
            facts["part"].as_f64().ok_or_else(|| format!("no part in {facts}"))
        })
        .collect::<Result<_, String>>()?;
    // Without it each would get two fifths.
    holds(&format!("it got what is reserved for it: {parts:.2?}"), parts[0] > 0.75)?;
    holds(&format!("the others got what was left: {parts:.2?}"), parts[1..].iter().all(|part| *part < 0.5))?;
    for name in BURNERS {
        vm.ok(&["tenant", "rm", name, "--yes"])?;
    }
    vm.ok(&["limits", NAME, "--reserve-cpu", "0", "--reserve-memory", "0"]).map(drop)
}

/// Longer than it takes to freeze and to stop an idle one.
const LONG: Duration = Duration::from_secs(8);

fn needed(vm: &mut Vm) -> Result<(), String> {
    limits(vm, "1s", "never", "3s")?;
    let (port, host) = (vm.web_port(), format!("{NAME}.localhost"));
    let path = format!("/slow?ms={}", LONG.as_millis());
    let slow = std::thread::spawn(move || http::get(port, &host, &path, PAGE_DEADLINE));
    let mut socket = web_socket(port, NAME)?;
    let before = ticks(vm)?;
    let answer = slow.join().map_err(|_| "the request panicked")??;
    same("the slow request's status", answer.status, 200)?;
    // The WebSocket alone holds it now.
    std::thread::sleep(LONG / 2);
    same("its state", vm.show(NAME)?["state"].as_str(), Some("running"))?;
    let ticked = ticks(vm)? - before;
    holds(&format!("it was awake all the while ({ticked} ticks)"), ticked >= 24)?;
    let mut echo = [0; 4];
    let heard = socket.write_all(b"ping").and_then(|()| socket.read_exact(&mut echo));
    heard.map_err(|e| format!("the WebSocket: {e}"))?;
    same("the echo", &echo, b"ping")?;
    drop(socket);
    becomes(vm, "stopped")
}

fn compile_cache(vm: &mut Vm) -> Result<(), String> {
    vm.tenant("cacher", "tests/cacher")?;
    let first = vm.page_json("cacher", "/")?;
    same("what Node.js says of it", first["status"].as_str(), Some("ENABLED"))?;
    same("files in the cache after the first start", first["files"].as_u64(), Some(1))?;
    vm.ok(&["tenant", "stop", "cacher"])?;
    let second = vm.page_json("cacher", "/")?;
    holds("another process answers", life(&first)? != life(&second)?)?;
    same("files in the cache after the second start", second["files"].as_u64(), Some(1))?;
    let again = vm.page_json("cacher", "/again")?;
    contains("who loads it again", &again.to_string(), "lib.js was accepted")?;
    vm.ok(&["tenant", "rm", "cacher", "--yes"]).map(drop)
}

/// An open one; what is said over it comes back.
pub(super) fn web_socket(port: u16, name: &str) -> Result<TcpStream, String> {
    let fault = |e: std::io::Error| format!("no WebSocket: {e}");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(fault)?;
    stream.set_read_timeout(Some(PAGE_DEADLINE)).map_err(fault)?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {name}.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(fault)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).map_err(fault)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    if head.starts_with("HTTP/1.1 101 ") { Ok(stream) } else { Err(format!("no WebSocket: {head}")) }
}

fn handled(vm: &mut Vm) -> Result<(), String> {
    limits(vm, "1s", "never", "never")?;
    let before = vm.page_json(NAME, "/")?;
    becomes(vm, "frozen")?;
    vm.ok(&["tenant", "stop", NAME])?;
    becomes(vm, "stopped")?;
    vm.logged(NAME, "asked to end")?;
    vm.page_json(NAME, "/")?;
    becomes(vm, "frozen")?;
    vm.ok(&["deploy", NAME, "tests/sleeper"])?;
    let after = vm.page_json(NAME, "/")?;
    holds("the new release answers", life(&after)? != life(&before)?)?;
    becomes(vm, "frozen")?;
    vm.ok(&["tenant", "rm", NAME, "--yes"])?;
    same("the status", vm.page(NAME, "/")?.status, 404)
}
