//! Makes text from elsewhere (a tenant's log, a machine's console) harmless to a terminal: colours may stay, every
//! other escape sequence and control character goes. Otherwise a tenant could move the operator's cursor, rename
//! the window or fill the keyboard buffer.

/// Cuts a byte stream into lines that may be shown.
#[derive(Debug)]
pub struct SafeLines {
    colours: bool,
    partial: Vec<u8>,
}

/// A line longer than this is cut in pieces, so that memory stays bounded.
const MAX_LINE_BYTES: usize = 16 << 10;

impl SafeLines {
    /// With or without the colours that are in the stream.
    pub const fn new(colours: bool) -> Self {
        Self { colours, partial: Vec::new() }
    }

    /// Takes what has arrived and returns the lines that are complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte == b'\n' || self.partial.len() >= MAX_LINE_BYTES {
                lines.push(harmless(&std::mem::take(&mut self.partial), self.colours));
            }
            if byte != b'\n' {
                self.partial.push(byte);
            }
        }
        lines
    }

    /// What is left when the stream has ended.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.partial);
        (!rest.is_empty()).then(|| harmless(&rest, self.colours))
    }
}

fn harmless(line: &[u8], colours: bool) -> String {
    let text = String::from_utf8_lossy(line);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut coloured = false;
    while let Some(c) = rest.next() {
        match c {
            '\t' => out.push(c),
            '\x1b' => {
                if rest.next_if_eq(&'[').is_some() {
                    let mut parameters = String::new();
                    while let Some(p) = rest.next_if(|p| ('\x20'..='\x3f').contains(p)) {
                        parameters.push(p);
                    }
                    if rest.next() == Some('m') && colours {
                        coloured = true;
                        out.push_str(&format!("\x1b[{parameters}m"));
                    }
                }
            }
            // C0 and C1 controls; the latter start escape sequences too on some terminals.
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    if coloured {
        out.push_str("\x1b[0m");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_the_bytes_arrive() {
        let mut lines = SafeLines::new(false);
        assert!(lines.push(b"one").is_empty());
        assert_eq!(lines.push(b" line\r\ntwo\nthr"), ["one line", "two"]);
        assert_eq!(lines.finish().as_deref(), Some("thr"));
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn colours_stay_and_tricks_go() {
        let mut lines = SafeLines::new(true);
        let seen = lines.push(b"\x1b[31mred\x1b[2J\x1b[H \x1b]0;title\x07 a\xc2\x9b5n\x08\n");
        assert_eq!(seen, ["\x1b[31mred ]0;title a5n\x1b[0m"]);
        assert_eq!(SafeLines::new(false).push(b"\x1b[1;31mred\n"), ["red"]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut lines = SafeLines::new(false);
        assert_eq!(lines.push(&vec![b'x'; MAX_LINE_BYTES + 1]).len(), 1);
    }
}
