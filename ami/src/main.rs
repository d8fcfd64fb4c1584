//! The `kennel-ami` program, which `kennel ami` runs: reads the command line, carries it out, and ends with the exit code
//! that the help tells.

use std::process::ExitCode;

use clap::Parser;
use kennel_ami::args::Cli;
use kennel_ami::commands;
use kennel_ami::exit::{Exit, Failure};
use kennel_ami::ui::Ui;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error).into(),
    };
    let ui = Ui::new(cli.json, cli.quiet);
    match run(cli, ui) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            ui.failure(&failure);
            failure.exit.into()
        }
    }
}

fn run(cli: Cli, ui: Ui) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|cause| Failure {
            code: "failed",
            message: format!("cannot prepare for network work: {cause}"),
            hint: None,
            exit: Exit::Failed,
        })?;
    let result = runtime.block_on(commands::execute(cli, ui));
    // A thread that still reads a block of an upload that was given up is not waited for.
    runtime.shutdown_background();
    result
}

/// Help and version are no errors; everything else is bad usage.
fn not_understood(error: &clap::Error) -> Exit {
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let hint = Some("`kennel ami --help` shows what can be typed".to_owned());
        Ui::new(true, false).failure(&Failure { code: "usage", message, hint, exit: Exit::Usage });
        return Exit::Usage;
    }
    // Nobody is left to be told when that cannot be printed.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}
