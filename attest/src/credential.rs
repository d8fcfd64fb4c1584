//! The challenge that only the TPM with both keys can answer: a secret encrypted to its endorsement key, for the attestation
//! key's name (TPM 2.0 part 1, "Credential Protection"). A TPM tells the secret only if it holds a key of that name, and
//! the name is the digest of all that the key is. So the key that signed a quote is that TPM's.

use aes::Aes128;
use cfb_mode::cipher::{AsyncStreamCipher as _, KeyIvInit as _};
use hmac::{Hmac, Mac as _};
use kennel_model::tpm::{Activation, Hex};
use rsa::Oaep;
use rsa::rand_core::{OsRng, RngCore as _};
use sha2::Sha256;

use crate::error::Fault;
use crate::evidence::Evidence;

/// What is sent, and what must come back.
#[derive(Debug)]
pub struct Challenge {
    /// For the host.
    pub activation: Activation,
    secret: [u8; 32],
}

impl Challenge {
    /// A new one for the TPM of this evidence.
    ///
    /// # Errors
    /// The endorsement key is of no use.
    pub fn new(evidence: &Evidence) -> Result<Self, Fault> {
        let [mut secret, mut seed] = [[0; 32]; 2];
        OsRng.fill_bytes(&mut secret);
        OsRng.fill_bytes(&mut seed);
        let padding = Oaep::new_with_label::<Sha256, _>("IDENTITY\0");
        let encrypted = evidence.endorsement.key.encrypt(&mut OsRng, padding, &seed);
        let encrypted = encrypted.map_err(|cause| Fault::Endorsement(cause.to_string()))?;
        let credential = protect(&secret, &seed, &evidence.signer)?;
        Ok(Self { activation: Activation { credential: Hex(credential), seed: Hex(encrypted) }, secret })
    }

    /// Whether the host's answer is right.
    ///
    /// # Errors
    /// [`Fault::Secret`].
    pub fn check(&self, answer: &Hex) -> Result<(), Fault> {
        if answer.0 == self.secret { Ok(()) } else { Err(Fault::Secret) }
    }
}

/// `TPMS_ID_OBJECT`: an HMAC, and the secret encrypted, both with keys of the seed.
fn protect(secret: &[u8; 32], seed: &[u8; 32], name: &[u8]) -> Result<Vec<u8>, Fault> {
    let [storage, integrity] = [derive(seed, "STORAGE", name, 128)?, derive(seed, "INTEGRITY", &[], 256)?];
    let mut identity = sized(secret);
    let cipher =
        cfb_mode::Encryptor::<Aes128>::new_from_slices(storage.get(..16).unwrap_or_default(), &[0; 16]);
    cipher.map_err(|_| Fault::Malformed("a key has a wrong length".into()))?.encrypt(&mut identity);
    let mac = keyed(&integrity)?.chain_update(&identity).chain_update(name).finalize().into_bytes();
    Ok([sized(&mac), identity].concat())
}

/// `KDFa` with SHA-256, for no more bits than SHA-256 has.
fn derive(key: &[u8], label: &str, context: &[u8], bits: u32) -> Result<Vec<u8>, Fault> {
    let mac = keyed(key)?.chain_update(1_u32.to_be_bytes()).chain_update(label).chain_update([0]);
    Ok(mac.chain_update(context).chain_update(bits.to_be_bytes()).finalize().into_bytes().to_vec())
}

fn keyed(key: &[u8]) -> Result<Hmac<Sha256>, Fault> {
    Hmac::new_from_slice(key).map_err(|_| Fault::Malformed("a key has a wrong length".into()))
}

/// `TPM2B`: with its length before it.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}
