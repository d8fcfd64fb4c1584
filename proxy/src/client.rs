//! What is known of a client's connection, and of who a request on it is from: the other end, or whom a load balancer
//! that is trusted names (`front`).

use std::net::IpAddr;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use kennel_model::routes::Front;
use tokio::sync::OwnedSemaphorePermit;

use crate::clients::Share;
use crate::front;
use crate::taking::Taking;

/// A connection. Copies of it hold its place: each request has one until its answer has been sent.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    who: Arc<Who>,
    /// Its place among all connections and among its client's, given back with the last copy. What is trusted has as many as
    /// it likes.
    places: Arc<(OwnedSemaphorePermit, Option<Share>)>,
    /// With TLS: the name that it asked for.
    name: Option<Arc<str>>,
    /// Over HTTP/2: whether it takes what it is sent.
    taking: Option<Arc<Taking>>,
}

/// A visitor.
#[derive(Debug)]
pub(crate) struct Who {
    address: IpAddr,
    /// Whether he came with TLS, to us or to what stands before us.
    has_tls: bool,
    /// `X-Forwarded-For`.
    pub(crate) x_forwarded_for: HeaderValue,
    /// `Forwarded` (RFC 7239).
    pub(crate) forwarded: HeaderValue,
}

/// Copies of a [`Client`] that are no request's: the connection's own, and that which each request takes its own from.
const OWN_COPIES: usize = 2;

impl Who {
    /// This visitor.
    pub(crate) fn new(address: IpAddr, has_tls: bool) -> Self {
        let address = address.to_canonical();
        let scheme = scheme(has_tls);
        let forwarded = match address {
            IpAddr::V4(v4) => format!("for={v4};proto={scheme}"),
            IpAddr::V6(v6) => format!("for=\"[{v6}]\";proto={scheme}"),
        };
        // What names an address is always printable ASCII.
        let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"));
        Self { address, has_tls, x_forwarded_for: value(address.to_string()), forwarded: value(forwarded) }
    }

    /// `X-Forwarded-Proto`.
    pub(crate) const fn scheme(&self) -> &'static str {
        scheme(self.has_tls)
    }
}

const fn scheme(has_tls: bool) -> &'static str {
    if has_tls { "https" } else { "http" }
}

impl Client {
    /// One that has just been accepted.
    pub(crate) fn new(address: IpAddr, permit: OwnedSemaphorePermit, share: Option<Share>) -> Self {
        let who = Arc::new(Who::new(address, false));
        Self { who, places: Arc::new((permit, share)), name: None, taking: None }
    }

    /// It has been shown the certificate for this name, in lower case.
    pub(crate) fn came_for(&mut self, name: String) {
        self.name = Some(name.into());
        self.who = Arc::new(Who::new(self.who.address, true));
    }

    /// It has many requests at a time.
    pub(crate) fn over_http2(self, taking: Arc<Taking>) -> Self {
        Self { taking: Some(taking), ..self }
    }

    /// As whom a request of this connection counts: where its other end is trusted, as whom that names.
    pub(crate) fn of_request(self, front: &Front, fields: &HeaderMap) -> Self {
        if !front.trusts(self.who.address) {
            return self;
        }
        let (address, has_tls) = front::named(front, fields);
        let who = Who::new(address.unwrap_or(self.who.address), has_tls || self.who.has_tls);
        Self { who: Arc::new(who), ..self }
    }

    /// Its other end, or the visitor's.
    pub(crate) fn address(&self) -> IpAddr {
        self.who.address
    }

    /// The visitor.
    pub(crate) const fn who(&self) -> &Arc<Who> {
        &self.who
    }

    /// The name that it was shown the certificate for.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the visitor came with TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.who.has_tls
    }

    /// Over HTTP/2.
    pub(crate) const fn taking(&self) -> Option<&Arc<Taking>> {
        self.taking.as_ref()
    }

    /// Its requests that have not been answered to the end.
    pub(crate) fn in_flight(&self) -> usize {
        Arc::strong_count(&self.places).saturating_sub(OWN_COPIES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_rfc_7239_wants_them() {
        let who = |address: &str, has_tls| {
            let who = Who::new(address.parse().unwrap(), has_tls);
            [who.x_forwarded_for, who.forwarded].map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(who("::ffff:192.0.2.7", false), ["192.0.2.7", "for=192.0.2.7;proto=http"]);
        assert_eq!(who("2001:db8::7", true), ["2001:db8::7", "for=\"[2001:db8::7]\";proto=https"]);
    }
}
