//! Operators' own pages, each text once however many show it, and tenants' maintenance.

use kennel_model::TenantName;
use kennel_model::egress::Network;
use kennel_model::page::{MAX_PAGES_BYTES, Page};
use kennel_model::routing::Maintenance;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{Store, checked, json};
use crate::error::{Error, Result};

/// A tenant's maintenance as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaintenanceRow {
    /// What operators are told of it.
    pub told: Maintenance,
    /// Who is let through.
    pub allow: Vec<Network>,
    /// Its page, among all.
    pub page: Option<i64>,
}

/// All pages, and the one of the host.
pub type Pages = (Vec<(i64, Page)>, Option<i64>);

impl Store {
    /// A tenant's page, or with no name the host's; none takes it away.
    ///
    /// # Errors
    /// [`Error::TooManyPages`], [`Error::NoSuchTenant`], or the database's.
    pub fn set_page(&mut self, of: Option<&TenantName>, page: Option<&Page>) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let id = page.map(|page| keep(&tx, page)).transpose()?;
        let changed = match of {
            Some(name) => {
                tx.execute("UPDATE tenants SET page = ?2 WHERE name = ?1", params![name.as_str(), id])?
            }
            None => tx.execute("UPDATE host SET page = ?1", [id])?,
        };
        if let (Some(name), 0) = (of, changed) {
            return Err(Error::NoSuchTenant(name.to_string()));
        }
        clean(&tx)?;
        Ok(tx.commit()?)
    }

    /// A tenant's page, or with no name the host's.
    ///
    /// # Errors
    /// The database's.
    pub fn page(&mut self, of: Option<&TenantName>) -> Result<Option<Page>> {
        let body: Option<String> = match of {
            Some(name) => {
                let sql = "SELECT body FROM pages JOIN tenants ON pages.id = tenants.page WHERE name = ?1";
                self.db.query_row(sql, [name.as_str()], |row| row.get(0)).optional()?
            }
            None => {
                let sql = "SELECT body FROM pages JOIN host ON pages.id = host.page";
                self.db.query_row(sql, [], |row| row.get(0)).optional()?
            }
        };
        body.map(|body| checked("page", Page::new(body))).transpose()
    }

    /// All of them.
    ///
    /// # Errors
    /// The database's.
    pub fn pages(&mut self) -> Result<Pages> {
        let mut query = self.db.prepare_cached("SELECT id, body FROM pages ORDER BY id")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        let pages = rows.map(|row| {
            let (id, body) = row?;
            Ok((id, checked("page", Page::new(body))?))
        });
        let pages = pages.collect::<Result<_>>()?;
        Ok((pages, self.db.query_row("SELECT page FROM host", [], |row| row.get(0))?))
    }

    /// Begins a tenant's maintenance, changes it, or with none ends it.
    ///
    /// # Errors
    /// [`Error::TooManyPages`], [`Error::NoSuchTenant`], or the database's.
    pub fn set_maintenance(
        &mut self,
        name: &TenantName,
        wish: Option<(&Maintenance, Option<&Page>)>,
    ) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (told, page) = wish.unzip();
        let page = page.flatten().map(|page| keep(&tx, page)).transpose()?;
        let told = told.map(json).transpose()?;
        let sql = "UPDATE tenants SET maintenance = ?2, maintenance_page = ?3 WHERE name = ?1";
        if tx.execute(sql, params![name.as_str(), told, page])? == 0 {
            return Err(Error::NoSuchTenant(name.to_string()));
        }
        clean(&tx)?;
        Ok(tx.commit()?)
    }

    /// Forgets pages that nobody shows any more.
    ///
    /// # Errors
    /// The database's.
    pub(super) fn clean_pages(&mut self) -> Result<()> {
        clean(&self.db)
    }
}

/// What a row of `tenants` says of it.
pub(super) fn maintenance((told, page): (Option<String>, Option<i64>)) -> Result<Option<MaintenanceRow>> {
    let Some(told) = told else { return Ok(None) };
    let told: Maintenance = checked("maintenance", serde_json::from_str(&told))?;
    let allow = told.allow.iter().map(|network| checked("network", network.parse())).collect::<Result<_>>()?;
    Ok(Some(MaintenanceRow { told, allow, page }))
}

/// Its number; the text is there once.
fn keep(db: &Connection, page: &Page) -> Result<i64> {
    db.execute("INSERT OR IGNORE INTO pages (body) VALUES (?1)", [page.as_str()])?;
    Ok(db.query_row("SELECT id FROM pages WHERE body = ?1", [page.as_str()], |row| row.get(0))?)
}

/// Removes what nobody shows, and says whether the rest is within bounds.
fn clean(db: &Connection) -> Result<()> {
    db.execute(
        "DELETE FROM pages WHERE id NOT IN
         (SELECT page FROM tenants WHERE page IS NOT NULL
          UNION SELECT maintenance_page FROM tenants WHERE maintenance_page IS NOT NULL
          UNION SELECT page FROM host WHERE page IS NOT NULL)",
        [],
    )?;
    let sum = "SELECT coalesce(sum(length(CAST(body AS BLOB))), 0) FROM pages";
    let bytes: usize = db.query_row(sum, [], |row| row.get(0))?;
    if bytes > MAX_PAGES_BYTES { Err(Error::TooManyPages) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{store, wish};
    use super::*;

    fn page(text: impl Into<String>) -> Page {
        Page::new(text).unwrap()
    }

    #[test]
    fn a_text_is_kept_once_and_goes_with_the_last_who_shows_it() {
        let mut store = store();
        let [a, b]: [TenantName; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        for name in [&a, &b] {
            store.reserve(&wish(name.as_str(), &format!("{name}.test")), 9).unwrap();
            store.set_page(Some(name), Some(&page("<p>same"))).unwrap();
        }
        store.set_page(None, Some(&page("<p>host"))).unwrap();
        let told = Maintenance { since_s: 7, retry_after_s: 60, allow: vec!["10.0.0.0/8".into()] };
        store.set_maintenance(&b, Some((&told, Some(&page("<p>work"))))).unwrap();
        let (all, host) = store.pages().unwrap();
        let texts: Vec<_> = all.iter().map(|(_, page)| page.as_str()).collect();
        assert_eq!((texts, host), (vec!["<p>same", "<p>host", "<p>work"], Some(all[1].0)));
        let row = store.tenant(&b).unwrap().unwrap();
        assert_eq!((row.page, row.maintenance.as_ref().and_then(|m| m.page)), (Some(all[0].0), Some(all[2].0)));
        assert_eq!(row.maintenance.map(|m| (m.told, m.allow.len())), Some((told, 1)));
        store.set_maintenance(&b, None).unwrap();
        store.set_page(None, None).unwrap();
        store.set_page(Some(&b), None).unwrap();
        assert_eq!(
            (store.page(Some(&a)).unwrap(), store.page(Some(&b)).unwrap()),
            (Some(page("<p>same")), None)
        );
        store.forget(&a).unwrap();
        assert_eq!((store.pages().unwrap(), store.page(None).unwrap()), ((vec![], None), None));
        assert!(matches!(store.set_page(Some(&a), None), Err(Error::NoSuchTenant(_))));
    }

    #[test]
    fn all_together_are_bounded_and_what_is_too_much_changes_nothing() {
        let mut store = store();
        let mut full = None;
        for n in 0..=MAX_PAGES_BYTES / kennel_model::page::MAX_PAGE_BYTES {
            let name: TenantName = format!("t{n}").parse().unwrap();
            store.reserve(&wish(name.as_str(), &format!("{name}.test")), 4096).unwrap();
            let text = format!("{n:05}{}", "x".repeat(kennel_model::page::MAX_PAGE_BYTES - 5));
            full = store.set_page(Some(&name), Some(&page(text))).err().or(full);
        }
        assert!(matches!(full, Some(Error::TooManyPages)));
        assert_eq!(store.pages().unwrap().0.len(), MAX_PAGES_BYTES / kennel_model::page::MAX_PAGE_BYTES);
    }
}
