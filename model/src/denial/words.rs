//! Denied acts as sentences for people: "blog tried to connect to 169.254.169.254:80: metadata service; refused by
//! iptables (SELinux refuses it too)". One table says what each class and permission of the policy means; what it does
//! not have is said in the policy's own words.

use std::collections::BTreeMap;

use super::places::Place;
use super::{Access, Act, Actor, Denial, Layer, Object, Packet, SlotPart};
use crate::{SlotId, TenantName};

/// Who lives in which slot.
pub type Names = BTreeMap<SlotId, TenantName>;

/// The sentence for one kind of denied act.
pub fn sentence(denial: &Denial, names: &Names) -> String {
    let who = who(&denial.actor, names);
    match &denial.act {
        Act::Others => return format!("{who} tried more, of too many kinds to tell apart; refused"),
        Act::Access(access) if !access.enforced => {
            let deed = deed(&denial.actor, access, names);
            return format!("{who} did what SELinux forbids, in a permissive domain: {deed}");
        }
        _ => {}
    }
    let (deed, place) = match &denial.act {
        Act::Access(access) => (deed(&denial.actor, access, names), place_of(access)),
        Act::Packet(packet) => (packet_deed(packet), Some(Place::of(packet.to, packet.port))),
        Act::SystemCall { number, foreign } => (system_call(*number, *foreign), None),
        Act::Others => (String::new(), None),
    };
    let place = place.and_then(|place| place_words(place, &denial.actor, names));
    let place = place.map(|words| format!(": {words}")).unwrap_or_default();
    let by = denial.refused_by().map_or("the host", layer_words);
    let behind = behind(denial).map(|layer| format!(" ({} refuses it too)", layer_words(layer)));
    format!("{who} tried to {deed}{place}; refused by {by}{}", behind.unwrap_or_default())
}

/// The layer that refuses the same act, where that is so for every tenant: it was not asked, as the other came first.
pub fn behind(denial: &Denial) -> Option<Layer> {
    match &denial.act {
        Act::Packet(packet) => match Place::of(packet.to, packet.port) {
            Place::Metadata => Some(Layer::Selinux),
            Place::SlotPort(_) | Place::Api | Place::Proxy | Place::Loopback if packet.protocol == "tcp" => {
                Some(Layer::Selinux)
            }
            _ => None,
        },
        Act::Access(access) if access.enforced => match place_of(access)? {
            Place::Metadata | Place::SlotPort(_) | Place::Api if !access.asks_for("name_bind") => {
                Some(Layer::Iptables)
            }
            _ => None,
        },
        _ => None,
    }
}

/// A layer's name as people know it.
pub const fn layer_words(layer: Layer) -> &'static str {
    match layer {
        Layer::Iptables => "iptables",
        Layer::Selinux => "SELinux",
        Layer::Seccomp => "seccomp",
    }
}

fn who(actor: &Actor, names: &Names) -> String {
    match actor {
        Actor::Tenant(slot) => {
            names.get(slot).map_or_else(|| format!("the program in slot {slot}"), TenantName::to_string)
        }
        Actor::Install(slot) => format!("the unpacking of a release of {}", of_slot(*slot, names)),
        Actor::Host(domain) => match domain.strip_suffix("_t") {
            Some(name) => format!("the host's {name}"),
            None => format!("a program of the host's ({domain})"),
        },
    }
}

fn of_slot(slot: SlotId, names: &Names) -> String {
    match names.get(&slot) {
        Some(name) => format!("{name} (slot {slot})"),
        None => format!("slot {slot}"),
    }
}

/// Classes of things in folders.
const FILES: &[&str] = &["file", "dir", "lnk_file", "chr_file", "blk_file", "sock_file", "fifo_file"];
/// Classes of System V's and POSIX's shared things.
const SHARED: &[&str] = &["shm", "sem", "msgq", "msg", "ipc"];
/// Any class whose name ends so.
const SOCKETS: &[&str] = &["*socket"];

/// What was tried, by class and permission; the first line that fits is taken. `{o}` is the object, `{p}` the permissions,
/// `{c}` the class, `{n}` the port, `{a}` the address.
const DEEDS: &[(&[&str], &[&str], &str)] = &[
    (FILES, &["entrypoint", "execute", "execute_no_trans", "execmod"], "run {o}"),
    (&["dir"], &["add_name", "create", "write"], "make something in {o}"),
    (&["dir"], &["remove_name", "rmdir"], "remove something of {o}"),
    (FILES, &["append", "write"], "write to {o}"),
    (FILES, &["create"], "make {o}"),
    (FILES, &["unlink", "rmdir"], "remove {o}"),
    (FILES, &["rename", "reparent"], "move {o}"),
    (FILES, &["link"], "make another name for {o}"),
    (FILES, &["setattr"], "change the mode, owner or times of {o}"),
    (FILES, &["relabelfrom", "relabelto"], "change the label of {o}"),
    (FILES, &["mounton"], "mount something on {o}"),
    (FILES, &["ioctl"], "control {o} by an ioctl"),
    (FILES, &["lock"], "lock {o}"),
    (FILES, &["watch", "watch_mount", "watch_reads", "watch_sb", "watch_with_perm"], "watch {o}"),
    (&["dir"], &["open", "read"], "list {o}"),
    (FILES, &["map", "open", "read"], "read {o}"),
    (&["dir"], &["search"], "pass through {o}"),
    (FILES, &["getattr"], "look at {o}"),
    (&["process"], &["execheap", "execmem", "execstack"], "make memory writable and executable at once"),
    (&["process"], &["ptrace"], "trace {o}"),
    (&["process"], &["sigchld", "sigkill", "signal", "signull", "sigstop"], "send a signal to {o}"),
    (&["process"], &["dyntransition", "transition"], "become {o}"),
    (
        &["process"],
        &["setcurrent", "setexec", "setfscreate", "setkeycreate", "setsockcreate"],
        "choose a label",
    ),
    (&["process"], &["getattr", "getcap", "getpgid", "getrlimit", "getsched", "getsession"], "look at {o}"),
    (&["process", "process2"], &[], "change {o} ({p})"),
    (&["capability", "capability2", "cap_userns", "cap2_userns"], &[], "use the privilege {p}"),
    (&["system"], &["module_load", "module_request"], "load a module into the kernel"),
    (&["system"], &["syslog_console", "syslog_mod", "syslog_read"], "read the kernel's log"),
    (&["security"], &[], "change or question SELinux ({p})"),
    (&["user_namespace"], &[], "make a user namespace"),
    (&["bpf"], &[], "use BPF"),
    (&["perf_event"], &[], "measure the processor (perf)"),
    (&["io_uring"], &[], "use io_uring"),
    (&["key"], &[], "use a keyring of {o}"),
    (&["memprotect"], &[], "map the lowest memory"),
    (&["fd"], &[], "use a descriptor of {o}"),
    (SHARED, &[], "share memory or messages with {o}"),
    (&["filesystem"], &["mount", "remount", "unmount"], "mount or unmount {o}"),
    (&["filesystem"], &["getattr"], "ask how full {o} is"),
    (SOCKETS, &["name_connect"], "connect to port {n}"),
    (SOCKETS, &["name_bind"], "take port {n}"),
    (SOCKETS, &["node_bind"], "take the address {a}"),
    (SOCKETS, &["connectto", "sendto"], "talk to a socket of {o}"),
    (SOCKETS, &["bind"], "take a port or address ({c})"),
    (SOCKETS, &["create"], "open a socket of the kind {c}"),
    (SOCKETS, &[], "use a socket of {o} ({c}: {p})"),
    (&["node"], &["sendto"], "send to {a}"),
    (&["node"], &["recvfrom"], "receive from {a}"),
    (&["packet", "peer"], &["send"], "send to {a}"),
    (&["packet", "peer"], &["recv"], "receive from {a}"),
    (&["netif"], &[], "use a network interface"),
];

/// Types of the policy that mean something to people.
const TYPES: &[(&str, &str)] = &[
    ("api_port_t", "the operator's API"),
    ("cgroup_t", "the control groups"),
    ("console_device_t", "the console"),
    ("control_data_t", "the registry"),
    ("control_t", "control"),
    ("data_disk_t", "the data volume's disk"),
    ("data_t", "the folder of the slots"),
    ("device_t", "a device of the host's"),
    ("etc_t", "the host's settings"),
    ("image_fs_t", "the image"),
    ("init_t", "init (PID 1)"),
    ("kernel_log_device_t", "the kernel's log"),
    ("kernel_t", "the kernel"),
    ("kernelfs_t", "a window into the kernel"),
    ("lib_t", "the host's libraries"),
    ("modules_t", "the kernel's modules"),
    ("policy_t", "the policy"),
    ("proc_kernel_t", "the kernel's tables in /proc"),
    ("proc_net_t", "the network's tables in /proc"),
    ("proc_t", "/proc"),
    ("proxy_t", "the proxy"),
    ("root_t", "the host's files"),
    ("runtime_exec_t", "a program of the runtime"),
    ("runtime_t", "the runtime"),
    ("security_t", "SELinux's switches"),
    ("slot_dev_t", "/dev"),
    ("sysctl_t", "the kernel's settings"),
    ("sysfs_t", "/sys"),
    ("unlabeled_file_t", "a file without a label"),
];

impl Access {
    fn asks_for(&self, permission: &str) -> bool {
        self.permissions.iter().any(|p| p == permission)
    }

    fn is_of(&self, classes: &[&str]) -> bool {
        classes.iter().any(|class| match class.strip_prefix('*') {
            Some(end) => self.class.ends_with(end),
            None => self.class == *class,
        })
    }
}

fn deed(actor: &Actor, access: &Access, names: &Names) -> String {
    let fits = |(classes, permissions, _): &&(&[&str], &[&str], &str)| {
        access.is_of(classes) && (permissions.is_empty() || permissions.iter().any(|p| access.asks_for(p)))
    };
    let template = DEEDS.iter().find(fits).map_or("{p} on {o} ({c})", |(_, _, words)| words);
    let port = access.port.map_or_else(|| "of an unknown number".to_owned(), |port| port.to_string());
    // What a tenant chose comes last, so that nothing in it is taken for a place to fill.
    template
        .replace("{c}", &access.class)
        .replace("{p}", &access.permissions.join(", "))
        .replace("{n}", &port)
        .replace("{a}", &address(access))
        .replace("{o}", &object(actor, access, names))
}

fn address(access: &Access) -> String {
    match (access.address, access.port) {
        (Some(address), Some(port)) => std::net::SocketAddr::new(address, port).to_string(),
        (Some(address), None) => address.to_string(),
        (None, _) => "an unknown address".to_owned(),
    }
}

fn object(actor: &Actor, access: &Access, names: &Names) -> String {
    let owner = match &access.object {
        Object::Slot(slot, part) if actor.slot() == Some(*slot) => format!("its own {}", part_words(*part)),
        Object::Slot(slot, part) => format!("the {} of {}", part_words(*part), of_slot(*slot, names)),
        Object::Type(name) => {
            let known = TYPES.iter().find(|(known, _)| known == name);
            known.map_or_else(|| name.clone(), |(_, words)| (*words).to_owned())
        }
    };
    match &access.name {
        Some(name) => format!("{name:?}, {owner}"),
        None => owner,
    }
}

const fn part_words(part: SlotPart) -> &'static str {
    match part {
        SlotPart::Process => "program",
        SlotPart::Install => "unpacking",
        SlotPart::Code => "release",
        SlotPart::Data => "data",
        SlotPart::Tmp => "temporary files",
        SlotPart::Log => "log",
        SlotPart::Port => "port",
    }
}

/// The place that a network access was about. Of a connection SELinux knows the port only.
fn place_of(access: &Access) -> Option<Place> {
    match (access.address, access.port) {
        (Some(address), port) => Some(Place::of(address, port)),
        (None, Some(port)) => Place::of_port(port),
        (None, None) => None,
    }
}

fn place_words(place: Place, actor: &Actor, names: &Names) -> Option<String> {
    Some(match place {
        Place::Metadata => "metadata service".to_owned(),
        Place::Resolver => "the cloud's name server, which is for DNS only".to_owned(),
        Place::SlotPort(slot) if actor.slot() == Some(slot) => "a port of its own".to_owned(),
        Place::SlotPort(slot) => match names.get(&slot) {
            Some(name) => format!("another tenant's port (slot {slot}: {name})"),
            None => format!("the port of an empty slot ({slot})"),
        },
        Place::Api => "the operator's API".to_owned(),
        Place::Proxy => "the web's port".to_owned(),
        Place::Loopback => "this host".to_owned(),
        Place::LinkLocal => "link-local address".to_owned(),
        Place::Private => "private address".to_owned(),
        Place::Group => "an address of many".to_owned(),
        Place::Reserved => "reserved address".to_owned(),
        Place::Public => return None,
    })
}

fn packet_deed(packet: &Packet) -> String {
    let Packet { protocol, to, port } = packet;
    match (protocol.as_str(), port) {
        ("tcp", Some(port)) => format!("connect to {}", std::net::SocketAddr::new(*to, *port)),
        (_, Some(port)) => format!("send {protocol} to {}", std::net::SocketAddr::new(*to, *port)),
        (_, None) => format!("send {protocol} to {to}"),
    }
}

fn system_call(number: u32, foreign: bool) -> String {
    match (foreign, super::syscalls::name(number)) {
        (true, _) => format!("make a system call of another kind of processor ({number})"),
        (false, Some(name)) => format!("make the system call {name}"),
        (false, None) => format!("make an unknown system call ({number})"),
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
