#![no_main]
//! `cargo fuzz`'s way to `kennel_fuzz::slots`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| kennel_fuzz::slots::run(data));
