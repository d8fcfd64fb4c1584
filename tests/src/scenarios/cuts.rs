//! Power cuts and shutdowns: what was acknowledged is there afterwards.

use std::time::Duration;

use super::{Group, Scenario, begin_large_deploy, nothing, people_image};
use crate::checks::{contains, holds, same};
use crate::vm::{Vm, until};

pub(super) fn group() -> Group {
    Group {
        title: "power cuts",
        image: people_image,
        prepare: nothing,
        scenarios: vec![
            Scenario::new("a power cut while the data disk is formatted costs a second try", cut_format),
            Scenario::new("a power cut during deploys loses nothing that was acknowledged", power_cut),
            Scenario::new("a clean shutdown ends everything in order", shutdown),
        ],
    }
}

/// Every order in which a part of the format can reach the disk is tried by init's unit tests; this is one, for real.
fn cut_format(vm: &mut Vm) -> Result<(), String> {
    let mut boot = vm.begin_to_boot()?;
    until("the formatting to begin", Duration::from_secs(300), || {
        Ok(vm.console().contains("formatting it").then_some(()))
    })?;
    vm.pull_the_plug()?;
    boot.wait().map_err(|e| e.to_string())?;
    vm.boot()?;
    vm.says(0, "data volume: /dev/vdb")
}

fn power_cut(vm: &mut Vm) -> Result<(), String> {
    if vm.web_port() == 0 {
        vm.boot()?;
    }
    vm.tenant("first", "examples/node-hello")?;
    vm.tenant("second", "examples/node-hello")?;
    // One deploy is acknowledged, the next is under way when the power goes.
    vm.ok(&["deploy", "first", "examples/node-hello"])?;
    let acknowledged = vm.show("first")?["current"].clone();
    let folder = vm.scratch().join("large");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    std::fs::write(folder.join("server.js"), "process.exit(9);\n").map_err(|e| e.to_string())?;
    let mut upload = begin_large_deploy(vm, "second", &folder)?;
    vm.pull_the_plug()?;
    upload.kill().and_then(|()| upload.wait()).map_err(|e| e.to_string())?;

    vm.boot()?;
    same("the acknowledged release", vm.show("first")?["current"].clone(), acknowledged)?;
    for tenant in ["first", "second"] {
        same(&format!("the page of {tenant}"), vm.page(tenant, "/")?.status, 200)?;
    }
    // What the broken upload left is no obstacle.
    vm.ok(&["deploy", "second", "examples/node-hello"])?;
    same("the page of second", vm.page("second", "/")?.status, 200)
}

fn shutdown(vm: &mut Vm) -> Result<(), String> {
    if vm.web_port() == 0 {
        vm.boot()?;
        vm.tenant("first", "examples/node-hello")?;
    }
    same("the page", vm.page("first", "/")?.status, 200)?;
    let seen = vm.console().len();
    vm.stop()?;
    let console = vm.console();
    let end = console.get(seen..).unwrap_or_default();
    holds("nothing failed on the way down", !end.contains("FAILED"))?;
    contains("the console", end, "init: ")?;
    vm.boot()?;
    same("the page after the next boot", vm.page("first", "/")?.status, 200)
}
