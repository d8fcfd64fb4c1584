//! User-data: which operators may sign in. Control reads it on the host, whoever starts a host writes and checks it. Strict:
//! nothing is used of what is not understood, so that a typing error never admits anyone.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::Deserialize;
use ssh_key::PublicKey;

/// Larger user-data is refused unread.
const MAX_BYTES: usize = 64 << 10;
/// More keys than a host has operators.
const MAX_KEYS: usize = 256;
/// The only kind of key that signs in.
const KEY_KIND: &str = "ssh-ed25519";

/// Those who may sign in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operators {
    keys: Vec<PublicKey>,
}

/// Why user-data was not used.
#[derive(Debug, thiserror::Error)]
pub enum UserDataError {
    /// None was given.
    #[error("no user-data was given")]
    Empty,
    /// The descriptor cannot be read.
    #[error("user-data cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Over 64 KiB.
    #[error("user-data is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("user-data is not text")]
    NotText,
    /// Not TOML of the known shape.
    #[error("user-data, {0}")]
    Toml(String),
    /// A key that cannot sign in.
    #[error("user-data, ssh key {number}: {reason}")]
    Key {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No key at all, or too many.
    #[error("user-data has {0} ssh keys; give 1 to {MAX_KEYS}")]
    KeyCount(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserData {
    operator: Operator,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operator {
    ssh_keys: Vec<String>,
}

/// User-data that admits these keys, each a line as in `authorized_keys`.
pub fn write(keys: &[String]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| toml::Value::from(key.as_str()).to_string()).collect();
    format!("[operator]\nssh_keys = [{}]\n", quoted.join(", "))
}

/// The public keys in a file that an operator names: lines as in `authorized_keys`, or a private key in OpenSSH's format.
///
/// # Errors
/// What is wrong, as a clause.
pub fn public_keys(text: &str) -> Result<Vec<String>, String> {
    if text.trim_start().starts_with("-----BEGIN") {
        // The public half of a locked key is not locked.
        let key =
            ssh_key::PrivateKey::from_openssh(text).map_err(|e| format!("not an OpenSSH private key ({e})"))?;
        let line = key.public_key().to_openssh().map_err(|e| e.to_string())?;
        return parse_key(&line).map(|_| vec![line]);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| parse_key(line).map(|_| line.to_owned())).collect()
}

impl Operators {
    /// Reads the memfd that init hands out. Always from its start: the descriptor's position is shared with the
    /// control that ran before this one.
    ///
    /// # Errors
    /// [`UserDataError`] says what the operator has to correct.
    pub fn read(file: &File) -> Result<Self, UserDataError> {
        let mut bytes = vec![0; MAX_BYTES + 1];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], filled as u64)? {
                0 => break,
                n => filled += n,
            }
        }
        if filled > MAX_BYTES {
            return Err(UserDataError::TooLong);
        }
        bytes.truncate(filled);
        Self::from_bytes(&bytes)
    }

    /// # Errors
    /// [`UserDataError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UserDataError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| UserDataError::NotText)?)
    }

    /// # Errors
    /// [`UserDataError`].
    pub fn parse(text: &str) -> Result<Self, UserDataError> {
        if text.trim().is_empty() {
            return Err(UserDataError::Empty);
        }
        let data: UserData = toml::from_str(text).map_err(|e| UserDataError::Toml(place(text, &e)))?;
        let lines = data.operator.ssh_keys;
        if lines.is_empty() || lines.len() > MAX_KEYS {
            return Err(UserDataError::KeyCount(lines.len()));
        }
        let key = |(i, line): (usize, &String)| {
            parse_key(line).map_err(|reason| UserDataError::Key { number: i + 1, reason })
        };
        Ok(Self { keys: lines.iter().enumerate().map(key).collect::<Result<_, _>>()? })
    }

    /// These and those.
    pub fn join(&mut self, others: impl IntoIterator<Item = PublicKey>) {
        for key in others {
            if !self.admits(&key) {
                self.keys.push(key);
            }
        }
    }

    /// Whether this key may sign in. Names and comments do not count.
    pub fn admits(&self, key: &PublicKey) -> bool {
        self.keys.iter().any(|k| k.key_data() == key.key_data())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nobody can sign in.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl IntoIterator for Operators {
    type Item = PublicKey;
    type IntoIter = std::vec::IntoIter<PublicKey>;

    fn into_iter(self) -> Self::IntoIter {
        self.keys.into_iter()
    }
}

/// Takes one line as in `authorized_keys` without options: Ed25519 only.
///
/// # Errors
/// What is wrong, as a clause.
pub fn parse_key(line: &str) -> Result<PublicKey, String> {
    let line = line.trim();
    let kind: String = line.chars().take_while(|c| !c.is_whitespace()).take(40).collect();
    if kind != KEY_KIND {
        return Err(format!("{kind:?} keys are not accepted, only {KEY_KIND} ones"));
    }
    // The parser also sees to it that the key inside is of the kind that the line says.
    PublicKey::from_openssh(line).map_err(|e| format!("not an OpenSSH public key ({e})"))
}

/// The parser's message with the line, on one line: the console shows no excerpts.
fn place(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    format!("line {line}: {}", error.message().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEPGo02wNjd8wWRqyeMFFJJ1XYpOjsfyFHuMNmTGGHI8 ada";
    const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc= eve";

    fn message(text: &str) -> String {
        Operators::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn keys_are_known_whatever_their_comment() {
        let operators = Operators::parse(&format!("[operator]\nssh_keys = [\"{KEY}\"]\n")).unwrap();
        assert_eq!(operators.len(), 1);
        assert!(operators.admits(&parse_key(&KEY.replace(" ada", " someone-else")).unwrap()));
        let other = KEY.replace("IEPGo0", "IEPGo1");
        assert!(!operators.admits(&parse_key(&other).unwrap()));
    }

    #[test]
    fn what_is_written_is_read_whatever_the_keys_comment_holds() {
        let operators = Operators::parse(&write(&[format!("{KEY} \"quoted\" \\ #")])).unwrap();
        assert!(operators.admits(&parse_key(KEY).unwrap()));
    }

    #[test]
    fn an_operators_file_may_be_public_or_private() {
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
            b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n\
            QyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYgAAAJgAIAxdACAM\n\
            XQAAAAtzc2gtZWQyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYg\n\
            AAAEC2BsIi0QwW2uFscKTUUXNHLsYX4FxlaSDSblbAj7WR7bM+rvN+ot98qgEN796jTiQf\n\
            ZfG1KaT0PtFDJ/XFSqtiAAAAEHVzZXJAZXhhbXBsZS5jb20BAgMEBQ==\n\
            -----END OPENSSH PRIVATE KEY-----\n";
        let found = public_keys(private).unwrap();
        assert!(found[0].starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+"), "{found:?}");
        assert_eq!(public_keys(&format!("# mine\n\n{KEY}\n")).unwrap(), [KEY]);
        assert!(public_keys(ECDSA).unwrap_err().contains("only ssh-ed25519"));
        assert!(public_keys("-----BEGIN RSA PRIVATE KEY-----").is_err());
    }

    #[test]
    fn faults_are_named_with_their_place() {
        assert_eq!(message(" \n"), "no user-data was given");
        assert!(message("[operator]\nssh_keys = []").contains("0 ssh keys"));
        assert!(message("[operator]\nssh_keys = [\"\"]\nshell = true\n").contains("line 3"), "unknown key");
        assert!(message("[operators]\nssh_keys = []").contains("unknown field `operators`"));
        assert!(message("operator = [").starts_with("user-data, line 1"));
        let second = message(&format!("[operator]\nssh_keys = [\"{KEY}\", \"ssh-ed25519 nonsense\"]"));
        assert!(second.starts_with("user-data, ssh key 2:"), "{second}");
        let ecdsa = message(&format!("[operator]\nssh_keys = [\"{ECDSA}\"]"));
        assert!(
            ecdsa.ends_with("\"ecdsa-sha2-nistp256\" keys are not accepted, only ssh-ed25519 ones"),
            "{ecdsa}"
        );
        let disguised = message(&format!(
            "[operator]\nssh_keys = [\"{}\"]",
            ECDSA.replace("ecdsa-sha2-nistp256", "ssh-ed25519")
        ));
        assert!(disguised.contains("not an OpenSSH public key"), "{disguised}");
    }

    #[test]
    fn the_descriptor_is_read_from_its_start_each_time() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, format!("[operator]\nssh_keys = [\"{KEY}\"]").as_bytes()).unwrap();
        assert_eq!(Operators::read(&file).unwrap(), Operators::read(&file).unwrap());
        file.set_len(MAX_BYTES as u64 + 1).unwrap();
        assert!(matches!(Operators::read(&file), Err(UserDataError::TooLong)));
    }
}
