//! From a [`LaunchSpec`] to the plan of a tenant's process: of its program, of a task beside it, or of what fetches a release's packages.
//! Only composes; nothing is started here.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::Path;

use caps::CapsHashSet;
use kennel_model::layout::{RESOLV_CONF, RUNTIME_MOUNTS, RuntimeFacts, slot_dirs};
use kennel_model::slot::FileKind;
use kennel_model::{LaunchSpec, Limits, SlotId, egress};
use kennel_sys::clone::Namespaces;
use rustix::process::Resource;

use super::folders;
use crate::child::landlock::{self, Fence};
use crate::child::root::{Root, TenantRoot};
use crate::child::seccomp::Filters;
use crate::child::seccomp::table::Kind;
use crate::child::{Plan, Program};
use crate::step::{Failed, Step};

/// Prepared by the boot: what every slot sees as `/dev`.
pub const SLOT_DEVICES: &str = "/run/slot-dev";

/// What every child of this file needs from the host.
#[derive(Debug)]
pub struct Surroundings {
    /// `/dev/null`.
    pub null: File,
    /// Compiled once.
    pub filters: Filters,
    /// What the image says of its runtimes.
    pub runtimes: Vec<RuntimeFacts>,
}

/// What differs between a tenant's program and a task beside it.
#[derive(Debug)]
pub struct Role<'a> {
    /// Where its program may be, the best first.
    pub programs: Vec<String>,
    /// Its arguments, its name among them.
    pub argv: &'a [String],
    /// Its `PORT`.
    pub port: u16,
    /// Its descriptors 0, 1 and 2.
    pub stdio: [BorrowedFd<'a>; 3],
    /// It fetches the packages of the release.
    pub builds: bool,
}

/// The plan of a tenant's program, or of a task beside it. Fails before anything has been done when a part of it is missing.
///
/// # Errors
/// Says what is missing or not valid.
pub fn tenant<'a>(
    slot: SlotId,
    spec: &LaunchSpec,
    role: Role<'a>,
    cgroup: BorrowedFd<'a>,
    around: &'a Surroundings,
) -> Result<Plan<'a>, Failed> {
    if spec.argv.is_empty() {
        return Err(Failed::new("find the program", "the release has files only"));
    }
    let limits = spec.limits;
    let (release, data) = if role.builds {
        let inside = |name| format!("{}/{name}", folders::build(slot));
        (inside(slot_dirs::BUILD_APP), inside(slot_dirs::BUILD_CACHE))
    } else {
        (folders::release(slot, spec.files), folders::data(slot))
    };
    let root = TenantRoot {
        runtime: format!("{RUNTIME_MOUNTS}/{}", spec.runtime),
        release,
        builds: role.builds,
        data,
        devices: SLOT_DEVICES.to_owned(),
        resolv_conf: RESOLV_CONF.to_owned(),
        tmp_options: text(tmp_options(slot, &limits))?,
    };
    present("runtime", &root.runtime)?;
    present("release", &root.release)?;
    let jit = makes_code(spec, around);
    let plan = Plan {
        program: Program::Paths(role.programs.into_iter().map(text).collect::<Result<_, _>>()?),
        argv: role.argv.iter().map(|a| text(a.as_str())).collect::<Result<_, _>>()?,
        env: environment(spec, (role.port, role.builds), &around.runtimes)
            .into_iter()
            .map(text)
            .collect::<Result<_, _>>()?,
        descriptors: role.stdio.to_vec(),
        cgroup: Some(cgroup),
        namespaces: Namespaces::LOCAL,
        root: Some(Root::Tenant(root)),
        host_name: Some(spec.tenant.to_string()),
        limits: bounds(limits.open_files_max.into()),
        uid: slot.uid(),
        capabilities: CapsHashSet::new(),
        context: Some(slot.run_context(jit)),
        fence: Some(fence(slot, spec, role.builds)),
        no_new_code: !jit,
        filter: Some(around.filters.of(if jit { Kind::Jit } else { Kind::Plain })),
        oom_score: 0,
    };
    #[cfg(feature = "proof")]
    let plan = crate::proof::open(slot, spec, plan)?;
    Ok(plan)
}

/// Whether its programs make code while they run, which decides their domain's role.
pub fn makes_code(spec: &LaunchSpec, around: &Surroundings) -> bool {
    around.runtimes.iter().any(|runtime| runtime.name == spec.runtime && runtime.jit)
}

/// What bounds a process beside its cgroup. Not among these: the number of processes and the size of memory, which the
/// cgroup counts better; and the size of a file, which the project quota bounds without ending the program by a signal.
pub(super) fn bounds(open_files: u64) -> Vec<(Resource, u64)> {
    vec![
        (Resource::Nofile, open_files),
        // Its memory is nobody's to find in a file.
        (Resource::Core, 0),
        // Queues would outlive the program.
        (Resource::Msgqueue, 0),
        // Enough for keys; more would be memory that is never reclaimed.
        (Resource::Memlock, 64 << 10),
        // Signals and timers that wait are the kernel's memory.
        (Resource::Sigpending, 1024),
        // It comes before nobody.
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
    ]
}

/// Its own ports to listen on, unless it `builds`; to connect to, those that its egress list allows at some address.
fn fence(slot: SlotId, spec: &LaunchSpec, builds: bool) -> Fence {
    let connect = egress::landlock_ports(slot, &spec.connect_ports);
    Fence {
        places: if builds { landlock::BUILD } else { landlock::TENANT },
        bind: if builds { vec![] } else { (slot.port()..=slot.last_port()).collect() },
        connect: connect.map(|ports| ports.into_iter().collect()),
    }
}

/// The program as the kernel and a person see it.
pub fn program_path(spec: &LaunchSpec) -> String {
    let program = spec.argv.first().map_or("", String::as_str);
    if program.starts_with('/') { program.to_owned() } else { format!("/app/{program}") }
}

/// Where a task's program may be: one that is named without a folder is looked for in the runtime, which a tenant's own
/// program never is.
pub fn task_programs(spec: &LaunchSpec) -> Vec<String> {
    match spec.argv.first() {
        Some(name) if !name.contains('/') => {
            ["/usr/local/bin", "/usr/bin", "/bin"].iter().map(|folder| format!("{folder}/{name}")).collect()
        }
        _ => vec![program_path(spec)],
    }
}

fn tmp_options(slot: SlotId, limits: &Limits) -> String {
    let label = slot.file_context(FileKind::Tmp);
    // As many files as there are pages, and no more: names cost memory too.
    let files = (limits.tmp_max_bytes / 4096).max(16);
    format!("mode=1777,size={},nr_inodes={files},rootcontext={label}", limits.tmp_max_bytes)
}

/// Init's own part comes first and the runtime's next, so that what the tenant sets wins, but for what says who it is.
fn environment(spec: &LaunchSpec, (port, builds): (u16, bool), runtimes: &[RuntimeFacts]) -> Vec<String> {
    // Packages are larger than what fits into memory.
    let temporary = if builds { "/data" } else { "/tmp" };
    let preset = [
        ("HOST", "127.0.0.1".to_owned()),
        ("HOME", "/data".to_owned()),
        ("TMPDIR", temporary.to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
    ];
    let of_runtime = runtimes.iter().filter(|runtime| runtime.name == spec.runtime).flat_map(|r| &r.env);
    let fixed = [
        ("PORT", port.to_string()),
        ("KENNEL_TENANT", spec.tenant.to_string()),
        ("KENNEL_RELEASE", spec.release.0.to_string()),
    ];
    let is_set = |name: &str| spec.env.iter().any(|(n, _)| n == name);
    let is_fixed = |name: &str| fixed.iter().any(|(n, _)| *n == name);
    let preset =
        preset.iter().map(|(n, v)| (*n, v)).filter(|(n, _)| !of_runtime.clone().any(|(o, _)| o.as_str() == *n));
    let preset = preset.chain(of_runtime.clone().map(|(n, v)| (n.as_str(), v)));
    let preset = preset.filter(|(n, _)| !is_set(n)).map(|(n, v)| format!("{n}={v}"));
    let own = spec.env.iter().filter(|(n, _)| !is_fixed(n)).map(|(n, v)| format!("{n}={}", v.expose()));
    let fixed = fixed.iter().map(|(n, v)| format!("{n}={v}"));
    preset.chain(own).chain(fixed).collect()
}

pub(super) fn present(what: &str, path: &str) -> Result<(), Failed> {
    if Path::new(path).is_dir() {
        return Ok(());
    }
    Err(Failed::new(format!("find the {what}"), format!("{path} does not exist")))
}

pub(crate) fn text(value: impl Into<Vec<u8>>) -> Result<CString, Failed> {
    CString::new(value).step(|| "prepare the program's start".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::env::EnvValue;
    use kennel_model::{ReleaseId, RuntimeName, TenantName};

    fn spec(program: &str, env: &[(&str, &str)]) -> LaunchSpec {
        LaunchSpec {
            tenant: TenantName::new("blog").unwrap(),
            runtime: RuntimeName::new("node-24").unwrap(),
            release: ReleaseId(7),
            files: ReleaseId(7),
            argv: vec![program.into()],
            env: env.iter().map(|(n, v)| ((*n).into(), EnvValue::new(*v).unwrap())).collect(),
            limits: Limits::default(),
            connect_ports: vec![],
        }
    }

    #[test]
    fn relative_programs_are_the_releases() {
        assert_eq!(program_path(&spec("server", &[])), "/app/server");
        assert_eq!(program_path(&spec("/usr/bin/node", &[])), "/usr/bin/node");
        assert_eq!(task_programs(&spec("./job", &[])), ["/app/./job"]);
        assert_eq!(task_programs(&spec("node", &[])), ["/usr/local/bin/node", "/usr/bin/node", "/bin/node"]);
    }

    #[test]
    fn a_tenant_may_change_its_environment_but_not_who_it_is() {
        let slot = SlotId::new(3).unwrap();
        let of = |name: &str, env: &[(&str, &str)]| RuntimeFacts {
            name: RuntimeName::new(name).unwrap(),
            version: String::new(),
            default_command: vec![],
            jit: false,
            env: env.iter().map(|(n, v)| (n.parse().unwrap(), (*v).to_owned())).collect(),
            build: None,
        };
        let runtimes = [
            of("node-24", &[("NODE_ENV", "production"), ("COLOUR", "grey"), ("LANG", "C")]),
            of("python-3.13", &[("PYTHONPATH", "/app")]),
        ];
        let own = [("HOST", "::"), ("PORT", "80"), ("COLOUR", "blue")];
        let env = environment(&spec("x", &own), (slot.port(), false), &runtimes);
        assert!(!env.iter().any(|variable| variable.starts_with("PYTHONPATH")), "another runtime's: {env:?}");
        for (name, value) in [
            ("HOST", "::"),
            ("PORT", "20024"),
            ("COLOUR", "blue"),
            ("HOME", "/data"),
            ("KENNEL_RELEASE", "7"),
            ("NODE_ENV", "production"),
            ("LANG", "C"),
        ] {
            let all: Vec<_> = env.iter().filter(|e| e.starts_with(&format!("{name}="))).collect();
            assert_eq!(all, [&format!("{name}={value}")]);
        }
        let of_build = environment(&spec("x", &own), (slot.port(), true), &runtimes);
        let temporary = |env: &[String]| env.iter().find(|e| e.starts_with("TMPDIR=")).cloned();
        assert_eq!(
            (temporary(&env).unwrap().as_str(), temporary(&of_build).unwrap().as_str()),
            ("TMPDIR=/tmp", "TMPDIR=/data")
        );
    }

    #[test]
    fn a_tenant_binds_its_own_ports_and_connects_by_its_list() {
        let slot = SlotId::new(3).unwrap();
        let fence = fence(slot, &spec("x", &[]), false);
        assert_eq!((fence.bind.first(), fence.bind.last()), (Some(&20024), Some(&20031)));
        let connect = fence.connect.unwrap();
        assert!([53, 80, 443, 20024].iter().all(|port| connect.contains(port)) && !connect.contains(&20023));
    }

    #[test]
    fn a_build_listens_on_nothing() {
        let slot = SlotId::new(3).unwrap();
        let build = super::fence(slot, &spec("x", &[]), true);
        assert_eq!(build.bind, [] as [u16; 0]);
        assert_eq!(build.connect, super::fence(slot, &spec("x", &[]), false).connect);
        assert!(!landlock::TENANT.iter().any(|(place, _)| *place == "/app"), "a release is not written to");
    }
}
