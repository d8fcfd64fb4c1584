//! The root that a child sees: for a tenant its runtime with release, data, /tmp, /proc and /dev in it; for
//! `kennel-unpack` one folder of its slot and nothing else. The mounts live and die with the child's mount namespace.

use std::ffi::CString;
use std::io;
use std::path::Path;

use kennel_sys::mount::{NODEV, NOEXEC, NOSUID, RDONLY, bind};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::process::{chdir, pivot_root};

/// What becomes the root.
#[derive(Debug)]
pub enum Root {
    /// A tenant's.
    Tenant(TenantRoot),
    /// This folder alone: writable, but nothing in it can be executed.
    Folder(String),
    /// The host's own, with this working folder: for a program that is left without UNIX means.
    #[cfg(feature = "proof")]
    Host(String),
}

/// The parts of a tenant's root, by their paths on the host.
#[derive(Debug)]
pub struct TenantRoot {
    /// Becomes `/`, read-only.
    pub runtime: String,
    /// Becomes `/app`, read-only.
    pub release: String,
    /// But for what fetches packages, which may write there; nothing there can be executed then.
    pub builds: bool,
    /// Becomes `/data`, where nothing can be executed.
    pub data: String,
    /// Becomes `/dev`, read-only.
    pub devices: String,
    /// Becomes `/etc/resolv.conf`, read-only.
    pub resolv_conf: String,
    /// Options of the memory file system on `/tmp`: size and label.
    pub tmp_options: CString,
}

impl Root {
    /// Builds the root in the calling process's own mount namespace and moves into it.
    pub(super) fn enter(&self) -> io::Result<()> {
        #[cfg(feature = "proof")]
        if let Self::Host(folder) = self {
            return Ok(chdir(folder)?);
        }
        // Nothing of what follows may be seen outside.
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        match self {
            Self::Tenant(tenant) => {
                tenant.mount()?;
                pivot(&tenant.runtime)?;
                Ok(chdir("/app")?)
            }
            Self::Folder(folder) => {
                bind(folder, folder, NOSUID | NODEV | NOEXEC)?;
                pivot(folder)
            }
            #[cfg(feature = "proof")]
            Self::Host(_) => Ok(()),
        }
    }
}

impl TenantRoot {
    fn mount(&self) -> io::Result<()> {
        let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let inside = |name: &str| format!("{}{name}", self.runtime);
        bind(&self.runtime, &self.runtime, RDONLY | NOSUID | NODEV)?;
        let app = if self.builds { NOEXEC } else { RDONLY };
        bind(&self.release, &inside("/app"), app | NOSUID | NODEV)?;
        bind(&self.data, &inside("/data"), NOSUID | NODEV | NOEXEC)?;
        bind(&self.devices, &inside("/dev"), RDONLY | NOSUID | NOEXEC)?;
        bind(&self.resolv_conf, &inside("/etc/resolv.conf"), RDONLY | NOSUID | NODEV | NOEXEC)?;
        mount("tmp", inside("/tmp"), "tmpfs", plain, self.tmp_options.as_c_str())?;
        // Nothing in there is for tenants to write: neither the kernel's settings nor what it keeps of a process.
        Ok(mount("proc", inside("/proc"), "proc", plain | MountFlags::RDONLY, c"hidepid=invisible")?)
    }
}

/// Makes a mount point the root. The old root is stacked on the same place for a moment and then unmounted.
fn pivot(root: impl AsRef<Path>) -> io::Result<()> {
    chdir(root.as_ref())?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(chdir("/")?)
}
