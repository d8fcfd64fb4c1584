//! The proof can fail: rules that lead from one slot to another are found, however they are said; intermediaries that
//! nobody needs are found; and the table of flows misses nothing that setools' own has.

use std::process::Command;

use super::flow::{self, Flow};
use super::*;
use crate::{Extra, render};

fn with(cil: &str) -> Result<Proof, NotProved> {
    let extra = Extra { name: "extra".into(), cil: cil.into(), ..Extra::default() };
    prove(&render(12, &[extra]).unwrap(), |_| false)
}

#[test]
fn slots_are_apart() {
    for slots in [1, 2, 3, 1000] {
        let proof = prove(&render(slots, &[]).unwrap(), |_| false);
        assert_eq!(proof.unwrap_or_else(|error| panic!("{slots} slots: {error}")).slots, slots);
    }
}

#[test]
fn every_intermediary_is_needed() {
    let rendered = render(3, &[]).unwrap();
    let rules = Rules::read(&rendered).unwrap();
    let known = intermediaries().unwrap();
    for without in 0..known.len() {
        let mut fewer = known.clone();
        let Intermediary { of_type, class, why } = fewer.remove(without);
        assert!(why.ends_with('.'), "{of_type} {class}: argue in sentences");
        let leaks = Graph::of(&rules, cut(&fewer)).leaks();
        assert!(
            !leaks.is_empty(),
            "{of_type} {class}: remove it from intermediaries.toml, nothing goes through it"
        );
    }
}

#[test]
fn a_way_between_slots_is_found_and_told() {
    for (rules, told) in [
        // By one rule.
        ("(allow tenant0003_t tenant0007_data_t (file (read)))", "(allow tenant0003_t tenant0007_data_t"),
        ("(allow tenant_domain slot_data (file (getattr)))", "(allow tenant_domain slot_data"),
        ("(allow slot_log slot_log (filesystem (associate)))", "(allow slot_log slot_log"),
        ("(allow tenant0003_t tenant0004_t (process (transition)))", "transition"),
        ("(allow tenant0003_t tenant0004_port_t (tcp_socket (name_connect)))", "tenant0004_port_t"),
        ("(allow domain domain (fd (use)))", "(allow domain domain"),
        (
            "(typeattribute both)(typeattributeset both (or (tenant0001_t) (tenant0002_t)))
             (allow both tenant0001_tmp_t (dir (search)))",
            "(allow both tenant0001_tmp_t",
        ),
        // By a label.
        ("(typetransition tenant0001_t tmpfs_t sock_file tenant0002_tmp_t)", "typetransition tenant0001_t"),
        ("(typetransition tenant0001_t tenant0002_data_t file tmpfs_t)", "typetransition tenant0001_t"),
        ("(typechange tenant0001_t devpts_t chr_file tenant0002_tmp_t)", "typechange tenant0001_t"),
        // In several steps.
        (
            "(allow tenant0001_t run_t (file (append))) (allow tenant0002_t run_t (file (read)))",
            "tenant0001_t can change or send to run_t (file); tenant0002_t can learn from run_t (file)",
        ),
        (
            "(allow tenant_domain dhcp_t (process (signal))) (allow dhcp_t run_t (file (write)))
             (allow tenant0005_t run_t (file (getattr)))",
            "tenant_domain can change or send to dhcp_t (process); dhcp_t can change or send to run_t (file); \
             tenant0005_t can learn from run_t (file)",
        ),
        (
            "(allow tenant0001_t dhcp_t (process (signal))) (allow tenant0002_t dhcp_t (file (read)))",
            "dhcp_t can change or send to self (file)",
        ),
        // A device, a folder, a key ring, shared memory, a port that both use, an ioctl that changes something.
        ("(allow tenant_domain data_disk_t (blk_file (read write)))", "data_disk_t (blk_file)"),
        ("(allow tenant_domain run_t (dir (add_name)))", "run_t (dir)"),
        ("(allow tenant_domain kernel_t (key (search)))", "kernel_t (key)"),
        ("(allow tenant_domain dhcp_t (shm (read)))", "dhcp_t (shm)"),
        ("(allow tenant_domain http_port_t (tcp_socket (name_bind)))", "http_port_t (tcp_socket)"),
        ("(allow tenant_domain runtime_t (dir (ioctl)))", "runtime_t (dir)"),
        ("(allowx tenant_domain runtime_t (ioctl file (0x6602)))", "runtime_t (file)"),
        ("(allow tenant_domain dhcp_t (unix_dgram_socket (sendto recvfrom)))", "dhcp_t (unix_dgram_socket)"),
    ] {
        match with(rules) {
            Err(NotProved::Leaks(leaks)) => {
                assert!(leaks.iter().any(|leak| leak.contains(told)), "{rules}: {leaks:?}");
            }
            other => panic!("{rules}: {other:?}"),
        }
    }
}

#[test]
fn what_leads_nowhere_is_no_leak() {
    for rules in [
        "(allow tenant_domain run_t (file (read)))",
        "(allow tenant_domain run_t (file (append)))",
        "(allow tenant0003_t run_t (file (append read)))",
        "(allow tenant0003_t tenant0003_log_t (file (read)))",
        "(allow tenant_domain netmsg_t (tcp_socket (name_connect)))",
        "(allowx tenant_domain runtime_t (ioctl file (0x541b)))",
    ] {
        with(rules).unwrap_or_else(|error| panic!("{rules}: {error}"));
    }
}

#[test]
fn a_permissive_domain_is_no_proof_but_where_it_is_meant() {
    let permissive = "(typepermissive tenant0001_t)";
    assert!(matches!(with(permissive), Err(NotProved::Permissive(domain)) if domain == "tenant0001_t"));
    let extra = |cil: &str| Extra { name: "extra".into(), cil: cil.into(), ..Extra::default() };
    let first = |slot: SlotId| slot.index() == 1;
    prove(&render(3, &[extra(permissive)]).unwrap(), first).unwrap();
    let others = "(typepermissive tenant0001_t)(typepermissive proxy_t)";
    assert!(matches!(
        prove(&render(3, &[extra(others)]).unwrap(), first),
        Err(NotProved::Permissive(domain)) if domain == "proxy_t"
    ));
}

#[test]
fn a_policy_that_is_not_understood_is_no_proof() {
    assert!(matches!(
        with("(optional o (allow tenant0001_t tmpfs_t (file (read))))"),
        Err(NotProved::Unread(_))
    ));
}

/// Where setools' map of permissions sees a flow, so do we.
#[test]
fn no_flow_is_missed_that_setools_follows() {
    let find = "import os, setools; print(os.path.join(os.path.dirname(setools.__file__), 'perm_map'))";
    let output = Command::new("/usr/bin/python3").args(["-c", find]).output().unwrap();
    assert!(output.status.success(), "setools is not there: scripts/deps.sh installs it");
    let map = std::fs::read_to_string(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
    let (mut class, mut compared, mut missed) = ("", 0, Vec::new());
    for line in map.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (permission, theirs) = match words[..] {
            ["class", name, _] => {
                class = name;
                continue;
            }
            [permission, "r", _] => (permission, Flow::READ),
            [permission, "w", _] => (permission, Flow::WRITE),
            [permission, "b", _] => (permission, Flow::BOTH),
            _ => continue,
        };
        let ours = flow::of(class, permission);
        if ours.or(theirs) != ours {
            missed.push(format!("{class} {permission}: {theirs:?}"));
        }
        compared += 1;
    }
    assert!(compared > 1000, "{compared} permissions in the map");
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// The images that tests boot are built like any other: their additions must not open a way between slots either.
#[test]
fn the_additions_of_the_test_and_proof_images_keep_slots_apart() {
    let probe = include_str!("../../../tests/policy/probe.cil");
    with(probe).unwrap_or_else(|error| panic!("{error}"));
    let rendered = render(12, &[crate::proof_image()]).unwrap();
    let open = |slot| kennel_model::proof::Layers::of(slot).permissive();
    prove(&rendered, open).unwrap_or_else(|error| panic!("{error}"));
}
