//! The rounds: what is to be done now, done one by one, and how long there is nothing to do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kennel_model::acme::{Answer, Ask, Failure, Fault, Kind, NameState, Order, Proof, Said};
use kennel_model::certificate::{ByAcme, NewCertificate};
use kennel_model::msg::Rung;
use kennel_model::seeing::Transition;
use kennel_model::{HostName, SlotState, TenantName};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use tokio::time::sleep;

use super::link::broken;
use super::plan::Planned;
use super::{chance, now_s, pace};
use crate::control::Control;
use crate::error::Result;
use crate::registry::{AccountRow, CertificateRow, Fared};
use crate::say;
use crate::sites::{MAX_CERTIFICATES, examine};

/// Longest time without a look: clocks are set, and nobody need tell.
const LOOK: Duration = Duration::from_secs(3600);
/// How often an authority is asked whether a certificate should be renewed sooner (RFC 9773, 4.3.3).
const ASK_AGAIN_S: u64 = 24 * 3600;
/// After a failure of the host's own, such as a disk that is full.
const TROUBLE: Duration = Duration::from_secs(60);
/// What the proxy is given to put a table in force, which takes it milliseconds, before an authority looks.
const SHOWING: Duration = Duration::from_millis(500);
impl Control {
    /// Orders what is to be ordered, for ever.
    pub(crate) async fn keep_certificates(self: Arc<Self>) {
        tokio::join!(self.orders.way.hear(), async {
            let mut asked = HashMap::new();
            loop {
                let pause = self.round(&mut asked).await.unwrap_or_else(|cause| {
                    say!("certificates are not looked after: {cause}");
                    TROUBLE
                });
                tokio::select! {
                    () = self.orders.news.notified() => {}
                    () = sleep(pause) => {}
                }
            }
        });
    }

    /// Does one thing, if there is one to do; answers how long there is nothing.
    async fn round(&self, asked: &mut HashMap<HostName, u64>) -> Result<Duration> {
        let now = now_s();
        if self.registry.with(move |store| store.sweep_acme(now)).await? > 0 {
            self.publish_certificates().await?;
        }
        if self.registry.with(|store| store.acme()).await?.account.is_none() {
            return Ok(LOOK);
        }
        let (row, plan) = self.plan().await?;
        let Some(account) = row.account else { return Ok(LOOK) };
        if row.paused_until_s > now {
            return Ok(Duration::from_secs(row.paused_until_s - now).min(LOOK));
        }
        if let Some((planned, due_s)) = plan.first()
            && due_s <= now
        {
            self.orders.set_current(Some(planned.name.clone()));
            let ordered = self.order(&account, planned, row.stumbles).await;
            self.orders.set_current(None);
            return ordered.map(|()| Duration::ZERO);
        }
        let is_old = |p: &&Planned| asked.get(&p.name).is_none_or(|at| at + ASK_AGAIN_S <= now);
        let mut with_one = plan.names.iter().filter(|p| p.state == NameState::Issued && p.replaces.is_some());
        if let Some(planned) = with_one.find(is_old) {
            asked.insert(planned.name.clone(), now);
            self.ask_when(&account, planned).await?;
            return Ok(Duration::ZERO);
        }
        let next = plan.first().map_or(LOOK, |(_, due_s)| Duration::from_secs(due_s - now));
        Ok(next.min(LOOK))
    }

    /// Orders one certificate and keeps what comes of it.
    async fn order(&self, account: &AccountRow, planned: &Planned, stumbles: u32) -> Result<()> {
        let name = &planned.name;
        let issued = self.issue(account, planned).await;
        self.orders.show(name, None);
        match issued {
            Ok(row) => {
                let said = format!("certificate for {name} issued by {}", row.certificate.issuer);
                say!("{said}");
                let (of, kept) = (name.clone(), row);
                self.registry.with(move |store| store.order_succeeded(&of, &kept, MAX_CERTIFICATES)).await?;
                self.publish_certificates().await?;
                self.note(&planned.tenant, said).await
            }
            Err(failure) => {
                self.publish_certificates().await?;
                self.failed(planned, failure, stumbles).await
            }
        }
    }

    /// The way of an order.
    async fn issue(
        &self,
        account: &AccountRow,
        planned: &Planned,
    ) -> std::result::Result<CertificateRow, Failure> {
        let own = |e: &dyn std::fmt::Display| broken(format!("the request for it was not made: {e}"));
        let name = &planned.name;
        let key = KeyPair::generate().map_err(|e| own(&e))?;
        let mut params = CertificateParams::new(vec![name.to_string()]).map_err(|e| own(&e))?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(|e| own(&e))?.der().to_vec();
        let order = Order {
            authority: account.authority.clone(),
            account: account.account.clone(),
            name: name.clone(),
            request,
            // What failed one way may go the other.
            prefer: if planned.fared.failures.is_multiple_of(2) { Kind::Http } else { Kind::TlsAlpn },
            replaces: planned.replaces.clone(),
        };
        let mut asked = self.orders.way.ask(&self.init, Ask::Order(Box::new(order))).await?;
        let chain_pem = loop {
            match asked.next().await? {
                Said::Challenge(proof) => {
                    self.show_proof(name, proof).await?;
                    asked.shown().await?;
                }
                Said::Issued(chain_pem) => break chain_pem,
                _ => return Err(broken("kennel-acme's answer makes no sense".into())),
            }
        };
        let wish = NewCertificate { chain_pem, key_pem: key.serialize_pem() };
        let mut certificate = examine(&wish, now_s(), String::new())
            .map_err(|why| broken(format!("the authority's certificate for {name} is no use: {why}")))?;
        if certificate.names.len() != 1 || certificate.name.as_str() != name.as_str() {
            return Err(broken(format!("the authority's certificate is not for {name}")));
        }
        let life = (certificate.not_before_s, certificate.not_after_s);
        let directory = account.authority.directory.clone();
        certificate.acme = Some(ByAcme { directory, renew_at_s: pace::renewal(life, None, chance()) });
        Ok(CertificateRow { certificate, chain_pem: wish.chain_pem, key_pem: wish.key_pem })
    }

    /// Has the proxy show what the authority looks for.
    async fn show_proof(&self, name: &HostName, proof: Proof) -> std::result::Result<(), Failure> {
        if !proof.is_sound() {
            return Err(broken("what is to be shown makes no sense".into()));
        }
        let answer =
            answer(name, proof).map_err(|e| broken(format!("what is to be shown was not made: {e}")))?;
        self.orders.show(name, Some(answer));
        self.publish_certificates().await.map_err(|e| broken(e.to_string()))?;
        sleep(SHOWING).await;
        Ok(())
    }

    /// Writes down that an order failed, by whose fault, and when it is tried again.
    async fn failed(&self, planned: &Planned, failure: Failure, stumbles: u32) -> Result<()> {
        let (now, name) = (now_s(), planned.name.clone());
        let Failure { fault, reason, retry_after_s } = failure;
        say!("no certificate for {name}: {reason}");
        let failures = planned.fared.failures.saturating_add(1);
        let next_s = now
            + match fault {
                Fault::Name => pace::after_failures(failures, retry_after_s, chance()),
                Fault::RateLimited => pace::after_limit(failures, retry_after_s, chance()),
                Fault::Authority | Fault::Account => {
                    let stumbles = stumbles.saturating_add(1);
                    let until_s = now + pace::after_stumbles(stumbles, retry_after_s, chance());
                    return self
                        .registry
                        .with(move |store| store.pause_acme(until_s, stumbles, Some(&reason)))
                        .await;
                }
            };
        let note = format!("no certificate for {name}: {reason}");
        let fared = Fared { failures, next_s, error: Some(reason.clone()) };
        let keep = move |store: &mut crate::registry::Store| {
            store.order_failed(&name, &fared)?;
            match fault {
                Fault::RateLimited => store.pause_acme(now + pace::ACCOUNT_LIMITED_S, stumbles, Some(&reason)),
                // It has done its part.
                _ => store.pause_acme(0, 0, None),
            }
        };
        self.registry.with(keep).await?;
        self.note(&planned.tenant, note).await
    }

    /// Asks the authority when to renew, and keeps to it. That it does not say is no trouble.
    async fn ask_when(&self, account: &AccountRow, planned: &Planned) -> Result<()> {
        let Some(chain) = planned.replaces.clone() else { return Ok(()) };
        let ask = Ask::Renewal(account.authority.clone(), account.account.clone(), chain);
        let asked = async { self.orders.way.ask(&self.init, ask).await?.next().await };
        let Ok(Said::Renewal(Some((from, until)))) = asked.await else { return Ok(()) };
        let rows = self.registry.with(|store| store.certificates()).await?;
        let mine = rows.into_iter().find(|row| row.certificate.name.as_str() == planned.name.as_str());
        let Some((certificate, by)) =
            mine.and_then(|row| Some((row.certificate.clone(), row.certificate.acme?)))
        else {
            return Ok(());
        };
        // What was chosen within the time stays chosen.
        if by.directory != account.authority.directory || (from..=until).contains(&by.renew_at_s) {
            return Ok(());
        }
        let life = (certificate.not_before_s, certificate.not_after_s);
        let at_s = pace::renewal(life, Some((from, until)), chance());
        self.registry.with(move |store| store.renew_at(&certificate.name, at_s)).await
    }

    /// Tells the tenant, in its timeline.
    async fn note(&self, tenant: &TenantName, reason: String) -> Result<()> {
        let row = self.row(tenant).await?;
        let (state, _) = self.init.slot(row.slot);
        let from = match state {
            SlotState::Running | SlotState::Stopping => Rung::Running,
            SlotState::Frozen => Rung::Frozen,
            SlotState::Reclaimed => Rung::Reclaimed,
            _ => Rung::Stopped,
        };
        let note = Transition { at_ms: now_s() * 1000, state, from, took_ms: None, reason, note: true };
        let tenant = tenant.clone();
        self.registry.with(move |store| store.note(&tenant, &note)).await
    }
}

/// What the proxy is to answer.
fn answer(name: &HostName, proof: Proof) -> std::result::Result<Answer, rcgen::Error> {
    match proof {
        Proof::Http { token, key_authorization } => Ok(Answer::Http { token, key_authorization }),
        Proof::TlsAlpn(digest) => {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(vec![name.to_string()])?;
            params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
            let chain_pem = params.self_signed(&key)?.pem();
            Ok(Answer::TlsAlpn { chain_pem, key_pem: key.serialize_pem() })
        }
    }
}
