//! A DHCPv4 client for one interface: it gets and keeps a lease and tells init, which alone may configure anything.
//! Before there is an address it speaks in whole frames through a packet socket, open only while it asks; a lease
//! is renewed over plain UDP. What init does with a lease is init's business.

pub mod client;
pub mod frame;
pub mod interface;
pub mod machine;
pub mod message;
mod wire;
