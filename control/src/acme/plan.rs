//! Which names are ordered, and when, from what the registry says: every host name of every tenant, and what is to be done about
//! it. Pure; `rounds` does it.

use std::collections::HashMap;

use kennel_model::acme::{Authority, LETS_ENCRYPT_STAGING, NameState};
use kennel_model::certificate::ByAcme;
use kennel_model::{HostName, TenantName};

use super::covers;
use crate::registry::{CertificateRow, Fared, TenantPhase, TenantRow};

/// Ends of names that are nobody's on the Internet (RFC 6761, RFC 6762, RFC 7686, RFC 8375, and what ICANN reserved), for
/// which public authorities give no certificate.
const LOCAL: [&str; 9] =
    ["localhost", "local", "internal", "test", "invalid", "example", "onion", "home.arpa", "lan"];

/// One name and what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) name: HostName,
    pub(super) tenant: TenantName,
    pub(super) state: NameState,
    /// When it is ordered; absent when it is not.
    pub(super) due_s: Option<u64>,
    pub(super) fared: Fared,
    /// The certificate that it has by ACME.
    pub(super) replaces: Option<String>,
}

/// All names.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By name.
    pub(super) names: Vec<Planned>,
}

impl Plan {
    /// From what the registry says.
    pub(super) fn of(
        authority: Option<&Authority>,
        tenants: &[TenantRow],
        certificates: &[CertificateRow],
        mut fared: HashMap<HostName, Fared>,
    ) -> Self {
        let by_acme: HashMap<&str, (&CertificateRow, &ByAcme)> = certificates
            .iter()
            .filter_map(|row| Some((row.certificate.name.as_str(), (row, row.certificate.acme.as_ref()?))))
            .collect();
        let brought = |name: &HostName| {
            certificates
                .iter()
                .any(|row| row.certificate.acme.is_none() && covers(&row.certificate.names, name))
        };
        let whole = tenants.iter().filter(|row| row.phase == TenantPhase::Ready);
        let names = whole.flat_map(|row| row.host_names().map(move |name| (name, &row.name)));
        let mut names: Vec<Planned> = names
            .map(|(name, tenant)| {
                let fared = fared.remove(&name).unwrap_or_default();
                let has = by_acme.get(name.as_str());
                let (state, wanted_s) = match has {
                    _ if brought(&name) => (NameState::Own, None),
                    Some((_, by)) => (NameState::Issued, Some(wanted(by, authority))),
                    None if is_local(&name, authority) => (NameState::Local, None),
                    None if fared.failures > 0 => (NameState::Failed, Some(0)),
                    None => (NameState::Waiting, Some(0)),
                };
                let due_s = wanted_s.map(|at| at.max(fared.next_s));
                let replaces = has.map(|(row, _)| row.chain_pem.clone());
                Planned { name, tenant: tenant.clone(), state, due_s, fared, replaces }
            })
            .collect();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        names.dedup_by(|a, b| a.name == b.name);
        Self { names }
    }

    /// What is due first.
    pub(super) fn first(&self) -> Option<(&Planned, u64)> {
        self.names.iter().filter_map(|planned| Some((planned, planned.due_s?))).min_by_key(|(_, due_s)| *due_s)
    }

    /// Whether a name's certificate is to be renewed by now, failures aside.
    pub(super) fn is_due(&self, name: &HostName, now_s: u64) -> bool {
        let planned = self.names.iter().find(|planned| planned.name == *name);
        planned.is_some_and(|p| p.due_s.is_some_and(|due_s| due_s <= now_s) || p.fared.failures > 0)
    }
}

/// When the name's certificate is replaced. One of another authority at once: who has tried things out wants the real ones
/// next. But never a real one by one that no browser trusts.
fn wanted(by: &ByAcme, authority: Option<&Authority>) -> u64 {
    match authority {
        Some(now) if now.directory != by.directory && now.directory != LETS_ENCRYPT_STAGING => 0,
        _ => by.renew_at_s,
    }
}

/// Whether a public authority gives no certificate for such a name. One's own may.
fn is_local(name: &HostName, authority: Option<&Authority>) -> bool {
    let name = name.as_str();
    let ends = |end: &&str| name.strip_suffix(*end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    authority.is_none_or(|authority| authority.roots_pem.is_none())
        && (!name.contains('.')
            || LOCAL.iter().any(ends)
            || name.bytes().all(|b| b == b'.' || b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing::{store, wish};
    use kennel_model::CertificateName;
    use kennel_model::acme::LETS_ENCRYPT;
    use kennel_model::certificate::Certificate;

    const NOW_S: u64 = 1_800_000_000;

    fn authority(directory: &str, roots: Option<&str>) -> Authority {
        Authority { directory: directory.into(), roots_pem: roots.map(str::to_owned) }
    }

    fn row(name: &str, directory: Option<&str>) -> CertificateRow {
        let name = CertificateName::new(name).unwrap();
        let acme = directory.map(|d| ByAcme { directory: d.into(), renew_at_s: NOW_S + 5 });
        let certificate = Certificate {
            names: vec![name.clone()],
            name,
            issuer: String::new(),
            fingerprint: String::new(),
            not_before_s: 0,
            not_after_s: NOW_S + 9,
            by: String::new(),
            created_at_s: 0,
            acme,
        };
        CertificateRow { certificate, chain_pem: "chain".into(), key_pem: String::new() }
    }

    fn tenants(domains: &[&str]) -> Vec<TenantRow> {
        let mut store = store();
        for (n, domain) in domains.iter().enumerate() {
            let name = format!("t{n}");
            store.reserve(&wish(&name, domain), 99).unwrap();
            store.confirm(&name.parse().unwrap()).unwrap();
        }
        store.tenants().unwrap()
    }

    fn of(
        domain: &str,
        authority: Option<&Authority>,
        rows: &[CertificateRow],
        fared: Option<Fared>,
    ) -> (NameState, Option<u64>) {
        let fared = fared.map(|fared| (domain.parse().unwrap(), fared)).into_iter().collect();
        let planned = Plan::of(authority, &tenants(&[domain]), rows, fared).names.remove(0);
        (planned.state, planned.due_s)
    }

    #[test]
    fn what_is_ordered_and_when() {
        let (real, staging) = (authority(LETS_ENCRYPT, None), authority(LETS_ENCRYPT_STAGING, None));
        let own = authority("https://ca.internal/", Some("root"));
        let now = Some(&real);
        assert_eq!(of("a.com", now, &[], None), (NameState::Waiting, Some(0)));
        assert_eq!(of("a.com", now, &[row("a.com", None)], None), (NameState::Own, None));
        assert_eq!(of("x.a.com", now, &[row("*.a.com", None)], None), (NameState::Own, None));
        assert_eq!(of("x.y.a.com", now, &[row("*.a.com", None)], None), (NameState::Waiting, Some(0)));
        let has = |directory| [row("a.com", Some(directory))];
        assert_eq!(of("a.com", now, &has(LETS_ENCRYPT), None), (NameState::Issued, Some(NOW_S + 5)));
        assert_eq!(of("a.com", now, &has(LETS_ENCRYPT_STAGING), None), (NameState::Issued, Some(0)));
        let kept = of("a.com", Some(&staging), &has(LETS_ENCRYPT), None);
        assert_eq!(kept, (NameState::Issued, Some(NOW_S + 5)), "a real one is not replaced by one for trying");
        let failed = Fared { failures: 2, next_s: NOW_S + 9, error: None };
        assert_eq!(of("a.com", now, &[], Some(failed.clone())), (NameState::Failed, Some(NOW_S + 9)));
        assert_eq!(of("a.com", now, &has(LETS_ENCRYPT), Some(failed)), (NameState::Issued, Some(NOW_S + 9)));
        for name in ["blog.localhost", "localhost", "db.internal", "site.example", "printer", "10.0.0.7"] {
            assert_eq!(of(name, now, &[], None), (NameState::Local, None), "{name}");
            assert_eq!(of(name, Some(&own), &[], None), (NameState::Waiting, Some(0)), "{name}");
        }
        assert_eq!(of("mylocalhost.com", now, &[], None).0, NameState::Waiting);
    }

    #[test]
    fn what_was_brought_is_shown_before_what_was_ordered_and_nothing_of_nobodys() {
        let by = Some(LETS_ENCRYPT);
        let rows = vec![row("a.com", by), row("b.com", by), row("b.com", None), row("gone.com", by)];
        let shown = crate::acme::shown(rows, &tenants(&["a.com", "b.com"]));
        let shown: Vec<_> =
            shown.iter().map(|r| (r.certificate.name.as_str(), r.certificate.acme.is_some())).collect();
        assert_eq!(shown, [("a.com", true), ("b.com", false)]);
    }
}
