//! What is routed to whom: domains, and redirects. The whole table is published with each change. A domain is one tenant's; which
//! tenant may have which is the operators' affair: they are told what a new one takes from others, and nothing is asked.

use std::cmp::Ordering;

use kennel_model::redirect::Redirect;
use kennel_model::routing::{DomainChange, DomainOf, NewDomain, NewRedirect, RedirectChange, RedirectOf};
use kennel_model::{Domain, TenantName};

use crate::control::Control;
use crate::error::{Error, Result};
use crate::registry::DomainRow;

impl Control {
    /// All domains that lead to programs, in order.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) async fn domains(&self) -> Result<Vec<DomainOf>> {
        let all = self.all_domains().await?.into_iter().filter(|(_, row)| row.redirect.is_none());
        Ok(all.map(|(tenant, row)| shown(tenant, row)).collect())
    }

    /// All redirects, in order of what they are for.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) async fn redirects(&self) -> Result<Vec<RedirectOf>> {
        Ok(self.all_domains().await?.into_iter().filter_map(|(tenant, row)| sent(tenant, row)).collect())
    }

    /// Routes a domain to a tenant; it is in the table when this returns.
    ///
    /// # Errors
    /// [`Error::DomainTaken`] and others.
    pub(crate) async fn add_domain(&self, name: &TenantName, wish: NewDomain) -> Result<DomainChange> {
        if wish.strip && wish.domain.path().is_empty() {
            return Err(Error::BadRequest(format!("{} has no path that could be taken off", wish.domain)));
        }
        let row = DomainRow { domain: wish.domain, strip: wish.strip, redirect: None };
        let notes = self.add_row(name, &row).await?;
        Ok(DomainChange { domain: shown(name.clone(), row), notes })
    }

    /// Routes a domain no longer.
    ///
    /// # Errors
    /// [`Error::NoSuchDomain`] and others.
    pub(crate) async fn remove_domain(&self, name: &TenantName, domain: Domain) -> Result<DomainChange> {
        let (row, notes) = self.remove_row(name, domain, false).await?;
        Ok(DomainChange { domain: shown(name.clone(), row), notes })
    }

    /// Sends a domain's requests elsewhere.
    ///
    /// # Errors
    /// [`Error::DomainTaken`], [`Error::InvalidRedirect`] and others.
    pub(crate) async fn add_redirect(&self, name: &TenantName, wish: NewRedirect) -> Result<RedirectChange> {
        let (domain, redirect): (Domain, Redirect) = wish.into();
        let row = DomainRow { domain, strip: false, redirect: Some(redirect) };
        let notes = self.add_row(name, &row).await?;
        let redirect = sent(name.clone(), row).ok_or_else(lost)?;
        Ok(RedirectChange { redirect, notes })
    }

    /// Sends them there no longer.
    ///
    /// # Errors
    /// [`Error::NoSuchDomain`] and others.
    pub(crate) async fn remove_redirect(&self, name: &TenantName, domain: Domain) -> Result<RedirectChange> {
        let (row, notes) = self.remove_row(name, domain, true).await?;
        let redirect = sent(name.clone(), row).ok_or_else(lost)?;
        Ok(RedirectChange { redirect, notes })
    }

    async fn add_row(&self, name: &TenantName, row: &DomainRow) -> Result<Vec<String>> {
        let _claim = self.claim(name, "a change of its domains")?;
        self.ready(name).await?;
        let (owner, given) = (name.clone(), row.clone());
        self.registry.with(move |store| store.add_domain(&owner, &given)).await?;
        self.publish_routes().await?;
        Ok(effects(name, &row.domain, &self.all_domains().await?))
    }

    async fn remove_row(
        &self,
        name: &TenantName,
        domain: Domain,
        redirect: bool,
    ) -> Result<(DomainRow, Vec<String>)> {
        let _claim = self.claim(name, "a change of its domains")?;
        self.ready(name).await?;
        let owner = name.clone();
        let row = self.registry.with(move |store| store.remove_domain(&owner, &domain, redirect)).await?;
        self.publish_routes().await?;
        let all = self.all_domains().await?;
        let heir = above(&row.domain, &all)
            .map(|(heir, at)| format!("requests to {} go to {heir} now, which has {}", row.domain, at.domain));
        Ok((row, heir.into_iter().collect()))
    }

    async fn all_domains(&self) -> Result<Vec<(TenantName, DomainRow)>> {
        let rows = self.registry.with(|store| store.tenants()).await?;
        let of = |(name, domains): (TenantName, Vec<DomainRow>)| {
            domains.into_iter().map(move |row| (name.clone(), row))
        };
        let mut all: Vec<_> = rows.into_iter().map(|row| (row.name, row.domains)).flat_map(of).collect();
        all.sort_by(|a, b| by_host(&a.1.domain, &b.1.domain));
        Ok(all)
    }
}

/// A name beside its wildcard, and the whole before its parts.
fn by_host(a: &Domain, b: &Domain) -> Ordering {
    let key = |domain: &Domain| {
        let host = domain.host().trim_start_matches("*.").to_owned();
        (host, domain.is_wildcard(), domain.path().to_owned())
    };
    key(a).cmp(&key(b))
}

fn lost() -> Error {
    Error::Internal("a redirect is none".into())
}

fn shown(tenant: TenantName, row: DomainRow) -> DomainOf {
    DomainOf { domain: row.domain, tenant, strip: row.strip }
}

fn sent(tenant: TenantName, row: DomainRow) -> Option<RedirectOf> {
    let Redirect { to, permanent, keep_path } = row.redirect?;
    Some(RedirectOf { domain: row.domain, tenant, to, permanent, keep_path })
}

/// What a domain that is new takes from others, and what they keep.
fn effects(name: &TenantName, new: &Domain, all: &[(TenantName, DomainRow)]) -> Vec<String> {
    let others = all.iter().filter(|(owner, _)| owner != name);
    let kept = others.filter(|(_, row)| row.domain != *new && covers(new, &row.domain));
    let mut notes: Vec<_> = kept.map(|(owner, row)| format!("{} stays with {owner}", row.domain)).collect();
    if let Some((owner, row)) = above(new, all).filter(|(owner, _)| owner != name) {
        notes.push(format!("requests to {new} no longer go to {owner}, which has {}", row.domain));
    }
    notes
}

/// What a domain's requests would lead to if it were not there.
fn above<'a>(domain: &Domain, all: &'a [(TenantName, DomainRow)]) -> Option<&'a (TenantName, DomainRow)> {
    let wider = all.iter().filter(|(_, row)| row.domain != *domain && covers(&row.domain, domain));
    wider.max_by_key(|(_, row)| (!row.domain.is_wildcard(), row.domain.path().len()))
}

/// Whether all requests of one domain are within the other.
fn covers(wide: &Domain, narrow: &Domain) -> bool {
    match (wide.is_wildcard(), narrow.is_wildcard()) {
        (true, true) | (false, false) => {
            wide.host() == narrow.host() && kennel_model::domain::below(wide.path(), narrow.path()).is_some()
        }
        (true, false) => wide.covers(narrow.host(), narrow.path()),
        (false, true) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_for_others_is_told() {
        let all: Vec<_> =
            [("a", "a.test"), ("b", "*.a.test"), ("b", "x.a.test/api"), ("c", "x.a.test"), ("c", "c.test")]
                .map(|(name, domain)| {
                    (name.parse().unwrap(), DomainRow::from(domain.parse::<Domain>().unwrap()))
                })
                .into();
        let of = |name: &str, domain: &str| effects(&name.parse().unwrap(), &domain.parse().unwrap(), &all);
        assert_eq!(of("b", "*.a.test"), ["x.a.test stays with c"]);
        assert_eq!(
            of("c", "x.a.test"),
            ["x.a.test/api stays with b", "requests to x.a.test no longer go to b, which has *.a.test"]
        );
        assert_eq!(of("b", "x.a.test/api"), ["requests to x.a.test/api no longer go to c, which has x.a.test"]);
        assert_eq!(of("a", "a.test"), [""; 0]);
        assert_eq!(of("a", "y.a.test/z"), ["requests to y.a.test/z no longer go to b, which has *.a.test"]);
        let mut order: Vec<Domain> =
            ["b.test", "*.a.test", "a.test/x", "a.test"].map(|text| text.parse().unwrap()).into();
        order.sort_by(by_host);
        assert_eq!(
            order.iter().map(Domain::as_str).collect::<Vec<_>>(),
            ["a.test", "a.test/x", "*.a.test", "b.test"]
        );
    }
}
