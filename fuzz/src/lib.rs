//! What takes strangers' bytes apart, tried with bytes of all kinds. Each module has `run`, which takes any bytes and
//! panics when something is wrong with what the project's code made of them, and `seeds`, bytes to begin with. The same
//! checks are run by `tests/corpus.rs` on every change and by libFuzzer for as long as one likes (`scripts/fuzz.sh`).

pub mod audit;
pub mod dhcp;
pub mod dhcp6;
pub mod http1;
pub mod imds;
pub mod protocol;
pub mod routes;
pub mod slots;
pub mod spec;
mod tree;
pub mod unpack;

/// One check.
pub struct Target {
    /// Its name, also of its binary and its corpus.
    pub name: &'static str,
    /// Tries these bytes.
    pub run: fn(&[u8]),
    /// Bytes to begin with, made from the types themselves, so that they never grow stale.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident),*) => { [$(Target { name: stringify!($name), run: $name::run, seeds: $name::seeds }),*] };
}

/// All checks.
pub const TARGETS: [Target; 10] =
    targets![protocol, slots, unpack, routes, http1, spec, dhcp, dhcp6, audit, imds];

/// Numbers out of bytes, for checks of things that take no bytes themselves. Zeros when they are used up.
#[derive(Debug)]
pub(crate) struct Numbers<'a>(std::slice::Iter<'a, u8>);

impl<'a> Numbers<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data.iter())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    pub(crate) fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }
}
