//! What wakes a program and what does not, why it was woken, and what happens to it on the way up. That one start serves all
//! who wait, and what a program that crashes or never listens gets, is among the scenarios of `tenants`.

use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::http::{self, Answer};
use crate::vm::{PAGE_DEADLINE, Vm, until};

const SOON: Duration = Duration::from_secs(60);
const CRAWLER: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const BALANCER: &str = "ELB-HealthChecker/2.0";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0";
/// Until a slow program listens; long enough for a command to be carried out meanwhile.
const SLOW: Duration = Duration::from_secs(12);

/// A site. It says which process answers; `/?ms=N` takes its time, and `/healthz` is ready when it is asked the third time.
const SITE: &str = r#"
const { createServer } = require("node:http");
let checks = 0;
const server = createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  console.log(`asked for ${url.pathname}`);
  if (url.pathname === "/robots.txt") {
    response.writeHead(200, { "content-type": "text/plain" }).end("User-agent: *\n");
  } else if (url.pathname === "/favicon.ico") {
    response.writeHead(404).end("no icon");
  } else if (url.pathname === "/healthz") {
    response.writeHead((checks += 1) < 3 ? 503 : 204).end();
  } else {
    setTimeout(() => response.end(`${RELEASE} ${life}`), Number(url.searchParams.get("ms")));
  }
});
const life = require("node:crypto").randomUUID();
setTimeout(() => server.listen(Number(process.env.PORT), "127.0.0.1"), DELAY);
"#;

/// Listens, closes its port when somebody connects, and drops who has; some time later again; and then it is a server.
const FICKLE: &str = r#"
const port = Number(process.env.PORT);
const { createServer } = require("node:net");
function fickle(ms, then) {
  const first = createServer((socket) => {
    socket.on("error", () => {});
    first.close(() => console.log("closed its port"));
    setTimeout(() => socket.destroy(), 300);
    setTimeout(then, ms);
  }).listen(port, "127.0.0.1");
}
const serve = () => require("node:http").createServer((_, response) => response.end("at last")).listen(port, "127.0.0.1");
fickle(3000, () => fickle(500, serve));
"#;

pub(super) fn group() -> Group {
    Group {
        title: "what wakes programs",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            make(vm, "site", &site(1, Duration::ZERO))?;
            vm.page("site", "/").map(drop)
        },
        scenarios: vec![
            Scenario::new("wakes: what is no visit leaves a stopped program stopped", |vm| {
                leaves(vm, "stopped")
            }),
            Scenario::new("wakes: what is no visit leaves a frozen program frozen", |vm| leaves(vm, "frozen")),
            Scenario::new("wakes: crawlers wake it, unless they are to wait", crawlers),
            Scenario::new("wakes: an operator puts it to sleep and wakes it, but not under a visitor", by_hand),
            Scenario::new("wakes: a request that meets its freezing is answered", while_freezing),
            Scenario::new("wakes: a slow starter is waited for, and a stop in between ends the wait", slow),
            Scenario::new("wakes: a deploy during a start costs the visitor no error", deploy_during_start),
            Scenario::new("wakes: a port that is closed twice after it was bound is waited for", fickle),
            Scenario::new("wakes: a program with a health path is ready when that says so", healthy),
        ],
    }
}

fn site(release: u32, delay: Duration) -> String {
    format!("const RELEASE = {release}, DELAY = {};\n{SITE}", delay.as_millis())
}

/// A tenant, or another release of it.
fn make(vm: &Vm, name: &str, server: &str) -> Result<(), String> {
    let folder = vm.scratch().join(name);
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    std::fs::write(folder.join("server.js"), server).map_err(|e| e.to_string())?;
    let folder = folder.display().to_string();
    if vm.show(name).is_ok() { vm.ok(&["deploy", name, &folder]).map(drop) } else { vm.tenant(name, &folder) }
}

fn ask(vm: &Vm, host: &str, path: &str, agent: &str) -> Result<Answer, String> {
    http::get_as(vm.web_port(), (host, path), agent, PAGE_DEADLINE)
}

fn begin(vm: &Vm, name: &str, path: &'static str) -> JoinHandle<Result<Answer, String>> {
    let (port, host) = (vm.web_port(), format!("{name}.localhost"));
    spawn(move || http::get(port, &host, path, PAGE_DEADLINE))
}

fn answered(visit: JoinHandle<Result<Answer, String>>) -> Result<Answer, String> {
    visit.join().map_err(|_| "the request panicked")?
}

fn is(vm: &Vm, name: &str, state: &str) -> Result<(), String> {
    same("its state", vm.show(name)?["state"].as_str(), Some(state))
}

/// By an operator, as soon as nobody needs it.
fn put_to_sleep(vm: &Vm, name: &str, depth: &str) -> Result<(), String> {
    until(&format!("{name} to be put to sleep"), SOON, || {
        let output = vm.run(&["tenant", "sleep", name, "--to", depth])?;
        Ok((output.code == 0).then_some(()))
    })?;
    is(vm, name, depth)
}

/// Sleeps only when it is told to.
fn by_order(vm: &Vm, name: &str) -> Result<(), String> {
    let never =
        ["limits", name, "--freeze-after", "never", "--reclaim-after", "never", "--stop-after", "never"];
    vm.ok(&never).map(drop)
}

fn leaves(vm: &mut Vm, depth: &str) -> Result<(), String> {
    by_order(vm, "site")?;
    // While it is awake its answers are its own, and kept.
    for (path, status) in [("/", 200), ("/robots.txt", 200), ("/favicon.ico", 404)] {
        same("the status", ask(vm, "site.localhost", path, BROWSER)?.status, status)?;
    }
    let asked = vm.logs("site")?.matches("asked for").count();
    put_to_sleep(vm, "site", depth)?;
    for (host, path, agent, status) in [
        ("site.localhost", "/robots.txt", CRAWLER, 200),
        ("site.localhost", "/favicon.ico", BROWSER, 404),
        ("site.localhost", "/", BALANCER, 200),
        ("10.0.2.15", "/", BALANCER, 200),
        ("10.0.2.15", "/", "masscan/1.3", 404),
        ("nobody.localhost", "/", BROWSER, 404),
        ("site.localhost", "/.well-known/acme-challenge/token", BROWSER, 404),
    ] {
        let answer = ask(vm, host, path, agent)?;
        same(&format!("the status of {host}{path} for {agent}"), answer.status, status)?;
    }
    contains("the head", &ask(vm, "site.localhost", "/robots.txt", CRAWLER)?.head, "kennel-asleep: kept")?;
    is(vm, "site", depth)?;
    same("what it was asked for", vm.logs("site")?.matches("asked for").count(), asked)?;
    same("the status", ask(vm, "site.localhost", "/about?token=secret", BROWSER)?.status, 200)?;
    let by = if depth == "stopped" { "started" } else { "woken" };
    let shown = vm.ok(&["tenant", "show", "site"])?;
    contains("what is shown", &shown, &format!("running: {by} by GET /about from 10.0.2.2"))
}

fn crawlers(vm: &mut Vm) -> Result<(), String> {
    by_order(vm, "site")?;
    vm.ok(&["limits", "site", "--crawlers", "wait"])?;
    same("the status", vm.page("site", "/")?.status, 200)?;
    put_to_sleep(vm, "site", "frozen")?;
    let answer = ask(vm, "site.localhost", "/about", CRAWLER)?;
    same("the status", answer.status, 503)?;
    contains("the head", &answer.head, "retry-after: 600")?;
    is(vm, "site", "frozen")?;
    vm.ok(&["limits", "site", "--crawlers", "wake"])?;
    until("crawlers to be let in", SOON, || {
        Ok((ask(vm, "site.localhost", "/about", CRAWLER)?.status == 200).then_some(()))
    })?;
    is(vm, "site", "running")
}

fn by_hand(vm: &mut Vm) -> Result<(), String> {
    by_order(vm, "site")?;
    let before = vm.page("site", "/")?.body;
    let visit = begin(vm, "site", "/?ms=8000");
    sleep(Duration::from_secs(2));
    let refused = vm.run(&["tenant", "sleep", "site"])?;
    same("the exit code", refused.code, 2)?;
    contains("the refusal", &refused.err, "site is not put to sleep: a request is in flight")?;
    contains("the hint", &refused.err, "kennel tenant stop site")?;
    same("the status of the visit", answered(visit)?.status, 200)?;
    for (depth, by) in [("frozen", "woken"), ("reclaimed", "woken"), ("stopped", "started")] {
        put_to_sleep(vm, "site", depth)?;
        contains("the answer", &vm.ok(&["tenant", "wake", "site"])?, "tenant site is running")?;
        let shown = vm.ok(&["tenant", "show", "site"])?;
        contains("what is shown", &shown, &format!("running: {by} by an operator"))?;
        if depth == "reclaimed" {
            same("the process that answers", vm.page("site", "/")?.body, before.clone())?;
        }
    }
    holds("another process answers", vm.page("site", "/")?.body != before)?;
    put_to_sleep(vm, "site", "stopped")?;
    contains("the answer", &vm.ok(&["tenant", "sleep", "site"])?, "tenant site is stopped")
}

fn while_freezing(vm: &mut Vm) -> Result<(), String> {
    by_order(vm, "site")?;
    vm.ok(&["limits", "site", "--freeze-after", "1s"])?;
    let life = vm.page("site", "/")?.body;
    // Before, at and after the moment at which it is frozen, which the lease's end and the machine blur by half a second.
    for millis in [900, 1000, 1050, 1100, 1150, 1200, 1300, 1500, 1700] {
        sleep(Duration::from_millis(millis));
        let answer = vm.page("site", "/")?;
        same("the status", answer.status, 200)?;
        same("the process that answers", answer.body, life.clone())?;
    }
    Ok(())
}

fn slow(vm: &mut Vm) -> Result<(), String> {
    make(vm, "slow", &site(1, SLOW))?;
    let visit = begin(vm, "slow", "/");
    until("its start", SOON, || Ok((vm.show("slow")?["state"] == "running").then_some(())))?;
    contains("what is shown", &vm.ok(&["tenant", "show", "slow"])?, "running: started by GET / from 10.0.2.2")?;
    same("the status", answered(visit)?.status, 200)?;
    vm.ok(&["tenant", "stop", "slow"])?;
    let visit = begin(vm, "slow", "/");
    until("its start", SOON, || Ok((vm.show("slow")?["state"] == "running").then_some(())))?;
    vm.ok(&["tenant", "stop", "slow"])?;
    same("the status of who waited", answered(visit)?.status, 502)?;
    is(vm, "slow", "stopped")?;
    same("the status", vm.page("slow", "/")?.status, 200)
}

fn deploy_during_start(vm: &mut Vm) -> Result<(), String> {
    make(vm, "moving", &site(1, SLOW))?;
    let visit = begin(vm, "moving", "/");
    until("its start", SOON, || Ok((vm.show("moving")?["state"] == "running").then_some(())))?;
    make(vm, "moving", &site(2, Duration::ZERO))?;
    let answer = answered(visit)?;
    same("the status", answer.status, 200)?;
    holds(&format!("the new release answers: {}", answer.body), answer.body.starts_with("2 "))
}

fn fickle(vm: &mut Vm) -> Result<(), String> {
    make(vm, "fickle", FICKLE)?;
    let answer = vm.page("fickle", "/")?;
    same("the page", answer.body.as_str(), "at last")?;
    let times = || Ok((vm.logs("fickle")?.matches("closed its port").count() == 2).then_some(()));
    until("it to have closed its port twice", SOON, times)
}

fn healthy(vm: &mut Vm) -> Result<(), String> {
    make(vm, "checked", &site(1, Duration::ZERO))?;
    contains("the limits", &vm.ok(&["limits", "checked", "--health", "/healthz"])?, "/healthz answers")?;
    same("the status", vm.page("checked", "/")?.status, 200)?;
    let asked_thrice = || Ok((vm.logs("checked")?.matches("asked for /healthz").count() == 3).then_some(()));
    until("it to have been asked three times", SOON, asked_thrice)?;
    by_order(vm, "checked")?;
    put_to_sleep(vm, "checked", "frozen")?;
    same("the status", vm.page("checked", "/")?.status, 200)?;
    let log = vm.logs("checked")?;
    same("how often it was asked, thawed", log.matches("asked for /healthz").count(), 3)
}
