//! The policy as `secilc` sees it: it compiles, within its limits and always to the same bytes, and a rule that breaks a
//! boundary does not. `KENNEL_SECILC` names another compiler than the one on the path.

#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failed test")]

use std::process::Command;

use kennel_policy::{CompileError, Compiled, Extra, compile, render};

fn secilc() -> Command {
    Command::new(std::env::var_os("KENNEL_SECILC").unwrap_or_else(|| "secilc".into()))
}

fn compiled(slots: u16, cil: &str) -> Result<Compiled, CompileError> {
    let extra = Extra { name: "extra".into(), cil: cil.into(), ..Extra::default() };
    compile(&render(slots, &[extra]).unwrap(), secilc())
}

#[test]
fn a_thousand_slots_fit_into_a_mebibyte_and_the_bytes_repeat() {
    let policy = compiled(1000, "").unwrap();
    assert!(policy.binary.len() <= 1 << 20, "{} bytes", policy.binary.len());
    assert_eq!(policy, compiled(1000, "").unwrap());
}

#[test]
fn the_smallest_pools_compile() {
    for slots in [1, 2, 3] {
        compiled(slots, "").unwrap();
    }
}

#[test]
fn an_image_may_add_a_way_into_every_domain_for_its_probe() {
    let probe = "(type probe_exec_t)
        (typeattributeset host_exec probe_exec_t)
        (typeattributeset common_object probe_exec_t)
        (allow domain probe_exec_t be_program)";
    compiled(3, probe).unwrap();
}

/// Rules that nobody may add, and what each would have allowed.
const FORBIDDEN: [(&str, &str); 72] = [
    ("read another slot's data", "(allow tenant0001_t tenant0002_data_t (file (read)))"),
    ("read every slot's data", "(allow tenant_domain slot_data (file (read)))"),
    ("signal another slot", "(allow tenant0002_t tenant0000_t (process (sigkill)))"),
    ("connect to another slot", "(allow tenant0002_t tenant0001_port_t (tcp_socket (name_connect)))"),
    ("unpack into another slot", "(allow tenant0002_install_t tenant0001_code_t (dir (add_name)))"),
    ("use another slot's socket", "(allow tenant_domain tenant_domain (unix_stream_socket (connectto)))"),
    ("load another policy", "(allow init_t security_t (security (load_policy)))"),
    ("stop enforcing", "(allow kernel_t security_t (security (setenforce)))"),
    ("set a boolean", "(allow control_t security_t (security (setbool)))"),
    ("write to selinuxfs", "(allow init_t security_t (file (write)))"),
    ("enter a tenant's domain", "(allow control_t tenant0001_t (process (transition)))"),
    ("change domain without exec", "(allow init_t proxy_t (process (dyntransition)))"),
    ("start from a foreign program", "(allow proxy_t root_t (file (entrypoint)))"),
    ("choose a child's domain", "(allow proxy_t self (process (setexec)))"),
    ("relabel", "(allow control_t control_data_t (file (relabelfrom)))"),
    ("ptrace", "(allow init_t tenant0001_t (process (ptrace)))"),
    ("reach the registry", "(allow tenant0001_t control_data_t (file (read)))"),
    ("talk to init", "(allow tenant0001_t init_t (unix_stream_socket (write)))"),
    ("read the proxy's memory files", "(allow tenant_domain control_memfd_t (file (read)))"),
    ("see init's processes", "(allow tenant_domain init_t (dir (search)))"),
    ("write own code", "(allow tenant0001_t tenant0001_code_t (file (write)))"),
    ("execute own data", "(allow tenant0001_t tenant0001_data_t (file (execute)))"),
    ("install and execute", "(allow tenant0001_install_t tenant0001_code_t (file (execute)))"),
    ("change a mapped program", "(allow tenant0001_t runtime_t (file (execmod)))"),
    ("make code in the proxy", "(allow proxy_t self (process (execmem)))"),
    ("start a program in the proxy", "(allow proxy_t proxy_exec_t (file (execute_no_trans)))"),
    ("write the image", "(allow init_t root_t (file (write)))"),
    ("remount the image", "(allow init_t image_fs_t (filesystem (remount)))"),
    ("mount", "(allow control_t tmpfs_t (filesystem (mount)))"),
    ("load a tenant's module", "(allow init_t tenant0001_data_t (system (module_load)))"),
    ("have a capability", "(allow tenant0001_t self (capability (net_bind_service)))"),
    ("have an overriding capability", "(allow init_t self (capability2 (mac_admin)))"),
    ("make a user namespace", "(allow tenant_domain self (user_namespace (create)))"),
    ("use io_uring", "(allow tenant_domain self (io_uring (sqpoll)))"),
    ("write a disk", "(allow control_t data_disk_t (blk_file (write)))"),
    ("read a tenant's data as init", "(allow init_t slot_data (file (read)))"),
    ("read a tenant's code as control", "(allow control_t slot_code (file (read)))"),
    ("read a tenant's code as who writes the log of denials", "(allow audit_t slot_code (file (read)))"),
    ("read a tenant's data as the proxy", "(allow proxy_t slot_data (file (read)))"),
    ("change a release as the proxy", "(allow proxy_t slot_code (file (write)))"),
    ("list a release as the proxy", "(allow proxy_t slot_code (dir (read)))"),
    ("follow a release's links as the proxy", "(allow proxy_t slot_code (lnk_file (read)))"),
    ("find a way to slots as the proxy", "(allow proxy_t data_t (dir (search)))"),
    ("reach the Internet from the proxy", "(allow proxy_t node_t (node (sendto)))"),
    ("reach the metadata service", "(allow tenant0001_t metadata_node_t (node (sendto)))"),
    ("send to the metadata service by its label", "(allow tenant0001_t metadata_packet_t (packet (send)))"),
    ("reach the metadata service from the DHCP client", "(allow dhcp_t metadata_node_t (node (sendto)))"),
    ("send to it from control", "(allow control_t metadata_packet_t (packet (send)))"),
    ("reach the Internet from where it is asked", "(allow imds_t node_t (node (sendto)))"),
    ("send to the web from there", "(allow imds_t public_packet_t (packet (send)))"),
    ("set the clock", "(allow tenant0001_t self (capability (sys_time)))"),
    ("set the clock as control", "(allow control_t self (capability (sys_time)))"),
    ("more than to set the clock for who does", "(allow chronyd_t self (capability (net_admin)))"),
    ("ask for the time", "(allow tenant0001_t time_packet_t (packet (send)))"),
    ("reach the cloud's time server", "(allow tenant0001_t time_node_t (node (sendto)))"),
    (
        "reach the web without TLS from where certificates are ordered",
        "(allow acme_t http_port_t (tcp_socket (name_connect)))",
    ),
    (
        "reach the cloud's services from where certificates are ordered",
        "(allow acme_t metadata_packet_t (packet (send)))",
    ),
    ("connect to slots from where certificates are ordered", "(allow acme_t loopback_node_t (node (sendto)))"),
    ("speak with an authority from control", "(allow control_t https_port_t (tcp_socket (name_connect)))"),
    ("reach the web from where the clock is set", "(allow chronyd_t public_packet_t (packet (send)))"),
    ("connect to slots from there", "(allow imds_t loopback_node_t (node (sendto)))"),
    ("speak with the TPM as control", "(allow control_t tpm_device_t (chr_file (read write)))"),
    ("speak with the TPM as a tenant", "(allow tenant_domain tpm_device_t (chr_file (open read write)))"),
    ("open the TPM as who speaks with it", "(allow tpm_t tpm_device_t (chr_file (open)))"),
    ("send to private addresses", "(allow tenant_domain private_packet_t (packet (send)))"),
    ("send to another slot's port", "(allow tenant0001_t tenant0002_port_t (packet (send)))"),
    ("send without a label", "(allow tenant_domain unlabeled_t (packet (send)))"),
    ("label packets", "(allow init_t public_packet_t (packet (relabelto)))"),
    ("listen on another's port elsewhere", "(allow tenant_domain client_port_t (tcp_socket (name_bind)))"),
    ("bind a foreign address", "(allow tenant_domain node_t (tcp_socket (node_bind)))"),
    ("speak as the kernel does of a connection", "(allow tenant_domain answer_packet_t (packet (send)))"),
    ("bind a nameless port", "(allow tenant_domain port_t (tcp_socket (name_bind)))"),
];

/// `secilc` names every rule that breaks a `neverallow`, so a few are tried at a time; each must be among them.
#[test]
fn no_image_can_add_a_forbidden_rule() {
    for rules in FORBIDDEN.chunks(4) {
        let text = rules.iter().map(|(_, rule)| format!("{rule}\n")).collect::<String>();
        let Err(CompileError::Refused { messages, .. }) = compiled(3, &text) else {
            panic!("compiled: {text}");
        };
        assert!(messages.contains("neverallow"), "{messages}");
        for (line, (what, _)) in rules.iter().enumerate() {
            assert!(
                messages.contains(&format!("allow at extra.cil:{}\n", line + 1)),
                "one could {what}: {messages}"
            );
        }
    }
}

#[test]
fn a_compiler_that_is_not_there_is_named() {
    let rendered = render(1, &[]).unwrap();
    let error = compile(&rendered, Command::new("/nonexistent/secilc")).unwrap_err();
    assert!(error.to_string().starts_with("cannot run secilc"), "{error}");
}
