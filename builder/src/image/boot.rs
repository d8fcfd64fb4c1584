//! What the firmware starts: kernel, command line and initramfs in one program. The root hash on the command line ties
//! the root file system to it.

use kennel_secureboot::Signer;

use super::content::Content;
use super::disk::EFI_SIZE;
use super::flavour::Flavour;
use super::guests::{Guest, INIT};
use super::modules::{Module, Modules};
use super::tools::Tools;
use super::tree::Tree;
use super::uki::Parts;
use super::{BuildError, etc, initramfs, uki, verity};
use crate::spec::Spec;

const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
/// What every host has on its command line. AppArmor is Debian's default, so SELinux must be named. It comes first, since
/// the first to refuse is the only one that is asked, and SELinux says what it refused. A panic restarts. Audit records,
/// denied accesses among them, reach the kernel's log at no more than 30 a second from the first on: more than anybody
/// reads, and what a serial console can show.
///
/// Then what makes a hole in the kernel harder to use, where that costs next to nothing: objects of different kinds share
/// no memory (`slab_nomerge`), pages are handed out in random order, there are no 32-bit system calls, and nobody writes to a
/// disk behind the back of the file system on it. What was left out, and why, is told in docs/peers.md.
const ARGUMENTS: &str = "lsm=selinux,landlock,lockdown,yama enforcing=1 audit_backlog_limit=8192 loglevel=6 \
    sysctl.kernel.printk_ratelimit=1 sysctl.kernel.printk_ratelimit_burst=30 console=ttyS0 panic=10 slab_nomerge \
    page_alloc.shuffle=1 ia32_emulation=0 bdev_allow_write_mounted=0";
/// The firmware loads it slowly, and two must fit on the EFI partition.
const LIMIT: u64 = 24 << 20;
const _: () = assert!(2 * LIMIT < EFI_SIZE);

/// All parts that do not depend on the root file system.
pub(super) struct Boot {
    stub: Vec<u8>,
    kernel: Vec<u8>,
    kernel_version: String,
    kernel_path: String,
    initramfs: Vec<u8>,
    os_release: String,
    flavour: Flavour,
    arguments: Vec<String>,
}

impl Boot {
    /// Gathers the parts.
    ///
    /// # Errors
    /// When the lock brings no kernel or stub, or they cannot be read.
    pub(super) fn gather(
        spec: &Spec,
        flavour: Flavour,
        kernel: &Tree,
        modules: &Modules<'_>,
        early: &[Module],
        guests: &[Guest],
        tools: &Tools,
    ) -> Result<Self, BuildError> {
        let version = modules.version();
        let path = format!("/boot/vmlinuz-{version}");
        let missing = || BuildError::NotBrought { set: "kernel".into(), path: path.clone() };
        let read = |content: &Content, path: &str| content.read().map_err(BuildError::io(path));
        let init = guests.iter().find(|guest| guest.name == INIT).map(|guest| &guest.content);
        let init = read(init.ok_or_else(|| BuildError::Guest(format!("{INIT} is not there")))?, INIT)?;
        Ok(Self {
            stub: read(tools.content(STUB)?, STUB)?,
            kernel: read(kernel.content(&path).ok_or_else(missing)?, &path)?,
            kernel_version: version.to_owned(),
            kernel_path: path,
            initramfs: initramfs::build(&init, early).map_err(BuildError::io("initramfs"))?,
            os_release: etc::os_release(&spec.image.version, &spec.debian.suite, flavour),
            flavour,
            arguments: spec.kernel.arguments.clone(),
        })
    }

    /// The kernel's version.
    pub(super) fn kernel_version(&self) -> &str {
        &self.kernel_version
    }

    /// Where the kernel lay in its package.
    pub(super) fn kernel_path(&self) -> &str {
        &self.kernel_path
    }

    /// Sizes of kernel and initramfs.
    pub(super) fn sizes(&self) -> (u64, u64) {
        (self.kernel.len() as u64, self.initramfs.len() as u64)
    }

    /// The kernel's command line for this root.
    pub(super) fn command_line(&self, root: &verity::Tree) -> String {
        let (hash, salt) = (verity::hex(&root.root_hash), verity::hex(&root.salt));
        let flavour = self.flavour.arguments();
        let mut line = format!("{ARGUMENTS}{flavour} kennel.verity={hash},{salt},{}", root.data_blocks);
        for argument in &self.arguments {
            line.push(' ');
            line.push_str(argument);
        }
        line
    }

    /// The program, signed if there is somebody who signs.
    ///
    /// # Errors
    /// When the stub cannot carry the parts, they are too large, or there is no signature.
    pub(super) fn program(
        &self,
        command_line: &str,
        signer: Option<&dyn Signer>,
    ) -> Result<Vec<u8>, BuildError> {
        let image = uki::build(&Parts {
            stub: &self.stub,
            os_release: &self.os_release,
            command_line,
            kernel_version: &self.kernel_version,
            initrd: &self.initramfs,
            kernel: &self.kernel,
        })?;
        let image = match signer {
            Some(signer) => kennel_secureboot::sign(image, signer)?,
            None => image,
        };
        match image.len() as u64 {
            size if size > LIMIT => Err(BuildError::TooLarge { part: "the boot program", size, limit: LIMIT }),
            _ => Ok(image),
        }
    }
}
