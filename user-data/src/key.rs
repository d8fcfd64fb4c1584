//! Public keys as in `authorized_keys`, without options: Ed25519 only.

use ssh_key::{PrivateKey, PublicKey};

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

/// The public keys in a file that an operator names: lines as in `authorized_keys`, or a private key in OpenSSH's format.
///
/// # Errors
/// What is wrong, as a clause.
pub fn public_keys(text: &str) -> Result<Vec<String>, String> {
    if text.trim_start().starts_with("-----BEGIN") {
        // The public half of a locked key is not locked.
        let key =
            PrivateKey::from_openssh(text).map_err(|_| "not a private key in OpenSSH's format".to_owned())?;
        let line = key.public_key().to_openssh().map_err(|_| "its public half cannot be told".to_owned())?;
        return parse_key(&line).map(|_| vec![line]);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| parse_key(line).map(|_| line.to_owned())).collect()
}

fn is_other_kind(word: &str) -> bool {
    match word.strip_suffix(CERTIFICATE) {
        Some(kind) => kind == KIND || is_other_kind(kind),
        None => OTHER_KINDS.contains(&word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEPGo02wNjd8wWRqyeMFFJJ1XYpOjsfyFHuMNmTGGHI8 ada";

    #[test]
    fn an_operators_file_may_be_public_or_private() {
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
            b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n\
            QyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYgAAAJgAIAxdACAM\n\
            XQAAAAtzc2gtZWQyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYg\n\
            AAAEC2BsIi0QwW2uFscKTUUXNHLsYX4FxlaSDSblbAj7WR7bM+rvN+ot98qgEN796jTiQf\n\
            ZfG1KaT0PtFDJ/XFSqtiAAAAEHVzZXJAZXhhbXBsZS5jb20BAgMEBQ==\n\
            -----END OPENSSH PRIVATE KEY-----\n";
        let found = public_keys(private).unwrap();
        assert!(found[0].starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+"), "{found:?}");
        assert_eq!(public_keys(&format!("# mine\n\n{KEY}\n")).unwrap(), [KEY]);
        assert!(public_keys("ssh-rsa AAAAB3Nz me").unwrap_err().contains("only ssh-ed25519"));
        assert!(public_keys("-----BEGIN RSA PRIVATE KEY-----").is_err());
    }
}
