//! `kennel completions` and `kennel man`: what the shell and `man` are given, from the command line's own definition.

use std::path::Path;

use clap::CommandFactory;

use super::Context;
use crate::args::Cli;
use crate::exit::{Failure, FileError};

pub(super) fn completions(context: &Context, shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kennel", &mut script);
    let script = String::from_utf8_lossy(&script);
    let document = serde_json::json!({ "shell": shell.to_string(), "script": script });
    Ok(context.ui.result(&document, |_| script.into_owned())?)
}

pub(super) fn man(context: &Context, folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(FileError::at("make the folder", folder))?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(FileError::at("write to", folder))?;
    let document = serde_json::json!({ "folder": folder });
    Ok(context.ui.result(&document, |_| format!("man pages are in {}", folder.display()))?)
}
