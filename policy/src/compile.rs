//! Compiles a rendered policy to the binary that the kernel loads, by running `secilc`. `secilc` also checks the
//! `neverallow`s: a policy that breaks one is not built.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Rendered;

/// The binary policy's version: the newest that Debian 12's libsepol writes and that the 6.12 kernel reads.
pub const POLICY_VERSION: u8 = 33;

/// A hundred times what a full pool needs; only a hang takes longer.
const DEADLINE: Duration = Duration::from_secs(300);

/// What the image carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The binary policy; the same sources give the same bytes.
    pub binary: Vec<u8>,
}

/// Why there is no binary policy.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The sources could not be written or the result not read.
    #[error("cannot exchange files with secilc in {folder}: {source}")]
    Files {
        /// The temporary folder.
        folder: String,
        /// The cause.
        source: io::Error,
    },
    /// `secilc` could not be run.
    #[error("cannot run secilc: {0}")]
    Run(io::Error),
    /// `secilc` found fault with the sources, or a rule breaks a `neverallow`.
    #[error("secilc refused the policy ({status}):\n{messages}")]
    Refused {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        messages: String,
    },
    /// It was killed after five minutes.
    #[error("secilc did not finish within {} s", DEADLINE.as_secs())]
    Deadline,
}

/// Compiles the policy. `secilc` is the command to run, complete but for the arguments that are appended here: the
/// plain program, or a dynamic loader with a library path and the program.
///
/// # Errors
/// [`CompileError`].
pub fn compile(rendered: &Rendered, secilc: Command) -> Result<Compiled, CompileError> {
    let folder = tempfile::tempdir().map_err(|source| files_error(&std::env::temp_dir(), source))?;
    compile_in(folder.path(), rendered, secilc)
}

fn compile_in(folder: &Path, rendered: &Rendered, mut secilc: Command) -> Result<Compiled, CompileError> {
    let files = |source| files_error(folder, source);
    secilc.current_dir(folder);
    secilc.args(["-c", &POLICY_VERSION.to_string(), "-o", "policy", "-f", "file_contexts"]);
    for source in &rendered.cil {
        fs::write(folder.join(&source.name), &source.text).map_err(files)?;
        secilc.arg(&source.name);
    }
    let messages = File::create(folder.join("messages")).map_err(files)?;
    secilc.stdin(Stdio::null()).stdout(messages.try_clone().map_err(files)?).stderr(messages);
    let status = wait(secilc)?;
    if !status.success() {
        let messages = fs::read(folder.join("messages")).map_err(files)?;
        return Err(CompileError::Refused {
            status,
            messages: String::from_utf8_lossy(&messages).into_owned(),
        });
    }
    Ok(Compiled { binary: fs::read(folder.join("policy")).map_err(files)? })
}

/// Waits for the command, which writes to files only and so never waits for us.
fn wait(mut command: Command) -> Result<ExitStatus, CompileError> {
    let mut child = command.spawn().map_err(CompileError::Run)?;
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().map_err(CompileError::Run)? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill().and_then(|()| child.wait()).map_err(CompileError::Run)?;
            return Err(CompileError::Deadline);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn files_error(folder: &Path, source: io::Error) -> CompileError {
    CompileError::Files { folder: folder.display().to_string(), source }
}
