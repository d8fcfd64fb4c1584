//! Root, with capabilities, in every domain of the host: tries what the sealed policy refuses to everybody, and says
//! on the console how it went. Only the test image has it. Init starts it as a service in `probe_t`; it becomes
//! `init_t`, tries there, and then starts itself in each of the other domains (`tests/policy/probe.cil`).
//!
//! Lines on the console: `probe: <domain> <act> <errno, or "done">` for each act, `probe: <domain> ended badly` for a
//! domain that could not be entered, and `probe: finished`. After that it kills the proxy and control, once each, and
//! counts now and then what tenants leave on the host (`probe: census …`).

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount_remount};
use std::error::Error;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Before each kill: long enough to onboard a tenant under emulation.
const KILL_PAUSE: Duration = Duration::from_secs(45);
/// Between two counts.
const CENSUS_PAUSE: Duration = Duration::from_secs(15);
const SELF: &str = "/usr/sbin/kennel-probe";
/// Every domain but `init_t`, from which they are entered.
const DOMAINS: [&str; 8] = [
    "kernel_t",
    "proxy_t",
    "control_t",
    "dhcp_t",
    "iptables_t",
    "fsck_t",
    "tenant0000_t",
    "tenant0000_install_t",
];

type Act = fn() -> Result<(), Errno>;

/// What nobody may, by name.
const ACTS: [(&str, Act); 6] = [
    ("load_policy", || write("/sys/fs/selinux/load", b"\x8c\xff\x7c\xf9")),
    ("setenforce", || write("/sys/fs/selinux/enforce", b"0")),
    ("setbool", || write("/sys/fs/selinux/commit_pending_bools", b"1")),
    ("remount", || mount_remount("/", MountFlags::empty(), "")),
    ("bind_remount", || mount_remount("/", MountFlags::BIND, "")),
    ("write_root_disk", || open("/dev/vda").map(|_| ())),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("FAILED {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let domain = domain()?;
    match domain.as_str() {
        // Which domain it is in after that, the policy says.
        "probe_t" => Err(Command::new(SELF).exec().into()),
        "init_t" if std::env::args().len() == 1 => everywhere(),
        _ => {
            attempt(&domain);
            Ok(())
        }
    }
}

/// From `init_t`: here, then in every other domain.
fn everywhere() -> Result<(), Box<dyn Error>> {
    // Kept to the end, or init would take this service for broken; not for the children.
    let _channel = kennel_sys::inherited::take(kennel_sys::inherited::FIRST)?;
    attempt("init_t");
    for domain in DOMAINS {
        let context = format!("system_u:system_r:{domain}");
        std::fs::write("/proc/thread-self/attr/exec", context)?;
        let status = Command::new(SELF).arg(domain).status();
        std::fs::write("/proc/thread-self/attr/exec", "\n")?;
        if !status.is_ok_and(|status| status.success()) {
            say(&format!("{domain} ended badly"));
        }
    }
    say("finished");
    for service in ["kennel-proxy", "kennel-control"] {
        std::thread::sleep(KILL_PAUSE);
        match kill(service) {
            Ok(pid) => say(&format!("killed {service} ({pid})")),
            Err(error) => say(&format!("FAILED to kill {service}: {error}")),
        }
    }
    // The host is ready only when all its services are up, this one too: so it stays, and counts.
    let mut chronyd_lives = true;
    loop {
        // It is there on hosts that ask somebody for the time.
        if chronyd_lives && let Ok(pid) = kill("chronyd") {
            say(&format!("killed chronyd ({pid})"));
            chronyd_lives = false;
        }
        match census() {
            Ok(counts) => say(&format!("census {counts}")),
            Err(error) => say(&format!("FAILED to count: {error}")),
        }
        std::thread::sleep(CENSUS_PAUSE);
    }
}

/// SIGKILL to a service, by the name of its program.
fn kill(service: &str) -> Result<i32, Box<dyn Error>> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        // The kernel keeps the first fifteen bytes of a name.
        if name.trim_end() == &service[..service.len().min(15)] {
            let process = rustix::process::Pid::from_raw(pid).ok_or("process 0")?;
            rustix::process::kill_process(process, rustix::process::Signal::KILL)?;
            return Ok(pid);
        }
    }
    Err("no such process".into())
}

/// What tenants could leave behind: mounts, cgroups, folders of slots.
fn census() -> Result<String, Box<dyn Error>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?.lines().count();
    let folders = |path: &str| -> Result<usize, Box<dyn Error>> {
        let entries = std::fs::read_dir(path)?.flatten();
        Ok(entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir())).count())
    };
    let (cgroups, slots) = (folders("/sys/fs/cgroup/tenants")?, folders("/data/slots")?);
    Ok(format!("mounts={mounts} cgroups={cgroups} slots={slots}"))
}

fn attempt(domain: &str) {
    for (act, attempt) in ACTS {
        match attempt() {
            Ok(()) => say(&format!("{domain} {act} done")),
            Err(errno) => say(&format!("{domain} {act} {}", name(errno))),
        }
    }
}

/// Says one line on the console, in one call: standard error has no buffer, and the console is everybody's.
fn say(text: &str) {
    use std::io::Write;
    let _ = std::io::stderr().lock().write_all(format!("probe: {text}\n").as_bytes());
}

/// The error's name in errno(3), for those that a refusal can have.
fn name(errno: Errno) -> String {
    match errno {
        Errno::ACCESS => "EACCES".into(),
        Errno::PERM => "EPERM".into(),
        Errno::ROFS => "EROFS".into(),
        Errno::NOENT => "ENOENT".into(),
        other => format!("error-{}", other.raw_os_error()),
    }
}

/// The type in this process's context.
fn domain() -> Result<String, Box<dyn Error>> {
    let context = std::fs::read_to_string("/proc/thread-self/attr/current")?;
    let domain = context.trim_end_matches('\0').split(':').nth(2);
    Ok(domain.ok_or(format!("odd context {context:?}"))?.to_owned())
}

fn open(path: &str) -> Result<rustix::fd::OwnedFd, Errno> {
    rustix::fs::openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
}

fn write(path: &str, bytes: &[u8]) -> Result<(), Errno> {
    rustix::io::write(open(path)?, bytes).map(|_| ())
}
