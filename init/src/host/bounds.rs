//! What the host's own services are bound by beside their user, their capabilities and their domain: Landlock, and the list
//! of system calls. A service that an image's builder added is not known here and has the former three alone.

use kennel_model::layout;
use kennel_model::services::{self as table, Service};

use crate::child::landlock::{Fence, Reach};
use crate::child::seccomp::table::Kind;

/// Of one service.
pub(super) struct Bounds {
    /// Files, ports and processes.
    pub(super) fence: Fence,
    /// System calls.
    pub(super) calls: Kind,
}

/// Those of this service, if they are known. Nobody but the proxy, `kennel-imds` and `kennel-acme` makes TCP connections; the proxy's
/// ports are many, and the packet filter and SELinux know them. Ports to listen on are handed over open.
pub(super) fn of(service: &Service) -> Option<Bounds> {
    let (calls, places, connect) = match service.name.as_str() {
        "proxy" => (Kind::Proxy, PROXY, None),
        "control" => (Kind::Control, CONTROL, Some(vec![])),
        "audit" => (Kind::Audit, AUDIT, Some(vec![])),
        "dhcp" => (Kind::Dhcp, DHCP, Some(vec![])),
        table::CHRONYD => (Kind::Chronyd, CHRONYD, Some(vec![])),
        "imds" => (Kind::Imds, IMDS, Some(vec![METADATA_PORT])),
        "tpm" => (Kind::Tpm, TPM, Some(vec![])),
        table::ACME => (Kind::Acme, ACME, Some(vec![AUTHORITY_PORT])),
        _ => return None,
    };
    Some(Bounds { fence: Fence { places, bind: vec![], connect }, calls })
}

type Places = &'static [(&'static str, Reach)];

/// The proxy reads files of releases below the folders that init opened for it: nothing there is listed, executed or written.
const PROXY: Places = &[("/usr/sbin/kennel-proxy", Reach::Program), (layout::SLOTS_DIR, Reach::Look)];
/// They open nothing; to be executed they must be read.
const AUDIT: Places = &[("/usr/sbin/kennel-audit", Reach::Program)];
const DHCP: Places = &[("/usr/sbin/kennel-dhcp", Reach::Program)];
const IMDS: Places = &[("/usr/sbin/kennel-imds", Reach::Program)];
const TPM: Places = &[("/usr/sbin/kennel-tpm", Reach::Program)];
const ACME: Places = &[("/usr/sbin/kennel-acme", Reach::Program)];
/// Debian's, with libraries; it looks its own user up.
const CHRONYD: Places = &[
    ("/usr/sbin/chronyd", Reach::Program),
    ("/usr/lib/x86_64-linux-gnu", Reach::Run),
    ("/usr/lib64/ld-linux-x86-64.so.2", Reach::Program),
    ("/etc/nsswitch.conf", Reach::Look),
    ("/etc/passwd", Reach::Look),
];
/// Where the cloud's metadata service listens, whatever its address.
const METADATA_PORT: u16 = 80;
/// Where certificate authorities listen (HTTPS).
const AUTHORITY_PORT: u16 = 443;
/// Control keeps its own folder, reads and cuts tenants' logs, and looks at what the host is.
const CONTROL: Places = &[
    ("/usr/sbin/kennel-control", Reach::Program),
    (layout::CONTROL_DIR, Reach::Keep),
    (layout::SLOTS_DIR, Reach::Use),
    (layout::FACTS_FILE, Reach::Look),
    (layout::VILLAIN, Reach::Look),
];
