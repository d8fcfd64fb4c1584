//! What went wrong, for a person and for who decides how to go on: whose fault it is, in a sentence, and when the authority
//! wants to be asked again.

use std::str::FromStr as _;
use std::time::SystemTime;

use instant_acme::{Error, Problem};
use kennel_model::HostName;
use kennel_model::acme::{Failure, Fault, MAX_REASON};

use crate::net::NetError;

/// Problems' types begin so (RFC 8555, 6.7).
const URN: &str = "urn:ietf:params:acme:error:";

/// A failure that is the authority's own.
pub(crate) fn authority(reason: impl ToString) -> Failure {
    Failure { fault: Fault::Authority, reason: cut(&reason.to_string()), retry_after_s: None }
}

/// From an error of the library's, with what the answer's `Retry-After` was.
pub(crate) fn failure(name: Option<&HostName>, error: &Error, retry_after: Option<String>) -> Failure {
    let mut failure = match error {
        Error::Api(problem) => self::problem(name, problem),
        Error::Other(other) if other.downcast_ref::<NetError>().is_some() => authority(other),
        Error::Timeout(_) => authority("the authority did not come to an end with it in time"),
        Error::KeyRejected | Error::Crypto => {
            Failure { fault: Fault::Account, ..authority("the account's key is no use") }
        }
        other => authority(format!("the authority's answer makes no sense: {other}")),
    };
    failure.retry_after_s = retry_after.and_then(|field| seconds(&field, SystemTime::now()));
    failure
}

/// From a problem document: of a request, or of a challenge that the authority could not verify.
pub(crate) fn problem(name: Option<&HostName>, problem: &Problem) -> Failure {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let kind = kind.strip_prefix(URN).unwrap_or(kind);
    let name = name.map_or("the name", HostName::as_str);
    let detail = problem.detail.as_deref().unwrap_or("it says no more");
    let subproblems: String =
        problem.subproblems.iter().filter_map(|s| s.detail.as_deref()).map(|s| format!("; {s}")).collect();
    let (fault, what) = match kind {
        "connection" | "tls" => (
            Fault::Name,
            format!(
                "the authority cannot reach this host as {name}: is its address this host's, and are ports 80 and 443 open?"
            ),
        ),
        "unauthorized" | "incorrectResponse" | "malformed" if problem.status.is_none_or(|s| s == 403) => {
            (Fault::Name, format!("what answers as {name} is not this host: is its address this host's?"))
        }
        "dns" => (Fault::Name, format!("the authority finds no address for {name}")),
        "caa" => (Fault::Name, format!("CAA records of {name} forbid this authority")),
        "rejectedIdentifier" | "unsupportedIdentifier" => {
            (Fault::Name, format!("the authority gives no certificate for {name}"))
        }
        "rateLimited" => (Fault::RateLimited, "the authority has been asked too often".to_owned()),
        "accountDoesNotExist" => (Fault::Account, "the authority does not know the account".to_owned()),
        "unauthorized"
        | "userActionRequired"
        | "externalAccountRequired"
        | "invalidContact"
        | "unsupportedContact" => (Fault::Account, "the authority does not accept the account".to_owned()),
        "badCSR" | "badPublicKey" | "orderNotReady" => {
            (Fault::Name, format!("the order of {name} was refused"))
        }
        _ => (Fault::Authority, "the authority could not do it".to_owned()),
    };
    Failure { fault, reason: cut(&format!("{what} ({kind}: {detail}{subproblems})")), retry_after_s: None }
}

/// `Retry-After` in seconds from now on: seconds or a date (RFC 9110, 10.2.3).
fn seconds(field: &str, now: SystemTime) -> Option<u64> {
    let field = field.trim();
    if let Ok(seconds) = u64::from_str(field) {
        return Some(seconds);
    }
    let then = httpdate::parse_http_date(field).ok()?;
    Some(then.duration_since(now).unwrap_or_default().as_secs())
}

/// One line of a bounded length: authorities are strangers too.
fn cut(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text[..text.floor_char_boundary(MAX_REASON)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn of(kind: &str, status: u16) -> Failure {
        let text = format!(r#"{{"type":"{URN}{kind}","detail":"so it is","status":{status}}}"#);
        problem(Some(&HostName::new("a.example").unwrap()), &serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn each_problem_is_somebodys_fault() {
        for (kind, status, fault) in [
            ("connection", 400, Fault::Name),
            ("unauthorized", 403, Fault::Name),
            ("dns", 400, Fault::Name),
            ("caa", 403, Fault::Name),
            ("rejectedIdentifier", 400, Fault::Name),
            ("rateLimited", 429, Fault::RateLimited),
            ("accountDoesNotExist", 400, Fault::Account),
            ("unauthorized", 401, Fault::Account),
            ("serverInternal", 500, Fault::Authority),
            ("somethingNew", 400, Fault::Authority),
        ] {
            let failure = of(kind, status);
            assert_eq!(failure.fault, fault, "{kind}");
            assert!(failure.reason.contains(kind) && failure.reason.contains("so it is"), "{failure:?}");
        }
        assert!(of("connection", 400).reason.contains("a.example"));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(seconds(" 120 ", now), Some(120));
        assert_eq!(seconds("Tue, 14 Nov 2023 22:23:20 GMT", now), Some(600));
        assert_eq!(seconds("Tue, 14 Nov 2023 22:03:20 GMT", now), Some(0));
        assert_eq!(seconds("soon", now), None);
    }

    #[test]
    fn a_strangers_words_are_one_short_line() {
        let reason = authority(format!("a\nb{}", "é".repeat(1000))).reason;
        assert!(reason.starts_with("a b") && reason.len() <= MAX_REASON);
    }
}
