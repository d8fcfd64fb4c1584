//! What depends on the machine: its first name, its NIC, its power button, and the user-data that it was started with.

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use kennel_model::cloud::EC2_VENDOR;
use kennel_model::layout::{DEFAULT_NAME, FW_CFG_USER_DATA};
use kennel_model::services::Service;
use kennel_sys::netif::Interfaces;
use kennel_sys::{memfd, power};

use super::poll;
use crate::host::ending;
use crate::say;
use crate::step::{Failed, Step};

const NIC_LIMIT: Duration = Duration::from_secs(10);
/// Who made the machine, as its firmware says.
const MAKER: &str = "/sys/class/dmi/id/sys_vendor";

/// Finds the NIC and brings it up; the DHCP client does the rest. Answers its name.
///
/// # Errors
/// When there is none.
pub(super) fn bring_up_nic(interfaces: &Interfaces) -> Result<String, Failed> {
    let nic = poll(NIC_LIMIT, first_nic)
        .ok_or_else(|| Failed::new("find a network interface", "there is none but loopback"))?;
    interfaces.up(&nic).step(|| format!("bring up {nic}"))?;
    say!("{nic} is up");
    Ok(nic)
}

/// The Ethernet interface that the kernel found first.
fn first_nic() -> Option<String> {
    let number = |name: &str, file: &str| {
        fs::read_to_string(format!("/sys/class/net/{name}/{file}")).ok()?.trim().parse::<u32>().ok()
    };
    let names = fs::read_dir("/sys/class/net").ok()?.flatten().filter_map(|e| e.file_name().into_string().ok());
    // Type 1 is Ethernet (ARPHRD_ETHER).
    names.filter(|name| number(name, "type") == Some(1)).min_by_key(|name| number(name, "ifindex"))
}

/// Gives the host the name that it has until control knows a better one.
///
/// # Errors
/// The system's.
pub(super) fn name() -> Result<(), Failed> {
    rustix::system::sethostname(DEFAULT_NAME.as_bytes()).step(|| "name the host".to_owned())
}

/// Leaves out the services that are for other makers' machines, or for devices that this one has not.
pub(super) fn leave_out_elsewhere(table: &mut Vec<Service>) {
    let maker = maker();
    table.retain(|service| {
        if let Some(device) = &service.only_with
            && !fs::exists(device).unwrap_or(false)
        {
            say!("there is no {device}: {} is not started", service.name);
            return false;
        }
        let wanted = service.only_on.as_deref();
        if wanted == Some(&maker) {
            say!("this is a machine of {maker}: {} is started", service.name);
        }
        wanted.is_none_or(|wanted| wanted == maker)
    });
}

/// Whether volumes are attached to this machine while it runs: on EC2 a volume that is there already can only be attached
/// to an instance that has been started.
pub(super) fn gets_volumes_later() -> bool {
    maker() == EC2_VENDOR
}

/// Waits like [`poll`], and powers off when one of `buttons` is pressed meanwhile, or was since it was opened: somebody
/// stops a machine that has nothing to lose yet.
pub(super) fn poll_or_end<T>(
    limit: Duration,
    buttons: &mut [File],
    mut ask: impl FnMut() -> Option<T>,
) -> Option<T> {
    poll(limit, || {
        if buttons.iter_mut().any(ending::is_pressed) {
            say!("the power button was pressed");
            ending::finish(power::End::PowerOff);
        }
        ask()
    })
}

fn maker() -> String {
    fs::read_to_string(MAKER).unwrap_or_default().trim().to_owned()
}

/// The host's user-data, as bytes that nobody has looked at, sealed. Empty when there is none.
///
/// # Errors
/// The system's.
pub(super) fn user_data() -> Result<OwnedFd, Failed> {
    let path = format!("/sys/firmware/qemu_fw_cfg/by_name/{FW_CFG_USER_DATA}/raw");
    let sealed = match File::open(&path) {
        Ok(file) => memfd::sealed("user-data", file),
        Err(_) => memfd::sealed("user-data", &b""[..]),
    };
    sealed.step(|| "read the user-data".to_owned())
}

/// Every power button. Without one, shutting down takes the API; Ctrl-Alt-Del is made to ask.
///
/// The kernel keeps a press for those alone who have the button open: what is pressed before this is lost
/// (drivers/input/evdev.c: events go into the buffer of each open client).
pub(super) fn power_buttons() -> Vec<File> {
    if let Err(e) = power::ask_on_ctrl_alt_del() {
        say!("FAILED to take over Ctrl-Alt-Del: {e}");
    }
    let entries = fs::read_dir("/dev/input").into_iter().flatten().flatten();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let open = |entry: fs::DirEntry| {
        let is_event = entry.file_name().to_string_lossy().starts_with("event");
        is_event.then(|| options.open(entry.path()).ok()).flatten()
    };
    let is_power_button = |file: &File| power::input_name(file).is_ok_and(|name| name == "Power Button");
    let buttons: Vec<_> = entries.filter_map(open).filter(is_power_button).collect();
    if buttons.is_empty() {
        say!("no power button found");
    }
    buttons
}
