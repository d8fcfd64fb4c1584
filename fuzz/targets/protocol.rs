#![no_main]
//! `cargo fuzz`'s way to `kennel_fuzz::protocol`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| kennel_fuzz::protocol::run(data));
