//! The kernel's own state: settings that do not depend on the machine, that SELinux enforces and we are who we should
//! be, and the end of loading modules.

use kennel_model::labels;
use rustix::mm::{MlockAllFlags, mlockall};

use crate::fs::{read, write};
use crate::say;
use crate::step::{Failed, Step as _};

/// Files below `/proc/sys` with their values.
const SETTINGS: &[(&str, &str)] = &[
    // What the kernel tells of itself, and to whom: addresses and its log help whoever looks for a hole in it.
    ("kernel/kptr_restrict", "2"),
    ("kernel/dmesg_restrict", "1"),
    ("kernel/perf_event_paranoid", "3"),
    // No process looks into another, root's included, until the machine is started again; and no program that is
    // started with other rights than its parent's leaves its memory in a file.
    ("kernel/yama/ptrace_scope", "3"),
    ("fs/suid_dumpable", "0"),
    ("kernel/core_pattern", "core"),
    // Where things lie in memory is hard to guess, and nothing lies at address 0.
    ("kernel/randomize_va_space", "2"),
    ("vm/mmap_rnd_bits", "32"),
    ("vm/mmap_rnd_compat_bits", "16"),
    ("vm/mmap_min_addr", "65536"),
    // Files in memory are data: one that could be executed would be a program that nobody deployed.
    ("vm/memfd_noexec", "2"),
    // Ways into the kernel that nobody here needs.
    ("kernel/unprivileged_bpf_disabled", "1"),
    ("net/core/bpf_jit_harden", "2"),
    ("kernel/unprivileged_userns_clone", "0"),
    ("dev/tty/ldisc_autoload", "0"),
    ("dev/tty/legacy_tiocsti", "0"),
    ("kernel/io_uring_disabled", "2"),
    ("kernel/kexec_load_disabled", "1"),
    ("kernel/sysrq", "0"),
    ("user/max_user_namespaces", "0"),
    ("vm/unprivileged_userfaultfd", "0"),
    // A kernel that is known to be damaged does not go on. Warnings do not count as damage: a tenant that finds a way to
    // one must not be able to end the host by it.
    ("kernel/panic_on_oops", "1"),
    // Old tricks with links and fifos in shared folders.
    ("fs/protected_symlinks", "1"),
    ("fs/protected_hardlinks", "1"),
    ("fs/protected_fifos", "2"),
    ("fs/protected_regular", "2"),
    // Outgoing connections take no port of a slot (20000 to 52767).
    ("net/ipv4/ip_local_port_range", "53000 65535"),
    ("net/ipv4/tcp_syncookies", "1"),
    ("net/ipv4/tcp_rfc1337", "1"),
    // What is written for a reader that takes nothing stays with the writer, which waits, and not in the kernel's memory:
    // 64 KiB a connection instead of 4 MiB.
    ("net/ipv4/tcp_notsent_lowat", "65536"),
    // The host routes for nobody, takes no packet that came by a way which answers would not take, and no advice about
    // routes from the link. `default` is for interfaces that appear later. Router advertisements are taken: they are how
    // IPv6 gets its routes in EC2. Packets with impossible addresses are dropped and not logged: a log that strangers can
    // fill is worse than none.
    ("net/ipv4/ip_forward", "0"),
    ("net/ipv6/conf/all/forwarding", "0"),
    ("net/ipv4/conf/all/rp_filter", "1"),
    ("net/ipv4/conf/default/rp_filter", "1"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/all/secure_redirects", "0"),
    ("net/ipv4/conf/default/secure_redirects", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_source_route", "0"),
    ("net/ipv4/conf/default/accept_source_route", "0"),
    ("net/ipv6/conf/all/accept_redirects", "0"),
    ("net/ipv6/conf/default/accept_redirects", "0"),
    ("net/ipv6/conf/all/accept_source_route", "0"),
    ("net/ipv6/conf/default/accept_source_route", "0"),
    // Of routers' advertisements: a way out and addresses, but no routes to single networks, and no hop limit with which
    // packets would not arrive. Addresses that change by themselves are for people who visit, not for who is visited.
    ("net/ipv6/conf/default/accept_ra", "1"),
    ("net/ipv6/conf/default/accept_ra_rt_info_max_plen", "0"),
    ("net/ipv6/conf/default/accept_ra_min_hop_limit", "32"),
    ("net/ipv6/conf/default/use_tempaddr", "0"),
    ("net/ipv4/icmp_echo_ignore_broadcasts", "1"),
    ("net/ipv4/icmp_ignore_bogus_error_responses", "1"),
    // Connections begin with a question and an answer, and are TCP's: data in a first packet and connections over several
    // paths go around those who are asked about connect() and TCP.
    ("net/ipv4/tcp_fastopen", "0"),
    ("net/mptcp/enabled", "0"),
    // Swap is compressed memory, from where a page is back in some 10 µs. A page of a program's file is read from a disk,
    // verified and unpacked, and neighbours use it too: it is taken to cost ten times that. The kernel's sysctl/vm.rst has
    // the rule for it, x : 1 of 200 for a swap that is x times as fast as files.
    ("vm/swappiness", "180"),
    // Single pages: a neighbour in compressed memory is no nearer than any other page.
    ("vm/page-cluster", "0"),
    // The kernel begins to make room when 1.25 % of the memory is free and not 0.1 %, so that who starts finds some instead
    // of waiting for it: compressing takes its time. It does not do more of it after a large allocation, which nobody
    // here makes again and again.
    ("vm/watermark_scale_factor", "125"),
    ("vm/watermark_boost_factor", "0"),
];

/// Files below `/sys/kernel/mm` with their values.
const MEMORY: &[(&str, &str)] = &[
    // Which pages were used lately is known by generations (MGLRU), from a walk through page tables instead of each page's:
    // what an idle program had goes, what its neighbours use stays. Debian's kernel has it on; said here since the ladder
    // counts on it. `min_ttl_ms` stays 0: with more the kernel would kill a program when the last moments' pages do not
    // fit, and init puts programs to sleep, or stops them in order, before that.
    ("lru_gen/enabled", "y"),
    // A program that touches a byte gets 4 KiB for it and not 2 MiB, which would have to be split again for swap; one that
    // knows better says so.
    ("transparent_hugepage/enabled", "madvise"),
];

/// Those of the packet filter's table of connections, which are there once its modules are. It holds many times what the
/// rules let one slot take of it (`kennel_iptables::BOUNDS`), in some 80 MiB when it is full; a connection that has ended in
/// order is remembered for packets that come late, and not for minutes.
const CONNECTIONS: &[(&str, &str)] = &[
    ("net/netfilter/nf_conntrack_max", "262144"),
    ("net/netfilter/nf_conntrack_buckets", "65536"),
    ("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "10"),
    ("net/netfilter/nf_conntrack_tcp_timeout_close", "10"),
];

/// Settings that answer for the whole host before SELinux is asked. In a proof image they stay as the kernel has them, so
/// that it can be seen what SELinux alone refuses.
const LEFT_OPEN: &[&str] = &[
    "kernel/io_uring_disabled",
    "kernel/kexec_load_disabled",
    "kernel/unprivileged_userns_clone",
    "kernel/yama/ptrace_scope",
    "net/ipv4/tcp_fastopen",
    "net/mptcp/enabled",
    "user/max_user_namespaces",
];

/// Whether this init applies the setting.
fn applies(file: &str) -> bool {
    !(cfg!(feature = "proof") && LEFT_OPEN.contains(&file))
}

/// Refuses to go on unless SELinux enforces a policy and this process is in its own domain.
///
/// # Errors
/// What is not as it should be.
pub(super) fn check_sealed() -> Result<(), Failed> {
    let enforce = read("/sys/fs/selinux/enforce")?;
    if enforce != "1" {
        return Err(Failed::new(
            "boot",
            "SELinux does not enforce; hint: enforcing=1 lsm=…,selinux on the command line",
        ));
    }
    let domain = read("/proc/self/attr/current")?;
    let domain = domain.trim_end_matches('\0');
    if domain != labels::process("init_t") {
        return Err(Failed::new("boot", format!("this process is in {domain}, not in init_t")));
    }
    say!("SELinux enforces; init is in init_t");
    Ok(())
}

/// Keeps what this process uses in memory, of its program as of what it allocates: some 2 MiB. When memory is short all wait for
/// init to make room, which is not to wait for a page of its own; and a page that comes back from a broken disk damaged, or not at
/// all, ends its process, which for process 1 is the kernel's end.
///
/// # Errors
/// The system's.
pub(super) fn stay_in_memory() -> Result<(), Failed> {
    let what = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(what).step(|| "stay in memory".to_owned())
}

/// Applies the settings. To be called before there is a policy, which need not allow it to anybody then. One that this
/// kernel does not have is said, and missed.
pub(crate) fn settings() {
    SETTINGS.iter().filter(|(file, _)| applies(file)).for_each(set);
    MEMORY.iter().for_each(|(file, value)| set_file(&format!("/sys/kernel/mm/{file}"), value));
}

/// Applies the settings of the table of connections. To be called when the modules are loaded.
pub(super) fn connections() {
    CONNECTIONS.iter().for_each(set);
}

fn set((file, value): &(&str, &str)) {
    set_file(&format!("/proc/sys/{file}"), value);
}

fn set_file(path: &str, value: &str) {
    if let Err(e) = write(path, value) {
        say!("FAILED to {e}");
    }
}

/// From here on no module can be loaded, by nobody, until the machine is started again.
///
/// # Errors
/// The system's.
pub(super) fn lock_modules() -> Result<(), Failed> {
    // It, too, would answer before SELinux.
    if cfg!(feature = "proof") {
        return Ok(());
    }
    write("/proc/sys/kernel/modules_disabled", "1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::slot::{FIRST_PORT, MAX_SLOTS, PORTS_PER_SLOT};

    #[test]
    fn what_a_proof_image_leaves_open_is_set_elsewhere() {
        assert!(LEFT_OPEN.iter().all(|left| SETTINGS.iter().any(|(file, _)| file == left)));
    }

    #[test]
    fn no_few_slots_fill_the_table_of_connections() {
        let number = |end: &str| {
            let found = CONNECTIONS.iter().find(|(file, _)| file.ends_with(end)).unwrap();
            found.1.parse::<u32>().unwrap()
        };
        let linger = number("_time_wait").max(number("_close"));
        assert!(number("_max") / kennel_iptables::BOUNDS.entries(linger) >= 50);
    }

    #[test]
    fn outgoing_ports_and_slots_do_not_meet() {
        let range = SETTINGS.iter().find(|(file, _)| file.ends_with("ip_local_port_range")).unwrap().1;
        let first: u32 = range.split(' ').next().unwrap().parse().unwrap();
        assert!(first >= u32::from(FIRST_PORT) + u32::from(PORTS_PER_SLOT) * u32::from(MAX_SLOTS));
    }
}
