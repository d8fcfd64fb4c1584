//! One form of a file, as it is or compressed: what its answers say of it, made once, and its bytes, in memory if it is small.
//!
//! Its validator is made of the release's number, the time at which it was written and its size. Files of a release never
//! change, so that a path has one content per release; the time tells releases apart that have one number, of a
//! tenant that was removed and one that has its name now. So it is a strong one (RFC 9110, 8.8.1).

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use rustix::fs::Stat;

use super::choose::Coding;
use super::conditions::State;
use super::hashed::is_hashed;
use super::site::{Budget, Share, Site, whole};

/// A form.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) content: Content,
    pub(super) size: u64,
    /// All but what depends on the request.
    pub(super) fields: HeaderMap,
    modified_s: u64,
    etag: String,
    _share: Share,
}

/// Its bytes.
#[derive(Debug)]
pub(super) enum Content {
    /// In memory.
    Whole(Bytes),
    /// To be read.
    File(Arc<File>),
}

impl Form {
    /// Of a file that has just been opened.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn new(
        site: &Site,
        path: &str,
        file: File,
        stat: &Stat,
        (coding, varies): (Option<Coding>, bool),
        budget: &Arc<Budget>,
    ) -> io::Result<Self> {
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let modified_s = u64::try_from(stat.st_mtime).unwrap_or_default();
        let ending = coding.map_or("", |coding| coding.ending);
        let etag = format!("\"{:x}-{modified_s:x}.{:x}-{size:x}{ending}\"", site.release.0, stat.st_mtime_nsec);
        let mut fields = HeaderMap::with_capacity(8);
        fields.insert(CONTENT_TYPE, HeaderValue::from_str(&media_type(path)).map_err(io::Error::other)?);
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        fields.insert(ETAG, HeaderValue::from_str(&etag).map_err(io::Error::other)?);
        let modified = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(modified_s));
        fields.insert(LAST_MODIFIED, HeaderValue::from_str(&modified).map_err(io::Error::other)?);
        fields.insert(CACHE_CONTROL, cache_control(path, site.rule.max_age_s));
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(coding) = coding {
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name));
        }
        if varies {
            fields.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        let (content, share) = if size <= budget.small_bytes {
            let bytes = whole(&file, size)?;
            let share = budget.share(Some(bytes.len()));
            (Content::Whole(bytes), share)
        } else {
            (Content::File(Arc::new(file)), budget.share(None))
        };
        Ok(Self { content, size, fields, modified_s, etag, _share: share })
    }

    /// What conditions are judged by.
    pub(super) fn state(&self) -> State<'_> {
        State { etag: &self.etag, modified_s: self.modified_s, size: self.size }
    }
}

/// A hash in the name is a promise that the content never changes (RFC 8246); of all others browsers ask whether they have changed,
/// each time or after the time that the operator has set.
fn cache_control(path: &str, max_age_s: u32) -> HeaderValue {
    match max_age_s {
        _ if is_hashed(path) => HeaderValue::from_static("public, max-age=31536000, immutable"),
        0 => HeaderValue::from_static("no-cache"),
        seconds => HeaderValue::try_from(format!("public, max-age={seconds}"))
            .unwrap_or(HeaderValue::from_static("no-cache")),
    }
}

/// By the name's ending. Texts are in UTF-8; XML says so itself. Scripts have had one type since RFC 9239.
fn media_type(path: &str) -> String {
    // Of scripts and styles; not known there.
    if path.ends_with(".map") {
        return "application/json".to_owned();
    }
    match mime_guess::from_path(path).first_raw() {
        Some("text/xml") => "text/xml".to_owned(),
        Some("application/javascript") => "text/javascript; charset=utf-8".to_owned(),
        Some(text) if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        Some(other) => other.to_owned(),
        None => "application/octet-stream".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_web_is_made_of_has_its_types() {
        for (name, kind) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/app.js", "text/javascript; charset=utf-8"),
            ("app.mjs", "text/javascript; charset=utf-8"),
            ("app.css", "text/css; charset=utf-8"),
            ("app.js.map", "application/json"),
            ("logo.svg", "image/svg+xml"),
            ("a.PNG", "image/png"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("a.woff2", "font/woff2"),
            ("a.wasm", "application/wasm"),
            ("a.json", "application/json"),
            ("a.pdf", "application/pdf"),
            ("a.mp4", "video/mp4"),
            ("feed.xml", "text/xml"),
            ("robots.txt", "text/plain; charset=utf-8"),
            ("favicon.ico", "image/x-icon"),
            ("app.webmanifest", "application/manifest+json"),
            ("LICENSE", "application/octet-stream"),
            ("a.unheard-of", "application/octet-stream"),
        ] {
            assert_eq!(media_type(name), kind, "{name}");
        }
    }

    #[test]
    fn only_hashed_names_are_kept_for_long() {
        assert_eq!(cache_control("app.3f9a1c2b.js", 0), "public, max-age=31536000, immutable");
        assert_eq!(cache_control("app.3f9a1c2b.js", 60), "public, max-age=31536000, immutable");
        assert_eq!(cache_control("app.js", 0), "no-cache");
        assert_eq!(cache_control("app.js", 60), "public, max-age=60");
    }
}
