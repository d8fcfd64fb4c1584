//! A client for ssh-agent: lists its Ed25519 keys and has it sign. Two of the messages of draft-ietf-sshm-ssh-agent,
//! no more.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use ssh_key::{Algorithm, PublicKey, Signature};

use crate::exit::Explain;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// OpenSSH's own limit.
const MAX_MESSAGE_BYTES: u32 = 256 << 10;
/// The agent may ask its owner to confirm, or to touch a token.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where an agent listens.
#[derive(Debug, Clone)]
pub struct Agent {
    socket: PathBuf,
}

/// Why the agent was of no help.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Not reached, or it did not answer in time.
    #[error("ssh-agent at {} does not answer: {cause}", socket.display())]
    Unreachable {
        /// `SSH_AUTH_SOCK`.
        socket: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It answered "failure".
    #[error("ssh-agent refused to sign")]
    Refused,
    /// It does not speak the protocol.
    #[error("ssh-agent answered with something that makes no sense")]
    Malformed,
}

impl Explain for AgentError {}

impl Agent {
    /// The one that `SSH_AUTH_SOCK` names, if any.
    pub fn from_env() -> Option<Self> {
        std::env::var_os("SSH_AUTH_SOCK").filter(|v| !v.is_empty()).map(|v| Self::at(v.into()))
    }

    /// One that listens at this socket.
    pub const fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Its Ed25519 keys.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn keys(&self) -> Result<Vec<PublicKey>, AgentError> {
        let answer = self.ask(&[REQUEST_IDENTITIES])?;
        let mut body = answer.strip_prefix(&[IDENTITIES_ANSWER]).ok_or(AgentError::Malformed)?;
        let mut keys = Vec::new();
        for _ in 0..take_u32(&mut body)? {
            let blob = take_string(&mut body)?;
            let comment = String::from_utf8_lossy(take_string(&mut body)?).into_owned();
            // Kinds of key that the library does not know are of no use here anyway.
            if let Ok(mut key) = PublicKey::from_bytes(blob)
                && key.algorithm() == Algorithm::Ed25519
            {
                key.set_comment(comment);
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// Has the private half of `key` sign `data`.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn sign(&self, key: &PublicKey, data: &[u8]) -> Result<Signature, AgentError> {
        let blob = key.to_bytes().map_err(|_| AgentError::Malformed)?;
        let mut message = vec![SIGN_REQUEST];
        put_string(&mut message, &blob);
        put_string(&mut message, data);
        message.extend(0u32.to_be_bytes());
        let answer = self.ask(&message)?;
        match answer.split_first() {
            Some((&SIGN_RESPONSE, mut body)) => {
                Signature::try_from(take_string(&mut body)?).map_err(|_| AgentError::Malformed)
            }
            Some((&FAILURE, _)) => Err(AgentError::Refused),
            _ => Err(AgentError::Malformed),
        }
    }

    fn ask(&self, message: &[u8]) -> Result<Vec<u8>, AgentError> {
        let talk = || -> io::Result<Option<Vec<u8>>> {
            let mut stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let mut packet = Vec::with_capacity(message.len() + 4);
            put_string(&mut packet, message);
            stream.write_all(&packet)?;
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length);
            if length > MAX_MESSAGE_BYTES {
                return Ok(None);
            }
            let mut answer = vec![0; length as usize];
            stream.read_exact(&mut answer)?;
            Ok(Some(answer))
        };
        talk()
            .map_err(|cause| AgentError::Unreachable { socket: self.socket.clone(), cause })?
            .ok_or(AgentError::Malformed)
    }
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

fn take_u32(body: &mut &[u8]) -> Result<u32, AgentError> {
    let (head, rest) = body.split_first_chunk::<4>().ok_or(AgentError::Malformed)?;
    *body = rest;
    Ok(u32::from_be_bytes(*head))
}

fn take_string<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], AgentError> {
    let length = take_u32(body)? as usize;
    let (head, rest) = body.split_at_checked(length).ok_or(AgentError::Malformed)?;
    *body = rest;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// An agent that gives one answer to one question.
    fn agent(answer: Vec<u8>) -> (tempfile::TempDir, Agent) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut question).unwrap();
            stream.write_all(&answer).unwrap();
        });
        (dir, Agent::at(socket))
    }

    fn packet(body: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        put_string(&mut packet, body);
        packet
    }

    #[test]
    fn nonsense_is_an_error_and_not_a_panic() {
        for answer in [
            packet(&[]),
            packet(&[IDENTITIES_ANSWER, 0, 0]),
            packet(&[IDENTITIES_ANSWER, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]),
            u32::MAX.to_be_bytes().to_vec(),
        ] {
            let (_dir, agent) = agent(answer);
            assert!(matches!(agent.keys(), Err(AgentError::Malformed)));
        }
    }

    #[test]
    fn a_dead_agent_is_named() {
        let error = Agent::at("/nonexistent/agent".into()).keys().unwrap_err();
        assert!(error.to_string().contains("/nonexistent/agent"), "{error}");
    }

    #[test]
    fn a_refusal_is_told_apart() {
        let (_dir, agent) = agent(packet(&[FAILURE]));
        let key = PublicKey::from_openssh(
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti",
        )
        .unwrap();
        assert!(matches!(agent.sign(&key, b"x"), Err(AgentError::Refused)));
    }
}
