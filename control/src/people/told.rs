//! What of a request's body the audit log is told. Every body has to say so here; values of variables, private keys and pages are
//! not among it, whatever is added to a request later.

use kennel_model::account::{AccountRights, NewAccount, NewAccountKey, Role};
use kennel_model::acme::NewAcme;
use kennel_model::api::{
    Attest, ChallengeRequest, Move, NewEgressRule, NewTenant, Promote, Prove, Rollback, SessionRequest, Sleep,
};
use kennel_model::certificate::NewCertificate;
use kennel_model::cron::NewJob;
use kennel_model::doctor::Repair;
use kennel_model::env::ChangeEnv;
use kennel_model::process::Scale;
use kennel_model::routing::{NewDomain, NewMaintenance, NewRedirect, PageText};
use kennel_model::token::NewToken;
use kennel_model::{Limits, TenantName};

/// What is written down of a body.
pub(crate) trait Told {
    /// As words; none, where the path says it all.
    fn told(&self) -> String {
        String::new()
    }

    /// The tenant that it is about, where the path does not say.
    fn tenant(&self) -> Option<&TenantName> {
        None
    }
}

impl Told for ChallengeRequest {}
impl Told for SessionRequest {}
impl Told for Attest {}
impl Told for NewCertificate {}
impl Told for NewMaintenance {}
impl Told for PageText {}

impl Told for Prove {
    fn tenant(&self) -> Option<&TenantName> {
        self.neighbour.as_ref()
    }
}

impl Told for Scale {
    fn told(&self) -> String {
        let each = self.processes.iter().map(|(name, count)| format!("{name}={count}"));
        each.collect::<Vec<_>>().join(" ")
    }
}

impl Told for NewAcme {
    fn told(&self) -> String {
        self.email.clone().unwrap_or_default()
    }
}

impl Told for NewAccount {
    fn told(&self) -> String {
        let keys = self.keys.len();
        format!(
            "{}, {}, {keys} {}",
            self.name,
            of(self.role, &self.tenants),
            if keys == 1 { "key" } else { "keys" }
        )
    }
}

impl Told for AccountRights {
    fn told(&self) -> String {
        of(self.role, &self.tenants)
    }
}

impl Told for NewAccountKey {
    fn told(&self) -> String {
        let key = kennel_user_data::parse_key(&self.key);
        key.map_or_else(|_| String::new(), |key| key.fingerprint(ssh_key::HashAlg::Sha256).to_string())
    }
}

impl Told for NewToken {
    fn told(&self) -> String {
        let mut text = format!("{} for {}", self.name, self.scope.as_str());
        if let Some(account) = &self.account {
            text += &format!(" of {account}");
        }
        if !self.tenants.is_empty() {
            text += &format!(", only {}", list(&self.tenants));
        }
        text
    }
}

impl Told for NewTenant {
    fn told(&self) -> String {
        let domains = list(&self.domains);
        format!("{}{}{domains}", self.runtime, if domains.is_empty() { "" } else { ", " })
    }

    fn tenant(&self) -> Option<&TenantName> {
        Some(&self.name)
    }
}

impl Told for Limits {
    fn told(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Of a command only the program: people write secrets behind it.
impl Told for NewJob {
    fn told(&self) -> String {
        format!("{} {}: {}", self.schedule, self.zone, self.command.first().map_or("", String::as_str))
    }
}

impl Told for Sleep {
    fn told(&self) -> String {
        format!("{:?}", self.to).to_lowercase()
    }
}

impl Told for Repair {
    fn told(&self) -> String {
        self.snapshot.clone()
    }
}

impl Told for Rollback {
    fn told(&self) -> String {
        self.to.map_or_else(String::new, |to| format!("to {to}"))
    }
}

impl Told for Promote {
    fn told(&self) -> String {
        self.release.map_or_else(String::new, |release| release.to_string())
    }
}

impl Told for Move {
    fn told(&self) -> String {
        format!("to {}", self.runtime)
    }
}

impl Told for ChangeEnv {
    fn told(&self) -> String {
        let part = |what: &str, names: Vec<&kennel_model::EnvName>| match names.is_empty() {
            true => None,
            false => Some(format!("{what} {}", list(&names))),
        };
        let parts = [part("set", self.set.keys().collect()), part("unset", self.unset.iter().collect())];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

impl Told for NewEgressRule {
    fn told(&self) -> String {
        format!("{:?} {}", self.action, self.to).to_lowercase()
    }
}

impl Told for NewDomain {
    fn told(&self) -> String {
        self.domain.to_string()
    }
}

impl Told for NewRedirect {
    fn told(&self) -> String {
        self.domain.to_string()
    }
}

fn of(role: Role, tenants: &[TenantName]) -> String {
    if tenants.is_empty() { role.as_str().into() } else { format!("{} of {}", role.as_str(), list(tenants)) }
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variables_are_told_and_values_are_not() {
        let wish: ChangeEnv =
            serde_json::from_str(r#"{"set":{"A":"hunter2","B":"hunter3"},"unset":["C"]}"#).unwrap();
        assert_eq!(wish.told(), "set A, B; unset C");
    }

    #[test]
    fn accounts_and_tokens_are_told_with_what_they_may() {
        let wish: NewAccount =
            serde_json::from_str(r#"{"name":"ada","role":"deployer","tenants":["blog","shop"],"keys":["x"]}"#)
                .unwrap();
        assert_eq!(wish.told(), "ada, deployer of blog, shop, 1 key");
        let wish: NewToken =
            serde_json::from_str(r#"{"name":"ci","scope":"deploy","account":"ada","tenants":["blog"]}"#)
                .unwrap();
        assert_eq!(wish.told(), "ci for deploy of ada, only blog");
    }
}
