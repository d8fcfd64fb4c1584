//! Redirects: domains that are answered with the way to somewhere else, by the proxy, without any program. Where they lead is
//! an operator's to say and nobody else's: of the request nothing but the path and the query can get in, behind a host that
//! is given whole.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::HostName;
use crate::domain::{Domain, below};
use crate::places::Places;

/// Redirects that follow one another; browsers follow about 20.
pub const MAX_HOPS: usize = 5;
/// Bytes of an address.
const MAX_BYTES: usize = 512;

/// Where a redirect leads: an address with scheme, host and path.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Location {
    text: String,
    host_at: usize,
    path_at: usize,
}

/// A text that is no address to lead to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address to lead to: write one such as https://example.com/new, in ASCII, without '#'")]
pub struct BadLocation(String);

/// How a domain's requests are sent elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// Where to.
    pub to: Location,
    /// 308, which browsers keep for ever, and not 307.
    pub permanent: bool,
    /// What follows the domain, with the query, is appended.
    pub keep_path: bool,
}

/// Redirects that do not end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Endless {
    /// They come back.
    #[error("the redirects would go round in circles: {}", way(.0))]
    Circle(Vec<Domain>),
    /// They are too many.
    #[error("more than {MAX_HOPS} redirects would follow one another: {}", way(.0))]
    Long(Vec<Domain>),
    /// A query that would stand before what is appended.
    #[error("{0} has a query, behind which no path can be kept")]
    Query(Location),
}

fn way(domains: &[Domain]) -> String {
    domains.iter().map(Domain::as_str).collect::<Vec<_>>().join(" → ")
}

impl Location {
    /// # Errors
    /// [`BadLocation`].
    pub fn new(text: &str) -> Result<Self, BadLocation> {
        let bad = || BadLocation(text.chars().take(80).collect());
        let host_at = ["https://", "http://"].iter().find(|s| text.starts_with(**s)).ok_or_else(bad)?.len();
        let path_at = text[host_at..].find(['/', '?']).map_or(text.len(), |at| host_at + at);
        let (host, port) = text[host_at..path_at].split_once(':').unwrap_or((&text[host_at..path_at], "1"));
        let port_is_good =
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
        let fits = |b: u8| b.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&b);
        if HostName::new(host).is_err()
            || !port_is_good
            || !text[path_at..].bytes().all(fits)
            || text.len() > MAX_BYTES
        {
            return Err(bad());
        }
        let slash = if text[path_at..].starts_with('/') { "" } else { "/" };
        let text = format!("{}{slash}{}", &text[..path_at], &text[path_at..]);
        Ok(Self { text, host_at, path_at })
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host, and port if it has one.
    pub fn authority(&self) -> &str {
        &self.text[self.host_at..self.path_at]
    }

    /// The host.
    pub fn host(&self) -> &str {
        self.authority().split(':').next().unwrap_or_default()
    }

    /// Path and query.
    pub fn path_and_query(&self) -> &str {
        &self.text[self.path_at..]
    }

    /// The path.
    fn path(&self) -> &str {
        self.path_and_query().split('?').next().unwrap_or_default()
    }
}

impl Redirect {
    /// The address that a request is sent to. `path` and `query` are its own, and begin with `from`'s path.
    pub fn location(&self, from: &Domain, path: &str, query: Option<&str>) -> String {
        let to = self.to.as_str();
        if !self.keep_path {
            return to.to_owned();
        }
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        match below(from.path(), path).filter(|rest| rest.starts_with('/')) {
            Some(rest) => format!("{}{rest}{query}", to.strip_suffix('/').unwrap_or(to)),
            None => format!("{to}{query}"),
        }
    }
}

/// Follows every redirect from where it begins. `None` are domains that are no redirect, and end a way.
///
/// # Errors
/// [`Endless`], with the way.
pub fn check(places: &Places<Option<(Domain, Redirect)>>, all: &[(Domain, Redirect)]) -> Result<(), Endless> {
    for (from, redirect) in all {
        if redirect.keep_path && redirect.to.path_and_query().contains('?') {
            return Err(Endless::Query(redirect.to.clone()));
        }
        let mut passed = vec![from.clone()];
        let mut at = (redirect.to.host().to_owned(), redirect.to.path().to_owned());
        while let Some(Some((from, next))) = places.sites(&at.0).find(&at.1) {
            passed.push(from.clone());
            if passed[..passed.len() - 1].contains(from) {
                return Err(Endless::Circle(passed));
            }
            if passed.len() > MAX_HOPS {
                return Err(Endless::Long(passed));
            }
            let to = next.location(from, &at.1, None);
            let to = Location::new(&to).map_err(|_| Endless::Long(passed.clone()))?;
            at = (to.host().to_owned(), to.path().to_owned());
        }
    }
    Ok(())
}

impl TryFrom<String> for Location {
    type Error = BadLocation;
    fn try_from(text: String) -> Result<Self, BadLocation> {
        Self::new(&text)
    }
}

impl FromStr for Location {
    type Err = BadLocation;
    fn from_str(text: &str) -> Result<Self, BadLocation> {
        Self::new(text)
    }
}

impl From<Location> for String {
    fn from(location: Location) -> Self {
        location.text
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(from: &str, to: &str, keep_path: bool) -> (Domain, Redirect) {
        (from.parse().unwrap(), Redirect { to: to.parse().unwrap(), permanent: false, keep_path })
    }

    #[test]
    fn an_address_is_whole_and_has_nothing_odd() {
        let to = Location::new("https://a.example:8443/x/y?z=%20").unwrap();
        assert_eq!(
            (to.host(), to.authority(), to.path_and_query()),
            ("a.example", "a.example:8443", "/x/y?z=%20")
        );
        assert_eq!(Location::new("http://a.example").unwrap().as_str(), "http://a.example/");
        assert_eq!(Location::new("http://a.example?q").unwrap().as_str(), "http://a.example/?q");
        let long = format!("https://a.example/{}", "x".repeat(MAX_BYTES));
        for bad in [
            "",
            "/x",
            "//a.example/",
            "a.example",
            "ftp://a.example/",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "https://u@a.example/",
            "https://A.example/",
            "https://a.example:0/",
            "https://a.example:x/",
            "https://a.example/#x",
            "https://a.example/\r\nx: y",
            "https://a.example/ x",
            "https://a.example/\\x",
            "https://a.example/\u{e9}",
            "https://[::1]/",
            &long,
        ] {
            assert!(Location::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_of_the_request_gets_before_the_path() {
        let location = |(from, redirect): (Domain, Redirect), path: &str, query: Option<&str>| {
            redirect.location(&from, path, query)
        };
        let keep = || redirect("www.example", "https://example", true);
        for (path, query, to) in [
            ("/", None, "https://example/"),
            ("/a/b", Some("c=d"), "https://example/a/b?c=d"),
            ("//evil.example/x", None, "https://example//evil.example/x"),
            ("/@evil.example", None, "https://example/@evil.example"),
            ("/.evil.example", None, "https://example/.evil.example"),
            ("*", None, "https://example/"),
        ] {
            assert_eq!(location(keep(), path, query), to);
        }
        let part = || redirect("a.example/old", "https://b.example/new/", true);
        assert_eq!(location(part(), "/old", Some("q")), "https://b.example/new/?q");
        assert_eq!(location(part(), "/old/x", None), "https://b.example/new/x");
        let fixed = redirect("a.example", "https://b.example/?x", false);
        assert_eq!(location(fixed, "/y", Some("z")), "https://b.example/?x");
    }

    fn checked(domains: &[&str], redirects: &[(&str, &str, bool)]) -> Result<(), Endless> {
        let all: Vec<_> = redirects.iter().map(|(from, to, keep)| redirect(from, to, *keep)).collect();
        let mut places = Places::default();
        for domain in domains {
            places.insert(&domain.parse().unwrap(), None);
        }
        for one in &all {
            places.insert(&one.0, Some(one.clone()));
        }
        check(&places, &all)
    }

    #[test]
    fn circles_are_seen_before_anybody_goes_round_in_them() {
        assert_eq!(checked(&["a.e"], &[("www.a.e", "https://a.e/", true)]), Ok(()));
        assert_eq!(checked(&["www.e"], &[("*.e", "https://www.e/", true)]), Ok(()));
        let circle = |redirects| matches!(checked(&[], redirects), Err(Endless::Circle(_)));
        assert!(circle(&[("a.e", "https://a.e/x", false)]));
        assert!(circle(&[("*.e", "https://www.e/", true)]));
        assert!(circle(&[("a.e", "https://b.e/", true), ("b.e", "https://a.e/", true)]));
        assert!(circle(&[("a.e", "https://www.a.e/", true), ("www.a.e/old", "https://a.e/old", true)]));
        assert!(circle(&[("a.e/x", "https://a.e/x/x", true)]));
        let chain: Vec<_> =
            (0..7).map(|n| (format!("a{n}.e"), format!("https://a{}.e/", n + 1), false)).collect();
        let chain: Vec<_> = chain.iter().map(|(from, to, keep)| (from.as_str(), to.as_str(), *keep)).collect();
        assert!(matches!(checked(&[], &chain), Err(Endless::Long(_))));
        let error = checked(&[], &chain[..0])
            .and(checked(&[], &[("a.e", "https://b.e/", true), ("b.e", "https://a.e/", true)]));
        assert_eq!(error.unwrap_err().to_string(), "the redirects would go round in circles: a.e → b.e → a.e");
        assert!(matches!(checked(&[], &[("a.e", "https://b.e/?x", true)]), Err(Endless::Query(_))));
    }
}
