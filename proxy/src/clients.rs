//! How many connections each client has: nobody alone can take the places of all. A client is an address; of IPv6, the
//! network of 64 bits that one household gets. What the connections carry is looked at elsewhere.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// One count per client that is connected, all with the same bound.
#[derive(Debug)]
pub(crate) struct Clients {
    counts: Mutex<HashMap<IpAddr, usize>>,
    bound: usize,
}

/// One of a client's connections; it counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    /// Nobody is connected.
    pub(crate) fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self { counts: Mutex::default(), bound })
    }

    /// Counts one more connection from this address, or nothing when its client has all that it may have.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Share> {
        let client = client(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_default();
        if *count >= self.bound {
            return None;
        }
        *count += 1;
        Some(Share { clients: self.clone(), client })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.clients.counts.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has left altogether takes no memory.
        if let Entry::Occupied(mut count) = counts.entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Who counts as one: an address, or a network of 64 bits.
pub(crate) fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_that_has_its_share_gets_no_more_and_others_do() {
        let clients = Clients::new(2);
        let held = (clients.enter(address("192.0.2.1")), clients.enter(address("::ffff:192.0.2.1")));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(clients.enter(address("192.0.2.1")).is_none());
        assert!(clients.enter(address("192.0.2.2")).is_some());
        drop(held);
        assert!(clients.enter(address("192.0.2.1")).is_some());
        assert!(clients.counts.lock().unwrap().is_empty());
    }

    #[test]
    fn a_household_of_ipv6_is_one_client() {
        let clients = Clients::new(1);
        let _held = clients.enter(address("2001:db8:0:1::1"));
        assert!(clients.enter(address("2001:db8:0:1:ffff::2")).is_none());
        assert!(clients.enter(address("2001:db8:0:2::1")).is_some());
    }
}
