//! The audit log: each request that changes something stands in it before it is carried out, and what came of it before its answer
//! is sent. Attempts that are refused are counted, and so many of them written down that whoever tries does not fill it.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kennel_model::TenantName;
use kennel_model::account::Role;
use kennel_model::audit::{Audit, AuditEntry, BEGUN};

use super::tokens::place;
use super::{Told, Who};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::registry::Theirs;
use crate::say;

/// The word for an attempt that was refused.
const REFUSED: &str = "sign-in";
/// Within this time one row for an address, and so many in all.
const WINDOW: Duration = Duration::from_secs(60);
const MAX_ROWS: usize = 8;

/// What whoever answers a request has to say about it.
#[derive(Debug, Default)]
pub(crate) struct Note(Mutex<(Option<TenantName>, String)>);

impl Note {
    /// What of a body is to be written down.
    pub(crate) fn body(&self, body: &impl Told) {
        if let Some(tenant) = body.tenant() {
            self.held().0 = Some(tenant.clone());
        }
        self.add(&body.told());
    }

    /// More words.
    pub(crate) fn add(&self, words: &str) {
        let detail = &mut self.held().1;
        if !detail.is_empty() && !words.is_empty() {
            detail.push(' ');
        }
        detail.push_str(words);
    }

    /// Whom a body is about.
    pub(crate) fn tenant(&self) -> Option<TenantName> {
        self.held().0.clone()
    }

    fn held(&self) -> MutexGuard<'_, (Option<TenantName>, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry whose end is to be written down; of one that could not be kept there is no number.
pub(crate) struct Record(Option<i64>);

impl Record {
    /// Its number, which grows from entry to entry.
    pub(crate) fn number(&self) -> Option<u64> {
        self.0.and_then(|id| u64::try_from(id).ok())
    }
}

/// Attempts that were refused.
#[derive(Debug, Default)]
pub(super) struct Failures {
    all: u64,
    since: Option<Instant>,
    /// Who has a row since then.
    told: Vec<IpAddr>,
    /// Those since the last row that have none.
    untold: u64,
}

impl Failures {
    /// Counts one; tells how many before it have no row, if this one is to have one.
    fn count(&mut self, from: IpAddr) -> Option<u64> {
        self.all += 1;
        if self.since.is_none_or(|since| since.elapsed() >= WINDOW) {
            self.since = Some(Instant::now());
            self.told.clear();
        }
        let from = place(from);
        if self.told.len() >= MAX_ROWS || self.told.contains(&from) {
            self.untold += 1;
            return None;
        }
        self.told.push(from);
        Some(std::mem::take(&mut self.untold))
    }
}

impl Control {
    /// Writes down what is about to be done. Those whom the user-data names may go on without: a disk that is full must not keep
    /// them from making room, and the console is told instead.
    ///
    /// # Errors
    /// The registry's, for everybody else.
    pub(crate) async fn audit_begin(
        &self,
        who: &Who,
        from: IpAddr,
        act: String,
        tenant: Option<&str>,
        note: &Note,
    ) -> Result<Record> {
        let tenant = tenant.and_then(|name| TenantName::new(name).ok());
        let detail = note.held().1.clone();
        self.keep_entry(who, entry(who, from, act, tenant, detail, BEGUN)).await
    }

    /// Writes down what came of it.
    pub(crate) async fn audit_end(&self, record: Record, note: &Note, result: &'static str) {
        let (tenant, detail) = note.held().clone();
        let Some(id) = record.0 else { return };
        let written =
            self.registry.with(move |store| store.end_audit(id, tenant.as_ref(), &detail, result)).await;
        if let Err(cause) = written {
            say!("the audit log does not have the end of its entry {id}, which is {result}: {cause}");
        }
    }

    /// Writes down something that is over at once.
    ///
    /// # Errors
    /// As [`Control::audit_begin`].
    pub(crate) async fn audit_at_once(
        &self,
        who: &Who,
        from: IpAddr,
        act: String,
        tenant: Option<&str>,
        result: &'static str,
    ) -> Result<()> {
        let tenant = tenant.and_then(|name| TenantName::new(name).ok());
        self.keep_entry(who, entry(who, from, act, tenant, String::new(), result)).await.map(drop)
    }

    /// Counts an attempt to get in that was refused, and writes some of them down.
    pub(crate) async fn audit_refused(&self, from: IpAddr, error: &Error) {
        let Some(untold) = self.failures().count(from) else { return };
        let token = match error {
            Error::TokenExpired(name) | Error::TokenRevoked(name) => Some(name.clone()),
            _ => None,
        };
        let detail = if untold == 0 { String::new() } else { format!("and {untold} more before it") };
        let nobody = entry(&Who::anybody(), from, REFUSED.into(), None, detail, error.code().0);
        let entry = AuditEntry { token, ..nobody };
        if let Err(cause) = self.registry.with(move |store| store.begin_audit(&entry)).await {
            say!("an attempt from {from} was refused, and the audit log does not have it: {cause}");
        }
    }

    /// The last entries that they may see.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) async fn audit(
        &self,
        who: &Who,
        tenant: Option<TenantName>,
        since_ms: u64,
        most: usize,
    ) -> Result<Audit> {
        let theirs = who.tenants.clone();
        let is_operator = who.role == Role::Operator && theirs.is_none();
        let found = self.registry.with(move |store| {
            let theirs: Theirs = match theirs {
                None => None,
                Some(names) => {
                    let all = store.tenants()?;
                    let made = |name: TenantName| {
                        all.iter().find(|row| row.name == name).map(|row| (row.name.clone(), row.created_at_s))
                    };
                    Some(names.into_iter().filter_map(made).collect())
                }
            };
            store.audit(&theirs, tenant.as_ref(), since_ms, most)
        });
        let (entries, forgotten) = found.await?;
        Ok(Audit { entries, forgotten, refused: is_operator.then(|| self.failures().all) })
    }

    async fn keep_entry(&self, who: &Who, entry: AuditEntry) -> Result<Record> {
        let line = format!("{} {} from {}", who.by(), entry.act, entry.from);
        match self.registry.with(move |store| store.begin_audit(&entry)).await {
            Ok(id) => Ok(Record(Some(id))),
            Err(cause) if who.by_user_data => {
                say!("the audit log does not have this: {line}: {cause}");
                Ok(Record(None))
            }
            Err(cause) => Err(cause),
        }
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.people.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(
    who: &Who,
    from: IpAddr,
    act: String,
    tenant: Option<TenantName>,
    detail: String,
    result: &str,
) -> AuditEntry {
    let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    AuditEntry {
        at_ms: u64::try_from(at_ms).unwrap_or(u64::MAX),
        account: who.account.clone(),
        key: who.key.clone(),
        token: who.token.as_ref().map(|(name, _)| name.clone()),
        from: from.to_canonical().to_string(),
        act,
        tenant,
        detail,
        result: result.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tries_without_end_is_counted_and_fills_nothing() {
        let mut failures = Failures::default();
        let from = |n: u32| IpAddr::V4(n.into());
        assert_eq!(failures.count(from(1)), Some(0));
        assert_eq!((failures.count(from(1)), failures.count(from(1))), (None, None));
        assert_eq!(failures.count(from(2)), Some(2), "another address, and what was left out");
        for n in 3..1000 {
            failures.count(from(n));
        }
        assert_eq!((failures.told.len(), failures.all), (MAX_ROWS, 1001));
        failures.since = Instant::now().checked_sub(WINDOW);
        assert_eq!(failures.count(from(1)), Some(1001 - MAX_ROWS as u64 - 2));
    }
}
