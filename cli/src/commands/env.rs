//! `kennel env`: variables of a tenant's program. No value is ever printed.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use kennel_model::TenantName;
use kennel_model::env::{ChangeEnv, EnvChanged, EnvValue, EnvVariable};

use super::{Context, tenant_path};
use crate::args::EnvCommand;
use crate::env::{Given, argument, file};
use crate::exit::{Failure, FileError};
use crate::ui::table;

/// No file and no input is read beyond this; a tenant's variables together are much less.
const MAX_BYTES: u64 = 1 << 20;

pub(super) async fn env(context: &Context, command: EnvCommand) -> Result<(), Failure> {
    match command {
        EnvCommand::Set { name, variables, from_file } => {
            let wish = wish(&variables, from_file.as_deref())?;
            change(context, &name, &wish).await
        }
        EnvCommand::Unset { name, variables } => {
            change(context, &name, &ChangeEnv { unset: variables, ..ChangeEnv::default() }).await
        }
        EnvCommand::Ls { name } => ls(context, &name).await,
    }
}

/// What is on the command line goes before what is in the file.
fn wish(variables: &[String], from_file: Option<&Path>) -> Result<ChangeEnv, Failure> {
    let mut set = match from_file {
        Some(path) => {
            let opened = std::fs::File::open(path).map_err(FileError::at("read", path))?;
            file(&path.display().to_string(), &text(opened, path)?)?
        }
        None => BTreeMap::new(),
    };
    let mut input_is_taken = false;
    for (index, variable) in variables.iter().enumerate() {
        let (name, value) = match argument(index + 1, variable)? {
            Given::Value(name, value) => (name, value),
            Given::Input(name) if std::mem::replace(&mut input_is_taken, true) => {
                let hint = "one of them at a time";
                return Err(Failure::usage(format!("{name}: standard input is another's value already"), hint));
            }
            Given::Input(name) => {
                let text = text(std::io::stdin(), Path::new("standard input"))?;
                let text = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
                let value = EnvValue::new(text)
                    .map_err(|e| Failure::usage(format!("{name}: {e}"), "see `kennel env set --help`"))?;
                (name, value)
            }
        };
        set.insert(name, value);
    }
    Ok(ChangeEnv { set, unset: vec![] })
}

fn text(from: impl Read, path: &Path) -> Result<String, FileError> {
    let mut text = String::new();
    from.take(MAX_BYTES).read_to_string(&mut text).map_err(FileError::at("read", path))?;
    Ok(text)
}

async fn change(context: &Context, name: &TenantName, wish: &ChangeEnv) -> Result<(), Failure> {
    let label = format!("changing the environment of {name}");
    let path = format!("{}/env", tenant_path(name));
    let changed: EnvChanged = context.change(&path, wish, &label).await?;
    Ok(context.ui.result(&changed, |changed| {
        let count = changed.variables.len();
        match &changed.release {
            Some(release) => format!("release {} of {name} serves, with {count} variables\n", release.id),
            None if changed.tenant.current.is_none() => {
                format!("{name} has {count} variables; its first release begins with them\n")
            }
            None => format!("{name} has these {count} variables already; nothing has changed\n"),
        }
    })?)
}

async fn ls(context: &Context, name: &TenantName) -> Result<(), Failure> {
    let variables: Vec<EnvVariable> = context.client()?.get(&format!("{}/env", tenant_path(name))).await?;
    Ok(context.ui.result(&variables, |variables| {
        if variables.is_empty() {
            return format!("{name} has no variables of its own; set one: kennel env set {name} NAME=VALUE\n");
        }
        let rows: Vec<[String; 3]> = variables
            .iter()
            .map(|v| {
                let since = v.since.map_or_else(|| "the first".to_owned(), |id| id.to_string());
                [v.name.to_string(), "********".to_owned(), since]
            })
            .collect();
        table(["NAME", "VALUE", "SINCE RELEASE"], &rows)
    })?)
}
