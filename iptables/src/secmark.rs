//! What the templates of the packet labels (`rules/secmark*.hbs`) are given: the labels' names, and the way from a port
//! to its slot's label. Which packets get which label is in the templates; what a label is good for is in
//! `policy/cil/packets.cil`.

use kennel_model::SlotId;
use serde::Serialize;

use crate::tree::Fork;

/// Labels that are not a slot's own; each is `<name>_packet_t` in the policy, which has one more, `allowed`, that only a
/// mark leads to.
pub(crate) const LABELS: [&str; 15] = [
    "answer", "api", "dhcp", "dhcp6", "dns", "foreign", "link", "loopback", "metadata", "private", "public",
    "reserved", "time", "unlisted", "web",
];

/// One rule of a fork by ports: to the next fork, or to the slot's label.
#[derive(Debug, Serialize)]
pub(crate) struct PortFork {
    chain: String,
    first: u16,
    last: u16,
    then: String,
}

/// The tree of users as a tree of ports.
pub(crate) fn by_port(pool: &[SlotId], forks: &[Fork]) -> Vec<PortFork> {
    let slot_of = |uid: u32| pool.get(pool.binary_search_by_key(&uid, |slot| slot.uid()).ok()?).copied();
    let one = |chain: &str, first: SlotId, last: SlotId, to: &str| {
        let label = format!("-j SECMARK --selctx system_u:object_r:tenant{first}_port_t");
        let then = if first == last { label } else { format!("-g {to}") };
        PortFork { chain: chain.to_owned(), first: first.port(), last: last.last_port(), then }
    };
    let ports = |f: &Fork| Some(one(&f.chain, slot_of(f.first)?, slot_of(f.last)?, &f.to));
    forks.iter().filter_map(ports).collect()
}

/// The chains of these forks, each once.
pub(crate) fn chains(forks: &[PortFork]) -> Vec<String> {
    let mut chains: Vec<String> = forks.iter().map(|fork| fork.chain.clone()).collect();
    chains.sort();
    chains.dedup();
    chains
}
