//! What the host's own services may call: each its own few, beside what all programs in Rust need. They are known to the
//! last call, so whatever else one of them tries is somebody else's idea, and ends it.

use rustix::io::Errno;

use super::{Answer, Call, Group, Kind, Named, Rule, Test, calls, values};

const ALL: &[Kind] =
    &[Kind::Proxy, Kind::Control, Kind::Audit, Kind::Dhcp, Kind::Imds, Kind::Tpm, Kind::Chronyd, Kind::Acme];
const SERVERS: &[Kind] = &[Kind::Proxy, Kind::Control];
/// Those that have tokio's event loop.
const LOOPS: &[Kind] = &[Kind::Proxy, Kind::Control, Kind::Acme];

const fn allowed(
    title: &'static str,
    reason: &'static str,
    kinds: &'static [Kind],
    calls: &'static [Call],
) -> Group {
    Group::new(title, reason, kinds, Answer::Allowed, calls)
}

/// All that they need.
pub(super) static GROUPS: &[Group] = &[
    allowed(
        "services: their start and end",
        "The C library and Rust's runtime. What they could execute, Landlock and SELinux say: nothing but themselves.",
        ALL,
        calls![SYS_execve SYS_brk SYS_mmap SYS_munmap SYS_mprotect SYS_madvise SYS_mremap SYS_futex SYS_arch_prctl
            SYS_set_tid_address SYS_set_robust_list SYS_rseq SYS_prlimit64 SYS_getrandom SYS_poll SYS_rt_sigaction
            SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sigaltstack SYS_sched_getaffinity SYS_sched_yield SYS_gettid
            SYS_getpid SYS_tgkill SYS_clock_gettime SYS_clock_nanosleep SYS_restart_syscall SYS_exit SYS_exit_group
            SYS_readlink SYS_uname SYS_sysinfo],
    ),
    allowed(
        "services: what they were handed",
        "The channel to init, and files and sockets that init opened.",
        ALL,
        calls![SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_close SYS_fcntl SYS_lseek SYS_ppoll
            SYS_fstat SYS_newfstatat SYS_statx SYS_sendmsg SYS_recvmsg],
    ),
    Group::new(
        "services: controlling descriptors",
        "To wait for a descriptor without being stopped by it.",
        ALL,
        Answer::Checked(&[Rule {
            words: "unless it is",
            errno: Errno::NOTTY,
            given: None,
            test: Test::NoneOf(1, values![FIONBIO]),
        }]),
        calls![SYS_ioctl],
    ),
    allowed(
        "services: opening files",
        "The C library asks for settings of the machine; control keeps its registry. Landlock and SELinux know the files: \
         the others have none.",
        ALL,
        calls![SYS_openat],
    ),
    allowed(
        "services: the event loop",
        "Many connections on one thread.",
        LOOPS,
        calls![SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_wait SYS_epoll_pwait SYS_eventfd2
            SYS_getsockname SYS_getpeername SYS_getsockopt SYS_setsockopt SYS_recvfrom SYS_sendto SYS_shutdown],
    ),
    allowed("services: visitors", "Connections to sockets that init listens on.", SERVERS, calls![SYS_accept4]),
    Group::new(
        "services: pairs of sockets",
        "Through one, a signal handler tells the event loop.",
        LOOPS,
        Answer::Checked(&[Rule {
            words: "unless the family is",
            errno: Errno::AFNOSUPPORT,
            given: None,
            test: Test::NoneOf(0, values![AF_UNIX]),
        }]),
        calls![SYS_socketpair],
    ),
    Group::new(
        "kennel-proxy: connections to tenants",
        "TCP over IPv4, and from an address of the kernel's choice.",
        &[Kind::Proxy],
        Answer::Checked(&[
            Rule {
                words: "unless the family is",
                errno: Errno::AFNOSUPPORT,
                given: None,
                test: Test::NoneOf(0, values![AF_INET]),
            },
            streams_only(Named { name: "AF_INET", value: libc::AF_INET as u64 }),
        ]),
        calls![SYS_socket],
    ),
    allowed(
        "kennel-proxy: to whom",
        "SELinux and the packet filter know the ports.",
        &[Kind::Proxy],
        calls![SYS_connect],
    ),
    allowed(
        "kennel-proxy: files of releases",
        "Found below the folders that init opened for it, and read without waiting for the disk where that can be had. Landlock, SELinux and the \
         files' modes know where these are.",
        &[Kind::Proxy],
        calls![SYS_openat2 SYS_preadv2],
    ),
    Group::new(
        "servers: threads",
        "A few wait for the disk. No process of its own, and so no other program.",
        SERVERS,
        Answer::Checked(&[Rule {
            words: "unless it is a thread, with",
            errno: Errno::PERM,
            given: None,
            test: Test::NoneOf(0, &[THREAD]),
        }]),
        calls![SYS_clone],
    ),
    Group::new(
        "servers: threads, the younger call",
        "Its arguments lie in memory, where no filter can look; the C library falls back to the older one.",
        SERVERS,
        Answer::Refused(Errno::NOSYS),
        calls![SYS_clone3],
    ),
    Group::new(
        "servers: settings of a thread",
        "Its name, for whoever looks at the host's processes; and what setting the next filter repeats.",
        SERVERS,
        Answer::Checked(&[Rule {
            words: "unless it is",
            errno: Errno::INVAL,
            given: None,
            test: Test::NoneOf(0, values![PR_SET_NAME PR_SET_VMA PR_SET_NO_NEW_PRIVS]),
        }]),
        calls![SYS_prctl],
    ),
    allowed(
        "kennel-control: its files",
        "The registry, the host's key, tenants' logs; and in memory the route table and what tenants' archives pass through.",
        &[Kind::Control],
        calls![SYS_access SYS_pwrite64 SYS_ftruncate SYS_fsync SYS_fdatasync SYS_fallocate SYS_getdents64
            SYS_mkdir SYS_rename SYS_unlink SYS_unlinkat SYS_fchmod SYS_fchown SYS_geteuid SYS_getcwd SYS_statfs
            SYS_copy_file_range SYS_syncfs SYS_memfd_create SYS_pipe2 SYS_umask],
    ),
    Group::new(
        "kennel-dhcp: sockets",
        "Frames of one interface, datagrams, and what the kernel tells of interfaces and routers.",
        &[Kind::Dhcp],
        Answer::Checked(&[Rule {
            words: "unless the family is one of",
            errno: Errno::AFNOSUPPORT,
            given: None,
            test: Test::NoneOf(0, values![AF_INET AF_INET6 AF_PACKET AF_NETLINK]),
        }]),
        calls![SYS_socket],
    ),
    allowed(
        "kennel-dhcp: using them",
        "Its two ports, as the packet filter and SELinux allow.",
        &[Kind::Dhcp],
        calls![SYS_bind SYS_sendto SYS_recvfrom SYS_getsockname SYS_setsockopt],
    ),
    Group::new(
        "kennel-imds: connections to the metadata service",
        "TCP, from an address of the kernel's choice.",
        &[Kind::Imds],
        Answer::Checked(&[
            Rule {
                words: "unless the family is one of",
                errno: Errno::AFNOSUPPORT,
                given: None,
                test: Test::NoneOf(0, values![AF_INET AF_INET6]),
            },
            streams_only(Named { name: "AF_INET", value: libc::AF_INET as u64 }),
            streams_only(Named { name: "AF_INET6", value: libc::AF_INET6 as u64 }),
        ]),
        calls![SYS_socket],
    ),
    allowed(
        "kennel-imds: using them",
        "The packet filter and SELinux know the service's addresses and nobody else's.",
        &[Kind::Imds],
        calls![SYS_connect SYS_sendto SYS_recvfrom SYS_getsockopt SYS_setsockopt],
    ),
    Group::new(
        "kennel-acme: connections to an authority, and questions to name servers",
        "TCP and UDP, from addresses and ports of the kernel's choice.",
        &[Kind::Acme],
        Answer::Checked(&[
            Rule {
                words: "unless the family is one of",
                errno: Errno::AFNOSUPPORT,
                given: None,
                test: Test::NoneOf(0, values![AF_INET AF_INET6]),
            },
            no_raw(Named { name: "AF_INET", value: libc::AF_INET as u64 }),
            no_raw(Named { name: "AF_INET6", value: libc::AF_INET6 as u64 }),
        ]),
        calls![SYS_socket],
    ),
    allowed(
        "kennel-acme: using them",
        "It cannot bind. To whom, SELinux and the packet filter know.",
        &[Kind::Acme],
        calls![SYS_connect],
    ),
    allowed(
        "chronyd: setting the clock",
        "Which takes CAP_SYS_TIME, that it alone has. `clock_adjtime` slews and steps; it reads the time before and after.",
        &[Kind::Chronyd],
        calls![SYS_clock_adjtime SYS_adjtimex SYS_gettimeofday SYS_clock_getres],
    ),
    Group::new(
        "chronyd: sockets",
        "Datagrams. The C library also looks for a service that would know users' names, and does without.",
        &[Kind::Chronyd],
        Answer::Checked(&[
            Rule {
                words: "unless the family is one of",
                errno: Errno::AFNOSUPPORT,
                given: None,
                test: Test::NoneOf(0, values![AF_INET AF_INET6]),
            },
            datagrams_only(Named { name: "AF_INET", value: libc::AF_INET as u64 }),
            datagrams_only(Named { name: "AF_INET6", value: libc::AF_INET6 as u64 }),
        ]),
        calls![SYS_socket],
    ),
    allowed(
        "chronyd: using them",
        "From a port of the kernel's choice: it cannot bind. The packet filter and SELinux know whom it may ask.",
        &[Kind::Chronyd],
        calls![SYS_connect SYS_recvmmsg SYS_getsockopt SYS_setsockopt SYS_pselect6],
    ),
    allowed(
        "chronyd: who and where it is",
        "It asks whether it is root, and for a file of libraries that there is none of.",
        &[Kind::Chronyd],
        calls![SYS_geteuid SYS_getuid SYS_access],
    ),
    Group::new(
        "chronyd: settings of the process",
        "A library counts the capabilities that the kernel knows.",
        &[Kind::Chronyd],
        Answer::Checked(&[Rule {
            words: "unless it is",
            errno: Errno::INVAL,
            given: None,
            test: Test::NoneOf(0, values![PR_CAPBSET_READ PR_SET_VMA PR_SET_NO_NEW_PRIVS]),
        }]),
        calls![SYS_prctl],
    ),
];

/// No raw packets in this family.
const fn no_raw(family: Named) -> Rule {
    Rule {
        words: "for the",
        errno: Errno::PERM,
        given: Some((0, family)),
        test: Test::AnyOf(1, 0xf, values![SOCK_RAW]),
    }
}

/// No streams and no raw packets in this family.
const fn datagrams_only(family: Named) -> Rule {
    Rule {
        words: "for the",
        errno: Errno::PERM,
        given: Some((0, family)),
        test: Test::AnyOf(1, 0xf, values![SOCK_STREAM SOCK_RAW]),
    }
}

/// No datagrams and no raw packets in this family. The type's flags are above its low four bits.
const fn streams_only(family: Named) -> Rule {
    Rule {
        words: "for the",
        errno: Errno::PERM,
        given: Some((0, family)),
        test: Test::AnyOf(1, 0xf, values![SOCK_DGRAM SOCK_RAW]),
    }
}

/// What `pthread_create` asks for.
const THREAD: Named = Named {
    name: "CLONE_THREAD and what belongs to it",
    value: (libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM
        | libc::CLONE_SETTLS
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_CLEARTID) as u64,
};
