//! What is denied is said: in words, within seconds, whoever else is making noise. And the proof on a live host.

use std::time::Duration;

use serde_json::Value;

use super::{Group, Scenario, people_image};
use crate::checks::{holds, same};
use crate::vm::{Vm, until};

/// Tenants are denied things here, whatever runs them.
const TENANTS: &[&str] = &["scontext=system_u:jit_r:tenant", "scontext=system_u:system_r:tenant"];
/// From the act to its line, on a machine that has other things to do.
const SOON: Duration = Duration::from_secs(20);

pub(super) fn group() -> Group {
    Group {
        title: "what was denied, and the proof on a live host",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            vm.tenant("quiet", "examples/node-hello")?;
            vm.tenant("villain", "tests/villain")?;
            flooder(vm)
        },
        scenarios: vec![
            Scenario::new("a denied act is a sentence within seconds", sentences).denying(TENANTS),
            Scenario::new("ten thousand refused connections are a count, and nobody else notices", flood)
                .denying(TENANTS),
            Scenario::new("kennel prove: what is forbidden is refused on a live host", prove).denying(TENANTS),
            Scenario::new("no program of the host's own was denied anything", no_warnings),
        ],
    }
}

fn denials(vm: &Vm, tenant: &str) -> Result<Vec<Value>, String> {
    Ok(vm.json(&["denials", tenant])?.as_array().cloned().unwrap_or_default())
}

/// Waits for a denial of the tenant with all these words in its sentence.
fn told(vm: &Vm, tenant: &str, words: &[&str]) -> Result<Value, String> {
    until(&format!("a denial of {tenant} with {words:?}"), SOON, || {
        let fits = |d: &Value| {
            let sentence = d["sentence"].as_str().unwrap_or_default();
            words.iter().all(|word| sentence.contains(word))
        };
        Ok(denials(vm, tenant)?.into_iter().find(fits))
    })
}

fn sentences(vm: &mut Vm) -> Result<(), String> {
    let quiet = vm.show("quiet")?;
    let (port, slot) = (quiet["port"].as_u64().unwrap_or(0), quiet["slot"].as_u64().unwrap_or(0));
    for query in [
        "connect?host=169.254.169.254&port=80".to_owned(),
        format!("connect?port={port}"),
        format!("bind-udp?port={}", port + 1),
    ] {
        vm.page_json("villain", &format!("/probe/{query}"))?;
    }
    told(vm, "villain", &["connect to 169.254.169.254:80: metadata service; refused by iptables"])?;
    let port_words = format!("another tenant's port (slot {slot:04}: quiet)");
    told(vm, "villain", &["villain tried to connect to port", &port_words, "refused by SELinux"])?;
    told(vm, "villain", &["villain tried to take", "refused by SELinux"])?;
    same("denials of the quiet tenant", denials(vm, "quiet")?.len(), 0)
}

fn flood(vm: &mut Vm) -> Result<(), String> {
    let answer = vm.page_json("flooder", "/flood")?;
    same("connections that were refused", &answer["refused"], &Value::from(10_000))?;
    same("the neighbour's page", vm.page("quiet", "/")?.status, 200)?;
    // Somebody else's act in the middle of it is not lost.
    vm.page_json("villain", "/probe/connect?host=10.9.8.7&port=80")?;
    told(vm, "villain", &["10.9.8.7:80: private address"])?;
    let seen = told(vm, "flooder", &["169.254.169.254:80: metadata service"])?;
    holds("it is counted", seen["count"].as_u64() > Some(1))?;
    same("kinds of denied acts of the flooder", denials(vm, "flooder")?.len(), 1)?;
    let lines = vm.console().matches("kennel-refused").count();
    same("lines about it on the console", lines, 0)
}

fn prove(vm: &mut Vm) -> Result<(), String> {
    let used = |vm: &Vm| vm.json(&["host", "status"]).map(|h| h["slots_used"].as_u64());
    let before = used(vm)?;
    let rows = vm.json(&["prove", "quiet"])?;
    let rows = rows.as_array().cloned().unwrap_or_default();
    holds(&format!("many probes ran, not {}", rows.len()), rows.len() >= 20)?;
    let odd: Vec<&Value> = rows.iter().filter(|row| row["held"] != Value::Bool(true)).collect();
    holds(&format!("everything was refused, but for {odd:?}"), odd.is_empty())?;
    same("slots in use", used(vm)?, before)?;
    same("the neighbour's page", vm.page("quiet", "/")?.status, 200)
}

fn no_warnings(vm: &mut Vm) -> Result<(), String> {
    let host = vm.json(&["host", "status"])?;
    same("warnings", &host["warnings"], &Value::Array(vec![]))
}

/// A tenant that can try ten thousand times.
fn flooder(vm: &Vm) -> Result<(), String> {
    const SERVER: &str = r#"
const net = require("net");
const attempt = () => new Promise((done) => {
  const socket = net.connect({ host: "169.254.169.254", port: 80 });
  socket.on("connect", () => done(0)).on("error", () => done(1));
});
const flood = async () => {
  let refused = 0;
  for (let n = 0; n < 10000; n += 50) {
    const results = await Promise.all(Array.from({ length: 50 }, attempt));
    refused += results.reduce((sum, one) => sum + one, 0);
  }
  return refused;
};
require("http").createServer(async (request, response) => {
  response.end(JSON.stringify(request.url === "/flood" ? { refused: await flood() } : {}));
}).listen(process.env.PORT, process.env.HOST);
"#;
    let folder = vm.scratch().join("flooder");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    std::fs::write(folder.join("server.js"), SERVER).map_err(|e| e.to_string())?;
    vm.tenant("flooder", &folder.display().to_string())
}
