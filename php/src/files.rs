//! A file of the site as an answer: with its type, the conditions of RFC 9110 that browsers set, and one range.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Response, StatusCode};
use mime_guess::mime;
use tokio::sync::mpsc::Sender;

use crate::body::Body;
use crate::{Answer, plain};

/// How much is read at a time.
const PIECE: usize = 64 << 10;

/// A file, as far as its head is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct About {
    size: u64,
    modified: SystemTime,
    tag: String,
}

/// What of it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    /// From here, so many bytes.
    Some(u64, u64),
    /// Nothing: it has not changed.
    Unchanged,
    /// Nothing: there is no such part.
    Beyond,
}

/// Answers with the file.
pub(crate) async fn answer(path: &Path, parts: &Parts) -> Answer {
    if ![Method::GET, Method::HEAD].contains(&parts.method) {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED);
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let to_open = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || open(&to_open)).await;
    match opened.unwrap_or_else(|ended| Err(io::Error::other(ended))) {
        Ok((file, about)) => {
            let part = part(&parts.headers, &about);
            respond(file, path, &about, part, parts.method == Method::HEAD)
        }
        Err(error) => {
            eprintln!("kennel-php: {}: {error}", path.display());
            plain(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn open(path: &Path) -> io::Result<(File, About)> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let (size, modified) = (meta.len(), meta.modified()?);
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    // A release never changes; the next one has another number.
    let release = std::env::var("KENNEL_RELEASE").unwrap_or_default();
    let tag = format!("\"{release}-{:x}.{:x}-{size:x}\"", since.as_secs(), since.subsec_nanos());
    Ok((file, About { size, modified, tag }))
}

/// What of the file is asked for.
fn part(headers: &HeaderMap, about: &About) -> Part {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_tag = |tag: &str| tag.trim().trim_start_matches("W/") == about.tag;
    // Dates have seconds.
    let since =
        |date: &str| httpdate::parse_http_date(date).is_ok_and(|date| seconds(about.modified) <= seconds(date));
    let unchanged = match (text(IF_NONE_MATCH), text(IF_MODIFIED_SINCE)) {
        (Some(tags), _) => tags.trim() == "*" || tags.split(',').any(is_tag),
        (None, Some(date)) => since(date),
        (None, None) => false,
    };
    if unchanged {
        return Part::Unchanged;
    }
    // A date is as good as a tag only if nothing has changed within its second, which nobody knows.
    match text(IF_RANGE).is_none_or(|tag| tag == about.tag).then(|| text(RANGE)).flatten() {
        Some(range) => range_of(range, about.size),
        None => Part::All,
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// One range of bytes. Several, and what is none, are answered with the whole.
fn range_of(range: &str, size: u64) -> Part {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Part::All;
    };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    match (number(first), number(last)) {
        (Some(first), _) if last.is_empty() && first < size => Part::Some(first, size - first),
        (Some(first), Some(last)) if first <= last && first < size => {
            Part::Some(first, last.min(size - 1) - first + 1)
        }
        (None, Some(last)) if first.is_empty() && last > 0 && size > 0 => {
            let length = last.min(size);
            Part::Some(size - length, length)
        }
        (Some(first), other)
            if first >= size && (last.is_empty() || other.is_some_and(|last| last >= first)) =>
        {
            Part::Beyond
        }
        (None, Some(_)) if first.is_empty() => Part::Beyond,
        _ => Part::All,
    }
}

fn respond(file: File, path: &Path, about: &About, part: Part, head: bool) -> Answer {
    let (status, from, length) = match part {
        Part::All => (StatusCode::OK, 0, about.size),
        Part::Some(from, length) => (StatusCode::PARTIAL_CONTENT, from, length),
        Part::Unchanged => (StatusCode::NOT_MODIFIED, 0, 0),
        Part::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    let mut answer = Response::new(Body::whole(Bytes::new()));
    *answer.status_mut() = status;
    let mut set = |name, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            answer.headers_mut().insert(name, value);
        }
    };
    set(ETAG, about.tag.clone());
    set(LAST_MODIFIED, httpdate::fmt_http_date(about.modified));
    set(CACHE_CONTROL, "no-cache".into());
    set(X_CONTENT_TYPE_OPTIONS, "nosniff".into());
    match part {
        Part::Unchanged => return answer,
        Part::Beyond => {
            set(CONTENT_RANGE, format!("bytes */{}", about.size));
            return answer;
        }
        Part::Some(..) => set(CONTENT_RANGE, format!("bytes {from}-{}/{}", from + length - 1, about.size)),
        Part::All => {}
    }
    set(ACCEPT_RANGES, "bytes".into());
    set(CONTENT_TYPE, kind(path).to_string());
    set(CONTENT_LENGTH, length.to_string());
    if !head && length > 0 {
        let (body, to) = Body::of_length(length);
        *answer.body_mut() = body;
        tokio::task::spawn_blocking(move || read(&file, from, length, &to));
    }
    answer
}

/// Reads as fast as somebody takes it.
fn read(file: &File, mut from: u64, mut left: u64, to: &Sender<io::Result<Bytes>>) {
    while left > 0 {
        let mut piece = vec![0; usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
        let read = file.read_exact_at(&mut piece, from);
        from += piece.len() as u64;
        left -= piece.len() as u64;
        let failed = read.is_err();
        if to.blocking_send(read.map(|()| piece.into())).is_err() || failed {
            return;
        }
    }
}

/// By the name's ending; texts are UTF-8.
fn kind(path: &Path) -> mime::Mime {
    let guessed = mime_guess::from_path(path).first_or_octet_stream();
    match guessed.type_() == mime::TEXT || guessed.subtype() == mime::JAVASCRIPT {
        true => format!("{}; charset=utf-8", guessed.essence_str()).parse().unwrap_or(guessed),
        false => guessed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use hyper::Request;

    #[test]
    fn types_are_by_the_name() {
        for (name, expected) in [
            ("a.css", "text/css; charset=utf-8"),
            ("a.HTML", "text/html; charset=utf-8"),
            ("a.svg", "image/svg+xml"),
            ("a.unknown", "application/octet-stream"),
            ("a", "application/octet-stream"),
        ] {
            assert_eq!(kind(Path::new(name)).as_ref(), expected);
        }
    }

    #[test]
    fn one_range_is_a_part() {
        use Part::{All, Beyond, Some};
        for (range, part) in [
            ("bytes=0-3", Some(0, 4)),
            ("bytes=2-", Some(2, 8)),
            ("bytes=-3", Some(7, 3)),
            ("bytes=-30", Some(0, 10)),
            ("bytes=9-99", Some(9, 1)),
            ("bytes=10-", Beyond),
            ("bytes=10-12", Beyond),
            ("bytes=-0", Beyond),
            ("bytes=3-2", All),
            ("bytes=12-11", All),
            ("bytes=0-1,3-4", All),
            ("bytes=+1-2", All),
            ("bytes=", All),
            ("bytes=-", All),
            ("lines=1-2", All),
        ] {
            assert_eq!(range_of(range, 10), part, "{range}");
        }
        assert_eq!(range_of("bytes=-3", 0), Beyond);
    }

    #[tokio::test]
    async fn a_file_is_sent_whole_in_part_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.txt");
        std::fs::write(&file, "0123456789").unwrap();
        let ask = async |method: Method, headers: &[(HeaderName, &str)]| {
            let mut request = Request::builder().method(method).uri("/a.txt");
            for (name, value) in headers {
                request = request.header(name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let answer = answer(&file, &parts).await;
            let head = |name| answer.headers().get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
            let about = (answer.status().as_u16(), head(CONTENT_LENGTH), head(CONTENT_RANGE), head(ETAG));
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            (about.0, about.1, about.2, about.3, String::from_utf8(body.to_vec()).unwrap())
        };
        let (status, length, _, tag, body) = ask(Method::GET, &[]).await;
        assert_eq!((status, length.as_str(), body.as_str()), (200, "10", "0123456789"));
        let (status, length, _, _, body) = ask(Method::HEAD, &[]).await;
        assert_eq!((status, length.as_str(), body.as_str()), (200, "10", ""));
        let (status, _, range, _, body) = ask(Method::GET, &[(RANGE, "bytes=2-4")]).await;
        assert_eq!((status, range.as_str(), body.as_str()), (206, "bytes 2-4/10", "234"));
        assert_eq!(ask(Method::GET, &[(RANGE, "bytes=2-4"), (IF_RANGE, "\"other\"")]).await.0, 200);
        assert_eq!(ask(Method::GET, &[(RANGE, "bytes=20-")]).await.0, 416);
        assert_eq!(ask(Method::GET, &[(IF_NONE_MATCH, &tag)]).await.0, 304);
        assert_eq!(ask(Method::GET, &[(IF_NONE_MATCH, "\"other\"")]).await.0, 200);
        let later = httpdate::fmt_http_date(SystemTime::now() + std::time::Duration::from_secs(5));
        assert_eq!(ask(Method::GET, &[(IF_MODIFIED_SINCE, &later)]).await.0, 304);
        assert_eq!(ask(Method::POST, &[]).await.0, 405);
    }
}
