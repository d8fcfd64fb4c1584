#![no_main]
//! `cargo fuzz`'s way to `kennel_fuzz::unpack`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| kennel_fuzz::unpack::run(data));
