#![no_main]
//! `cargo fuzz`'s way to `kennel_fuzz::dhcp6`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| kennel_fuzz::dhcp6::run(data));
