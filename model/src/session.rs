//! How an operator signs in to the API with a key of SSH's: what is asked for, what is signed, and what comes of it. Whose key it
//! is and whether the signature is good is control's business.

use serde::{Deserialize, Serialize};

/// The SSHSIG namespace of sign-in signatures (see OpenSSH's PROTOCOL.sshsig).
pub const SIGNATURE_NAMESPACE: &str = "kennel-session";

/// Asks for something to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// The public key that will sign, in OpenSSH's one-line form.
    pub public_key: String,
}

/// What is to be signed. Given for unknown keys too, so that nobody learns which keys are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Random, base64; good once, for a minute. The bytes signed are
    /// `"kennel session\n" + nonce + "\n" + SHA-256 fingerprint of the server's certificate`, so that a signature made for
    /// one host (or for someone in the middle) is worth nothing at another. See [`signed_text`].
    pub nonce: String,
}

/// The text that the operator's key signs.
pub fn signed_text(nonce: &str, certificate_fingerprint: &str) -> String {
    format!("kennel session\n{nonce}\n{certificate_fingerprint}")
}

/// The signed challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// As in the challenge.
    pub nonce: String,
    /// SSHSIG in PEM armour over [`signed_text`], namespace [`SIGNATURE_NAMESPACE`].
    pub signature: String,
}

/// A signed-in session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Goes into `Authorization: Bearer …`. Held in control's memory only: after its restart, sign in again.
    pub token: String,
    /// Lifetime in seconds.
    pub expires_in_s: u32,
}
