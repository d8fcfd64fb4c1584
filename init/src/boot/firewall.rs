//! The packet filter: the sealed rules, loaded once before any interface but loopback is up and before any service. And
//! how Debian's programs for it are run, then and later, when slots' own lists are loaded (`host/egress`).

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use caps::Capability;
use kennel_model::layout::{IP6TABLES_RULES, IPTABLES_RULES};

use super::tool::Tool;
use crate::child::Started;
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
        match tool(program, &[], Some(input)).run(LIMIT)? {
            0 => {}
            code => return Err(Failed::new(format!("load {rules}"), format!("{program} ended with {code}"))),
        }
    }
    say!("packet filter in force");
    Ok(())
}

/// Starts one of iptables' programs with these descriptors as its standard ones, and does not wait for it.
///
/// # Errors
/// When there is no process.
pub(crate) fn start(program: &str, args: &[&str], stdio: [BorrowedFd<'_>; 3]) -> Result<Started, Failed> {
    tool(program, args, None).start(stdio)
}

const fn tool<'a>(program: &'a str, args: &'a [&'a str], input: Option<File>) -> Tool<'a> {
    Tool { program, args, domain: "iptables_t", capabilities: &[Capability::CAP_NET_ADMIN], input }
}
