//! A host on EC2 whose data volume is attached only when it runs already, as it is when an instance is replaced.

use std::time::Duration;

use super::{Group, Scenario, cloud, people_image};
use crate::checks::{holds, same};
use crate::imds::Emulator;
use crate::qmp;
use crate::vm::{Vm, until};

/// A boot under emulation, as far as the data volume.
const BOOT: Duration = Duration::from_secs(180);
const WAITS: &str = "no disk for data is attached: waiting 300 s for one";

pub(super) fn group() -> Group {
    Group {
        title: "a host on EC2 whose data volume comes later",
        image: people_image,
        prepare,
        scenarios: vec![
            Scenario::new("late: a host that waits for its volume can be stopped", stopped),
            Scenario::new("late: a volume that is plugged in is taken, and the host serves", plugged_in),
        ],
    }
}

fn prepare(vm: &mut Vm) -> Result<(), String> {
    let emulator = Emulator::start().map_err(|e| format!("no emulator: {e}"))?;
    let (identity, public) = cloud::key(vm.scratch(), 1)?;
    emulator.set("meta-data/public-keys/0/openssh-key", format!("{public}\n"));
    vm.launch_on(emulator, identity);
    vm.boot_without_data();
    Ok(())
}

/// Begins to boot, until the host waits.
fn until_it_waits(vm: &mut Vm) -> Result<std::process::Child, String> {
    let seen = vm.console().len();
    let booting = vm.begin_to_boot()?;
    until("the host to wait", BOOT, || {
        Ok(vm.console().get(seen..).unwrap_or_default().contains(WAITS).then_some(()))
    })?;
    Ok(booting)
}

fn stopped(vm: &mut Vm) -> Result<(), String> {
    let mut booting = until_it_waits(vm)?;
    vm.stop()?;
    let said = until("`kennel run` to end", BOOT, || booting.try_wait().map_err(|e| e.to_string()))?;
    holds("`kennel run` says that the host did not get ready", !said.success())?;
    vm.says(0, "the power button was pressed")?;
    vm.says(0, "powering off")
}

fn plugged_in(vm: &mut Vm) -> Result<(), String> {
    let booting = until_it_waits(vm)?;
    qmp::plug_data_in(&vm.state("qmp"))?;
    vm.finish_boot(booting)?;
    vm.says(0, "has the serial number kennel-late")?;
    vm.says(0, "was blank and is formatted now")?;
    cloud::until_an_operator_signs_in(vm)?;
    vm.tenant("steady", "examples/node-hello")?;
    same("its page", vm.page("steady", "/")?.status, 200)?;
    // The next boot finds the volume late again, with what is on it.
    vm.stop()?;
    let booting = until_it_waits(vm)?;
    qmp::plug_data_in(&vm.state("qmp"))?;
    vm.finish_boot(booting)?;
    same("its page after another boot", vm.page("steady", "/")?.status, 200)
}
