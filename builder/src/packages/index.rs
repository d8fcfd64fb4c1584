//! All packages that an archive offers, found by name or by what they provide. Read from the package lists of several
//! suites; which of them are taken is `solve`'s business.

use std::collections::{BTreeMap, HashMap};

use deb822_fast::borrowed::{BorrowedParagraph, iter_paragraphs_borrowed};
use debversion::Version;

use super::relation::{self, Relation};
use crate::digest::Sha256;
use crate::lock::Origin;

/// A binary package as an archive describes it.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub from: Origin,
    pub path: String,
    pub size: u64,
    pub sha256: Sha256,
    /// `Pre-Depends` and `Depends`.
    pub depends: String,
    /// `Conflicts` and `Breaks`.
    pub conflicts: String,
    pub provides: String,
}

/// Number of a candidate in its index.
pub(super) type CandidateId = usize;

/// Candidates of all suites.
#[derive(Debug, Default)]
pub(super) struct Index {
    candidates: Vec<Candidate>,
    by_name: HashMap<String, Vec<CandidateId>>,
    /// Who provides a name, and which version of it if that is stated.
    providers: HashMap<String, Vec<(CandidateId, Option<String>)>>,
}

/// A package list that is not one.
#[derive(Debug, thiserror::Error)]
#[error("{of}: {what}")]
pub struct IndexError {
    /// Which list.
    pub of: String,
    /// What is wrong.
    pub what: String,
}

impl Index {
    /// Adds the packages of one list.
    ///
    /// # Errors
    /// When a paragraph is malformed.
    pub(super) fn add(&mut self, list: &str, from: Origin, of: &str) -> Result<(), IndexError> {
        let refused = |what: String| IndexError { of: of.to_owned(), what };
        for paragraph in iter_paragraphs_borrowed(list) {
            let paragraph = paragraph.map_err(|error| refused(error.to_string()))?;
            let candidate = candidate(&paragraph, from).map_err(|field| {
                let name = paragraph.get_single("Package").unwrap_or("a package");
                refused(format!("{name} has no usable {field}"))
            })?;
            self.insert(candidate).map_err(refused)?;
        }
        Ok(())
    }

    fn insert(&mut self, candidate: Candidate) -> Result<(), String> {
        let id = self.candidates.len();
        let named = self.by_name.entry(candidate.name.clone()).or_default();
        // A security update moves to the main archive with the next point release: the same file, twice.
        if named.iter().any(|&other| self.candidates[other].version == candidate.version) {
            return Ok(());
        }
        named.push(id);
        let provides = relation::parse(&candidate.provides)
            .ok_or_else(|| format!("{} provides {:?}", candidate.name, candidate.provides))?;
        for relation in provides.into_iter().flatten() {
            let version = relation.bound.map(|(_, version)| version.to_owned());
            self.providers.entry(relation.name.to_owned()).or_default().push((id, version));
        }
        self.candidates.push(candidate);
        Ok(())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }

    pub(super) fn get(&self, id: CandidateId) -> &Candidate {
        &self.candidates[id]
    }

    /// Versions of a package, the newest first.
    pub(super) fn named(&self, name: &str) -> Vec<CandidateId> {
        let mut found = self.by_name.get(name).cloned().unwrap_or_default();
        let version = |id: &CandidateId| self.candidates[*id].version.parse::<Version>().ok();
        found.sort_by_cached_key(|id| std::cmp::Reverse(version(id)));
        found
    }

    /// Everything that satisfies a relation, by package: first the package of that name, then who provides it.
    pub(super) fn satisfying(&self, relation: &Relation<'_>) -> Vec<(&str, Vec<CandidateId>)> {
        let accepted = |id: &CandidateId| relation.accepts(Some(&self.candidates[*id].version));
        let named: Vec<_> = self.named(relation.name).into_iter().filter(accepted).collect();
        let mut providers: BTreeMap<&str, Vec<CandidateId>> = BTreeMap::new();
        for (id, version) in self.providers.get(relation.name).into_iter().flatten() {
            let name = self.candidates[*id].name.as_str();
            if name != relation.name && relation.accepts(version.as_deref()) {
                providers.entry(name).or_default().push(*id);
            }
        }
        let own = self.by_name.get_key_value(relation.name).map(|(name, _)| (name.as_str(), named));
        own.into_iter().filter(|(_, ids)| !ids.is_empty()).chain(providers).collect()
    }

    /// Names like this one, for a person who mistyped it.
    pub(super) fn similar(&self, name: &str) -> Option<&str> {
        let likeness = |known: &String| strsim::normalized_damerau_levenshtein(name, known);
        let best = self.by_name.keys().map(|known| (likeness(known), known.as_str()));
        best.filter(|(likeness, _)| *likeness > 0.6)
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
            .map(|b| b.1)
    }
}

/// Reads one paragraph, or says which field is unusable.
fn candidate(paragraph: &BorrowedParagraph<'_>, from: Origin) -> Result<Candidate, &'static str> {
    let text = |field: &str| paragraph.get(field).map(|lines| lines.join(" ")).unwrap_or_default();
    let needed = |field: &'static str| paragraph.get_single(field).map(str::to_owned).ok_or(field);
    let both = |one: &str, two: &str| match (text(one), text(two)) {
        (one, two) if two.is_empty() => one,
        (one, two) if one.is_empty() => two,
        (one, two) => format!("{one}, {two}"),
    };
    Ok(Candidate {
        name: needed("Package")?,
        version: needed("Version")?,
        architecture: needed("Architecture")?,
        from,
        path: needed("Filename")?,
        size: needed("Size")?.parse().map_err(|_| "Size")?,
        sha256: needed("SHA256")?.parse().map_err(|_| "SHA256")?,
        depends: both("Pre-Depends", "Depends"),
        conflicts: both("Conflicts", "Breaks"),
        provides: text("Provides"),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A package list from lines like `name version; Depends: x; Provides: y`.
    pub(crate) fn list(packages: &[&str]) -> String {
        let paragraph = |line: &&str| {
            let (head, fields) = line.split_once(';').unwrap_or((line, ""));
            let (name, version) = head.trim().split_once(' ').unwrap();
            let fields: String = fields.split(';').map(|field| format!("{}\n", field.trim())).collect();
            let sha256 = Sha256::of(line.as_bytes());
            format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}_{version}.deb\n\
                 Size: 10\nSHA256: {sha256}\n{}\n",
                fields.trim_start()
            )
        };
        packages.iter().map(paragraph).collect()
    }

    pub(crate) fn index(packages: &[&str]) -> Index {
        let mut index = Index::default();
        index.add(&list(packages), Origin::Debian, "list").unwrap();
        index
    }

    #[test]
    fn the_newest_version_comes_first_and_the_same_one_once() {
        let mut index = index(&["a 1.9-1", "a 1.10-1"]);
        index.add(&list(&["a 1.10-1", "a 1.10-1+deb13u1"]), Origin::DebianSecurity, "list").unwrap();
        let versions: Vec<_> = index.named("a").into_iter().map(|id| index.get(id).version.as_str()).collect();
        assert_eq!(versions, ["1.10-1+deb13u1", "1.10-1", "1.9-1"]);
        assert_eq!(index.len(), 3);
    }

    #[test]
    fn providers_satisfy_like_the_package_itself() {
        let index = index(&["a 1", "b 1; Provides: a (= 5), v", "c 1; Provides: a"]);
        let names = |field: &str| {
            let relation = &relation::parse(field).unwrap()[0][0];
            index.satisfying(relation).into_iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("a"), ["a", "b", "c"]);
        assert_eq!(names("a (>= 2)"), ["b"]);
        assert_eq!(names("v"), ["b"]);
        assert_eq!(names("v (>= 1)"), [""; 0]);
    }

    #[test]
    fn a_broken_paragraph_names_package_and_field() {
        let broken = list(&["a 1"]).replace("Size: 10", "Size: ten");
        let error = Index::default().add(&broken, Origin::Debian, "list").unwrap_err();
        assert_eq!(error.to_string(), "list: a has no usable Size");
    }

    #[test]
    fn a_mistyped_name_is_recognised() {
        let index = index(&["iptables 1", "ipset 1"]);
        assert_eq!(index.similar("iptable"), Some("iptables"));
        assert_eq!(index.similar("zzz"), None);
    }
}
