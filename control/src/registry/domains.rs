//! Rows of domains: what is routed to tenants, and what is sent elsewhere. A domain stands here once, whosever it is.

use std::collections::HashMap;

use kennel_model::places::Places;
use kennel_model::redirect::{self, Redirect};
use kennel_model::routes::MAX_DOMAINS;
use kennel_model::{Domain, TenantName};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{Store, Whose, checked};
use crate::error::{Error, Result};

/// A domain as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRow {
    /// Which.
    pub domain: Domain,
    /// Whether the program gets paths without the domain's.
    pub strip: bool,
    /// Where requests are sent, if not to the program.
    pub redirect: Option<Redirect>,
}

impl From<Domain> for DomainRow {
    fn from(domain: Domain) -> Self {
        Self { domain, strip: false, redirect: None }
    }
}

impl Store {
    /// Adds one, behind a tenant's others.
    ///
    /// # Errors
    /// [`Error::DomainTaken`], [`Error::TooManyDomains`], [`Error::InvalidRedirect`], or the database's; nothing has changed
    /// then.
    pub fn add_domain(&mut self, name: &TenantName, row: &DomainRow) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let tenant: i64 =
            tx.query_row("SELECT id FROM tenants WHERE name = ?1", [name.as_str()], |row| row.get(0))?;
        insert(&tx, tenant, std::slice::from_ref(row))?;
        check(&tx)?;
        Ok(tx.commit()?)
    }

    /// Removes one of a tenant's; answers what it was.
    ///
    /// # Errors
    /// [`Error::NoSuchDomain`] also when it is no redirect and a redirect was meant, or the other way round;
    /// [`Error::InvalidRedirect`] when others would then go round in circles; or the database's.
    pub fn remove_domain(&mut self, name: &TenantName, domain: &Domain, redirect: bool) -> Result<DomainRow> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "DELETE FROM domains WHERE host = ?1 AND path = ?2 AND (target IS NOT NULL) = ?3
                   AND tenant = (SELECT id FROM tenants WHERE name = ?4)
                   RETURNING tenant, host, path, strip, target, permanent, keep_path";
        let wanted = params![domain.host(), domain.path(), redirect, name.as_str()];
        let raw = tx.query_row(sql, wanted, Raw::read).optional()?;
        let gone = raw.ok_or_else(|| Error::NoSuchDomain(domain.to_string(), name.clone()))?.complete()?;
        check(&tx)?;
        tx.commit()?;
        Ok(gone)
    }
}

/// Adds domains behind those that a tenant has.
pub(super) fn insert(db: &Connection, tenant: i64, rows: &[DomainRow]) -> Result<()> {
    let count = |sql, id: Option<i64>| -> Result<usize> {
        Ok(db.query_row(sql, rusqlite::params_from_iter(id), |row| row.get(0))?)
    };
    let own = count("SELECT count(*) FROM domains WHERE tenant = ?1", Some(tenant))?;
    if own + rows.len() > kennel_model::routing::MAX_DOMAINS {
        return Err(Error::TooManyDomains(kennel_model::routing::MAX_DOMAINS, "tenant"));
    }
    if count("SELECT count(*) FROM domains", None)? + rows.len() > MAX_DOMAINS {
        return Err(Error::TooManyDomains(MAX_DOMAINS, "host"));
    }
    let next = "SELECT coalesce(max(position), -1) + 1 FROM domains WHERE tenant = ?1";
    let first: i64 = db.query_row(next, [tenant], |row| row.get(0))?;
    for (position, row) in (first..).zip(rows) {
        let DomainRow { domain, strip, redirect } = row;
        if let Some(owner) = owner(db, domain)? {
            return Err(Error::DomainTaken { domain: domain.clone(), owner });
        }
        let to = redirect.as_ref().map(|redirect| redirect.to.as_str());
        let (permanent, keep_path) = redirect.as_ref().map_or((false, false), |r| (r.permanent, r.keep_path));
        db.execute(
            "INSERT INTO domains (host, path, tenant, position, strip, target, permanent, keep_path)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![domain.host(), domain.path(), tenant, position, strip, to, permanent, keep_path],
        )?;
    }
    Ok(())
}

/// Whether every redirect comes to an end.
pub(super) fn check(db: &Connection) -> Result<()> {
    let any = "SELECT count(*) FROM domains WHERE target IS NOT NULL";
    if db.query_row(any, [], |row| row.get::<_, usize>(0))? == 0 {
        return Ok(());
    }
    let (mut places, mut redirects) = (Places::default(), Vec::new());
    for row in of(db, Whose::All)?.into_values().flatten() {
        let redirect = row.redirect.map(|redirect| (row.domain.clone(), redirect));
        redirects.extend(redirect.clone());
        places.insert(&row.domain, redirect);
    }
    redirects.sort_by(|a, b| a.0.cmp(&b.0));
    redirect::check(&places, &redirects).map_err(|endless| Error::InvalidRedirect(endless.to_string()))
}

/// The domains of those who have any, in their order.
pub(super) fn of(db: &Connection, whose: Whose) -> Result<HashMap<i64, Vec<DomainRow>>> {
    let sql = "SELECT tenant, host, path, strip, target, permanent, keep_path FROM domains WHERE TRUE";
    let rows = whose.rows(db, sql, "position", Raw::read)?;
    let complete = |(tenant, rows): (i64, Vec<Raw>)| {
        Ok((tenant, rows.into_iter().map(Raw::complete).collect::<Result<_>>()?))
    };
    rows.into_iter().map(complete).collect()
}

fn owner(db: &Connection, domain: &Domain) -> Result<Option<TenantName>> {
    let sql =
        "SELECT name FROM tenants JOIN domains ON tenants.id = domains.tenant WHERE host = ?1 AND path = ?2";
    let name: Option<String> =
        db.query_row(sql, [domain.host(), domain.path()], |row| row.get(0)).optional()?;
    name.map(|name| checked("name", name.parse())).transpose()
}

/// A row as SQLite has it, before the texts are checked.
struct Raw {
    domain: String,
    strip: bool,
    target: Option<String>,
    permanent: bool,
    keep_path: bool,
}

impl Raw {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            domain: row.get::<_, String>(1)? + &row.get::<_, String>(2)?,
            strip: row.get(3)?,
            target: row.get(4)?,
            permanent: row.get(5)?,
            keep_path: row.get(6)?,
        })
    }

    fn complete(self) -> Result<DomainRow> {
        let Self { domain, strip, target, permanent, keep_path } = self;
        let redirect = target.map(|target| -> Result<_> {
            Ok(Redirect { to: checked("redirect", target.parse())?, permanent, keep_path })
        });
        Ok(DomainRow { domain: checked("domain", domain.parse())?, strip, redirect: redirect.transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{store, wish};
    use super::*;

    fn row(domain: &str) -> DomainRow {
        DomainRow::from(domain.parse::<Domain>().unwrap())
    }

    fn redirect(from: &str, to: &str) -> DomainRow {
        let redirect = Redirect { to: to.parse().unwrap(), permanent: true, keep_path: true };
        DomainRow { redirect: Some(redirect), ..row(from) }
    }

    #[test]
    fn a_domain_is_one_tenants_and_comes_back_as_it_was_given() {
        let mut store = store();
        let [a, b]: [TenantName; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        store.reserve(&wish("a", "a.test"), 9).unwrap();
        store.reserve(&wish("b", "b.test"), 9).unwrap();
        let given = [
            DomainRow { strip: true, ..row("a.test/shop") },
            row("*.a.test"),
            redirect("www.a.test", "https://a.test"),
        ];
        for row in &given {
            store.add_domain(&a, row).unwrap();
        }
        let kept = store.tenant(&a).unwrap().unwrap().domains;
        assert_eq!(kept[1..], given);
        for taken in ["a.test", "a.test/shop", "*.a.test", "www.a.test"] {
            let error = store.add_domain(&b, &row(taken)).unwrap_err();
            assert_eq!(error.to_string(), format!("the domain {taken} belongs to the tenant a"));
        }
        store.add_domain(&b, &row("a.test/blog")).unwrap();
        for (name, domain, is_redirect) in
            [(&b, "a.test/shop", false), (&a, "www.a.test", false), (&a, "a.test", true), (&a, "x.test", false)]
        {
            let gone = store.remove_domain(name, &domain.parse().unwrap(), is_redirect);
            assert!(matches!(gone, Err(Error::NoSuchDomain(..))), "{domain}");
        }
        assert_eq!(store.remove_domain(&a, &"www.a.test".parse().unwrap(), true).unwrap(), given[2]);
        assert_eq!(store.remove_domain(&a, &"a.test/shop".parse().unwrap(), false).unwrap(), given[0]);
        store.forget(&a).unwrap();
        store.add_domain(&b, &row("*.a.test")).unwrap();
    }

    #[test]
    fn redirects_that_do_not_end_leave_nothing() {
        let mut store = store();
        let a = "a".parse().unwrap();
        store.reserve(&wish("a", "www.a.test"), 9).unwrap();
        store.add_domain(&a, &redirect("*.a.test", "https://www.a.test")).unwrap();
        let before = store.tenant(&a).unwrap();
        let round = store.add_domain(&a, &redirect("a.test", "https://a.test/x")).unwrap_err();
        assert!(round.to_string().contains("round in circles: a.test → a.test"), "{round}");
        let last = store.remove_domain(&a, &"www.a.test".parse().unwrap(), false).unwrap_err();
        assert!(last.to_string().contains("*.a.test → *.a.test"), "{last}");
        assert_eq!(store.tenant(&a).unwrap(), before);
    }

    #[test]
    fn they_are_bounded() {
        let mut store = store();
        let a = "a".parse().unwrap();
        store.reserve(&wish("a", "a.test"), 9).unwrap();
        for n in 1..kennel_model::routing::MAX_DOMAINS {
            store.add_domain(&a, &row(&format!("a{n}.test"))).unwrap();
        }
        let error = store.add_domain(&a, &row("one-more.test")).unwrap_err();
        assert!(matches!(error, Error::TooManyDomains(64, "tenant")));
    }
}
