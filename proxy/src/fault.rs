//! Everything that can keep a request from being answered by its tenant, and the answer given instead: the only
//! place where errors become responses. A visitor learns what a visitor can act on; why it happened goes to the log,
//! said by the module that knows. How the answer looks is `page`'s business.

use hyper::StatusCode;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY};
use hyper::{Response, header};

use crate::body::{self, Body};
use crate::page::{self, Format};

/// Names the fault in answers that the proxy itself gives; never passed on from a tenant.
pub(crate) const ERROR_FIELD: HeaderName = HeaderName::from_static("kennel-error");

/// Why the tenant did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Host or request target are missing, malformed or ambiguous.
    BadRequest,
    /// CONNECT, TRACE: not for a site.
    Method,
    /// It has come through here too often.
    Loop,
    /// An `Expect` other than `100-continue`.
    Expectation,
    /// A transfer coding other than `chunked`.
    TransferCoding,
    /// The client stopped sending its request's body.
    ClientStalled,
    /// No tenant has this host name.
    UnknownHost,
    /// The path can be read in two ways, which lead to two programs.
    AmbiguousPath,
    /// The name is not that of the certificate that was shown.
    Misdirected,
    /// The proxy has no route table yet.
    NoRoutes,
    /// The machine is about to be taken away.
    Leaving,
    /// The tenant has no release.
    NotDeployed,
    /// The tenant is being worked on.
    Maintenance,
    /// The program is asleep, and this is no reason to wake it.
    Asleep,
    /// A certificate authority's challenge that nobody has asked for.
    NoChallenge,
    /// No file by this name, where there are only files.
    NoFile,
    /// A method that changes something, where there are only files.
    ReadOnly,
    /// The slot has as many requests in flight or waiting as it may.
    Overloaded,
    /// The tenant has more requests than it may have: none of its places came free in time, or too many came in a second.
    Crowded,
    /// The client sends more requests a second than it may.
    TooMany,
    /// Init is busy with the slot: stopping it, for instance.
    Busy,
    /// Init could not start the program, or no longer tries.
    CannotStart,
    /// The program ended before it listened.
    Died,
    /// The program did not listen in time.
    StartedLate,
    /// The program closed the connection, or answered with something that is not HTTP.
    Broke,
    /// The program does not speak what its tenant has asked for.
    Protocol,
    /// A WebSocket is asked for, and what answers has none.
    NoWebsocket,
    /// The program did not answer in time.
    AnsweredLate,
}

/// What a visitor is told.
#[derive(Debug)]
pub(crate) struct Notice {
    /// Status of the response.
    pub(crate) status: StatusCode,
    /// A stable word for programs.
    pub(crate) code: &'static str,
    /// The heading.
    pub(crate) title: &'static str,
    /// One or two sentences.
    pub(crate) text: &'static str,
    /// Seconds after which trying again makes sense, where it does.
    pub(crate) retry_after_s: Option<u32>,
}

impl Fault {
    /// What a visitor is told of it.
    pub(crate) fn notice(self) -> Notice {
        let (status, code) = self.status();
        let (title, text) = self.words();
        Notice { status, code, title, text, retry_after_s: self.retry_after_s() }
    }

    fn status(self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::Loop => (StatusCode::LOOP_DETECTED, "loop"),
            Self::Expectation => (StatusCode::EXPECTATION_FAILED, "expectation"),
            Self::TransferCoding => (StatusCode::NOT_IMPLEMENTED, "transfer-coding"),
            Self::ClientStalled => (StatusCode::REQUEST_TIMEOUT, "client-stalled"),
            Self::UnknownHost => (StatusCode::NOT_FOUND, "unknown-host"),
            Self::AmbiguousPath => (StatusCode::BAD_REQUEST, "ambiguous-path"),
            Self::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "misdirected"),
            Self::NoRoutes => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            Self::Leaving => (StatusCode::SERVICE_UNAVAILABLE, "leaving"),
            Self::NotDeployed => (StatusCode::SERVICE_UNAVAILABLE, "not-deployed"),
            Self::Maintenance => (StatusCode::SERVICE_UNAVAILABLE, "maintenance"),
            Self::Asleep => (StatusCode::SERVICE_UNAVAILABLE, "asleep"),
            Self::NoChallenge => (StatusCode::NOT_FOUND, "no-challenge"),
            Self::NoFile => (StatusCode::NOT_FOUND, "no-file"),
            Self::ReadOnly => (StatusCode::METHOD_NOT_ALLOWED, "read-only"),
            Self::Overloaded | Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "crowded"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many"),
            Self::CannotStart => (StatusCode::SERVICE_UNAVAILABLE, "cannot-start"),
            Self::Died => (StatusCode::BAD_GATEWAY, "died"),
            Self::Broke => (StatusCode::BAD_GATEWAY, "broke"),
            Self::Protocol => (StatusCode::BAD_GATEWAY, "protocol"),
            Self::NoWebsocket => (StatusCode::NOT_IMPLEMENTED, "no-websocket"),
            Self::StartedLate => (StatusCode::GATEWAY_TIMEOUT, "started-late"),
            Self::AnsweredLate => (StatusCode::GATEWAY_TIMEOUT, "answered-late"),
        }
    }

    /// Heading and text.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::BadRequest => ("Bad request", "This request cannot be understood."),
            Self::Method => ("Method not allowed", "This method is not served here."),
            Self::Loop => ("Loop", "This request goes round in circles."),
            Self::Expectation => ("Expectation failed", "Only 100-continue can be expected."),
            Self::TransferCoding => ("Not implemented", "This transfer coding is not served here."),
            Self::ClientStalled => ("Request timeout", "The request did not arrive completely."),
            Self::UnknownHost => ("No site here", "There is no site at this address. Is it spelled right?"),
            Self::AmbiguousPath => ("Bad request", "This address can be read in more than one way."),
            Self::Misdirected => ("Misdirected", "This site is reached by a connection of its own."),
            Self::NoRoutes => ("Just a moment", "This server is still starting."),
            Self::Leaving => ("Back soon", "This server is being moved. Please try again in a minute."),
            Self::NotDeployed => ("Nothing here yet", "This site has not been published yet."),
            Self::Maintenance => ("Back soon", "This site is being worked on. Please try again later."),
            Self::Asleep => ("Asleep", "This site is asleep. Please try again later."),
            Self::NoChallenge | Self::NoFile => ("Not found", "There is nothing at this address."),
            Self::ReadOnly => ("Method not allowed", "This can be read, and nothing else."),
            Self::Overloaded | Self::Busy => ("Busy", "This site is busy. Please try again in a moment."),
            Self::Crowded => {
                ("Crowded", "This site has more visitors than it takes. Please try again in a moment.")
            }
            Self::TooMany => ("Too many requests", "Please wait a moment before you ask this site again."),
            Self::NoWebsocket => ("Not implemented", "There is no WebSocket at this address."),
            Self::CannotStart | Self::Protocol => {
                ("Out of order", "This site cannot be reached at the moment.")
            }
            Self::Died => ("Out of order", "This site stopped before it could answer."),
            Self::Broke => ("Out of order", "This site broke off before it had answered."),
            Self::StartedLate => ("Too slow", "This site did not start in time."),
            Self::AnsweredLate => ("Too slow", "This site did not answer in time."),
        }
    }

    /// Only where the same request may well succeed soon.
    fn retry_after_s(self) -> Option<u32> {
        match self {
            Self::NoRoutes | Self::Overloaded | Self::Busy | Self::Crowded | Self::TooMany => Some(2),
            Self::CannotStart | Self::Leaving => Some(30),
            // For robots, which have time.
            Self::Asleep => Some(600),
            _ => None,
        }
    }

    /// Whether the rest of the connection's bytes can no longer be trusted or are not worth reading, or the client had
    /// better make a new connection, which may lead elsewhere.
    fn ends_connection(self) -> bool {
        matches!(
            self,
            Self::BadRequest
                | Self::Method
                | Self::TransferCoding
                | Self::ClientStalled
                | Self::Expectation
                | Self::Leaving
        )
    }

    /// The response, in the format that the client asked for.
    pub(crate) fn response(self, format: Format) -> Response<Body> {
        let notice = self.notice();
        let mut response = Response::new(body::page(page::render(&notice, format)));
        *response.status_mut() = notice.status;
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(VARY, HeaderValue::from_static("accept"));
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        fields.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::CONTENT_SECURITY_POLICY));
        fields.insert(ERROR_FIELD, HeaderValue::from_static(notice.code));
        if let Some(seconds) = notice.retry_after_s {
            fields.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self == Self::Method {
            fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        if self == Self::ReadOnly {
            fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        if self.ends_connection() {
            fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Fault; 27] = [
        Fault::Protocol,
        Fault::NoWebsocket,
        Fault::AmbiguousPath,
        Fault::Maintenance,
        Fault::BadRequest,
        Fault::Method,
        Fault::Expectation,
        Fault::TransferCoding,
        Fault::ClientStalled,
        Fault::UnknownHost,
        Fault::Misdirected,
        Fault::NoRoutes,
        Fault::Leaving,
        Fault::NotDeployed,
        Fault::Asleep,
        Fault::NoChallenge,
        Fault::NoFile,
        Fault::ReadOnly,
        Fault::Overloaded,
        Fault::Busy,
        Fault::Crowded,
        Fault::TooMany,
        Fault::CannotStart,
        Fault::Died,
        Fault::StartedLate,
        Fault::Broke,
        Fault::AnsweredLate,
    ];

    #[test]
    fn every_fault_is_an_error_that_nobody_caches() {
        for fault in ALL {
            let response = fault.response(Format::Html);
            assert!(response.status().is_client_error() || response.status().is_server_error(), "{fault:?}");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(response.headers()[ERROR_FIELD], fault.notice().code);
        }
    }

    #[test]
    fn trying_again_is_advised_only_where_it_helps() {
        for fault in ALL {
            let response = fault.response(Format::Text);
            if response.headers().contains_key(RETRY_AFTER) {
                let temporary = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
                assert!(temporary.contains(&response.status()), "{fault:?}");
            }
        }
        assert_eq!(Fault::Overloaded.response(Format::Text).headers()[RETRY_AFTER], "2");
    }

    #[test]
    fn nothing_internal_is_told() {
        for fault in ALL {
            for format in [Format::Html, Format::Json, Format::Text] {
                let page = page::render(&fault.notice(), format);
                let text = String::from_utf8(page.to_vec()).unwrap().to_lowercase();
                for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
                    let inner =
                        ["slot", "tenant", "port", "init", "upstream", "proxy", "hyper", "localhost", "127"];
                    assert!(!inner.contains(&word), "{fault:?} says {word:?}");
                }
            }
        }
    }
}
