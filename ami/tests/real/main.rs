//! From an image to a host and on to the next, with a real one: at the strict fake of AWS, RunInstances boots what was
//! published, in QEMU, and the commands are those that a person types, most of them as the commands before told. Needs the
//! image in `out/` and the `kennel` program: `make amitest` has both.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure in a helper is a failed test")]

#[path = "../scenarios/desk.rs"]
#[allow(dead_code, reason = "the scenarios' desk has more")]
mod desk;
#[path = "../fake/mod.rs"]
mod fake;
#[path = "../../../tests/src/imds.rs"]
#[allow(dead_code, reason = "the metadata service of the scenarios in the VM")]
mod imds;
#[path = "../scenarios/picture.rs"]
#[allow(dead_code, reason = "the desk can publish pictures")]
mod picture;

mod key;
mod person;
mod qmp;
mod rack;
mod story;
