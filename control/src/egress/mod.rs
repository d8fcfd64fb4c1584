//! Tenants' egress lists: changed one rule at a time, loaded by init, then kept in the registry. A change is in force
//! before it is on disk and on disk before it is answered; a cut between the two leaves the old list, which the next
//! start of control loads again.

mod counters;

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::time::Duration;

use kennel_model::api::{EgressChange, EgressCount, EgressReport, EgressRule, NewEgressRule};
use kennel_model::egress::{Egress, MAX_RULES, Rule};
use kennel_model::msg::ControlRequest;
use kennel_model::{SlotId, TenantName};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::control::{Control, QUICK};
use crate::error::{Error, Result};
use crate::registry::{TenantPhase, TenantRow};
use crate::say;
use counters::Counters;

/// Init has half a minute for each family, and as much to put back what was before when one of them fails.
const LOADING: Duration = Duration::from_secs(130);
/// Bytes that a family's rules of one slot are printed in; forty rules take six thousand.
const MAX_PRINTED: u64 = 64 << 10;

impl Control {
    /// The list with its counters.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`], or what kept the counters from being read.
    pub async fn egress(&self, name: &TenantName) -> Result<EgressReport> {
        let row = self.ready(name).await?;
        let counters = self.counters(row.slot).await?;
        let mut rules = Vec::new();
        for (number, rule) in row.rule_numbers.iter().zip(row.egress.rules()) {
            rules.push(EgressCount { rule: shown(*number, rule), traffic: counters.of(rule) });
        }
        Ok(EgressReport {
            rules,
            accepted_by_default: counters.accepted_by_default(),
            refused_by_default: counters.refused_by_default(),
        })
    }

    /// Adds a rule.
    ///
    /// # Errors
    /// [`Error::InvalidRule`] says what is wrong with it; otherwise the list stays as it was.
    pub async fn add_egress(&self, name: &TenantName, wish: NewEgressRule) -> Result<EgressChange> {
        let rule = Rule::new(wish.action, wish.to.parse()?)?;
        let _claim = self.claim(name, "a change of its egress rules")?;
        let row = self.ready(name).await?;
        let list = Egress::new([row.egress.rules(), &[rule]].concat())?;
        list.check(self.facts.slots)?;
        // As many numbers as there can be rules, so one is free.
        let number = (1..=MAX_RULES as u8).find(|n| !row.rule_numbers.contains(n)).unwrap_or(u8::MAX);
        let name = name.clone();
        let write = move |store: &mut crate::registry::Store| store.add_rule(&name, number, rule);
        let stopped = self.change(row, list, write).await?;
        Ok(EgressChange { rule: shown(number, &rule), stopped })
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// [`Error::NoSuchRule`]; otherwise the list stays as it was.
    pub async fn remove_egress(&self, name: &TenantName, number: u8) -> Result<EgressChange> {
        let _claim = self.claim(name, "a change of its egress rules")?;
        let row = self.ready(name).await?;
        let index = row.rule_numbers.iter().position(|n| *n == number);
        let index = index.ok_or_else(|| Error::NoSuchRule(name.clone(), number))?;
        let mut rules = row.egress.rules().to_vec();
        let rule = rules.remove(index);
        let name = name.clone();
        let write = move |store: &mut crate::registry::Store| store.remove_rule(&name, number);
        let stopped = self.change(row, Egress::new(rules)?, write).await?;
        Ok(EgressChange { rule: shown(number, &rule), stopped })
    }

    /// Puts a list in force and on disk; what the next start runs with follows, and is made good by that start when it fails
    /// here. Answers whether a running program was stopped, because Landlock holds it to the
    /// ports that it was started with and it is allowed more now.
    async fn change(
        &self,
        mut row: TenantRow,
        list: Egress,
        write: impl FnOnce(&mut crate::registry::Store) -> Result<()> + Send + 'static,
    ) -> Result<bool> {
        self.load_egress(row.slot, &list).await?;
        if let Err(cause) = self.registry.with(write).await {
            self.load_egress(row.slot, &row.egress).await?;
            return Err(cause);
        }
        let (before, now) = (row.egress.connect_ports(), list.connect_ports());
        row.egress = list;
        let Some(spec) = self.spec(&row).await?.filter(|_| before != now) else { return Ok(false) };
        self.init.act(ControlRequest::Configure(row.slot, spec), QUICK).await?;
        let running = self.init.running().contains(&row.slot);
        let more = running && now.iter().any(|ports| !before.contains(ports));
        if more {
            self.stop_if_running(row.slot, &row.limits).await?;
        }
        Ok(more)
    }

    /// Has a slot's list loaded; answered when it is in force.
    pub(crate) async fn load_egress(&self, slot: SlotId, list: &Egress) -> Result<()> {
        Ok(self.init.act(ControlRequest::SetEgress(slot, list.clone()), LOADING).await?)
    }

    /// All tenants' lists, before any of them is configured and could start. Asked for together, so that init loads them
    /// in a few goes. Answers the slots whose list is not in force.
    pub(crate) async fn load_all_egress(&self, rows: &[TenantRow]) -> HashSet<SlotId> {
        let mut loads = JoinSet::new();
        let here = |row: &&TenantRow| row.phase == TenantPhase::Ready && row.slot.index() < self.facts.slots;
        for row in rows.iter().filter(here) {
            let (init, slot, name) = (self.init.clone(), row.slot, row.name.clone());
            let request = ControlRequest::SetEgress(slot, row.egress.clone());
            loads.spawn(async move { (slot, name, init.act(request, LOADING).await) });
        }
        let mut unbound = HashSet::new();
        for (slot, name, loaded) in loads.join_all().await {
            if let Err(cause) = loaded {
                say!("{name}: its egress rules are not in force, so it cannot start: {cause}");
                unbound.insert(slot);
            }
        }
        unbound
    }

    async fn counters(&self, slot: SlotId) -> Result<Counters> {
        let pipes = self.init.ask(ControlRequest::CountEgress(slot), vec![], QUICK).await?;
        let [v4, v6]: [OwnedFd; 2] =
            pipes.try_into().map_err(|_| Error::Internal("init sent no pipes for the counters".into()))?;
        Ok(Counters::parse(&read(v4).await?, &read(v6).await?))
    }
}

/// What a program printed.
async fn read(pipe: OwnedFd) -> Result<String> {
    let io = |cause| Error::Io("the counters' pipe", cause);
    let pipe = pipe::Receiver::from_owned_fd(pipe).map_err(io)?;
    let mut text = String::new();
    let read = timeout(QUICK, pipe.take(MAX_PRINTED).read_to_string(&mut text)).await;
    read.map_err(|_| io(std::io::ErrorKind::TimedOut.into()))?.map_err(io)?;
    Ok(text)
}

fn shown(number: u8, rule: &Rule) -> EgressRule {
    EgressRule { number, action: rule.action(), to: rule.to().to_string() }
}
