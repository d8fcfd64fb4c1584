//! Which packages a tree needs: dependencies, alternatives, what provides what, and conflicts, solved by resolvo. Like
//! apt without recommendations, with two differences: essential packages do not come by themselves, and what the spec
//! lists under `without` counts as there.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use resolvo::utils::{Pool, VersionSet};
use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, DenseIndex, Dependencies, DependencyProvider,
    Interner, KnownDependencies, NameId, Problem, Requirement, SolvableId, Solver, SolverCache, StringId,
    UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};

use super::index::{CandidateId, Index};
use super::relation::{self, Relation};

/// Why there is no set of packages.
#[derive(Debug, thiserror::Error)]
pub enum SolveError {
    /// The spec names a package that the archive does not have.
    #[error("{set}: the archive has no package {name:?}")]
    Unknown {
        /// Which tree.
        set: String,
        /// The name in the spec.
        name: String,
        /// A name that exists.
        similar: Option<String>,
    },
    /// The packages cannot be had together.
    #[error("{set}: no set of packages satisfies all dependencies\n{why}")]
    Unsatisfiable {
        /// Which tree.
        set: String,
        /// The chain of reasons, over several lines.
        why: String,
    },
}

impl SolveError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { similar: Some(similar), .. } => format!("did you mean `{similar}`?"),
            Self::Unknown { similar: None, .. } => "check its name on https://packages.debian.org".into(),
            Self::Unsatisfiable { .. } => {
                "list in `without` what the image can do without, or choose other packages".into()
            }
        }
    }
}

/// Solves for one tree. The result is in no particular order.
///
/// # Errors
/// [`SolveError`], in words that a person can act on.
pub(super) fn solve(
    index: &Index,
    set: &str,
    packages: &[String],
    without: &[String],
) -> Result<Vec<CandidateId>, SolveError> {
    let provider = Provider::new(index, without);
    for name in packages.iter().chain(without) {
        if index.satisfying(&Relation { name, bound: None }).is_empty() {
            let similar = index.similar(name).map(str::to_owned);
            return Err(SolveError::Unknown { set: set.to_owned(), name: name.clone(), similar });
        }
    }
    let wanted = |name: &String| provider.require(&[Relation { name, bound: None }]);
    let problem = Problem::new().requirements(packages.iter().map(wanted).collect());
    let mut solver = Solver::new(provider);
    match solver.solve(problem) {
        Ok(chosen) => Ok(chosen.into_iter().map(|id| solver.provider().candidate(id)).collect()),
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            let why = conflict.display_user_friendly(&solver).to_string().trim_end().to_owned();
            Err(SolveError::Unsatisfiable { set: set.to_owned(), why })
        }
        // We never cancel.
        Err(UnsolvableOrCancelled::Cancelled(_)) => {
            Err(SolveError::Unsatisfiable { set: set.to_owned(), why: "cancelled".into() })
        }
    }
}

/// Some candidates of one package: those listed, or all but those.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Choice {
    ids: Vec<CandidateId>,
    all_but: bool,
    /// How it is shown behind the package's name.
    shown: String,
}

impl VersionSet for Choice {
    type V = CandidateId;
}

/// What resolvo asks, answered from the index.
struct Provider<'a> {
    index: &'a Index,
    without: HashSet<&'a str>,
    pool: Pool<Choice, String>,
    /// Candidates that resolvo knows, so that none gets two numbers.
    known: RefCell<HashMap<CandidateId, SolvableId>>,
}

impl<'a> Provider<'a> {
    fn new(index: &'a Index, without: &'a [String]) -> Self {
        let without = without.iter().map(String::as_str).collect();
        Self { index, without, pool: Pool::new(), known: RefCell::default() }
    }

    fn candidate(&self, id: SolvableId) -> CandidateId {
        self.pool.resolve_solvable(id).record
    }

    fn solvable(&self, name: NameId, id: CandidateId) -> SolvableId {
        *self.known.borrow_mut().entry(id).or_insert_with(|| self.pool.intern_solvable(name, id))
    }

    /// One of these must be there.
    fn require(&self, alternatives: &[Relation<'_>]) -> ConditionalRequirement {
        let mut sets: Vec<VersionSetId> = Vec::new();
        for relation in alternatives {
            for (name, ids) in self.index.satisfying(relation) {
                sets.push(self.set(name, Choice { ids, all_but: false, shown: shown(relation, name) }));
            }
        }
        let requirement = match sets[..] {
            [] => {
                // Nothing satisfies it: say so under the name that was asked for.
                let first = alternatives.first();
                let (name, shown) = first.map_or(("nothing", String::new()), |r| (r.name, shown(r, r.name)));
                Requirement::Single(self.set(name, Choice { ids: Vec::new(), all_but: false, shown }))
            }
            [only] => Requirement::Single(only),
            [first, ref others @ ..] => {
                Requirement::Union(self.pool.intern_version_set_union(first, others.iter().copied()))
            }
        };
        requirement.into()
    }

    fn set(&self, name: &str, set: Choice) -> VersionSetId {
        self.pool.intern_version_set(self.pool.intern_package_name(name.to_owned()), set)
    }

    /// Whether the spec says that one of these is to be treated as there.
    fn taken_as_there(&self, alternatives: &[Relation<'_>]) -> bool {
        !self.without.is_empty()
            && alternatives.iter().any(|relation| {
                self.without.contains(relation.name)
                    || self.index.satisfying(relation).iter().any(|(name, _)| self.without.contains(name))
            })
    }

    fn dependencies_of(&self, id: CandidateId) -> Option<KnownDependencies> {
        let candidate = self.index.get(id);
        let depends = relation::parse(&candidate.depends)?;
        let conflicts = relation::parse(&candidate.conflicts)?;
        let needed = depends.iter().filter(|group| !self.taken_as_there(group));
        let requirements = needed.map(|group| self.require(group)).collect();
        let mut constrains = Vec::new();
        for relation in conflicts.iter().flatten() {
            for (name, ids) in self.index.satisfying(relation) {
                // A package may provide a name and conflict with it, to be the only provider.
                if name != candidate.name {
                    let shown = format!("not {}", shown(relation, name));
                    constrains.push(self.set(name, Choice { ids, all_but: true, shown }));
                }
            }
        }
        Some(KnownDependencies { requirements, constrains })
    }
}

/// What a relation demands of the package of this name.
fn shown(relation: &Relation<'_>, name: &str) -> String {
    match relation.to_string() {
        text if relation.name == name => text[name.len()..].trim().to_owned(),
        text => format!("as {text}"),
    }
}

impl Interner for Provider<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, id: SolvableId) -> impl Display + '_ {
        &self.index.get(self.candidate(id)).version
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.pool.resolve_package_name(name)
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        &self.pool.resolve_version_set(set).shown
    }

    fn display_string(&self, id: StringId) -> impl Display + '_ {
        self.pool.resolve_string(id)
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        self.pool.resolve_version_set_package_name(set)
    }

    fn solvable_name(&self, id: SolvableId) -> NameId {
        self.pool.resolve_solvable(id).name
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.pool.resolve_version_set_union(union)
    }

    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        self.pool.resolve_condition(condition).clone()
    }
}

impl DependencyProvider for Provider<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let set = self.pool.resolve_version_set(set);
        let within = |id: &SolvableId| set.ids.contains(&self.candidate(*id)) != set.all_but;
        candidates.iter().copied().filter(|id| within(id) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let ids = self.index.named(self.pool.resolve_package_name(name));
        let candidates: Vec<_> = ids.into_iter().map(|id| self.solvable(name, id)).collect();
        (!candidates.is_empty()).then(|| Candidates { candidates, ..Candidates::default() })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        // All of one package, and numbered when the index gave them: the newest first.
        solvables.sort_by_key(|id| id.to_index());
    }

    async fn get_dependencies(&self, id: SolvableId) -> Dependencies {
        match self.dependencies_of(self.candidate(id)) {
            Some(known) => Dependencies::Known(known),
            None => Dependencies::Unknown(self.pool.intern_string("its dependencies are malformed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::index::tests::index;

    fn solved(archive: &[&str], packages: &str, without: &str) -> Result<Vec<String>, SolveError> {
        let index = index(archive);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let ids = solve(&index, "host", &words(packages), &words(without))?;
        let mut names: Vec<_> =
            ids.into_iter().map(|id| format!("{} {}", index.get(id).name, index.get(id).version)).collect();
        names.sort();
        Ok(names)
    }

    #[test]
    fn dependencies_follow_in_their_newest_version() {
        let archive = [
            "a 1; Depends: b (>= 1), c; Pre-Depends: d",
            "b 1",
            "b 2",
            "b 10",
            "c 1",
            "d 1",
            "e 1; Essential: yes",
        ];
        assert_eq!(solved(&archive, "a", "").unwrap(), ["a 1", "b 10", "c 1", "d 1"]);
    }

    #[test]
    fn the_first_alternative_is_taken_unless_it_cannot_be() {
        let archive = ["a 1; Depends: x | b | c", "b 1", "c 1", "n 1; Conflicts: b"];
        assert_eq!(solved(&archive, "a", "").unwrap(), ["a 1", "b 1"]);
        assert_eq!(solved(&archive, "a n", "").unwrap(), ["a 1", "c 1", "n 1"]);
        // One that is there anyway wins over one that would be added.
        assert_eq!(solved(&archive, "a b", "").unwrap(), ["a 1", "b 1"]);
    }

    #[test]
    fn provided_names_count_with_their_version_only() {
        let archive = ["a 1; Depends: v (>= 2)", "p 1; Provides: v", "q 1; Provides: v (= 2)"];
        assert_eq!(solved(&archive, "a", "").unwrap(), ["a 1", "q 1"]);
        let archive = ["m 1; Provides: mta; Conflicts: mta", "n 1; Provides: mta; Conflicts: mta"];
        assert_eq!(solved(&archive, "m", "").unwrap(), ["m 1"]);
        assert!(matches!(solved(&archive, "m n", ""), Err(SolveError::Unsatisfiable { .. })));
    }

    #[test]
    fn an_older_version_is_taken_when_the_newest_is_broken_by_another() {
        let archive = ["a 1; Breaks: b (>> 1)", "b 1", "b 2"];
        assert_eq!(solved(&archive, "a b", "").unwrap(), ["a 1", "b 1"]);
    }

    #[test]
    fn what_we_do_without_counts_as_there() {
        let archive = [
            "a 1; Depends: debconf (>= 0.5) | debconf-2.0, perlapi-5, b",
            "b 1",
            "debconf 1; Depends: c",
            "c 1",
            "perl 5; Provides: perlapi-5",
            "cdebconf 1; Provides: debconf-2.0",
        ];
        assert_eq!(solved(&archive, "a", "debconf perl").unwrap(), ["a 1", "b 1"]);
        assert_eq!(solved(&archive, "a", "perl").unwrap(), ["a 1", "b 1", "c 1", "debconf 1"]);
    }

    #[test]
    fn the_reason_of_a_conflict_names_who_wants_what() {
        let archive = ["a 1; Depends: c (>= 2)", "b 1; Depends: c (<< 2)", "c 1", "c 2"];
        let SolveError::Unsatisfiable { set, why } = solved(&archive, "a b", "").unwrap_err() else { panic!() };
        assert_eq!(set, "host");
        for word in ["a", "b", "c (>= 2)", "c (<< 2)"] {
            assert!(why.contains(word), "{word} in {why}");
        }
        let SolveError::Unsatisfiable { why, .. } =
            solved(&["a 1; Depends: nope (>= 3)"], "a", "").unwrap_err()
        else {
            panic!()
        };
        assert!(why.contains("nope (>= 3)"), "{why}");
    }

    #[test]
    fn names_that_do_not_exist_are_asked_about() {
        let error = solved(&["iptables 1"], "iptable", "").unwrap_err();
        assert_eq!(error.to_string(), "host: the archive has no package \"iptable\"");
        assert_eq!(error.hint(), "did you mean `iptables`?");
        assert!(matches!(solved(&["a 1"], "a", "debcnf"), Err(SolveError::Unknown { similar: None, .. })));
    }
}
