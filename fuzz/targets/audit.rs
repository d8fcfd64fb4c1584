#![no_main]
//! `cargo fuzz`'s way to `kennel_fuzz::audit`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| kennel_fuzz::audit::run(data));
