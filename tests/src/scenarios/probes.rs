//! A tenant that means harm, beside a quiet neighbour: nothing of the neighbour's, the host's or its own release is
//! within its reach, and the neighbour goes on serving.

use std::time::Duration;

use kennel_iptables::BOUNDS;
use serde_json::Value;

use super::{Group, Scenario, people_image};
use crate::checks::{holds, refused, same};
use crate::vm::{Vm, until};

/// Whatever the villain is denied is what this group is about.
const ITS_OWN: &[&str] = &["scontext=system_u:jit_r:tenant"];

pub(super) fn group() -> Group {
    Group {
        title: "a tenant that means harm",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            vm.tenant("quiet", "examples/node-hello")?;
            vm.tenant("villain", "tests/villain")?;
            same("the neighbour's page", vm.page("quiet", "/")?.status, 200)
        },
        scenarios: vec![
            Scenario::new("cannot reach the neighbour's files", files).denying(ITS_OWN),
            Scenario::new("cannot see, signal or trace the neighbour", processes).denying(ITS_OWN),
            Scenario::new("cannot connect to the neighbour, the API or the metadata service", connections)
                .denying(ITS_OWN),
            Scenario::new("cannot bind what is not its own", ports).denying(ITS_OWN),
            Scenario::new("cannot write its release or its runtime", read_only).denying(ITS_OWN),
            Scenario::new("cannot become anybody else", identity).denying(ITS_OWN),
            Scenario::new("cannot have more processes or memory than its limits", limits).denying(ITS_OWN),
            Scenario::new("cannot have more connections open than its bound, and others go on", crowd)
                .denying(ITS_OWN),
            Scenario::new("and the neighbour still serves", neighbour),
        ],
    }
}

fn probe(vm: &Vm, query: &str, errors: &[&str]) -> Result<(), String> {
    let answer = vm.page_json("villain", &format!("/probe/{query}"))?;
    refused(query, &answer, errors)
}

fn number(tenant: &Value, key: &str) -> Result<u64, String> {
    tenant[key].as_u64().ok_or(format!("the tenant has no {key}: {tenant}"))
}

fn files(vm: &mut Vm) -> Result<(), String> {
    let slot = number(&vm.show("quiet")?, "slot")?;
    let gone = ["ENOENT", "EACCES", "EPERM"];
    for query in [
        format!("list?path=/data/slots/{slot:04}/data"),
        "list?path=/data/slots".into(),
        "list?path=/proc/1/root/../data/slots".into(),
        "read?path=/data/control/registry.sqlite".into(),
        "list?path=/app/../../data/slots".into(),
        "read?path=/usr/sbin/kennel-init".into(),
        "list?path=/sys".into(),
    ] {
        // An empty folder of its own root by that name would be an answer, but not the neighbour's.
        probe(vm, &query, &gone)?;
    }
    Ok(())
}

fn processes(vm: &mut Vm) -> Result<(), String> {
    let seen = vm.page_json("villain", "/probe/processes")?;
    let pids = seen["detail"].as_array().map_or(0, Vec::len);
    same("processes that it sees", pids, 1)?;
    // The host's numbers mean nothing inside. Small ones are the villain's own threads.
    let host = vm.json(&["host", "status"])?;
    let services: Vec<u64> =
        host["services"].as_array().into_iter().flatten().filter_map(|s| s["pid"].as_u64()).collect();
    same("services with a PID", services.len(), 4)?;
    for pid in services.into_iter().chain([300, 400]) {
        probe(vm, &format!("kill?pid={pid}&signal=0"), &["ESRCH", "EPERM"])?;
        probe(vm, &format!("read?path=/proc/{pid}/environ"), &["ENOENT", "EACCES", "EPERM"])?;
    }
    Ok(())
}

fn connections(vm: &mut Vm) -> Result<(), String> {
    let port = number(&vm.show("quiet")?, "port")?;
    let no = ["ECONNREFUSED", "EACCES", "EPERM", "ENETUNREACH", "EHOSTUNREACH"];
    for query in [
        format!("connect?port={port}"),
        format!("connect?host=::1&port={port}"),
        "connect?port=8443".into(),
        "connect?port=80".into(),
        "connect?host=169.254.169.254&port=80".into(),
        "connect?host=fd00:ec2::254&port=80".into(),
        "connect?host=10.0.2.2&port=22".into(),
    ] {
        probe(vm, &query, &no)?;
    }
    same("the neighbour's page", vm.page("quiet", "/")?.status, 200)
}

fn ports(vm: &mut Vm) -> Result<(), String> {
    let neighbour = number(&vm.show("quiet")?, "port")?;
    let own = number(&vm.show("villain")?, "port")?;
    for query in [
        format!("bind?port={}", neighbour + 1),
        format!("bind?port={}", own + 8),
        "bind?port=81".into(),
        "bind?port=3000".into(),
        format!("bind-udp?port={}", neighbour + 1),
    ] {
        probe(vm, &query, &["EACCES", "EPERM"])?;
    }
    let answer = vm.page_json("villain", &format!("/probe/bind?host=127.0.0.1&port={}", own + 1))?;
    same("binding a port of its own", &answer["ok"], &Value::Bool(true))
}

fn read_only(vm: &mut Vm) -> Result<(), String> {
    let no = ["EROFS", "EACCES", "EPERM"];
    for path in ["/app/server.js", "/usr/bin/node", "/etc/passwd", "/dev/null2", "/proc/sys/kernel/hostname"] {
        probe(vm, &format!("write?path={path}"), &[&no[..], &["ENOENT"]].concat())?;
    }
    probe(vm, "append?path=/etc/resolv.conf", &no)?;
    probe(vm, "remove?path=/app/server.js", &no)?;
    for place in ["/data/x", "/tmp/x"] {
        let answer = vm.page_json("villain", &format!("/probe/write?path={place}"))?;
        same(&format!("writing {place}"), &answer["ok"], &Value::Bool(true))?;
    }
    Ok(())
}

fn identity(vm: &mut Vm) -> Result<(), String> {
    for query in ["setuid?uid=0", "setgid?gid=0", "setgroups?gid=0", "chown?path=/data/x&uid=0"] {
        probe(vm, query, &["EPERM", "EACCES"])?;
    }
    probe(vm, "plant?folder=/data", &["EACCES", "EPERM"])?;
    probe(vm, "plant?folder=/tmp", &["EACCES", "EPERM"])
}

fn limits(vm: &mut Vm) -> Result<(), String> {
    probe(vm, "swarm?count=200", &["EAGAIN", "ERR_WORKER_INIT_FAILED"])?;
    // More than its limit ends the villain, not the host.
    let _ = vm.page("villain", "/probe/eat?mb=2000");
    vm.logged("villain", "memory")?;
    // After a crash init waits a little before it starts the program again.
    until("it to be started again", Duration::from_secs(30), || {
        Ok((vm.page("villain", "/whoami")?.status == 200).then_some(()))
    })
}

/// It opens connections to itself until one is held back, and gets as many again when it has closed them.
fn crowd(vm: &mut Vm) -> Result<(), String> {
    let port = number(&vm.show("villain")?, "port")?;
    let open = u64::from(BOUNDS.open);
    let attempt = format!("/probe/crowd?count={}&port={}", open + u64::from(BOUNDS.burst), port + 1);
    for _ in 0..2 {
        let answer = vm.page_json("villain", &attempt)?;
        same("how the last connection ended", &answer["errno"], &"ETIMEDOUT".into())?;
        let held = answer["detail"].as_u64().ok_or(format!("no number: {answer}"))?;
        // One or two of its earlier ones may be on their way out.
        holds(&format!("{held} of {open} were open"), (open - 8..=open).contains(&held))?;
        same("the neighbour's page", vm.page("quiet", "/")?.status, 200)?;
        vm.page_json("villain", "/probe/disperse")?;
    }
    Ok(())
}

fn neighbour(vm: &mut Vm) -> Result<(), String> {
    for _ in 0..5 {
        same("the neighbour's page", vm.page("quiet", "/")?.status, 200)?;
    }
    Ok(())
}
