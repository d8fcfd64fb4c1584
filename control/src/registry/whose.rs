//! Rows that belong to tenants, read for one of them or, in one question, for all: a question for each would be most of what
//! a host with a thousand does.

use std::collections::HashMap;

use rusqlite::{Connection, Row, params_from_iter};

use crate::error::Result;

/// Whose rows are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    /// This tenant's.
    One(i64),
    /// All tenants'.
    All,
}

impl Whose {
    /// Rows by their first column, which is the tenant. `sql` ends with a condition.
    pub(super) fn rows<T>(
        self,
        db: &Connection,
        sql: &str,
        order: &str,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<HashMap<i64, Vec<T>>> {
        let (condition, one) = match self {
            Self::One(id) => ("AND tenant = ?1", Some(id)),
            Self::All => ("", None),
        };
        let mut query = db.prepare_cached(&format!("{sql} {condition} ORDER BY tenant, {order}"))?;
        let mut rows = query.query(params_from_iter(one))?;
        let mut found: HashMap<i64, Vec<T>> = HashMap::new();
        while let Some(row) = rows.next()? {
            found.entry(row.get(0)?).or_default().push(read(row)?);
        }
        Ok(found)
    }
}
