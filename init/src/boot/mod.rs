//! Stage 2, on the verified root and in `init_t`: everything that is done once, in a fixed order, before the services
//! start. Only what the host's separation rests on stops the boot; whatever else fails is said on the console, and the
//! host does without it.

pub mod disks;
pub(crate) mod firewall;
mod format;
mod grow;
pub(crate) mod kernel;
mod listeners;
mod machine;
mod mounts;
mod swap;
mod swap_disk;
mod tool;
mod volume;

use std::convert::Infallible;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use kennel_model::layout::{self, ImageFacts};
use kennel_model::{labels, services};
use kennel_sys::Channel;
use kennel_sys::netif::Interfaces;

use crate::child::seccomp::Filters;
use crate::console;
use crate::fs::label;
use crate::host::network::Network;
use crate::host::{Host, Setting};
use crate::slot::launch::Surroundings;
use crate::step::{Failed, Step};
use crate::{modules, say};

/// Boots and then works as the host; answers only when it cannot.
///
/// # Errors
/// The step that failed.
pub fn run() -> Result<Infallible, Failed> {
    Host::new(prepare()?)?.run()
}

fn prepare() -> Result<Setting, Failed> {
    let kernel_log = kernel_log();
    label_devices()?;
    console::take().step(|| "open the console".to_owned())?;
    kernel::check_sealed()?;
    tolerate(kernel::stay_in_memory());
    mounts::pseudo()?;
    let facts: ImageFacts = sealed(layout::FACTS_FILE)?;
    check_kind(&facts)?;
    tolerate(machine::name());
    let mut table: Vec<services::Service> = sealed(layout::SERVICES_FILE)?;

    if kernel_log.is_none() {
        say!("denied acts will not be seen: nobody opened the kernel's log");
        table.retain(|service| !service.handed.contains(&services::Handed::KernelLog));
    }

    machine::leave_out_elsewhere(&mut table);

    let count = modules::load(layout::MODULES_LIST)?;
    say!("{count} modules loaded");
    // Later nothing can be loaded.
    let swap_disks = swap_disk::find();
    if swap_disks.are_found() {
        let count = modules::load(layout::SWAP_MODULES_LIST)?;
        say!("{count} modules loaded for swap on a disk");
    }
    kernel::connections();
    kernel::lock_modules()?;

    // Before anything that takes its time.
    let mut buttons = machine::power_buttons();

    match volume::mount_data(&mut buttons) {
        Ok(what) => say!("data volume: {what}"),
        Err(e) => {
            say!("FAILED to {e}");
            say!("control does not start without a data volume; everything else does");
            table.retain(|service| service.name != "control");
        }
    }

    let interfaces = Interfaces::open().step(|| "open a socket".to_owned())?;
    interfaces.up("lo").step(|| "bring up lo".to_owned())?;
    if let Err(e) = firewall::load() {
        say!("FAILED to {e}");
        say!("no service starts without a packet filter");
        table.clear();
    }
    let network = if table.is_empty() { None } else { tolerate(machine::bring_up_nic(&interfaces)) };
    tolerate(swap::start(swap_disks.start()));
    let listeners = listeners::open(&table)?;
    mounts::slot_devices()?;
    for runtime in &facts.runtimes {
        tolerate(mounts::runtime(&runtime.name));
    }
    crate::host::network::write_resolv_conf(&[])?;
    let user_data = machine::user_data()?;
    let records = Channel::pair().step(|| "make a pair of sockets for records".to_owned())?;
    let acme = Channel::pair().step(|| "make a pair of sockets for kennel-acme".to_owned())?;
    tolerate(mounts::seal());
    Ok(Setting {
        surroundings: Surroundings {
            null: File::options()
                .read(true)
                .write(true)
                .open("/dev/null")
                .step(|| "open /dev/null".to_owned())?,
            filters: Filters::compile().step(|| "compile the system call filters".to_owned())?,
            runtimes: facts.runtimes.clone(),
        },
        facts,
        services: table,
        listeners,
        user_data,
        records,
        acme,
        kernel_log,
        network: network.map(Network::new),
        buttons,
    })
}

/// The kernel's log, which the stage before opened: the only argument is its descriptor.
fn kernel_log() -> Option<OwnedFd> {
    let number = std::env::args().nth(1)?.parse().ok()?;
    kennel_sys::inherited::take(number).ok()
}

/// An image that is open in places has an init of its own, and only such an image has.
fn check_kind(facts: &ImageFacts) -> Result<(), Failed> {
    #[cfg(feature = "proof")]
    say!("{}", crate::proof::WARNING);
    if facts.proof == cfg!(feature = "proof") {
        return Ok(());
    }
    Err(Failed::new("boot", "this init is not of the image's kind: one is for proof images, the other is not"))
}

/// Nodes in `/dev` were made by the kernel, before there was a policy or under one name for all.
fn label_devices() -> Result<(), Failed> {
    for (name, device_type) in labels::DEVICES {
        let path = format!("/dev/{name}");
        if fs::symlink_metadata(&path).is_ok() {
            label(&path, &labels::object(device_type))?;
        }
    }
    Ok(())
}

/// Reads a file that the builder wrote and the root's verity vouches for.
fn sealed<T: serde::de::DeserializeOwned>(path: &str) -> Result<T, Failed> {
    let text = fs::read_to_string(path).step(|| format!("read {path}"))?;
    serde_json::from_str(&text).step(|| format!("read {path}"))
}

/// Says what failed, and goes on without it.
fn tolerate<T>(result: Result<T, Failed>) -> Option<T> {
    result.inspect_err(|e| say!("FAILED to {e}")).ok()
}

/// Asks again every 10 ms until there is an answer or the time is over: for devices that appear when they like, and for
/// which a boot of one process has no event.
pub(crate) fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
