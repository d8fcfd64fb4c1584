//! What one tenant may take of the proxy, and one client of a tenant: requests at a time ([`turns`]), requests a second
//! ([`rates`]) and bytes a second ([`pace`]). Each tenant's bounds come with its route; how many connections a client may
//! have is `clients`' business, and how slow it may be `slow`'s.

mod due;
mod pace;
mod rates;
mod turns;

pub(crate) use due::Due;
pub(crate) use pace::{Pace, Throttle};
pub(crate) use rates::Rates;
pub(crate) use turns::{Turn, Turns};
