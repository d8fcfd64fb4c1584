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
