//! Why a call failed, in the kinds that decide what happens next: wait and try again, go more slowly, or stop and tell the
//! person what is missing.

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};

use super::table::Call;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}{}", call.row().name, code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct Fault {
    /// The call.
    pub call: Call,
    /// What kind of failure.
    pub kind: Kind,
    /// AWS's word for it.
    pub code: Option<String>,
    /// AWS's sentence, or ours.
    pub message: String,
    /// Attempts before this one that failed, any of which AWS may have carried out all the same.
    pub before: u32,
}

/// Kinds of failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Too many calls: to be made again, and more slowly.
    Throttled,
    /// AWS failed: to be made again.
    Server,
    /// The connection failed: to be made again.
    Network,
    /// No answer in time: to be made again.
    Late,
    /// AWS does not know yet what it has just made: to be made again, for a while.
    Unseen,
    /// The overall deadline has passed.
    OutOfTime,
    /// This IAM action is missing.
    Denied(String),
    /// There are no credentials that work.
    Credentials,
    /// AWS knows what was asked for and says no.
    Refused,
}

/// AWS's words for "too many calls".
const THROTTLES: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];
/// AWS's words for "you may not".
const DENIALS: &[&str] =
    &["AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation", "UnauthorizedOperation"];
/// AWS's words for "I do not know you".
const STRANGERS: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// AWS's words, with a status of 500, for "there is none left of these": the next moment is no better.
const SOLD_OUT: &[&str] = &[
    "InsufficientAddressCapacity",
    "InsufficientCapacity",
    "InsufficientHostCapacity",
    "InsufficientInstanceCapacity",
    "InsufficientVolumeCapacity",
];

impl Fault {
    /// Whether the call may be made again.
    pub const fn passes(&self) -> bool {
        matches!(self.kind, Kind::Throttled | Kind::Server | Kind::Network | Kind::Late | Kind::Unseen)
    }

    /// Whether AWS used this word.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// A call for which there is no time left, or whose answer makes no sense.
    pub(super) fn own(call: Call, kind: Kind, message: impl Into<String>) -> Self {
        Self { call, kind, code: None, message: message.into(), before: 0 }
    }

    /// The answer lacks what AWS promises to be in it.
    pub(super) fn incomplete(call: Call, what: &str) -> Self {
        Self::own(call, Kind::Refused, format!("the answer has no {what}"))
    }

    /// Sorts what the SDK says.
    pub(super) fn of<E>(call: Call, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        match error {
            SdkError::ServiceError(service) => {
                let meta = service.err().meta();
                answered(call, status.unwrap_or_default(), meta.code(), meta.message())
            }
            SdkError::ResponseError(_) => {
                answered(call, status.unwrap_or_default(), None, Some("the answer cannot be read"))
            }
            SdkError::TimeoutError(_) => Self::own(call, Kind::Late, "no answer in time"),
            // Also what the SDK calls "other": a connection that ends in the middle of an answer is that.
            SdkError::DispatchFailure(failure) if !failure.is_user() => {
                unsent(call, Kind::Network, root(error))
            }
            _ => unsent(call, Kind::Refused, root(error)),
        }
    }
}

/// Sorts an answer.
fn answered(call: Call, status: u16, code: Option<&str>, message: Option<&str>) -> Fault {
    let message = message.filter(|text| !text.is_empty()).unwrap_or("AWS says no more");
    let named = |list: &[&str]| code.is_some_and(|code| list.contains(&code));
    let kind = if named(THROTTLES) || status == 429 {
        Kind::Throttled
    } else if named(DENIALS) {
        Kind::Denied(missing_action(call, message))
    } else if call == Call::PutSnapshotBlock && named(&["ResourceNotFoundException"]) {
        Kind::Unseen
    } else if named(STRANGERS) {
        Kind::Credentials
    } else if named(SOLD_OUT) {
        Kind::Refused
    } else if status >= 500 || named(&["RequestTimeout", "RequestTimeoutException"]) {
        Kind::Server
    } else {
        Kind::Refused
    };
    Fault { call, kind, code: code.map(str::to_owned), message: message.to_owned(), before: 0 }
}

/// The action that AWS names in its sentence, which may be another than the call's own (tagging, most often); else the
/// call's own.
fn missing_action(call: Call, message: &str) -> String {
    let named = message.split_once("to perform: ").and_then(|(_, rest)| rest.split_whitespace().next());
    let own = || call.row().rights.first().map_or(call.row().name, |right| right.action);
    named.filter(|action| action.contains(':')).unwrap_or_else(own).to_owned()
}

/// A request without an answer. Looking for credentials is a part of it for the SDK.
fn unsent(call: Call, kind: Kind, message: String) -> Fault {
    let kind = if message.contains("credential") {
        Kind::Credentials
    } else if message.contains("certificate") {
        // Whoever answers there is not AWS, and will not be the next time.
        Kind::Refused
    } else {
        kind
    };
    Fault::own(call, kind, message)
}

/// What is at the bottom of an error: further up it is only said that something went wrong.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let deepest = std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error);
    let text = deepest.to_string();
    // The SDK lists all places where it has looked for credentials behind the first line.
    text.lines().next().unwrap_or_default().trim_end_matches(". Attempted:").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted() {
        let kind = |status, code| answered(Call::PutSnapshotBlock, status, code, None).kind;
        assert_eq!(kind(503, Some("RequestLimitExceeded")), Kind::Throttled);
        assert_eq!(kind(400, Some("ThrottlingException")), Kind::Throttled);
        assert_eq!(kind(429, None), Kind::Throttled);
        assert_eq!(kind(500, None), Kind::Server);
        assert_eq!(kind(500, Some("InsufficientInstanceCapacity")), Kind::Refused);
        assert_eq!(kind(400, Some("ValidationException")), Kind::Refused);
        assert_eq!(kind(403, Some("ExpiredTokenException")), Kind::Credentials);
        assert_eq!(kind(402, Some("ServiceQuotaExceededException")), Kind::Refused);
        assert_eq!(kind(404, Some("ResourceNotFoundException")), Kind::Unseen);
        let other = answered(Call::CompleteSnapshot, 404, Some("ResourceNotFoundException"), None);
        assert_eq!(other.kind, Kind::Refused);
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        for (status, code, passes) in [
            (503, Some("RequestLimitExceeded"), true),
            (500, Some("InternalServerException"), true),
            (403, Some("AccessDeniedException"), false),
            (400, Some("ValidationException"), false),
        ] {
            assert_eq!(answered(Call::StartSnapshot, status, code, None).passes(), passes, "{code:?}");
        }
    }

    #[test]
    fn a_denial_names_the_action_that_is_missing() {
        let denied =
            |message| answered(Call::RegisterImage, 403, Some("UnauthorizedOperation"), Some(message)).kind;
        assert_eq!(
            denied("You are not authorized to perform this operation."),
            Kind::Denied("ec2:RegisterImage".into())
        );
        let message = "User: arn:aws:iam::1:user/a is not authorized to perform: ec2:CreateTags on resource: x";
        assert_eq!(denied(message), Kind::Denied("ec2:CreateTags".into()));
    }

    #[test]
    fn what_has_no_answer_is_sorted_too() {
        let kind = |text: &str| unsent(Call::StartSnapshot, Kind::Network, text.to_owned()).kind;
        assert_eq!(kind("Connection refused (os error 111)"), Kind::Network);
        assert_eq!(kind("no credentials found in chain"), Kind::Credentials);
        assert_eq!(kind("invalid peer certificate: UnknownIssuer"), Kind::Refused);
    }

    #[test]
    fn what_is_told_is_the_cause_at_the_bottom() {
        #[derive(Debug, thiserror::Error)]
        #[error("client error")]
        struct Above(#[source] std::io::Error);
        let error =
            Above(std::io::Error::other("no credentials found in chain. Attempted:\n  Environment: none"));
        assert_eq!(root(&error), "no credentials found in chain");
    }
}
