//! A table of domains, looked up by a request's name and path: exact names before wildcards, longer paths before shorter, and
//! what an exact name does not have is looked for below the wildcard. One look-up by hash, two where a wildcard may matter,
//! however many domains there are; and as many comparisons as the name has paths.

use std::collections::HashMap;

use crate::domain::{Domain, behind_first_label, below};

/// Domains, each with what belongs to it.
#[derive(Debug)]
pub struct Places<T> {
    exact: HashMap<Box<str>, Site<T>>,
    /// By what follows the star: `.blog.example`.
    wild: HashMap<Box<str>, Site<T>>,
}

/// What belongs to one name or wildcard.
#[derive(Debug)]
struct Site<T> {
    whole: Option<T>,
    /// By path, the longest first.
    parts: Vec<(Box<str>, T)>,
}

/// What belongs to a name: its own, and what the wildcard above it has.
#[derive(Debug)]
pub struct Sites<'p, T> {
    own: Option<&'p Site<T>>,
    wild: Option<&'p Site<T>>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wild: HashMap::new() }
    }
}

impl<T> Places<T> {
    /// With room for so many.
    pub fn with_capacity(domains: usize) -> Self {
        Self { exact: HashMap::with_capacity(domains), wild: HashMap::new() }
    }

    /// Puts a value at a domain; answers what was there.
    pub fn insert(&mut self, domain: &Domain, value: T) -> Option<T> {
        let site = match domain.host().strip_prefix('*') {
            Some(rest) => self.wild.entry(rest.into()).or_default(),
            None => self.exact.entry(domain.host().into()).or_default(),
        };
        site.insert(domain.path(), value)
    }

    /// What stands at this very domain.
    pub fn get(&self, domain: &Domain) -> Option<&T> {
        let site = match domain.host().strip_prefix('*') {
            Some(rest) => self.wild.get(rest),
            None => self.exact.get(domain.host()),
        }?;
        match domain.path() {
            "" => site.whole.as_ref(),
            path => site.parts.iter().find(|(at, _)| **at == *path).map(|(_, value)| value),
        }
    }

    /// What belongs to a name in lower case.
    pub fn sites(&self, name: &str) -> Sites<'_, T> {
        let own = self.exact.get(name);
        let covered = own.is_some_and(|site| site.whole.is_some());
        let wild = || self.wild.get(behind_first_label(name)?);
        Sites { own, wild: if covered || self.wild.is_empty() { None } else { wild() } }
    }
}

impl<T> Default for Site<T> {
    fn default() -> Self {
        Self { whole: None, parts: Vec::new() }
    }
}

impl<T> Site<T> {
    fn insert(&mut self, path: &str, value: T) -> Option<T> {
        if path.is_empty() {
            return self.whole.replace(value);
        }
        if let Some((_, there)) = self.parts.iter_mut().find(|(at, _)| **at == *path) {
            return Some(std::mem::replace(there, value));
        }
        let at = self.parts.partition_point(|(other, _)| other.len() >= path.len());
        self.parts.insert(at, (path.into(), value));
        None
    }

    fn find(&self, path: &str) -> Option<&T> {
        let part = self.parts.iter().find(|(prefix, _)| below(prefix, path).is_some());
        part.map(|(_, value)| value).or(self.whole.as_ref())
    }
}

impl<'p, T> Sites<'p, T> {
    /// Whether the path decides.
    pub fn have_parts(&self) -> bool {
        [self.own, self.wild].into_iter().flatten().any(|site| !site.parts.is_empty())
    }

    /// What a path leads to, as it is written.
    pub fn find(&self, path: &str) -> Option<&'p T> {
        let own = self.own.and_then(|site| site.find(path));
        own.or_else(|| self.wild.and_then(|site| site.find(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(all: &[&str]) -> Places<String> {
        let mut places = Places::default();
        for text in all {
            assert_eq!(places.insert(&text.parse().unwrap(), (*text).to_owned()), None);
        }
        places
    }

    #[test]
    fn exact_before_wild_and_long_before_short() {
        let places = places(&[
            "a.example",
            "a.example/shop",
            "a.example/shop/old",
            "*.example",
            "*.example/shop",
            "b.example/api",
        ]);
        let find = |name: &str, path: &str| places.sites(name).find(path).map(String::as_str);
        for (name, path, leads_to) in [
            ("a.example", "/", Some("a.example")),
            ("a.example", "/shopping", Some("a.example")),
            ("a.example", "/shop", Some("a.example/shop")),
            ("a.example", "/shop/older", Some("a.example/shop")),
            ("a.example", "/shop/old/x", Some("a.example/shop/old")),
            ("b.example", "/api/x", Some("b.example/api")),
            ("b.example", "/shop/x", Some("*.example/shop")),
            ("b.example", "/", Some("*.example")),
            ("c.example", "*", Some("*.example")),
            ("c.d.example", "/", None),
            ("example", "/", None),
            (".example", "/", None),
            ("", "/", None),
        ] {
            assert_eq!(find(name, path), leads_to, "{name} {path}");
        }
        assert!(!places.sites("d.other").have_parts() && places.sites("c.example").have_parts());
        assert_eq!(places.get(&"a.example/shop".parse().unwrap()).map(String::as_str), Some("a.example/shop"));
        assert_eq!(places.get(&"c.example".parse().unwrap()), None);
    }

    proptest! {
        /// Against the rules, read out one by one.
        #[test]
        fn the_table_finds_what_the_rules_say(
            all in proptest::collection::hash_set("(a|b|\\*)\\.e(/a|/b|/ab){0,3}", 0..12),
            name in "(a|b|c|a.b)\\.e",
            path in "(/a|/b|/ab|/abc){0,4}/?",
        ) {
            let domains: Vec<Domain> = all.iter().map(|text| text.parse().unwrap()).collect();
            let mut places = Places::default();
            for domain in &domains {
                places.insert(domain, domain.clone());
            }
            let fitting = domains.iter().filter(|domain| domain.covers(&name, &path));
            let best = fitting.max_by_key(|domain| (!domain.is_wildcard(), domain.path().len()));
            prop_assert_eq!(places.sites(&name).find(&path), best);
        }
    }
}
