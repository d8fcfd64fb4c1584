//! The packet filter: the sealed rules, loaded once before any interface but loopback is up and before any service. And
//! how Debian's programs for it are run, then and later, when slots' own lists are loaded (`host/egress`).

use std::ffi::CString;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use caps::{Capability, CapsHashSet};
use kennel_model::labels;
use kennel_model::layout::{IP6TABLES_RULES, IPTABLES_RULES};
use kennel_sys::clone::Namespaces;

use super::tool::Tool;
use crate::child::{self, Plan, Program, Started};
use crate::say;
use crate::step::{Failed, Step};

const LIMIT: Duration = Duration::from_secs(60);
const DOMAIN: &str = "iptables_t";
const CAPABILITIES: [Capability; 1] = [Capability::CAP_NET_ADMIN];

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
        let tool = Tool { program, args: &[], domain: DOMAIN, capabilities: &CAPABILITIES, input: Some(input) };
        match tool.run(LIMIT)? {
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
    let text = |s: &str| CString::new(s).step(|| format!("run {program}"));
    let name = program.rsplit('/').next().unwrap_or(program);
    child::start(Plan {
        program: Program::Path(text(program)?),
        argv: std::iter::once(&name).chain(args).map(|a| text(a)).collect::<Result<_, _>>()?,
        env: vec![c"PATH=/usr/sbin:/usr/bin".to_owned()],
        descriptors: stdio.to_vec(),
        cgroup: None,
        namespaces: Namespaces::default(),
        root: None,
        host_name: None,
        limits: vec![],
        uid: 0,
        capabilities: CapsHashSet::from(CAPABILITIES),
        context: Some(labels::process(DOMAIN)),
        fence: None,
        no_new_code: true,
        filter: None,
        oom_score: -900,
    })
}
