//! What a slot runs and within which limits. Control composes it, init validates it again and carries it out.

use serde::{Deserialize, Serialize};

use crate::command;
use crate::egress::{MAX_RULES, Ports};
use crate::env::EnvValue;
use crate::routes::{Crawlers, Https, Protocol, TrafficLimits};
use crate::{HealthPath, ReleaseId, RuntimeName, StaticFiles, TenantName};

/// Everything init needs to start a slot's program; kept by init in memory so that waking works without control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// For messages and the UTS host name inside.
    pub tenant: TenantName,
    /// Becomes the slot's root.
    pub runtime: RuntimeName,
    /// Its number, for the program, the proxy and messages.
    pub release: ReleaseId,
    /// The release whose files those are, mounted read-only on `/app`: itself, or the one that it shares them with because only
    /// its environment is its own.
    pub files: ReleaseId,
    /// Program and arguments. Relative programs are relative to `/app`; there is no search path. Empty where there is no program,
    /// only files that the proxy answers.
    pub argv: Vec<String>,
    /// Environment beyond what init sets itself (`PORT`, `HOME`, `PATH`, `KENNEL_TENANT`, `KENNEL_RELEASE`).
    pub env: Vec<(String, EnvValue)>,
    /// Limits of the slot's cgroup and process.
    pub limits: Limits,
    /// TCP ports that its egress list allows at some address: what Landlock lets it connect to beyond the default, see
    /// [`crate::egress::landlock_ports`].
    pub connect_ports: Vec<Ports>,
}

/// Limits of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// `memory.max`, in bytes.
    pub memory_max_bytes: u64,
    /// `memory.min`, in bytes: never taken from it, whoever else needs memory. What all tenants have reserved is within
    /// [`RESERVABLE_PERCENT`] of the machine.
    pub memory_reserved_bytes: u64,
    /// `memory.swap.max`, in bytes.
    pub swap_max_bytes: u64,
    /// `pids.max`: processes and threads together.
    pub pids_max: u32,
    /// `cpu.weight`, 1 to 10000; the kernel's default is 100.
    pub cpu_weight: u16,
    /// Processor time that it gets however many others want some, in percent of one processor; bounded as memory is.
    pub cpu_reserved_percent: u16,
    /// Size of the slot's `/tmp`, in bytes; what is in it counts as memory.
    pub tmp_max_bytes: u64,
    /// `RLIMIT_NOFILE`, soft and hard.
    pub open_files_max: u32,
    /// Project quota: bytes of all that the slot has on the data volume, releases, data and log together.
    pub disk_max_bytes: u64,
    /// Project quota: files and folders of all that.
    pub disk_max_inodes: u32,
    /// Bytes of one release, unpacked.
    pub release_max_bytes: u64,
    /// Files and folders of one release.
    pub release_max_entries: u32,
    /// How long the first request waits for the program to listen, once its turn to start has come, in milliseconds.
    pub start_timeout_ms: u32,
    /// Time between SIGTERM and SIGKILL, in milliseconds.
    pub stop_grace_ms: u32,
    /// How long nobody has to need it until it is frozen, in seconds; never when absent. Counted from the end of the last
    /// response, as the two below.
    pub freeze_after_s: Option<u32>,
    /// And until its memory is moved to swap; only what is frozen is.
    pub reclaim_after_s: Option<u32>,
    /// And until it is stopped; the next request starts it again.
    pub stop_after_s: Option<u32>,
    /// Started with the host, after a deploy and whenever it has ended, without being asked for; never stopped for idleness.
    pub always_on: bool,
    /// Whether crawlers wake it.
    pub crawlers: Crawlers,
    /// Whether a release first has to get ready beside the one that serves, and takes over only then. Not for what cannot run
    /// twice, as it locks its data.
    pub trial: bool,
    /// What is asked whether it is ready; without it, it is when its port accepts.
    pub health: Option<HealthPath>,
    /// What is spoken to its program.
    pub protocol: Protocol,
    /// What is done with requests that come without TLS for a name that there is a certificate for.
    pub https: Https,
    /// For how long browsers are told to come with TLS only (RFC 6797), in seconds; 0 says nothing of it.
    pub hsts_s: u32,
    /// Whether its answers say where their time went (`Server-Timing`), for whoever asks.
    pub server_timing: bool,
    /// What it may take of the proxy.
    pub traffic: TrafficLimits,
    /// Files of its release that are answered without it.
    pub static_files: Option<StaticFiles>,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            memory_max_bytes: 256 * MIB,
            memory_reserved_bytes: 0,
            swap_max_bytes: 512 * MIB,
            pids_max: 100,
            cpu_weight: 100,
            cpu_reserved_percent: 0,
            tmp_max_bytes: 64 * MIB,
            open_files_max: 4096,
            disk_max_bytes: 2048 * MIB,
            disk_max_inodes: 200_000,
            release_max_bytes: 512 * MIB,
            release_max_entries: 50_000,
            start_timeout_ms: 60_000,
            stop_grace_ms: 10_000,
            freeze_after_s: Some(30),
            reclaim_after_s: Some(120),
            stop_after_s: Some(3600),
            always_on: false,
            crawlers: Crawlers::Wake,
            trial: true,
            health: None,
            protocol: Protocol::Http1,
            https: Https::Redirect,
            hsts_s: 0,
            server_timing: false,
            traffic: TrafficLimits::default(),
            static_files: None,
        }
    }
}

/// Of memory and of processors; the rest is for the host itself and for those who have reserved nothing.
pub const RESERVABLE_PERCENT: u16 = 75;

/// Bounds on what a [`LaunchSpec`] may hold, so that one message stays below [`crate::msg::MAX_MESSAGE_BYTES`].
pub const MAX_ARGV_BYTES: usize = 8 << 10;
/// Bound on names and values of the environment together.
pub const MAX_ENV_BYTES: usize = 16 << 10;

/// Why a [`LaunchSpec`] was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLaunch {
    /// A program without a name.
    #[error("the command is empty")]
    NoCommand,
    /// A NUL byte would end the string early.
    #[error("a NUL byte in {0}")]
    Nul(&'static str),
    /// Over [`MAX_ARGV_BYTES`] or [`MAX_ENV_BYTES`].
    #[error("{0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
    /// A name that is empty or holds `=`.
    #[error("environment name {0:?} is not valid")]
    EnvName(String),
    /// More ranges of ports than an egress list has rules.
    #[error("more than {MAX_RULES} ranges of ports to connect to")]
    TooManyPorts,
    /// A limit outside what the kernel or the design takes.
    #[error("limit {0} is out of range")]
    Limit(&'static str),
}

impl LaunchSpec {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`InvalidLaunch`] names the first thing found wrong.
    pub fn validate(&self) -> Result<(), InvalidLaunch> {
        command::check(&self.argv)?;
        if self.env.iter().any(|(k, v)| k.contains('\0') || v.expose().contains('\0')) {
            return Err(InvalidLaunch::Nul("the environment"));
        }
        if let Some((name, _)) = self.env.iter().find(|(k, _)| k.is_empty() || k.contains('=')) {
            return Err(InvalidLaunch::EnvName(name.clone()));
        }
        if self.env.iter().map(|(k, v)| k.len() + v.expose().len() + 2).sum::<usize>() > MAX_ENV_BYTES {
            return Err(InvalidLaunch::TooLong("the environment", MAX_ENV_BYTES));
        }
        if self.connect_ports.len() > MAX_RULES {
            return Err(InvalidLaunch::TooManyPorts);
        }
        self.limits.validate()
    }
}

impl Limits {
    /// # Errors
    /// [`InvalidLaunch::Limit`] names the limit.
    pub fn validate(&self) -> Result<(), InvalidLaunch> {
        let bad = |name| Err(InvalidLaunch::Limit(name));
        match self {
            l if l.memory_max_bytes < 4 << 20 => bad("memory_max_bytes"),
            l if l.memory_reserved_bytes > l.memory_max_bytes => bad("memory_reserved_bytes"),
            l if !(1..=32_768).contains(&l.pids_max) => bad("pids_max"),
            l if !(1..=10_000).contains(&l.cpu_weight) => bad("cpu_weight"),
            l if l.tmp_max_bytes < 4096 => bad("tmp_max_bytes"),
            l if !(16..=1_048_576).contains(&l.open_files_max) => bad("open_files_max"),
            l if l.disk_max_bytes < 1 << 20 => bad("disk_max_bytes"),
            l if l.disk_max_inodes < 64 => bad("disk_max_inodes"),
            l if !(100..=600_000).contains(&l.start_timeout_ms) => bad("start_timeout_ms"),
            l if l.traffic.requests_max == 0 => bad("traffic.requests_max"),
            l if l.stop_grace_ms > 60_000 => bad("stop_grace_ms"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> EnvValue {
        EnvValue::new(text).unwrap()
    }

    fn spec() -> LaunchSpec {
        LaunchSpec {
            tenant: TenantName::new("blog").unwrap(),
            runtime: RuntimeName::new("node-24").unwrap(),
            release: ReleaseId(1),
            files: ReleaseId(1),
            argv: vec!["/usr/bin/node".into(), "server.js".into()],
            env: vec![("NODE_ENV".into(), value("production"))],
            limits: Limits::default(),
            connect_ports: vec![],
        }
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(spec().validate(), Ok(()));
        assert_eq!(LaunchSpec { argv: vec![], ..spec() }.validate(), Ok(()), "files only");
    }

    #[test]
    fn no_debug_text_has_a_secret() {
        let spec = LaunchSpec { env: vec![("KEY".into(), value("hunter2"))], ..spec() };
        assert!(!format!("{spec:?}").contains("hunter2"));
    }

    #[test]
    fn each_fault_is_named() {
        let broken = |f: fn(&mut LaunchSpec)| {
            let mut s = spec();
            f(&mut s);
            s.validate().unwrap_err()
        };
        assert_eq!(broken(|s| s.argv[0].clear()), InvalidLaunch::NoCommand);
        assert_eq!(broken(|s| s.argv.push("a\0b".into())), InvalidLaunch::Nul("the command"));
        assert_eq!(broken(|s| s.env.push(("A=B".into(), value("")))), InvalidLaunch::EnvName("A=B".into()));
        assert_eq!(
            broken(|s| s.argv.push("x".repeat(MAX_ARGV_BYTES))),
            InvalidLaunch::TooLong("the command", MAX_ARGV_BYTES)
        );
        assert_eq!(
            broken(|s| s.connect_ports = Ports::new(80, 80).into_iter().cycle().take(21).collect()),
            InvalidLaunch::TooManyPorts
        );
        assert_eq!(broken(|s| s.limits.pids_max = 0), InvalidLaunch::Limit("pids_max"));
    }
}
