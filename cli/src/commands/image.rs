//! `kennel lock` and `kennel build`: the builder's work, shown to a person.

use std::path::{Path, PathBuf};

use kennel_builder::image::{Build, BuildError, Built, Cache, Flavour};
use kennel_builder::lock::{Change, LockError};
use kennel_builder::packages::{FetchError, Fetcher, Mirrors, PackagesError, fetch_locked, lock_command};
use kennel_builder::steps::bytes;
use kennel_builder::{Lock, Spec, Store};
use kennel_secureboot::{Enrolment, HookSigner, KeyFolder, KeySigner, Role, Signer};
use serde::Serialize;

use super::Context;
use crate::args::{Build as BuildArgs, Lock as LockArgs};
use crate::exit::{Explain, Failure, FileError};

impl Explain for PackagesError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn code(&self) -> String {
        match self {
            Self::Spec(_) => "spec",
            Self::Lock(LockError::Missing(_)) => "no-lock",
            Self::Lock(LockError::Stale { .. }) => "stale-lock",
            Self::Lock(_) => "lock",
            Self::Fetch(FetchError::LockedFileGone { .. }) => "locked-file-gone",
            Self::Fetch(FetchError::Offline(_)) => "offline",
            Self::Fetch(_) | Self::Npm(_) => "fetch",
            Self::Store(_) => "cache",
            Self::Signature(_) | Self::Release(_) | Self::Index(_) => "archive",
            Self::Solve(_) => "dependencies",
        }
        .to_owned()
    }
}

impl Explain for BuildError {
    fn hint(&self) -> Option<String> {
        self.hint().map(str::to_owned)
    }

    fn code(&self) -> String {
        "build".to_owned()
    }
}

/// What `kennel lock --json` prints.
#[derive(Serialize)]
struct Locked {
    lock: PathBuf,
    packages: usize,
    changes: Vec<Change>,
}

pub(super) fn lock(context: &Context, args: &LockArgs) -> Result<(), Failure> {
    let spec = Spec::load(&args.spec).map_err(PackagesError::from)?;
    let fetcher = fetcher(&spec, args.offline)?;
    let done = lock_command(&args.spec, &fetcher, &spec, &context.ui.steps())?;
    let locked = Locked { lock: done.path, packages: done.lock.packages.len(), changes: done.changes };
    Ok(context.ui.result(&locked, |locked| {
        let mut text: String = locked.changes.iter().map(|change| format!("{change}\n")).collect();
        let news = if locked.changes.is_empty() { ", nothing changed" } else { "" };
        text.push_str(&format!("{}: {} packages{news}\n", locked.lock.display(), locked.packages));
        text
    })?)
}

fn fetcher(spec: &Spec, offline: bool) -> Result<Fetcher, PackagesError> {
    Ok(Fetcher::new(Store::open()?, Mirrors::new(&spec.debian), offline))
}

pub(super) fn build(context: &Context, args: &BuildArgs) -> Result<(), Failure> {
    let spec = Spec::load(&args.spec).map_err(PackagesError::from)?;
    let lock = Lock::load_for(&spec, &args.spec).map_err(PackagesError::from)?;
    let guests = guest_folder(args)?;
    let Signing { signer, enrolment } = signing(args)?;
    let steps = context.ui.steps();
    let fetcher = fetcher(&spec, args.offline)?;
    fetch_locked(&lock, &fetcher, &steps).map_err(PackagesError::from)?;
    let cache = Cache::open()?;
    let build = Build {
        spec: &spec,
        lock: &lock,
        store: fetcher.store(),
        cache: &cache,
        guests: &guests,
        out: &args.out,
        flavour: if args.proof { Flavour::Proof } else { Flavour::Ordinary },
        signer: signer.as_deref(),
        enrolment: enrolment.as_ref(),
    };
    let built = build.run(&steps)?;
    Ok(context.ui.result(&built, words)?)
}

/// Who signs the boot program, and for which hosts.
struct Signing {
    signer: Option<Box<dyn Signer>>,
    enrolment: Option<Enrolment>,
}

/// What the arguments say of it. Keys are looked at before anything is built.
fn signing(args: &BuildArgs) -> Result<Signing, Failure> {
    let folder = args.secure_boot.as_ref().map(KeyFolder::at);
    let key = args.key.clone().or_else(|| folder.as_ref().map(|folder| folder.key(Role::Database)));
    let certificate = args.certificate.clone();
    let certificate = certificate.or_else(|| folder.as_ref().map(|folder| folder.certificate(Role::Database)));
    let signer: Option<Box<dyn Signer>> = match (&args.sign_with, &key, &certificate) {
        (Some(program), _, Some(certificate)) => Some(Box::new(HookSigner::load(program, certificate)?)),
        (None, Some(key), Some(certificate)) => Some(Box::new(KeySigner::load(key, certificate)?)),
        (None, None, None) => None,
        (_, _, None) => {
            return Err(Failure::usage("whose signature will it be?", "name the key's --certificate FILE"));
        }
        (None, None, Some(_)) => {
            return Err(Failure::usage(
                "a certificate signs nothing",
                "name its --key FILE or --sign-with PROGRAM",
            ));
        }
    };
    let enrolment = folder.map(|folder| folder.enrolment()).transpose()?;
    if let (Some(signer), Some(enrolment)) = (&signer, &enrolment) {
        enrolment.check_boots(signer.certificate())?;
    }
    Ok(Signing { signer, enrolment })
}

/// The folder of the host's programs: the one named, or where this program is, as `make build` leaves them together.
fn guest_folder(args: &BuildArgs) -> Result<PathBuf, FileError> {
    if let Some(folder) = &args.guest_dir {
        return Ok(folder.clone());
    }
    let program = std::env::current_exe().map_err(FileError::at("find", Path::new("this program")))?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}

/// A proof image shows on its console what it is; who builds one is told at once.
const PROOF_WARNING: &str =
    "\nPROOF IMAGE: some of its slots are deliberately open. Never put it on a network.\n";

fn words(built: &Built) -> String {
    let warning = if built.proof { PROOF_WARNING } else { "" };
    let signed = built.signed_by.as_ref().map(|who| format!("signed by {who}\n")).unwrap_or_default();
    format!(
        "{}: {} written, boot program {}\nsha256 {}\nroot hash {}\n{signed}{warning}next: kennel run\n",
        built.image.display(),
        bytes(built.written_bytes),
        bytes(built.boot_bytes),
        built.sha256,
        built.root_hash,
    )
}
