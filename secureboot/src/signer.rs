//! Who signs: a key in a file, or a program of the user's that asks a hardware token or a cloud's key service. What
//! they give is checked against the certificate at once, so that a wrong pair is found here and not by the firmware.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rsa::pkcs1v15::Signature;
use rsa::rand_core::OsRng;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::Sha256;
use signature::hazmat::PrehashVerifier;

use crate::error::Error;
use crate::keys::{Certificate, KeyPair, load_private};

/// A person may have to touch a token.
const PATIENCE: Duration = Duration::from_secs(120);
/// No RSA signature is longer.
const ANSWER_LIMIT: u64 = 4096;

/// Makes RSA signatures (PKCS #1 v1.5 over SHA-256): the same digest gives the same bytes.
pub trait Signer: Sync {
    /// The certificate of the key.
    fn certificate(&self) -> &Certificate;

    /// For messages.
    fn name(&self) -> String;

    /// Signs without looking at what came out; callers use [`Signer::sign`].
    ///
    /// # Errors
    /// There is no signature.
    fn sign_unchecked(&self, digest: &[u8; 32]) -> Result<Vec<u8>, Error>;

    /// Signs the digest.
    ///
    /// # Errors
    /// There is no signature, or the certificate does not bear it out.
    fn sign(&self, digest: &[u8; 32]) -> Result<Vec<u8>, Error> {
        let signature = self.sign_unchecked(digest)?;
        let certificate = self.certificate();
        let checked = Signature::try_from(signature.as_slice());
        match checked.and_then(|signature| certificate.key().verify_prehash(digest, &signature)) {
            Ok(()) => Ok(signature),
            Err(_) => Err(Error::Mismatch { signer: self.name(), subject: certificate.subject() }),
        }
    }
}

/// A private key in memory.
pub struct KeySigner {
    certificate: Certificate,
    key: RsaPrivateKey,
    name: String,
}

impl KeySigner {
    /// Reads key and certificate.
    ///
    /// # Errors
    /// One of the files is not what it should be, or they do not belong together.
    pub fn load(key: &Path, certificate: &Path) -> Result<Self, Error> {
        let private = load_private(key)?;
        let certificate = Certificate::load(certificate)?;
        let name = key.display().to_string();
        if certificate.key().as_ref() != private.as_ref() {
            return Err(Error::Mismatch { signer: name, subject: certificate.subject() });
        }
        Ok(Self { certificate, key: private, name })
    }
}

impl From<&KeyPair> for KeySigner {
    fn from(pair: &KeyPair) -> Self {
        let name = pair.certificate.subject();
        Self { certificate: pair.certificate.clone(), key: pair.private.clone(), name }
    }
}

impl Signer for KeySigner {
    fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn sign_unchecked(&self, digest: &[u8; 32]) -> Result<Vec<u8>, Error> {
        // Blinded against clocks that listen; the signature is the same with any blinding.
        Ok(self.key.sign_with_rng(&mut OsRng, Pkcs1v15Sign::new::<Sha256>(), digest)?)
    }
}

/// A program that signs: the digest (32 bytes) on its standard input, the bare signature on its standard output.
pub struct HookSigner {
    certificate: Certificate,
    program: PathBuf,
    patience: Duration,
}

impl HookSigner {
    /// Reads the certificate. The program is run for each signature.
    ///
    /// # Errors
    /// The certificate is not one.
    pub fn load(program: &Path, certificate: &Path) -> Result<Self, Error> {
        let certificate = Certificate::load(certificate)?;
        Ok(Self { certificate, program: program.to_owned(), patience: PATIENCE })
    }

    fn failed(&self, what: impl Into<String>) -> Error {
        Error::Hook { program: self.program.clone(), what: what.into() }
    }

    /// Hands over the digest and takes the answer, until the time is up.
    fn talk(&self, child: &mut Child, digest: &[u8; 32]) -> Result<Vec<u8>, Error> {
        let lost = || self.failed("its pipes are missing");
        let mut stdin = child.stdin.take().ok_or_else(lost)?;
        let stdout = child.stdout.take().ok_or_else(lost)?;
        // Smaller than any pipe: this does not wait. A program that does not read shows in what it answers.
        let _ = stdin.write_all(digest);
        drop(stdin);
        let (sender, receiver) = mpsc::channel();
        // Not joined: a grandchild may hold the pipe for ever.
        std::thread::spawn(move || sender.send(read_answer(stdout)));
        match receiver.recv_timeout(self.patience) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) => Err(self.failed(format!("its answer cannot be read: {cause}"))),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(self.failed(format!("no answer within {} seconds", self.patience.as_secs())))
            }
        }
    }
}

fn read_answer(stdout: ChildStdout) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    stdout.take(ANSWER_LIMIT).read_to_end(&mut answer)?;
    Ok(answer)
}

impl Signer for HookSigner {
    fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    fn name(&self) -> String {
        self.program.display().to_string()
    }

    fn sign_unchecked(&self, digest: &[u8; 32]) -> Result<Vec<u8>, Error> {
        let mut command = Command::new(&self.program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|cause| self.failed(format!("cannot be started: {cause}")))?;
        let answer = self.talk(&mut child, digest);
        if answer.is_err() {
            // It may have ended by itself.
            let _ = child.kill();
        }
        // It has closed its output or been killed, so this does not take long.
        let status = child.wait().map_err(|cause| self.failed(cause.to_string()))?;
        let answer = answer?;
        if !status.success() {
            return Err(self.failed(format!("ended with {status}")));
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::keys::tests::KEYS;

    fn hook(script: &str) -> (tempfile::TempDir, HookSigner) {
        let folder = tempfile::tempdir().unwrap();
        let [program, key] = ["hook", "db.key"].map(|name| folder.path().join(name));
        fs::write(&key, KEYS[2].private_pem().unwrap()).unwrap();
        // Written by another process: a file that a thread's child still holds open for writing cannot be run.
        let mut install = Command::new("install");
        install.args(["-m", "700", "/dev/stdin"]).arg(&program).stdin(Stdio::piped());
        let mut install = install.spawn().unwrap();
        let script = format!("#!/bin/sh\ncd '{}'\n{script}\n", folder.path().display());
        install.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(install.wait().unwrap().success());
        let certificate = KEYS[2].certificate.clone();
        (folder, HookSigner { certificate, program, patience: PATIENCE })
    }

    #[test]
    fn a_key_that_is_not_the_certificates_is_found_out() {
        let wrong = KeySigner { certificate: KEYS[1].certificate.clone(), ..KeySigner::from(&KEYS[2]) };
        let error = wrong.sign(&[7; 32]).unwrap_err().to_string();
        assert!(error.contains("does not verify with the certificate CN=Kennel KEK"), "{error}");
    }

    #[test]
    fn a_program_signs_as_the_key_itself_does() {
        let (_folder, works) = hook("exec openssl pkeyutl -sign -inkey db.key -pkeyopt digest:sha256");
        let digest = [7; 32];
        assert_eq!(works.sign(&digest).unwrap(), KeySigner::from(&KEYS[2]).sign(&digest).unwrap());
    }

    #[test]
    fn programs_that_do_not_sign_are_told_by_what_they_did() {
        let said = |script: &str| hook(script).1.sign(&[7; 32]).unwrap_err().to_string();
        assert!(said("exit 3").contains("ended with exit status: 3"));
        assert!(said("echo signed").contains("does not verify"));
        let mut slow = hook("exec sleep 60");
        slow.1.patience = Duration::from_millis(50);
        let error = slow.1.sign(&[7; 32]).unwrap_err();
        assert!(error.to_string().contains("no answer within"), "{error}");
        let absent = HookSigner { program: "/nonexistent/hook".into(), ..slow.1 };
        assert!(absent.sign(&[7; 32]).unwrap_err().to_string().contains("cannot be started"));
    }
}
