//! `kennel user-data`: the document that hosts are started with, checked before one is. What may be in it and every sentence
//! about it are `kennel_user_data`'s, which the host has too.

use std::io::{self, Read as _};
use std::path::Path;

use kennel_user_data::{Fault, Faults, MAX_BYTES, UserData, schema};
use serde::Serialize;

use super::Context;
use crate::args::UserDataCommand;
use crate::exit::{Explain, Failure, FileError};

/// What `kennel user-data check --json` prints.
#[derive(Serialize)]
struct Checked<'a> {
    valid: bool,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_name: Option<String>,
    operator_keys: usize,
    faults: &'a [Fault],
}

/// A host would not use it.
#[derive(Debug, thiserror::Error)]
#[error("a host would use nothing of {file}: it has {}", count(*.faults, "fault"))]
struct Refused {
    file: String,
    faults: usize,
}

impl Explain for Refused {
    fn code(&self) -> String {
        "bad-user-data".to_owned()
    }

    fn hint(&self) -> Option<String> {
        Some(
            "correct what is said above and check again; kennel user-data schema prints all that may be in it"
                .into(),
        )
    }
}

pub(super) fn user_data(context: &Context, command: &UserDataCommand) -> Result<(), Failure> {
    match command {
        UserDataCommand::Check { file } => check(context, file),
        UserDataCommand::Schema => {
            let pretty = |schema: &serde_json::Value| format!("{schema:#}");
            Ok(context.ui.result(&schema(), pretty)?)
        }
    }
}

fn check(context: &Context, file: &Path) -> Result<(), Failure> {
    let bytes = read(file).map_err(FileError::at("read", file))?;
    let file = if is_stdin(file) { "standard input".to_owned() } else { file.display().to_string() };
    let read = UserData::from_bytes(&bytes);
    let faults = read.as_ref().err().map(Faults::all).unwrap_or_default();
    let data = read.as_ref().ok();
    let checked = Checked {
        valid: data.is_some(),
        // No more was read than shows that it is too long.
        bytes: bytes.len(),
        host_name: data.and_then(|data| data.host_name.clone()).map(String::from),
        operator_keys: data.map_or(0, |data| data.ssh_keys.len()),
        faults,
    };
    context.ui.result(&checked, |checked| words(&file, checked))?;
    if !checked.valid {
        return Err(Refused { file, faults: faults.len() }.into());
    }
    if checked.operator_keys == 0 {
        context.ui.warn(
            "it names no operator: only on EC2, with a key pair of the type ed25519, can anybody sign in to such a host",
        );
    }
    Ok(())
}

fn words(file: &str, checked: &Checked<'_>) -> String {
    if !checked.valid {
        return checked.faults.iter().map(|fault| format!("{fault}\n")).collect();
    }
    let name = checked.host_name.as_ref().map(|name| format!(", for a host called {name}")).unwrap_or_default();
    let keys = count(checked.operator_keys, "operator key");
    format!("{file} is good: {keys}{name}, {} of {MAX_BYTES} bytes", checked.bytes)
}

fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// However long the file is: enough to see that it is too long.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = MAX_BYTES as u64 + 1;
    match is_stdin(file) {
        true => io::stdin().lock().take(most).read_to_end(&mut bytes)?,
        false => std::fs::File::open(file)?.take(most).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}
