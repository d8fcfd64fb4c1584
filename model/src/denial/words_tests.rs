//! The sentences, as people read them.

use super::*;

fn slot(n: u16) -> SlotId {
    SlotId::new(n).unwrap()
}

fn names() -> Names {
    [(slot(3), "blog".parse().unwrap()), (slot(12), "shop".parse().unwrap())].into()
}

fn said(actor: Actor, act: Act) -> String {
    sentence(&Denial { actor, program: "node".into(), act }, &names())
}

fn access(class: &str, permissions: &[&str], object: &str) -> Access {
    Access {
        class: class.into(),
        permissions: permissions.iter().map(|p| (*p).to_owned()).collect(),
        object: Object::of(object),
        name: None,
        address: None,
        port: None,
        enforced: true,
    }
}

fn blog_did(access: Access) -> String {
    said(Actor::Tenant(slot(3)), Act::Access(access))
}

fn blog_sent(protocol: &str, to: &str, port: Option<u16>) -> String {
    said(
        Actor::Tenant(slot(3)),
        Act::Packet(Packet { protocol: protocol.into(), to: to.parse().unwrap(), port }),
    )
}

#[test]
fn packets_say_where_to_and_what_that_is() {
    assert_eq!(
        blog_sent("tcp", "169.254.169.254", Some(80)),
        "blog tried to connect to 169.254.169.254:80: metadata service; refused by iptables (SELinux refuses it too)"
    );
    assert_eq!(
        blog_sent("tcp", "10.0.2.2", Some(443)),
        "blog tried to connect to 10.0.2.2:443: private address; refused by iptables"
    );
    assert_eq!(
        blog_sent("udp", "2606:2800::1", Some(123)),
        "blog tried to send udp to [2606:2800::1]:123; refused by iptables"
    );
    assert_eq!(
        blog_sent("tcp", "127.0.0.1", Some(slot(12).port())),
        "blog tried to connect to 127.0.0.1:20096: another tenant's port (slot 0012: shop); refused by iptables \
         (SELinux refuses it too)"
    );
    assert_eq!(
        blog_sent("icmp", "224.0.0.1", None),
        "blog tried to send icmp to 224.0.0.1: an address of many; refused by iptables"
    );
}

#[test]
fn ports_are_told_from_their_numbers() {
    let port = |n| Access { port: Some(n), ..access("tcp_socket", &["name_connect"], "tenant0012_port_t") };
    assert_eq!(
        blog_did(port(20_096)),
        "blog tried to connect to port 20096: another tenant's port (slot 0012: shop); refused by SELinux \
         (iptables refuses it too)"
    );
    assert_eq!(
        blog_did(port(20_104)),
        "blog tried to connect to port 20104: the port of an empty slot (0013); refused by SELinux \
         (iptables refuses it too)"
    );
    let bind = Access { port: Some(81), ..access("tcp_socket", &["name_bind"], "port_t") };
    assert_eq!(blog_did(bind), "blog tried to take port 81; refused by SELinux");
    let theirs = Access { port: Some(20_097), ..access("tcp_socket", &["name_bind"], "tenant0012_port_t") };
    assert_eq!(
        blog_did(theirs),
        "blog tried to take port 20097: another tenant's port (slot 0012: shop); refused by SELinux"
    );
}

#[test]
fn files_are_named_with_their_owner() {
    let read = Access { name: Some("kallsyms".into()), ..access("file", &["read"], "proc_kernel_t") };
    assert_eq!(
        blog_did(read),
        "blog tried to read \"kallsyms\", the kernel's tables in /proc; refused by SELinux"
    );
    assert_eq!(
        blog_did(access("dir", &["search"], "tenant0012_data_t")),
        "blog tried to pass through the data of shop (slot 0012); refused by SELinux"
    );
    assert_eq!(
        blog_did(access("file", &["write", "open"], "tenant0003_code_t")),
        "blog tried to write to its own release; refused by SELinux"
    );
    assert_eq!(
        blog_did(access("file", &["read"], "surprise_t")),
        "blog tried to read surprise_t; refused by SELinux"
    );
}

#[test]
fn what_a_tenant_names_a_file_is_quoted_and_fills_no_gap() {
    let hostile = Access { name: Some("{p}{c}\"; all is well".into()), ..access("file", &["read"], "proc_t") };
    assert_eq!(blog_did(hostile), "blog tried to read \"{p}{c}\\\"; all is well\", /proc; refused by SELinux");
}

#[test]
fn every_class_has_a_sentence_and_the_unknown_ones_are_said_plainly() {
    for (class, permission, words) in [
        ("process", "execmem", "make memory writable and executable at once"),
        ("process", "ptrace", "trace the program of shop (slot 0012)"),
        ("capability", "sys_admin", "use the privilege sys_admin"),
        ("user_namespace", "create", "make a user namespace"),
        ("netlink_audit_socket", "create", "open a socket of the kind netlink_audit_socket"),
        ("udp_socket", "bind", "take a port or address (udp_socket)"),
        ("unix_stream_socket", "connectto", "talk to a socket of the program of shop (slot 0012)"),
        ("fd", "use", "use a descriptor of the program of shop (slot 0012)"),
        ("sem", "associate", "share memory or messages with the program of shop (slot 0012)"),
        ("dragon", "feed", "feed on the program of shop (slot 0012) (dragon)"),
    ] {
        let sentence = blog_did(access(class, &[permission], "tenant0012_t"));
        assert_eq!(sentence, format!("blog tried to {words}; refused by SELinux"));
    }
}

#[test]
fn all_kinds_of_actors_and_ends_have_words() {
    let read = || Act::Access(access("file", &["read"], "etc_t"));
    assert_eq!(
        said(Actor::Tenant(slot(9)), read()),
        "the program in slot 0009 tried to read the host's settings; refused by SELinux"
    );
    assert_eq!(
        said(Actor::Install(slot(3)), read()),
        "the unpacking of a release of blog (slot 0003) tried to read the host's settings; refused by SELinux"
    );
    assert_eq!(
        said(Actor::Host("proxy_t".into()), read()),
        "the host's proxy tried to read the host's settings; refused by SELinux"
    );
    assert_eq!(
        said(Actor::Tenant(slot(3)), Act::SystemCall { number: 165, foreign: false }),
        "blog tried to make the system call mount; refused by seccomp"
    );
    let open = Access { enforced: false, ..access("file", &["read"], "etc_t") };
    assert_eq!(
        blog_did(open),
        "blog did what SELinux forbids, in a permissive domain: read the host's settings"
    );
    assert!(said(Actor::Tenant(slot(3)), Act::Others).starts_with("blog tried more"));
}
