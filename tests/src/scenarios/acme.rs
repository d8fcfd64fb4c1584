//! Certificates that a host orders by itself, from a real authority, Pebble, beside it in QEMU's own network: a tenant's domain
//! gets one, a visitor verifies it, it is renewed, and it is there after a reboot. Nothing leaves this machine.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::http;
use crate::pebble::{Pebble, free_ports};
use crate::vm::{PAGE_DEADLINE, Vm, until};

const NAME: &str = "site";
const HOST: &str = "site.example";
/// Where the host finds the authority.
const AUTHORITY: &str = "10.0.2.100";
/// How long its certificates live, in seconds: renewed after two thirds of it.
const LIFE_S: u32 = 360;
/// An order under emulation, on a busy machine.
const SOON: Duration = Duration::from_secs(180);
/// A renewal, which has to become due first.
const LATER: Duration = Duration::from_secs(600);

const SITE: &str = r#"
require("node:http").createServer((request, response) => response.end("here")).listen(Number(process.env.PORT), "127.0.0.1");
"#;

pub(super) fn group() -> Group {
    Group {
        title: "certificates by ACME",
        image: people_image,
        prepare: |vm| {
            let [port] = free_ports()?;
            vm.beside(&format!("{AUTHORITY}:443"), port);
            vm.boot()?;
            vm.set_authority(Pebble::start_with(port, vm.web_port(), vm.https_port(), &[AUTHORITY], LIFE_S)?);
            let folder = vm.scratch().join(NAME);
            std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
            std::fs::write(folder.join("server.js"), SITE).map_err(|e| e.to_string())?;
            vm.ok(&["tenant", "add", NAME, "--runtime", "node-24", "--domain", HOST, "--trial", "off"])?;
            vm.ok(&["deploy", NAME, &folder.display().to_string()]).map(drop)
        },
        scenarios: vec![
            Scenario::new(
                "acme: terms are a person's to agree to, and an authority is known by its root",
                agreed,
            ),
            Scenario::new("acme: a tenant's domain gets its certificate, without waking the program", issued),
            Scenario::new("acme: the program that speaks with authorities is gone when it is not needed", gone),
            Scenario::new("acme: it is renewed, and is there after a reboot", renewed),
        ],
    }
}

fn on<'a>(directory: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["acme", "on", "--email", "ops@site.example", "--directory", directory][..], more].concat()
}

/// The file with the root of the authority's own certificate.
fn root(vm: &Vm) -> Result<String, String> {
    let path = vm.scratch().join("authority.pem");
    std::fs::write(&path, &vm.authority()?.root_pem).map_err(|e| e.to_string())?;
    Ok(path.display().to_string())
}

/// What the site shows to a visitor who trusts the authority's root.
fn visit(vm: &Vm) -> Result<String, String> {
    let roots = vm.scratch().join("issuer.pem");
    std::fs::write(&roots, vm.authority()?.issues_by()?).map_err(|e| e.to_string())?;
    let port = vm.https_port();
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "60", "--cacert"]).arg(roots);
    command.args(["--resolve", &format!("{HOST}:{port}:127.0.0.1")]);
    command.arg(format!("https://{HOST}:{port}/"));
    let told = vm.run_within(Duration::from_secs(90), command)?;
    if told.code == 0 { Ok(told.out) } else { Err(told.err) }
}

/// The certificate that was ordered, if there is one.
fn ordered(vm: &Vm) -> Result<Option<Value>, String> {
    let all = vm.json(&["cert", "ls"])?;
    Ok(all.as_array().into_iter().flatten().find(|c| c["name"] == HOST && c["acme"].is_object()).cloned())
}

fn agreed(vm: &mut Vm) -> Result<(), String> {
    let directory = format!("https://{AUTHORITY}/dir");
    let root = root(vm)?;
    let unknown = vm.run(&on(&directory, &["--agree-to-terms"]))?;
    holds("an authority with an unknown root is refused", unknown.code != 0)?;
    contains("why", &unknown.err, "UnknownIssuer")?;
    let silent = vm.run(&on(&directory, &["--ca-root", &root]))?;
    holds("without agreement nothing is registered", silent.code != 0)?;
    contains("what to do", &silent.err, "--agree-to-terms")?;
    contains("it is off", &vm.ok(&["acme", "status"])?, "ACME is off")
}

fn issued(vm: &mut Vm) -> Result<(), String> {
    let directory = format!("https://{AUTHORITY}/dir");
    let root = root(vm)?;
    same("its state", vm.show(NAME)?["state"].as_str(), Some("stopped"))?;
    vm.ok(&on(&directory, &["--ca-root", &root, "--agree-to-terms"]))?;
    let certificate = until("a certificate", SOON, || ordered(vm))?;
    contains("who issued it", certificate["issuer"].as_str().unwrap_or_default(), "Pebble")?;
    same("the program's state", vm.show(NAME)?["state"].as_str(), Some("stopped"))?;
    contains(
        "the tenant is told",
        &vm.ok(&["tenant", "timeline", NAME])?,
        &format!("certificate for {HOST} issued by"),
    )?;
    same("what a visitor sees", visit(vm)?.as_str(), "here")?;
    let sent = http::get(vm.web_port(), HOST, "/", PAGE_DEADLINE)?;
    same("the status without TLS", sent.status, 308)?;
    contains("its list", &vm.ok(&["cert", "ls"])?, &directory)
}

/// It ends a minute after the last question.
fn gone(vm: &mut Vm) -> Result<(), String> {
    let runs = |vm: &Vm| -> Result<bool, String> {
        let host = vm.json(&["host", "status"])?;
        Ok(host["services"].as_array().into_iter().flatten().any(|s| s["name"] == "acme"))
    };
    until("kennel-acme has ended", SOON, || Ok((!runs(vm)?).then_some(())))
}

fn renewed(vm: &mut Vm) -> Result<(), String> {
    let before = ordered(vm)?.ok_or("there is no certificate")?;
    let after = until("another certificate", LATER, || {
        Ok(ordered(vm)?.filter(|after| after["fingerprint"] != before["fingerprint"]))
    })?;
    holds("it lasts longer", after["not_after_s"].as_u64() > before["not_after_s"].as_u64())?;
    same("what a visitor sees", visit(vm)?.as_str(), "here")?;
    vm.stop()?;
    vm.boot()?;
    let seen = until("the site after a reboot", SOON, || Ok(visit(vm).ok()))?;
    same("what a visitor sees after a reboot", seen.as_str(), "here")
}
