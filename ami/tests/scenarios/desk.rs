//! The desk of a person who publishes: a home, images, and the program, of which every run has a deadline.

use crate::fake::Fake;
use crate::picture::Picture;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// No run takes longer, or it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(240);
/// Where everything is published first.
pub(crate) const REGION: &str = "eu-west-1";
const PROGRAM: &str = env!("CARGO_BIN_EXE_kennel-ami");

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    /// Its output, if it went well.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    /// What it complained about, if it failed with this code; then it has printed no result.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        assert_eq!(self.out, "", "a result of a failure");
        assert!(self.err.contains("error: "), "{}", self.err);
        self.err
    }
}

/// A home and an account.
pub(crate) struct Desk {
    pub(crate) fake: Fake,
    home: tempfile::TempDir,
}

/// The key that encrypted images are encrypted with.
pub(crate) const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555";
/// The role of the instance profile that hosts may get.
const ROLE: &str = "arn:aws:iam::111122223333:role/edge";
/// The parts of the program that have policies of their own.
const ROLES: [&str; 15] = [
    "publish",
    "copy",
    "share",
    "ssm",
    "encrypt",
    "verify",
    "read",
    "retire",
    "remove",
    "launch",
    "launch-ssm",
    "profile",
    "hosts",
    "replace",
    "terminate",
];

/// The policy of a part, as the program prints it, with the key in place of the one that a person has to fill in.
pub(crate) fn policy(role: &str) -> String {
    let output = Command::new(PROGRAM).args(["policy", role]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .replace("arn:aws:kms:REGION:ACCOUNT:key/KEY", KEY)
        .replace("arn:aws:iam::ACCOUNT:role/ROLE", ROLE)
}

/// All of them.
fn policies() -> &'static [String] {
    static ALL: OnceLock<Vec<String>> = OnceLock::new();
    ALL.get_or_init(|| ROLES.iter().map(|role| policy(role)).collect())
}

impl Desk {
    /// A new home, and an account with nothing in it, in which the program's own policies hold.
    pub(crate) fn new() -> Desk {
        let fake = Fake::start();
        fake.enforce(policies());
        Desk { fake, home: tempfile::tempdir().unwrap() }
    }

    /// A file in the home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes an image with its manifest into a folder of its own; returns its path.
    pub(crate) fn image(&self, folder: &str, picture: &Picture) -> PathBuf {
        picture.write(&self.path(folder))
    }

    /// As if this were another computer: nothing is remembered.
    pub(crate) fn forget(&self) {
        let _ = std::fs::remove_dir_all(self.path("state"));
    }

    /// The program with arguments, in the home's environment and no other.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", self.home.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("TMPDIR", self.home.path());
        command.env("AWS_ENDPOINT_URL", self.fake.endpoint()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret");
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.command("timeout");
        command.arg("--signal=KILL").arg(DEADLINE.as_secs().to_string()).arg(PROGRAM).args(arguments);
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
        Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Begins a run, to be ended by somebody else.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(PROGRAM);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Publishes with more arguments.
    pub(crate) fn publish(&self, image: &Path, more: &[&str]) -> Outcome {
        let mut arguments = vec!["publish", image.to_str().unwrap(), "--region", REGION];
        arguments.extend(more);
        self.run(&arguments)
    }

    /// Publishes well; returns the only AMI's id.
    #[track_caller]
    pub(crate) fn published(&self, image: &Path, more: &[&str]) -> String {
        let out = self.publish(image, more).well();
        let id = out.strip_suffix('\n').expect("a line");
        assert!(id.starts_with("ami-") && !id.contains(char::is_whitespace), "exactly an id: {out:?}");
        id.to_owned()
    }

    /// That the account has one image, of one completed snapshot, which holds exactly this picture.
    #[track_caller]
    pub(crate) fn holds(&self, picture: &Picture) {
        let account = self.fake.account();
        let (snapshot_id, snapshot) = account.only_snapshot();
        let (_, image) = account.only_image();
        assert_eq!(snapshot.state, crate::fake::account::State::Ready);
        assert_eq!(image.snapshots().collect::<Vec<_>>(), [snapshot_id]);
        assert!(snapshot.read(picture.bytes().len()) == picture.bytes(), "the volume is not the image");
    }
}
