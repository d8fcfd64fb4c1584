//! Judges what a host's TPM says of what has booted there. Nothing that the host sends is believed before it was checked
//! here, and what follows from it is said in words. Asking, and remembering which TPM is whose, is the callers' business.
//!
//! | file | duty |
//! |---|---|
//! | `evidence` | a quote: whose signature, over what, in answer to which question |
//! | `endorsement` | the TPM's own key: what it is known by |
//! | `credential` | the challenge that only the TPM with both keys can answer |
//! | `expected` | what the registers should hold, and what it means when they do not |

mod credential;
mod endorsement;
mod error;
mod evidence;
mod expected;

pub use credential::Challenge;
pub use endorsement::EndorsementKey;
pub use error::Fault;
pub use evidence::{Evidence, binding, check, nonce};
pub use expected::{Expected, Finding, Verdict};
