//! The keys of user-data, as one table: what is read and what the schema says both come from here.

/// A table of the document.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) keys: &'static [Key],
}

/// A key of such a table.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
}

/// What a key's value is. Reading it is `read`'s, describing it `schema`'s; each has an arm for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The host's name.
    NodeName,
    /// Lines of OpenSSH.
    SshKeys,
    /// Servers of NTP.
    TimeServers,
    /// Networks that load balancers are in.
    Trusted,
    /// Whether they speak the PROXY protocol.
    ProxyProtocol,
}

pub(crate) const SECTIONS: &[Section] = &[
    Section {
        name: "host",
        about: "The host itself.",
        keys: &[Key {
            name: "name",
            about: "The kernel's name of the host. On EC2 the private DNS name is taken when there is none here.",
            kind: Kind::NodeName,
        }],
    },
    Section {
        name: "operator",
        about: "Who may sign in to the host's API.",
        keys: &[Key {
            name: "ssh_keys",
            about: "Public keys of operators, a line of OpenSSH each. On EC2 the key pair of the instance counts as well.",
            kind: Kind::SshKeys,
        }],
    },
    Section {
        name: "time",
        about: "Who sets the host's clock.",
        keys: &[Key {
            name: "servers",
            about: "Servers of NTP: addresses, with a port where it is not 123. Names are not looked up. On EC2 169.254.169.123 is asked when there is none here; elsewhere nobody.",
            kind: Kind::TimeServers,
        }],
    },
    Section {
        name: "proxy",
        about: "What visitors come through before they reach the host, such as a load balancer.",
        keys: &[
            Key {
                name: "trusted",
                about: "Networks it is in. What it says of a request (X-Forwarded-For, X-Forwarded-Proto) is believed, and of nobody else.",
                kind: Kind::Trusted,
            },
            Key {
                name: "proxy_protocol",
                about: "Whether it begins each connection with the PROXY protocol's header, version 2, as a Network Load Balancer does that is told to.",
                kind: Kind::ProxyProtocol,
            },
        ],
    },
];

/// What may stand in the place of a name, for people who wrote another.
pub(crate) fn instead_of<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let close = known.iter().map(|&name| (strsim::normalized_damerau_levenshtein(wrong, name), name));
    match close.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, name)) if likeness >= 0.5 => format!("did you mean `{name}`?"),
        _ => format!("possible here: {}", known.join(", ")),
    }
}
