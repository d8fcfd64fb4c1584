#![no_main]
//! `cargo fuzz`'s way to `kennel_fuzz::imds`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| kennel_fuzz::imds::run(data));
