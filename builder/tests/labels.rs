//! The labels that our own matcher chooses are those that libselinux chooses. The builder has a matcher of its own
//! because what libselinux's choose may differ from version to version, and an image must not depend on the version
//! that is installed where it is built.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::CString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use kennel_policy::{Contexts, FileType};
use selinux::label::Labeler;
use selinux::label::back_end::File;

const PATHS: [&str; 44] = [
    "/",
    "/bin",
    "/data",
    "/etc",
    "/etc/passwd",
    "/etc/ssl/certs/ca-certificates.crt",
    "/lib64",
    "/lib64/ld-linux-x86-64.so.2",
    "/opt/odd",
    "/proc",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/bin/node",
    "/usr/lib/kennel",
    "/usr/lib/kennel/image.json",
    "/usr/lib/kennel/policy.33",
    "/usr/lib/kennel/policy.x",
    "/usr/lib/kennel/runtimes",
    "/usr/lib/kennel/runtimes/node-24.erofs",
    "/usr/lib/kennel/services.json",
    "/usr/lib/modules",
    "/usr/lib/modules/6.12/kernel/fs/erofs/erofs.ko.xz",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/usr/lib/x86_64-linux-gnu/xtables/libxt_owner.so",
    "/usr/lib64",
    "/usr/local/bin/x",
    "/usr/sbin",
    "/usr/sbin/e2fsck",
    "/usr/sbin/iptables-nft-restore",
    "/usr/sbin/ip6tables-nft-restore",
    "/usr/sbin/kennel-audit",
    "/usr/sbin/kennel-control",
    "/usr/sbin/kennel-dhcp",
    "/usr/sbin/kennel-acme",
    "/usr/sbin/kennel-imds",
    "/usr/sbin/kennel-tpm",
    "/usr/sbin/kennel-init",
    "/usr/sbin/kennel-init2",
    "/usr/sbin/kennel-proxy",
    "/usr/sbin/kennel-unpack",
    "/usr/sbin/mke2fs",
    "/usr/sbin/xtables-nft-multi",
];

/// Ours, and the bits of `st_mode` by which libselinux knows them.
const KINDS: [(FileType, i32); 3] =
    [(FileType::Regular, 0o100_000), (FileType::Directory, 0o040_000), (FileType::Symlink, 0o120_000)];
/// `SELABEL_OPT_PATH` of <selinux/label.h>: the text to read.
const FROM_FILE: i32 = 3;

fn judge(contexts: &Contexts) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(contexts.text().as_bytes()).unwrap();
    let path = CString::new(file.path().as_os_str().as_bytes()).unwrap();
    let labeler = Labeler::<File>::new(&[(FROM_FILE, path.as_ptr().cast())], true).unwrap();
    for path in PATHS {
        for (ours, theirs) in KINDS {
            let key = CString::new(path).unwrap();
            let label = labeler.look_up(&key, theirs).ok();
            let label = label.map(|label| label.to_c_string().unwrap().unwrap().to_str().unwrap().to_owned());
            assert_eq!(contexts.label(path, ours), label.as_deref(), "{path} {ours:?}");
        }
    }
}

#[test]
fn libselinux_gives_the_same_labels() {
    let rendered = kennel_policy::render(2, &[]).unwrap();
    judge(&rendered.host);
    judge(&rendered.runtime);
}
