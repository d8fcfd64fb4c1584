//! Who types the commands: at a desk with `kennel` and `kennel-ami` beside each other, and a key to sign in with.

use crate::desk::{DEADLINE, Desk, Outcome};
use crate::key;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A cold start of Node.js in emulation.
const PAGE: Duration = Duration::from_secs(90);

/// A person at a desk.
pub(crate) struct Person {
    pub(crate) desk: Desk,
    pub(crate) repository: PathBuf,
    pub(crate) kennel: PathBuf,
}

impl Person {
    /// Somebody who has just been given both programs and has made an SSH key.
    pub(crate) fn new() -> Self {
        let desk = Desk::new();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
        let given =
            std::env::var_os("KENNEL_TEST_PROGRAM").expect("KENNEL_TEST_PROGRAM is the `kennel` program");
        let kennel = desk.path("bin/kennel");
        fs::create_dir_all(desk.path("bin")).unwrap();
        fs::create_dir_all(desk.path(".ssh")).unwrap();
        fs::copy(given, &kennel).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_kennel-ami"), desk.path("bin/kennel-ami")).unwrap();
        fs::write(desk.path(".ssh/id_ed25519"), key::private()).unwrap();
        fs::write(desk.path(".ssh/id_ed25519.pub"), key::public()).unwrap();
        Self { desk, repository, kennel }
    }

    /// The newest image that was built.
    pub(crate) fn image(&self) -> PathBuf {
        let named = std::env::var_os("KENNEL_TEST_IMAGE").map(PathBuf::from);
        let built = || {
            let all = fs::read_dir(self.repository.join("out")).ok()?.flatten().map(|file| file.path());
            let images = all.filter(|file| file.extension().is_some_and(|end| end == "raw"));
            images.max_by_key(|file| file.metadata().and_then(|meta| meta.modified()).ok())
        };
        named.or_else(built).expect("an image in out/: `make image` builds it")
    }

    /// Types a command, without the word `kennel`, and waits for its end.
    pub(crate) fn types(&self, words: &[&str]) -> Outcome {
        eprintln!("$ kennel {}", words.join(" "));
        let mut command = self.desk.command("timeout");
        command.arg("--signal=KILL").arg(DEADLINE.as_secs().to_string()).arg(&self.kennel).args(words);
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
        let outcome =
            Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        eprint!("{}{}", outcome.err, outcome.out);
        outcome
    }

    /// Looks at a page through the host's proxy; its status and its body.
    pub(crate) fn looks_at(&self, address: &str, domain: &str) -> (u16, String) {
        let mut stream = TcpStream::connect((address, crate::fake::host::WEB_PORT_HERE)).unwrap();
        stream.set_read_timeout(Some(PAGE)).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_default(), body.to_owned())
    }
}
