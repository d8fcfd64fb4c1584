//! A DHCP client for one interface: it gets and keeps a lease and tells init, which alone may configure anything. What init
//! does with a lease is init's business.
//!
//! For IPv4, before there is an address it speaks in whole frames through a packet socket, open only while it asks; a lease
//! is renewed over plain UDP. IPv6 is in `v6`; neither waits for the other.

pub mod client;
pub mod frame;
pub mod interface;
pub mod machine;
pub mod message;
pub mod v6;
mod wire;
