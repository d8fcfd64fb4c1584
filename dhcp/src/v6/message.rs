//! DHCPv6 messages: what the client says, and what of a server's answer it believes. It asks for one address that is not
//! temporary (IA_NA) and for name servers; it takes no unasked-for messages (no Reconfigure), no prefixes, no unicast.

use std::net::Ipv6Addr;

use kennel_model::network::{MAX_NAME_SERVERS, can_be_leased, is_host6};

use super::wire::{Options, Question, addresses, long, option, wrapped};
use crate::frame::Mac;

/// Message types.
mod kind {
    pub(super) const SOLICIT: u8 = 1;
    pub(super) const ADVERTISE: u8 = 2;
    pub(super) const REQUEST: u8 = 3;
    pub(super) const RENEW: u8 = 5;
    pub(super) const REBIND: u8 = 6;
    pub(super) const REPLY: u8 = 7;
    pub(super) const DECLINE: u8 = 9;
}

/// Status codes.
mod status {
    pub(super) const SUCCESS: u16 = 0;
    pub(super) const NO_BINDING: u16 = 3;
}

/// A lifetime or time that never ends.
pub const FOR_EVER: u32 = u32::MAX;
/// Addresses of one answer that are looked at.
const MAX_ADDRESSES: usize = 8;
/// Longest name of a server (RFC 8415, 11.1), in bytes.
const MAX_DUID: usize = 130;
/// What a server may set the longest pause between two Solicits to, in seconds (RFC 8415, 21.24).
const SOL_MAX_RT: std::ops::RangeInclusive<u32> = 60..=86_400;

/// A server's name for itself.
pub type Duid = Vec<u8>;

/// What the client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Ties the answer to the question; 24 bits.
    pub xid: u32,
    /// Since the client began with this question, in hundredths of a second.
    pub elapsed: u16,
    /// What it asks for.
    pub kind: AskKind,
}

/// The client's questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskKind {
    /// Who has an address?
    Solicit,
    /// I take this address from this server.
    Request(Ipv6Addr, Duid),
    /// To the lease's server: may I keep the address?
    Renew(Ipv6Addr, Duid),
    /// To everybody: may I keep the address?
    Rebind(Ipv6Addr),
    /// Somebody else on the link has the address.
    Decline(Ipv6Addr, Duid),
}

/// A server's answer, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An address to be had, and how much the server wants to be taken.
    Advertise(Terms, u8),
    /// What is so.
    Reply(Terms),
    /// The server knows nothing of the address, or has none; what else it says of pauses, in seconds.
    No(No),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct No {
    /// Who refuses.
    pub server: Duid,
    /// What kind of message it was.
    pub is_reply: bool,
    /// The server knows of no lease of ours.
    pub no_binding: bool,
    /// The longest pause between two Solicits, in seconds.
    pub max_pause_s: Option<u32>,
}

/// Addresses with what belongs to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Who gives them.
    pub server: Duid,
    /// What it gives, or takes back.
    pub addresses: Vec<Offered>,
    /// When to ask the server again (T1), in seconds; 0 leaves it to us.
    pub renew_s: u32,
    /// When to ask anybody (T2), in seconds; 0 leaves it to us.
    pub rebind_s: u32,
    /// Name servers.
    pub dns: Vec<Ipv6Addr>,
}

/// An address and its times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// The address.
    pub address: Ipv6Addr,
    /// How long it is good for new connections.
    pub preferred_s: u32,
    /// How long it may be used at all; 0 takes it back.
    pub valid_s: u32,
}

/// The client's name for itself, made of its hardware address (DUID-LL, RFC 8415, 11.4).
fn client_id(mac: Mac) -> [u8; 10] {
    let mut id = [0, 3, 0, 1, 0, 0, 0, 0, 0, 0];
    id[4..].copy_from_slice(&mac);
    id
}

/// What tells its one set of addresses (IA) from others of its own: the same at each start.
fn ia_id(mac: Mac) -> [u8; 4] {
    [mac[2], mac[3], mac[4], mac[5]]
}

/// Encodes a question from `mac`.
pub fn encode(ask: &Ask, mac: Mac) -> Vec<u8> {
    let (kind, address, server) = match &ask.kind {
        AskKind::Solicit => (kind::SOLICIT, None, None),
        AskKind::Request(address, server) => (kind::REQUEST, Some(address), Some(server)),
        AskKind::Renew(address, server) => (kind::RENEW, Some(address), Some(server)),
        AskKind::Rebind(address) => (kind::REBIND, Some(address), None),
        AskKind::Decline(address, server) => (kind::DECLINE, Some(address), Some(server)),
    };
    // T1 and T2, and the address' times, are the server's to say: zero (RFC 8415, 18.2).
    let mut ia = [&ia_id(mac)[..], &[0; 8]].concat();
    if let Some(address) = address {
        ia.extend(wrapped(option::IA_ADDRESS, &[&address.octets()[..], &[0; 8]].concat()));
    }
    let mut question = Question::new(kind, ask.xid).option(option::CLIENT_ID, &client_id(mac));
    if let Some(server) = server {
        question = question.option(option::SERVER_ID, server);
    }
    question = question.option(option::IA_NA, &ia).option(option::ELAPSED, &ask.elapsed.to_be_bytes());
    if kind != kind::DECLINE {
        let wanted = [option::DNS, option::SOL_MAX_RT].map(u16::to_be_bytes);
        question = question.option(option::REQUEST, wanted.as_flattened());
    }
    question.finish()
}

/// The answer to question `xid` of `mac` in these bytes; `None` when it is something else or not to be believed.
pub fn decode(bytes: &[u8], xid: u32, mac: Mac) -> Option<Answer> {
    let (kind, options) = Options::of_message(bytes, xid)?;
    let is_reply = match kind {
        kind::ADVERTISE => false,
        kind::REPLY => true,
        _ => return None,
    };
    let server = options.first(option::SERVER_ID).filter(|id| (1..=MAX_DUID).contains(&id.len()))?.to_vec();
    if options.first(option::CLIENT_ID)? != client_id(mac) {
        return None;
    }
    let pause = options.first(option::SOL_MAX_RT).filter(|value| value.len() == 4);
    let max_pause_s = pause.and_then(|value| long(value, 0)).filter(|s| SOL_MAX_RT.contains(s));
    let no = |status| {
        let no_binding = status == status::NO_BINDING;
        Some(Answer::No(No { server: server.clone(), is_reply, no_binding, max_pause_s }))
    };
    if options.status() != status::SUCCESS {
        return no(options.status());
    }
    let ours = |value: &&[u8]| value.starts_with(&ia_id(mac));
    let (own, within) = Options::within(options.all(option::IA_NA).find(ours)?, 12)?;
    if within.status() != status::SUCCESS {
        return no(within.status());
    }
    let (renew_s, rebind_s) = (long(own, 4)?, long(own, 8)?);
    if renew_s > rebind_s && rebind_s != 0 {
        return None;
    }
    let addresses: Vec<_> = within.all(option::IA_ADDRESS).filter_map(offered).take(MAX_ADDRESSES).collect();
    let dns = options.first(option::DNS).map(name_servers).unwrap_or_default();
    let terms = Terms { server: server.clone(), addresses, renew_s, rebind_s, dns };
    match is_reply {
        true => Some(Answer::Reply(terms)),
        false if terms.addresses.iter().any(|offered| offered.valid_s > 0) => {
            let preference = options.first(option::PREFERENCE).and_then(|value| value.first().copied());
            Some(Answer::Advertise(terms, preference.unwrap_or(0)))
        }
        false => no(status::SUCCESS),
    }
}

/// An address that can be right, with its times in order, and no status of its own against it.
fn offered(value: &[u8]) -> Option<Offered> {
    let (own, within) = Options::within(value, 24)?;
    let address = addresses(&own[..16]).next().filter(|address| can_be_leased(*address))?;
    let (preferred_s, valid_s) = (long(own, 16)?, long(own, 20)?);
    (preferred_s <= valid_s && within.status() == status::SUCCESS).then_some(Offered {
        address,
        preferred_s,
        valid_s,
    })
}

/// Those of a list that can be right, each once.
pub(super) fn name_servers(value: &[u8]) -> Vec<Ipv6Addr> {
    let mut servers = Vec::new();
    for server in addresses(value).filter(|server| is_host6(*server)) {
        if servers.len() < MAX_NAME_SERVERS && !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
