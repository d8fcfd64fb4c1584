//! Mounts, labels and small files, as the boot and the slots need them: each call names its step when it fails.
//! Labels are set by `setxattr` of `security.selinux`, which is all that libselinux's `setfilecon` does.

use std::ffi::CString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{Gid, Mode, Uid, XattrFlags};
use rustix::mount::MountFlags;

use crate::step::{Failed, Step};

/// Flags of everything that holds no device and no setuid program.
pub const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Mounts a file system.
///
/// # Errors
/// The system's.
pub fn mount(source: &str, target: &str, kind: &str, flags: MountFlags, data: &str) -> Result<(), Failed> {
    let data = CString::new(data).step(|| format!("options for {target}"))?;
    rustix::mount::mount(source, target, kind, flags, data.as_c_str())
        .step(|| format!("mount {kind} on {target}"))
}

/// Gives a file its SELinux label, unless it has it; a final symbolic link is labelled itself.
///
/// # Errors
/// The system's.
pub fn label(path: &str, context: &str) -> Result<(), Failed> {
    // libselinux stores the terminating NUL too.
    let value = [context.as_bytes(), b"\0"].concat();
    // Changing a label takes the right to change the old one, even to itself.
    let mut old = [0; 128];
    if let Ok(len) = rustix::fs::lgetxattr(path, "security.selinux", &mut old)
        && old.get(..len).is_some_and(|old| old == value || old == context.as_bytes())
    {
        return Ok(());
    }
    rustix::fs::lsetxattr(path, "security.selinux", &value, XattrFlags::empty())
        .step(|| format!("label {path} {context}"))
}

/// Makes a folder with owner, mode and label. One that is there already gets them anew.
///
/// # Errors
/// The system's.
pub fn folder(path: &str, owner: (u32, u32), mode: u32, context: &str) -> Result<(), Failed> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Failed::new(format!("make {path}"), e));
        }
        _ => {}
    }
    own(path, owner, mode)?;
    label(path, context)
}

/// Sets owner and mode, whatever the umask was.
///
/// # Errors
/// The system's.
pub fn own(path: &str, (uid, gid): (u32, u32), mode: u32) -> Result<(), Failed> {
    rustix::fs::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .step(|| format!("set the owner of {path}"))?;
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).step(|| format!("set the mode of {path}"))
}

/// Writes a kernel file such as a sysctl or a cgroup limit, in one write.
///
/// # Errors
/// The system's.
pub fn write(path: impl AsRef<Path>, value: impl AsRef<[u8]>) -> Result<(), Failed> {
    let path = path.as_ref();
    let attempt = || {
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        io::Write::write_all(&mut file, value.as_ref())
    };
    attempt().step(|| format!("write {}", path.display()))
}

/// Reads a small kernel file whole, without the white space around it.
///
/// # Errors
/// The system's.
pub fn read(path: impl AsRef<Path>) -> Result<String, Failed> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).step(|| format!("read {}", path.display()))?;
    Ok(text.trim().to_owned())
}
