//! The probes by name, in the order of `policy/isolation.toml`. Which are harmless to try on a host with tenants stands
//! there and here; a test holds the two against each other.

mod escape;
mod exhaust;
mod files;
mod host;
pub(crate) mod ipc;
mod kernel;
mod kernel_files;
mod links;
pub(crate) mod network;
mod own;
mod process;
mod sockets;

use std::time::Duration;

use crate::{Attempt, Place};

/// One forbidden act.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// The row's id.
    pub id: &'static str,
    /// Whether it may be tried on a host with tenants: should it succeed, it does no damage.
    pub harmless: bool,
    /// It is ended after this time.
    pub deadline: Duration,
    /// The act itself. To be run in a process that then ends.
    pub(crate) run: fn(&Place) -> Attempt,
}

const fn harmless(id: &'static str, run: fn(&Place) -> Attempt) -> Probe {
    Probe { id, harmless: true, deadline: Duration::from_secs(5), run }
}

const fn harmful(id: &'static str, run: fn(&Place) -> Attempt) -> Probe {
    Probe { id, harmless: false, deadline: Duration::from_secs(5), run }
}

/// What takes its time, under emulation above all; less than the proxy waits for an answer.
const fn lasting(id: &'static str, run: fn(&Place) -> Attempt) -> Probe {
    Probe { id, harmless: false, deadline: Duration::from_secs(50), run }
}

/// All of them.
pub const PROBES: &[Probe] = &[
    // Files of another slot.
    harmless("other-slot-code-read", files::code_read),
    harmful("other-slot-code-write", files::code_write),
    harmless("other-slot-code-run", files::code_run),
    harmless("other-slot-data-read", files::data_read),
    harmless("other-slot-data-list", files::data_list),
    harmless("other-slot-data-stat", files::data_stat),
    harmful("other-slot-data-write", files::data_write),
    harmful("other-slot-data-create", files::data_create),
    harmful("other-slot-data-remove", files::data_remove),
    harmless("other-slot-log-read", files::log_read),
    harmful("other-slot-log-write", files::log_write),
    harmless("other-slot-tmp-read", files::tmp_read),
    harmless("other-slot-socket-connect", files::socket_connect),
    // Files of the host.
    harmless("host-registry-read", host::registry_read),
    harmful("host-registry-write", host::registry_write),
    harmless("host-program-read", host::program_read),
    harmless("host-program-run", host::program_run),
    harmless("host-facts-read", host::facts_read),
    harmful("host-run-write", host::run_write),
    harmful("host-slots-write", host::slots_write),
    harmful("host-image-write", host::image_write),
    harmful("host-setenforce", host::setenforce),
    harmful("host-policy-load", host::policy_load),
    harmful("host-sysctl-write", host::sysctl_write),
    harmless("host-core-pattern", host::core_pattern),
    harmless("host-modprobe-path", host::modprobe_path),
    // Its own release, data and domain.
    harmful("own-code-write", own::code_write),
    harmful("own-code-create", own::code_create),
    harmful("own-code-remove", own::code_remove),
    harmless("own-exe-overwrite", own::exe_overwrite),
    harmless("own-data-run", own::data_run),
    harmless("own-data-map", own::data_map),
    harmless("own-memory-run", own::memory_run),
    harmless("own-code-made", own::code_made),
    harmless("own-memory-change", own::memory_change),
    harmful("own-log-cut", own::log_cut),
    harmless("become-root", own::become_root),
    harmless("become-group", own::become_group),
    harmless("become-domain", own::become_domain),
    harmless("own-file-give", own::file_give),
    harmless("own-limit-raise", own::limit_raise),
    // Processes of others.
    harmless("process-see", process::see),
    harmless("process-signal", process::signal),
    harmless("process-service-signal", process::service_signal),
    harmless("process-environment", process::environment),
    harmless("process-memory", process::memory),
    harmless("process-descriptors", process::descriptors),
    harmless("process-root", process::root),
    harmless("process-namespaces", process::namespaces),
    harmful("process-oom-score", process::oom_score),
    harmful("process-ptrace", process::ptrace),
    harmless("process-read-memory", process::read_memory),
    harmless("process-write-memory", process::write_memory),
    harmless("process-take-descriptor", process::take_descriptor),
    harmless("process-compare", process::compare),
    harmless("process-perf", process::perf),
    harmful("process-affinity", process::affinity),
    harmful("process-priority", process::priority),
    harmful("process-limits", process::limits),
    harmless("process-pages", process::pages),
    // Inter-process communication.
    harmless("ipc-shared-memory", ipc::shared_memory),
    harmless("ipc-semaphore", ipc::semaphore),
    harmless("ipc-message-queue", ipc::message_queue),
    harmless("ipc-posix-queue", ipc::posix_queue),
    harmless("ipc-abstract-connect", ipc::abstract_connect),
    harmless("ipc-abstract-send", ipc::abstract_send),
    harmless("ipc-passed-descriptor", ipc::passed_descriptor),
    harmless("ipc-key-read", ipc::key_read),
    // Network.
    harmless("net-other-port-connect", network::other_port),
    harmless("net-other-port-connect-v6", network::other_port_v6),
    harmless("net-other-port-public", network::other_port_public),
    harmless("net-fast-open", network::fast_open),
    harmless("net-other-port-bind", network::other_port_bind),
    harmless("net-multipath-bind", sockets::multipath_bind),
    harmless("net-low-port-bind", network::low_port_bind),
    harmless("net-public-listen", network::public_listen),
    harmless("net-udp-bind", network::udp_bind),
    harmless("net-loopback-datagram", network::loopback_datagram),
    harmless("net-api-connect", network::api),
    harmless("net-proxy-connect", network::proxy),
    harmless("metadata-v4", network::metadata_v4),
    harmless("metadata-v6", network::metadata_v6),
    harmless("metadata-mapped", network::metadata_mapped),
    harmless("metadata-redirect", network::metadata_redirect),
    harmless("metadata-name", network::metadata_name),
    harmless("metadata-datagram", network::metadata_datagram),
    harmless("net-link-local", network::link_local),
    harmless("net-private-range", network::private_range),
    harmless("net-mail-connect", network::mail),
    harmless("net-raw-socket", sockets::raw_socket),
    harmless("net-packet-socket", sockets::packet_socket),
    harmless("net-spoofed-source", sockets::spoofed_source),
    harmless("net-free-bind", sockets::free_bind),
    harmless("net-packet-mark", sockets::packet_mark),
    harmful("net-address-add", sockets::address_add),
    harmful("net-route-change", sockets::route_change),
    harmless("net-filter-netlink", sockets::filter_netlink),
    harmless("net-socket-list", sockets::socket_list),
    harmless("net-table-read", sockets::table_read),
    harmless("net-kernel-events", sockets::kernel_events),
    harmless("net-audit-netlink", sockets::audit_netlink),
    // Kernel surface.
    harmful("kernel-mount", kernel::mount),
    harmful("kernel-mount-new", kernel::mount_new),
    harmful("kernel-remount", kernel::remount),
    harmful("kernel-unmount", kernel::unmount),
    harmless("kernel-user-namespace", kernel::user_namespace),
    harmless("kernel-mount-namespace", kernel::mount_namespace),
    harmless("kernel-net-namespace", kernel::net_namespace),
    harmful("kernel-module-load", kernel::module_load),
    harmful("kernel-bpf", kernel::bpf),
    harmful("kernel-perf", kernel::perf),
    harmful("kernel-io-uring", kernel::io_uring),
    harmful("kernel-keys", kernel::keys),
    harmful("kernel-kexec", kernel::kexec),
    harmful("kernel-reboot", kernel::reboot),
    harmful("kernel-userfaultfd", kernel::userfaultfd),
    harmless("kernel-log-read", kernel::log_read),
    harmful("kernel-clock", kernel::clock),
    harmful("kernel-host-name", kernel::host_name),
    harmful("kernel-port-access", kernel::port_access),
    harmful("kernel-segments", kernel::segments),
    harmful("kernel-accounting", kernel::accounting),
    harmful("kernel-swap", kernel::swap),
    harmful("kernel-quota", kernel::quota),
    harmful("kernel-file-handle", kernel::file_handle),
    harmful("kernel-fanotify", kernel::fanotify),
    harmful("kernel-personality", kernel::personality),
    harmful("kernel-obsolete-calls", kernel::obsolete_calls),
    harmful("kernel-crypto-socket", sockets::crypto),
    harmful("kernel-vm-socket", sockets::vm),
    harmful("kernel-odd-sockets", sockets::odd),
    harmless("kernel-terminal-input", kernel_files::terminal_input),
    harmless("kernel-physical-memory", kernel_files::physical_memory),
    harmless("kernel-log-device", kernel_files::log_device),
    harmless("kernel-tpm", kernel_files::tpm),
    harmless("kernel-core-memory", kernel_files::core_memory),
    harmless("kernel-symbols", kernel_files::symbols),
    harmless("kernel-system-request", kernel_files::system_request),
    harmless("kernel-disk", kernel_files::disk),
    harmless("kernel-debugfs", kernel_files::debugfs),
    harmless("kernel-tracefs", kernel_files::tracefs),
    harmless("kernel-sysfs-write", kernel_files::sysfs_write),
    harmless("cgroup-own-limit", kernel_files::cgroup_own_limit),
    harmless("cgroup-other-freeze", kernel_files::cgroup_other_freeze),
    harmful("cgroup-leave", kernel_files::cgroup_leave),
    // Escape classics.
    harmless("escape-dot-dot", links::dot_dot),
    harmful("escape-chroot", escape::chroot),
    harmful("escape-release-agent", escape::release_agent),
    harmful("escape-setuid-program", escape::setuid_program),
    harmless("escape-hard-link", links::hard_link),
    harmless("escape-symlink", links::symlink),
    harmful("escape-slot-plant", links::slot_plant),
    harmful("escape-log-plant", links::log_plant),
    harmful("escape-release-plant", links::release_plant),
    harmful("escape-device-node", escape::device_node),
    harmful("escape-deep-tree", escape::deep_tree),
    // Denial of service.
    lasting("exhaust-processes", exhaust::processes),
    lasting("exhaust-memory", exhaust::memory),
    lasting("exhaust-disk", exhaust::disk),
    lasting("exhaust-inodes", exhaust::inodes),
    lasting("exhaust-tmp", exhaust::tmp),
    lasting("exhaust-descriptors", exhaust::descriptors),
    lasting("exhaust-log", exhaust::log),
    lasting("exhaust-processor", exhaust::processor),
    lasting("exhaust-connections", exhaust::connections),
    lasting("exhaust-slow-reader", exhaust::slow_reader),
];
