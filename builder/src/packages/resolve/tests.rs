//! A whole archive on loopback: signed indexes, package lists, packages; locked, changed, locked again, fetched.

use std::io::Write;
use std::time::Duration;

use sequoia_openpgp::Cert;

use super::*;
use crate::digest::Sha256;
use crate::packages::fetch::Mirrors;
use crate::packages::fetch::test_server::{Answer, TestServer};
use crate::packages::index::tests::list;
use crate::packages::signature::tests::{keyring_file, sign, signer};
use crate::store::Store;

struct Archive {
    server: TestServer,
    cert: Cert,
    folder: tempfile::TempDir,
    fetcher: Fetcher,
}

const SPEC: &str = "
[debian]
keyring = \"keyring.pgp\"
[kernel]
package = \"linux\"
without = []
[host]
packages = [\"iptables\"]
without = [\"debconf\"]
[tools]
packages = [\"mtools\"]
[[runtime]]
name = \"web\"
packages = [\"libc6\"]
";

const MAIN: [&str; 6] = [
    "linux 6.12",
    "iptables 1.8; Depends: libc6 (>= 2), debconf | cdebconf",
    "libc6 2.41",
    "debconf 1",
    "mtools 4; Depends: libc6",
    "other 1",
];

fn archive() -> Archive {
    let (server, cert, folder) = (TestServer::new(), signer(None), tempfile::tempdir().unwrap());
    std::fs::copy(keyring_file(&cert).path(), folder.path().join("keyring.pgp")).unwrap();
    std::fs::write(folder.path().join("kennel.toml"), SPEC).unwrap();
    let fetcher = Fetcher::direct(Store::at(folder.path().join("store")), Mirrors::all_at(&server.base()));
    let archive = Archive { server, cert, folder, fetcher };
    archive.publish("debian", "trixie", &MAIN, |text| text);
    archive.publish("debian", "trixie-updates", &[], |text| text);
    archive.publish("debian-security", "trixie-security", &[], |text| text);
    archive
}

impl Archive {
    /// Puts a suite with these packages up; `change` may spoil its Release text before it is signed.
    fn publish(&self, base: &str, suite: &str, packages: &[&str], change: fn(String) -> String) {
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(list(packages).as_bytes()).unwrap();
        let bytes = xz.finish().unwrap();
        let date = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(60)).replace("GMT", "UTC");
        let (sha256, size) = (Sha256::of(&bytes), bytes.len());
        let text = format!(
            "Codename: {suite}\nDate: {date}\nSHA256:\n {sha256} {size} main/binary-amd64/Packages.xz\n"
        );
        let folder = format!("/{base}/dists/{suite}");
        self.server.serve(&format!("{folder}/InRelease"), [Answer::File(sign(&self.cert, &change(text)))]);
        self.server.serve(&format!("{folder}/main/binary-amd64/Packages.xz"), [Answer::File(bytes)]);
    }

    fn lock(&self) -> Result<Locked, PackagesError> {
        let path = self.folder.path().join("kennel.toml");
        lock_command(&path, &self.fetcher, &Spec::load(&path).unwrap(), &Steps::silent())
    }
}

fn shown(locked: &Locked) -> Vec<String> {
    locked.changes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_spec_becomes_a_lock_and_security_updates_win() {
    let archive = archive();
    let first = archive.lock().unwrap();
    assert_eq!(shown(&first), ["+ iptables 1.8", "+ libc6 2.41", "+ linux 6.12", "+ mtools 4"]);
    let libc = first.lock.packages.iter().find(|package| package.name == "libc6").unwrap();
    let sets: Vec<_> = libc.sets.iter().map(ToString::to_string).collect();
    assert_eq!(sets, ["host", "runtime/web", "tools"]);
    assert_eq!(shown(&archive.lock().unwrap()), [""; 0]);

    archive.publish("debian-security", "trixie-security", &["libc6 2.41+deb13u1"], |text| text);
    let second = archive.lock().unwrap();
    assert_eq!(shown(&second), ["~ libc6 2.41 -> 2.41+deb13u1"]);
    let libc = second.lock.packages.iter().find(|package| package.name == "libc6").unwrap();
    assert_eq!((libc.from, libc.path.as_str()), (Origin::DebianSecurity, "pool/libc6_2.41+deb13u1.deb"));
    assert_eq!(Lock::load(&second.path).unwrap(), second.lock);
}

#[test]
fn an_index_that_is_not_to_be_trusted_leaves_the_lock_alone() {
    let archive = archive();
    let before = archive.lock().unwrap();
    let old = |text: String| format!("Valid-Until: Sat, 03 Jan 2015 00:00:00 UTC\n{text}");
    archive.publish("debian", "trixie-updates", &["libc6 9"], old);
    assert!(matches!(archive.lock(), Err(PackagesError::Release(_))));
    archive.publish("debian", "trixie-updates", &["libc6 9"], |text| text.replace("-updates", "-backports"));
    assert!(matches!(archive.lock(), Err(PackagesError::Release(_))));
    archive.publish("debian", "trixie-updates", &["libc6 9"], |text| text);
    let stranger = Archive { cert: signer(None), ..archive };
    stranger.publish("debian", "trixie", &["libc6 9"], |text| text);
    assert!(matches!(stranger.lock(), Err(PackagesError::Signature(_))));
    assert_eq!(Lock::load(&before.path).unwrap(), before.lock);
}

#[test]
fn a_list_that_is_not_the_signed_one_is_refused() {
    let archive = archive();
    let path = "/debian/dists/trixie/main/binary-amd64/Packages.xz";
    archive.server.serve(path, [Answer::File(b"something else".to_vec())]);
    assert!(matches!(archive.lock(), Err(PackagesError::Fetch(FetchError::WrongFile { .. }))));
}

#[test]
fn what_is_locked_is_fetched_whole_or_named() {
    let archive = archive();
    let mut lock = archive.lock().unwrap().lock;
    lock.packages.retain(|package| package.name == "libc6");
    let error = fetch_locked(&lock, &archive.fetcher, &Steps::silent()).unwrap_err();
    assert!(matches!(&error, FetchError::LockedFileGone { name, .. } if name == "libc6 2.41"), "{error}");
    let deb = b"0123456789".to_vec();
    lock.packages[0].sha256 = Sha256::of(&deb);
    archive.server.serve("/debian/pool/libc6_2.41.deb", [Answer::File(deb)]);
    fetch_locked(&lock, &archive.fetcher, &Steps::silent()).unwrap();
    assert!(archive.fetcher.store().holds(&lock.packages[0].sha256, 10));
}
