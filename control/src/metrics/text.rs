//! Prometheus' text format, version 0.0.4: each family once, with its HELP and TYPE before its samples.

use std::fmt::{Display, Write as _};

/// What a family's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows, until its source starts anew.
    Counter,
}

/// A page in the making.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// A family with its samples: labels and a value each. Without samples there is no family.
    pub(super) fn family<'l, V: Display, L: AsRef<[(&'l str, &'l str)]>>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) {
        let word = if kind == Kind::Gauge { "gauge" } else { "counter" };
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_some() {
            self.head(name, word, help);
        }
        for (labels, value) in samples {
            self.sample(name, labels.as_ref(), value);
        }
    }

    /// The lines above a family.
    pub(super) fn head(&mut self, name: &str, word: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {word}\n");
    }

    /// One line.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (n, (label, text)) in labels.iter().enumerate() {
            let before = if n == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
