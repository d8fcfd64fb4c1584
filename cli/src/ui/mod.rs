//! Everything that reaches the person: results on standard output, everything else on standard error, in words or
//! as JSON. What is said is the commands' business.

mod job;
mod progress;
mod steps;
mod table;

use std::io::{self, IsTerminal, Write};

use clap::ColorChoice;
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Explain, Failure, FileError};

pub use job::{Narration, line as step_line, seconds};
pub use kennel_known::SafeLines;
pub use progress::{Bar, Spinner};
pub use table::{ago, fields, remaining, table, until};

/// How this run of the command speaks.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    json: bool,
    quiet: bool,
    color: bool,
    live: bool,
    /// Standard output is not for people.
    aside: bool,
}

/// Standard output went away or could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct OutputError(#[from] io::Error);

impl Explain for OutputError {
    fn code(&self) -> String {
        "output".to_owned()
    }

    /// A reader that has seen enough (`kennel logs blog | head`) is no failure.
    fn exit(&self) -> crate::exit::Exit {
        match self.0.kind() {
            io::ErrorKind::BrokenPipe => crate::exit::Exit::Done,
            _ => crate::exit::Exit::Failed,
        }
    }
}

impl Ui {
    /// From the global options and the terminal.
    pub fn new(global: &Global) -> Self {
        let terminal = io::stderr().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let color = match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !no_color,
        };
        let live = terminal && !global.json && !global.quiet;
        Self { json: global.json, quiet: global.quiet, color, live, aside: false }
    }

    /// With results on standard error, or nowhere: somebody else reads standard output.
    #[must_use]
    pub const fn aside(self, quiet: bool) -> Self {
        Self { aside: true, json: false, quiet: self.quiet || quiet, live: self.live && !quiet, ..self }
    }

    /// Whether results are JSON.
    pub const fn json(&self) -> bool {
        self.json
    }

    /// Whether text from elsewhere may keep its colours on standard output.
    pub fn colours(&self) -> bool {
        self.color && !self.json && io::stdout().is_terminal()
    }

    /// Prints a command's result: `value` as JSON, or what `words` makes of it.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn result<T: Serialize>(&self, value: &T, words: impl FnOnce(&T) -> String) -> Result<(), OutputError> {
        let mut text = if self.json {
            serde_json::to_string_pretty(value).map_err(io::Error::from)?
        } else {
            words(value)
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        self.raw(text.as_bytes())
    }

    /// Bytes on standard output as they are.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn raw(&self, bytes: &[u8]) -> Result<(), OutputError> {
        let mut out: Box<dyn Write> = match self.aside {
            true if self.quiet => return Ok(()),
            true => Box::new(io::stderr().lock()),
            false => Box::new(io::stdout().lock()),
        };
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }

    /// A line about what is going on; not with `--quiet` or `--json`.
    pub fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            // Nobody is left to be told when standard error is gone.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Something that the person should look at, although the command goes on.
    pub fn warn(&self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr().lock(), "{} {text}", self.paint("33", "warning:"));
        }
    }

    /// The end of a command that failed.
    pub fn failure(&self, failure: &Failure) {
        let mut err = io::stderr().lock();
        if self.json {
            if let Ok(text) = serde_json::to_string(&serde_json::json!({ "error": failure })) {
                let _ = writeln!(err, "{text}");
            }
            return;
        }
        let _ = writeln!(err, "{} {}", self.paint("1;31", "error:"), failure.message);
        if let Some(hint) = &failure.hint {
            let _ = writeln!(err, "{} {hint}", self.paint("36", "hint:"));
        }
    }

    /// A bar that fills by bytes.
    pub fn bar(&self, label: &str, total: u64) -> Bar {
        Bar::new(self, label, total)
    }

    /// Something that takes a while, with a line of news.
    pub fn spinner(&self, label: &str) -> Spinner {
        Spinner::new(self, label)
    }

    /// Asks a question on the terminal; `None` when there is nobody to ask.
    ///
    /// # Errors
    /// [`FileError`] when the terminal cannot be read.
    pub fn confirm(&self, question: &str) -> Result<Option<bool>, FileError> {
        if self.json || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(None);
        }
        let fail = FileError::at("read", std::path::Path::new("the terminal"));
        let mut err = io::stderr().lock();
        let _ = write!(err, "{question} [y/N] ");
        let _ = err.flush();
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(fail)?;
        Ok(Some(matches!(answer.trim(), "y" | "Y" | "yes")))
    }

    fn paint(&self, sgr: &str, text: &str) -> String {
        if self.color { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
