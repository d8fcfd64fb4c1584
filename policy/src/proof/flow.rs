//! Which way does information flow when a permission is used: from the object to the one who acts (read-like), from him to
//! the object (write-like), or both? Whatever is not named here counts as both, so a forgotten permission can only make the
//! proof fail. A test compares the table with the one that setools uses.

/// The ways that information takes by an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flow {
    /// From the object to the subject.
    pub(super) read: bool,
    /// From the subject to the object.
    pub(super) write: bool,
}

impl Flow {
    /// None at all.
    pub(super) const NONE: Self = Self { read: false, write: false };
    /// To the subject.
    pub(super) const READ: Self = Self { read: true, write: false };
    /// To the object.
    pub(super) const WRITE: Self = Self { read: false, write: true };
    /// Both.
    pub(super) const BOTH: Self = Self { read: true, write: true };

    /// Both acts.
    pub(super) const fn or(self, other: Self) -> Self {
        Self { read: self.read || other.read, write: self.write || other.write }
    }
}

const FILES: [&str; 8] =
    ["file", "dir", "lnk_file", "chr_file", "blk_file", "sock_file", "fifo_file", "anon_inode"];

/// The flow of one permission. Ports and ioctls are looked at elsewhere: what flows there depends on more than this.
pub(super) fn of(class: &str, permission: &str) -> Flow {
    match class {
        class if FILES.contains(&class) => file(permission),
        class if class.ends_with("socket") => socket(permission),
        "process" => process(permission),
        // Begin a process under no_new_privs or from a nosuid mount: the parent says how the child begins.
        "process2" => Flow::WRITE,
        "filesystem" => filesystem(permission),
        "packet" | "node" | "netif" | "peer" => network(permission),
        _ => Flow::BOTH,
    }
}

fn file(permission: &str) -> Flow {
    match permission {
        "read" | "getattr" | "open" | "map" | "search" | "execute" | "execute_no_trans" | "entrypoint"
        | "watch" | "watch_mount" | "watch_mountns" | "watch_reads" | "watch_sb" | "watch_with_perm"
        | "audit_access" => Flow::READ,
        "append" | "create" | "link" | "relabelto" | "setattr" | "unlink" | "write" => Flow::WRITE,
        // A change to a folder also tells whether a name is taken, and whether it is empty; a lock, whether it is held.
        _ => Flow::BOTH,
    }
}

fn socket(permission: &str) -> Flow {
    match permission {
        "read" | "accept" | "getattr" | "getopt" | "nlmsg_read" | "recvfrom" => Flow::READ,
        // To wait for what comes to an address. What comes is followed by packets and by ports.
        "node_bind" => Flow::READ,
        "append" | "bind" | "connect" | "create" | "nlmsg_write" | "sendto" | "setattr" | "setopt"
        | "shutdown" | "write" => Flow::WRITE,
        _ => Flow::BOTH,
    }
}

fn process(permission: &str) -> Flow {
    match permission {
        "getattr" | "getcap" | "getpgid" | "getrlimit" | "getsched" | "getsession" | "signull" => Flow::READ,
        "dyntransition" | "noatsecure" | "rlimitinh" | "setpgid" | "setrlimit" | "setsched" | "sigchld"
        | "siginh" | "sigkill" | "signal" | "sigstop" | "transition" => Flow::WRITE,
        _ => Flow::BOTH,
    }
}

fn filesystem(permission: &str) -> Flow {
    match permission {
        // A rule between two labels, not an act: such a file may lie on such a file system.
        "associate" => Flow::NONE,
        "getattr" | "quotaget" | "watch" => Flow::READ,
        "mount" | "quotamod" | "relabelto" | "remount" | "unmount" => Flow::WRITE,
        _ => Flow::BOTH,
    }
}

fn network(permission: &str) -> Flow {
    match permission {
        "recv" | "recvfrom" | "ingress" => Flow::READ,
        // To give packets a label is to say who may have them.
        "send" | "sendto" | "egress" | "relabelto" => Flow::WRITE,
        _ => Flow::BOTH,
    }
}
