//! `kennel stop`: shuts down a host on this computer.

use std::time::Duration;

use super::Context;
use crate::args::Stop;
use crate::exit::Failure;
use crate::vm::instance::Instance;
use crate::vm::stop::{self, Stopped};

pub(super) fn stop(context: &Context, args: &Stop) -> Result<(), Failure> {
    let instance = Instance::new(args.name.clone(), context.paths.instance(&args.name));
    let stopped = match instance.running()? {
        None => Stopped::WasNotRunning,
        Some(process) => {
            context.ui.note(&format!("shutting down host {}", args.name));
            stop::stop(&instance, &process, Duration::from_secs(args.timeout), args.force)?
        }
    };
    let document = serde_json::json!({ "host": args.name, "stopped": stopped });
    Ok(context.ui.result(&document, |_| match stopped {
        Stopped::WasNotRunning => format!("host {} was not running", args.name),
        Stopped::Cleanly => format!("host {} is down", args.name),
        Stopped::Forced => format!("host {} did not shut down in time: its plug was pulled", args.name),
    })?)
}
