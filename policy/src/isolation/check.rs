//! Holds the policy's claims against the table: every `neverallow` of ours serves some row, and says which. A paragraph of
//! the sources (lines up to an empty one) that has `neverallow`s has a comment before them: `; rows: id id …`.

use super::{BadTable, Table, table};
use crate::Rendered;
use crate::render::is_ours;

/// A claim of the policy that the table knows nothing of.
#[derive(Debug, thiserror::Error)]
pub enum Unmatched {
    /// The table itself cannot be used.
    #[error(transparent)]
    Table(#[from] BadTable),
    /// It serves no row.
    #[error("{file}, line {line}: a neverallow without a `; rows:` comment above it in its paragraph")]
    NoRows {
        /// Which source.
        file: String,
        /// Counted from 1.
        line: usize,
    },
    /// It is said to serve a row that is not there.
    #[error("{file}, line {line}: isolation.toml has no row {id}")]
    Unknown {
        /// Which source.
        file: String,
        /// Counted from 1.
        line: usize,
        /// The row's supposed name.
        id: String,
    },
}

/// Checks the table, and the rendered policy's own sources against it. What an image adds may claim what it likes.
///
/// # Errors
/// The first [`Unmatched`] claim.
pub fn check(rendered: &Rendered) -> Result<Table, Unmatched> {
    let table = table()?;
    for source in rendered.cil.iter().filter(|source| is_ours(&source.name)) {
        claims(&table, &source.name, &source.text)?;
    }
    Ok(table)
}

fn claims(table: &Table, file: &str, text: &str) -> Result<(), Unmatched> {
    let mut named = false;
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let line = line.trim();
        if line.is_empty() {
            named = false;
        } else if let Some(ids) = line.strip_prefix("; rows:") {
            let mut ids = ids.split_whitespace();
            if let Some(id) = ids.clone().find(|id| table.row(id).is_none()) {
                return Err(Unmatched::Unknown { file: file.to_owned(), line: line_number, id: id.to_owned() });
            }
            named = ids.next().is_some();
        } else if line.starts_with("(neverallow") && !named {
            return Err(Unmatched::NoRows { file: file.to_owned(), line: line_number });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> String {
        let table = table().unwrap();
        let id = table.rows[0].id.clone();
        let verdict = claims(&table, "a.cil", &text.replace("FIRST", &id));
        verdict.map_or_else(|error| error.to_string(), |()| "matched".to_owned())
    }

    #[test]
    fn a_claim_names_its_rows_in_its_paragraph() {
        assert_eq!(verdict("; why\n; rows: FIRST FIRST\n(neverallow a b c)\n(neverallow a b d)"), "matched");
        assert_eq!(verdict("(allow a b c)\n"), "matched");
        assert!(verdict("; why\n(neverallow a b c)").starts_with("a.cil, line 2: a neverallow without"));
        assert!(verdict("; rows: FIRST\n(neverallow a b c)\n\n(neverallow a b d)").contains("line 4"));
        assert!(verdict("; rows:\n(neverallow a b c)").contains("line 2"));
        assert!(verdict("; rows: FIRST gone\n(neverallow a b c)").ends_with("no row gone"));
    }
}
