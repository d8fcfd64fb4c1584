//! Who came to see a tenant: its access log, the live stream and the numbers of requests; and that a flood to one tenant takes
//! nothing from what is known of another's visitors.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{PAGE_DEADLINE, Vm, until};

const NAME: &str = "visited";
/// The one that is flooded: without a release, so that the proxy answers for it as fast as it can.
const FLOODED: &str = "flooded";
/// The machine is slow, and each look at it is a request.
const SOON: Duration = Duration::from_secs(60);
/// Asked for on one connection before the answers are read.
const AT_ONCE: usize = 50;
/// Visits to the neighbour meanwhile.
const VISITS: usize = 20;

pub(super) fn group() -> Group {
    Group {
        title: "who came to see a tenant",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            vm.tenant(NAME, "examples/node-hello")?;
            let domain = format!("{FLOODED}.localhost");
            vm.ok(&["tenant", "add", FLOODED, "--runtime", "node-24", "--domain", &domain, "--trial", "off"])
                .map(drop)
        },
        scenarios: vec![
            Scenario::new("traffic: visits are in the access log, with numbers and times", written),
            Scenario::new("traffic: the live stream shows them as they come", live),
            Scenario::new(
                "traffic: a client that asks too often is told, until nobody minds any more",
                too_often,
            ),
            Scenario::new(
                "traffic: a flood is sampled and counted, a neighbour's visits are all there",
                flooded,
            ),
            Scenario::new("traffic: with a tenant its visitors are forgotten", forgotten),
        ],
    }
}

/// The lines of a tenant's access log, or of nobody's.
fn lines(vm: &Vm, name: Option<&str>) -> Result<Vec<Value>, String> {
    let of: Vec<&str> = name.into_iter().collect();
    let all = vm.json(&[&["logs"], &of[..], &["--access", "-n", "10000"]].concat())?;
    Ok(all.as_array().cloned().unwrap_or_default())
}

/// The line of the request for this, once it is written.
fn line(vm: &Vm, name: Option<&str>, target: &str) -> Result<Value, String> {
    until(&format!("{target} in the access log of {name:?}"), SOON, || {
        Ok(lines(vm, name)?.into_iter().find(|line| line["target"] == target))
    })
}

/// Whether all these requests are written down, in this order.
pub(super) fn has_in_order(vm: &Vm, name: &str, targets: &[&str]) -> Result<(), String> {
    line(vm, Some(name), targets.last().copied().unwrap_or_default())?;
    let all = lines(vm, Some(name))?;
    let seen: Vec<_> =
        all.iter().filter_map(|l| l["target"].as_str()).filter(|t| targets.contains(t)).collect();
    same("what is written down", seen, targets.to_vec())
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn written(vm: &mut Vm) -> Result<(), String> {
    let first = vm.page(NAME, "/?first=%22b")?;
    same("its status", first.status, 200)?;
    let id = field(&first.head, "x-request-id").ok_or("the answer has no number")?.to_owned();
    let seen = line(vm, Some(NAME), "/?first=%22b")?;
    for (name, value) in [
        ("tenant", NAME),
        ("host", "visited.localhost"),
        ("method", "GET"),
        ("protocol", "HTTP/1.1"),
        ("agent", "kennel-tests"),
        ("ended", "whole"),
        ("id", &id),
    ] {
        same(name, seen[name].as_str(), Some(value))?;
    }
    same("its bytes", seen["bytes_out"].as_u64(), Some(first.body.len() as u64))?;
    let us = |line: &Value, part: &str| line[part].as_u64().ok_or(format!("no {part} in {line}"));
    let (total, queue, upstream) = (us(&seen, "total_us")?, us(&seen, "queue_us")?, us(&seen, "upstream_us")?);
    holds(
        &format!("the first visitor waited for the start most of the time: {seen}"),
        queue > upstream && queue + upstream + us(&seen, "own_us")? <= total,
    )?;
    same("the second one's status", vm.page(NAME, "/?second")?.status, 200)?;
    let second = line(vm, Some(NAME), "/?second")?;
    holds(&format!("nobody waited for a wake: {second}"), second["queue_us"].is_null())?;
    holds("each has a number of its own", second["id"] != seen["id"])?;
    same("who looks for no site here", vm.page("nobody", "/scan")?.status, 404)?;
    let scan = line(vm, None, "/scan")?;
    same("why", (scan["fault"].as_str(), scan["tenant"].is_null()), (Some("unknown-host"), true))?;
    let combined = vm.ok(&["logs", NAME, "--access", "--since", "1h"])?;
    contains("the Combined Log Format", &combined, "\"GET /?second HTTP/1.1\" 200 ")?;
    contains("the Combined Log Format", &combined, " \"-\" \"kennel-tests\"\n")?;
    holds("nothing of anybody else's is in it", !combined.contains("/scan"))?;
    let quiet = vm.page(NAME, "/")?;
    holds("where its time went is nobody's business", field(&quiet.head, "server-timing").is_none())?;
    vm.ok(&["limits", NAME, "--server-timing", "on"])?;
    let told = vm.page(NAME, "/")?;
    let timing = field(&told.head, "server-timing").ok_or("the owner wants to know")?;
    contains("where its time went", timing, "upstream;dur=")?;
    let page = vm.ok(&["host", "metrics"])?;
    contains(
        "the metrics",
        &page,
        &format!("kennel_tenant_responses_total{{tenant=\"{NAME}\",class=\"2xx\"}} "),
    )?;
    contains("the metrics", &page, "kennel_request_seconds_bucket{part=\"upstream\",le=\"+Inf\"} ")
}

/// `kennel traffic`, until it is dropped; what it prints comes out line by line.
struct Looking {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Looking {
    fn begin(vm: &Vm, args: &[&str]) -> Result<Self, String> {
        let mut child = vm.command(args).stdout(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
        let out = child.stdout.take().ok_or("no output")?;
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).all(|line| tell.send(line).is_ok())
        });
        Ok(Self { child, lines })
    }

    /// The next line that has this in it.
    fn sees(&self, part: &str) -> Result<String, String> {
        let end = Instant::now() + SOON;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if line.contains(part) {
                return Ok(line);
            }
        }
        Err(format!("{part:?} is not shown"))
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn live(vm: &mut Vm) -> Result<(), String> {
    let (one, all) = (Looking::begin(vm, &["traffic", NAME])?, Looking::begin(vm, &["--json", "traffic"])?);
    // What it begins with: then it looks on.
    one.sees("visited.localhost/?second")?;
    all.sees("/scan")?;
    same("a visit's status", vm.page(NAME, "/?live")?.status, 200)?;
    same("a stranger's", vm.page("nobody", "/elsewhere")?.status, 404)?;
    let line = one.sees("visited.localhost/?live")?;
    contains("the line", &line, " 200 ")?;
    contains("the line", &line, NAME)?;
    let visit: Value = serde_json::from_str(&all.sees("\"/?live\"")?).map_err(|e| e.to_string())?;
    same("whose it is", visit["tenant"].as_str(), Some(NAME))?;
    all.sees("\"/elsewhere\"")?;
    let once = vm.ok(&["traffic", NAME, "--once", "-n", "200"])?;
    contains("the last requests", &once, "visited.localhost/?live")?;
    holds("others' are not among them", !once.contains("/elsewhere"))
}

/// Asks for the same on one connection again and again, as fast as it is answered, until it is to stop.
fn flood(port: u16, stop: &mpsc::Receiver<()>) -> Result<usize, String> {
    let fault = |e: std::io::Error| format!("the flood: {e}");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(fault)?;
    stream.set_read_timeout(Some(PAGE_DEADLINE)).map_err(fault)?;
    let request = format!("GET /flood HTTP/1.1\r\nHost: {FLOODED}.localhost\r\n\r\n").repeat(AT_ONCE);
    let (mut answered, mut rest) = (0, Vec::new());
    while stop.try_recv() == Err(mpsc::TryRecvError::Empty) {
        stream.write_all(request.as_bytes()).map_err(fault)?;
        let mut there = 0;
        while there < AT_ONCE {
            let mut piece = [0; 16 << 10];
            let n = stream.read(&mut piece).map_err(fault)?;
            holds("the connection goes on", n > 0)?;
            rest.extend_from_slice(&piece[..n]);
            let text = String::from_utf8_lossy(&rest).into_owned();
            there += text.matches("HTTP/1.1 503 ").count();
            // An answer's begin may be split between two pieces.
            let kept = text.rfind("HTTP/1.1 503 ").map_or(0, |at| at + 1);
            rest = text.as_bytes()[kept..].to_vec();
        }
        answered += there;
    }
    Ok(answered)
}

fn too_often(vm: &mut Vm) -> Result<(), String> {
    let told = vm.ok(&["limits", NAME, "--client-rate", "1", "--requests", "3"])?;
    contains("the limits", &told, "3 at a time, 1 a second of one client")?;
    // Five may come at once, and even this machine answers more than one a second.
    let mut pages = (0..100).map(|_| vm.page(NAME, "/?often"));
    let refused = pages.find(|page| page.as_ref().map_or(true, |page| page.status != 200));
    let refused = refused.ok_or("a hundred in a row are not too much")??;
    let told = (refused.status, field(&refused.head, "kennel-error"), field(&refused.head, "retry-after"));
    same("what is said", told, (429, Some("too-many"), Some("2")))?;
    vm.ok(&["limits", NAME, "--client-rate", "off"])?;
    same("the next one's status", vm.page(NAME, "/?mild")?.status, 200)
}

/// How many lines of requests a tenant's log has, and how many it says were left out.
fn told(vm: &Vm, name: &str) -> Result<(u64, u64), String> {
    let lines = lines(vm, Some(name))?;
    let left_out = lines.iter().filter_map(|line| line["left_out"].as_u64()).sum();
    Ok((lines.iter().filter(|line| line["left_out"].is_null()).count() as u64, left_out))
}

fn flooded(vm: &mut Vm) -> Result<(), String> {
    let port = vm.web_port();
    let (stop, stopped) = mpsc::channel();
    let flood = std::thread::spawn(move || flood(port, &stopped));
    let targets: Vec<String> = (0..VISITS).map(|n| format!("/?calm-{n}")).collect();
    for target in &targets {
        let page = http::get(port, &format!("{NAME}.localhost"), target, PAGE_DEADLINE)?;
        same("the neighbour's status", page.status, 200)?;
    }
    let seen = until("the flood to be sampled", Duration::from_secs(120), || {
        Ok(Some(told(vm, FLOODED)?).filter(|(_, left_out)| *left_out > 0))
    });
    let _ = stop.send(());
    let answered = flood.join().map_err(|_| "the flood ended by itself")?? as u64;
    seen?;
    let all: Vec<_> = targets.iter().map(String::as_str).collect();
    has_in_order(vm, NAME, &all)?;
    same("what of the neighbour's was left out", told(vm, NAME)?.1, 0)?;
    let counted = format!("kennel_tenant_responses_total{{tenant=\"{FLOODED}\",class=\"5xx\"}} {answered}\n");
    let page = until("every request of the flood to be counted", SOON, || {
        Ok(Some(vm.ok(&["host", "metrics"])?).filter(|page| page.contains(&counted)))
    })?;
    let (written, left_out) = told(vm, FLOODED)?;
    println!("    of {answered} requests {written} were written down, {left_out} only counted");
    same("requests that are written down and those that were left out", written + left_out, answered)?;
    let sampled = format!("kennel_access_records_left_out_total{{reason=\"flood\"}} {left_out}\n");
    contains("the metrics", &page, &sampled)?;
    contains("the metrics", &page, "kennel_access_records_left_out_total{reason=\"unread\"} 0\n")
}

fn forgotten(vm: &mut Vm) -> Result<(), String> {
    vm.ok(&["tenant", "rm", NAME, "--yes"])?;
    let domain = format!("{NAME}.localhost");
    vm.ok(&["tenant", "add", NAME, "--runtime", "node-24", "--domain", &domain, "--trial", "off"])?;
    same("what is known of the next one's visitors", lines(vm, Some(NAME))?, vec![])?;
    same("its page", vm.page(NAME, "/mine")?.status, 503)?;
    same("why", line(vm, Some(NAME), "/mine")?["fault"].as_str(), Some("not-deployed"))?;
    same("how many", lines(vm, Some(NAME))?.len(), 1)
}
