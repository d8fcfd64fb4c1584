//! `tests/coverage.keep`: why rights stay that no scenario uses. Paragraphs: a reason in words, and indented below it the
//! rights that it is for, a line of `source target class permission…` each. In place of a word can stand several,
//! divided by `|`, and each can end in a star, which stands for any end. The first line that fits counts.

use crate::rights::{Rights, Vector};

/// All reasons.
pub(crate) struct Keep {
    /// In the file's order.
    pub reasons: Vec<Reason>,
}

/// One paragraph.
pub(crate) struct Reason {
    /// Why.
    pub why: String,
    patterns: Vec<Pattern>,
}

struct Pattern {
    line: String,
    words: Vec<String>,
}

impl Keep {
    /// # Errors
    /// A line that is neither a comment nor a part of a paragraph as described above.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reasons: Vec<Reason> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match (line.strip_prefix("    "), reasons.last_mut()) {
                (None, Some(reason)) if reason.patterns.is_empty() => {
                    reason.why.push(' ');
                    reason.why.push_str(line);
                }
                (None, _) => reasons.push(Reason { why: line.to_owned(), patterns: Vec::new() }),
                (Some(rights), Some(reason)) => reason.patterns.push(Pattern::parse(rights)?),
                (Some(rights), None) => return Err(format!("no reason: {rights}")),
            }
        }
        match reasons.iter().find(|reason| reason.patterns.is_empty()) {
            Some(reason) => Err(format!("a reason for nothing: {}", reason.why)),
            None => Ok(Self { reasons }),
        }
    }

    /// Where in the list the reason for this right is.
    pub(crate) fn reason(&self, vector: &Vector, permission: &str) -> Option<usize> {
        self.reasons.iter().position(|reason| reason.patterns.iter().any(|p| p.covers(vector, permission)))
    }

    /// Lines that are for none of these rights.
    pub(crate) fn idle(&self, rights: &Rights) -> impl Iterator<Item = &str> {
        let patterns = self.reasons.iter().flat_map(|reason| &reason.patterns);
        let idle = patterns.filter(|pattern| !rights.each().any(|(vector, p)| pattern.covers(vector, p)));
        idle.map(|pattern| pattern.line.as_str())
    }
}

impl Pattern {
    fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if words.len() < 4 {
            return Err(format!("not source, target, class and permissions: {line}"));
        }
        Ok(Self { line: line.to_owned(), words })
    }

    fn covers(&self, vector: &Vector, permission: &str) -> bool {
        let [source, target, class, permissions @ ..] = self.words.as_slice() else { return false };
        fits(source, &vector.source)
            && fits(target, &vector.target)
            && fits(class, &vector.class)
            && permissions.iter().any(|pattern| fits(pattern, permission))
    }
}

fn fits(pattern: &str, word: &str) -> bool {
    let one =
        |pattern: &str| pattern.strip_suffix('*').map_or(pattern == word, |start| word.starts_with(start));
    pattern.split('|').any(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(source: &str, target: &str) -> Vector {
        Vector { source: source.into(), target: target.into(), class: "file".into() }
    }

    #[test]
    fn reasons_cover_what_they_name() {
        let keep = Keep::parse(
            "# about\nBecause\nof this.\n    a_t|x_t b_* file write lock\n\nOr that.\n    a_t * * *\n",
        );
        let keep = keep.unwrap();
        assert_eq!(keep.reasons[0].why, "Because of this.");
        for (source, target, permission, reason) in [
            ("a_t", "b_t", "lock", Some(0)),
            ("x_t", "b_t", "write", Some(0)),
            ("a_t", "c_t", "lock", Some(1)),
            ("x_t", "b_t", "read", None),
        ] {
            assert_eq!(
                keep.reason(&vector(source, target), permission),
                reason,
                "{source} {target} {permission}"
            );
        }
    }

    #[test]
    fn what_is_no_reason_for_a_right_is_refused() {
        for text in ["    a_t b_t file write\n", "Why.\n    a_t b_t file\n", "Why.\n    a b c d\nAnd why?\n"] {
            assert!(Keep::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_line_without_a_right_is_found() {
        let rights = Rights([(vector("a_t", "b_t"), ["read".to_owned()].into())].into());
        let keep = Keep::parse("Why.\n    a_t b_t file read\n    a_t b_t file write\n").unwrap();
        assert_eq!(keep.idle(&rights).collect::<Vec<_>>(), ["a_t b_t file write"]);
    }
}
