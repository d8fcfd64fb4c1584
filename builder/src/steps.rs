//! Narration: what the builder does, as named steps with times ("resolve  142 packages  1.9 s"). Work code says what
//! happens; a [`Render`] decides how it looks. Here are the plain one and the silent one; terminal and JSON are cli's.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Something a person or a program watching the build may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A step began.
    Started {
        /// The step's name: one verb or noun.
        step: &'a str,
    },
    /// A step with a countable end got further. May come often and from any thread.
    Progress {
        /// The step's name.
        step: &'a str,
        /// Bytes (or items) done.
        done: u64,
        /// Bytes (or items) in all.
        total: u64,
    },
    /// Something worth a line while a step runs.
    Note {
        /// The step's name.
        step: &'a str,
        /// One short line.
        text: &'a str,
    },
    /// A step is done.
    Finished {
        /// The step's name.
        step: &'a str,
        /// What came out: `142 packages`. May be empty.
        detail: &'a str,
        /// How long it took.
        took: Duration,
    },
    /// A step ended without result; the error itself is returned to the caller, who prints it.
    Failed {
        /// The step's name.
        step: &'a str,
        /// How long it took.
        took: Duration,
    },
}

/// Shows events to somebody.
pub trait Render: Send + Sync {
    /// Takes one event; must not block for long.
    fn on(&self, event: Event<'_>);
}

/// Hands out steps that report to one renderer.
#[derive(Clone)]
pub struct Steps(Arc<dyn Render>);

impl Steps {
    /// Steps shown by this renderer.
    pub fn new(render: impl Render + 'static) -> Self {
        Self(Arc::new(render))
    }

    /// Steps that nobody sees.
    pub fn silent() -> Self {
        Self::new(Silent)
    }

    /// Begins a step. It ends with [`Step::done`]; dropped before, it failed.
    pub fn start(&self, name: &str) -> Step {
        self.0.on(Event::Started { step: name });
        Step { render: Arc::clone(&self.0), name: name.to_owned(), began: Instant::now(), ended: false }
    }
}

/// A step under way.
#[must_use = "a step that is dropped has failed"]
pub struct Step {
    render: Arc<dyn Render>,
    name: String,
    began: Instant,
    ended: bool,
}

impl Step {
    /// How far it is.
    pub fn progress(&self, done: u64, total: u64) {
        self.render.on(Event::Progress { step: &self.name, done, total });
    }

    /// A line worth saying meanwhile.
    pub fn note(&self, text: &str) {
        self.render.on(Event::Note { step: &self.name, text });
    }

    /// It is done; `detail` says in a few words what came out.
    pub fn done(mut self, detail: impl AsRef<str>) {
        self.ended = true;
        let took = self.began.elapsed();
        self.render.on(Event::Finished { step: &self.name, detail: detail.as_ref(), took });
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            self.render.on(Event::Failed { step: &self.name, took: self.began.elapsed() });
        }
    }
}

/// Shows nothing.
pub struct Silent;

impl Render for Silent {
    fn on(&self, _: Event<'_>) {}
}

/// One line per finished step and per note: for logs and pipes.
pub struct PlainLines<W>(Mutex<W>);

impl<W: Write + Send> PlainLines<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        Self(Mutex::new(out))
    }
}

impl<W: Write + Send> Render for PlainLines<W> {
    fn on(&self, event: Event<'_>) {
        let line = match event {
            Event::Started { .. } | Event::Progress { .. } => return,
            Event::Note { step, text } => format!("{step:<10} {text}"),
            Event::Finished { step, detail, took } => format!("{step:<10} {detail:<44} {}", seconds(took)),
            Event::Failed { step, took } => format!("{step:<10} {:<44} {}", "failed", seconds(took)),
        };
        // Narration that cannot be written must not stop the work.
        let _ = writeln!(self.0.lock().unwrap_or_else(PoisonError::into_inner), "{}", line.trim_end());
    }
}

/// A time as people read it: `0.2 s`, `71 s`.
pub fn seconds(time: Duration) -> String {
    if time >= Duration::from_secs(60) {
        format!("{} s", time.as_secs())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// A size as people read it: `812 B`, `3.4 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    let mut size = count as f64;
    let mut shown = format!("{count} B");
    for unit in UNITS {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        shown = format!("{size:.1} {unit}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn plain_lines_tell_results_notes_and_failures_but_not_progress() {
        let out = Shared::default();
        let steps = Steps::new(PlainLines::new(out.clone()));
        let step = steps.start("resolve");
        step.progress(1, 2);
        step.note("2 mirrors");
        step.done("142 packages");
        drop(steps.start("fetch"));
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], "resolve    2 mirrors");
        assert!(lines[1].starts_with("resolve    142 packages ") && lines[1].ends_with(" s"), "{text}");
        assert!(lines[2].starts_with("fetch      failed"), "{text}");
    }

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1024), bytes(3 << 20)],
            ["0 B", "1023 B", "1.0 KiB", "3.0 MiB"]
        );
        assert_eq!([Duration::from_millis(1949), Duration::from_secs(71)].map(seconds), ["1.9 s", "71 s"]);
    }
}
