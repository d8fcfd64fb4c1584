//! Control groups: the tree, the limits of a slot, the end of a group. Plain files of cgroup2: cgroups-rs would do a
//! part of it (no `memory.oom.group`, no events) at the price of a D-Bus client in PID 1.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use kennel_model::Limits;
use rustix::io::Errno;

use crate::fs::{read, write};
use crate::step::{Failed, Step};

/// Where cgroup2 is mounted.
pub const ROOT: &str = "/sys/fs/cgroup";
/// Parent of the slots' programs.
pub const TENANTS: &str = "tenants";
/// Parent of the slots' tasks.
pub const TASKS: &str = "tasks";
/// Parent of what fetches releases' packages.
pub const BUILDS: &str = "builds";
/// Parent of `kennel-unpack` at work in slots.
pub const INSTALLS: &str = "installs";
/// Parent of the services.
pub const SERVICES: &str = "services";

/// `kennel-unpack` handles one entry at a time; what it writes counts too until it is on disk.
const INSTALL_MEMORY: u64 = 96 << 20;

/// What a build may use of memory, and of swap; where that is not enough, it ends.
const BUILD_MEMORY: u64 = 512 << 20;

/// Processes and threads of a build.
const BUILD_PIDS: u64 = 128;

/// A deploy can wait; requests cannot.
const INSTALL_WEIGHT: u16 = 50;

/// What the parents get of processor and disk beside each other, when all want some. Every request passes the proxy twice
/// and needs little each time: when tenants take the rest of the machine, it is not to stand in line with them. Installs
/// are few, and together less than the tenants; and so are tasks, which nobody's visitor waits for, and builds, which are the longest.
const PARENTS: [(&str, u16); 5] = [(TENANTS, 100), (TASKS, 50), (INSTALLS, 25), (BUILDS, 10), (SERVICES, 1000)];

/// What has gone to swap of a group's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Some of it.
    Some,
    /// Nothing this time: the kernel found what was asked for among its own objects that it keeps for the group.
    Nothing,
    /// Nothing: the kernel found less than what was asked for. All has gone that can, or is on its way to a disk.
    Refused,
    /// There is none left.
    All,
}

/// One control group, by its path below [`ROOT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
}

/// Makes the parents, with the controllers that slots need.
///
/// # Errors
/// The system's.
pub fn make_tree() -> Result<(), Failed> {
    let controllers = "+cpu +memory +pids +io";
    write(format!("{ROOT}/cgroup.subtree_control"), controllers)?;
    for (name, weight) in PARENTS {
        let parent = Cgroup::at(name);
        parent.make()?;
        write(parent.path.join("cgroup.subtree_control"), controllers)?;
        parent.share(weight)?;
        // What each of its children is spared, if anything, is said there: it counts as far as the parent's covers it.
        write(parent.path.join("memory.low"), "max")?;
    }
    // A slot's reservation counts as far as its parent's covers it; control sees to it that not too much is reserved.
    write(Cgroup::at(TENANTS).path.join("memory.min"), "max")
}

/// Makes the kernel share a disk by `io.weight`: by the estimated cost of each request (io.cost), whatever scheduler the
/// disk has. Virtual disks and NVMe, which is all that there is in QEMU and EC2, come with none that knows groups.
///
/// # Errors
/// The system's.
pub fn weigh_disk(device: u64) -> Result<(), Failed> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    write(format!("{ROOT}/io.cost.qos"), format!("{major}:{minor} enable=1 ctrl=auto"))
}

impl Cgroup {
    /// The group at this path below [`ROOT`].
    pub fn at(path: &str) -> Self {
        Self { path: PathBuf::from(ROOT).join(path) }
    }

    /// Makes it anew. One that is left over is removed first, not reused: in a group that `cgroup.kill` was ever used on,
    /// Linux 6.12 kills every process that is cloned into it.
    ///
    /// # Errors
    /// The system's; `EEXIST` when something still runs in it.
    pub fn make(&self) -> Result<(), Failed> {
        self.remove()?;
        fs::create_dir(&self.path).step(|| format!("make {}", self.path.display()))
    }

    /// Makes it unless it is there.
    ///
    /// # Errors
    /// The system's.
    pub fn make_once(&self) -> Result<(), Failed> {
        match fs::create_dir(&self.path) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(Failed::new(format!("make {}", self.path.display()), e))
            }
            _ => Ok(()),
        }
    }

    /// The folder, for a clone into it.
    ///
    /// # Errors
    /// The system's.
    pub fn open(&self) -> Result<File, Failed> {
        File::open(&self.path).step(|| format!("open {}", self.path.display()))
    }

    /// Sets a tenant's limits.
    ///
    /// # Errors
    /// The first that the kernel refused.
    pub fn limit(&self, limits: &Limits) -> Result<(), Failed> {
        let memory = limits.memory_max_bytes;
        // A little below the hard limit it is slowed down and reclaimed from, before anything is killed.
        self.set("memory.high", memory - memory / 16)?;
        self.set("memory.max", memory)?;
        self.set("memory.min", limits.memory_reserved_bytes)?;
        self.spare(true)?;
        self.set("memory.swap.max", limits.swap_max_bytes)?;
        // A program of several processes ends as a whole rather than limping on.
        self.set("memory.oom.group", 1)?;
        self.set("pids.max", limits.pids_max.into())?;
        self.share(limits.cpu_weight)
    }

    /// Sets the limits of all tasks of a slot together. Where memory runs out one of them ends, not all.
    ///
    /// # Errors
    /// The first that the kernel refused.
    pub fn limit_tasks(&self, limits: &Limits) -> Result<(), Failed> {
        self.limit(&Limits { memory_reserved_bytes: 0, ..*limits })?;
        self.set("memory.oom.group", 0)
    }

    /// Sets the limits of a build. Its memory is the first that the kernel turns to.
    ///
    /// # Errors
    /// The first that the kernel refused.
    pub fn limit_build(&self) -> Result<(), Failed> {
        self.set("memory.high", BUILD_MEMORY - BUILD_MEMORY / 16)?;
        self.set("memory.max", BUILD_MEMORY)?;
        self.set("memory.swap.max", BUILD_MEMORY)?;
        self.set("memory.oom.group", 1)?;
        self.set("pids.max", BUILD_PIDS)
    }

    /// Sets the limits of `kennel-unpack`.
    ///
    /// # Errors
    /// The first that the kernel refused.
    pub fn limit_install(&self) -> Result<(), Failed> {
        self.set("memory.max", INSTALL_MEMORY)?;
        self.set("memory.swap.max", 0)?;
        self.set("pids.max", 4)?;
        self.share(INSTALL_WEIGHT)
    }

    /// Sets what it gets of the processors, and of the disks that [`weigh_disk`] was called for, beside its siblings. Shares,
    /// not a ceiling: what nobody else wants may be used.
    ///
    /// # Errors
    /// The system's.
    pub fn share(&self, weight: u16) -> Result<(), Failed> {
        self.set("cpu.weight", weight.into())?;
        write(self.path.join("io.weight"), format!("default {weight}"))
    }

    /// One of its files.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn set(&self, file: &str, value: u64) -> Result<(), Failed> {
        write(self.path.join(file), value.to_string())
    }

    /// How often something in it was killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        read(self.path.join("memory.events")).map_or(0, |text| field(&text, "oom_kill"))
    }

    /// SIGKILL to all that is in it.
    ///
    /// # Errors
    /// The system's; that it is gone is none.
    pub fn kill(&self) -> Result<(), Failed> {
        if self.path.exists() { write(self.path.join("cgroup.kill"), "1") } else { Ok(()) }
    }

    /// Lets none of its processes run, or lets them run again. The first takes until each has come out of the kernel; see
    /// [`Self::is_frozen`]. What is frozen is not spared when the kernel looks for memory.
    ///
    /// # Errors
    /// The system's; that it is gone is none.
    pub fn freeze(&self, freeze: bool) -> Result<(), Failed> {
        if !self.path.exists() {
            return Ok(());
        }
        write(self.path.join("cgroup.freeze"), if freeze { "1" } else { "0" })?;
        self.spare(!freeze)
    }

    /// Whether the kernel turns to its memory after others' (`memory.low`), whoever needs some. Counting ages by generations (MGLRU)
    /// it does so in the same round all the same, so this spares little; `memory.min` spares for certain.
    ///
    /// # Errors
    /// The system's.
    pub fn spare(&self, spare: bool) -> Result<(), Failed> {
        write(self.path.join("memory.low"), if spare { "max" } else { "0" })
    }

    /// Whether every process of it is frozen.
    pub fn is_frozen(&self) -> bool {
        read(self.path.join("cgroup.events")).is_ok_and(|text| field(&text, "frozen") == 1)
    }

    /// Moves up to this many bytes of its own memory to swap.
    ///
    /// What can be read again stays: that is the kernel's to drop when memory is short, and mostly the runtime's, which
    /// others read as well. Told to take memory of its own first, the kernel goes on to files when it finds no more, so it
    /// is never told to take more than there is.
    ///
    /// # Errors
    /// The system's.
    pub fn reclaim(&self, bytes: u64) -> Result<Given, Failed> {
        let stat = read(self.path.join("memory.stat"))?;
        // What has been written to a disk, or read from there, stays for a while, and is to go as well.
        let cached = |stat: &str| field(stat, "swapcached");
        let own = (field(&stat, "anon") + field(&stat, "shmem")).max(cached(&stat));
        if own == 0 {
            return Ok(Given::All);
        }
        let path = self.path.join("memory.reclaim");
        let before = self.swapped_bytes();
        // `memory.reclaim` in the kernel's cgroup-v2.rst: 200 of 200 for anonymous memory; EAGAIN when it was less.
        let order = format!("{} swappiness=200", bytes.min(own));
        match File::options().write(true).open(&path).and_then(|mut file| file.write_all(order.as_bytes())) {
            Err(e) if e.kind() != std::io::ErrorKind::WouldBlock => {
                Err(Failed::new(format!("write {}", path.display()), e))
            }
            _ if self.swapped_bytes() > before => Ok(Given::Some),
            written => {
                let left = cached(&read(self.path.join("memory.stat"))?);
                Ok(match written {
                    _ if left < cached(&stat) => Given::Some,
                    Ok(()) => Given::Nothing,
                    Err(_) => Given::Refused,
                })
            }
        }
    }

    /// Removes it if nothing is left in it; the answer says whether it is gone.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self) -> Result<bool, Failed> {
        match rustix::fs::rmdir(&self.path) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::BUSY) => Ok(false),
            Err(e) => Err(Failed::new(format!("remove {}", self.path.display()), e)),
        }
    }

    /// Its `cgroup.events`: has an urgent event (`EPOLLPRI`) when the last process has left, and when all are frozen.
    ///
    /// # Errors
    /// The system's.
    pub fn events(&self) -> Result<File, Failed> {
        let path = self.path.join("cgroup.events");
        File::open(&path).step(|| format!("open {}", path.display()))
    }
}

/// The number behind a key of a flat keyed file.
pub(super) fn field(text: &str, key: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value.and_then(|v| v.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_matched_whole() {
        let text = "low 0\nhigh 12\nmax 3\noom 2\noom_kill 5\noom_group_kill 1";
        assert_eq!(field(text, "oom"), 2);
        assert_eq!(field(text, "oom_kill"), 5);
        assert_eq!(field(text, "missing"), 0);
    }
}
