//! Certificates by ACME: which names have one ordered and when, one order at a time, through `kennel-acme`, which alone speaks
//! with authorities. Only host names that are a tenant's are ever ordered, and none for which an operator has brought a
//! certificate. How long is waited after a failure stands in `pace`, what is kept in the registry.

mod link;
mod pace;
mod plan;
mod rounds;

use std::sync::{Mutex, PoisonError};

use kennel_model::acme::{
    Acme, AcmeName, Answer, Ask, Authority, MAX_PEM, MAX_URL, NameState, NewAcme, Said, ServedChallenge,
};
use kennel_model::{CertificateName, HostName};
use tokio::sync::Notify;

use crate::control::Control;
use crate::error::{Error, Result};
use crate::registry::{AccountRow, AcmeRow, CertificateRow, TenantPhase, TenantRow};
pub(crate) use link::Way;
use plan::Plan;

/// Longest address to write to.
const MAX_EMAIL: usize = 200;

/// What is known beside the registry.
#[derive(Debug)]
pub(crate) struct Orders {
    way: Way,
    /// What the proxy answers authorities at present.
    shown: Mutex<Vec<ServedChallenge>>,
    /// The name whose order is under way.
    current: Mutex<Option<HostName>>,
    /// Something has changed: there may be something to order.
    news: Notify,
    /// Held while an operator turns it on or off.
    turning: tokio::sync::Mutex<()>,
}

impl Orders {
    /// Nothing is ordered yet.
    pub(crate) fn new(way: Way) -> Self {
        let (shown, current) = (Mutex::default(), Mutex::default());
        Self { way, shown, current, news: Notify::new(), turning: tokio::sync::Mutex::default() }
    }

    /// A tenant, a certificate or a setting has changed.
    pub(crate) fn look(&self) {
        self.news.notify_one();
    }

    /// What authorities are answered now.
    pub(crate) fn shown(&self) -> Vec<ServedChallenge> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, name: &HostName, answer: Option<Answer>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|challenge| challenge.name != *name);
        shown.extend(answer.map(|answer| ServedChallenge { name: name.clone(), answer }));
    }

    fn current(&self) -> Option<HostName> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_current(&self, name: Option<HostName>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }
}

impl Control {
    /// How ACME stands.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) async fn acme(&self) -> Result<Acme> {
        let (row, plan) = self.plan().await?;
        let current = self.orders.current();
        let names = plan.names.iter().map(|planned| {
            let ordering = current.as_ref() == Some(&planned.name);
            let state = match planned.state {
                NameState::Waiting | NameState::Failed if ordering => NameState::Ordering,
                state => state,
            };
            AcmeName {
                name: planned.name.clone(),
                tenant: planned.tenant.clone(),
                state,
                next_s: planned.due_s.filter(|_| row.account.is_some()),
                failures: planned.fared.failures,
                error: planned.fared.error.clone(),
            }
        });
        let paused = row.account.is_some() && row.paused_until_s > now_s();
        Ok(Acme {
            paused_until_s: paused.then_some(row.paused_until_s),
            trouble: row.trouble.filter(|_| paused),
            names: names.collect(),
            directory: row.account.as_ref().map(|a| a.authority.directory.clone()),
            email: row.account.as_ref().and_then(|a| a.email.clone()),
            by: row.account.map(|a| a.by),
        })
    }

    /// Registers with an authority, unless that has been done, and orders from it from now on.
    ///
    /// # Errors
    /// [`Error::AcmeTerms`] without agreement, [`Error::Acme`], the registry's.
    pub(crate) async fn acme_on(&self, wish: NewAcme, by: String) -> Result<Acme> {
        check(&wish)?;
        let _turn = self.orders.turning.lock().await;
        let NewAcme { authority, email, terms_agreed } = wish;
        let directory = authority.directory.clone();
        let known = self.registry.with(move |store| store.acme_account(&directory)).await?;
        let terms = self.ask_acme(Ask::Terms(authority.clone())).await?;
        if let Said::Terms(Some(terms)) = terms
            && !terms_agreed
        {
            return Err(Error::AcmeTerms(terms));
        }
        let row = match known {
            Some(known) if known.email == email => AccountRow { authority, by, ..known },
            // Another address: the account is made anew with it.
            _ => match self.ask_acme(Ask::Register(authority.clone(), email.clone())).await? {
                Said::Account(account) => AccountRow { authority, email, account, by, created_at_s: now_s() },
                _ => return Err(Error::Acme("kennel-acme's answer makes no sense".into())),
            },
        };
        self.registry.with(move |store| store.use_acme(&row)).await?;
        self.orders.look();
        self.acme().await
    }

    /// Orders nothing any more. Certificates stay until they expire.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) async fn acme_off(&self) -> Result<()> {
        let _turn = self.orders.turning.lock().await;
        self.registry.with(|store| store.acme_off()).await
    }

    /// Orders a name now, whatever went before.
    ///
    /// # Errors
    /// [`Error::NotOrdered`] says why it is not, or the registry's.
    pub(crate) async fn acme_retry(&self, name: HostName) -> Result<Acme> {
        let (row, plan) = self.plan().await?;
        let refused = |why: &str| Err(Error::NotOrdered(name.to_string(), why.to_owned()));
        if row.account.is_none() {
            return refused("ACME is off");
        }
        match plan.names.iter().find(|planned| planned.name == name).map(|planned| planned.state) {
            None => return refused("it is no tenant's"),
            Some(NameState::Own) => return refused("a certificate of your own is shown for it"),
            Some(NameState::Local) => return refused("no public authority gives one for such a name"),
            Some(NameState::Issued) if !plan.is_due(&name, now_s()) => {
                return refused("it has a certificate that need not be renewed yet");
            }
            Some(_) => {}
        }
        let wanted = name.clone();
        self.registry.with(move |store| store.order_now(&wanted)).await?;
        self.orders.look();
        self.acme().await
    }

    async fn ask_acme(&self, ask: Ask) -> Result<Said> {
        let asked = async { self.orders.way.ask(&self.init, ask).await?.next().await };
        asked.await.map_err(|failure| Error::Acme(failure.reason))
    }

    /// Every name of every tenant, and what is to be done about it.
    async fn plan(&self) -> Result<(AcmeRow, Plan)> {
        let known = self
            .registry
            .with(|store| Ok((store.acme()?, store.tenants()?, store.certificates()?, store.fared()?)))
            .await?;
        let (row, tenants, certificates, fared) = known;
        let authority = row.account.as_ref().map(|account| &account.authority);
        let plan = Plan::of(authority, &tenants, &certificates, fared);
        Ok((row, plan))
    }
}

/// Certificates that are shown: those that were brought, and of those by ACME the ones that are needed. What was brought
/// takes precedence, and what belongs to nobody is not shown.
pub(crate) fn shown(rows: Vec<CertificateRow>, tenants: &[TenantRow]) -> Vec<CertificateRow> {
    let brought: Vec<Vec<CertificateName>> = rows
        .iter()
        .filter(|row| row.certificate.acme.is_none())
        .map(|row| row.certificate.names.clone())
        .collect();
    let is_needed = |row: &CertificateRow| {
        row.certificate.acme.is_none()
            || tenants
                .iter()
                .filter(|tenant| tenant.phase == TenantPhase::Ready)
                .flat_map(TenantRow::host_names)
                .any(|name| {
                    row.certificate.name.as_str() == name.as_str()
                        && !brought.iter().any(|names| covers(names, &name))
                })
    };
    rows.into_iter().filter(is_needed).collect()
}

/// Whether a certificate of these names is good for the host.
fn covers(names: &[CertificateName], host: &HostName) -> bool {
    names.iter().any(|name| match name.as_str().strip_prefix('*') {
        None => name.as_str() == host.as_str(),
        Some(parent) => host.as_str().find('.').is_some_and(|dot| host.as_str()[dot..] == *parent),
    })
}

fn check(wish: &NewAcme) -> Result<()> {
    let Authority { directory, roots_pem } = &wish.authority;
    let bad = |what: &str| Err(Error::BadRequest(what.to_owned()));
    if !directory.starts_with("https://")
        || directory.len() > MAX_URL
        || directory.chars().any(|c| c.is_control() || c == ' ')
    {
        return bad("an authority's directory is an https URL");
    }
    if roots_pem.as_ref().is_some_and(|pem| pem.len() > MAX_PEM) {
        return bad("the roots have more than 16 KiB");
    }
    let is_address = |email: &String| {
        let one_at = email.split('@').filter(|part| !part.is_empty()).count() == 2;
        one_at
            && email.len() <= MAX_EMAIL
            && email.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>,?&%".contains(&b))
    };
    if !wish.email.as_ref().is_none_or(is_address) {
        return bad("the email address is none");
    }
    Ok(())
}

/// Seconds since 1970.
fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Any number.
fn chance_u32() -> u32 {
    let mut bytes = [0; 4];
    // A kernel without chance does not boot; times that are all the same are no harm.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u32::from_ne_bytes(bytes)
}

/// One of 65,536.
fn chance() -> u16 {
    (chance_u32() & 0xffff) as u16
}
