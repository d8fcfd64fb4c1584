//! What the tests of the command share: a home of one's own, and a host that is known there.

use std::path::PathBuf;

use assert_cmd::Command;
use kennel_cli::pin::Fingerprint;
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey, PublicKey};

pub(crate) use crate::host::{Answer, FakeHost, json, problem};

/// A person's home, and the command in it.
pub(crate) struct Home(pub(crate) tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    /// The command with nothing of the real environment but the search path.
    pub(crate) fn kennel(&self, args: &[impl AsRef<std::ffi::OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kennel"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.0.path());
        command.current_dir(self.0.path()).args(args);
        command
    }

    /// Makes a file and the folders above it.
    pub(crate) fn file(&self, relative: &str, content: &str) -> PathBuf {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Puts an operator's key in its place and returns its public half.
    pub(crate) fn operator_key(&self) -> PublicKey {
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        self.file(".config/kennel/id_ed25519", &key.to_openssh(LineEnding::LF).unwrap());
        key.public_key().clone()
    }

    /// Makes the host known as `local`.
    pub(crate) fn know(&self, host: &FakeHost) {
        self.know_as(host, host.fingerprint);
    }

    pub(crate) fn know_as(&self, host: &FakeHost, fingerprint: Fingerprint) {
        let text = format!(
            "current = \"local\"\n[hosts.local]\nurl = \"https://{}\"\nfingerprint = \"{fingerprint}\"\nweb_port = 8080\n",
            host.address
        );
        self.file(".config/kennel/hosts.toml", &text);
    }
}

/// A person at home who is an operator of a host that they know.
pub(crate) fn at_home() -> (Home, FakeHost) {
    let home = Home::new();
    let host = FakeHost::start(vec![home.operator_key()]);
    home.know(&host);
    (home, host)
}

/// The error document on standard error.
pub(crate) fn error(output: &std::process::Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stderr);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    document["error"].clone()
}

/// The result document on standard output.
pub(crate) fn result(output: &std::process::Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
