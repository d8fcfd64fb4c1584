//! The few lines that the proxy says on stderr, which is the host's console. Bounded, so that no tenant or stranger
//! can flood the console or slow the proxy down through it. Nothing per request: the access log is not this.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines per [`WINDOW`]; what is over is counted and told at the next window's start.
const LINES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

struct Budget {
    since: Option<Instant>,
    used: u32,
    left_out: u32,
}

static BUDGET: Mutex<Budget> = Mutex::new(Budget { since: None, used: 0, left_out: 0 });

impl Budget {
    /// Whether a line may be said now, and how many were left out before it.
    fn take(&mut self, now: Instant) -> Option<u32> {
        let mut left_out = 0;
        if self.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            left_out = self.left_out;
            *self = Self { since: Some(now), used: 0, left_out: 0 };
        }
        if self.used == LINES {
            self.left_out += 1;
            return None;
        }
        self.used += 1;
        Some(left_out)
    }
}

/// Says one line. A console that cannot take it is no reason to stop.
pub fn line(text: fmt::Arguments<'_>) {
    let granted = BUDGET.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
    let lines = match granted {
        Some(0) => format!("proxy: {text}\n"),
        Some(left_out) => format!("proxy: ({left_out} lines left out)\nproxy: {text}\n"),
        None => return,
    };
    // In one call: standard error has no buffer, and the console is everybody's.
    _ = std::io::stderr().lock().write_all(lines.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_told() {
        let mut budget = Budget { since: None, used: 0, left_out: 0 };
        let start = Instant::now();
        assert_eq!((0..LINES + 7).filter(|_| budget.take(start).is_some()).count() as u32, LINES);
        assert_eq!(budget.take(start + WINDOW), Some(7));
        assert_eq!(budget.take(start + WINDOW), Some(0));
    }
}
