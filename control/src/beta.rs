//! Releases that are shown before they serve: what has passed its trial goes on, at a domain of its own, until it is promoted, its
//! time is over, another is shown, or it ends. Nothing of it is in the registry but the release: it ends with control.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use kennel_model::api::Beta;
use kennel_model::msg::{ControlReply, ControlRequest};
use kennel_model::routes::{self, Route};
use kennel_model::{Domain, LaunchSpec, ReleaseId, SlotId};
use tokio::sync::oneshot;

use crate::control::{Control, QUICK};
use crate::deploy::At;
use crate::error::{Error, Result};
use crate::init::{InitError, Started};
use crate::program::static_files;
use crate::registry::TenantRow;
use crate::say;
use crate::trial::Passed;

/// What slots show beside what serves, by slot.
#[derive(Debug, Default)]
pub(crate) struct Betas(Mutex<HashMap<SlotId, Shown>>);

/// A release that is shown.
#[derive(Debug)]
struct Shown {
    release: ReleaseId,
    beta: Beta,
    port: Option<u16>,
    /// Whoever wants its program gets it through what he sends here; when nobody can any more, it is to end.
    wanted: oneshot::Sender<oneshot::Sender<Option<Started>>>,
}

impl Betas {
    fn all(&self) -> MutexGuard<'_, HashMap<SlotId, Shown>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is shown of a slot.
    pub(crate) fn of(&self, slot: SlotId) -> Option<(ReleaseId, Beta)> {
        self.all().get(&slot).map(|shown| (shown.release, shown.beta.clone()))
    }

    /// Who has the domain, if it is a beta's.
    fn at(&self, domain: &Domain) -> Option<SlotId> {
        self.all().iter().find(|(_, shown)| shown.beta.domain == *domain).map(|(slot, _)| *slot)
    }

    /// Shows a release no longer, or whichever it is; its program ends.
    pub(crate) fn forget(&self, slot: SlotId, release: Option<ReleaseId>) -> bool {
        let mut all = self.all();
        let is_it = all.get(&slot).is_some_and(|shown| release.is_none_or(|id| shown.release == id));
        is_it && all.remove(&slot).is_some()
    }

    /// The program of a release that is shown, which is shown no longer: for whoever has it take over.
    pub(crate) async fn take(&self, slot: SlotId, release: ReleaseId) -> Option<Started> {
        let shown = {
            let mut all = self.all();
            all.get(&slot).filter(|shown| shown.release == release)?;
            all.remove(&slot)?
        };
        let (give, given) = oneshot::channel();
        shown.wanted.send(give).ok()?;
        given.await.ok()?
    }

    /// The way to a tenant's, if it shows one: not where the domain is somebody's by now.
    pub(crate) fn route(&self, row: &TenantRow, is_taken: impl Fn(&Domain) -> bool) -> Option<Route> {
        let all = self.all();
        let shown = all.get(&row.slot).filter(|shown| !is_taken(&shown.beta.domain))?;
        let with_it = TenantRow { current: Some(shown.release), ..row.clone() };
        Some(Route {
            static_files: static_files(&with_it),
            beta: Some(routes::Beta { port: shown.port }),
            ..Route::to(shown.beta.domain.clone(), row.name.clone(), row.slot, Some(shown.release), &row.limits)
        })
    }
}

impl Control {
    /// Where a release of this tenant is to be shown: at the domain that was asked for, or below its own.
    ///
    /// # Errors
    /// [`Error::NotDeployed`], [`Error::NoTrial`], [`Error::DomainTaken`], [`Error::BadRequest`].
    pub(crate) async fn beta_domain(&self, row: &TenantRow, release: ReleaseId, asked: &At) -> Result<Domain> {
        if row.current.is_none() {
            return Err(Error::NotDeployed(row.name.clone()));
        }
        if !row.limits.trial {
            return Err(Error::NoTrial(row.name.clone()));
        }
        let domain = match asked {
            At::Domain(domain) => domain.clone(),
            At::Own => below(row, release)?,
        };
        let rows = self.registry.with(|store| store.tenants()).await?;
        let owner = rows.iter().find(|other| {
            other.domains.iter().any(|given| given.domain == domain)
                || (other.slot != row.slot && self.betas.at(&domain) == Some(other.slot))
        });
        match owner {
            Some(owner) => Err(Error::DomainTaken { domain, owner: owner.name.clone() }),
            None => Ok(domain),
        }
    }

    /// Shows a release that has passed its trial, if it has a program, in the place of what was shown before.
    ///
    /// # Errors
    /// Init's, or the registry's; nothing of it runs then.
    pub(crate) async fn show_beta(
        self: &Arc<Self>,
        row: &TenantRow,
        spec: LaunchSpec,
        (passed, domain): (Option<Passed>, Domain),
    ) -> Result<()> {
        let (slot, release) = (row.slot, spec.release);
        let started = passed.map(Passed::into_started);
        let task = started.as_ref().map(|started| started.id);
        let port = match self.init.exchange(ControlRequest::Show { slot, spec, task }, vec![], QUICK).await {
            Ok((ControlReply::Shown(port), _)) => port,
            other => {
                if let Some(started) = started {
                    self.end(row, started).await;
                }
                return Err(other.err().unwrap_or(InitError::Nonsense).into());
            }
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let beta = Beta { domain, until_s: (now + self.config.beta).as_secs() };
        let (wanted, wants) = oneshot::channel();
        // What was shown before hears that nobody can want it any more.
        self.betas.all().insert(slot, Shown { release, beta, port, wanted });
        tokio::spawn(Arc::clone(self).goes_on_showing(row.clone(), release, started, wants));
        self.publish_routes().await
    }

    /// Until it is wanted, or not any more.
    async fn goes_on_showing(
        self: Arc<Self>,
        row: TenantRow,
        release: ReleaseId,
        mut started: Option<Started>,
        wants: oneshot::Receiver<oneshot::Sender<Option<Started>>>,
    ) {
        let ended = async {
            match &mut started {
                Some(started) => {
                    (&mut started.end).await.map_or_else(|_| "init has gone".to_owned(), |end| end.why)
                }
                None => pending().await,
            }
        };
        let why = tokio::select! {
            biased;
            wanted = wants => match wanted {
                // If the other side has gone meanwhile, nobody has it.
                Ok(give) => match give.send(started) {
                    Ok(()) => return,
                    Err(back) => { started = back; None }
                },
                Err(_) => None,
            },
            why = ended => { started = None; Some(why) }
            () = tokio::time::sleep(self.config.beta) => Some("its time is over".to_owned()),
        };
        if let Some(why) = why.filter(|_| self.betas.forget(row.slot, Some(release))) {
            say!("{}: {release} is shown no longer: {why}", row.name);
            if let Err(cause) = self.publish_routes().await {
                say!("{}: the route to {release} is still there: {cause}", row.name);
            }
        }
        // Not the one that is shown by now.
        let _ = self.init.act(ControlRequest::Hide(row.slot, release), QUICK).await;
        if let Some(started) = started {
            self.end(&row, started).await;
        }
    }
}

/// `r12.` and the tenant's first domain that one can go below; a path's belongs to others too, so the tenant's name is in it.
fn below(row: &TenantRow, release: ReleaseId) -> Result<Domain> {
    let whole = row.domains.iter().map(|given| &given.domain).find(|domain| domain.path().is_empty());
    let host = |domain: &Domain| domain.host().trim_start_matches("*.").to_owned();
    let text = match (whole, row.domains.first()) {
        (Some(domain), _) => format!("{release}.{}", host(domain)),
        (None, Some(part)) => format!("{release}.{}.{}", row.name, host(&part.domain)),
        (None, None) => {
            let hint = "it has no domain that this one could be below; say which: --beta=DOMAIN";
            return Err(Error::BadRequest(hint.to_owned()));
        }
    };
    text.parse()
        .map_err(|e| Error::BadRequest(format!("{text} is no domain ({e}); say another: --beta=DOMAIN")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::DomainRow;
    use crate::registry::testing::{store, wish};

    #[test]
    fn a_beta_is_below_its_tenants_first_domain() {
        let mut store = store();
        store.reserve(&wish("blog", "blog.test"), 9).unwrap();
        let mut row = store.tenants().unwrap().remove(0);
        for (domains, expected) in [
            (&["example.com/blog", "www.example.com"][..], "r12.www.example.com"),
            (&["*.example.com"], "r12.example.com"),
            (&["example.com/blog"], "r12.blog.example.com"),
        ] {
            let given = |text: &&str| DomainRow { domain: text.parse().unwrap(), strip: false, redirect: None };
            row.domains = domains.iter().map(given).collect();
            assert_eq!(below(&row, ReleaseId(12)).unwrap().to_string(), expected);
        }
        row.domains.clear();
        assert!(matches!(below(&row, ReleaseId(12)), Err(Error::BadRequest(_))));
    }
}
