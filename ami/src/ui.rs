//! What a person sees: results on standard output, everything else on standard error. A bar on a terminal, plain lines
//! elsewhere, nothing but results and errors with `--quiet` and `--json`.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::exit::Failure;

/// A plain line at most this often where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// A spinner turns so often.
const TICK: Duration = Duration::from_millis(200);
/// To the start of the line, which is then emptied.
const WIPE: &str = "\r\x1b[2K";
const MIB: f64 = 1_048_576.0;

/// How this run speaks.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    json: bool,
    quiet: bool,
    live: bool,
}

impl Ui {
    /// As the options say.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, live: !json && !quiet && io::stderr().is_terminal() }
    }

    /// Whether the result is to be a JSON document.
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// A line about what is going on.
    pub fn note(&self, text: &str) {
        if !self.json && !self.quiet {
            // Over a spinner that may be turning; and nobody is left to be told when that cannot be printed.
            let wipe = if self.live { WIPE } else { "" };
            let _ = writeln!(io::stderr(), "{wipe}{text}");
        }
    }

    /// The result: its JSON, or these lines.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn result(&self, document: &impl Serialize, lines: &str) -> Result<(), Failure> {
        let text = if self.json {
            serde_json::to_string_pretty(document).unwrap_or_default()
        } else {
            lines.to_owned()
        };
        if text.is_empty() {
            return Ok(());
        }
        writeln!(io::stdout(), "{}", text.trim_end()).map_err(|cause| Failure {
            code: "output",
            message: format!("cannot print the result: {cause}"),
            hint: None,
            exit: crate::exit::Exit::Failed,
        })
    }

    /// An error.
    pub fn failure(&self, failure: &Failure) {
        let text = if self.json {
            serde_json::json!({ "error": failure }).to_string()
        } else {
            let hint = failure.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            format!("error: {}{hint}", failure.message)
        };
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Something that takes a while: a spinner on a terminal, a line elsewhere.
    pub fn step(&self, what: &str) -> Waiting {
        let spinner = if self.live {
            let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            spinner.set_message(what.to_owned());
            spinner.enable_steady_tick(TICK);
            spinner
        } else {
            self.note(what);
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            spinner.set_style(style);
        }
        Waiting { ui: *self, spinner, since: Instant::now() }
    }

    /// Asks for a word to be typed; none, if nobody is there to type it.
    pub fn asked_for(&self, question: &str) -> Option<String> {
        if self.json || !io::stdin().is_terminal() {
            return None;
        }
        let _ = write!(io::stderr(), "{question} ");
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok()?;
        Some(answer.trim().to_owned())
    }

    /// A bar for so many bytes, of which some are there already.
    pub fn bar(&self, label: &str, done: u64, total: u64) -> Bar {
        let bar = if self.live {
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(label.to_owned());
        bar.set_position(done);
        bar.reset_eta();
        let now = Instant::now();
        Bar { ui: *self, bar, label: label.to_owned(), first: done, done, total, since: now, said: now }
    }
}

/// Something that takes a while. It ends when it is dropped.
#[derive(Debug)]
pub struct Waiting {
    ui: Ui,
    spinner: ProgressBar,
    since: Instant,
}

impl Waiting {
    /// It came to a good end, after so long.
    pub fn done(self, what: &str) {
        self.spinner.finish_and_clear();
        self.ui.note(&format!("{what} ({} s)", self.since.elapsed().as_secs()));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.spinner.finish_and_clear();
    }
}

/// Progress in bytes.
#[derive(Debug)]
pub struct Bar {
    ui: Ui,
    bar: ProgressBar,
    label: String,
    first: u64,
    done: u64,
    total: u64,
    since: Instant,
    said: Instant,
}

impl Bar {
    /// So many more bytes are done.
    pub fn add(&mut self, bytes: u64) {
        self.done += bytes;
        self.bar.set_position(self.done);
        if !self.ui.live && self.said.elapsed() >= PLAIN_EVERY {
            self.said = Instant::now();
            self.ui.note(&self.line());
        }
    }

    /// The rate, in MiB per second, of what this run has done.
    pub fn rate(&self) -> f64 {
        (self.done - self.first) as f64 / MIB / self.since.elapsed().as_secs_f64().max(0.001)
    }

    fn line(&self) -> String {
        let [done, total] = [self.done, self.total].map(|bytes| bytes as f64 / MIB);
        let rate = self.rate();
        let left = if rate > 0.0 { format!(", {:.0} s left", (total - done) / rate) } else { String::new() };
        format!("{}: {done:.1} of {total:.1} MiB, {rate:.1} MiB/s{left}", self.label)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
