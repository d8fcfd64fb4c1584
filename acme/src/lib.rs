//! `kennel-acme`: speaks ACME (RFC 8555) with a certificate authority, as control asks it to, and tells what came of it. It is
//! the one program of the host's own that reaches beyond the host's network, so it is started when control asks for it only,
//! ends by itself when there is nothing to do, keeps nothing, and never sees a site's private key: control makes that, and
//! sends the request for its certificate. It decides nothing: who is asked for what and when is control's business.
//!
//! `service` hears control, `order` goes the way of an order, `net` makes requests, `dns` finds addresses, `words` says what
//! went wrong.

mod dns;
mod net;
mod order;
pub mod service;
mod words;
