#![no_main]
//! `cargo fuzz`'s way to `kennel_fuzz::spec`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| kennel_fuzz::spec::run(data));
