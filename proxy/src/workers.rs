//! The runtimes that serve: one is the caller's, each further one has a thread of its own. All have listening sockets of
//! their own, among which the kernel shares out who comes (SO_REUSEPORT, socket(7)), and serve by the same shared state. A
//! connection stays with the runtime that accepted it, and so do the connections to programs that its requests need.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

use crate::limits::Limits;
use crate::serve::{self, Doors};
use crate::shared::Shared;
use crate::{Listeners, ProxyError};

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// Which worker this is: 0 is the caller's.
pub(crate) fn here() -> usize {
    NUMBER.get()
}

/// A runtime for one worker.
///
/// # Errors
/// The system's, when descriptors are short.
pub fn runtime(limits: &Limits) -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(limits.static_threads).build()
}

/// The workers beside the caller's. They go on with the connections that they have until this is dropped.
#[derive(Debug)]
pub(crate) struct Workers {
    ended: mpsc::UnboundedReceiver<usize>,
    _over: watch::Sender<()>,
}

/// Tells that a worker has ended, however it came to that.
struct Ending(usize, mpsc::UnboundedSender<usize>);

impl Drop for Ending {
    fn drop(&mut self) {
        // Nobody listens any more when it is to end.
        _ = self.1.send(self.0);
    }
}

impl Workers {
    /// Starts one for each of `listeners`, which accepts until `drain` becomes true.
    ///
    /// # Errors
    /// [`ProxyError`]: a socket is no use, or the system has no thread left.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        listeners: Vec<Listeners>,
        drain: &watch::Receiver<bool>,
    ) -> Result<Self, ProxyError> {
        let (over, is_over) = watch::channel(());
        let (tell, ended) = mpsc::unbounded_channel();
        for (number, listeners) in (1..).zip(listeners) {
            let runtime = runtime(&shared.limits).map_err(ProxyError::Worker)?;
            let doors = {
                let _within = runtime.enter();
                Doors::new(listeners)?
            };
            let ending = Ending(number, tell.clone());
            let (shared, drain, mut is_over) = (shared.clone(), drain.clone(), is_over.clone());
            let work = move || {
                let _ending = ending;
                NUMBER.set(number);
                runtime.block_on(async {
                    serve::serve(&shared, doors, drain).await;
                    // What was accepted is served on. Nothing is ever said but by going away.
                    _ = is_over.changed().await;
                });
            };
            thread::Builder::new().name(format!("worker-{number}")).spawn(work).map_err(ProxyError::Worker)?;
        }
        Ok(Self { ended, _over: over })
    }

    /// Waits for one to end, which none does by itself: who comes by its sockets is served by nobody then.
    pub(crate) async fn failed(&mut self) -> ProxyError {
        match self.ended.recv().await {
            Some(number) => ProxyError::Ended(number),
            // There is none.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_panics_is_missed() {
        let (tell, ended) = mpsc::unbounded_channel();
        let mut workers = Workers { ended, _over: watch::channel(()).0 };
        let ending = Ending(2, tell);
        let worker = thread::spawn(move || {
            let _ending = ending;
            panic!("as it is to");
        });
        assert!(matches!(workers.failed().await, ProxyError::Ended(2)));
        worker.join().unwrap_err();
    }
}
