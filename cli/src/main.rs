//! The `kennel` program: reads the command line, carries it out, and ends with the exit code that the help tells.

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches};
use kennel_cli::args::{Cli, GitHelper, Global};
use kennel_cli::exit::{Exit, Failure};
use kennel_cli::ui::Ui;
use kennel_cli::{commands, git};

fn main() -> ExitCode {
    if git::is_helper(std::env::args_os().next().as_deref()) {
        return helper();
    }
    let parsed = Cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error).into(),
    };
    let ui = Ui::new(&cli.global);
    ended(commands::execute(cli, ui), ui)
}

fn ended(result: Result<(), Failure>, ui: Ui) -> ExitCode {
    match result {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            if !matches!(failure.exit, Exit::Done | Exit::Program(_)) {
                ui.failure(&failure);
            }
            failure.exit.into()
        }
    }
}

/// What git calls; it reads standard output and takes any other code than 0 for a failure.
fn helper() -> ExitCode {
    let parsed =
        GitHelper::command().try_get_matches().and_then(|matches| GitHelper::from_arg_matches(&matches));
    match parsed {
        Ok(args) => {
            let ui = Ui::new(&args.global);
            ended(commands::git_helper(args), ui)
        }
        Err(error) => not_understood(&error).into(),
    }
}

/// Help and version are no errors; everything else is bad usage.
fn not_understood(error: &clap::Error) -> Exit {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && json {
        let global = Global { json, quiet: false, host: None, identity: None, color: ColorChoice::Never };
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Ui::new(&global).failure(&Failure::usage(message, "`kennel --help` shows what can be typed"));
        return Exit::Usage;
    }
    // Nobody is left to be told when that cannot be printed.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}
