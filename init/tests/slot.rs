//! Starts tenants and `kennel-unpack`'s kind of child for real, but for SELinux and control groups, which the machine
//! that runs the tests need not have: the scenarios in the VM show them. Needs root, and says so when it is not. This
//! program is its own payload: started as the user of the test's slot, it tries things and prints what came of them.

#![allow(unsafe_code, reason = "memory is mapped to see that it cannot be")]
#![allow(clippy::unwrap_used, reason = "a test without the harness is not seen as one")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Seek};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use caps::{Capability, CapsHashSet};
use kennel_init::child::landlock::{self, Fence, Reach};
use kennel_init::child::report::{News, Step};
use kennel_init::child::root::{Root, TenantRoot};
use kennel_init::child::seccomp::Filters;
use kennel_init::child::seccomp::table::Kind;
use kennel_init::child::{self, Plan, Program};
use kennel_sys::clone::Namespaces;
use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;
use rustix::process::{Resource, WaitOptions, waitpid};

use tempfile::TempDir;

const UID: u32 = 100_900;

fn main() {
    // The payload writes where it must not be able to. Nobody but the slot's user may ever run it: not root, who gave the
    // program an argument meant for cargo's harness.
    if rustix::process::geteuid().as_raw() == UID {
        return payload(&std::env::args().nth(1).unwrap_or_default());
    }
    if !rustix::process::geteuid().is_root() {
        return println!("slot: skipped, needs root");
    }
    let place = Place::new();
    a_tenant_sees_its_own_and_has_no_rights(&place);
    a_fence_says_it_again(&place);
    what_cannot_be_executed_is_named(&place);
    unpack_sees_one_folder(&place);
    a_service_keeps_what_the_table_says(&place);
    println!("slot: ok");
}

/// The folders of a slot, in miniature.
struct Place {
    dir: TempDir,
    filters: Filters,
    null: File,
}

/// What became of a child.
struct Outcome {
    news: News,
    code: Option<i32>,
    /// What it printed, as `name value` lines.
    seen: BTreeMap<String, String>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        for part in ["app", "data", "dev", "etc", "proc", "tmp"] {
            fs::create_dir_all(path("runtime").join(part)).unwrap();
        }
        for part in ["release", "data", "dev"] {
            fs::create_dir(path(part)).unwrap();
        }
        chown(path("data"), Some(UID), Some(UID)).unwrap();
        fs::write(path("resolv.conf"), "nameserver 192.0.2.1\n").unwrap();
        fs::write(path("runtime/etc/resolv.conf"), "").unwrap();
        fs::copy(std::env::current_exe().unwrap(), path("release/payload")).unwrap();
        fs::write(path("release/text"), "no program\n").unwrap();
        fs::set_permissions(path("release/text"), Permissions::from_mode(0o755)).unwrap();
        fs::write(path("release/plain"), "").unwrap();
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        Self { dir, filters: Filters::compile().unwrap(), null }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn plan<'a>(&'a self, program: Program, mode: &str, stdout: BorrowedFd<'a>) -> Plan<'a> {
        Plan {
            program,
            argv: vec![c"payload".to_owned(), CString::new(mode).unwrap()],
            env: vec![c"ONLY=this".to_owned()],
            descriptors: vec![self.null.as_fd(), stdout, self.null.as_fd()],
            cgroup: None,
            namespaces: Namespaces::LOCAL,
            root: None,
            host_name: None,
            limits: vec![(Resource::Nofile, 99), (Resource::Core, 0)],
            uid: UID,
            capabilities: CapsHashSet::new(),
            context: None,
            fence: None,
            no_new_code: false,
            filter: Some(self.filters.of(Kind::Plain)),
            oom_score: 300,
        }
    }

    fn tenant<'a>(&'a self, program: &str, stdout: BorrowedFd<'a>) -> Plan<'a> {
        let root = TenantRoot {
            runtime: self.path("runtime"),
            release: self.path("release"),
            builds: false,
            data: self.path("data"),
            devices: self.path("dev"),
            resolv_conf: self.path("resolv.conf"),
            tmp_options: c"mode=1777,size=1048576".to_owned(),
        };
        let program = Program::Paths(vec![CString::new(program).unwrap()]);
        let plan = self.plan(program, "tenant", stdout);
        Plan { root: Some(Root::Tenant(root)), host_name: Some("blog".to_owned()), ..plan }
    }
}

impl Outcome {
    fn saw(&self, name: &str) -> &str {
        self.seen.get(name).map_or("nothing", String::as_str)
    }
}

/// Starts a child whose standard output is a file, and waits for its end.
fn outcome<'a>(stdout: &'a File, plan: Plan<'a>) -> Outcome {
    let started = child::start(plan).unwrap();
    let (_, status) = waitpid(Some(started.pid), WaitOptions::empty()).unwrap().unwrap();
    let mut text = String::new();
    let mut file = stdout.try_clone().unwrap();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    let line = |l: &str| l.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Outcome {
        news: started.report.read(),
        code: status.exit_status(),
        seen: text.lines().filter_map(line).collect(),
    }
}

fn a_tenant_sees_its_own_and_has_no_rights(place: &Place) {
    let mounts = || fs::read_to_string("/proc/self/mounts").unwrap();
    let before = mounts();
    let stdout = tempfile::tempfile().unwrap();
    let tenant = outcome(&stdout, place.tenant("/app/payload", stdout.as_fd()));
    assert_eq!((tenant.news, tenant.code), (News::Executed, Some(0)));
    assert_eq!(mounts(), before, "a mount leaked out of the slot");
    for (what, expected) in [
        ("root", "app data dev etc proc tmp"),
        ("cwd", "/app"),
        ("processes", "1"),
        ("host-name", "blog"),
        ("environment", "ONLY=this"),
        ("descriptors", "0 1 2"),
        ("uid", "100900 100900 100900 100900"),
        ("gid", "100900 100900 100900 100900"),
        ("groups", ""),
        ("capabilities", "0 0 0 0 0"),
        ("no-new-privileges", "1"),
        ("system-calls", "filtered"),
        ("blocked-signals", "0000000000000000"),
        ("open-files", "99 99"),
        ("oom-score", "300"),
        ("resolv.conf", "nameserver 192.0.2.1"),
        ("write-app", "Read-only file system (os error 30)"),
        ("write-resolv", "Read-only file system (os error 30)"),
        ("write-root", "Read-only file system (os error 30)"),
        ("write-data", "done"),
        ("write-tmp", "done"),
        ("unshare", "EPERM"),
        ("thread", "done"),
    ] {
        assert_eq!(tenant.saw(what), expected, "{what}");
    }
}

/// Landlock, beside what root and user say already: ports, sockets of the abstract kind, and what lies below a place.
fn a_fence_says_it_again(place: &Place) {
    if let Err(e) = landlock::available() {
        return println!("slot: SKIPPED the fence: this kernel's Landlock is too old: {e}");
    }
    // Somebody outside listens where the tenant may not and where it may.
    let [foreign, own] = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let name = format!("kennel-slot-test-{}", std::process::id());
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let stdout = tempfile::tempfile().unwrap();
    let fence = |places| Fence { places, bind: vec![0], connect: Some(vec![port(&own)]) };
    let run = |places| {
        let mut plan = place.tenant("/app/payload", stdout.as_fd());
        plan.argv = vec![c"payload".to_owned(), c"fence".to_owned()];
        plan.env =
            [("OWN", port(&own).to_string()), ("FOREIGN", port(&foreign).to_string()), ("NAME", name.clone())]
                .map(|(n, v)| CString::new(format!("{n}={v}")).unwrap())
                .to_vec();
        outcome(&stdout, Plan { fence: Some(fence(places)), no_new_code: true, ..plan })
    };
    let tenant = run(landlock::TENANT);
    assert_eq!((tenant.news, tenant.code), (News::Executed, Some(0)));
    for (what, expected) in [
        ("bind-own", "done"),
        ("bind-other", "Permission denied (os error 13)"),
        ("connect-own", "done"),
        ("connect-other", "Permission denied (os error 13)"),
        ("abstract", "Operation not permitted (os error 1)"),
        ("data", "done"),
        ("move", "done"),
        ("run-data", "Permission denied (os error 13)"),
        ("new-code", "Permission denied (os error 13)"),
    ] {
        assert_eq!(tenant.saw(what), expected, "{what}");
    }
    // Without a place for it, what the mount and the owner allow is refused.
    let without = run(&[("/", Reach::Run)]);
    assert_eq!(without.saw("data"), "Permission denied (os error 13)");
}

fn what_cannot_be_executed_is_named(place: &Place) {
    for (program, errno) in
        [("/app/missing", Errno::NOENT), ("/app/plain", Errno::ACCESS), ("/app/text", Errno::NOEXEC)]
    {
        let stdout = tempfile::tempfile().unwrap();
        let News::Failed(Some(failed)) = outcome(&stdout, place.tenant(program, stdout.as_fd())).news else {
            panic!("{program} was executed");
        };
        assert_eq!((failed.step, failed.errno), (Step::Exec, errno), "{program}");
    }
    fs::rename(place.path("release"), place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), place.path("release")).unwrap();
    let stdout = tempfile::tempfile().unwrap();
    let linked = outcome(&stdout, place.tenant("/app/payload", stdout.as_fd())).news;
    assert!(matches!(linked, News::Failed(Some(f)) if f.step == Step::Root), "a link was followed: {linked:?}");
    fs::remove_file(place.path("release")).unwrap();
    fs::rename(place.path("elsewhere"), place.path("release")).unwrap();
}

fn unpack_sees_one_folder(place: &Place) {
    let stdout = tempfile::tempfile().unwrap();
    let program = Program::File(File::open(std::env::current_exe().unwrap()).unwrap().into());
    let plan = Plan {
        root: Some(Root::Folder(place.path("data"))),
        namespaces: Namespaces::ALL,
        // It may execute itself, and nothing else.
        fence: landlock::available().is_ok().then(|| Fence {
            places: landlock::UNPACK,
            bind: vec![],
            connect: None,
        }),
        // The real one's filter kills whoever asks for the network at all.
        filter: None,
        ..place.plan(program, "folder", stdout.as_fd())
    };
    let unpack = outcome(&stdout, plan);
    assert_eq!((unpack.news, unpack.code), (News::Executed, Some(0)));
    assert_eq!(unpack.saw("root"), "x");
    assert_eq!(unpack.saw("write-root"), "done");
    assert_eq!(unpack.saw("network"), "unreachable");
}

fn a_service_keeps_what_the_table_says(place: &Place) {
    let stdout = tempfile::tempfile().unwrap();
    let program = CString::new(place.path("release/payload")).unwrap();
    let plan = Plan {
        namespaces: Namespaces::default(),
        capabilities: CapsHashSet::from([Capability::CAP_NET_RAW]),
        filter: None,
        descriptors: vec![place.null.as_fd(), stdout.as_fd(), place.null.as_fd(), stdout.as_fd()],
        ..place.plan(Program::Paths(vec![program]), "service", stdout.as_fd())
    };
    let service = outcome(&stdout, plan);
    assert_eq!((service.news, service.code), (News::Executed, Some(0)));
    assert_eq!(service.saw("descriptors"), "0 1 2 3");
    // Inheritable, permitted, effective, bounding, ambient: CAP_NET_RAW is bit 13.
    assert_eq!(service.saw("capabilities"), "2000 2000 2000 2000 2000");
}

/// Prints what a child sees. No assertion here: a payload that fails is hard to read.
fn payload(mode: &str) {
    let done = |result: std::io::Result<()>| result.map_or_else(|e| e.to_string(), |()| "done".to_owned());
    if mode == "fence" {
        return fenced();
    }
    println!("root {}", names("/"));
    println!("write-root {}", done(fs::write("/x", "")));
    let connected = TcpStream::connect("127.0.0.1:9").map_err(|e| e.kind());
    println!(
        "network {}",
        if matches!(connected, Err(ErrorKind::NetworkUnreachable)) { "unreachable" } else { "there" }
    );
    if mode == "folder" {
        return;
    }
    println!("cwd {}", std::env::current_dir().unwrap().display());
    println!(
        "processes {}",
        names("/proc").split(' ').filter(|n| n.parse::<u32>().is_ok()).collect::<String>()
    );
    println!("host-name {}", rustix::system::uname().nodename().to_str().unwrap());
    println!("environment {}", std::env::vars().map(|(n, v)| format!("{n}={v}")).collect::<String>());
    // The folder that is read is open itself.
    let open = (0..64).filter(|fd| fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok());
    println!("descriptors {}", open.map(|fd| fd.to_string()).collect::<Vec<_>>().join(" "));
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let value = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).unwrap_or("none");
        value.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let hex = |name: &str| format!("{:x}", u64::from_str_radix(&field(name), 16).unwrap());
    println!("uid {}", field("Uid"));
    println!("gid {}", field("Gid"));
    println!("groups {}", field("Groups"));
    println!("capabilities {}", ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(hex).join(" "));
    println!("no-new-privileges {}", field("NoNewPrivs"));
    println!("system-calls {}", if field("Seccomp") == "2" { "filtered" } else { "free" });
    println!("blocked-signals {}", field("SigBlk"));
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find_map(|l| l.strip_prefix("Max open files")).unwrap();
    println!("open-files {}", files.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    println!("oom-score {}", fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim());
    println!("resolv.conf {}", fs::read_to_string("/etc/resolv.conf").unwrap_or_default().trim());
    println!("write-app {}", done(fs::write("/app/x", "")));
    println!("write-resolv {}", done(fs::write("/etc/resolv.conf", "")));
    println!("write-data {}", done(fs::write("/data/x", "")));
    println!("write-tmp {}", done(fs::write("/tmp/x", "")));
    println!(
        "unshare {}",
        if unshare(CloneFlags::CLONE_NEWUSER) == Err(nix::Error::EPERM) { "EPERM" } else { "allowed" }
    );
    println!("thread {}", done(std::thread::spawn(|| ()).join().map_err(|_| std::io::Error::other("panic"))));
}

/// Tries what is within its fence, and what is not.
fn fenced() {
    let done = |result: std::io::Result<()>| result.map_or_else(|e| e.to_string(), |()| "done".to_owned());
    let port = |name: &str| std::env::var(name).unwrap().parse::<u16>().unwrap();
    let connect = |name: &str| done(TcpStream::connect(("127.0.0.1", port(name))).map(drop));
    println!("bind-own {}", done(TcpListener::bind("127.0.0.1:0").map(drop)));
    println!("bind-other {}", done(TcpListener::bind("127.0.0.1:1").map(drop)));
    println!("connect-own {}", connect("OWN"));
    println!("connect-other {}", connect("FOREIGN"));
    let name = SocketAddr::from_abstract_name(std::env::var("NAME").unwrap()).unwrap();
    println!("abstract {}", done(UnixStream::connect_addr(&name).map(drop)));
    println!("data {}", done(fs::create_dir_all("/data/a/b").and_then(|()| fs::write("/data/a/f", "x"))));
    println!("move {}", done(fs::rename("/data/a/f", "/data/a/b/f")));
    let _ = fs::copy("/app/payload", "/data/payload");
    println!("run-data {}", done(std::process::Command::new("/data/payload").status().map(drop)));
    println!("new-code {}", done(new_code()));
    let _ = fs::remove_dir_all("/data/a").and_then(|()| fs::remove_file("/data/payload"));
}

/// Memory that is written first and executable then.
fn new_code() -> std::io::Result<()> {
    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
    let size = std::num::NonZeroUsize::MIN;
    let flags = MapFlags::MAP_PRIVATE;
    // SAFETY: a new mapping at an address of the kernel's choice, which nobody uses.
    unsafe { mmap_anonymous(None, size, ProtFlags::PROT_WRITE | ProtFlags::PROT_EXEC, flags) }?;
    Ok(())
}

fn names(folder: &str) -> String {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.join(" ")
}
