//! The checks of the fuzzer as ordinary tests: over seeds, over the corpus that the long runs found, and over a bounded
//! number of damaged copies of both, the same ones on every run.
#![allow(clippy::unwrap_used)] // A corpus that cannot be read is a failed test.

use std::path::Path;

use kennel_fuzz::TARGETS;

/// Damaged copies per target.
const COPIES: usize = 3000;

/// Runs one target over all that there is for it.
fn try_all(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let mut inputs = (target.seeds)();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut kept: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    kept.sort();
    inputs.extend(kept.iter().map(|path| std::fs::read(path).unwrap()));
    inputs.iter().for_each(|input| (target.run)(input));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..COPIES {
        (target.run)(&damaged(&inputs, &mut random));
    }
}

/// xorshift64*: any sequence will do, as long as it is the same tomorrow.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

/// One input with a few bytes changed, cut short, or joined to another.
fn damaged(inputs: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = inputs[random.below(inputs.len())].clone();
    match random.below(8) {
        0 => bytes.truncate(random.below(bytes.len())),
        1 => {
            let other = &inputs[random.below(inputs.len())];
            bytes.truncate(random.below(bytes.len()));
            bytes.extend_from_slice(&other[random.below(other.len())..]);
        }
        _ => {}
    }
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte = match random.below(3) {
                0 => random.below(256) as u8,
                1 => *byte ^ (1 << random.below(8)),
                _ => [0, 1, 0x7f, 0x80, 0xff, b'0', b'/', b'.'][random.below(8)],
            };
        }
    }
    bytes
}

macro_rules! tests {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            try_all(stringify!($name));
        })*

        #[test]
        fn no_target_is_forgotten() {
            assert_eq!(TARGETS.map(|target| target.name), [$(stringify!($name)),*]);
        }
    };
}

tests!(protocol, slots, unpack, routes, http1, spec, dhcp, dhcp6, audit, imds);
