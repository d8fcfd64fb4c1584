//! The environment of tenants' programs: encrypted in the registry, opened when init is told what a slot runs, and changed by
//! a release of its own, which has the files of the one before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kennel_model::env::{ChangeEnv, EnvChanged, EnvValue, EnvVariable, MAX_VARIABLES};
use kennel_model::{EnvName, LaunchSpec, ReleaseId, TenantName};
use serde::{Deserialize, Serialize};

use crate::control::Control;
use crate::error::{Error, Result};
use crate::registry::TenantRow;
use crate::secrets::Key;
use crate::tenants::launch;
use crate::trial::look_after;

/// Longest list of names in a tenant's timeline, in characters.
const TOLD: usize = 120;

/// A variable as it is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    value: EnvValue,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<ReleaseId>,
}

type Variables = BTreeMap<EnvName, Stored>;

impl Control {
    /// A tenant's variables, without their values.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`], or one whose environment cannot be opened.
    pub async fn env(&self, name: &TenantName) -> Result<Vec<EnvVariable>> {
        self.row(name).await?;
        Ok(shown(&self.variables(name).await?))
    }

    /// Sets and unsets variables. With a release, it takes a new one into use, as a rollback does its own; without, the first
    /// deploy brings them.
    ///
    /// # Errors
    /// [`Error`]; the environment is then what it was.
    pub async fn change_env(
        self: &Arc<Self>,
        name: &TenantName,
        wish: ChangeEnv,
        by: &str,
    ) -> Result<EnvChanged> {
        let claim = self.claim(name, "a change of its environment")?;
        let row = self.settled(name).await?;
        let before = self.variables(name).await?;
        let told = told(&wish);
        let after = changed(name, &before, wish)?;
        let spec = launch(&row, values(&after)).unwrap_or_else(|| self.idle(&row, values(&after)));
        spec.validate().map_err(|cause| Error::InvalidEnv(cause.to_string()))?;
        let mut release = None;
        if after != before {
            let (key, wanted) = (Arc::clone(&self.env_key), name.clone());
            let seal = move |id| sealed(&key, &wanted, dated(&before, after, id));
            let (wanted, by_whom) = (name.clone(), by.to_owned());
            let begun = self.registry.with(move |store| store.begin_env(&wanted, &by_whom, seal)).await?;
            if let Some(id) = begun {
                self.try_out(&claim, &row, id, format!("environment changed, {told}: {id} by {by}")).await?;
                self.sweep(&claim, &row).await;
                if let (Some(before), true) = (row.current, row.limits.trial) {
                    tokio::spawn(look_after(Arc::clone(self), name.clone(), id, before));
                }
            }
            release = begun;
        }
        let tenant = self.tenant(name).await?;
        let release = tenant.releases.iter().find(|of| Some(of.id) == release).cloned();
        Ok(EnvChanged { variables: self.env(name).await?, release, tenant })
    }

    /// What init is to run for the tenant, with its environment; nothing before the first deploy.
    pub(crate) async fn spec(&self, row: &TenantRow) -> Result<Option<LaunchSpec>> {
        let variables = if row.current.is_some() { self.variables(&row.name).await? } else { BTreeMap::new() };
        Ok(launch(row, values(&variables)))
    }

    /// The environments of all tenants that have one, or why one cannot be opened.
    pub(crate) async fn all_envs(&self) -> Result<HashMap<TenantName, Result<Vec<(String, EnvValue)>>>> {
        let all = self.registry.with(|store| store.envs()).await?;
        let open = |(name, sealed): (TenantName, Vec<u8>)| {
            let opened = opened(&self.env_key, &name, &sealed).map(|variables| values(&variables));
            (name, opened)
        };
        Ok(all.into_iter().map(open).collect())
    }

    /// A tenant's variables with their values.
    ///
    /// # Errors
    /// One that cannot be opened.
    pub(crate) async fn values(&self, name: &TenantName) -> Result<BTreeMap<EnvName, EnvValue>> {
        Ok(self.variables(name).await?.into_iter().map(|(name, stored)| (name, stored.value)).collect())
    }

    async fn variables(&self, name: &TenantName) -> Result<Variables> {
        let wanted = name.clone();
        match self.registry.with(move |store| store.env(&wanted)).await? {
            Some(sealed) => opened(&self.env_key, name, &sealed),
            None => Ok(Variables::new()),
        }
    }

    /// A launch of nothing, to see whether the environment is one that could be.
    fn idle(&self, row: &TenantRow, env: Vec<(String, EnvValue)>) -> LaunchSpec {
        LaunchSpec {
            tenant: row.name.clone(),
            runtime: row.runtime.clone(),
            release: ReleaseId(1),
            files: ReleaseId(1),
            argv: vec![],
            env,
            limits: row.limits,
            connect_ports: vec![],
        }
    }
}

/// What is to be, from what is.
fn changed(name: &TenantName, before: &Variables, wish: ChangeEnv) -> Result<Variables> {
    if let Some(reserved) = wish.set.keys().find(|name| name.is_reserved()) {
        return Err(Error::InvalidEnv(format!("{reserved} is set by the host")));
    }
    if let Some(both) = wish.unset.iter().find(|name| wish.set.contains_key(name)) {
        return Err(Error::InvalidEnv(format!("{both} is to be set and unset")));
    }
    let mut after = before.clone();
    for gone in wish.unset {
        if after.remove(&gone).is_none() {
            return Err(Error::NoSuchVariable(name.clone(), gone));
        }
    }
    for (name, value) in wish.set {
        if before.get(&name).is_none_or(|stored| stored.value != value) {
            after.insert(name, Stored { value, since: None });
        }
    }
    if after.len() > MAX_VARIABLES {
        return Err(Error::InvalidEnv(format!("{} variables; {MAX_VARIABLES} at most", after.len())));
    }
    Ok(after)
}

/// What is new is of this release.
fn dated(before: &Variables, mut after: Variables, id: Option<ReleaseId>) -> Variables {
    for (name, stored) in &mut after {
        if before.get(name) != Some(&*stored) {
            stored.since = id;
        }
    }
    after
}

/// The names that are changed, in words.
fn told(wish: &ChangeEnv) -> String {
    let list =
        |names: &mut dyn Iterator<Item = &EnvName>| names.map(EnvName::as_str).collect::<Vec<_>>().join(" ");
    let (set, unset) = (list(&mut wish.set.keys()), list(&mut wish.unset.iter()));
    let words = [("set", set), ("unset", unset)].into_iter().filter(|(_, names)| !names.is_empty());
    let words = words.map(|(act, names)| format!("{act} {names}")).collect::<Vec<_>>().join(", ");
    words.chars().take(TOLD).collect()
}

fn shown(variables: &Variables) -> Vec<EnvVariable> {
    variables.iter().map(|(name, stored)| EnvVariable { name: name.clone(), since: stored.since }).collect()
}

fn values(variables: &Variables) -> Vec<(String, EnvValue)> {
    variables.iter().map(|(name, stored)| (name.to_string(), stored.value.clone())).collect()
}

fn sealed(key: &Key, whose: &TenantName, variables: Variables) -> Result<Vec<u8>> {
    let text = serde_json::to_vec(&variables).map_err(|e| Error::Internal(e.to_string()))?;
    key.seal(whose, text)
}

fn opened(key: &Key, whose: &TenantName, sealed: &[u8]) -> Result<Variables> {
    let text = key.open(whose, sealed)?;
    serde_json::from_slice(&text).map_err(|e| Error::Damaged(format!("the environment of {whose}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(set: &[(&str, &str)], unset: &[&str]) -> ChangeEnv {
        ChangeEnv {
            set: set.iter().map(|(n, v)| (n.parse().unwrap(), EnvValue::new(*v).unwrap())).collect(),
            unset: unset.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    fn name() -> TenantName {
        "blog".parse().unwrap()
    }

    #[test]
    fn a_value_is_as_old_as_the_release_that_first_had_it() {
        let of = |before: &Variables, wish: ChangeEnv, id| {
            dated(before, changed(&name(), before, wish).unwrap(), id)
        };
        let none = Variables::new();
        let first = of(&none, wish(&[("A", "1")], &[]), None);
        let second = of(&first, wish(&[("B", "2"), ("A", "1")], &[]), Some(ReleaseId(4)));
        let third = of(&second, wish(&[("B", "3")], &["A"]), Some(ReleaseId(5)));
        let since =
            |of: &Variables| shown(of).iter().map(|v| (v.name.to_string(), v.since)).collect::<Vec<_>>();
        assert_eq!(since(&second), [("A".into(), None), ("B".into(), Some(ReleaseId(4)))]);
        assert_eq!(since(&third), [("B".into(), Some(ReleaseId(5)))]);
        let same = of(&third, wish(&[("B", "3")], &[]), Some(ReleaseId(6)));
        assert_eq!(same, third, "a value that is set again is no other");
    }

    #[test]
    fn what_cannot_be_is_named_without_its_value() {
        let refused = |wish| changed(&name(), &Variables::new(), wish).unwrap_err().to_string();
        assert_eq!(refused(wish(&[("PORT", "80")], &[])), "PORT is set by the host");
        assert_eq!(refused(wish(&[], &["A"])), "blog has no variable A");
        assert_eq!(refused(wish(&[("A", "1")], &["A"])), "A is to be set and unset");
        let many: Vec<_> = (0..=MAX_VARIABLES).map(|n| format!("N{n}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(refused(wish(&many, &[])), "65 variables; 64 at most");
    }

    #[test]
    fn the_timeline_is_told_names_only() {
        assert_eq!(told(&wish(&[("A", "secret"), ("B", "secret")], &["C"])), "set A B, unset C");
        assert_eq!(told(&wish(&[], &["C"])), "unset C");
    }
}
