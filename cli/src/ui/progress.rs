//! Progress: bars and spinners on a terminal, few plain lines elsewhere, nothing with `--quiet` and `--json`.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use kennel_model::job::Job;

use super::Ui;
use super::job::{Narration, under_way};

/// A plain line at most this often where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(15);

/// A bar that fills by bytes; and then, if it is said so, something that turns beside what is done with them.
#[derive(Debug)]
pub struct Bar {
    ui: Ui,
    bar: ProgressBar,
    total: u64,
    turns: Cell<bool>,
}

impl Bar {
    pub(super) fn new(ui: &Ui, label: &str, total: u64) -> Self {
        let of = |bar| Self { ui: *ui, bar, total, turns: Cell::new(false) };
        if !ui.live {
            ui.note(label);
            return of(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        if let Ok(style) =
            ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(label.to_owned());
        of(bar)
    }

    /// Sets what is done so far.
    pub fn set(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Whether so much is all that there is. An archive is larger than what is in it.
    pub const fn is_full(&self, done: u64) -> bool {
        done >= self.total
    }

    /// From now on it turns, to be called often; these are the words as long as no job tells any.
    pub fn turn(&self, words: &str) {
        if !self.turns.replace(true) {
            self.bar.set_style(turning());
            self.bar.reset_elapsed();
            self.bar.set_message(words.to_owned());
        }
        self.bar.tick();
    }

    /// Says above it what of a job is over, and once it turns, beside it what is under way.
    pub fn tell(&self, job: &Job, told: &mut Narration) {
        say_above(&self.ui, &self.bar, told.lines(job));
        if let Some(step) = under_way(job).filter(|_| self.turns.get()) {
            self.bar.set_message(step);
        }
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
        bar.set_style(turning());
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

fn turning() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
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
