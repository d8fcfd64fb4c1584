//! Starts the proxy with what init hands over: the channel as descriptor 3, the listening sockets as descriptors 4 (HTTP) and 5
//! (HTTPS), where records go as descriptor 6 (`kennel_model::services`). Exit 0 after a drain, 1 when it cannot go on.

use std::process::ExitCode;

use kennel_proxy::{Limits, Listeners, say};
use kennel_sys::{Channel, inherited};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            say(format_args!("{e}"));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Box<dyn std::error::Error>> {
    let channel = Channel::from_fd(inherited::take(inherited::FIRST)?);
    let http = inherited::take(inherited::FIRST + 1)?.into();
    let https = inherited::take(inherited::FIRST + 2)?.into();
    let records = Channel::from_fd(inherited::take(inherited::FIRST + 3)?);
    let mut limits = Limits::default();
    limits.fit_descriptors(raise_descriptor_limit(limits.descriptors()));
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(limits.static_threads).build()?;
    Ok(runtime.block_on(kennel_proxy::run(channel, Listeners { http, https }, records, limits))?)
}

/// Raises the soft limit as far as wanted and allowed; answers what it is then.
fn raise_descriptor_limit(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = wanted as u64;
    let reachable = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let now = current.unwrap_or(u64::MAX);
    if now < reachable && setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum }).is_err() {
        return usize::try_from(now).unwrap_or(usize::MAX);
    }
    usize::try_from(now.max(reachable)).unwrap_or(usize::MAX)
}
