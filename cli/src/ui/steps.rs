//! The builder's narration: a bar for each step under way on a terminal, one line for each that is done.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kennel_builder::Steps;
use kennel_builder::steps::{Event, PlainLines, Render};

use super::Ui;

impl Ui {
    /// Steps that are shown as this run of the command speaks.
    pub fn steps(&self) -> Steps {
        if self.live {
            Steps::new(Live::default())
        } else if self.quiet || self.json {
            Steps::silent()
        } else {
            Steps::new(PlainLines::new(io::stderr()))
        }
    }
}

/// Bars above which finished steps scroll away.
struct Live {
    bars: MultiProgress,
    running: Mutex<HashMap<String, ProgressBar>>,
    /// Makes the lines of what is done, the same as without a terminal.
    lines: PlainLines<Above>,
}

impl Default for Live {
    fn default() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { lines: PlainLines::new(Above(bars.clone())), running: Mutex::default(), bars }
    }
}

/// Writes lines above the bars.
struct Above(MultiProgress);

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        // An empty write is what `writeln!` may split off; it is no line.
        let line = text.trim_end_matches('\n');
        if !line.is_empty() {
            self.0.println(line)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Live {
    fn start(&self, step: &str) {
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{prefix:<10} {spinner} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(step.to_owned());
        bar.enable_steady_tick(std::time::Duration::from_millis(150));
        self.running().insert(step.to_owned(), bar);
    }

    fn progress(&self, step: &str, done: u64, total: u64) {
        let running = self.running();
        let Some(bar) = running.get(step) else { return };
        if bar.length() != Some(total) {
            if let Ok(style) = ProgressStyle::with_template("{prefix:<10} [{bar:30}] {percent}% {elapsed}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_length(total);
        }
        bar.set_position(done);
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, ProgressBar>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Render for Live {
    fn on(&self, event: Event<'_>) {
        match event {
            Event::Started { step } => self.start(step),
            Event::Progress { step, done, total } => self.progress(step, done, total),
            Event::Note { .. } => self.lines.on(event),
            Event::Finished { step, .. } | Event::Failed { step, .. } => {
                if let Some(bar) = self.running().remove(step) {
                    bar.finish_and_clear();
                }
                self.lines.on(event);
            }
        }
    }
}
