//! Public keys as in `authorized_keys`, without options: Ed25519 only.

use ssh_key::PublicKey;

/// The only kind of key that signs in.
pub(crate) const KIND: &str = "ssh-ed25519";
/// What can be done about any other.
pub(crate) const HINT: &str = "take the line of a .pub file; ssh-keygen -t ed25519 makes one";
/// The other kinds that OpenSSH makes; and with [`CERTIFICATE`] behind them. Their names may be shown, any other word not.
const OTHER_KINDS: [&str; 7] = [
    "ssh-rsa",
    "ssh-dss",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];
const CERTIFICATE: &str = "-cert-v01@openssh.com";

/// Takes one line.
///
/// # Errors
/// What is wrong, as a clause that repeats nothing of the line but the name of a kind.
pub fn parse_key(line: &str) -> Result<PublicKey, String> {
    let line = line.trim();
    let kind = line.split_whitespace().next().unwrap_or_default();
    if kind == KIND {
        // The parser also sees to it that the key inside is of the kind that the line says.
        return PublicKey::from_openssh(line).map_err(|_| format!("not a whole {KIND} public key"));
    }
    if is_other_kind(kind) {
        return Err(format!("{kind:?} keys are not accepted, only {KIND} ones"));
    }
    if line.contains(KIND) {
        return Err("options before a key are not accepted".to_owned());
    }
    Err(format!("not a public key: those begin with {KIND}"))
}

fn is_other_kind(word: &str) -> bool {
    match word.strip_suffix(CERTIFICATE) {
        Some(kind) => kind == KIND || is_other_kind(kind),
        None => OTHER_KINDS.contains(&word),
    }
}
