//! What a request wants of a file: all of it, a part, or nothing when it has it already. The order of the conditions is that of
//! RFC 9110, 13.2.2, parts that of 14.2. Several parts at once are answered with the whole, as 14.2 permits.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

/// What it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// 200
    Whole,
    /// 206: from here to there, the latter not included; never empty.
    Part(u64, u64),
    /// 304
    NotModified,
    /// 412
    Failed,
    /// 416
    Unsatisfiable,
}

/// What is known of the file's form that is to be answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct State<'a> {
    /// Its strong validator, with quotes.
    pub(super) etag: &'a str,
    /// When it was written, in whole seconds since 1970.
    pub(super) modified_s: u64,
    /// Bytes.
    pub(super) size: u64,
}

/// Of a GET or HEAD.
pub(super) fn judge(head: &Parts, state: State<'_>) -> Wanted {
    let fields = &head.headers;
    if fields.contains_key(IF_MATCH) {
        if !lists(fields, IF_MATCH, |tag| tag == state.etag) {
            return Wanted::Failed;
        }
    } else if date(fields, IF_UNMODIFIED_SINCE).is_some_and(|since| state.modified_s > since) {
        return Wanted::Failed;
    }
    if fields.contains_key(IF_NONE_MATCH) {
        if lists(fields, IF_NONE_MATCH, |tag| tag.strip_prefix("W/").unwrap_or(tag) == state.etag) {
            return Wanted::NotModified;
        }
    } else if date(fields, IF_MODIFIED_SINCE).is_some_and(|since| state.modified_s <= since) {
        return Wanted::NotModified;
    }
    if head.method != Method::GET || !may_be_part(fields, state) {
        return Wanted::Whole;
    }
    let mut ranges = fields.get_all(RANGE).iter();
    match (ranges.next().and_then(|range| range.to_str().ok()), ranges.next()) {
        (Some(range), None) => part(range, state.size).unwrap_or(Wanted::Whole),
        _ => Wanted::Whole,
    }
}

/// Whether a client that has a part has one of this.
fn may_be_part(fields: &HeaderMap, state: State<'_>) -> bool {
    match fields.get(IF_RANGE) {
        None => true,
        Some(tag) if tag.as_bytes().contains(&b'"') => tag.as_bytes() == state.etag.as_bytes(),
        Some(_) => date(fields, IF_RANGE) == Some(state.modified_s),
    }
}

/// `*`, or one that suits. Ours have no comma in them, so that others' need not be taken apart rightly.
fn lists(fields: &HeaderMap, name: HeaderName, suits: impl Fn(&str) -> bool) -> bool {
    let values = fields.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|tag| tag == "*" || suits(tag))
}

/// What is no date is as good as not there (13.1.3).
fn date(fields: &HeaderMap, name: HeaderName) -> Option<u64> {
    let date: SystemTime = httpdate::parse_http_date(fields.get(name)?.to_str().ok()?).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// None when it is not understood, or there are several.
fn part(range: &str, size: u64) -> Option<Wanted> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    if first.is_empty() {
        return Some(match number(last)? {
            0 => Wanted::Unsatisfiable,
            _ if size == 0 => Wanted::Unsatisfiable,
            n => Wanted::Part(size.saturating_sub(n), size),
        });
    }
    let first = number(first)?;
    let end = if last.is_empty() { size } else { number(last)?.saturating_add(1) };
    match (first, end) {
        (first, end) if end <= first && !last.is_empty() => None,
        (first, _) if first >= size => Some(Wanted::Unsatisfiable),
        (first, end) => Some(Wanted::Part(first, end.min(size))),
    }
}

/// Digits alone; more than fit are as many as fit.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    const ETAG: &str = "\"1-a\"";
    /// Sun, 06 Nov 1994 08:49:37 GMT
    const WRITTEN: u64 = 784_111_777;
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn judged(method: Method, fields: &[(&str, &str)], size: u64) -> Wanted {
        let request =
            fields.iter().fold(Request::builder().method(method), |r, (name, value)| r.header(*name, *value));
        let head = request.body(()).unwrap().into_parts().0;
        judge(&head, State { etag: ETAG, modified_s: WRITTEN, size })
    }

    fn get(fields: &[(&str, &str)]) -> Wanted {
        judged(Method::GET, fields, 100)
    }

    #[test]
    fn conditions_come_in_their_order() {
        for (fields, wanted) in [
            (&[][..], Wanted::Whole),
            (&[("if-none-match", ETAG)], Wanted::NotModified),
            (&[("if-none-match", "\"x\", W/\"1-a\"")], Wanted::NotModified),
            (&[("if-none-match", "\"x\""), ("if-none-match", ETAG)], Wanted::NotModified),
            (&[("if-none-match", "*")], Wanted::NotModified),
            (&[("if-none-match", "\"x\"")], Wanted::Whole),
            // The tag decides alone.
            (&[("if-none-match", "\"x\""), ("if-modified-since", DATE)], Wanted::Whole),
            (&[("if-modified-since", DATE)], Wanted::NotModified),
            (&[("if-modified-since", EARLIER)], Wanted::Whole),
            (&[("if-modified-since", "yesterday")], Wanted::Whole),
            (&[("if-match", ETAG)], Wanted::Whole),
            (&[("if-match", "*")], Wanted::Whole),
            (&[("if-match", "W/\"1-a\"")], Wanted::Failed),
            (&[("if-match", "\"x\"")], Wanted::Failed),
            (&[("if-match", "\"x\""), ("if-none-match", ETAG)], Wanted::Failed),
            (&[("if-unmodified-since", DATE)], Wanted::Whole),
            (&[("if-unmodified-since", EARLIER)], Wanted::Failed),
            (&[("if-match", ETAG), ("if-unmodified-since", EARLIER)], Wanted::Whole),
            (&[("if-none-match", ETAG), ("range", "bytes=0-1")], Wanted::NotModified),
        ] {
            assert_eq!(get(fields), wanted, "{fields:?}");
        }
    }

    #[test]
    fn parts_are_understood() {
        for (range, wanted) in [
            ("bytes=0-0", Wanted::Part(0, 1)),
            ("bytes=0-", Wanted::Part(0, 100)),
            ("bytes=10-19", Wanted::Part(10, 20)),
            ("Bytes = 10-19", Wanted::Part(10, 20)),
            ("bytes=90-1000", Wanted::Part(90, 100)),
            ("bytes=99-", Wanted::Part(99, 100)),
            ("bytes=-1", Wanted::Part(99, 100)),
            ("bytes=-1000", Wanted::Part(0, 100)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0, 100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=100-200", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            // Not understood, or more than one: the whole.
            ("bytes=2-1", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=0-1, -1", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=1--2", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("0-1", Wanted::Whole),
        ] {
            assert_eq!(get(&[("range", range)]), wanted, "{range}");
        }
        assert_eq!(get(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]), Wanted::Whole);
        assert_eq!(judged(Method::HEAD, &[("range", "bytes=0-1")], 100), Wanted::Whole);
        for range in ["bytes=0-", "bytes=-5", "bytes=0-0"] {
            assert_eq!(judged(Method::GET, &[("range", range)], 0), Wanted::Unsatisfiable);
        }
    }

    #[test]
    fn a_part_of_something_else_is_the_whole() {
        for (tag, wanted) in [
            (ETAG, Wanted::Part(0, 2)),
            (DATE, Wanted::Part(0, 2)),
            ("\"x\"", Wanted::Whole),
            ("W/\"1-a\"", Wanted::Whole),
            (EARLIER, Wanted::Whole),
            ("nonsense", Wanted::Whole),
        ] {
            assert_eq!(get(&[("range", "bytes=0-1"), ("if-range", tag)]), wanted, "{tag}");
        }
    }
}
