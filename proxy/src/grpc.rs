//! What gRPC's clients are told of a fault: a status of gRPC's in an answer without a body (gRPC over HTTP/2, "Trailers-Only"), since they show nothing
//! else to who wrote them. Only where one asks over HTTP/2, as all do but those of gRPC-Web, which is another protocol.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Version};

use crate::body::{self, Body};
use crate::fault::{ERROR_FIELD, Fault};

const CONTENT: &str = "application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// gRPC's own numbers.
const UNIMPLEMENTED: &str = "12";
const INTERNAL: &str = "13";
const UNAVAILABLE: &str = "14";

/// Whether a request is one of gRPC's.
pub(crate) fn is_asked<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2 && request.headers().get(CONTENT_TYPE).is_some_and(is_grpc)
}

/// `application/grpc`, with `+proto` or the like, or parameters.
fn is_grpc(kind: &HeaderValue) -> bool {
    let rest = kind.as_bytes().strip_prefix(CONTENT.as_bytes());
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// The answer.
pub(crate) fn response(fault: Fault) -> Response<Body> {
    let notice = fault.notice();
    let mut response = Response::new(body::page(Bytes::new()));
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
    fields.insert(GRPC_STATUS, HeaderValue::from_static(status(notice.status)));
    // Printable ASCII without `%`, which is as it is in gRPC's own encoding.
    fields.insert(GRPC_MESSAGE, HeaderValue::from_static(notice.text));
    fields.insert(ERROR_FIELD, HeaderValue::from_static(notice.code));
    response
}

/// As gRPC's clients read the statuses of what stands between them and a program (gRPC, "HTTP to gRPC Status Code Mapping"): what may go well another
/// time is UNAVAILABLE, which many of them try again by themselves. What that table does not have is the client's own doing.
fn status(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => UNIMPLEMENTED,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => UNAVAILABLE,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => UNAVAILABLE,
        _ => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_known_by_its_type_over_http2() {
        let asked = |version, kind: &str| {
            is_asked(&Request::post("/").version(version).header(CONTENT_TYPE, kind).body(()).unwrap())
        };
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
            assert!(asked(Version::HTTP_2, kind) && !asked(Version::HTTP_11, kind), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpc-web+proto", "application/json"] {
            assert!(!asked(Version::HTTP_2, kind), "{kind}");
        }
        assert!(!is_asked(&Request::post("/").version(Version::HTTP_2).body(()).unwrap()));
    }

    #[test]
    fn faults_have_grpcs_numbers() {
        for (fault, number) in [
            (Fault::Died, "14"),
            (Fault::Crowded, "14"),
            (Fault::AnsweredLate, "14"),
            (Fault::TooMany, "14"),
            (Fault::ClientStalled, "14"),
            (Fault::UnknownHost, "12"),
            (Fault::Method, "12"),
            (Fault::BadRequest, "13"),
            (Fault::Loop, "13"),
        ] {
            let response = response(fault);
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[GRPC_STATUS], number, "{fault:?}");
            assert!(!response.headers()[GRPC_MESSAGE].as_bytes().contains(&b'%'), "{fault:?}");
        }
    }
}
