//! Finds the rules that nobody needs: compares what the policy allows (`policy-report.json`, which lies beside an image)
//! with what was asked of SELinux while the scenarios ran on a host whose policy allows nothing and refuses nothing
//! (`tests/coverage.sh`). Slots are taken together. What was never asked and has no reason in `tests/coverage.keep` is
//! printed, and makes it fail.
//!
//! `kennel-coverage REPORT.json KEEP CONSOLE…` writes the page `docs/unused-rules.md` to standard output.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;

use serde::Deserialize;

/// The part of the report that is of use here.
#[derive(Deserialize)]
struct Report {
    domains: Vec<Domain>,
}

#[derive(Deserialize)]
struct Domain {
    domain: String,
    access: Vec<Access>,
}

#[derive(Deserialize)]
struct Access {
    target: String,
    class: String,
    permissions: Vec<String>,
}

/// Who, on what, of which class.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Vector {
    source: String,
    target: String,
    class: String,
}

type Permissions = BTreeMap<Vector, BTreeSet<String>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [report, keep, consoles @ ..] = arguments.as_slice() else {
        eprintln!("usage: kennel-coverage REPORT.json KEEP CONSOLE…");
        return ExitCode::FAILURE;
    };
    match run(report, keep, consoles) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(unexplained) => {
            eprintln!("{unexplained} rights were never used and have no reason in {keep}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(report: &str, keep: &str, consoles: &[String]) -> Result<usize, String> {
    let report: Report = serde_json::from_str(&read(report)?).map_err(|e| format!("{report}: {e}"))?;
    let keep = Keep::parse(&read(keep)?)?;
    let mut used = Permissions::new();
    for console in consoles {
        read(console)?.lines().filter_map(asked).for_each(|(vector, permissions)| {
            used.entry(vector).or_default().extend(permissions);
        });
    }
    if used.is_empty() {
        return Err("no console has a line of SELinux: was the coverage image booted?".to_owned());
    }
    let allowed = allowed(&report);
    let unused = unused(&allowed, &used);
    let stale = keep.reasons.iter().filter(|reason| !unused.iter().any(|(v, p)| reason.covers(v, p)));
    for reason in stale {
        eprintln!("not needed any more in the list: {}", reason.line);
    }
    let (explained, unexplained): (Vec<_>, Vec<_>) =
        unused.into_iter().partition(|(v, permission)| keep.reason(v, permission).is_some());
    print!("{}", page(&allowed, &explained, &unexplained, &keep));
    Ok(unexplained.len())
}

fn read(path: &str) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|e| format!("cannot read {path}: {e}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn allowed(report: &Report) -> Permissions {
    let mut allowed = Permissions::new();
    for domain in &report.domains {
        for access in &domain.access {
            let target = if access.target == "self" { &domain.domain } else { &access.target };
            let vector =
                Vector { source: domain.domain.clone(), target: target.clone(), class: access.class.clone() };
            allowed.entry(vector).or_default().extend(access.permissions.iter().cloned());
        }
    }
    allowed
}

/// What a line of the kernel's log says was asked: `avc:  denied  { read } for … scontext=… tcontext=… tclass=file`.
fn asked(line: &str) -> Option<(Vector, Vec<String>)> {
    let (_, rest) = line.split_once("avc:  denied  { ")?;
    let (permissions, rest) = rest.split_once(" }")?;
    let field = |name: &str| rest.split_whitespace().find_map(|word| word.strip_prefix(name));
    let of_type = |context: &str| context.split(':').nth(2).map(any_slot);
    let vector = Vector {
        source: of_type(field("scontext=")?)?,
        target: of_type(field("tcontext=")?)?,
        class: field("tclass=")?.to_owned(),
    };
    Some((vector, permissions.split_whitespace().map(str::to_owned).collect()))
}

/// A slot's type with its digits taken out, as the report writes it.
fn any_slot(name: &str) -> String {
    match name.strip_prefix("tenant").and_then(|rest| rest.split_at_checked(4)) {
        Some((digits, rest)) if digits.bytes().all(|b| b.is_ascii_digit()) => format!("tenantNNNN{rest}"),
        _ => name.to_owned(),
    }
}

fn unused(allowed: &Permissions, used: &Permissions) -> Vec<(Vector, String)> {
    let none = BTreeSet::new();
    let each = allowed.iter().flat_map(|(vector, permissions)| {
        let used = used.get(vector).unwrap_or(&none);
        permissions.difference(used).map(|permission| (vector.clone(), permission.clone()))
    });
    each.collect()
}

/// Reasons why a right stays that no scenario uses.
struct Keep {
    reasons: Vec<Reason>,
}

/// `source target class permission… : why`, where `*` stands for anything, also within a word's end.
struct Reason {
    line: String,
    words: Vec<String>,
    why: String,
}

impl Keep {
    fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let reasons = lines.map(|line| {
            let (words, why) = line.split_once(" : ").ok_or(format!("no reason: {line}"))?;
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            if words.len() < 4 {
                return Err(format!("not source, target, class and permissions: {line}"));
            }
            Ok(Reason { line: line.to_owned(), words, why: why.to_owned() })
        });
        Ok(Self { reasons: reasons.collect::<Result<_, String>>()? })
    }

    fn reason(&self, vector: &Vector, permission: &str) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.covers(vector, permission))
    }
}

impl Reason {
    fn covers(&self, vector: &Vector, permission: &str) -> bool {
        let [source, target, class, permissions @ ..] = self.words.as_slice() else { return false };
        fits(source, &vector.source)
            && fits(target, &vector.target)
            && fits(class, &vector.class)
            && permissions.iter().any(|pattern| fits(pattern, permission))
    }
}

fn fits(pattern: &str, word: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == word, |start| word.starts_with(start))
}

fn page(
    allowed: &Permissions,
    explained: &[(Vector, String)],
    unexplained: &[(Vector, String)],
    keep: &Keep,
) -> String {
    let rights: usize = allowed.values().map(BTreeSet::len).sum();
    let used = rights - explained.len() - unexplained.len();
    let mut page = format!(
        "# Rules that nobody uses\n\nMade by `tests/coverage.sh`; slots are taken together. Of {rights} rights (one permission \
         of one domain on one type) the scenarios used {used}. {} more are kept for the reasons below; {} have neither \
         use nor reason.\n\n",
        explained.len(),
        unexplained.len(),
    );
    if !unexplained.is_empty() {
        page.push_str("## Neither used nor explained\n\n");
        page.push_str(&table(unexplained));
    }
    page.push_str("## Kept although no scenario uses them\n\n");
    for reason in &keep.reasons {
        let theirs = explained.iter().filter(|(v, p)| keep.reason(v, p).is_some_and(|r| r.line == reason.line));
        let theirs: Vec<_> = theirs.cloned().collect();
        if !theirs.is_empty() {
            page.push_str(&format!("{}:\n\n{}", reason.why, table(&theirs)));
        }
    }
    page
}

/// One line for each vector.
fn table(rights: &[(Vector, String)]) -> String {
    let mut lines: BTreeMap<&Vector, Vec<&str>> = BTreeMap::new();
    for (vector, permission) in rights {
        lines.entry(vector).or_default().push(permission);
    }
    let mut text = String::from("| domain | type | class | permissions |\n|---|---|---|---|\n");
    for (vector, permissions) in lines {
        let Vector { source, target, class } = vector;
        text.push_str(&format!("| {source} | {target} | {class} | {} |\n", permissions.join(" ")));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "[    5.1] audit: type=1400 audit(1795249808.239:3): avc:  denied  { open read } for  pid=1 comm=\"x\" \
                        path=\"/a\" scontext=system_u:system_r:tenant0012_t tcontext=system_u:object_r:tenant0012_data_t \
                        tclass=file permissive=1";

    fn vector(source: &str, target: &str) -> Vector {
        Vector { source: source.into(), target: target.into(), class: "file".into() }
    }

    #[test]
    fn a_line_says_what_was_asked() {
        let (asked, permissions) = asked(LINE).unwrap();
        assert_eq!(asked, vector("tenantNNNN_t", "tenantNNNN_data_t"));
        assert_eq!(permissions, ["open", "read"]);
        assert!(super::asked("init: ready").is_none());
    }

    #[test]
    fn what_was_not_asked_is_unused() {
        let v = vector("a_t", "b_t");
        let allowed = Permissions::from([(v.clone(), BTreeSet::from(["read".into(), "write".into()]))]);
        let used = Permissions::from([(v.clone(), BTreeSet::from(["read".into()]))]);
        assert_eq!(unused(&allowed, &used), [(v, "write".to_owned())]);
    }

    #[test]
    fn reasons_cover_what_they_name() {
        let keep = Keep::parse("# why\na_t b_* file write lock : because\n").unwrap();
        assert!(keep.reason(&vector("a_t", "b_t"), "lock").is_some());
        assert!(keep.reason(&vector("a_t", "c_t"), "lock").is_none());
        assert!(keep.reason(&vector("a_t", "b_t"), "read").is_none());
        assert!(Keep::parse("a_t b_t file write because").is_err());
        assert!(Keep::parse("a_t b_t : because").is_err());
    }
}
