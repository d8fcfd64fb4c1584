//! Starts the proxy with what init hands over (`kennel_model::services`): the channel as descriptor 3, where records go as
//! descriptor 4, and from there on as many listening sockets for HTTP as there are to be workers, and as many for HTTPS. Exit 0
//! after a drain, 1 when it cannot go on.

use std::net::TcpListener;
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
    let records = Channel::from_fd(inherited::take(inherited::FIRST + 1)?);
    let mut http: Vec<_> =
        inherited::take_from(inherited::FIRST + 2)?.into_iter().map(TcpListener::from).collect();
    let https = http.split_off(http.len() / 2);
    if https.len() != http.len() {
        return Err("not as many sockets for HTTP as for HTTPS".into());
    }
    let mut workers = http.into_iter().zip(https).map(|(http, https)| Listeners { http, https });
    let first = workers.next().ok_or("no listening sockets were handed over")?;
    let mut limits = Limits::default();
    limits.fit_descriptors(raise_descriptor_limit(limits.descriptors()));
    let runtime = kennel_proxy::runtime(&limits)?;
    Ok(runtime.block_on(kennel_proxy::run(channel, first, workers.collect(), records, limits))?)
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
