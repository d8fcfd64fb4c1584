//! How the proxy's own answers look: HTML for browsers, JSON for programs that ask for it, a line of text for the
//! rest. Self-contained: no script, no picture, nothing fetched. What they say stands in `fault`.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderValue};

use crate::fault::Notice;

/// Lets the pages' own style through and nothing else.
pub(crate) const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The formats that an answer can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For browsers.
    Html,
    /// For programs.
    Json,
    /// For whoever does not say.
    Text,
}

/// What a client says that it likes, not read yet.
#[derive(Debug)]
pub(crate) struct Accept {
    first: Option<HeaderValue>,
    others: Vec<HeaderValue>,
}

impl Accept {
    /// Of a request's fields.
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        let mut all = fields.get_all(ACCEPT).iter().cloned();
        Self { first: all.next(), others: all.collect() }
    }

    /// What the client likes best; text when it does not say, as `curl` does not.
    pub(crate) fn wanted(&self) -> Format {
        Format::best(self.first.iter().chain(&self.others))
    }
}

impl Format {
    fn best<'v>(values: impl Iterator<Item = &'v HeaderValue>) -> Self {
        let ranges = values.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        let mut best = (0, Self::Text);
        for range in ranges {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().map(str::to_ascii_lowercase).as_deref() {
                Some("text/html" | "application/xhtml+xml") => Self::Html,
                Some("application/json" | "application/problem+json") => Self::Json,
                Some("text/plain" | "text/*" | "*/*") => Self::Text,
                _ => continue,
            };
            let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(1000, weight);
            if weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }

    /// For `Content-Type`.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

/// A quality value in thousandths; one that cannot be read counts as nothing.
fn weight(text: &str) -> u16 {
    text.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)).map_or(0, |q| (q * 1000.0) as u16)
}

/// The body of an answer. All texts are our own constants: nothing from the request gets in.
pub(crate) fn render(notice: &Notice, format: Format) -> Bytes {
    let Notice { status, code, title, text, .. } = notice;
    let status = status.as_u16();
    match format {
        Format::Html => {
            let page = include_str!("page.html");
            page.replace("{status}", &status.to_string())
                .replace("{title}", title)
                .replace("{text}", text)
                .into()
        }
        Format::Json => format!("{{\"status\":{status},\"code\":\"{code}\",\"message\":\"{text}\"}}\n").into(),
        Format::Text => format!("{status} {title}: {text}\n").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    fn wanted(accept: &[&str]) -> Format {
        let mut fields = HeaderMap::new();
        for value in accept {
            fields.append(ACCEPT, value.parse().unwrap());
        }
        Accept::of(&fields).wanted()
    }

    #[test]
    fn each_gets_what_it_asks_for() {
        assert_eq!(wanted(&[]), Format::Text);
        assert_eq!(wanted(&["*/*"]), Format::Text);
        assert_eq!(wanted(&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"]), Format::Html);
        assert_eq!(wanted(&["application/json, text/plain, */*"]), Format::Json);
        assert_eq!(wanted(&["text/html;q=0.2", "Application/JSON;q=0.9"]), Format::Json);
        assert_eq!(wanted(&["text/html;q=0"]), Format::Text);
        assert_eq!(wanted(&["text/html;q=nonsense, application/json;q=0.1"]), Format::Json);
        assert_eq!(wanted(&["image/png"]), Format::Text);
    }

    #[test]
    fn the_json_is_json_and_the_html_is_filled_in() {
        let notice = Fault::UnknownHost.notice();
        let json: serde_json::Value = serde_json::from_slice(&render(&notice, Format::Json)).unwrap();
        assert_eq!((json["status"].as_u64(), json["code"].as_str()), (Some(404), Some("unknown-host")));
        let html = String::from_utf8(render(&notice, Format::Html).to_vec()).unwrap();
        assert!(html.contains("<h1>No site here</h1>") && html.contains("404"));
        assert!(!html.contains("{title}") && !html.contains("{text}") && !html.contains("{status}"));
        assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("<script"));
    }
}
