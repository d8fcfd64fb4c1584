//! Sign-in: a challenge signed by an SSH key is traded for a token. Tokens live in memory only and are kept hashed; challenges
//! are not kept at all until they are used, so nobody fills a table by asking for them. Which keys the user-data names is known
//! here, and which are an account's in `people`; those of the second kind take nothing from the first.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use kennel_model::{AccountName, api};
use kennel_user_data::parse_key;
use rustix::rand::GetRandomFlags;
use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, PublicKey, SshSig};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};
use crate::operators::Operators;

/// How long a challenge may be answered.
const NONCE_LIFE: Duration = Duration::from_secs(60);
/// Answered challenges remembered until they are too old anyway: of the user-data's keys together, and of each other.
const MAX_SPENT: usize = 4096;
const MAX_SPENT_OF_ACCOUNT: usize = 64;
/// How long a token is good.
const TOKEN_LIFE: Duration = Duration::from_secs(12 * 3600);
/// Tokens of one key at a time; the oldest makes room.
const MAX_SESSIONS: usize = 64;

/// Bytes of a nonce: 16 random, 8 of time, 32 that prove it is ours.
const NONCE_BYTES: usize = 16 + 8 + 32;

/// Whom the user-data lets sign in, and who has.
pub struct Auth {
    operators: Mutex<Operators>,
    certificate_fingerprint: String,
    /// Proves nonces ours; keyed anew at every start.
    mac: Hmac<Sha256>,
    born: Instant,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    /// Used nonces, with the time at which they would have been too old, and whose they were.
    spent: HashMap<[u8; NONCE_BYTES], (Duration, Owner)>,
    sessions: Vec<SessionEntry>,
}

/// Who has signed a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    key: String,
    by_user_data: bool,
}

struct SessionEntry {
    token_hash: [u8; 32],
    session: Signed,
    ends: Duration,
}

/// A key whose owner has signed, or has done so and is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Its fingerprint.
    pub key: String,
    /// The user-data names it, or did when it signed in.
    pub by_user_data: bool,
    /// The account that has it, as it was when it signed in.
    pub account: Option<AccountName>,
}

impl Auth {
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn new(operators: Operators, certificate_fingerprint: String) -> Result<Self> {
        let mac = Hmac::new(&random::<64>()?.into());
        let (born, tables) = (Instant::now(), Mutex::default());
        Ok(Self { operators: Mutex::new(operators), certificate_fingerprint, mac, born, tables })
    }

    /// From now on the user-data names these, and nobody else. Who has signed in stays signed in.
    pub fn admit(&self, operators: Operators) {
        *self.operators() = operators;
    }

    /// Something to sign, for any Ed25519 key, known or not.
    ///
    /// # Errors
    /// [`Error::BadKey`] for what is no Ed25519 key.
    pub fn challenge(&self, request: &api::ChallengeRequest) -> Result<api::Challenge> {
        let key = parse_key(&request.public_key).map_err(Error::BadKey)?;
        let nonce = self.seal(random()?, self.now() + NONCE_LIFE, &key);
        Ok(api::Challenge { nonce: STANDARD.encode(nonce) })
    }

    /// The key, when it has signed this host's text. Whether it may sign in is `people`'s to say, unless the user-data names it.
    ///
    /// # Errors
    /// [`Error::SignInRefused`] whatever is wrong.
    pub fn verify(&self, request: &api::SessionRequest) -> Result<Signed> {
        let key = self.signed(request).ok_or(Error::SignInRefused)?;
        let by_user_data = self.operators().admits(&key);
        Ok(Signed { key: key.fingerprint(HashAlg::Sha256).to_string(), by_user_data, account: None })
    }

    /// Makes a session for somebody who may sign in.
    ///
    /// # Errors
    /// [`Error::SignInRefused`] for a challenge that was used; [`Error::Overloaded`] when they sign in without end.
    pub fn open(&self, signed: Signed, account: Option<AccountName>, nonce: &str) -> Result<api::Session> {
        let token = URL_SAFE_NO_PAD.encode(random::<32>()?);
        self.spend(nonce, Owner { key: signed.key.clone(), by_user_data: signed.by_user_data })?;
        let mut tables = self.tables();
        let now = self.now();
        tables.sessions.retain(|s| s.ends > now);
        let same = |s: &SessionEntry| s.session.key == signed.key;
        if tables.sessions.iter().filter(|s| same(s)).count() >= MAX_SESSIONS
            && let Some(oldest) = tables.sessions.iter().position(same)
        {
            tables.sessions.remove(oldest);
        }
        tables.sessions.push(SessionEntry {
            token_hash: Sha256::digest(&token).into(),
            session: Signed { account, ..signed },
            ends: now + TOKEN_LIFE,
        });
        Ok(api::Session { token, expires_in_s: TOKEN_LIFE.as_secs() as u32 })
    }

    /// Who is signed in, by the `Authorization` header.
    ///
    /// # Errors
    /// [`Error::SignInRequired`].
    pub fn session(&self, authorization: Option<&str>) -> Result<Signed> {
        let token = bearer(authorization).ok_or(Error::SignInRequired)?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        let now = self.now();
        let mut tables = self.tables();
        tables.sessions.retain(|s| s.ends > now);
        // Every entry is compared in full, so that the time taken tells nothing.
        let found = tables.sessions.iter().fold(None, |found, s| {
            if bool::from(s.token_hash.ct_eq(&hash)) { Some(s.session.clone()) } else { found }
        });
        found.ok_or(Error::SignInRequired)
    }

    /// Ends the sessions of accounts of which this holds; one that comes back later does not bring them back.
    pub fn end(&self, is_over: impl Fn(&Signed) -> bool) {
        self.tables().sessions.retain(|s| s.session.by_user_data || !is_over(&s.session));
    }

    /// Whether the user-data names this key.
    pub fn is_operators(&self, key: &PublicKey) -> bool {
        self.operators().admits(key)
    }

    /// The key that signed this host's text.
    fn signed(&self, request: &api::SessionRequest) -> Option<PublicKey> {
        let signature = SshSig::from_pem(&request.signature).ok()?;
        let key = PublicKey::from(signature.public_key().clone());
        let nonce = decode_nonce(&request.nonce)?;
        let (random, ends) = (nonce[..16].try_into().ok()?, u64::from_be_bytes(nonce[16..24].try_into().ok()?));
        let ends = Duration::from_millis(ends);
        if !bool::from(self.seal(random, ends, &key).ct_eq(&nonce)) || ends <= self.now() {
            return None;
        }
        let text = api::signed_text(&request.nonce, &self.certificate_fingerprint);
        key.verify(api::SIGNATURE_NAMESPACE, text.as_bytes(), &signature).ok()?;
        Some(key)
    }

    /// Marks the nonce used, once.
    fn spend(&self, nonce: &str, owner: Owner) -> Result<()> {
        let nonce = decode_nonce(nonce).ok_or(Error::SignInRefused)?;
        let now = self.now();
        let mut tables = self.tables();
        tables.spent.retain(|_, (ends, _)| *ends > now);
        let (most, counts): (_, &dyn Fn(&Owner) -> bool) = match owner.by_user_data {
            true => (MAX_SPENT, &|other| other.by_user_data),
            false => (MAX_SPENT_OF_ACCOUNT, &|other| other.key == owner.key),
        };
        if tables.spent.values().filter(|(_, other)| counts(other)).count() >= most {
            return Err(Error::Overloaded);
        }
        match tables.spent.insert(nonce, (now + NONCE_LIFE, owner)) {
            None => Ok(()),
            Some(_) => Err(Error::SignInRefused),
        }
    }

    /// `random ‖ time ‖ proof`, bound to the key that asked.
    fn seal(&self, random: [u8; 16], ends: Duration, key: &PublicKey) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        nonce[..16].copy_from_slice(&random);
        nonce[16..24].copy_from_slice(&(ends.as_millis() as u64).to_be_bytes());
        let mut mac = self.mac.clone();
        mac.update(&nonce[..24]);
        mac.update(key.fingerprint(HashAlg::Sha256).as_bytes());
        nonce[24..].copy_from_slice(&mac.finalize().into_bytes());
        nonce
    }

    /// Time by the clock that nobody sets.
    fn now(&self) -> Duration {
        self.born.elapsed()
    }

    fn operators(&self) -> std::sync::MutexGuard<'_, Operators> {
        self.operators.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an `Authorization` header shows, if it is of that scheme.
pub(crate) fn bearer(authorization: Option<&str>) -> Option<&str> {
    let (scheme, token) = authorization?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn decode_nonce(nonce: &str) -> Option<[u8; NONCE_BYTES]> {
    STANDARD.decode(nonce).ok()?.try_into().ok()
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    // The kernel gives up to 256 bytes in one piece.
    rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|e| Error::Io("random bytes", e.into()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_key::private::{Ed25519Keypair, KeypairData};
    use ssh_key::{LineEnding, PrivateKey};

    const HOST: &str = "SHA256:here";

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&[seed; 32])), "test").unwrap()
    }

    fn auth() -> Auth {
        let line = key(1).public_key().to_openssh().unwrap();
        Auth::new(Operators::of([parse_key(&line).unwrap()]), HOST.into()).unwrap()
    }

    fn ask(auth: &Auth, key: &PrivateKey) -> String {
        let public_key = key.public_key().to_openssh().unwrap();
        auth.challenge(&api::ChallengeRequest { public_key }).unwrap().nonce
    }

    fn signed(key: &PrivateKey, nonce: &str, host: &str, namespace: &str) -> api::SessionRequest {
        let text = api::signed_text(nonce, host);
        let signature = key.sign(namespace, HashAlg::Sha512, text.as_bytes()).unwrap();
        api::SessionRequest { nonce: nonce.into(), signature: signature.to_pem(LineEnding::LF).unwrap() }
    }

    /// As `people` does, on a host without accounts.
    fn sign_in(auth: &Auth, request: &api::SessionRequest) -> Result<api::Session> {
        let signed = auth.verify(request)?;
        if !signed.by_user_data {
            return Err(Error::SignInRefused);
        }
        auth.open(signed, None, &request.nonce)
    }

    fn refused(auth: &Auth, request: &api::SessionRequest) -> bool {
        matches!(sign_in(auth, request), Err(Error::SignInRefused))
    }

    #[test]
    fn an_operator_signs_in_once_per_challenge() {
        let auth = auth();
        let request = signed(&key(1), &ask(&auth, &key(1)), HOST, api::SIGNATURE_NAMESPACE);
        let token = sign_in(&auth, &request).unwrap().token;
        let session = auth.session(Some(&format!("Bearer {token}"))).unwrap();
        assert!(session.by_user_data);
        assert_eq!(session.key, key(1).public_key().fingerprint(HashAlg::Sha256).to_string());
        assert!(refused(&auth, &request), "the same signature again");
    }

    #[test]
    fn an_unknown_key_gets_a_challenge_and_no_session() {
        let auth = auth();
        let nonce = ask(&auth, &key(2));
        assert_eq!(nonce.len(), ask(&auth, &key(1)).len());
        assert!(refused(&auth, &signed(&key(2), &nonce, HOST, api::SIGNATURE_NAMESPACE)));
    }

    #[test]
    fn a_signature_for_anything_else_is_refused() {
        let (auth, mine) = (auth(), key(1));
        let nonce = ask(&auth, &mine);
        assert!(
            refused(&auth, &signed(&mine, &nonce, "SHA256:elsewhere", api::SIGNATURE_NAMESPACE)),
            "other host"
        );
        assert!(refused(&auth, &signed(&mine, &nonce, HOST, "git")), "other namespace");
        let theirs = ask(&auth, &key(2));
        assert!(refused(&auth, &signed(&mine, &theirs, HOST, api::SIGNATURE_NAMESPACE)), "other key's nonce");
        let mut forged = STANDARD.decode(&nonce).unwrap();
        forged[20] ^= 1;
        let forged = STANDARD.encode(forged);
        assert!(refused(&auth, &signed(&mine, &forged, HOST, api::SIGNATURE_NAMESPACE)), "stretched time");
        let other_start = Auth::new(auth.operators().clone(), HOST.into()).unwrap();
        assert!(
            refused(&other_start, &signed(&mine, &nonce, HOST, api::SIGNATURE_NAMESPACE)),
            "before a restart"
        );
    }

    #[test]
    fn an_old_nonce_is_refused() {
        let auth = auth();
        let nonce = STANDARD.encode(auth.seal([0; 16], Duration::ZERO, key(1).public_key()));
        assert!(refused(&auth, &signed(&key(1), &nonce, HOST, api::SIGNATURE_NAMESPACE)));
    }

    #[test]
    fn tokens_end_and_are_bounded() {
        let auth = auth();
        let session = || {
            sign_in(&auth, &signed(&key(1), &ask(&auth, &key(1)), HOST, api::SIGNATURE_NAMESPACE))
                .unwrap()
                .token
        };
        let first = session();
        auth.tables().sessions[0].ends = Duration::ZERO;
        assert!(auth.session(Some(&format!("Bearer {first}"))).is_err(), "ended");
        let tokens: Vec<_> = (0..=MAX_SESSIONS).map(|_| session()).collect();
        assert!(auth.session(Some(&format!("Bearer {}", tokens[0]))).is_err(), "made room");
        assert!(auth.session(Some(&format!("bearer {}", tokens[MAX_SESSIONS]))).is_ok());
    }

    #[test]
    fn whoever_signs_in_without_end_takes_nothing_from_others() {
        let auth = auth();
        let open = |seed| {
            let nonce = ask(&auth, &key(seed));
            let signed = auth.verify(&signed(&key(seed), &nonce, HOST, api::SIGNATURE_NAMESPACE)).unwrap();
            auth.open(signed, None, &nonce)
        };
        let first = open(1).unwrap().token;
        for _ in 0..MAX_SPENT_OF_ACCOUNT {
            open(2).unwrap();
        }
        assert!(matches!(open(2), Err(Error::Overloaded)));
        assert!(open(3).is_ok() && open(1).is_ok());
        assert!(auth.session(Some(&format!("Bearer {first}"))).is_ok(), "another key's sessions make no room");
    }

    #[test]
    fn headers_that_are_no_token() {
        let auth = auth();
        for header in [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic YTpi"), Some("Bearer x y")]
        {
            assert!(matches!(auth.session(header), Err(Error::SignInRequired)), "{header:?}");
        }
    }
}
