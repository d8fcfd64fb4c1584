//! The operator's SSH keys: which ones to try, in which order, and signing with them. Only Ed25519, as hosts take no
//! other. What is signed and where it is sent is `client::session`'s work.

mod agent;
mod operator;

use std::path::{Path, PathBuf};

use kennel_model::api::SIGNATURE_NAMESPACE;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

use crate::exit::{Explain, FileError};
use crate::paths::Paths;

pub use agent::{Agent, AgentError};
pub use operator::{ensure_operator_key, public_line};

/// Why nothing could be signed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that holds no key, or one that hosts do not take.
    #[error("{} cannot be used as a key: {cause}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A `.pub` file whose private half the agent does not have.
    #[error("ssh-agent does not hold the private half of {}", .0.display())]
    NotInAgent(PathBuf),
    /// Encrypted, and nobody to ask.
    #[error("the key {} is locked with a passphrase and there is no terminal to ask for it", .0.display())]
    Locked(PathBuf),
    /// Not the passphrase.
    #[error("the passphrase does not open {}", .0.display())]
    WrongPassphrase(PathBuf),
    /// No key anywhere.
    #[error("there is no SSH key to sign in with")]
    NoKey,
    /// The agent did not do its part.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The signature could not be made.
    #[error("cannot sign with {name}: {cause}")]
    Sign {
        /// Which key.
        name: String,
        /// What the library said.
        cause: String,
    },
}

impl Explain for KeyError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unusable { .. } => {
                Some("give an Ed25519 key in OpenSSH's format; `ssh-keygen -t ed25519` makes one".into())
            }
            Self::NotInAgent(path) => Some(format!("add it: ssh-add {}", path.with_extension("").display())),
            Self::Locked(path) => Some(format!("let ssh-agent hold it: ssh-add {}", path.display())),
            Self::WrongPassphrase(path) => {
                Some(format!("try again, or let ssh-agent hold it: ssh-add {}", path.display()))
            }
            Self::NoKey => {
                Some("name one with --identity KEYFILE or KENNEL_IDENTITY, or start ssh-agent".into())
            }
            Self::File(_) | Self::Agent(_) | Self::Sign { .. } => None,
        }
    }

    fn code(&self) -> String {
        "key".to_owned()
    }
}

/// A key that may be signed with.
#[derive(Debug)]
pub struct Candidate {
    public: PublicKey,
    /// For messages: a path, or "ssh-agent (comment)".
    pub name: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// The private key itself, perhaps still encrypted.
    File(Box<PrivateKey>, PathBuf),
    Agent(Agent),
}

impl Candidate {
    /// The public key in OpenSSH's one-line form.
    ///
    /// # Errors
    /// [`KeyError::Sign`] when it cannot be written in that form.
    pub fn public_line(&self) -> Result<String, KeyError> {
        self.public.to_openssh().map_err(|e| self.broken(&e))
    }

    /// An SSHSIG over the text, in PEM armour. May ask for a passphrase on the terminal.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn sign(&self, text: &str) -> Result<String, KeyError> {
        let hash = HashAlg::Sha512;
        let signature = match &self.source {
            Source::File(key, path) => {
                let opened = if key.is_encrypted() { Some(unlock(key, path)?) } else { None };
                let key = opened.as_ref().unwrap_or(key);
                key.sign(SIGNATURE_NAMESPACE, hash, text.as_bytes()).map_err(|e| self.broken(&e))?
            }
            Source::Agent(agent) => {
                let data = SshSig::signed_data(SIGNATURE_NAMESPACE, hash, text.as_bytes())
                    .map_err(|e| self.broken(&e))?;
                let signature = agent.sign(&self.public, &data)?;
                SshSig::new(self.public.key_data().clone(), SIGNATURE_NAMESPACE, hash, signature)
                    .map_err(|e| self.broken(&e))?
            }
        };
        signature.to_pem(LineEnding::LF).map_err(|e| self.broken(&e))
    }

    fn broken(&self, cause: &ssh_key::Error) -> KeyError {
        KeyError::Sign { name: self.name.clone(), cause: cause.to_string() }
    }
}

/// The keys to try, in this order: the one named; else the key that `kennel run` made, the person's own
/// `~/.ssh/id_ed25519`, and those that ssh-agent holds. A locked key file gives way to the agent that holds it open.
///
/// # Errors
/// [`KeyError`] when the named key cannot be used, or there is none at all.
pub fn candidates(
    identity: Option<&Path>,
    paths: &Paths,
    agent: Option<Agent>,
) -> Result<Vec<Candidate>, KeyError> {
    if let Some(path) = identity {
        return Ok(vec![named(path, agent)?]);
    }
    // An agent that does not answer must not keep a key file from being tried.
    let held = agent.as_ref().and_then(|a| a.keys().ok()).unwrap_or_default();
    let mut found: Vec<Candidate> = Vec::new();
    for path in [paths.operator_key(), paths.ssh_key()] {
        match read(&path) {
            Ok(candidate) => found.push(candidate),
            Err(KeyError::File(e)) if e.cause.kind() == std::io::ErrorKind::NotFound => {}
            // Keys that are merely lying about need not be fit for this.
            Err(KeyError::Unusable { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    for public in held {
        let Some(agent) = agent.clone() else { break };
        let same = found.iter().position(|c| c.public.key_data() == public.key_data());
        let from_agent = in_agent(agent, public);
        match same {
            Some(i) if found[i].is_locked() => found[i] = from_agent,
            Some(_) => {}
            None => found.push(from_agent),
        }
    }
    // A passphrase is asked for only when nothing else would do.
    found.sort_by_key(Candidate::is_locked);
    if found.is_empty() { Err(KeyError::NoKey) } else { Ok(found) }
}

impl Candidate {
    fn is_locked(&self) -> bool {
        matches!(&self.source, Source::File(key, _) if key.is_encrypted())
    }
}

fn named(path: &Path, agent: Option<Agent>) -> Result<Candidate, KeyError> {
    if path.extension().is_some_and(|e| e == "pub") {
        let text = std::fs::read_to_string(path).map_err(FileError::at("read", path))?;
        let public = PublicKey::from_openssh(&text).map_err(|e| unusable(path, &e))?;
        let held = match &agent {
            Some(agent) => agent.keys()?,
            None => Vec::new(),
        };
        return match agent {
            Some(agent) if held.iter().any(|k| k.key_data() == public.key_data()) => {
                Ok(in_agent(agent, public))
            }
            _ => Err(KeyError::NotInAgent(path.to_owned())),
        };
    }
    let candidate = read(path)?;
    let Some(agent) = agent.filter(|_| candidate.is_locked()) else { return Ok(candidate) };
    let held = agent.keys().unwrap_or_default();
    let open = held.into_iter().find(|k| k.key_data() == candidate.public.key_data());
    Ok(open.map_or(candidate, |public| in_agent(agent, public)))
}

fn in_agent(agent: Agent, public: PublicKey) -> Candidate {
    Candidate { name: format!("ssh-agent ({})", public.comment()), public, source: Source::Agent(agent) }
}

fn read(path: &Path) -> Result<Candidate, KeyError> {
    let text = std::fs::read(path).map_err(FileError::at("read", path))?;
    let key = PrivateKey::from_openssh(&text).map_err(|e| unusable(path, &e))?;
    let public = key.public_key().clone();
    if public.algorithm() != Algorithm::Ed25519 {
        return Err(unusable(path, &format!("it is of the kind {}", public.algorithm())));
    }
    let name = path.display().to_string();
    Ok(Candidate { public, name, source: Source::File(Box::new(key), path.to_owned()) })
}

fn unusable(path: &Path, cause: &dyn std::fmt::Display) -> KeyError {
    KeyError::Unusable { path: path.to_owned(), cause: cause.to_string() }
}

fn unlock(key: &PrivateKey, path: &Path) -> Result<PrivateKey, KeyError> {
    let passphrase = rpassword::prompt_password(format!("Passphrase for {}: ", path.display()))
        .map_err(|_| KeyError::Locked(path.to_owned()))?;
    key.decrypt(passphrase).map_err(|_| KeyError::WrongPassphrase(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_key::rand_core::OsRng;

    fn write_key(path: &Path, passphrase: Option<&str>) -> PublicKey {
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let public = key.public_key().clone();
        if let Some(passphrase) = passphrase {
            key = key.encrypt(&mut OsRng, passphrase).unwrap();
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
        public
    }

    fn home() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().as_os_str().to_owned();
        let paths = Paths::from_vars(|name| (name == "HOME").then(|| home.clone())).unwrap();
        (dir, paths)
    }

    #[test]
    fn without_any_key_that_is_said() {
        let (_dir, paths) = home();
        assert!(matches!(candidates(None, &paths, None), Err(KeyError::NoKey)));
    }

    #[test]
    fn the_operators_key_comes_first_and_locked_ones_last() {
        let (_dir, paths) = home();
        write_key(&paths.operator_key(), Some("secret"));
        let own = write_key(&paths.ssh_key(), None);
        let found = candidates(None, &paths, None).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].public.key_data(), own.key_data());
        assert!(found[1].is_locked());
    }

    #[test]
    fn a_signature_verifies() {
        let (_dir, paths) = home();
        let public = write_key(&paths.operator_key(), None);
        let pem = candidates(None, &paths, None).unwrap()[0].sign("text").unwrap();
        let signature = SshSig::from_pem(&pem).unwrap();
        assert!(public.verify(SIGNATURE_NAMESPACE, b"text", &signature).is_ok());
        assert!(public.verify(SIGNATURE_NAMESPACE, b"other", &signature).is_err());
    }

    #[test]
    fn a_named_key_must_be_there_and_fit() {
        let (dir, paths) = home();
        let missing = dir.path().join("missing");
        assert!(matches!(candidates(Some(&missing), &paths, None), Err(KeyError::File(_))));
        let junk = dir.path().join("junk");
        std::fs::write(&junk, "junk").unwrap();
        assert!(matches!(candidates(Some(&junk), &paths, None), Err(KeyError::Unusable { .. })));
        let public = dir.path().join("k.pub");
        std::fs::write(&public, write_key(&dir.path().join("k"), None).to_openssh().unwrap()).unwrap();
        assert!(matches!(candidates(Some(&public), &paths, None), Err(KeyError::NotInAgent(_))));
    }
}
