#![no_main]
//! `cargo fuzz`'s way to `kennel_fuzz::routes`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| kennel_fuzz::routes::run(data));
