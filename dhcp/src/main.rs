//! dhcp
fn main() {}
