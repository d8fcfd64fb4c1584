//! Which of a file's forms a client gets: as it is, or compressed by whoever built the release, in a file of the same name
//! with the coding's ending (RFC 9110, 12.5.3). Nothing is compressed here.

use hyper::HeaderMap;
use hyper::header::ACCEPT_ENCODING;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coding {
    /// In `Accept-Encoding` and `Content-Encoding`.
    pub(super) name: &'static str,
    /// The ending of its files.
    pub(super) ending: &'static str,
}

/// Those that are looked for; of equally welcome ones the first is taken.
pub(super) const CODINGS: [Coding; 3] = [
    Coding { name: "br", ending: ".br" },
    Coding { name: "zstd", ending: ".zst" },
    Coding { name: "gzip", ending: ".gz" },
];

/// The coding, by its place in [`CODINGS`], of those that there are; none for the file as it is.
pub(super) fn choose(fields: &HeaderMap, there: [bool; CODINGS.len()]) -> Option<usize> {
    if !there.contains(&true) || !fields.contains_key(ACCEPT_ENCODING) {
        return None;
    }
    let asked = Asked::of(fields);
    let quality = |at: usize| asked.codings[at].or(asked.any).unwrap_or(0);
    let best =
        (0..CODINGS.len()).filter(|at| there[*at] && quality(*at) > 0).rev().max_by_key(|at| quality(*at))?;
    // As it is it is always welcome, but seldom more so.
    (asked.identity.is_none_or(|identity| identity <= quality(best))).then_some(best)
}

/// What a client says of each, in thousandths.
#[derive(Debug, Default)]
struct Asked {
    codings: [Option<u16>; CODINGS.len()],
    identity: Option<u16>,
    any: Option<u16>,
}

impl Asked {
    fn of(fields: &HeaderMap) -> Self {
        let mut asked = Self::default();
        let values = fields.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for item in values.flat_map(|value| value.split(',')) {
            let (name, quality) =
                item.split_once(';').map_or((item, Some(1000)), |(name, q)| (name, thousandths(q)));
            // What says nothing that is understood is not welcome.
            let (name, quality) = (name.trim(), Some(quality.unwrap_or(0)));
            if let Some(at) = CODINGS.iter().position(|coding| coding.name.eq_ignore_ascii_case(name)) {
                asked.codings[at] = quality;
            } else if name.eq_ignore_ascii_case("identity") {
                asked.identity = quality;
            } else if name == "*" {
                asked.any = quality;
            }
        }
        asked
    }
}

/// `q=0.5`, with at most three digits behind the point.
fn thousandths(weight: &str) -> Option<u16> {
    let (name, value) = weight.trim().split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, part) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    if !matches!(whole, "0" | "1") || part.len() > 3 || !digits(part) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    Some(if whole == "1" { 1000 } else { part })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str, there: &[&str]) -> Option<&'static str> {
        let mut fields = HeaderMap::new();
        fields.insert(ACCEPT_ENCODING, accept.parse().unwrap());
        choose(&fields, CODINGS.map(|coding| there.contains(&coding.name))).map(|at| CODINGS[at].name)
    }

    const ALL: &[&str] = &["br", "zstd", "gzip"];

    #[test]
    fn the_best_that_there_is_is_taken() {
        assert_eq!(chosen("gzip, deflate, br, zstd", ALL), Some("br"));
        assert_eq!(chosen("gzip, deflate, br, zstd", &["gzip", "zstd"]), Some("zstd"));
        assert_eq!(chosen("gzip, br", &["zstd"]), None);
        assert_eq!(chosen("GZIP", ALL), Some("gzip"));
        assert_eq!(chosen("*", ALL), Some("br"));
        assert_eq!(choose(&HeaderMap::new(), [true; 3]), None);
    }

    #[test]
    fn weights_are_heard() {
        assert_eq!(chosen("br;q=0.5, gzip;q=0.8", ALL), Some("gzip"));
        assert_eq!(chosen("br;q=0, *", ALL), Some("zstd"));
        assert_eq!(chosen("br;q=0,zstd;q=0.000,gzip; q=0.001", ALL), Some("gzip"));
        assert_eq!(chosen("identity, br;q=0.9", ALL), None);
        assert_eq!(chosen("identity;q=0.5, br;q=0.9", ALL), Some("br"));
        assert_eq!(chosen("identity;q=0, *;q=0", ALL), None);
        for odd in ["br;q=2", "br;q=-1", "br;q=0.1234", "br;x=1", "br;q", "br;q=nan", ";", ""] {
            assert_eq!(chosen(odd, ALL), None, "{odd}");
        }
    }
}
