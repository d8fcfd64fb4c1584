//! IPv6 on the same interface. The kernel hears the routers' advertisements and makes the default route, and addresses
//! where routers ask for that; when they say that addresses are to be had by DHCPv6 (their managed flag), this asks for one
//! (RFC 8415, stateful, one address), over plain UDP from its link-local address. Like its elder sibling it only tells init.
//!
//! | file | does |
//! |---|---|
//! | `wire` | options as bytes |
//! | `message` | what is said, and what of an answer is believed |
//! | `machine` | when |
//! | `news` | what the kernel heard from routers and neighbours |
//! | `link` | sockets |

pub mod link;
pub mod machine;
pub mod message;
pub mod news;
mod wire;
