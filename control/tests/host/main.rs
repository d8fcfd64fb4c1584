//! Control as a whole, over real TLS and real SSH signatures, with a stand-in for init that can break off anywhere.

// Helpers of tests, which clippy does not know for tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod acme;
mod api;
mod attest;
mod backup;
mod betas;
mod builds;
mod certificates;
mod cloud;
mod crashes;
mod cron;
mod data;
mod denials;
mod described;
mod egress;
mod env;
mod exec;
mod failsafe;
mod jobs;
mod listing;
mod logs;
#[path = "../../../tests/src/pebble.rs"]
mod pebble;
mod people;
mod processes;
mod prove;
mod releases;
mod roles;
mod routing;
mod runtimes;
mod seeing;
mod sign_in;
mod sites;
mod support;
mod tokens;
mod trials;
mod uploads;
