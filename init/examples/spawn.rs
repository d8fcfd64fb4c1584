//! Measures how long it takes from the call until a program in a slot runs, beside other ways to do nearly the same.
//! Used by `benches/spawn.sh`, as root.
//!
//! `spawn slot <folder> <count>` starts `<folder>/release/payload` as init starts a tenant's program;
//! `spawn command <count> <program> <argument>...` starts a command, in which `{n}` is the round;
//! `spawn payload` is what is started: it writes one byte. The time runs from before the start (for a slot: before its
//! cgroup is made) until that byte is there. Prints the fastest, the median and the 90th percentile in microseconds.

use std::error::Error;
use std::ffi::CString;
use std::fs::File;
use std::io::{PipeReader, Read, Write, pipe};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use caps::CapsHashSet;
use kennel_init::child::root::{Root, TenantRoot};
use kennel_init::child::seccomp::Filters;
use kennel_init::child::seccomp::table::Kind;
use kennel_init::child::{self, Plan, Program};
use kennel_model::SlotId;
use kennel_sys::clone::Namespaces;
use rustix::process::{Resource, WaitOptions, waitpid};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let times = match args.as_slice() {
        ["payload"] => return Ok(std::io::stdout().write_all(b"x")?),
        ["slot", folder, count] => Slot::new(folder)?.measure(count.parse()?)?,
        ["command", count, program, arguments @ ..] => commands(count.parse()?, program, arguments)?,
        _ => return Err("usage: spawn slot <folder> <count> | spawn command <count> <program> ...".into()),
    };
    report(times)
}

fn report(mut times: Vec<Duration>) -> Result<()> {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).ok_or("nothing was measured");
    println!("{} {} {}", at(0)?.as_micros(), at(50)?.as_micros(), at(90)?.as_micros());
    Ok(())
}

/// Until the payload's byte is there.
fn first_byte(mut from: PipeReader, began: Instant) -> Result<Duration> {
    from.read_exact(&mut [0]).map_err(|e| format!("the payload did not run: {e}"))?;
    Ok(began.elapsed())
}

/// A slot's surroundings.
struct Slot {
    folder: String,
    filters: Filters,
    null: File,
}

impl Slot {
    fn new(folder: &str) -> Result<Self> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        Ok(Self { folder: folder.to_owned(), filters: Filters::compile()?, null })
    }

    fn measure(&self, count: usize) -> Result<Vec<Duration>> {
        (0..count).map(|_| self.once()).collect()
    }

    fn once(&self) -> Result<Duration> {
        let (reader, writer) = pipe()?;
        let began = Instant::now();
        let group = "/sys/fs/cgroup/kennel-bench-slot";
        std::fs::create_dir(group)?;
        let cgroup = File::open(group)?;
        let plan = self.plan(&cgroup, &writer)?;
        let started = child::start(plan)?;
        drop(writer);
        let time = first_byte(reader, began);
        waitpid(Some(started.pid), WaitOptions::empty())?;
        std::fs::remove_dir(group)?;
        time
    }

    /// As `slot::launch` makes it, but for the domain: measured where there need not be SELinux.
    fn plan<'a>(&'a self, cgroup: &'a File, stdout: &'a impl AsFd) -> Result<Plan<'a>> {
        let part = |name: &str| format!("{}/{name}", self.folder);
        let slot = SlotId::new(900)?;
        let root = TenantRoot {
            runtime: part("runtime"),
            release: part("release"),
            builds: false,
            data: part("data"),
            devices: part("dev"),
            resolv_conf: part("resolv.conf"),
            tmp_options: CString::new("mode=1777,size=16777216,nr_inodes=4096")?,
        };
        Ok(Plan {
            program: Program::Paths(vec![CString::new("/app/payload")?]),
            argv: vec![CString::new("payload")?, CString::new("payload")?],
            env: vec![CString::new("PATH=/usr/bin")?, CString::new(format!("PORT={}", slot.port()))?],
            descriptors: vec![self.null.as_fd(), stdout.as_fd(), self.null.as_fd()],
            cgroup: Some(cgroup.as_fd()),
            namespaces: Namespaces::LOCAL,
            root: Some(Root::Tenant(root)),
            host_name: Some("bench".into()),
            limits: vec![(Resource::Nofile, 1024), (Resource::Core, 0)],
            uid: slot.uid(),
            capabilities: CapsHashSet::new(),
            context: None,
            fence: None,
            no_new_code: false,
            filter: Some(self.filters.of(Kind::Plain)),
            oom_score: 0,
        })
    }
}

fn commands(count: usize, program: &str, arguments: &[&str]) -> Result<Vec<Duration>> {
    (0..count).map(|round| command(round, program, arguments)).collect()
}

fn command(round: usize, program: &str, arguments: &[&str]) -> Result<Duration> {
    let (reader, writer) = pipe()?;
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|a| a.replace("{n}", &round.to_string())));
    command.stdin(Stdio::null()).stdout(writer);
    let began = Instant::now();
    let mut child = command.spawn()?;
    // Its copy of the pipe's end, so that a payload that never runs is an error and not a wait.
    drop(command);
    let time = first_byte(reader, began);
    child.wait()?;
    time
}
