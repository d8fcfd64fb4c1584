//! A strict fake of the parts of AWS that publishing and launching need, over real HTTP on loopback: what the documentation says a
//! request must hold is checked here, which moto lets through. One server answers for all services and regions: the
//! signature's scope tells which one is meant. Not judged: the signatures themselves, and quotas. Time does not pass in it: what takes a while on AWS takes so and so many looks here.
//!
//! `account` and `compute` hold what there is, `http` receives and sends, `ebs_write`, `ebs_read`, `ec2`, `ssm` and `sts`
//! answer, `faults` breaks things on demand and `iam` refuses. Hosts that run have an API (`host`), each at an address of
//! loopback that stands for its public one; a test may put real machines behind them (`machines`). What must never happen to tenants' data is recorded, and fails the test.
#![allow(dead_code, reason = "the tests and the benchmark's server each use a part")]

pub(crate) mod account;
mod addresses;
mod answer;
mod attribute;
pub(crate) mod clock;
pub(crate) mod compute;
mod demand;
mod demand_compute;
mod ebs_read;
mod ebs_write;
mod ec2;
pub(crate) mod faults;
mod form;
pub(crate) mod groups;
pub(crate) mod host;
mod http;
pub(crate) mod iam;
pub(crate) mod image;
mod instances;
mod life;
pub(crate) mod machines;
mod permissions;
mod power;
mod register;
mod request;
mod run;
mod snapshot;
mod ssm;
mod sts;
mod types;
pub(crate) mod uefi;
mod volumes;
mod xml;

use account::Account;
use faults::{Fault, Faults, When};
use iam::Iam;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The bytes of a block, the only size that there is.
pub(crate) const BLOCK: usize = 524_288;
/// The account that all requests come from.
pub(crate) const OWNER: &str = "111122223333";
/// Somebody else's.
pub(crate) const STRANGER: &str = "999988887777";

/// A request that arrived, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) region: String,
    pub(crate) action: String,
    /// The IAM actions that it needed; none where it was not understood.
    pub(crate) needs: Vec<String>,
    /// 0 as long as nothing was answered.
    pub(crate) status: u16,
    /// The error's code, where it was refused.
    pub(crate) code: String,
    /// EC2's own dry run: nothing was changed, and nothing would have been.
    pub(crate) dry_run: bool,
}

impl Call {
    /// Whether the request would change something.
    pub(crate) fn mutates(&self) -> bool {
        let reads = ["Describe", "Get", "List"].iter().any(|begin| self.action.starts_with(begin));
        !reads && !self.dry_run
    }
}

/// What the server's tasks and the test share.
pub(crate) struct Shared {
    account: Mutex<Account>,
    faults: Mutex<Faults>,
    iam: Mutex<Iam>,
    calls: Mutex<Vec<Call>>,
    changed: Condvar,
    latency: Duration,
}

/// A running server; dropping it ends it.
pub(crate) struct Fake {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fake {
    /// A server on a free port of loopback.
    pub(crate) fn start() -> Fake {
        Fake::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Duration::ZERO)
    }

    /// A server at an address, each of whose answers takes `latency` longer than it must.
    pub(crate) fn start_at(address: SocketAddr, latency: Duration) -> Fake {
        let shared = Arc::new(Shared {
            account: Mutex::default(),
            faults: Mutex::default(),
            iam: Mutex::default(),
            calls: Mutex::default(),
            changed: Condvar::new(),
            latency,
        });
        let listener = std::net::TcpListener::bind(address).expect("a port on loopback");
        listener.set_nonblocking(true).expect("a listener that tokio takes");
        let address = listener.local_addr().expect("the listener's address");
        let (stop, stopped) = oneshot::channel();
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! { () = http::serve(listener, for_thread) => {}, _ = stopped => {} }
            });
        });
        Fake { shared, address, stop: Some(stop), thread: Some(thread) }
    }

    /// What `AWS_ENDPOINT_URL` is set to.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What there is in the account, to look at and to change behind the client's back.
    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        locked(&self.shared.account)
    }

    /// Breaks requests of an action (or `*`) from now on.
    pub(crate) fn fault(&self, action: &str, when: When, fault: Fault) {
        locked(&self.shared.faults).add(action, when, fault);
    }

    /// Everything works again.
    pub(crate) fn mend(&self) {
        *locked(&self.shared.faults) = Faults::default();
    }

    /// Refuses requests that need this IAM action.
    pub(crate) fn deny(&self, action: &str) {
        locked(&self.shared.iam).deny(action);
    }

    /// Refuses all that these policies do not allow.
    pub(crate) fn enforce(&self, policies: &[String]) {
        locked(&self.shared.iam).enforce(policies);
    }

    /// Whether an action on one thing is refused.
    pub(crate) fn refuses(&self, region: &str, action: &str, id: &str) -> bool {
        let demand = demand_compute::on(&mut self.account(), region, action, id);
        locked(&self.shared.iam).judge(request::Service::Ec2, &[demand]).is_err()
    }

    /// Refuses them no longer.
    pub(crate) fn undeny(&self, action: &str) {
        locked(&self.shared.iam).undeny(action);
    }

    /// All requests so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        locked(&self.shared.calls).clone()
    }

    /// How many requests of an action there were.
    pub(crate) fn count(&self, action: &str) -> usize {
        self.calls().iter().filter(|call| call.action == action).count()
    }

    /// How many requests of an action were answered well.
    pub(crate) fn done(&self, action: &str) -> usize {
        self.calls().iter().filter(|call| call.action == action && (200..300).contains(&call.status)).count()
    }

    /// The IAM actions that the answered requests needed.
    pub(crate) fn needed(&self) -> BTreeSet<String> {
        self.calls().into_iter().filter(|call| call.status < 400).flat_map(|call| call.needs).collect()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget_calls(&self) {
        locked(&self.shared.calls).clear();
    }

    /// Waits until a stalled request has arrived; false if none did before the deadline.
    pub(crate) fn stalled(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let mut faults = locked(&self.shared.faults);
        while faults.stalled == 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            faults = self.shared.changed.wait_timeout(faults, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let violations = std::mem::take(&mut self.account().violations);
        assert!(violations.is_empty() || std::thread::panicking(), "{violations:?}");
    }
}
