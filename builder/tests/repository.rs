//! The repository's own kennel.toml and kennel.lock: they belong together, and the host takes no more than it needs.

use std::path::{Path, PathBuf};

use kennel_builder::lock::{Origin, PackageSet};
use kennel_builder::{Lock, Spec};

fn spec_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kennel.toml")
}

#[test]
fn the_lock_is_of_the_spec_and_fills_every_tree() {
    let spec = Spec::load(&spec_path()).unwrap();
    let lock = Lock::load_for(&spec, &spec_path()).unwrap();
    let runtimes = spec.runtimes.iter().map(|runtime| PackageSet::Runtime(runtime.name.clone()));
    for set in [PackageSet::Host, PackageSet::Kernel, PackageSet::Tools].into_iter().chain(runtimes) {
        assert!(lock.of(&set).count() > 0, "{set} is empty");
    }
    for runtime in spec.runtimes.iter().filter(|runtime| !runtime.npm.is_empty()) {
        assert_eq!(
            lock.npm_of(&runtime.name, &runtime.npm[0].package).map(|package| package.from),
            Some(Origin::Npm)
        );
    }
}

#[test]
fn nothing_that_runs_scripts_is_locked_for_the_host() {
    let lock = Lock::load(&spec_path().with_extension("lock")).unwrap();
    let host: Vec<_> = lock.of(&PackageSet::Host).map(|package| package.name.as_str()).collect();
    for name in ["dash", "bash", "busybox", "perl-base", "python3-minimal", "coreutils", "dpkg", "debconf"] {
        assert!(!host.contains(&name), "{name} is in the host's root");
    }
}

#[test]
fn the_host_keeps_its_tools_and_libraries_only() {
    let host = Spec::load(&spec_path()).unwrap().host;
    for path in [
        "/etc/mke2fs.conf",
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/libext2fs.so.2.4",
        "/usr/lib/x86_64-linux-gnu/xtables/libxt_owner.so",
        "/usr/lib64/ld-linux-x86-64.so.2",
        "/usr/sbin/e2fsck",
        "/usr/sbin/ip6tables-nft-restore",
        "/usr/sbin/mke2fs",
        "/usr/sbin/xtables-nft-multi",
    ] {
        assert!(host.takes(Path::new(path)), "{path} is missing");
    }
    for path in [
        "/usr/bin/chattr",
        "/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
        "/usr/lib/x86_64-linux-gnu/xtables/libebt_ip.so",
        "/usr/sbin/debugfs",
        "/usr/sbin/e2scrub",
        "/usr/sbin/iptables-apply",
        "/usr/share/doc/libc6/copyright",
    ] {
        assert!(!host.takes(Path::new(path)), "{path} is not needed");
    }
}
