//! A document for a host that is about to be started.

use kennel_model::NodeName;

/// User-data for a host of this name, if it has one, which admits these keys, lines of OpenSSH each. Whether they are such
/// is found by reading it.
pub fn write(host_name: Option<&NodeName>, ssh_keys: &[String]) -> String {
    let quoted: Vec<String> = ssh_keys.iter().map(|key| toml::Value::from(key.as_str()).to_string()).collect();
    let host = host_name.map(|name| format!("[host]\nname = \"{name}\"\n\n")).unwrap_or_default();
    format!("{host}[operator]\nssh_keys = [{}]\n", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{UserData, parse_key};

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEPGo02wNjd8wWRqyeMFFJJ1XYpOjsfyFHuMNmTGGHI8 ada";

    #[test]
    fn what_is_written_is_read_whatever_the_keys_comment_holds() {
        let name = NodeName::new("edge1.example").unwrap();
        let line = format!("{KEY} \"quoted\" \\ ''' #");
        let data = UserData::from_bytes(write(Some(&name), &[line]).as_bytes()).unwrap();
        assert_eq!(data.host_name, Some(name));
        assert_eq!(data.ssh_keys[0].key_data(), parse_key(KEY).unwrap().key_data());
        assert_eq!(write(None, &[]), "[operator]\nssh_keys = []\n");
    }
}
