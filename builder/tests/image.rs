//! The real image, built twice from nothing and taken apart by others' tools. Needs Kennel's programs and the packages of
//! kennel.lock, and half a minute, so it is left out unless asked for: `make image` first, then
//! `KENNEL_GUEST_DIR=<folder of kennel-init and so on> cargo test -p kennel-builder --test image -- --ignored`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "image/delta.rs"]
mod delta;
#[path = "image/inside.rs"]
mod inside;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use kennel_builder::image::{Build, Built, Cache, Flavour};
use kennel_builder::{Lock, Spec, Steps, Store};
use serde_json::Value;

use inside::Image;

const MIB: u64 = 1 << 20;
const ROOT_START: usize = 65 << 20;
const BLOCK: usize = 4096;

/// Two images, each from an empty cache in a folder of its own.
static BUILT: LazyLock<[(tempfile::TempDir, Built); 2]> = LazyLock::new(|| [(); 2].map(|()| build(&guests())));

/// The folder of Kennel's programs.
fn guests() -> PathBuf {
    let guests = std::env::var_os("KENNEL_GUEST_DIR").map(PathBuf::from);
    guests.expect("KENNEL_GUEST_DIR must name the folder of Kennel's programs")
}

fn build(guests: &Path) -> (tempfile::TempDir, Built) {
    let folder = tempfile::tempdir().unwrap();
    // `make image` leaves a lock made now where a package of kennel.lock is no longer to be had.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let relocked = root.join("kennel.relock.toml");
    let spec_path = if relocked.exists() { relocked } else { root.join("kennel.toml") };
    let spec = Spec::load(&spec_path).unwrap();
    let lock = Lock::load_for(&spec, &spec_path).unwrap();
    let (cache, out) = (Cache::at(folder.path().join("cache")), folder.path().join("out"));
    let store = Store::open().unwrap();
    let build = Build {
        spec: &spec,
        lock: &lock,
        store: &store,
        cache: &cache,
        guests,
        out: &out,
        flavour: Flavour::Ordinary,
        signer: None,
        enrolment: None,
    };
    let built = build.run(&Steps::silent()).unwrap();
    (folder, built)
}

fn built() -> &'static Built {
    &BUILT[0].1
}

fn manifest() -> Value {
    serde_json::from_slice(&fs::read(&built().manifest).unwrap()).unwrap()
}

/// The root partition up to its end.
fn root_partition() -> Vec<u8> {
    let disk = fs::read(&built().image).unwrap();
    disk[ROOT_START..].to_vec()
}

fn data_size() -> usize {
    manifest()["root"]["data_blocks"].as_u64().unwrap() as usize * BLOCK
}

#[test]
#[ignore = "needs Kennel's programs and the packages: see the head of this file"]
fn two_builds_in_different_folders_give_the_same_bytes() {
    let [one, two] = &*BUILT;
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder.join("out")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let files = names(one.0.path());
    assert_eq!(files, names(two.0.path()));
    assert_eq!(files.len(), 5, "{files:?}");
    for name in files {
        let read = |folder: &tempfile::TempDir| fs::read(folder.path().join("out").join(&name)).unwrap();
        assert!(read(&one.0) == read(&two.0), "{name:?} differs");
    }
}

#[test]
#[ignore = "needs Kennel's programs and the packages: see the head of this file"]
fn the_image_keeps_to_its_budget() {
    let built = built();
    assert!(built.boot_bytes <= 24 * MIB, "{} bytes of boot program", built.boot_bytes);
    let manifest = manifest();
    // The budget is that of an image with Node.js; each runtime more has its own.
    let mut written = built.written_bytes;
    for runtime in manifest["runtimes"].as_array().unwrap() {
        let bytes = runtime["bytes"].as_u64().unwrap();
        assert!(bytes <= 64 * MIB, "{bytes} bytes of {}", runtime["name"]);
        if !["node-24", "static"].contains(&runtime["name"].as_str().unwrap()) {
            written -= bytes;
        }
    }
    assert!(written <= 160 * MIB, "{written} bytes written for the host and Node.js");
    assert_eq!(manifest["image"]["written_bytes"], built.written_bytes);
    assert_eq!(manifest["root"]["verity_root_hash"], *built.root_hash);
    let line = manifest["boot"]["command_line"].as_str().unwrap();
    assert!(line.contains("enforcing=1") && line.contains(&format!("kennel.verity={},", built.root_hash)));
    assert!(line.contains("lockdown=confidentiality") && line.contains("module.sig_enforce=1"), "{line}");
}

#[test]
#[ignore = "needs Kennel's programs and the packages: see the head of this file"]
fn veritysetup_accepts_the_root_and_refuses_it_with_one_bit_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root");
    let mut root = root_partition();
    let size = data_size();
    let verify = |root: &[u8]| {
        fs::write(&path, root).unwrap();
        let mut command = Command::new("/usr/sbin/veritysetup");
        command.args(["verify", &format!("--hash-offset={size}")]).args([&path, &path]).arg(&built().root_hash);
        command.output().expect("veritysetup is needed: run `make deps`").status.success()
    };
    assert!(verify(&root));
    root[size / 2] ^= 1;
    assert!(!verify(&root));
}

/// Compressed once more they would cost twice at every read, and the kernel could not read them past its cache.
#[test]
#[ignore = "needs Kennel's programs and the packages: see the head of this file"]
fn runtimes_lie_in_the_root_as_they_are() {
    let root = root_partition();
    let root = &root[..data_size()];
    let runtime = Image::open(root).read("/usr/lib/kennel/runtimes/node-24.erofs");
    let place = root.chunks(BLOCK).position(|block| block == &runtime[..BLOCK]);
    assert!(place.is_some_and(|n| root[n * BLOCK..].starts_with(&runtime)));
}

#[test]
#[ignore = "needs Kennel's programs and the packages: see the head of this file"]
fn every_file_has_the_label_that_the_policy_says_and_belongs_to_root() {
    let rendered = kennel_policy::render(1000, &[]).unwrap();
    let root = root_partition();
    let host = Image::open(&root[..data_size()]);
    let runtime = host.read("/usr/lib/kennel/runtimes/node-24.erofs");
    for (image, contexts) in [(host, &rendered.host), (Image::open(&runtime), &rendered.runtime)] {
        let nodes = image.nodes();
        assert!(nodes.len() > 100, "{}", nodes.len());
        for node in nodes {
            assert_eq!(node.label.as_deref(), contexts.label(&node.path, node.file_type), "{}", node.path);
            assert_eq!((node.uid, node.gid), (0, 0), "{}", node.path);
            assert_eq!(node.mode & 0o7022, 0, "{} has mode {:o}", node.path, node.mode);
        }
    }
}

#[test]
#[ignore = "needs Kennel's programs and the packages: see the head of this file"]
fn the_host_has_these_programs_and_no_other() {
    let root = root_partition();
    let image = Image::open(&root[..data_size()]);
    let mut programs: Vec<_> = image
        .nodes()
        .into_iter()
        .filter(|node| node.file_type == kennel_policy::FileType::Regular && node.mode & 0o111 != 0)
        .map(|node| node.path)
        // Libraries, and the loader, without which no dynamic program starts.
        .filter(|path| !path.starts_with("/usr/lib/x86_64-linux-gnu/"))
        .collect();
    programs.sort();
    let expect = [
        "/usr/sbin/chronyd",
        "/usr/sbin/e2fsck",
        "/usr/sbin/kennel-acme",
        "/usr/sbin/kennel-audit",
        "/usr/sbin/kennel-control",
        "/usr/sbin/kennel-dhcp",
        "/usr/sbin/kennel-imds",
        "/usr/sbin/kennel-init",
        "/usr/sbin/kennel-proxy",
        "/usr/sbin/kennel-tpm",
        "/usr/sbin/kennel-unpack",
        "/usr/sbin/kennel-villain",
        "/usr/sbin/mke2fs",
        "/usr/sbin/xtables-nft-multi",
    ];
    assert_eq!(programs, expect, "a program is a way in: each one needs a reason");
}

#[test]
#[ignore = "needs Kennel's programs and the packages: see the head of this file"]
fn programs_are_to_the_last_byte_what_was_compiled() {
    let root = root_partition();
    let image = Image::open(&root[..data_size()]);
    for program in ["acme", "audit", "control", "dhcp", "imds", "init", "proxy", "tpm", "unpack", "villain"] {
        let name = format!("kennel-{program}");
        let compiled = fs::read(guests().join(&name)).unwrap();
        assert!(image.read(&format!("/usr/sbin/{name}")) == compiled, "{name}");
    }
}

#[test]
#[ignore = "needs Kennel's programs and the packages: see the head of this file"]
fn the_runtime_carries_node_as_published_and_what_programs_look_for() {
    let root = root_partition();
    let runtime = Image::open(&root[..data_size()]).read("/usr/lib/kennel/runtimes/node-24.erofs");
    let image = Image::open(&runtime);
    let node = image.read("/usr/bin/node");
    assert!(node.len() as u64 > 100 * MIB && node.starts_with(b"\x7fELF"), "{}", node.len());
    let version = manifest()["runtimes"][0]["version"].as_str().unwrap().to_owned();
    let wanted = format!("v{version}");
    assert!(node.windows(wanted.len()).any(|part| part == wanted.as_bytes()), "not {wanted}");
    let passwd = String::from_utf8(image.read("/etc/passwd")).unwrap();
    assert!(passwd.contains("tenant0999:x:100999:100999::/data:"));
    assert!(image.read("/etc/ssl/certs/ca-certificates.crt").starts_with(b"-----BEGIN CERTIFICATE-----"));
    assert!(!image.read("/usr/share/zoneinfo/Europe/Vienna").is_empty());
    let paths: Vec<_> = image.nodes().into_iter().map(|node| node.path).collect();
    for mount_point in ["/app", "/data", "/dev", "/proc", "/tmp", "/etc/resolv.conf"] {
        assert!(paths.iter().any(|path| path == mount_point), "{mount_point}");
    }
}
