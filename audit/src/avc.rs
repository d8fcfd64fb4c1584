//! What SELinux says: `avc:  denied  { read } for  pid=… comm="…" … scontext=… tcontext=… tclass=… permissive=0`.

use kennel_model::denial::{Access, Act, Actor, Denial, MAX_PERMISSIONS, Object, SlotPart};

use crate::fields::{Fields, word};

/// The denial that a text after `avc:` tells of.
pub(crate) fn parse(text: &str) -> Option<Denial> {
    let rest = text.trim_start_matches(' ').strip_prefix("denied")?;
    let (permissions, rest) = rest.trim_start_matches(' ').strip_prefix('{')?.split_once('}')?;
    let permissions: Vec<String> =
        permissions.split_ascii_whitespace().take(MAX_PERMISSIONS).map(word).collect::<Option<_>>()?;
    let fields = Fields(rest);
    let access = Access {
        class: word(fields.get("tclass")?)?,
        object: Object::of(&type_of(fields.get("tcontext")?)?),
        name: fields.string("path").or_else(|| fields.string("name")).map(without_number),
        address: ["daddr", "faddr", "saddr", "laddr"].iter().find_map(|name| fields.parse(name)),
        port: ["dest", "fport", "src", "lport"].iter().find_map(|name| fields.parse(name)).filter(lasting),
        enforced: fields.get("permissive") != Some("1"),
        permissions,
    };
    let actor = actor(&type_of(fields.get("scontext")?)?);
    let program = fields.string("comm").unwrap_or_default();
    Some(Denial { actor, program, act: Act::Access(access) })
}

/// Ports from here on are given out anew for each connection (init's `net.ipv4.ip_local_port_range`): acts that differ only in
/// them are the same.
const FIRST_PASSING_PORT: u16 = 53_000;

const fn lasting(port: &u16) -> bool {
    *port < FIRST_PASSING_PORT
}

/// Who a domain is.
pub(crate) fn actor(domain: &str) -> Actor {
    match Object::of(domain) {
        Object::Slot(slot, SlotPart::Process) => Actor::Tenant(slot),
        Object::Slot(slot, SlotPart::Install) => Actor::Install(slot),
        Object::Slot(..) | Object::Type(_) => Actor::Host(domain.to_owned()),
    }
}

/// The type in a context, `user:role:type[:range]`.
pub(crate) fn type_of(context: &str) -> Option<String> {
    word(context.split(':').nth(2)?)
}

/// Sockets and pipes are named by numbers that are others each time: `socket:[4711]` is a socket.
fn without_number(name: String) -> String {
    match name.split_once(":[") {
        Some((kind, rest)) if rest.strip_suffix(']').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) => {
            kind.to_owned()
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::SlotId;

    fn slot(n: u16) -> SlotId {
        SlotId::new(n).unwrap()
    }

    fn access(denial: &Denial) -> &Access {
        let Act::Access(access) = &denial.act else { panic!("{denial:?}") };
        access
    }

    #[test]
    fn a_file_that_was_not_read() {
        let denial = parse(
            "  denied  { read open } for  pid=338 comm=\"node\" name=\"kallsyms\" dev=\"proc\" ino=4026532073 \
             scontext=system_u:jit_r:tenant0003_t tcontext=system_u:object_r:proc_kernel_t tclass=file permissive=0",
        )
        .unwrap();
        assert_eq!((&denial.actor, denial.program.as_str()), (&Actor::Tenant(slot(3)), "node"));
        let access = access(&denial);
        assert_eq!(
            (access.class.as_str(), &access.permissions[..]),
            ("file", &["read".to_owned(), "open".into()][..])
        );
        assert_eq!(access.object, Object::Type("proc_kernel_t".into()));
        assert_eq!(access.name.as_deref(), Some("kallsyms"));
        assert!(access.enforced);
    }

    #[test]
    fn connections_and_binds_have_their_ports() {
        let of = |middle: &str, class: &str| {
            let text = format!(
                "denied {{ x }} for  pid=1 {middle} scontext=u:r:proxy_t:s0 tcontext=u:r:tenant0001_port_t tclass={class}"
            );
            let denial = parse(&text).unwrap();
            assert_eq!(denial.actor, Actor::Host("proxy_t".into()));
            let access = access(&denial);
            (access.address.map(|a| a.to_string()), access.port)
        };
        assert_eq!(of("comm=\"a\" dest=20008", "tcp_socket"), (None, Some(20_008)));
        assert_eq!(of("comm=\"a\" src=81", "tcp_socket"), (None, Some(81)));
        assert_eq!(of("saddr=10.0.2.2 daddr=10.0.2.15 dest=56124", "packet"), (Some("10.0.2.15".into()), None));
        assert_eq!(of("saddr=0.0.0.0 src=81", "tcp_socket"), (Some("0.0.0.0".into()), Some(81)));
        let sent = "saddr=10.0.2.15 src=53001 daddr=169.254.169.254 dest=80 netif=eth0";
        assert_eq!(of(sent, "node"), (Some("169.254.169.254".into()), Some(80)));
        let sent = "laddr=::1 lport=53001 faddr=fd00:ec2::254 fport=80";
        assert_eq!(of(sent, "peer"), (Some("fd00:ec2::254".into()), Some(80)));
    }

    #[test]
    fn what_changes_each_time_is_left_out() {
        let of = |path: &str| {
            let text = format!(
                "denied {{ read }} for  pid=7 path=\"{path}\" dev=\"sockfs\" ino=99 scontext=u:r:tenant0001_install_t \
                 tcontext=u:r:init_t tclass=tcp_socket permissive=1"
            );
            let denial = parse(&text).unwrap();
            assert_eq!(denial.actor, Actor::Install(slot(1)));
            assert!(!access(&denial).enforced);
            access(&denial).name.clone().unwrap()
        };
        assert_eq!(of("socket:[4711]"), "socket");
        assert_eq!(of("anon_inode:[eventfd]"), "anon_inode:[eventfd]");
        assert_eq!(of("/memfd:x"), "/memfd:x");
    }

    #[test]
    fn a_thread_cannot_forge_a_field() {
        // `x" scontext=u:r:init_t` as a thread's name: it has a quote and a space, so the kernel writes hexadecimal.
        let comm = "78222073636F6E746578743D753A723A696E69745F74";
        let text = format!(
            "denied {{ read }} for  pid=7 comm={comm} scontext=u:r:tenant0002_t tcontext=u:r:etc_t tclass=file"
        );
        let denial = parse(&text).unwrap();
        assert_eq!(denial.actor, Actor::Tenant(slot(2)));
        assert_eq!(denial.program, "x\" scontext=u:r:init_t");
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            "granted { read } for scontext=a:b:c tcontext=a:b:c tclass=file",
            "denied { read for scontext=a:b:c",
            "denied { re-ad } for scontext=a:b:c tcontext=a:b:c tclass=file",
            "denied { read } for scontext=a:b tcontext=a:b:c tclass=file",
            "denied { read } for scontext=a:b:c tcontext=a:b:c",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
