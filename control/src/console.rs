//! Control's lines on the console: standard error, one short line each, starting with `control: `.

use std::fmt;
use std::io::Write;

/// Longest line; init cuts lines as well, but a tenant's text must not fill the console in the first place.
const MAX_CHARS: usize = 300;

/// Writes one line. Use it through [`say!`](crate::say).
pub fn line(text: fmt::Arguments<'_>) {
    let line = format!("control: {}\n", printable(&text.to_string()));
    // A console that is gone must not stop the host's control.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// One line of printable text: what tenants or clients chose must not move the cursor or forge a line.
fn printable(text: &str) -> String {
    text.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Writes one line to the console, with [`format!`]'s arguments.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::console::line(format_args!($($arg)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_be_forged() {
        assert_eq!(printable("a\ncontrol: b\x1b[2J"), "a control: b [2J");
        assert_eq!(printable(&"é".repeat(1000)).chars().count(), MAX_CHARS);
    }
}
