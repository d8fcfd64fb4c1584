//! The program as a person runs it, against the strict fake: every scenario starts `kennel-ami` with a home of its own and
//! an endpoint on loopback, and then looks at what is in the account. What the fake itself takes and refuses, `strict`
//! shows.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure in a helper is a failed test")]

#[path = "../fake/mod.rs"]
mod fake;

mod denied;
mod desk;
mod dry;
mod hosting;
mod hosts;
mod incremental;
mod late;
mod launch;
mod launch_broken;
mod manage;
mod odd;
mod picture;
mod policies;
mod publish;
mod refuse;
mod replace;
mod resume;
mod spot;
mod trouble;
