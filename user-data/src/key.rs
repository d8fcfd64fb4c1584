//! Public keys as in `authorized_keys`, without options: Ed25519 only.

use ssh_key::PublicKey;

/// The only kind of key that signs in.
pub(crate) const KIND: &str = "ssh-ed25519";
/// What can be done about any other.
pub(crate) const HINT: &str = "take the line of a .pub file; ssh-keygen -t ed25519 makes one";
/// How the names of the other kinds begin: they may be shown, since they are no secrets.
const OTHER_KINDS: [&str; 5] = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-", "rsa-"];

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
    if kind.len() <= 40 && is_kind(kind) {
        return Err(format!("{kind:?} keys are not accepted, only {KIND} ones"));
    }
    if line.contains(KIND) {
        return Err("options before a key are not accepted".to_owned());
    }
    Err(format!("not a public key: those begin with {KIND}"))
}

fn is_kind(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-@.".contains(c);
    OTHER_KINDS.iter().any(|start| word.starts_with(start)) && word.chars().all(plain)
}
