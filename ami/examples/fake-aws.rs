//! The tests' strict fake of AWS as a server for benchmarks: each of its answers takes so many milliseconds.
//!
//!   fake-aws MILLISECONDS
//!
//! Prints its endpoint, answers until standard input ends, and then prints how many blocks it was sent.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a tool of the benchmarks, not of the product")]

#[path = "../tests/fake/mod.rs"]
mod fake;

use std::io::Read;
use std::time::Duration;

fn main() {
    let latency =
        std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("usage: fake-aws MILLISECONDS");
    let fake = fake::Fake::start_at(([127, 0, 0, 1], 0).into(), Duration::from_millis(latency));
    println!("{}", fake.endpoint());
    // Whoever started this holds the other end.
    let _ = std::io::stdin().read(&mut [0]);
    println!("{} blocks", fake.done("PutSnapshotBlock"));
}
