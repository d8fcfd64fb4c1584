//! Control as a whole, over real TLS and real SSH signatures, with a stand-in for init that can break off anywhere.

// Helpers of tests, which clippy does not know for tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod acme;
mod api;
mod attest;
mod certificates;
mod cloud;
mod crashes;
mod denials;
mod described;
mod egress;
mod env;
mod logs;
#[path = "../../../tests/src/pebble.rs"]
mod pebble;
mod prove;
mod releases;
mod routing;
mod seeing;
mod sign_in;
mod support;
mod tokens;
mod uploads;
