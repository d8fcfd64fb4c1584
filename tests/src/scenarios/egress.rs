//! What a tenant may connect to: a listener on this machine's loopback, which a guest of QEMU's user network reaches at
//! 10.0.2.2, a private address. Nothing else is contacted.

use std::net::TcpListener;

use serde_json::Value;

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::vm::Vm;

pub(super) fn group() -> Group {
    Group {
        title: "what a tenant may connect to",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            vm.tenant("villain", "tests/villain")
        },
        scenarios: vec![
            Scenario::new(
                "egress: a private address is refused, allowed by a rule, and refused without it",
                rules,
            )
            .denying(&["villain", "name_connect"]),
            Scenario::new("egress: deny beats allow, and counters tell", deny_beats_allow),
            Scenario::new("egress: what can never be allowed is refused with the reason", never),
            Scenario::new("egress: rules survive a reboot", survives),
        ],
    }
}

/// The tenant's attempt; none when it got through.
fn attempt(vm: &Vm, port: u16) -> Result<Option<String>, String> {
    let answer: Value = vm.page_json("villain", &format!("/probe/connect?host=10.0.2.2&port={port}"))?;
    if answer["ok"] == Value::Bool(true) {
        return Ok(None);
    }
    Ok(Some(answer["errno"].as_str().unwrap_or("without an errno").to_owned()))
}

fn refused(vm: &Vm, port: u16) -> Result<(), String> {
    let errno = attempt(vm, port)?.ok_or("it got through")?;
    holds(&format!("{errno} is a refusal"), ["ECONNREFUSED", "EACCES", "EPERM"].contains(&errno.as_str()))
}

fn listener() -> Result<(TcpListener, u16, String), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("cannot listen: {e}"))?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    Ok((listener, port, format!("10.0.2.2:{port}")))
}

/// Adds a rule; its number.
fn add(vm: &Vm, act: &str, to: &str) -> Result<u64, String> {
    let change = vm.json(&["egress", "villain", act, to])?;
    change["rule"]["number"].as_u64().ok_or(format!("the rule has no number: {change}"))
}

fn remove(vm: &Vm, number: u64) -> Result<(), String> {
    vm.ok(&["egress", "villain", "rm", &number.to_string()]).map(drop)
}

fn rules(vm: &mut Vm) -> Result<(), String> {
    let (_listener, port, to) = listener()?;
    refused(vm, port)?;
    let number = add(vm, "allow", &to)?;
    same("the attempt with a rule", attempt(vm, port)?, None)?;
    remove(vm, number)?;
    refused(vm, port)
}

fn deny_beats_allow(vm: &mut Vm) -> Result<(), String> {
    let (_listener, port, to) = listener()?;
    let allow = add(vm, "allow", &to)?;
    same("the attempt with a rule", attempt(vm, port)?, None)?;
    let deny = add(vm, "deny", "10.0.2.0/24")?;
    refused(vm, port)?;
    let report = vm.json(&["egress", "villain"])?;
    let rules = report["rules"].as_array().cloned().unwrap_or_default();
    let denied = rules.iter().find(|rule| rule["rule"]["number"] == deny);
    holds("the refusal was counted", denied.is_some_and(|r| r["traffic"]["packets"].as_u64() > Some(0)))?;
    remove(vm, deny)?;
    same("the attempt without the denial", attempt(vm, port)?, None)?;
    remove(vm, allow)
}

fn never(vm: &mut Vm) -> Result<(), String> {
    for (to, reason) in [
        ("169.254.169.254:80", "metadata"),
        ("[fd00:ec2::254]:80", "metadata"),
        ("127.0.0.1:20000", "other slots"),
        ("10.0.2.15:20008", "slots"),
        ("metadata.example:80", "name"),
    ] {
        let output = vm.run(&["egress", "villain", "allow", to])?;
        holds(&format!("{to} is refused"), output.code != 0)?;
        contains("the refusal", &output.err, reason)?;
    }
    let report = vm.json(&["egress", "villain"])?;
    same("rules", report["rules"].as_array().map(Vec::len), Some(0))
}

fn survives(vm: &mut Vm) -> Result<(), String> {
    let (_listener, port, to) = listener()?;
    let number = add(vm, "allow", &to)?;
    let (_denied_listener, denied, denied_to) = listener()?;
    let allow_all = add(vm, "allow", &format!("10.0.2.0/24:{denied}"))?;
    let deny = add(vm, "deny", &denied_to)?;
    vm.stop()?;
    vm.boot()?;
    // The first request starts the program, so its rules were there before it.
    same("the attempt after a reboot", attempt(vm, port)?, None)?;
    refused(vm, denied)?;
    for number in [deny, allow_all, number] {
        remove(vm, number)?;
    }
    refused(vm, port)
}
