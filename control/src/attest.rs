//! What the host's TPM says, for an operator who asks: passed on to `kennel-tpm` by way of init. A quote is bound to this
//! API's certificate here, so that no other host can pass it off as its own. Judging is the operator's side.

use std::time::Duration;

use kennel_model::api::Attest;
use kennel_model::msg::{ControlReply, ControlRequest};
use kennel_model::tpm::{Answer, Question};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::control::Control;
use crate::error::{Error, Result};
use crate::init::InitError;

/// For an answer: the first one takes two keys to be made.
const PATIENCE: Duration = Duration::from_secs(55);
/// Between two questions: a TPM is slow, and operators share it.
const PAUSE: Duration = Duration::from_millis(500);

impl Control {
    /// Asks the TPM. Who comes while it is asked is told so; whoever comes soon after waits for a moment.
    ///
    /// # Errors
    /// [`Error::NoTpm`], [`Error::TpmBusy`], [`Error::Tpm`], init's.
    pub async fn attest(&self, wish: Attest, certificate: &[u8; 32]) -> Result<Answer> {
        let question = match wish {
            Attest::Quote { nonce } => Question::Quote(bound(&nonce.0, certificate)?),
            Attest::Activate(activation) => Question::Activate(activation),
        };
        question.validate().map_err(|why| Error::BadRequest(why.to_owned()))?;
        let mut last = self.tpm_asked.try_lock().map_err(|_| Error::TpmBusy)?;
        if !self.init.status().await?.services.iter().any(|service| service.name == "tpm") {
            return Err(Error::NoTpm);
        }
        if let Some(last) = *last {
            tokio::time::sleep_until(last + PAUSE).await;
        }
        let reply = self.init.exchange(ControlRequest::Tpm(question), vec![], PATIENCE).await;
        *last = Some(Instant::now());
        match reply?.0 {
            ControlReply::Tpm(Answer::Failed(why)) => Err(Error::Tpm(why)),
            ControlReply::Tpm(answer) => Ok(answer),
            _ => Err(InitError::Nonsense.into()),
        }
    }
}

/// What a quote holds: SHA-256 of the asker's nonce and of the certificate's SHA-256.
fn bound(nonce: &[u8], certificate: &[u8; 32]) -> Result<[u8; 32]> {
    if nonce.len() != 32 {
        return Err(Error::BadRequest("the nonce must have 32 bytes".into()));
    }
    Ok(Sha256::new().chain_update(nonce).chain_update(certificate).finalize().into())
}
