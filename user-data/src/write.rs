//! A document for a host that is about to be started.

use std::net::SocketAddr;

use kennel_model::NodeName;

/// User-data for a host of this name, if it has one, which admits these keys, lines of OpenSSH each, and asks these servers
/// for the time. Whether keys are keys is found by reading it.
pub fn write(host_name: Option<&NodeName>, ssh_keys: &[String], time: &[SocketAddr]) -> String {
    let host = host_name.map(|name| format!("[host]\nname = \"{name}\"\n"));
    let quoted: Vec<String> = ssh_keys.iter().map(|key| toml::Value::from(key.as_str()).to_string()).collect();
    let operator = (!quoted.is_empty()).then(|| format!("[operator]\nssh_keys = [{}]\n", quoted.join(", ")));
    let quoted: Vec<String> = time.iter().map(|server| format!("\"{server}\"")).collect();
    let time = (!quoted.is_empty()).then(|| format!("[time]\nservers = [{}]\n", quoted.join(", ")));
    host.into_iter().chain(operator).chain(time).collect::<Vec<_>>().join("\n")
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
        let data =
            UserData::from_bytes(write(Some(&name), &[line], &["192.0.2.1:123".parse().unwrap()]).as_bytes())
                .unwrap();
        assert_eq!(data.host_name, Some(name));
        assert_eq!(data.ssh_keys[0].key_data(), parse_key(KEY).unwrap().key_data());
        assert_eq!(data.time_servers, ["192.0.2.1:123".parse().unwrap()]);
        assert_eq!(write(None, &[], &[]), "");
        let name = NodeName::new("edge1").unwrap();
        assert_eq!(
            write(Some(&name), &["k".to_owned()], &[]),
            "[host]\nname = \"edge1\"\n\n[operator]\nssh_keys = [\"k\"]\n"
        );
    }
}
