//! Why what a host says is not believed, or a file of the asker's is of no use.

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not what a TPM would have sent.
    #[error("the host's answer makes no sense: {0}")]
    Malformed(String),
    /// Whoever has this key can sign whatever he likes, or it may be outside of a TPM.
    #[error("the key that signed is no attestation key of a TPM: {0}")]
    Key(&'static str),
    /// Not this key's.
    #[error("the quote's signature is wrong")]
    Signature,
    /// A quote, but not the one that was asked for.
    #[error(
        "the quote does not answer this question over this connection: it is an old one, or another host's"
    )]
    Binding,
    /// The registers' values are not those that were signed.
    #[error("the registers that the host tells are not those that its TPM has signed")]
    Registers,
    /// Not the TPM with this endorsement key.
    #[error("the TPM with this endorsement key does not know the key that signed: the quote is another TPM's")]
    Secret,
    /// The file with an endorsement key.
    #[error("this is no endorsement key: {0}")]
    Endorsement(String),
    /// The manifest.
    #[error("this is no manifest of an image: {0}")]
    Manifest(String),
}
