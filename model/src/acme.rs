//! Certificates by ACME (RFC 8555): what operators are told of it, what control and `kennel-acme` say to each other, and what
//! the proxy answers an authority that asks whether a name leads here. Who is asked for what and when is control's business.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{HostName, TenantName};

/// Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Its double for trying things out, whose certificates no browser trusts and whose limits are wider.
pub const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";
/// Where authorities ask by HTTP (RFC 8555, 8.3).
pub const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";
/// What they ask for by TLS (RFC 8737, 6.2).
pub const CHALLENGE_ALPN: &[u8] = b"acme-tls/1";
/// Longest directory URL, in bytes.
pub const MAX_URL: usize = 500;
/// Longest reason of a failure, in bytes.
pub const MAX_REASON: usize = 500;
/// Longest chain and longest file of roots, in bytes.
pub const MAX_PEM: usize = 16 << 10;

/// Which authority, and how its own certificate is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// The URL of its directory; `https` and port 443.
    pub directory: String,
    /// Roots in PEM, in place of those that browsers trust: for an authority of one's own.
    #[serde(default)]
    pub roots_pem: Option<String>,
}

/// What an operator asks for with `kennel acme on`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAcme {
    /// Who issues.
    pub authority: Authority,
    /// Whom the authority writes to when something is amiss.
    #[serde(default)]
    pub email: Option<String>,
    /// The operator has read the authority's terms and agrees to them. Without, nothing is registered.
    #[serde(default)]
    pub terms_agreed: bool,
}

/// What operators are told of ACME.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// The directory of the authority that is asked; absent while it is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Whom the authority writes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The operator who agreed to its terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Nobody is asked before this, in seconds since 1970: the authority cannot be reached, or wants to be left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until_s: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Every host name of every tenant, by name.
    pub names: Vec<AcmeName>,
}

/// One host name of a tenant's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcmeName {
    /// The name.
    pub name: HostName,
    /// Whose.
    pub tenant: TenantName,
    /// How it stands.
    pub state: NameState,
    /// When its authority is asked next, in seconds since 1970; absent when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_s: Option<u64>,
    /// Orders that have failed in a row.
    pub failures: u32,
    /// Why the last one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameState {
    /// An operator has brought a certificate for it, which is never replaced.
    Own,
    /// It has one by ACME.
    Issued,
    /// It is to have one.
    Waiting,
    /// It is being ordered.
    Ordering,
    /// The last order has failed, and there is no certificate.
    Failed,
    /// No public authority gives one for such a name.
    Local,
}

/// What control sends to `kennel-acme`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToAcme {
    /// Comes back with all that is said to it.
    pub id: u32,
    /// What is asked.
    pub ask: Ask,
}

/// What control asks. All but [`Ask::Shown`] begin something that ends with exactly one [`Said`] other than
/// [`Said::Challenge`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Which terms has it?
    Terms(Authority),
    /// An account, with a new key; the operator has agreed to the terms.
    Register(Authority, Option<String>),
    /// A certificate.
    Order(Box<Order>),
    /// The order's challenge is answered from now on.
    Shown,
    /// When should this certificate, in PEM, be renewed (RFC 9773)?
    Renewal(Authority, Account, String),
}

/// An account with its key, as `instant-acme` keeps it: JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Account(pub String);

// A key is in no log.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(…)")
    }
}

/// An order of one certificate for one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Of whom.
    pub authority: Authority,
    /// In whose name.
    pub account: Account,
    /// What for.
    pub name: HostName,
    /// The request (PKCS #10, DER); its key stays with control.
    pub request: Vec<u8>,
    /// How the authority should convince itself, if it offers that.
    pub prefer: Kind,
    /// The certificate, in PEM, that the new one takes the place of (RFC 9773, 5).
    pub replaces: Option<String>,
}

/// A way in which an authority finds out whether a name leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// By a request to port 80 (RFC 8555, 8.3).
    Http,
    /// By a handshake with port 443 (RFC 8737).
    TlsAlpn,
}

/// What `kennel-acme` sends to control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromAcme {
    /// From the question.
    pub id: u32,
    /// The answer, or a step on the way to it.
    pub said: Said,
}

/// What `kennel-acme` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// To [`Ask::Terms`]: where they can be read, if it has any.
    Terms(Option<String>),
    /// To [`Ask::Register`].
    Account(Account),
    /// To [`Ask::Order`], on the way: what is to be shown until the order has ended. [`Ask::Shown`] goes on.
    Challenge(Proof),
    /// To [`Ask::Order`]: the chain, in PEM.
    Issued(String),
    /// To [`Ask::Renewal`]: the authority's own suggestion, in seconds since 1970; nothing when it has none.
    Renewal(Option<(u64, u64)>),
    /// To any of them.
    Failed(Failure),
}

/// What shows that a name leads here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// What is asked for by HTTP, and the answer.
    Http {
        /// The last part of the path.
        token: String,
        /// The body of the answer: the token, a dot, and the account key's thumbprint.
        key_authorization: String,
    },
    /// The SHA-256 of the key authorization, which a certificate has to hold.
    TlsAlpn([u8; 32]),
}

impl Proof {
    /// Whether it can be what it claims: nothing else is put where strangers read it.
    pub fn is_sound(&self) -> bool {
        let is_base64url = |s: &str| {
            (16..=200).contains(&s.len())
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        match self {
            Self::Http { token, key_authorization } => {
                is_base64url(token)
                    && key_authorization
                        .split_once('.')
                        .is_some_and(|(first, print)| first == token && is_base64url(print))
            }
            Self::TlsAlpn(_) => true,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault it is, which says how to go on.
    pub fault: Fault,
    /// In words for a person.
    pub reason: String,
    /// The authority wants not to be asked for so long, in seconds.
    pub retry_after_s: Option<u64>,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The authority cannot be reached, is out of order, or makes no sense: nobody's name is to blame.
    Authority,
    /// It has been asked too often.
    RateLimited,
    /// The name does not lead here, or the authority gives none for it.
    Name,
    /// The account is not known, or not any more.
    Account,
}

/// What the proxy answers authorities for one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedChallenge {
    /// Asked for by this name only.
    pub name: HostName,
    /// The answer.
    pub answer: Answer,
}

/// An answer to an authority. Whoever asks is told, so there is no secret but a key that is good for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// Below [`CHALLENGE_PATH`].
    Http {
        /// The last part of the path.
        token: String,
        /// The body.
        key_authorization: String,
    },
    /// Shown to who speaks [`CHALLENGE_ALPN`]: a certificate signed by itself, which is good for nothing else.
    TlsAlpn {
        /// PEM.
        chain_pem: String,
        /// PEM.
        key_pem: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_authorization_of_the_token_is_shown() {
        let http =
            |token: &str, body: &str| Proof::Http { token: token.into(), key_authorization: body.into() };
        let (token, print) =
            ("LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0", "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI");
        assert!(http(token, &format!("{token}.{print}")).is_sound());
        for (token, body) in [
            (token, token.to_owned()),
            (token, format!("{token}.")),
            (token, format!("{print}.{print}")),
            (token, format!("{token}.{print}\n")),
            (token, format!("{token}.<script>alert(1)</script>")),
            ("a/../../b", format!("a/../../b.{print}")),
            ("", format!(".{print}")),
        ] {
            assert!(!http(token, &body).is_sound(), "{token} {body}");
        }
    }

    #[test]
    fn an_account_is_not_printed() {
        assert!(!format!("{:?}", Account("secret".into())).contains("secret"));
    }
}
