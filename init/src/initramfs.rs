//! Stage 1, in the initramfs: from the kernel's first process to the verified root. Loads the modules that the root
//! needs, sets up dm-verity with the root hash from the command line, mounts the root, loads the SELinux policy from
//! it, and hands over to `/usr/sbin/kennel-init` there, which by that policy runs in `init_t`.
//! Whatever fails here stops the boot: there is nothing to fall back to that would be verified.

use std::convert::Infallible;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kennel_model::layout;
use rustix::io::FdFlags;
use rustix::mount::MountFlags;

use crate::boot::{disks, kernel, poll};
use crate::fs::{PLAIN, mount, write};
use crate::step::{Failed, Step};
use crate::{modules, say};

/// Present in the initramfs and nowhere else.
pub const MARKER: &str = "/etc/kennel-initramfs";

const NEW_ROOT: &str = "/root";
/// EBS volumes can take their time to appear.
const ROOT_DEADLINE: Duration = Duration::from_secs(30);

/// Runs stage 1; answers only when it failed.
///
/// # Errors
/// The step that failed.
pub fn run() -> Result<Infallible, Failed> {
    // Mounted once for the whole life of the host, and moved to the real root.
    mount("proc", "/proc", "proc", PLAIN | MountFlags::NOEXEC, "hidepid=invisible")?;
    mount("sysfs", "/sys", "sysfs", PLAIN | MountFlags::NOEXEC, "")?;
    mount("dev", "/dev", "devtmpfs", MountFlags::NOSUID | MountFlags::NOEXEC, "mode=0755")?;
    say!("kennel {} on Linux {}", env!("CARGO_PKG_VERSION"), kernel_release());

    let count = modules::load(layout::MODULES_LIST)?;
    say!("{count} modules loaded for the root");

    let verity = Verity::from_command_line(&crate::fs::read("/proc/cmdline")?)?;
    let device = wait_for_root()?;
    kennel_sys::dm::create_readonly("kennel-root", "verity", verity.sectors(), &verity.table(&device))
        .step(|| "set up dm-verity".to_owned())?;
    wait_for("/dev/dm-0", Duration::from_secs(5))?;
    mount("/dev/dm-0", NEW_ROOT, "erofs", MountFlags::RDONLY, "")?;
    say!("root verified: {device}, root hash {}", &verity.root_hash);

    kernel::settings();
    switch_root()?;
    let log = open_kernel_log();
    // Last, so that the kernel's own domain needs no rule but the one that leads to init_t.
    load_policy()?;
    let cause = Command::new("/usr/sbin/kennel-init").args(log.iter().map(number)).exec();
    Err(Failed::new("execute /usr/sbin/kennel-init", cause))
}

fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The kernel's parameter `kennel.verity=<root hash>,<salt>,<data blocks>`; SHA-256 and blocks of 4096 bytes are fixed.
struct Verity {
    root_hash: String,
    salt: String,
    data_blocks: u64,
}

impl Verity {
    fn from_command_line(line: &str) -> Result<Self, Failed> {
        let fault = || Failed::new("read the kernel command line", "kennel.verity= is missing or malformed");
        let value = line.split_ascii_whitespace().find_map(|word| word.strip_prefix("kennel.verity="));
        let mut parts = value.ok_or_else(fault)?.split(',');
        let mut next = || parts.next().ok_or_else(fault);
        let (root_hash, salt, blocks) = (next()?.to_owned(), next()?.to_owned(), next()?);
        let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        if root_hash.len() != 64 || !is_hex(&root_hash) || !is_hex(&salt) {
            return Err(fault());
        }
        Ok(Self { root_hash, salt, data_blocks: blocks.parse().map_err(|_| fault())? })
    }

    const fn sectors(&self) -> u64 {
        self.data_blocks * 8
    }

    /// The target's parameters (kernel: `admin-guide/device-mapper/verity.rst`). The tree begins one block behind the
    /// data, where the superblock lies. A corrupted block stops the host rather than being an error that programs see.
    fn table(&self, device: &str) -> String {
        let Self { root_hash, salt, data_blocks } = self;
        let tree = data_blocks + 1;
        format!(
            "1 {device} {device} 4096 4096 {data_blocks} {tree} sha256 {root_hash} {salt} 1 panic_on_corruption"
        )
    }
}

/// Waits for the root partition. Which disk carries it does not matter: only the right root hash passes.
fn wait_for_root() -> Result<String, Failed> {
    let name = layout::ROOT_PARTITION;
    poll(ROOT_DEADLINE, || disks::partition(name))
        .map(|found| format!("/dev/{found}"))
        .ok_or_else(|| Failed::new(format!("find the partition {name}"), "no disk has it (30 s waited)"))
}

fn wait_for(path: &str, limit: Duration) -> Result<(), Failed> {
    poll(limit, || Path::new(path).exists().then_some(()))
        .ok_or_else(|| Failed::new(format!("find {path}"), "it did not appear"))
}

/// Loads the policy. No domain may ever do this again: no rule of the policy grants `load_policy`, and only this first
/// load happens before there is a policy that could forbid it.
fn load_policy() -> Result<(), Failed> {
    let path = layout::POLICY_FILE;
    let policy = fs::read(path).step(|| format!("read {path}"))?;
    mount("selinuxfs", "/sys/fs/selinux", "selinuxfs", MountFlags::NOSUID | MountFlags::NOEXEC, "")?;
    write("/sys/fs/selinux/load", &policy)?;
    say!("SELinux policy loaded: {} bytes, enforcing", policy.len());
    Ok(())
}

/// Opens the kernel's log for whoever is handed it later. To read it takes a privilege at the moment of opening only; done
/// before there is a policy, nobody needs to have that privilege afterwards.
fn open_kernel_log() -> Option<OwnedFd> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
    // It outlives the exec: its number is the next stage's argument.
    match file.and_then(|file| Ok(rustix::io::fcntl_setfd(&file, FdFlags::empty()).map(|()| file)?)) {
        Ok(file) => Some(file.into()),
        Err(cause) => {
            say!("FAILED to open /dev/kmsg: {cause}");
            None
        }
    }
}

fn number(fd: &OwnedFd) -> String {
    fd.as_raw_fd().to_string()
}

/// Makes the verified root the root, with the pseudo file systems moved along, and empties the initramfs, whose files
/// are memory.
fn switch_root() -> Result<(), Failed> {
    for folder in ["/proc", "/sys", "/dev"] {
        let target = format!("{NEW_ROOT}{folder}");
        rustix::mount::mount_move(folder, &target).step(|| format!("move {folder}"))?;
    }
    // The running program keeps its own inode alive until the exec. What stays costs memory, nothing else.
    let _ = fs::remove_file("/init");
    let _ = fs::remove_dir_all("/usr");
    rustix::process::chdir(NEW_ROOT).step(|| format!("enter {NEW_ROOT}"))?;
    rustix::mount::mount_move(NEW_ROOT, "/").step(|| "move the root".to_owned())?;
    rustix::process::chroot(".").step(|| "switch root".to_owned())?;
    rustix::process::chdir("/").step(|| "enter the root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_the_kernel_documents() {
        let hash = "ab".repeat(32);
        let line = format!("quiet kennel.verity={hash},00ff,1000 panic=10");
        let verity = Verity::from_command_line(&line).unwrap();
        assert_eq!(verity.sectors(), 8000);
        assert_eq!(
            verity.table("/dev/vda2"),
            format!("1 /dev/vda2 /dev/vda2 4096 4096 1000 1001 sha256 {hash} 00ff 1 panic_on_corruption")
        );
    }

    #[test]
    fn a_command_line_without_a_root_hash_is_refused() {
        for line in ["", "kennel.verity=", "kennel.verity=ab,00,5", "kennel.verity=zz,00"] {
            assert!(Verity::from_command_line(line).is_err(), "{line}");
        }
    }
}
