//! A host on a network that has IPv6 alone, as an EC2 instance may have: a route from the router, an address by DHCPv6, the
//! metadata service at fd00:ec2::254. Everything that the operator and visitors do here goes over it, and the network
//! (`cable`) judges each of the host's questions.

use std::time::Duration;

use super::{Group, Scenario, cloud, people_image};
use crate::cable::{Cable, HOST, VISITOR};
use crate::checks::{contains, holds, refused, same};
use crate::imds::Emulator;
use crate::vm::{Vm, until};

/// For what the host does by itself, at most every few seconds; the emulated machine is slow.
const SOON: Duration = Duration::from_secs(90);
/// Prints who the proxy says that the visitor is.
const MIRROR: &str = "import http from 'node:http';\n\
    http.createServer((q, a) => a.end(q.headers['x-forwarded-for'])).listen(process.env.PORT, '127.0.0.1');\n";
/// T1, T2 and the life of the first lease, and of the ones after it, in seconds.
const FIRST: [u32; 3] = [60, 300, 600];
const SHORT: [u32; 3] = [12, 20, 32];
const LONG: [u32; 3] = [600, 900, 1800];

pub(super) fn group() -> Group {
    Group {
        title: "a host with IPv6 alone",
        image: people_image,
        prepare: launch,
        scenarios: vec![
            Scenario::new("ipv6: an address by DHCPv6, a way out by the router, pages by both", reached),
            Scenario::new(
                "ipv6: the metadata service is reached, and the status says whose machine it is",
                known,
            ),
            Scenario::new("ipv6: tenants reach the public web, and nothing that is the host's", tenants)
                .denying(&["tenant denied bind tclass=udp_socket", "tenant denied name_connect dest=8443"]),
            Scenario::new("ipv6: false answers and advertisements change nothing, and T1 renews", hostile),
            Scenario::new(
                "ipv6: without its server the address is asked for, ends, and comes back",
                server_gone,
            ),
            Scenario::new("ipv6: an address that somebody has is given back", duplicate),
            Scenario::new("ipv6: whatever it asked was as RFC 8415 has it", no_faults),
        ],
    }
}

fn launch(vm: &mut Vm) -> Result<(), String> {
    let emulator = Emulator::start().map_err(|e| format!("no emulator: {e}"))?;
    let (identity, public) = super::cloud::key(vm.scratch(), 1)?;
    emulator.set("user-data", format!("[operator]\nssh_keys = [\"{public}\"]\n"));
    let cable = Cable::plug(vm.scratch(), Some(emulator.address())).map_err(|e| format!("no cable: {e}"))?;
    cable.state().serves.times_s = FIRST;
    vm.launch_on(emulator, identity);
    vm.plug(cable);
    vm.boot()?;
    cloud::until_an_operator_signs_in(vm)
}

fn cable(vm: &Vm) -> Result<Cable, String> {
    vm.cable().cloned().ok_or("this host has no cable".to_owned())
}

/// Waits until the host has asked this of DHCPv6 once more; asking the same again does not count.
fn asks(vm: &Vm, message: &str, limit: Duration) -> Result<(), String> {
    let cable = cable(vm)?;
    let before = cable.times(message);
    until(&format!("a {message}"), limit, || Ok((cable.times(message) > before).then_some(())))
}

/// Waits until the console has said this once more than `before` times.
fn says(vm: &Vm, words: &str, before: usize) -> Result<(), String> {
    until(&format!("{words:?} on the console"), SOON, || {
        Ok((vm.console().matches(words).count() > before).then_some(()))
    })
}

fn reached(vm: &mut Vm) -> Result<(), String> {
    vm.says(0, &format!("has {HOST}/128"))?;
    let status = vm.json(&["host", "status"])?;
    same("its addresses", status["addresses"].to_string(), format!("[\"{HOST}\"]"))?;
    contains("the status", &vm.ok(&["host", "status"])?, &HOST.to_string())?;
    let folder = vm.scratch().join("mirror");
    let write = || {
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("package.json"), "{\"type\":\"module\"}")?;
        std::fs::write(folder.join("server.js"), MIRROR)
    };
    write().map_err(|e| e.to_string())?;
    vm.tenant("mirror", &folder.display().to_string())?;
    same("the visitor's address as the tenant is told", vm.page("mirror", "/")?.body, VISITOR.to_string())
}

fn known(vm: &mut Vm) -> Result<(), String> {
    vm.says(0, "imds: instance i-0123456789abcdef0, t3.small in eu-west-1a: ")?;
    let status = vm.json(&["host", "status"])?;
    let instance = &status["cloud"]["instance"];
    same("its account", instance["account"].as_str(), Some("123456789012"))?;
    same("its AMI", instance["image"].as_str(), Some("ami-0fedcba9876543210"))?;
    contains(
        "the status",
        &vm.ok(&["host", "status"])?,
        "account 123456789012, launched from ami-0fedcba9876543210",
    )
}

fn tenants(vm: &mut Vm) -> Result<(), String> {
    vm.tenant("villain", "tests/villain")?;
    let probe = |what: &str| vm.page_json("villain", &format!("/probe/{what}"));
    let answer = probe(&format!("connect?host={VISITOR}&port=80"))?;
    same("the web at a public address", answer["ok"].as_bool(), Some(true))?;
    let resolv = probe("read?path=/etc/resolv.conf")?.to_string();
    for server in ["2600:db8:53::2", "2600:db8:53::1"] {
        contains("the tenant's name servers", &resolv, &format!("nameserver {server}"))?;
    }
    let errors = ["EACCES", "EPERM", "ECONNREFUSED"];
    for what in [
        "connect?host=fd00:ec2::254&port=80".to_owned(),
        format!("connect?host={HOST}&port=8443"),
        format!("connect?host={HOST}&port=80"),
        "bind-udp?host=::&port=546".to_owned(),
        "bind-udp?host=::&port=547".to_owned(),
        "datagram?host=ff02::1:2%25eth0&port=547".to_owned(),
        "datagram?host=fe80::1%25eth0&port=547".to_owned(),
    ] {
        refused(&what, &probe(&what)?, &errors)?;
    }
    let state = cable(vm)?;
    let state = state.state();
    let routers = state.icmp.iter().filter(|kind| [134, 137].contains(*kind)).count();
    same("advertisements and redirects of the host's", routers, 0)
}

fn hostile(vm: &mut Vm) -> Result<(), String> {
    let cable = cable(vm)?;
    {
        let mut state = cable.state();
        (state.serves.hostile, state.serves.times_s) = (true, SHORT);
        let ends = crate::cable::Says { lifetime_s: 0, ..Default::default() };
        // From beyond this link; and from it, with a hop limit with which nothing would arrive.
        let from_elsewhere = ends.with_hops(64);
        state.send.extend(std::iter::repeat_n(from_elsewhere, 500));
        (state.says.hop_limit, state.says.now) = (1, true);
    }
    asks(vm, "Renew", SOON)?;
    asks(vm, "Renew", SOON)?;
    same("the page", vm.page("mirror", "/")?.status, 200)?;
    let status = vm.json(&["host", "status"])?;
    same("its addresses", status["addresses"].to_string(), format!("[\"{HOST}\"]"))?;
    same("the hop limit of what it sends", cable.state().hop_limit, 64)?;
    cable.state().serves.hostile = false;
    Ok(())
}

fn server_gone(vm: &mut Vm) -> Result<(), String> {
    let cable = cable(vm)?;
    let given = format!("has {HOST}/128");
    let before = vm.console().matches(&given).count();
    cable.state().serves.answers = false;
    asks(vm, "Rebind", SOON)?;
    vm.says(0, "the DHCPv6 server does not renew the address; asking others")?;
    says(vm, &format!("the life of {HOST} has ended"), 0)?;
    says(vm, &format!("has {HOST} no more"), 0)?;
    {
        let mut state = cable.state();
        (state.serves.answers, state.serves.times_s) = (true, LONG);
    }
    says(vm, &given, before)?;
    same("the page", vm.page("mirror", "/")?.status, 200)
}

fn duplicate(vm: &mut Vm) -> Result<(), String> {
    let cable = cable(vm)?;
    let given = format!("has {HOST}/128");
    vm.stop()?;
    {
        let mut state = cable.state();
        state.is_taken = true;
        (state.serves.answers, state.serves.times_s) = (true, LONG);
    }
    let before = cable.times("Decline");
    let mut booting = vm.begin_to_boot()?;
    until("a Decline", SOON * 4, || Ok((cable.times("Decline") > before).then_some(())))?;
    says(vm, &format!("somebody else on the link has {HOST}; it is given back"), 0)?;
    let before = vm.console().matches(&given).count();
    cable.state().is_taken = false;
    says(vm, &given, before)?;
    let ended = booting.wait().map_err(|e| e.to_string())?;
    holds("the host is ready in the end", ended.success())?;
    same("the page", vm.page("mirror", "/")?.status, 200)
}

fn no_faults(vm: &mut Vm) -> Result<(), String> {
    let cable = cable(vm)?;
    let state = cable.state();
    holds("it asked at all", !state.asked.is_empty())?;
    same("what was wrong with what it asked", state.faults.clone(), Vec::<String>::new())
}
