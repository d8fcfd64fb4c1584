//! What tenants' programs may call, and what they are refused. That a call is on the list makes it no more than the kernel's
//! own rules and SELinux allow: they are asked afterwards.

use rustix::io::Errno;

use super::{Answer, Call, Group, Kind, Named, Rule, Test, calls, values};

const BOTH: &[Kind] = &[Kind::Jit, Kind::Plain];

const fn allowed(title: &'static str, reason: &'static str, calls: &'static [Call]) -> Group {
    Group::new(title, reason, BOTH, Answer::Allowed, calls)
}

const fn refused(title: &'static str, errno: Errno, reason: &'static str, calls: &'static [Call]) -> Group {
    Group::new(title, reason, BOTH, Answer::Refused(errno), calls)
}

const fn checked(
    title: &'static str,
    reason: &'static str,
    rules: &'static [Rule],
    calls: &'static [Call],
) -> Group {
    Group::new(title, reason, BOTH, Answer::Checked(rules), calls)
}

/// Allowed, some of them for some arguments only.
pub(super) static ALLOWED: &[Group] = &[
    allowed(
        "Reading and writing",
        "What every program does with every descriptor.",
        calls![SYS_read SYS_write SYS_pread64 SYS_pwrite64 SYS_readv SYS_writev SYS_preadv SYS_pwritev
            SYS_preadv2 SYS_pwritev2 SYS_lseek SYS_close SYS_close_range SYS_dup SYS_dup2 SYS_dup3 SYS_fcntl
            SYS_flock SYS_pipe SYS_pipe2],
    ),
    allowed(
        "Copying within the kernel",
        "How servers send files and runtimes copy them. `vmsplice` and `tee`, which lend pages, are not among them.",
        calls![SYS_sendfile SYS_splice SYS_copy_file_range],
    ),
    allowed(
        "Opening files and looking at them",
        "Where a path leads is decided by the program's root, Landlock and SELinux, not here.",
        calls![SYS_open SYS_openat SYS_openat2 SYS_stat SYS_fstat SYS_lstat SYS_newfstatat SYS_statx SYS_statfs
            SYS_fstatfs SYS_access SYS_faccessat SYS_faccessat2 SYS_readlink SYS_readlinkat SYS_getdents64
            SYS_getcwd SYS_chdir SYS_fchdir SYS_getxattr SYS_lgetxattr SYS_fgetxattr SYS_listxattr
            SYS_llistxattr SYS_flistxattr],
    ),
    allowed(
        "Changing files",
        "A tenant's own files are its own; the rest is not writable for it.",
        calls![SYS_mkdir SYS_mkdirat SYS_rmdir SYS_rename SYS_renameat SYS_renameat2 SYS_link SYS_linkat
            SYS_unlink SYS_unlinkat SYS_symlink SYS_symlinkat SYS_chmod SYS_fchmod SYS_fchmodat SYS_fchmodat2
            SYS_chown SYS_fchown SYS_lchown SYS_fchownat SYS_utimensat SYS_truncate SYS_ftruncate SYS_fallocate
            SYS_fsync SYS_fdatasync SYS_fadvise64 SYS_umask],
    ),
    checked(
        "Files in memory",
        "Buffers that are shared between processes. One that can be executed would be a program that nobody deployed.",
        &[Rule {
            words: "with the flag",
            errno: Errno::ACCESS,
            given: None,
            test: Test::AnyBit(1, values![MFD_EXEC]),
        }],
        calls![SYS_memfd_create],
    ),
    allowed(
        "Hints about one file",
        "Databases (RocksDB, PostgreSQL) have one file read ahead or written out in time.",
        calls![SYS_readahead SYS_sync_file_range],
    ),
    checked(
        "Making special files",
        "Fifos and sockets are files of the tenant's own. A device node would be a way to the hardware.",
        &[Rule {
            words: "for device nodes",
            errno: Errno::PERM,
            given: None,
            test: Test::AnyOf(2, libc::S_IFMT as u64, values![S_IFBLK S_IFCHR]),
        }],
        calls![SYS_mknodat],
    ),
    allowed(
        "Watching files",
        "`fs.watch` and its like, on what the program can read anyway.",
        calls![SYS_inotify_init1 SYS_inotify_add_watch SYS_inotify_rm_watch],
    ),
    allowed(
        "Memory",
        "Every allocator. That memory is not both writable and executable is SELinux's to say, which knows the runtime.",
        calls![SYS_brk SYS_mmap SYS_munmap SYS_mprotect SYS_mremap SYS_madvise SYS_msync SYS_mlock SYS_mlock2
            SYS_munlock],
    ),
    allowed(
        "Threads",
        "What the C library's threads and locks are made of.",
        calls![SYS_futex SYS_set_robust_list SYS_set_tid_address SYS_rseq SYS_gettid
            SYS_sched_yield SYS_getcpu SYS_sched_getaffinity SYS_sched_setaffinity SYS_sched_getscheduler
            SYS_sched_setscheduler SYS_sched_getparam SYS_sched_setparam SYS_sched_get_priority_max
            SYS_sched_get_priority_min],
    ),
    checked(
        "New processes and threads",
        "Children, but no namespaces of their own: in one, a program would be root over parts of the kernel that are \
         never tried otherwise.",
        &[Rule {
            words: "with a flag for a new namespace",
            errno: Errno::PERM,
            given: None,
            test: Test::AnyBit(
                0,
                values![CLONE_NEWNS CLONE_NEWCGROUP CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID
                    CLONE_NEWNET],
            ),
        }],
        calls![SYS_clone],
    ),
    allowed(
        "Processes",
        "Starting the release's and the runtime's programs, waiting for them and ending them: only its own can be seen.",
        calls![SYS_vfork SYS_execve SYS_exit SYS_exit_group SYS_wait4 SYS_waitid SYS_kill SYS_tkill SYS_tgkill
            SYS_pidfd_open SYS_pidfd_send_signal SYS_getpid SYS_getppid SYS_getpgid SYS_getpgrp SYS_setpgid
            SYS_getsid SYS_setsid SYS_getpriority SYS_setpriority SYS_getrusage SYS_prlimit64 SYS_restart_syscall],
    ),
    checked(
        "Settings of a process",
        "Names, signals at the parent's end, dumps. What else can be set opens seldom used parts of the kernel; those \
         are answered as by a kernel that does not know them.",
        &[Rule {
            words: "unless it is one of",
            errno: Errno::INVAL,
            given: None,
            test: Test::NoneOf(
                0,
                values![PR_SET_NAME PR_GET_NAME PR_SET_PDEATHSIG PR_GET_PDEATHSIG PR_SET_DUMPABLE PR_GET_DUMPABLE
                    PR_SET_NO_NEW_PRIVS PR_GET_NO_NEW_PRIVS PR_CAPBSET_READ PR_SET_TIMERSLACK PR_GET_TIMERSLACK
                    PR_SET_CHILD_SUBREAPER PR_SET_THP_DISABLE PR_SET_VMA],
            ),
        }],
        calls![SYS_prctl],
    ),
    checked(
        "Registers of a thread",
        "Where thread-local storage is. The rest changes how the processor works for the thread.",
        &[Rule {
            words: "unless it is one of",
            errno: Errno::INVAL,
            given: None,
            test: Test::NoneOf(0, ARCH_PRCTL),
        }],
        calls![SYS_arch_prctl],
    ),
    checked(
        "Kind of system",
        "Programs ask; changing it would take away the randomness of addresses.",
        &[Rule {
            words: "unless it is a question",
            errno: Errno::PERM,
            given: None,
            test: Test::NoneOf(0, &[Named { name: "0xffffffff", value: 0xffff_ffff }]),
        }],
        calls![SYS_personality],
    ),
    allowed(
        "Who am I",
        "Questions about its own IDs and capabilities, of which it has none.",
        calls![SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_getresuid SYS_getresgid SYS_getgroups SYS_capget],
    ),
    allowed(
        "Signals",
        "Handlers, masks and waiting for them.",
        calls![SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigpending
            SYS_rt_sigtimedwait SYS_sigaltstack SYS_signalfd4 SYS_pause],
    ),
    allowed(
        "Time",
        "Reading clocks and waiting. Setting them is not among these.",
        calls![SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep SYS_gettimeofday SYS_times
            SYS_alarm SYS_getitimer SYS_setitimer SYS_timer_create SYS_timer_settime SYS_timer_gettime
            SYS_timer_getoverrun SYS_timer_delete SYS_timerfd_create SYS_timerfd_settime SYS_timerfd_gettime],
    ),
    allowed(
        "The machine",
        "Its name, load and memory, and random numbers.",
        calls![SYS_uname SYS_sysinfo SYS_getrandom],
    ),
    allowed(
        "Waiting for descriptors",
        "What every server's loop is made of.",
        calls![SYS_poll SYS_ppoll SYS_select SYS_pselect6 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_wait
            SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2],
    ),
    checked(
        "New sockets",
        "The web, its own processes, and questions about interfaces. Other families and protocols are old or rare \
         code of the kernel's, where its holes are found.",
        &[
            Rule {
                words: "unless the family is one of",
                errno: Errno::AFNOSUPPORT,
                given: None,
                test: Test::NoneOf(0, values![AF_UNIX AF_INET AF_INET6 AF_NETLINK]),
            },
            given_family(Named { name: "AF_NETLINK", value: libc::AF_NETLINK as u64 }, values![NETLINK_ROUTE]),
            given_family(Named { name: "AF_INET", value: libc::AF_INET as u64 }, INTERNET),
            given_family(Named { name: "AF_INET6", value: libc::AF_INET6 as u64 }, INTERNET),
        ],
        calls![SYS_socket],
    ),
    checked(
        "Pairs of sockets",
        "Between its own processes.",
        &[Rule {
            words: "unless the family is",
            errno: Errno::AFNOSUPPORT,
            given: None,
            test: Test::NoneOf(0, values![AF_UNIX]),
        }],
        calls![SYS_socketpair],
    ),
    checked(
        "Options of sockets",
        "All that are not programs for the kernel to run on each packet.",
        &[Rule {
            words: "for any of",
            errno: Errno::PERM,
            given: Some((1, Named { name: "SOL_SOCKET", value: libc::SOL_SOCKET as u64 })),
            test: Test::AnyOf(
                2,
                0xffff_ffff,
                values![SO_ATTACH_FILTER SO_ATTACH_BPF SO_ATTACH_REUSEPORT_CBPF SO_ATTACH_REUSEPORT_EBPF],
            ),
        }],
        calls![SYS_setsockopt],
    ),
    allowed(
        "Using sockets",
        "Which addresses and ports, the packet filter, Landlock and SELinux decide.",
        calls![SYS_bind SYS_connect SYS_listen SYS_accept SYS_accept4 SYS_getsockname SYS_getpeername
            SYS_getsockopt SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg SYS_sendmmsg SYS_recvmmsg SYS_shutdown],
    ),
    checked(
        "Controlling descriptors",
        "Each device, file system and protocol has commands of its own, some to its parent terminal (`TIOCSTI`). These \
         few are asked of any descriptor; everything else is answered as by one that does not know it.",
        &[Rule {
            words: "unless it is one of",
            errno: Errno::NOTTY,
            given: None,
            test: Test::NoneOf(
                1,
                values![TCGETS TIOCGWINSZ FIONREAD FIONBIO FIOASYNC FIOCLEX FIONCLEX TIOCOUTQ SIOCGIFINDEX
                    SIOCGIFNAME],
            ),
        }],
        calls![SYS_ioctl],
    ),
    Group::new(
        "Older names",
        "The same acts under the names that other C libraries and older programs use.",
        &[Kind::Plain],
        Answer::Allowed,
        calls![SYS_creat SYS_fork SYS_time SYS_utime SYS_utimes SYS_futimesat SYS_epoll_create SYS_eventfd
            SYS_signalfd SYS_inotify_init SYS_getrlimit SYS_setrlimit],
    ),
];

/// Tried by ordinary programs, which do without.
pub(super) static REFUSED: &[Group] = &[
    refused(
        "New ways to do what there is a way for",
        Errno::NOSYS,
        "Their arguments lie in memory, where no filter can look, or they are too young to be trusted. Programs fall \
         back to the older call when the kernel is older, and that is what this answer says.",
        YOUNG,
    ),
    Group {
        unnamed: Some((463, 511)),
        ..refused(
            "Calls that are younger than the image's kernel (463 to 511)",
            Errno::NOSYS,
            "A program that was made for a newer kernel tries them first. The kernel itself would say the same.",
            &[],
        )
    },
    refused(
        "io_uring",
        Errno::PERM,
        "A second way into nearly every part of the kernel, past these filters and with a history of holes. libuv tries \
         it at each start of Node.js and goes on with threads. The host has it switched off too, which answers the same.",
        calls![SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register],
    ),
    refused(
        "Keys and barriers for engines",
        Errno::NOSYS,
        "Engines ask whether the processor and the kernel have them, and do without.",
        calls![SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect SYS_membarrier],
    ),
    refused(
        "Placing memory",
        Errno::NOSYS,
        "Allocators and libraries for numbers ask on which node of the machine their memory is; one answer serves as \
         well.",
        calls![SYS_get_mempolicy SYS_set_mempolicy SYS_mbind SYS_mincore],
    ),
    refused(
        "IPC of System V and POSIX message queues",
        Errno::PERM,
        "Memory that outlives its program and is counted badly. Libraries that know them know files and sockets too.",
        calls![SYS_shmget SYS_shmat SYS_shmdt SYS_shmctl SYS_semget SYS_semop SYS_semtimedop SYS_semctl SYS_msgget
            SYS_msgsnd SYS_msgrcv SYS_msgctl SYS_mq_open SYS_mq_unlink SYS_mq_timedsend SYS_mq_timedreceive
            SYS_mq_notify SYS_mq_getsetattr],
    ),
    refused(
        "Becoming somebody else",
        Errno::PERM,
        "Servers that expect to be started by root try it, and say clearly why they end. There is nobody else to become.",
        calls![SYS_setuid SYS_setgid SYS_setreuid SYS_setregid SYS_setresuid SYS_setresgid SYS_setgroups
            SYS_setfsuid SYS_setfsgid SYS_capset],
    ),
    refused(
        "Roots and namespaces",
        Errno::PERM,
        "Sandboxes in programs (browsers, test tools) try them and say that they cannot. What a slot's root is, init \
         has settled.",
        calls![SYS_chroot SYS_unshare SYS_setns],
    ),
    refused(
        "Looking into processes",
        Errno::PERM,
        "Crash reporters, debuggers and profilers try them and go on without.",
        calls![SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_perf_event_open],
    ),
    refused(
        "Everybody's disk",
        Errno::PERM,
        "They write out what all others have written too, and keep the disk busy for it; `fsync` does it for one file.",
        calls![SYS_sync SYS_syncfs],
    ),
    refused(
        "Priorities beyond nice",
        Errno::PERM,
        "Programs lower themselves with them, or try to raise themselves; who comes first is said by the control group.",
        calls![SYS_sched_setattr SYS_sched_getattr SYS_ioprio_set SYS_ioprio_get SYS_mlockall SYS_munlockall],
    ),
    refused(
        "Attributes of files",
        Errno::OPNOTSUPP,
        "Copying programs try to keep them. They hold labels and capabilities, which are not a tenant's to set.",
        calls![SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_removexattr SYS_lremovexattr SYS_fremovexattr],
    ),
];

/// Numbers of Linux 6.12 (`arch/x86/entry/syscalls/syscall_64.tbl`), most of which libc does not name.
const YOUNG: &[Call] = &[
    Call { constant: "SYS_clone3", number: libc::SYS_clone3 },
    Call { constant: "SYS_futex_waitv", number: libc::SYS_futex_waitv },
    Call { constant: "SYS_cachestat", number: 451 },
    Call { constant: "SYS_map_shadow_stack", number: 453 },
    Call { constant: "SYS_futex_wake", number: 454 },
    Call { constant: "SYS_futex_wait", number: 455 },
    Call { constant: "SYS_futex_requeue", number: 456 },
    Call { constant: "SYS_statmount", number: 457 },
    Call { constant: "SYS_listmount", number: 458 },
    Call { constant: "SYS_mseal", number: libc::SYS_mseal },
];

/// libc does not name them.
const ARCH_PRCTL: &[Named] =
    &[Named { name: "ARCH_SET_FS", value: 0x1002 }, Named { name: "ARCH_GET_FS", value: 0x1003 }];

/// What TCP and UDP are, and "the usual one".
const INTERNET: &[Named] = &[
    Named { name: "0", value: 0 },
    Named { name: "IPPROTO_TCP", value: libc::IPPROTO_TCP as u64 },
    Named { name: "IPPROTO_UDP", value: libc::IPPROTO_UDP as u64 },
];

const fn given_family(family: Named, protocols: &'static [Named]) -> Rule {
    Rule {
        words: "unless the protocol is one of",
        errno: Errno::PERM,
        given: Some((0, family)),
        test: Test::NoneOf(2, protocols),
    }
}
