//! `kennel-unpack`: started by init as a slot's user, in one of the slot's folders, for one act.
//!
//! ```text
//! kennel-unpack release <N> <max_bytes> <max_entries>   # stdin: a tar stream; cwd: the slot's releases
//! kennel-unpack release <N> <max_bytes> <max_entries> <M>   # stdin: what has changed since release M
//! kennel-unpack list <N>                                # stdout: what release N holds
//! kennel-unpack remove <N>                              # cwd: the slot's folder
//! kennel-unpack save                                    # cwd: the slot's data; stdout: a line, and a tar stream
//! kennel-unpack save <N>                                # cwd: the slot's releases; stdout: the same, of release N
//! kennel-unpack restore <max_bytes> <max_entries>       # cwd: the slot's data to be; stdin: a tar stream
//! kennel-unpack begin-build <N>                         # cwd: the slot's folder
//! kennel-unpack end-build <N> <max_bytes> <max_entries> [<M>]   # the same; release N comes to share files with M
//! kennel-unpack wipe                                    # empties the working directory
//! ```
//!
//! `release`, `end-build` and `restore` write one line of JSON ([`UnpackReport`]) to its standard output. The exit code is 0 when the act
//! was done, 1 when it was not, and 64 when it was called wrongly.

use kennel_model::msg::UnpackReport;
use kennel_unpack::{
    Bounds, StallGuard, UnpackError, begin_build, empty_folder, end_build, list_release, remove, restore_data,
    save_data, save_release, unpack_changes, unpack_release,
};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// How long an upload may be silent. Control gives a client less than that.
const PATIENCE: Duration = Duration::from_secs(120);

const USAGE: &str = "usage: kennel-unpack release <N> <max_bytes> <max_entries> [<M>] | list <N> | remove <N> | save [<N>] | restore <max_bytes> <max_entries> | begin-build <N> | end-build <N> <max_bytes> <max_entries> [<M>] | wipe";

enum Act {
    Release(u32, Bounds, Option<u32>),
    List(u32),
    Remove(u32),
    SaveRelease(u32),
    SaveData,
    Restore(Bounds),
    BeginBuild(u32),
    EndBuild(u32, Bounds, Option<u32>),
    Wipe,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(act) = parse(&args) else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    // Modes are what the release says, not what the parent's mask was.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    match run(&act) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kennel-unpack: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Option<Act> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [act @ ("release" | "end-build"), number, bytes, entries, ref onto @ ..] if onto.len() <= 1 => {
            let number = number.parse().ok()?;
            let bounds = Bounds { bytes: bytes.parse().ok()?, entries: entries.parse().ok()? };
            let onto = onto.first().map(|onto| onto.parse()).transpose().ok()?;
            Some(if act == "release" {
                Act::Release(number, bounds, onto)
            } else {
                Act::EndBuild(number, bounds, onto)
            })
        }
        ["begin-build", number] => Some(Act::BeginBuild(number.parse().ok()?)),
        ["list", number] => Some(Act::List(number.parse().ok()?)),
        ["remove", number] => Some(Act::Remove(number.parse().ok()?)),
        ["save", number] => Some(Act::SaveRelease(number.parse().ok()?)),
        ["save"] => Some(Act::SaveData),
        ["restore", bytes, entries] => {
            Some(Act::Restore(Bounds { bytes: bytes.parse().ok()?, entries: entries.parse().ok()? }))
        }
        ["wipe"] => Some(Act::Wipe),
        _ => None,
    }
}

fn run(act: &Act) -> Result<(), UnpackError> {
    match act {
        Act::Release(number, bounds, onto) => {
            let stdin = std::io::stdin();
            let input = StallGuard::new(stdin.as_fd(), PATIENCE);
            let result = open_here().and_then(|here| match onto {
                Some(basis) => unpack_changes(input, here.as_fd(), *number, *basis, *bounds),
                None => unpack_release(input, here.as_fd(), *number, *bounds),
            });
            report(&result)?;
            result.map(|_| ())
        }
        Act::List(number) => list_release(open_here()?.as_fd(), *number, std::io::stdout()),
        Act::SaveRelease(number) => save_release(open_here()?.as_fd(), *number, std::io::stdout()),
        Act::SaveData => save_data(open_here()?.as_fd(), std::io::stdout()),
        Act::Restore(bounds) => {
            // Whom else the bits let in does not matter: there is nobody else.
            rustix::process::umask(Mode::empty());
            let stdin = std::io::stdin();
            let input = StallGuard::new(stdin.as_fd(), PATIENCE);
            let result = open_here().and_then(|here| restore_data(input, here.as_fd(), *bounds));
            report(&result)?;
            result.map(|_| ())
        }
        // The slot's folder cannot be read, only what is in it.
        Act::BeginBuild(number) => begin_build(*number),
        Act::EndBuild(number, bounds, onto) => {
            let result = end_build(*number, *onto, *bounds);
            report(&result)?;
            result.map(|_| ())
        }
        Act::Remove(number) => remove(*number),
        Act::Wipe => empty_folder(open_here()?.as_fd()),
    }
}

/// The working directory. A tenant can take away its own rights to its data folder; they are the owner's to give back.
fn open_here() -> Result<OwnedFd, UnpackError> {
    let open =
        || rustix::fs::openat(CWD, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let opened = match open() {
        // Not by ".", which is looked up in the very folder that cannot be searched.
        Err(Errno::ACCESS) => rustix::process::getcwd(Vec::new())
            .and_then(|here| rustix::fs::chmod(here, Mode::RWXU))
            .and_then(|()| open()),
        opened => opened,
    };
    opened.map_err(|e| UnpackError::Io { what: "open the working directory".into(), source: e.into() })
}

fn report(result: &Result<kennel_unpack::Unpacked, UnpackError>) -> Result<(), UnpackError> {
    let report = match result {
        Ok(done) => UnpackReport::Done { bytes: done.bytes, entries: done.entries, found: done.found.clone() },
        Err(error @ UnpackError::Basis { .. }) => UnpackReport::Unfit { reason: error.to_string() },
        Err(error) => UnpackReport::Refused { reason: error.to_string() },
    };
    let failed = |source| UnpackError::Io { what: "write the report".into(), source };
    let mut line = serde_json::to_string(&report).map_err(|e| failed(e.into()))?;
    line.push('\n');
    std::io::stdout().write_all(line.as_bytes()).map_err(failed)
}
