#![no_main]
//! `cargo fuzz`'s way to `kennel_fuzz::http1`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| kennel_fuzz::http1::run(data));
