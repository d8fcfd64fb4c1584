//! What programs answered for the files that are asked for of every site (`asleep::File`), kept for when they are asleep. Only
//! what anybody may be given: the answers to GET with status 200 or 404 that neither set a cookie nor differ by who asks, and
//! that may be shown when they are no longer fresh (RFC 9111, 4.2.4), with their `Age`. They are the release's: another
//! release begins with none. Bounded in bytes, per answer, slot and in all; the oldest give way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request;
use hyper::http::response::Parts;
use hyper::{Response, StatusCode};
use kennel_model::{ReleaseId, SlotId};
use tokio::time::Instant;

use crate::asleep::File;
use crate::body::{self, Body};
use crate::headers::ASLEEP_FIELD;
use crate::limits::Limits;
use crate::routes::Target;

/// What an answer takes beside its body and header fields.
const OVERHEAD: usize = 256;
/// An answer with one of these is not shown when it is no longer fresh, or not to others.
const NOT_KEPT: [&str; 7] =
    ["no-store", "no-cache", "private", "must-revalidate", "proxy-revalidate", "s-maxage", "must-understand"];

/// All that is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    shelves: Mutex<Shelves>,
    per_slot: usize,
    answer_bytes: usize,
    in_all: usize,
}

/// Which file of which site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// Whose program.
    pub(crate) slot: SlotId,
    /// The one that answers.
    pub(crate) release: ReleaseId,
    /// A program may answer differently by name.
    pub(crate) host: String,
    /// Which.
    pub(crate) file: File,
}

#[derive(Debug, Default)]
struct Shelves {
    by_slot: HashMap<SlotId, Shelf>,
    bytes: usize,
}

#[derive(Debug)]
struct Shelf {
    release: ReleaseId,
    places: Vec<Place>,
}

/// A file that has been asked for while the program slept, or answered by it.
#[derive(Debug)]
struct Place {
    host: String,
    file: File,
    answer: Option<Answer>,
}

#[derive(Debug, Clone)]
struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    body: Bytes,
    since: Instant,
}

/// An answer on its way through, of which a copy is taken.
#[derive(Debug)]
pub(crate) struct Copying {
    kept: Arc<Kept>,
    key: Key,
    status: StatusCode,
    fields: HeaderMap,
    body: BytesMut,
}

impl Key {
    /// What a request asks of a program that can answer.
    pub(crate) fn of(target: &Target, name: &str, head: &request::Parts) -> Option<Self> {
        let (file, release) = (File::asked(head)?, target.release?);
        Some(Self { slot: target.slot, release, host: name.to_owned(), file })
    }
}

impl Kept {
    /// Nothing.
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            shelves: Mutex::default(),
            per_slot: limits.kept_per_slot,
            answer_bytes: limits.kept_answer_bytes,
            in_all: limits.kept_bytes,
        })
    }

    /// The answer that is kept.
    pub(crate) fn find(&self, key: &Key) -> Option<Response<Body>> {
        let Answer { status, fields, body, since } = self.lock().place(key)?.answer.clone()?;
        let mut response = Response::new(body::page(body));
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        response.headers_mut().insert(header::AGE, since.elapsed().as_secs().into());
        response.headers_mut().insert(ASLEEP_FIELD, HeaderValue::from_static("kept"));
        Some(response)
    }

    /// Whether nobody has asked for it before, of this release.
    pub(crate) fn is_first(&self, key: &Key) -> bool {
        let mut shelves = self.lock();
        shelves.place(key).is_none() && shelves.make_place(key, self.per_slot).is_some()
    }

    /// Begins to copy an answer to GET, if it may be kept.
    pub(crate) fn copy(self: &Arc<Self>, key: Key, head: &Parts) -> Option<Copying> {
        if !may_be_kept(head) {
            return None;
        }
        let mut fields = head.headers.clone();
        for own in [header::DATE, header::CONTENT_LENGTH, header::AGE] {
            fields.remove(own);
        }
        Some(Copying { kept: self.clone(), key, status: head.status, fields, body: BytesMut::new() })
    }

    fn put(&self, key: &Key, answer: Answer) {
        let mut shelves = self.lock();
        let size = answer.size();
        let Some(place) = shelves.make_place(key, self.per_slot) else { return };
        let before = place.answer.replace(answer).map_or(0, |answer| answer.size());
        shelves.bytes = (shelves.bytes + size).saturating_sub(before);
        while shelves.bytes > self.in_all && shelves.drop_oldest() {}
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn place(&self, key: &Key) -> Option<&Place> {
        let shelf = self.by_slot.get(&key.slot).filter(|shelf| shelf.release == key.release)?;
        shelf.places.iter().find(|place| place.is(key))
    }

    /// The place, made where there is room for one more. What another release answered is forgotten.
    fn make_place(&mut self, key: &Key, per_slot: usize) -> Option<&mut Place> {
        let new = || Shelf { release: key.release, places: vec![] };
        let shelf = self.by_slot.entry(key.slot).or_insert_with(new);
        if shelf.release != key.release {
            self.bytes = self.bytes.saturating_sub(shelf.places.iter().map(Place::size).sum());
            *shelf = new();
        }
        match shelf.places.iter().position(|place| place.is(key)) {
            Some(index) => shelf.places.get_mut(index),
            None if shelf.places.len() >= per_slot => None,
            None => {
                shelf.places.push(Place { host: key.host.clone(), file: key.file, answer: None });
                shelf.places.last_mut()
            }
        }
    }

    /// Whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let places = self.by_slot.values_mut().flat_map(|shelf| &mut shelf.places);
        let answered = places.filter(|place| place.answer.is_some());
        let oldest = answered.min_by_key(|place| place.answer.as_ref().map(|answer| answer.since));
        let Some(answer) = oldest.and_then(|place| place.answer.take()) else { return false };
        self.bytes = self.bytes.saturating_sub(answer.size());
        true
    }
}

impl Place {
    fn is(&self, key: &Key) -> bool {
        self.file == key.file && self.host == key.host
    }

    fn size(&self) -> usize {
        self.answer.as_ref().map_or(0, Answer::size)
    }
}

impl Answer {
    fn size(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(n, v)| n.as_str().len() + v.len()).sum();
        OVERHEAD + self.body.len() + fields
    }
}

impl Copying {
    /// The next piece; nothing is left of the copy when it has become too long.
    pub(crate) fn add(mut self, piece: &Bytes) -> Option<Self> {
        if self.body.len() + piece.len() > self.kept.answer_bytes {
            return None;
        }
        self.body.extend_from_slice(piece);
        Some(self)
    }

    /// The answer is complete.
    pub(crate) fn finish(self) {
        let Self { kept, key, status, fields, body } = self;
        kept.put(&key, Answer { status, fields, body: body.freeze(), since: Instant::now() });
    }
}

fn may_be_kept(head: &Parts) -> bool {
    let fields = &head.headers;
    let none_of = |names: [HeaderName; 4]| names.iter().all(|name| !fields.contains_key(name));
    matches!(head.status, StatusCode::OK | StatusCode::NOT_FOUND)
        && none_of([
            header::SET_COOKIE,
            header::CONTENT_ENCODING,
            header::CONTENT_RANGE,
            header::WWW_AUTHENTICATE,
        ])
        // One that is not encoded is good for whoever takes encodings, too.
        && words(fields, header::VARY).all(|word| word.eq_ignore_ascii_case("accept-encoding"))
        && words(fields, header::CACHE_CONTROL).all(|word| {
            let name = word.split('=').next().unwrap_or_default();
            !NOT_KEPT.iter().any(|not| name.eq_ignore_ascii_case(not))
        })
}

/// The words of a list field; one that is not text is a word that nobody knows.
fn words(fields: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = fields.get_all(name).iter();
    values.flat_map(|value| value.to_str().unwrap_or("no-store").split(',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u16, release: u32, host: &str) -> Key {
        Key {
            slot: SlotId::new(slot).unwrap(),
            release: ReleaseId(release),
            host: host.to_owned(),
            file: File::Robots,
        }
    }

    fn head(status: u16, fields: &[(&'static str, &str)]) -> Parts {
        let response = fields.iter().fold(Response::builder().status(status), |r, (n, v)| r.header(*n, *v));
        response.body(()).unwrap().into_parts().0
    }

    fn keep(kept: &Arc<Kept>, key: &Key, text: &'static str) {
        let copying = kept.copy(key.clone(), &head(200, &[("content-type", "text/plain")])).unwrap();
        if let Some(copying) = copying.add(&Bytes::from_static(text.as_bytes())) {
            copying.finish();
        }
    }

    fn kept(limits: &Limits) -> Arc<Kept> {
        Kept::new(limits)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_its_release_and_name() {
        let kept = kept(&Limits::default());
        keep(&kept, &key(1, 1, "a.example"), "User-agent: *");
        tokio::time::advance(std::time::Duration::from_secs(70)).await;
        let answer = kept.find(&key(1, 1, "a.example")).unwrap();
        assert_eq!((answer.status(), &answer.headers()["age"]), (StatusCode::OK, &"70".parse().unwrap()));
        assert_eq!(answer.headers()["content-type"], "text/plain");
        assert!(kept.find(&key(1, 1, "b.example")).is_none());
        assert!(kept.find(&key(2, 1, "a.example")).is_none());
        assert!(kept.find(&key(1, 2, "a.example")).is_none(), "of another release");
        keep(&kept, &key(1, 2, "a.example"), "new");
        assert!(kept.find(&key(1, 1, "a.example")).is_none(), "gone with its release");
    }

    #[test]
    fn only_the_first_of_a_release_wakes() {
        let kept = kept(&Limits { kept_per_slot: 2, ..Limits::default() });
        assert!(kept.is_first(&key(1, 1, "a.example")));
        assert!(!kept.is_first(&key(1, 1, "a.example")));
        assert!(kept.is_first(&key(1, 1, "b.example")));
        assert!(!kept.is_first(&key(1, 1, "c.example")), "there is no room to remember it");
        assert!(kept.is_first(&key(1, 2, "a.example")));
    }

    #[test]
    fn what_is_not_for_everybody_is_not_kept() {
        assert!(may_be_kept(&head(200, &[])));
        for good in [
            ("cache-control", "public, max-age=0"),
            ("vary", "Accept-Encoding"),
            ("etag", "\"x\""),
            ("content-length", "3"),
        ] {
            assert!(may_be_kept(&head(404, &[good])), "{good:?}");
        }
        for bad in [
            ("cache-control", "no-store"),
            ("cache-control", "max-age=60, Private"),
            ("cache-control", "no-cache=\"x\""),
            ("cache-control", "must-revalidate"),
            ("cache-control", "s-maxage=3"),
            ("cache-control", "\u{e9}"),
            ("vary", "*"),
            ("vary", "Accept-Encoding, Cookie"),
            ("set-cookie", "a=b"),
            ("content-encoding", "gzip"),
            ("content-range", "bytes 0-1/9"),
        ] {
            assert!(!may_be_kept(&head(200, &[bad])), "{bad:?}");
        }
        for status in [204, 206, 301, 302, 304, 401, 403, 500, 503] {
            assert!(!may_be_kept(&head(status, &[])), "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_bounds_hold_and_the_oldest_give_way() {
        const LONG: &str = "0123456789";
        let limits = Limits { kept_answer_bytes: 10, kept_bytes: 2 * (OVERHEAD + 50), ..Limits::default() };
        let kept = kept(&limits);
        keep(&kept, &key(1, 1, "a.example"), "0123456789x");
        assert!(kept.find(&key(1, 1, "a.example")).is_none(), "too long");
        for slot in [1, 2, 3] {
            keep(&kept, &key(slot, 1, "a.example"), LONG);
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
        }
        let found = [1, 2, 3].map(|slot| kept.find(&key(slot, 1, "a.example")).is_some());
        assert_eq!(found, [false, true, true]);
        for _ in 0..9 {
            keep(&kept, &key(3, 1, "a.example"), LONG);
        }
        assert!(kept.find(&key(2, 1, "a.example")).is_some(), "the same once more takes no more room");
        keep(&kept, &key(3, 2, "a.example"), LONG);
        assert!(kept.lock().bytes <= limits.kept_bytes);
        assert_eq!(kept.lock().bytes, 2 * (OVERHEAD + LONG.len() + "content-typetext/plain".len()));
    }
}
