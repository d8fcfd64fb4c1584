//! People on a host: a deployer's token from a computer that knows nothing but the host's address, what it may and what not; what
//! is taken away while it is used; and the log of it all, over a boot.

use std::process::{Command, Output};

use super::cloud::key;
use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::vm::Vm;

pub(super) fn group() -> Group {
    Group {
        title: "people and what they may",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            vm.tenant("blog", "examples/node-hello")?;
            vm.tenant("shop", "examples/node-hello")
        },
        scenarios: vec![
            Scenario::new(
                "people: a token deploys its tenant from anywhere, and nothing else, until it is revoked",
                token,
            ),
            Scenario::new("people: an account signs in with its key, and its removal ends that", account),
            Scenario::new("people: accounts, tokens and the log are there after a boot", after_a_boot),
        ],
    }
}

/// The host's address, as `kennel host ls` has it.
fn address(vm: &Vm) -> Result<String, String> {
    let hosts = vm.json(&["host", "ls"])?;
    let current = hosts["current"].as_str().ok_or("no host is current")?;
    Ok(hosts["hosts"][current]["url"].as_str().ok_or("it has no address")?.to_owned())
}

/// `kennel` on a computer that knows no host and has no key: an address and a token are all there is.
fn elsewhere(vm: &Vm, secret: &str, args: &[&str]) -> Result<Output, String> {
    let home = vm.scratch().join("elsewhere");
    std::fs::create_dir_all(&home).map_err(|e| e.to_string())?;
    let template = vm.command(args);
    let mut command = Command::new(template.get_program());
    command.args(["--host", &address(vm)?]).args(args).current_dir(&home).stdin(std::process::Stdio::null());
    command.env_clear().env("HOME", &home).env("KENNEL_TOKEN", secret);
    command.output().map_err(|e| e.to_string())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn refused(vm: &Vm, secret: &str, args: &[&str], part: &str) -> Result<(), String> {
    let output = elsewhere(vm, secret, args)?;
    same(&format!("the exit code of {args:?}"), output.status.code(), Some(2))?;
    contains(&format!("the answer to {args:?}"), &said(&output), part)
}

fn token(vm: &mut Vm) -> Result<(), String> {
    vm.ok(&["account", "add", "ci", "--role", "deployer", "--tenant", "blog"])?;
    let made = ["token", "add", "github", "--account", "ci", "--scope", "deploy", "--expires", "30d"];
    let secret = vm.ok(&made)?.trim().to_owned();
    holds("the secret says what it is", secret.starts_with("kennel_deploy_"))?;
    let hello =
        vm.command(&[]).get_current_dir().ok_or("no folder")?.join("examples/node-hello").display().to_string();
    let deployed = elsewhere(vm, &secret, &["deploy", "blog", &hello])?;
    contains("the deploy", &said(&deployed), "release r2 of blog serves")?;
    same("the status of the page", vm.page("blog", "/")?.status, 200)?;
    contains(
        "the login",
        &said(&elsewhere(vm, &secret, &["login"])?),
        "knows you as ci: a deployer of blog, by the token github",
    )?;
    refused(
        vm,
        &secret,
        &["deploy", "shop", &hello],
        "error: the token github has nothing to do with the tenant shop",
    )?;
    refused(
        vm,
        &secret,
        &["limits", "blog", "--memory", "64M"],
        "error: the token github may only do what a deployer may",
    )?;
    refused(
        vm,
        &secret,
        &["tenant", "rm", "blog", "--yes"],
        "error: the token github may only do what a deployer may",
    )?;
    refused(vm, &secret, &["token", "add", "more", "--scope", "deploy"], "error: the token github may only")?;
    refused(
        vm,
        &secret,
        &["rollback", "shop"],
        "error: the token github has nothing to do with the tenant shop",
    )?;
    same("what shop serves", vm.show("shop")?["current"].as_u64(), Some(1))?;
    contains("the releases", &vm.ok(&["releases", "blog"])?, "ci")?;
    contains("the list", &vm.ok(&["token", "ls"])?, "github  deploy  ci")?;

    // The account may less, and so does its token.
    vm.ok(&["account", "set", "ci", "--role", "viewer", "--tenant", "blog"])?;
    refused(
        vm,
        &secret,
        &["rollback", "blog"],
        "error: the token github is a viewer, and this takes a deployer",
    )?;
    vm.ok(&["token", "rm", "github"])?;
    refused(vm, &secret, &["releases", "blog"], "error: the token github was revoked")?;
    let (start, end) = secret.split_at(20);
    let wrong = format!("{start}{}{}", if end.starts_with('0') { '1' } else { '0' }, &end[1..]);
    refused(vm, &wrong, &["releases", "blog"], "error: this needs somebody who has signed in")?;
    // One for another host is not even shown.
    let other = format!("{}{}", &secret[..secret.len() - 64], "0".repeat(64));
    let output = elsewhere(vm, &other, &["releases", "blog"])?;
    same("the exit code", output.status.code(), Some(1))?;
    contains("what was said", &said(&output), "shows the certificate")?;

    let log = vm.ok(&["audit", "-n", "200"])?;
    for line in [
        ["ci (token github)", "deploy", "blog", "done", "r2"],
        ["ci (token github)", "rollback", "shop", "not-your-tenant", ""],
        ["ci (token github)", "set-limits", "blog", "out-of-scope", ""],
        ["ci (token github)", "remove-tenant", "blog", "out-of-scope", ""],
        ["ci (token github)", "rollback", "blog", "role-too-low", ""],
        ["token github", "sign-in", "", "token-revoked", ""],
        ["SHA256:", "remove-token", "", "done", "github"],
    ] {
        let found = log.lines().any(|seen| line.iter().all(|word| seen.contains(word)));
        holds(&format!("the log has {line:?}: {log}"), found)?;
    }
    holds("the log has no secret", !log.contains(&secret[20..60]))
}

fn account(vm: &mut Vm) -> Result<(), String> {
    let key = key(vm.scratch(), 31)?.0.display().to_string();
    vm.ok(&["account", "add", "ada", "--role", "owner", "--tenant", "shop", "--key", &key])?;
    let home = vm.scratch().join("adas");
    std::fs::create_dir_all(&home).map_err(|e| e.to_string())?;
    let state = home.display().to_string();
    let ada = |args: &[&str]| {
        let mut command = vm.command(&[&["--identity", &key], args].concat());
        command.env("XDG_STATE_HOME", &state);
        command.output().map_err(|e| e.to_string())
    };
    contains("the login", &said(&ada(&["login"])?), "knows you as ada: an owner of shop")?;
    let listed = said(&ada(&["tenant", "ls"])?);
    holds("the list has hers and no other", listed.contains("shop") && !listed.contains("blog"))?;
    same("the exit code of a stop", ada(&["tenant", "stop", "shop"])?.status.code(), Some(0))?;
    for args in [&["tenant", "stop", "blog"][..], &["host", "status"], &["account", "ls"], &["logs", "blog"]] {
        same(&format!("the exit code of {args:?}"), ada(args)?.status.code(), Some(2))?;
    }
    contains("the log, to her", &said(&ada(&["audit"])?), "ada (SHA256:")?;
    holds("the log has nothing of others for her", !said(&ada(&["audit"])?).contains("blog"))?;
    let mut follow = vm.command(&["--identity", &key, "logs", "shop", "-f"]);
    let follow = follow.env("XDG_STATE_HOME", &state).stdout(std::process::Stdio::null());
    let follow = follow.stderr(std::process::Stdio::piped()).spawn().map_err(|e| e.to_string())?;
    // It is signed in, and follows, when the host has nothing more to do with it.
    std::thread::sleep(std::time::Duration::from_secs(3));
    vm.ok(&["account", "rm", "ada"])?;
    let ended = follow.wait_with_output().map_err(|e| e.to_string())?;
    same("the exit code of what followed", ended.status.code(), Some(1))?;
    let output = ada(&["tenant", "ls"])?;
    same("the exit code", output.status.code(), Some(2))?;
    contains("what is said", &said(&output), "does not admit any of these keys")?;
    // Of one address an attempt a minute is written down, and all are counted.
    contains(
        "what is said of the log",
        &vm.run(&["audit"])?.err,
        "attempts to get in were refused since the API was started",
    )
}

fn after_a_boot(vm: &mut Vm) -> Result<(), String> {
    let add = ["account", "add", "ben", "--role", "deployer", "--tenant", "blog", "--tenant", "shop"];
    if !vm.ok(&["account", "ls"])?.contains("ben") {
        vm.ok(&add)?;
    }
    let secret = vm.ok(&["token", "add", "later", "--account", "ben", "--scope", "read"])?.trim().to_owned();
    let log = vm.ok(&["--json", "audit", "-n", "20"])?;
    vm.stop()?;
    vm.boot()?;
    contains("the list of accounts", &vm.ok(&["account", "ls"])?, "ben")?;
    contains("what is seen", &said(&elsewhere(vm, &secret, &["tenant", "ls"])?), "shop")?;
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).map_err(|e| e.to_string());
    let after = parse(&vm.ok(&["--json", "audit", "-n", "200"])?)?;
    let entries = after["entries"].as_array().ok_or("no entries")?;
    let before = parse(&log)?;
    let kept = before["entries"].as_array().ok_or("no entries")?.iter().all(|entry| entries.contains(entry));
    holds("every entry from before the boot is there", kept)
}
