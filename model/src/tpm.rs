//! What a host's TPM is asked, and what it answers: from control through init to `kennel-tpm`, and back. The bytes are the
//! TPM's own encodings; nobody on the host judges them, the asker does. Here is what they may be at most.

use std::fmt;

use serde::{Deserialize, Serialize, de, ser};

/// The way to the TPM on which each opener has keys and sessions of its own. There is none on a machine without a TPM.
pub const DEVICE: &str = "/dev/tpmrm0";
/// The registers that are quoted, in this order: the boot program, Secure Boot's state, the parts of the boot program,
/// and what was added to the kernel's command line from outside.
pub const REGISTERS: [u8; 4] = [4, 7, 11, 12];
/// Longest single part of an answer or a question: an RSA key of 2048 bits and what describes it have a quarter of it.
pub const MAX_PART: usize = 1 << 10;
/// Longest reason for which there is no answer.
pub const MAX_REASON: usize = 300;

/// Bytes; hexadecimal where people may look.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hex(pub Vec<u8>);

/// What control asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// A signed statement about the registers that holds these bytes.
    Quote([u8; 32]),
    /// What [`Activation`] is about.
    Activate(Activation),
}

/// A secret that only the TPM with a certain endorsement key can tell, and only if it has a certain attestation key too
/// (`TPM2_ActivateCredential`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// `TPMS_ID_OBJECT`.
    pub credential: Hex,
    /// The seed of what protects it, encrypted to the endorsement key.
    pub seed: Hex,
}

/// What `kennel-tpm` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To [`Question::Quote`].
    Quote(Box<Quote>),
    /// To [`Question::Activate`].
    Secret(Hex),
    /// There is none; why, for a person.
    Failed(String),
}

/// What the registers are, and what a TPM signs of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// `TPMS_ATTEST`.
    pub statement: Hex,
    /// `TPMT_SIGNATURE` over it, by the attestation key.
    pub signature: Hex,
    /// SHA-256 registers in the order of [`REGISTERS`].
    pub registers: Vec<Hex>,
    /// The attestation key's public part, `TPMT_PUBLIC`.
    pub attestation_key: Hex,
    /// The endorsement key's public part, `TPMT_PUBLIC`.
    pub endorsement_key: Hex,
}

impl Question {
    /// # Errors
    /// What is out of bounds, as a clause.
    pub fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Quote(_) => Ok(()),
            Self::Activate(a) => parts(&[&a.credential, &a.seed]),
        }
    }
}

impl Answer {
    /// # Errors
    /// What is out of bounds, as a clause.
    pub fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Failed(why) if crate::cloud::is_line(why, MAX_REASON) => Ok(()),
            Self::Failed(_) => Err("its reason is no line of text"),
            Self::Secret(secret) => parts(&[secret]),
            Self::Quote(q) => {
                if q.registers.len() != REGISTERS.len() || q.registers.iter().any(|r| r.0.len() != 32) {
                    return Err("its registers are not those that were asked for");
                }
                parts(&[&q.statement, &q.signature, &q.attestation_key, &q.endorsement_key])
            }
        }
    }
}

fn parts(parts: &[&Hex]) -> Result<(), &'static str> {
    let fits = |part: &&Hex| !part.0.is_empty() && part.0.len() <= MAX_PART;
    if parts.iter().all(fits) { Ok(()) } else { Err("a part of it is empty or too long") }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Hex {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let digits = text.as_bytes();
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(value(*high)? << 4 | value(*low)?),
            _ => None,
        };
        digits
            .chunks(2)
            .map(byte)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or("expected pairs of hexadecimal digits")
    }
}

impl Serialize for Hex {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Vec::deserialize(deserializer).map(Self);
        }
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg::{ControlReply, ToControl, decode, encode};

    fn largest() -> Quote {
        let part = || Hex(vec![7; MAX_PART]);
        Quote {
            statement: part(),
            signature: part(),
            registers: vec![Hex(vec![1; 32]); REGISTERS.len()],
            attestation_key: part(),
            endorsement_key: part(),
        }
    }

    #[test]
    fn the_largest_answer_fits_in_a_message() {
        let answer = Answer::Quote(Box::new(largest()));
        assert_eq!(answer.validate(), Ok(()));
        let message = ToControl::Reply { id: 1, result: Ok(ControlReply::Tpm(answer)) };
        assert_eq!(decode::<ToControl>(&encode(&message).unwrap()).unwrap(), message);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let refused = |change: fn(&mut Quote)| {
            let mut quote = largest();
            change(&mut quote);
            Answer::Quote(Box::new(quote)).validate().is_err()
        };
        assert!(refused(|q| q.statement.0.push(0)));
        assert!(refused(|q| q.signature.0.clear()));
        assert!(refused(|q| q.registers.truncate(3)));
        assert!(refused(|q| q.registers[0].0.truncate(20)));
        assert!(Answer::Failed("two\nlines".into()).validate().is_err());
        assert!(Answer::Secret(Hex(vec![])).validate().is_err());
        let activation = Activation { credential: Hex(vec![1]), seed: Hex(vec![0; MAX_PART + 1]) };
        assert!(Question::Activate(activation).validate().is_err());
    }

    #[test]
    fn people_see_hexadecimal() {
        let bytes = Hex(vec![0, 0xab, 0x10]);
        assert_eq!(serde_json::to_string(&bytes).unwrap(), "\"00ab10\"");
        assert_eq!(serde_json::from_str::<Hex>("\"00AB10\"").unwrap(), bytes);
        for bad in ["\"0\"", "\"0g\"", "\"+1\"", "\"é0\"", "[1]"] {
            assert!(serde_json::from_str::<Hex>(bad).is_err(), "{bad}");
        }
    }
}
