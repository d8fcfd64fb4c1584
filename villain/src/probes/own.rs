//! What a tenant may not do to itself: change its code, run what it wrote, become somebody else.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt};

use rustix::fs::{Gid, MemfdFlags, Uid, memfd_create};
use rustix::process::{Resource, Rlimit, getuid, setrlimit};

use super::files::{append, create, open_to_write, run};
use crate::outcome::{Attempt, done, passed};
use crate::place::{NOTE, Place, SPARE};
use crate::raw::{Arg, NULL, call, fd};

pub(super) fn code_write(place: &Place) -> Attempt {
    append(place.own_release(NOTE))
}

pub(super) fn code_create(place: &Place) -> Attempt {
    create(place.own_release("planted"))
}

pub(super) fn code_remove(place: &Place) -> Attempt {
    fs::remove_file(place.own_release(SPARE))?;
    done("removed")
}

pub(super) fn exe_overwrite(_: &Place) -> Attempt {
    open_to_write("/proc/self/exe")
}

pub(super) fn data_run(place: &Place) -> Attempt {
    let path = place.own_data("written-program");
    fs::write(&path, fs::read("/proc/self/exe")?)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    let ran = run(&path);
    fs::remove_file(&path)?;
    ran
}

const PAGE: i64 = 4096;

pub(super) fn data_map(place: &Place) -> Attempt {
    let path = place.own_data("written-code");
    fs::write(&path, vec![0xc3; 4096])?;
    let file = File::open(&path)?;
    fs::remove_file(&path)?;
    let how = libc::PROT_READ | libc::PROT_EXEC;
    let map = [NULL, Arg::Int(PAGE), Arg::Int(how.into()), Arg::Int(libc::MAP_PRIVATE.into()), fd(&file), NULL];
    passed(call(libc::SYS_mmap, map), &[])
}

pub(super) fn memory_run(_: &Place) -> Attempt {
    let mut file = File::from(memfd_create("program", MemfdFlags::CLOEXEC)?);
    file.write_all(&fs::read("/proc/self/exe")?)?;
    let read_only = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    drop(file);
    run(format!("/proc/self/fd/{}", read_only.as_raw_fd()))
}

pub(super) fn code_made(_: &Place) -> Attempt {
    let how = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let what = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let map = [NULL, Arg::Int(PAGE), Arg::Int(how.into()), Arg::Int(what.into()), Arg::Int(-1), NULL];
    passed(call(libc::SYS_mmap, map), &[])
}

/// Writes what is there already, into code that is only to be executed.
pub(super) fn memory_change(_: &Place) -> Attempt {
    let code = memory_change as fn(&Place) -> Attempt as usize as u64;
    let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
    let mut byte = [0];
    memory.read_exact_at(&mut byte, code)?;
    memory.write_all_at(&byte, code)?;
    done("a byte of its code was written")
}

/// Standard error is the log.
pub(super) fn log_cut(_: &Place) -> Attempt {
    rustix::fs::ftruncate(io::stderr(), 0)?;
    done("the log is empty")
}

/// Root who has lost nothing becomes the neighbour.
pub(super) fn become_root(place: &Place) -> Attempt {
    let to = if getuid().is_root() { i64::from(place.neighbour.uid()) } else { 0 };
    passed(call(libc::SYS_setresuid, [Arg::Int(to), Arg::Int(to), Arg::Int(to)]), &[])
}

pub(super) fn become_group(place: &Place) -> Attempt {
    let groups = place.neighbour.uid().to_ne_bytes();
    passed(call(libc::SYS_setgroups, [Arg::Int(1), Arg::In(&groups)]), &[])
}

pub(super) fn become_domain(place: &Place) -> Attempt {
    let mut file = File::options().write(true).open("/proc/thread-self/attr/exec")?;
    file.write_all(place.neighbour.run_context(false).as_bytes())?;
    done("written")
}

pub(super) fn file_give(place: &Place) -> Attempt {
    let path = place.own_data("gift");
    File::create(&path)?;
    let (uid, gid) = (Uid::from_raw(place.neighbour.uid()), Gid::from_raw(place.neighbour.uid()));
    let given = rustix::fs::chown(&path, Some(uid), Some(gid));
    fs::remove_file(&path)?;
    given?;
    done("given")
}

/// Lowers the limit first, since it may have been unlimited.
pub(super) fn limit_raise(_: &Place) -> Attempt {
    let to = |value| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::Core, to(0))?;
    setrlimit(Resource::Core, to(1))?;
    done("raised")
}
