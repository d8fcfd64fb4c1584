//! Locks a spec without the `kennel` command: `cargo run -p kennel-builder --example lock -- kennel.toml [--fetch]`.

use std::path::Path;
use std::process::ExitCode;

use kennel_builder::packages::{Fetcher, Mirrors, PackagesError, fetch_locked, lock_command};
use kennel_builder::steps::PlainLines;
use kennel_builder::{Spec, Steps, Store};

fn run(path: &Path, fetch: bool) -> Result<(), PackagesError> {
    let steps = Steps::new(PlainLines::new(std::io::stderr()));
    let spec = Spec::load(path)?;
    let fetcher = Fetcher::new(Store::open()?, Mirrors::new(&spec.debian), false);
    let locked = lock_command(path, &fetcher, &spec, &steps)?;
    for change in &locked.changes {
        println!("{change}");
    }
    if fetch {
        fetch_locked(&locked.lock, &fetcher, &steps)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let path = args.first().map_or("kennel.toml", String::as_str);
    match run(Path::new(path), args.iter().any(|arg| arg == "--fetch")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}
