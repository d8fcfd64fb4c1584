//! Which route a path leads to, where a host has routes by path. Programs do not all read a path alike: some decode `%2F`, some take
//! `\` for `/`, merge slashes, drop `;…` or resolve dots. What they could read in two ways that lead to two routes is refused,
//! so that nothing is routed as one path and answered as another; what leads to one route however it is read passes as it is.
//!
//! Two readings are compared: the path as it is written, and with everything done to it that anybody does. A path is found below a
//! domain's only by plain segments ([`kennel_model::Domain`]), which all of these leave as they are. So each reading between the
//! two finds at least what the first finds, and at most what the second does: if they find the same, all do. Dots are the
//! exception, as `..` takes away what stands before it: they are refused wherever they are.

use std::borrow::Cow;

use hyper::http::uri::PathAndQuery;
use kennel_model::domain::below;

/// It can be read in more than one way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous;

/// What a path leads to, however it is read.
///
/// # Errors
/// [`Ambiguous`].
pub(crate) fn lead<'t, T>(
    path: &str,
    find: impl Fn(&str) -> Option<&'t T>,
) -> Result<Option<&'t T>, Ambiguous> {
    let written = find(path);
    // Nearly all are read alike by everybody.
    if !path.bytes().any(|b| matches!(b, b'%' | b'\\' | b';')) && !path.contains("//") && !path.contains("/.") {
        return Ok(written);
    }
    let read = find(&folded(path)?);
    match (written, read) {
        (None, None) => Ok(None),
        (Some(written), Some(read)) if std::ptr::eq(written, read) => Ok(Some(written)),
        _ => Err(Ambiguous),
    }
}

/// The path with everything done to it, but for dots and NULs, which are refused.
fn folded(path: &str) -> Result<String, Ambiguous> {
    let decoded = decoded(path.as_bytes());
    let mut folded = String::with_capacity(path.len());
    for segment in decoded.split(|b| matches!(b, b'/' | b'\\')) {
        // What follows a semicolon is a parameter to some (RFC 3986, 3.3).
        let segment = segment.split(|b| *b == b';').next().unwrap_or_default();
        match segment {
            b".." => return Err(Ambiguous),
            // Where a string of C ends.
            segment if segment.contains(&0) => return Err(Ambiguous),
            b"" | b"." => {}
            segment => {
                folded.push('/');
                folded.push_str(&String::from_utf8_lossy(segment));
            }
        }
    }
    if folded.is_empty() {
        folded.push('/');
    }
    Ok(folded)
}

/// Percent-encoded bytes as what they stand for, once: what they stand for is not decoded again.
fn decoded(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.contains(&b'%') {
        return Cow::Borrowed(path);
    }
    let digit = |b: &u8| char::from(*b).to_digit(16);
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, behind @ ..] = rest {
        match behind {
            [high, low, behind @ ..] if *first == b'%' => {
                if let (Some(high), Some(low)) = (digit(high), digit(low)) {
                    plain.push((high * 16 + low) as u8);
                    rest = behind;
                    continue;
                }
            }
            _ => {}
        }
        plain.push(*first);
        rest = behind;
    }
    Cow::Owned(plain)
}

/// The target without the domain's path, for programs that do not know of it.
///
/// # Errors
/// [`Ambiguous`] when what is left would be read as another host's by whoever makes an address of it: `//host`, `/\host`.
pub(crate) fn stripped(target: &PathAndQuery, prefix: &str) -> Result<PathAndQuery, Ambiguous> {
    let Some(rest) = below(prefix, target.path()) else { return Ok(target.clone()) };
    if rest.starts_with("//") || rest.starts_with("/\\") {
        return Err(Ambiguous);
    }
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let query = target.query().map(|query| format!("?{query}")).unwrap_or_default();
    PathAndQuery::try_from(format!("{slash}{rest}{query}")).map_err(|_| Ambiguous)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::places::Places;

    fn led(all: &[&str], path: &str) -> Result<Option<String>, Ambiguous> {
        let mut places = Places::default();
        for text in all {
            places.insert(&text.parse().unwrap(), (*text).to_owned());
        }
        let sites = places.sites("a.example");
        lead(path, |path| sites.find(path)).map(|found| found.cloned())
    }

    #[test]
    fn what_everybody_reads_alike_passes() {
        let all = ["a.example", "a.example/shop"];
        for (path, to) in [
            ("/", "a.example"),
            ("*", "a.example"),
            ("/shop", "a.example/shop"),
            ("/shop/a%2Fb;c=d//e/.hidden/f%20g", "a.example/shop"),
            ("/x%2Fshop", "a.example"),
            ("/a;b/c\\d//e", "a.example"),
            ("/.well-known/x", "a.example"),
            ("/shop/...", "a.example/shop"),
            ("/%2573hop", "a.example"),
            ("/shop%", "a.example"),
            ("/shop%zz", "a.example"),
        ] {
            assert_eq!(led(&all, path), Ok(Some(to.to_owned())), "{path}");
        }
        assert_eq!(led(&["a.example/shop"], "/other%2F"), Ok(None));
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        let all = ["a.example", "a.example/shop", "a.example/shop/old"];
        for path in [
            "/shop/../x",
            "/shop/%2e%2E/x",
            "/shop/..;x/y",
            "/shop%2f..%2fx",
            "/x\\..\\shop",
            "/..",
            "/%73hop",
            "//shop",
            "/./shop",
            "/%2Fshop/x",
            "/%5cshop",
            "/\\shop",
            "/shop%2Fx",
            "/shop\\x",
            "/shop;v=1/x",
            "/shop%3Bx/y",
            "/shop//old",
            "/shop/%6Fld",
            "/shop%2Fold/x",
            "/;/shop",
            "/shop%00x",
        ] {
            assert_eq!(led(&all, path), Err(Ambiguous), "{path}");
        }
    }

    #[test]
    fn a_path_is_taken_off_whole() {
        let strip = |target: &str| stripped(&target.parse().unwrap(), "/shop").map(|left| left.to_string());
        assert_eq!(strip("/shop").as_deref(), Ok("/"));
        assert_eq!(strip("/shop?a=b").as_deref(), Ok("/?a=b"));
        assert_eq!(strip("/shop/?").as_deref(), Ok("/?"));
        assert_eq!(strip("/shop/x%2Fy/shop?z").as_deref(), Ok("/x%2Fy/shop?z"));
        assert_eq!(strip("/shop//evil.example"), Err(Ambiguous));
        assert_eq!(strip("/shop/\\evil.example"), Err(Ambiguous));
    }
}
