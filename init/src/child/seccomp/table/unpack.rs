//! What `kennel-unpack` may call: it reads one stream, writes files below one folder, and tells how it went. Nothing is
//! refused with an errno, since it tries nothing that it does not need.

use super::{Answer, Group, Kind, calls};

const UNPACK: &[Kind] = &[Kind::Unpack];

/// All that it needs.
pub(super) static GROUPS: &[Group] = &[
    Group::new(
        "kennel-unpack: its start and end",
        "The C library and Rust's runtime; it is executed from an open file, as its root does not have it.",
        UNPACK,
        Answer::Allowed,
        calls![SYS_execveat SYS_brk SYS_mmap SYS_munmap SYS_mprotect SYS_madvise SYS_mremap SYS_futex
            SYS_arch_prctl SYS_set_tid_address SYS_set_robust_list SYS_rseq SYS_prlimit64 SYS_getrandom SYS_poll
            SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sigaltstack SYS_sched_getaffinity SYS_gettid
            SYS_getpid SYS_tgkill SYS_clock_gettime SYS_exit SYS_exit_group],
    ),
    Group::new(
        "kennel-unpack: its two pipes",
        "The archive comes through one, the report goes through the other.",
        UNPACK,
        Answer::Allowed,
        calls![SYS_read SYS_write SYS_readv SYS_writev SYS_close SYS_fcntl SYS_ppoll SYS_lseek],
    ),
    Group::new(
        "kennel-unpack: its folder",
        "Everything by a name below an open folder, links not followed; and written to the disk before it says so.",
        UNPACK,
        Answer::Allowed,
        calls![SYS_openat SYS_openat2 SYS_fstat SYS_newfstatat SYS_statx SYS_getdents64 SYS_readlink SYS_readlinkat
            SYS_mkdirat SYS_unlinkat SYS_linkat SYS_symlinkat SYS_renameat2 SYS_fchmod SYS_fchmodat SYS_fchownat
            SYS_chmod SYS_utimensat SYS_ftruncate SYS_fallocate SYS_getcwd SYS_umask SYS_fsync SYS_fdatasync
            SYS_syncfs SYS_fstatfs],
    ),
];
