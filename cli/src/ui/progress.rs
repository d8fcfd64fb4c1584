//! Progress: bars and spinners on a terminal, few plain lines elsewhere, nothing with `--quiet` and `--json`.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use kennel_model::job::Job;

use super::Ui;
use super::job::{Narration, under_way};

/// A plain line at most this often where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(15);

/// A bar that fills by bytes.
#[derive(Debug)]
pub struct Bar {
    ui: Ui,
    bar: ProgressBar,
    total: u64,
}

impl Bar {
    pub(super) fn new(ui: &Ui, label: &str, total: u64) -> Self {
        if !ui.live {
            ui.note(label);
            return Self { ui: *ui, bar: ProgressBar::hidden(), total };
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        if let Ok(style) =
            ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(label.to_owned());
        Self { ui: *ui, bar, total }
    }

    /// Sets what is done so far.
    pub fn set(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Whether so much is all that there is. An archive is larger than what is in it.
    pub const fn is_full(&self, done: u64) -> bool {
        done >= self.total
    }

    /// Changes the words beside it.
    pub fn say(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// Says above it what of a job is over.
    pub fn tell(&self, job: &Job, told: &mut Narration) {
        say_above(&self.ui, &self.bar, told.lines(job));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Something that takes a while, with a line of news.
#[derive(Debug)]
pub struct Spinner {
    ui: Ui,
    bar: ProgressBar,
    label: String,
    since: Instant,
    said: Instant,
}

impl Spinner {
    pub(super) fn new(ui: &Ui, label: &str) -> Self {
        let now = Instant::now();
        let bar = if ui.live { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        if !ui.live {
            ui.note(label);
        }
        bar.set_message(label.to_owned());
        Self { ui: *ui, bar, label: label.to_owned(), since: now, said: now }
    }

    /// Says above it what of a job is over, and beside it what is under way.
    pub fn tell(&mut self, job: &Job, told: &mut Narration) {
        say_above(&self.ui, &self.bar, told.lines(job));
        if let Some(step) = under_way(job) {
            self.tick(&step);
        }
    }

    /// News; to be called often, also without any.
    pub fn tick(&mut self, news: &str) {
        if self.ui.live {
            self.bar.set_message(format!("{}: {news}", self.label));
            self.bar.tick();
        } else if self.said.elapsed() >= PLAIN_EVERY {
            self.said = Instant::now();
            self.ui.note(&format!("{} ({} s): {news}", self.label, self.since.elapsed().as_secs()));
        }
    }
}

/// Lines that stay, above something that goes.
fn say_above(ui: &Ui, bar: &ProgressBar, lines: Vec<String>) {
    for line in lines {
        if ui.live {
            bar.println(line);
        } else {
            ui.note(&line);
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
