//! The system calls that a tenant and `kennel-unpack` may not make. This list takes away what reaches for the kernel's
//! administration or has been a way into it; an allow-list takes its place with the next milestone.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// Refused whatever the arguments.
const REFUSED: &[i64] = &[
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // Namespaces; making one by clone is refused below.
    libc::SYS_unshare,
    libc::SYS_setns,
    // The kernel itself.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    // Interfaces with a history of holes and no use here.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_personality,
    // Other processes' memory.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
];

/// Every `CLONE_NEW*` flag that `clone` takes.
const NEW_NAMESPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// Compiled filters, made once at boot.
#[derive(Debug)]
pub struct Filters {
    programs: [BpfProgram; 2],
}

impl Filters {
    /// # Errors
    /// None that a test would not have seen.
    pub fn compile() -> Result<Self, seccompiler::BackendError> {
        let mut refused: BTreeMap<i64, Vec<SeccompRule>> =
            REFUSED.iter().map(|number| (*number, Vec::new())).collect();
        refused.insert(libc::SYS_clone, one_rule_per_bit(NEW_NAMESPACES.cast_unsigned())?);
        // The C library falls back to clone, whose flags a filter can see, only for this answer.
        let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        Ok(Self {
            programs: [filter(refused, libc::EPERM)?.try_into()?, filter(absent, libc::ENOSYS)?.try_into()?],
        })
    }

    /// Binds the calling thread, and all that it executes, for good.
    pub(super) fn apply(&self) -> io::Result<()> {
        self.programs.iter().try_for_each(|program| apply_filter(program).map_err(io::Error::other))
    }
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    errno: libc::c_int,
) -> Result<SeccompFilter, seccompiler::BackendError> {
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, TargetArch::x86_64)
}

/// Matches when any of the bits is set in the first argument.
fn one_rule_per_bit(bits: u32) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    (0..32)
        .map(|n| u64::from(bits & (1 << n)))
        .filter(|bit| *bit != 0)
        .map(|bit| {
            let set = SeccompCmpOp::MaskedEq(bit);
            SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Qword, set, bit)?])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile() {
        assert!(Filters::compile().is_ok());
    }

    #[test]
    fn each_namespace_flag_has_a_rule() {
        assert_eq!(one_rule_per_bit(NEW_NAMESPACES.cast_unsigned()).unwrap().len(), 7);
    }
}
