//! Which slots' lists are in force and which wait to be loaded. No system call is made here.

use std::collections::BTreeMap;
use std::mem;
use std::net::{IpAddr, SocketAddr};

use kennel_iptables::Change;
use kennel_model::SlotId;
use kennel_model::egress::Egress;
use kennel_model::msg::RequestId;

/// Lists loaded at a time: rendering so many takes a few milliseconds, in which nobody else is served.
const MAX_LISTS: usize = 250;
/// Requests that may wait: twice as many as there can be slots.
const MAX_WAITING: usize = 8192;

/// What the packet filter holds for a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    /// None after a failure that could not be undone.
    list: Option<Egress>,
    /// Control has sent it for the tenant that lives there now.
    sent: bool,
}

/// A list on its way, and whom to answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    list: Egress,
    pub(super) requests: Vec<RequestId>,
}

/// What is loaded in one go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) lists: BTreeMap<SlotId, Wanted>,
    pub(super) name_servers: Option<Vec<IpAddr>>,
    pub(super) time_servers: Option<Vec<SocketAddr>>,
}

/// All lists. A slot that is missing here has the sealed default, and control has not spoken of it yet.
#[derive(Debug, Default)]
pub(super) struct Lists {
    held: BTreeMap<SlotId, Held>,
    name_servers: Vec<IpAddr>,
    time_servers: Vec<SocketAddr>,
    waiting: Batch,
    /// Under way; also in the hands of who loads it.
    loading: Vec<SlotId>,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It is in force already.
    Done,
    /// It will be loaded.
    Waits,
    /// Too many wait.
    TooMany,
}

impl Lists {
    /// A new list for a slot.
    pub(super) fn ask(&mut self, slot: SlotId, list: Egress, request: RequestId) -> Asked {
        let changing = self.loading.contains(&slot) || self.waiting.lists.contains_key(&slot);
        let default = Held { list: Some(Egress::default()), sent: false };
        let held = self.held.get(&slot).unwrap_or(&default);
        if !changing && held.list.as_ref() == Some(&list) {
            self.held.insert(slot, Held { list: Some(list), sent: true });
            return Asked::Done;
        }
        if self.waiting.lists.values().map(|wanted| wanted.requests.len()).sum::<usize>() >= MAX_WAITING {
            return Asked::TooMany;
        }
        let wanted = self.waiting.lists.entry(slot).or_default();
        wanted.list = list;
        wanted.requests.push(request);
        Asked::Waits
    }

    /// The host's name servers as they are now; answers whether that is news.
    pub(super) fn ask_name_servers(&mut self, servers: Vec<IpAddr>) -> bool {
        if self.name_servers == servers && self.waiting.name_servers.is_none() {
            return false;
        }
        self.waiting.name_servers = Some(servers);
        true
    }

    /// Whom the host asks for the time from now on; that it is news, the caller knows.
    pub(super) fn ask_time_servers(&mut self, servers: Vec<SocketAddr>) {
        self.waiting.time_servers = Some(servers);
    }

    /// Whether a slot may be started: its list is in force.
    pub(super) fn is_sent(&self, slot: SlotId) -> bool {
        self.held.get(&slot).is_some_and(|held| held.sent)
    }

    /// Another tenant will live there, whose list is to be sent first.
    pub(super) fn forget(&mut self, slot: SlotId) {
        if let Some(held) = self.held.get_mut(&slot) {
            held.sent = false;
        }
    }

    /// Nobody is left to answer.
    pub(super) fn forget_requests(&mut self) {
        self.waiting.lists.values_mut().for_each(|wanted| wanted.requests.clear());
    }

    /// What is to be loaded next; none when there is nothing.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let rest = match self.waiting.lists.keys().nth(MAX_LISTS).copied() {
            Some(first) => self.waiting.lists.split_off(&first),
            None => BTreeMap::new(),
        };
        let lists = mem::replace(&mut self.waiting.lists, rest);
        let (name_servers, time_servers) = (self.waiting.name_servers.take(), self.waiting.time_servers.take());
        let batch = Batch { lists, name_servers, time_servers };
        self.loading = batch.lists.keys().copied().collect();
        (batch != Batch::default()).then_some(batch)
    }

    /// What was in force before a batch.
    pub(super) fn before<'a>(&'a self, batch: &Batch, default: &'a Egress) -> Change<'a> {
        let held = |slot: &SlotId| self.held.get(slot).and_then(|held| held.list.as_ref()).unwrap_or(default);
        Change {
            lists: batch.lists.keys().map(|slot| (*slot, held(slot))).collect(),
            name_servers: batch.name_servers.as_ref().map(|_| self.name_servers.as_slice()),
            time_servers: batch.time_servers.as_ref().map(|_| self.time_servers.as_slice()),
        }
    }

    /// A batch is in force.
    pub(super) fn loaded(&mut self, batch: &Batch) {
        self.loading.clear();
        for (slot, wanted) in &batch.lists {
            self.held.insert(*slot, Held { list: Some(wanted.list.clone()), sent: true });
        }
        if let Some(servers) = &batch.name_servers {
            self.name_servers.clone_from(servers);
        }
        if let Some(servers) = &batch.time_servers {
            self.time_servers.clone_from(servers);
        }
    }

    /// A batch is not in force; when what was before could not be put back either, nobody knows what is.
    pub(super) fn not_loaded(&mut self, batch: &Batch, put_back: bool) {
        self.loading.clear();
        if !put_back {
            let unknown = Held { list: None, sent: false };
            self.held.extend(batch.lists.keys().map(|slot| (*slot, unknown.clone())));
        }
        // The lease and control will not tell again, so it is not forgotten.
        if self.waiting.name_servers.is_none() {
            self.waiting.name_servers.clone_from(&batch.name_servers);
        }
        if self.waiting.time_servers.is_none() {
            self.waiting.time_servers.clone_from(&batch.time_servers);
        }
    }
}

impl Batch {
    pub(super) fn change(&self) -> Change<'_> {
        Change {
            lists: self.lists.iter().map(|(slot, wanted)| (*slot, &wanted.list)).collect(),
            name_servers: self.name_servers.as_deref(),
            time_servers: self.time_servers.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::egress::{Action, Rule};

    fn slot(n: u16) -> SlotId {
        SlotId::new(n).unwrap()
    }

    fn list(to: &str) -> Egress {
        Egress::new(vec![Rule::new(Action::Deny, to.parse().unwrap()).unwrap()]).unwrap()
    }

    #[test]
    fn a_slot_may_start_when_its_list_is_in_force_and_not_before() {
        let mut lists = Lists::default();
        assert!(!lists.is_sent(slot(1)));
        assert_eq!(lists.ask(slot(1), Egress::default(), 1), Asked::Done);
        assert!(lists.is_sent(slot(1)));
        assert_eq!(lists.ask(slot(2), list("10.0.0.1"), 2), Asked::Waits);
        assert!(!lists.is_sent(slot(2)));
        let batch = lists.take().unwrap();
        assert_eq!(batch.change().lists, [(slot(2), &list("10.0.0.1"))]);
        assert!(!lists.is_sent(slot(2)));
        lists.loaded(&batch);
        assert!(lists.is_sent(slot(2)));
        assert_eq!(lists.ask(slot(2), list("10.0.0.1"), 3), Asked::Done);
        assert_eq!(lists.take(), None);
    }

    #[test]
    fn what_is_asked_while_another_list_is_loaded_is_loaded_after_it() {
        let mut lists = Lists::default();
        lists.ask(slot(1), list("10.0.0.1"), 1);
        let first = lists.take().unwrap();
        assert_eq!(lists.ask(slot(1), Egress::default(), 2), Asked::Waits);
        assert_eq!(lists.ask(slot(1), list("10.0.0.2"), 3), Asked::Waits);
        lists.loaded(&first);
        let second = lists.take().unwrap();
        assert_eq!(second.lists[&slot(1)], Wanted { list: list("10.0.0.2"), requests: vec![2, 3] });
    }

    #[test]
    fn a_failure_leaves_what_was_or_nothing_that_may_start() {
        let default = Egress::default();
        let mut lists = Lists::default();
        lists.ask(slot(1), list("10.0.0.1"), 1);
        let first = lists.take().unwrap();
        lists.loaded(&first);
        lists.ask(slot(1), list("10.0.0.2"), 2);
        let second = lists.take().unwrap();
        assert_eq!(lists.before(&second, &default).lists, [(slot(1), &list("10.0.0.1"))]);
        lists.not_loaded(&second, true);
        assert!(lists.is_sent(slot(1)));
        assert_eq!(lists.ask(slot(1), list("10.0.0.1"), 3), Asked::Done);
        lists.not_loaded(&second, false);
        assert!(!lists.is_sent(slot(1)));
        assert_eq!(lists.ask(slot(1), list("10.0.0.1"), 4), Asked::Waits);
    }

    #[test]
    fn the_next_tenants_list_is_sent_before_it_starts() {
        let mut lists = Lists::default();
        lists.ask(slot(1), list("10.0.0.1"), 1);
        let batch = lists.take().unwrap();
        lists.loaded(&batch);
        lists.forget(slot(1));
        assert!(!lists.is_sent(slot(1)));
        assert_eq!(lists.ask(slot(1), Egress::default(), 2), Asked::Waits);
    }

    #[test]
    fn name_servers_that_were_not_loaded_are_tried_again() {
        let servers: Vec<IpAddr> = vec!["10.0.2.3".parse().unwrap()];
        let mut lists = Lists::default();
        assert!(lists.ask_name_servers(servers.clone()));
        let batch = lists.take().unwrap();
        lists.not_loaded(&batch, true);
        let batch = lists.take().unwrap();
        assert_eq!(batch.name_servers.as_ref(), Some(&servers));
        lists.loaded(&batch);
        assert!(!lists.ask_name_servers(servers));
        assert_eq!(lists.take(), None);
    }

    #[test]
    fn a_thousand_lists_are_loaded_in_a_few_goes_and_none_is_lost() {
        let mut lists = Lists::default();
        for n in 0..1000 {
            assert_eq!(lists.ask(slot(n), list("10.0.0.1"), u32::from(n)), Asked::Waits);
        }
        let mut answered = Vec::new();
        while let Some(batch) = lists.take() {
            assert!(batch.lists.len() <= MAX_LISTS);
            answered.extend(batch.lists.values().flat_map(|wanted| wanted.requests.clone()));
            lists.loaded(&batch);
        }
        assert_eq!(answered, (0..1000).collect::<Vec<_>>());
    }
}
