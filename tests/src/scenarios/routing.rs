//! What is routed where, as visitors have it: wildcards, paths, redirects, maintenance and operators' own pages; and that a route
//! which changes under load drops nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{PAGE_DEADLINE, Vm};

/// It has the name itself.
const WHOLE: &str = "whole";
/// It has what others do not.
const PART: &str = "part";
/// Between two visits, so that QEMU's network keeps up.
const PAUSE: Duration = Duration::from_millis(20);
/// Changes of a route under load.
const CHANGES: usize = 10;

/// Says whose it is, and what it was asked.
const SITE: &str = r#"
require("node:http").createServer((request, response) => {
  const prefix = request.headers["x-forwarded-prefix"] ?? "-";
  response.end(`NAME ${request.url} ${request.headers.host} ${prefix}`);
}).listen(Number(process.env.PORT), "127.0.0.1");
"#;

pub(super) fn group() -> Group {
    Group {
        title: "what is routed where",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            for name in [WHOLE, PART] {
                let folder = vm.scratch().join(name);
                std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
                std::fs::write(folder.join("server.js"), SITE.replace("NAME", name))
                    .map_err(|e| e.to_string())?;
                vm.tenant(name, &folder.display().to_string())?;
                vm.page(name, "/").map(drop)?;
            }
            Ok(())
        },
        scenarios: vec![
            Scenario::new("routing: a wildcard is one label, and exact names go before it", wildcard),
            Scenario::new(
                "routing: a path is a tenant's, whole segments of it, and odd paths are refused",
                paths,
            ),
            Scenario::new("routing: a redirect wakes nobody, and circles are refused", redirects),
            Scenario::new("routing: who comes during maintenance is told, and nobody is woken", maintenance),
            Scenario::new("routing: operators' pages are shown where the proxy answers", pages),
            Scenario::new("routing: a route changes under load, and no request is lost", changes),
            Scenario::new("routing: what is routed is routed again after a reboot", rebooted),
        ],
    }
}

fn get(vm: &Vm, host: &str, path: &str) -> Result<http::Answer, String> {
    http::get(vm.web_port(), host, path, PAGE_DEADLINE)
}

fn says(vm: &Vm, host: &str, path: &str, said: &str) -> Result<(), String> {
    same(&format!("{host}{path}"), get(vm, host, path)?.body.trim(), said)
}

fn wildcard(vm: &mut Vm) -> Result<(), String> {
    let added = vm.json(&["domain", "add", PART, "*.whole.localhost"])?;
    same("whose it is", added["domain"]["tenant"].as_str(), Some(PART))?;
    says(vm, "a.whole.localhost", "/x", "part /x a.whole.localhost -")?;
    same("two labels", get(vm, "a.b.whole.localhost", "/")?.status, 404)?;
    says(vm, "whole.localhost", "/", "whole / whole.localhost -")?;
    vm.ok(&["domain", "add", WHOLE, "b.whole.localhost"])?;
    says(vm, "b.whole.localhost", "/", "whole / b.whole.localhost -")?;
    vm.ok(&["domain", "rm", WHOLE, "b.whole.localhost"])?;
    says(vm, "b.whole.localhost", "/", "part / b.whole.localhost -")
}

fn paths(vm: &mut Vm) -> Result<(), String> {
    vm.ok(&["domain", "add", PART, "whole.localhost/shop"])?;
    vm.ok(&["domain", "add", PART, "whole.localhost/api", "--strip"])?;
    says(vm, "whole.localhost", "/shop/x?y", "part /shop/x?y whole.localhost -")?;
    says(vm, "whole.localhost", "/shopping", "whole /shopping whole.localhost -")?;
    says(vm, "whole.localhost", "/api", "part / whole.localhost /api")?;
    says(vm, "whole.localhost", "/api/x%2Fy", "part /x%2Fy whole.localhost /api")?;
    for odd in ["/shop/../x", "/%73hop", "//shop", "/shop%2Fx", "/shop;a/b", "/api//evil.example"] {
        let answer = get(vm, "whole.localhost", odd)?;
        same(odd, answer.status, 400)?;
        contains(odd, &answer.head, "kennel-error: ambiguous-path")?;
    }
    Ok(())
}

fn stopped(vm: &Vm, name: &str) -> Result<(), String> {
    same("its state", vm.show(name)?["state"].as_str(), Some("stopped"))
}

fn redirects(vm: &mut Vm) -> Result<(), String> {
    vm.ok(&["tenant", "stop", WHOLE])?;
    vm.ok(&[
        "redirect",
        "add",
        WHOLE,
        "www.localhost",
        "https://whole.localhost/",
        "--keep-path",
        "--permanent",
    ])?;
    let sent = get(vm, "www.localhost", "/a/b?c=d")?;
    same("the status", sent.status, 308)?;
    contains("where it is sent", &sent.head, "location: https://whole.localhost/a/b?c=d")?;
    stopped(vm, WHOLE)?;
    let round = ["redirect", "add", WHOLE, "round.localhost", "https://round.localhost/x"];
    let refused = vm.run(&round)?;
    same("the exit code for a circle", refused.code, 2)?;
    contains("why", &refused.err, "round in circles: round.localhost → round.localhost")?;
    same("the circle", get(vm, "round.localhost", "/")?.status, 404)
}

fn maintenance(vm: &mut Vm) -> Result<(), String> {
    vm.ok(&["tenant", "stop", WHOLE])?;
    vm.ok(&["maintenance", "on", WHOLE, "--retry-after", "15m"])?;
    let told = get(vm, "whole.localhost", "/")?;
    same("the status", told.status, 503)?;
    contains("when to come again", &told.head, "retry-after: 900")?;
    contains("why", &told.head, "kennel-error: maintenance")?;
    stopped(vm, WHOLE)?;
    let show = vm.show(WHOLE)?;
    same("what the operator sees", show["maintenance"]["retry_after_s"].as_u64(), Some(900))?;
    says(vm, "whole.localhost", "/shop", "part /shop whole.localhost -")?;
    // Everybody on the other side of QEMU's network comes from one address.
    vm.ok(&["maintenance", "on", WHOLE, "--allow", "0.0.0.0/0", "--allow", "::/0"])?;
    says(vm, "whole.localhost", "/", "whole / whole.localhost -")?;
    vm.ok(&["maintenance", "off", WHOLE])?;
    says(vm, "whole.localhost", "/", "whole / whole.localhost -")?;
    same("what the operator sees", vm.show(WHOLE)?["maintenance"].clone(), Value::Null)
}

fn pages(vm: &mut Vm) -> Result<(), String> {
    let file = |name: &str, text: &str| {
        let path = vm.scratch().join(name);
        std::fs::write(&path, text).map_err(|e| e.to_string())?;
        Ok::<_, String>(path.display().to_string())
    };
    let own = file("own.html", "<h1>ours: {{title}} {{status}}</h1><p>{{request_id}}")?;
    let host = file("host.html", "<h1>nobody here: {{status}}</h1>")?;
    let bad = file("bad.html", "<h1>{{host}}</h1>")?;
    vm.ok(&["pages", "set", WHOLE, &own])?;
    vm.ok(&["pages", "default", &host])?;
    same("the exit code for a page that is none", vm.run(&["pages", "set", WHOLE, &bad])?.code, 64)?;
    vm.ok(&["maintenance", "on", WHOLE])?;
    let html =
        |host: &str| http::get_with(vm.web_port(), (host, "/"), &[("Accept", "text/html")], PAGE_DEADLINE);
    contains("the tenant's page", &html("whole.localhost")?.body, "<h1>ours: Back soon 503</h1>")?;
    same("the host's page", html("nobody.localhost")?.body.trim(), "<h1>nobody here: 404</h1>")?;
    holds("plain text stays as it is", get(vm, "whole.localhost", "/")?.body.starts_with("503 Back soon"))?;
    vm.ok(&["maintenance", "off", WHOLE])?;
    vm.ok(&["pages", "rm", WHOLE])?;
    vm.ok(&["pages", "rm"]).map(drop)
}

/// A steady visitor of a path that is now one tenant's, now the other's: each answer is one of theirs.
fn changes(vm: &mut Vm) -> Result<(), String> {
    let (port, over, visits) = (vm.web_port(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let visitor = {
        let (over, visits) = (over.clone(), visits.clone());
        std::thread::spawn(move || -> Result<[usize; 2], String> {
            let mut seen = [0, 0];
            while !over.load(Ordering::Relaxed) {
                let answer = http::get(port, "whole.localhost", "/moving", PAGE_DEADLINE)?;
                match answer.body.trim() {
                    "whole /moving whole.localhost -" => seen[0] += 1,
                    "part /moving whole.localhost -" => seen[1] += 1,
                    other => return Err(format!("after {seen:?} visits: {} {other}", answer.status)),
                }
                visits.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
            Ok(seen)
        })
    };
    let changed = (0..CHANGES).try_for_each(|_| {
        for act in ["add", "rm"] {
            vm.ok(&["domain", act, PART, "whole.localhost/moving"])?;
            // It is in force when the command is done.
            let whose = if act == "add" { PART } else { WHOLE };
            says(vm, "whole.localhost", "/moving", &format!("{whose} /moving whole.localhost -"))?;
        }
        Ok(())
    });
    over.store(true, Ordering::Relaxed);
    let seen = visitor.join().map_err(|_| "the visitor died".to_owned())??;
    changed.and_then(|()| holds(&format!("both have answered: {seen:?}"), seen.iter().all(|n| *n >= CHANGES)))
}

fn rebooted(vm: &mut Vm) -> Result<(), String> {
    let before = vm.json(&["domain", "ls"])?;
    vm.ok(&["maintenance", "on", PART])?;
    vm.stop()?;
    vm.boot()?;
    same("what is routed", vm.json(&["domain", "ls"])?, before)?;
    same("who is worked on", get(vm, "whole.localhost", "/shop")?.status, 503)?;
    vm.ok(&["maintenance", "off", PART])?;
    says(vm, "whole.localhost", "/api/x", "part /x whole.localhost /api")?;
    same("a redirect", get(vm, "www.localhost", "/")?.status, 308)
}
