//! The program `kennel-control`: takes over what init hands it (3: the channel, 4: the API's socket, 5: user-data, 6: records of requests, 7: the channel to `kennel-acme`), reads
//! the image's facts, and runs until SIGTERM or until init is gone. Everything else is the library's.

use std::fs;
use std::process::ExitCode;

use kennel_control::config::Config;
use kennel_control::{Handed, run, say};
use kennel_model::layout::{self, ImageFacts};
use kennel_sys::{Channel, inherited};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Threads for waiting on the disk. One writes the registry; a few read logs.
const DISK_THREADS: usize = 4;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            say!("stopped: {cause}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Box<dyn std::error::Error>> {
    let handed = Handed {
        channel: Channel::from_fd(inherited::take(inherited::FIRST)?),
        listener: inherited::take(inherited::FIRST + 1)?.into(),
        user_data: inherited::take(inherited::FIRST + 2)?.into(),
        records: Channel::from_fd(inherited::take(inherited::FIRST + 3)?),
        acme: Channel::from_fd(inherited::take(inherited::FIRST + 4)?),
    };
    let facts = fs::read(layout::FACTS_FILE).map_err(|e| format!("{}: {e}", layout::FACTS_FILE))?;
    let facts: ImageFacts =
        serde_json::from_slice(&facts).map_err(|e| format!("{}: {e}", layout::FACTS_FILE))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(DISK_THREADS)
        .thread_stack_size(512 << 10)
        .build()?;
    let served = runtime.block_on(async {
        let (stopper, stop) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(async move {
            terminate.recv().await;
            let _ = stopper.send(true);
        });
        run(Config::host(), facts, handed, stop).await?;
        Ok(())
    });
    // Whatever still waits for the disk may be cut off: everything here can be.
    runtime.shutdown_background();
    served
}
