//! The few files under `/etc` that programs look for, for the host and for runtimes, and the bundle of CA certificates
//! that `update-ca-certificates` would make. Pure texts; who gets which is `host`'s and `runtime`'s business.

use std::io;

use kennel_model::SlotId;
use kennel_model::layout::{
    ACME_UID, AUDIT_UID, CHRONYD_UID, CONTROL_UID, DHCP_UID, IMDS_UID, PROXY_UID, TPM_UID,
};

use super::flavour::Flavour;
use super::tree::{Node, Tree, TreeError};

/// Where ca-certificates keeps the certificates one by one, and where programs look for all of them.
const CERTIFICATES: &str = "/usr/share/ca-certificates";
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const NOLOGIN: &str = "/usr/sbin/nologin";
const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
/// Names come from files and DNS; nothing else could be asked.
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// One who owns files or runs programs; the group has the same name and number.
struct User {
    name: String,
    id: u32,
    home: &'static str,
}

fn user(name: &str, id: u32) -> User {
    User { name: name.to_owned(), id, home: "/" }
}

/// What the host and every runtime have in common.
fn add_common(tree: &mut Tree, users: &[User]) -> Result<(), TreeError> {
    let line = |u: &User| format!("{}:x:{}:{}::{}:{NOLOGIN}\n", u.name, u.id, u.id, u.home);
    tree.add_bytes("/etc/passwd", 0o644, users.iter().map(line).collect::<String>())?;
    let line = |u: &User| format!("{}:x:{}:\n", u.name, u.id);
    tree.add_bytes("/etc/group", 0o644, users.iter().map(line).collect::<String>())?;
    tree.add_bytes("/etc/hosts", 0o644, HOSTS)?;
    tree.add_bytes("/etc/nsswitch.conf", 0o644, NSSWITCH)
}

/// `/etc` of the host.
///
/// # Errors
/// When a package has brought one of these files.
pub(super) fn add_host(tree: &mut Tree, os_release: &str) -> Result<(), TreeError> {
    let users = [
        user("root", 0),
        user("proxy", PROXY_UID),
        user("control", CONTROL_UID),
        user("dhcp", DHCP_UID),
        user("audit", AUDIT_UID),
        user("imds", IMDS_UID),
        user("tpm", TPM_UID),
        user("chronyd", CHRONYD_UID),
        user("acme", ACME_UID),
    ];
    add_common(tree, &users)?;
    tree.add_bytes("/usr/lib/os-release", 0o644, os_release)?;
    tree.add("/etc/os-release", Node::symlink("../usr/lib/os-release"))
}

/// `/etc` of a runtime, in which every slot is a user.
///
/// # Errors
/// When a package has brought one of these files.
pub(super) fn add_runtime(tree: &mut Tree, slots: u16) -> Result<(), TreeError> {
    let slot = |slot: SlotId| User { name: format!("tenant{slot}"), id: slot.uid(), home: "/data" };
    let users: Vec<_> =
        [user("root", 0), user("nobody", 65534)].into_iter().chain(SlotId::pool(slots).map(slot)).collect();
    add_common(tree, &users)?;
    // Something to mount the host's own over.
    tree.add_bytes("/etc/resolv.conf", 0o644, "")?;
    if tree.get("/usr/share/zoneinfo/Etc/UTC").is_some() {
        tree.add("/etc/localtime", Node::symlink("../usr/share/zoneinfo/Etc/UTC"))?;
    }
    Ok(())
}

/// What the host says it is.
pub(super) fn os_release(version: &str, suite: &str, flavour: Flavour) -> String {
    format!(
        "ID=kennel\nID_LIKE=debian\nNAME=Kennel\nPRETTY_NAME=\"Kennel {version} (Debian {suite})\"\n\
         VERSION_ID={version}\nVERSION_CODENAME={suite}\n{}",
        flavour.os_release()
    )
}

/// Makes one bundle of the certificates that a package has brought, in their place.
///
/// # Errors
/// When a certificate cannot be read.
pub(super) fn bundle_certificates(tree: &mut Tree) -> io::Result<()> {
    let mut bundle = Vec::new();
    for (_, certificate) in tree.files_below(CERTIFICATES).filter(|(path, _)| path.ends_with(".crt")) {
        bundle.extend(certificate.read()?);
        if !bundle.ends_with(b"\n") {
            bundle.push(b'\n');
        }
    }
    if bundle.is_empty() {
        return Ok(());
    }
    tree.remove(CERTIFICATES);
    tree.add_bytes(BUNDLE, 0o644, bundle).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tree: &Tree, path: &str) -> String {
        String::from_utf8(tree.content(path).unwrap().read().unwrap()).unwrap()
    }

    #[test]
    fn every_slot_is_a_user_of_a_runtime() {
        let mut tree = Tree::default();
        add_runtime(&mut tree, 2).unwrap();
        let expect = "root:x:0:0::/:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n\
                      tenant0000:x:100000:100000::/data:/usr/sbin/nologin\n\
                      tenant0001:x:100001:100001::/data:/usr/sbin/nologin\n";
        assert_eq!(text(&tree, "/etc/passwd"), expect);
        assert!(text(&tree, "/etc/group").ends_with("tenant0001:x:100001:\n"));
        assert_eq!(text(&tree, "/etc/resolv.conf"), "");
        assert!(tree.get("/etc/localtime").is_none());
    }

    #[test]
    fn certificates_become_one_bundle_in_order_of_their_names() {
        let mut tree = Tree::default();
        bundle_certificates(&mut tree).unwrap();
        assert!(tree.get("/etc").is_none());
        tree.add_bytes("/usr/share/ca-certificates/mozilla/b.crt", 0o644, "B").unwrap();
        tree.add_bytes("/usr/share/ca-certificates/mozilla/a.crt", 0o644, "A\n").unwrap();
        bundle_certificates(&mut tree).unwrap();
        assert_eq!(text(&tree, BUNDLE), "A\nB\n");
        assert!(tree.get(CERTIFICATES).is_none());
    }
}
