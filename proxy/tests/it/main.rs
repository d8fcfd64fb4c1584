//! The proxy with real sockets on loopback: clients on one side, tenants' programs and a scripted init on the other.
//! `rig` has the three; the other files ask one question each.

// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod asleep;
mod authority;
mod binary;
mod born;
mod challenges;
mod clients;
mod drain;
mod early;
mod ending;
mod fairness;
mod forward;
mod front;
mod grpc;
mod h2c;
mod headers;
mod health;
mod http2;
mod idle;
mod leases;
mod matrix;
mod moved;
mod pages;
mod reuse;
mod rig;
mod routes;
mod routing;
mod seen;
mod settling;
mod starts;
mod static_files;
mod static_life;
mod streaming;
mod strict;
mod tally;
mod tls;
mod trailers;
mod untaken;
mod websocket;
mod websocket_http2;
mod workers;
