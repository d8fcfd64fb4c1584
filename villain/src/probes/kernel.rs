//! System calls that reach for the kernel's administration or have been ways into it. Each is made so that success would
//! change nothing: with no module, no kernel, a file that is not there. Errors that only follow the check of the right
//! count as success.

use std::fs::File;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;

use super::process::perf_attributes;
use crate::outcome::{Attempt, done, passed};
use crate::place::Place;
use crate::raw::{Arg, NULL, call, fd, open};

const ABSENT: &std::ffi::CStr = c"/kennel-villain-nothing";

fn text(path: &std::path::Path) -> std::io::Result<std::ffi::CString> {
    std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).map_err(std::io::Error::other)
}

/// Mounts on a folder of its own, in a mount namespace that the host may share.
pub(super) fn mount(place: &Place) -> Attempt {
    let folder = place.own_data("mounted");
    std::fs::create_dir_all(&folder)?;
    let target = text(&folder)?;
    let arguments = [Arg::Text(c"villain"), Arg::Text(&target), Arg::Text(c"tmpfs"), NULL, NULL];
    let mounted = call(libc::SYS_mount, arguments);
    if mounted.is_ok() {
        call(libc::SYS_umount2, [Arg::Text(&target), NULL])?;
    }
    std::fs::remove_dir(&folder)?;
    passed(mounted, &[])
}

pub(super) fn mount_new(_: &Place) -> Attempt {
    open(libc::SYS_fsopen, [Arg::Text(c"tmpfs"), NULL])?;
    done("a file system is being prepared")
}

/// The working folder's mount, or the root's: the right is asked for before it is looked whether it is a mount.
pub(super) fn remount(place: &Place) -> Attempt {
    let target = text(&place.own_release(""))?;
    let flags = Arg::Int((libc::MS_REMOUNT | libc::MS_BIND).cast_signed());
    passed(call(libc::SYS_mount, [NULL, Arg::Text(&target), NULL, flags, NULL]), &[Errno::EINVAL])
}

pub(super) fn unmount(place: &Place) -> Attempt {
    let target = text(&place.own_data(""))?;
    passed(call(libc::SYS_umount2, [Arg::Text(&target), NULL]), &[Errno::EINVAL])
}

fn unshare(what: i32) -> Attempt {
    passed(call(libc::SYS_unshare, [Arg::Int(what.into())]), &[])
}

pub(super) fn user_namespace(_: &Place) -> Attempt {
    unshare(libc::CLONE_NEWUSER)
}

pub(super) fn mount_namespace(_: &Place) -> Attempt {
    unshare(libc::CLONE_NEWNS)
}

pub(super) fn net_namespace(_: &Place) -> Attempt {
    unshare(libc::CLONE_NEWNET)
}

pub(super) fn module_load(_: &Place) -> Attempt {
    let no_module = [0; 128];
    let arguments = [Arg::In(&no_module), Arg::Int(128), Arg::Text(c"")];
    passed(call(libc::SYS_init_module, arguments), &[Errno::ENOEXEC, Errno::EBADMSG])
}

pub(super) fn bpf(_: &Place) -> Attempt {
    const MAP_CREATE: i64 = 0;
    const ARRAY: u32 = 2;
    // union bpf_attr: type, size of a key, of a value, entries.
    let attributes: Vec<u8> = [ARRAY, 4, 4, 1].iter().flat_map(|word| word.to_ne_bytes()).collect();
    open(libc::SYS_bpf, [Arg::Int(MAP_CREATE), Arg::In(&attributes), Arg::Int(16)])?;
    done("a map was made")
}

pub(super) fn perf(_: &Place) -> Attempt {
    let every_process_of_processor_0 = [Arg::Int(-1), NULL];
    let [pid, processor] = every_process_of_processor_0;
    open(libc::SYS_perf_event_open, [Arg::In(&perf_attributes()), pid, processor, Arg::Int(-1), NULL])?;
    done("opened")
}

pub(super) fn io_uring(_: &Place) -> Attempt {
    let mut parameters = [0; 120];
    open(libc::SYS_io_uring_setup, [Arg::Int(1), Arg::Out(&mut parameters)])?;
    done("made")
}

pub(super) fn keys(_: &Place) -> Attempt {
    const PROCESS_KEYRING: i64 = -2;
    let arguments =
        [Arg::Text(c"user"), Arg::Text(c"villain"), Arg::In(b"x"), Arg::Int(1), Arg::Int(PROCESS_KEYRING)];
    passed(call(libc::SYS_add_key, arguments), &[])
}

/// No parts: takes away the kernel that would have been waiting.
pub(super) fn kexec(_: &Place) -> Attempt {
    passed(call(libc::SYS_kexec_load, [NULL, NULL, NULL, NULL]), &[Errno::EBUSY])
}

/// Says that Ctrl-Alt-Del shall not reboot at once.
pub(super) fn reboot(_: &Place) -> Attempt {
    let words = [libc::LINUX_REBOOT_MAGIC1, libc::LINUX_REBOOT_MAGIC2, libc::LINUX_REBOOT_CMD_CAD_OFF];
    let [first, second, command] = words.map(|word| Arg::Int(i64::from(word)));
    passed(call(libc::SYS_reboot, [first, second, command, NULL]), &[])
}

pub(super) fn userfaultfd(_: &Place) -> Attempt {
    const USER_MODE_ONLY: i64 = 1;
    open(libc::SYS_userfaultfd, [Arg::Int(USER_MODE_ONLY)])?;
    done("made")
}

pub(super) fn log_read(_: &Place) -> Attempt {
    const READ_ALL: i64 = 3;
    let mut room = [0; 256];
    passed(call(libc::SYS_syslog, [Arg::Int(READ_ALL), Arg::Out(&mut room), Arg::Int(256)]), &[])
}

/// Sets it to what it is.
pub(super) fn clock(_: &Place) -> Attempt {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(std::io::Error::other)?;
    let mut time = now.as_secs().to_ne_bytes().to_vec();
    time.extend(u64::from(now.subsec_nanos()).to_ne_bytes());
    passed(call(libc::SYS_clock_settime, [Arg::Int(libc::CLOCK_REALTIME.into()), Arg::In(&time)]), &[])
}

/// Sets it to what it is.
pub(super) fn host_name(_: &Place) -> Attempt {
    let name = rustix::system::uname().nodename().to_bytes().to_vec();
    let length = Arg::Int(name.len().cast_signed() as i64);
    passed(call(libc::SYS_sethostname, [Arg::In(&name), length]), &[])
}

/// The port of the power-on self-test, which does nothing.
pub(super) fn port_access(_: &Place) -> Attempt {
    passed(call(libc::SYS_ioperm, [Arg::Int(0x80), Arg::Int(1), Arg::Int(1)]), &[])
}

/// Reads the table.
pub(super) fn segments(_: &Place) -> Attempt {
    let mut room = [0; 64];
    passed(call(libc::SYS_modify_ldt, [NULL, Arg::Out(&mut room), Arg::Int(64)]), &[])
}

pub(super) fn accounting(_: &Place) -> Attempt {
    passed(call(libc::SYS_acct, [Arg::Text(ABSENT)]), &[Errno::ENOENT])
}

pub(super) fn swap(_: &Place) -> Attempt {
    passed(call(libc::SYS_swapon, [Arg::Text(ABSENT), NULL]), &[Errno::ENOENT])
}

/// Gives no new limits: the right is asked for first.
pub(super) fn quota(place: &Place) -> Attempt {
    const SET_PROJECT_QUOTA: i64 = 0x80_0008 << 8 | 2;
    let folder = File::open(place.own_data(""))?;
    let arguments = [fd(&folder), Arg::Int(SET_PROJECT_QUOTA), Arg::Int(place.own.uid().into()), NULL];
    passed(call(libc::SYS_quotactl_fd, arguments), &[Errno::EFAULT, Errno::ESRCH, Errno::ENOSYS])
}

/// Asks for the handle of its own folder, and opens by it.
pub(super) fn file_handle(place: &Place) -> Attempt {
    let folder = File::open(place.own_data(""))?;
    // struct file_handle: room for 128 bytes.
    let mut handle = [0; 136];
    handle[0] = 128;
    let mut mount = [0; 8];
    let path = text(&place.own_data(""))?;
    let arguments =
        [Arg::Int(libc::AT_FDCWD.into()), Arg::Text(&path), Arg::Out(&mut handle), Arg::Out(&mut mount), NULL];
    call(libc::SYS_name_to_handle_at, arguments)?;
    open(libc::SYS_open_by_handle_at, [fd(&folder), Arg::In(&handle), Arg::Int(libc::O_RDONLY.into())])?;
    done("opened by its handle")
}

pub(super) fn fanotify(_: &Place) -> Attempt {
    open(libc::SYS_fanotify_init, [Arg::Int(libc::FAN_CLASS_CONTENT.into()), Arg::Int(libc::O_RDONLY.into())])?;
    done("it would be asked about every open")
}

pub(super) fn personality(_: &Place) -> Attempt {
    const NO_RANDOM_LAYOUT: i64 = 0x004_0000;
    passed(call(libc::SYS_personality, [Arg::Int(NO_RANDOM_LAYOUT)]), &[])
}

/// Both only ask: how many kinds of file system there are, what a device has free.
pub(super) fn obsolete_calls(_: &Place) -> Attempt {
    let mut room = [0; 64];
    if call(libc::SYS_sysfs, [Arg::Int(3), NULL, NULL]).is_ok() {
        return done("sysfs answers");
    }
    passed(call(libc::SYS_ustat, [NULL, Arg::Out(&mut room)]), &[Errno::EINVAL])
}
