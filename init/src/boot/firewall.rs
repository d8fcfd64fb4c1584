//! The packet filter: the sealed rules, loaded once before any interface but loopback is up and before any service.

use std::fs::File;
use std::time::Duration;

use caps::Capability;
use kennel_model::layout::{IP6TABLES_RULES, IPTABLES_RULES};

use super::tool::Tool;
use crate::say;
use crate::step::{Failed, Step};

const LIMIT: Duration = Duration::from_secs(60);

/// Loads the rules for IPv4 and IPv6.
///
/// # Errors
/// When one of them is not in force.
pub(super) fn load() -> Result<(), Failed> {
    for (program, rules) in [
        ("/usr/sbin/iptables-nft-restore", IPTABLES_RULES),
        ("/usr/sbin/ip6tables-nft-restore", IP6TABLES_RULES),
    ] {
        let input = File::open(rules).step(|| format!("open {rules}"))?;
        let capabilities = &[Capability::CAP_NET_ADMIN];
        let tool = Tool { program, args: &[], domain: "iptables_t", capabilities, input: Some(input) };
        match tool.run(LIMIT)? {
            0 => {}
            code => return Err(Failed::new(format!("load {rules}"), format!("{program} ended with {code}"))),
        }
    }
    say!("packet filter in force");
    Ok(())
}
