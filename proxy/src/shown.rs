//! Which page a fault is shown with: the tenant's own, the host's, or the usual one; for who wants HTML, as pages of operators' are.
//! Such a page is filled in here, with nothing but our own words and the request's number.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue, RETRY_AFTER};
use kennel_model::page::{Field, Page, Piece};

use crate::body::{self, Body};
use crate::fault::{Fault, Notice};
use crate::page::Format;
use crate::routes::Target;
use crate::seen::Seen;
use crate::shared::Shared;

/// Lets a page's own style, and pictures and fonts within it, through, and nothing else: it is shown where nothing answers.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; frame-ancestors 'none'";

/// The answer to a request that nobody else answers.
pub(crate) fn response(shared: &Shared, fault: Fault, format: Format, seen: Option<&Seen>) -> Response<Body> {
    let mut response = fault.response(format);
    let target = seen.and_then(Seen::route);
    let maintenance =
        target.and_then(|target| target.maintenance.as_ref()).filter(|_| fault == Fault::Maintenance);
    if let Some(maintenance) = maintenance {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(maintenance.retry_after_s));
    }
    if format != Format::Html {
        return response;
    }
    let own = |target: &std::sync::Arc<Target>| target.page.clone();
    let page = maintenance
        .and_then(|m| m.page.clone())
        .or_else(|| target.and_then(own))
        .or_else(|| shared.routes.page());
    let Some(page) = page else { return response };
    let number = seen.map(Seen::number).unwrap_or_default();
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response.map(|_| body::page(filled_in(&page, &fault.notice(), &number)))
}

fn filled_in(page: &Page, notice: &Notice, number: &str) -> Bytes {
    let status = notice.status.as_u16().to_string();
    let mut text = String::with_capacity(page.as_str().len() + 256);
    for piece in page.pieces() {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Field(field) => escape(
                match field {
                    Field::Status => &status,
                    Field::Title => notice.title,
                    Field::Text => notice.text,
                    Field::Code => notice.code,
                    Field::RequestId => number,
                },
                &mut text,
            ),
        }
    }
    text.into()
}

/// For HTML's text and attributes.
fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_filled_in_with_what_is_harmless() {
        let page = Page::new("<i>{{status}}|{{title}}|{{code}}|{{request_id}}|{{text}}</i>").unwrap();
        let notice = Notice { text: "\"a\" & <b> 'c'", ..Fault::Broke.notice() };
        let text = filled_in(&page, &notice, "00ff");
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "<i>502|Out of order|broke|00ff|&quot;a&quot; &amp; &lt;b&gt; &#39;c&#39;</i>"
        );
    }
}
