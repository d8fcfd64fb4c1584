//! Others judge `kennel-proxy`: the program itself, as init starts it, before clients that are not ours, and before the cases of
//! conformance suites that do not install from where everything here comes from. The section "Judged from outside" of docs/proxy.md has who
//! says what.

// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../it/authority.rs"]
mod authority;
#[path = "../it/born.rs"]
mod born;
mod clients;
mod h2;
#[path = "../it/rig.rs"]
#[allow(dead_code, unused_imports)]
mod rig;
mod slow;
mod stand;
mod websocket;
