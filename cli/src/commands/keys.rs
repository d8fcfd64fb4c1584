//! `kennel keys`: the keys of Secure Boot, and what each of them is for. Making them is `kennel_secureboot`'s work.

use std::path::{Path, PathBuf};

use kennel_secureboot::{KeyFolder, Role};
use serde::Serialize;

use super::Context;
use crate::args::KeysCommand;
use crate::exit::{Explain, Failure};

impl Explain for kennel_secureboot::Error {
    fn hint(&self) -> Option<String> {
        self.hint().map(str::to_owned)
    }

    fn code(&self) -> String {
        "keys".to_owned()
    }
}

/// What `kennel keys new --json` prints.
#[derive(Serialize)]
struct Made {
    folder: PathBuf,
    keys: Vec<Key>,
    uefi_data: PathBuf,
}

/// What `kennel keys uefi-data --json` prints.
#[derive(Serialize)]
struct UefiData {
    uefi_data: String,
}

#[derive(Serialize)]
struct Key {
    name: &'static str,
    key: PathBuf,
    certificate: PathBuf,
    variable: PathBuf,
}

pub(super) fn keys(context: &Context, command: &KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::New { folder } => new(context, folder),
        KeysCommand::UefiData { folder } => uefi_data(context, folder),
    }
}

/// The certificates may be others than those that `new` has made: of keys in a token, for one.
fn uefi_data(context: &Context, folder: &Path) -> Result<(), Failure> {
    let uefi_data = kennel_secureboot::uefi_data(&KeyFolder::at(folder).enrolment()?)?;
    Ok(context.ui.result(&UefiData { uefi_data }, |told| told.uefi_data.clone())?)
}

fn new(context: &Context, folder: &Path) -> Result<(), Failure> {
    context.ui.note("making three RSA keys");
    let made = KeyFolder::create(folder)?;
    let key = |role: Role| Key {
        name: role.name(),
        key: made.key(role),
        certificate: made.certificate(role),
        variable: made.variable(role),
    };
    let keys = Role::ALL.map(key).into();
    let made = Made { folder: folder.to_owned(), keys, uefi_data: made.uefi_data() };
    Ok(context.ui.result(&made, words)?)
}

fn words(made: &Made) -> String {
    let folder = made.folder.display();
    format!(
        "{folder}/PK.key   the platform key: its owner owns Secure Boot. Keep it offline.\n\
         {folder}/KEK.key  may change what boots. Keep it offline.\n\
         {folder}/db.key   signs images; the one that builds need.\n\
         {folder}/*.pem    their certificates; *.auth and uefi-data.b64 are for firmware and EC2. None of them is secret.\n\
         There is no copy of these keys anywhere else: make one before a host depends on them.\n\
         next: kennel build --secure-boot {folder}\n"
    )
}
