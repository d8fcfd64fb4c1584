//! Keys to sign in with, as `ssh-keygen` would write them: no program need be there for that.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The secret and the public half of the first test of RFC 8032: everybody knows them.
const SECRET: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
    0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
const PUBLIC: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1,
    0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];
/// The public half of its second test.
const OTHER: [u8; 32] = [
    0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98,
    0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c,
];
const KIND: &[u8] = b"ssh-ed25519";

/// A string as SSH writes it.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn blob(public: &[u8]) -> Vec<u8> {
    [string(KIND), string(public)].concat()
}

/// The public half, as a line.
pub(crate) fn public() -> String {
    format!("ssh-ed25519 {} ada@example\n", STANDARD.encode(blob(&PUBLIC)))
}

/// The public half of somebody else's key.
pub(crate) fn another() -> String {
    format!("ssh-ed25519 {} alice@example\n", STANDARD.encode(blob(&OTHER)))
}

/// The private file, without a passphrase.
pub(crate) fn private() -> String {
    let both = [SECRET, PUBLIC].concat();
    let mut secret = [&[7; 8][..], &string(KIND), &string(&PUBLIC), &string(&both), &string(b"ada")].concat();
    secret.extend((1..).take(secret.len().next_multiple_of(8) - secret.len()));
    let head = [b"openssh-key-v1\0".to_vec(), string(b"none"), string(b"none"), string(b"")].concat();
    let all =
        STANDARD.encode([head, 1_u32.to_be_bytes().to_vec(), string(&blob(&PUBLIC)), string(&secret)].concat());
    let lines: Vec<&str> = all.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n", lines.join("\n"))
}
