//! The last lines of a file, found from its end without reading the rest.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use kennel_model::printed::Printed;

use super::BLOCK;

/// Where the last `lines` lines of the file's first `end` bytes begin, and how many lines there are from there on: fewer
/// than asked for when the file is shorter. A last line without its line feed counts.
pub(super) fn start_of(file: &File, end: u64, lines: usize) -> io::Result<(u64, usize)> {
    if lines == 0 || end == 0 {
        return Ok((end, 0));
    }
    let mut block = vec![0; BLOCK];
    let mut found = 0;
    let mut at = end;
    while at > 0 {
        let from = at.saturating_sub(BLOCK as u64);
        let block = &mut block[..(at - from) as usize];
        file.read_exact_at(block, from)?;
        for (i, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = from + i as u64 + 1;
            // The file's last line feed ends a line and begins none.
            if after == end {
                continue;
            }
            found += 1;
            if found == lines {
                return Ok((after, found));
            }
        }
        at = from;
    }
    Ok((0, found + 1))
}

/// Characters that are shown of a line.
const WIDEST: usize = 300;
/// What init writes before a program's first line.
const START: &str = "kennel: starting release ";

/// The last `lines` of these lines since the last start, without what a terminal would take for a command.
pub(super) fn last_start(all: &[Printed<'_>], lines: usize) -> Vec<String> {
    let start = all.iter().rposition(|line| line.text.starts_with(START)).map_or(0, |at| at + 1);
    let shown = |line: &Printed<'_>| {
        line.text
            .chars()
            .take(WIDEST)
            .map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
            .collect()
    };
    all[start.max(all.len().saturating_sub(lines))..].iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn last(text: &str, lines: usize) -> (String, usize) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let (start, found) = start_of(&file, text.len() as u64, lines).unwrap();
        (text[start as usize..].to_owned(), found)
    }

    #[test]
    fn lines_are_counted_from_the_end() {
        assert_eq!(last("a\nb\nc\n", 2), ("b\nc\n".into(), 2));
        assert_eq!(last("a\nb\nc", 2), ("b\nc".into(), 2));
        assert_eq!(last("a\nb\n", 9), ("a\nb\n".into(), 2));
        assert_eq!(last("\n\n\n", 2), ("\n\n".into(), 2));
        assert_eq!(last("a\n", 0), (String::new(), 0));
        assert_eq!(last("", 5), (String::new(), 0));
    }

    #[test]
    fn a_start_is_shown_from_its_first_line_on_and_commands_no_terminal() {
        let shown = |text: &str, lines| {
            let all: Vec<_> = text
                .lines()
                .map(|text| Printed {
                    at_ms: 0,
                    release: kennel_model::ReleaseId(1),
                    text: text.into(),
                    unfinished: false,
                    left_out_bytes: 0,
                })
                .collect();
            last_start(&all, lines)
        };
        let text = "kennel: starting release 1: x\nold\nkennel: starting release 1: y\na\n\u{1b}[2Jb\nkennel: exited\n";
        assert_eq!(shown(text, 9), ["a", "\u{fffd}[2Jb", "kennel: exited"]);
        assert_eq!(shown(text, 1), ["kennel: exited"]);
        assert_eq!(shown("cut off\nlast", 9), ["cut off", "last"]);
        assert_eq!(shown("", 9), [""; 0]);
        assert_eq!(shown(&"x".repeat(100_000), 9)[0].len(), WIDEST);
    }

    #[test]
    fn lines_may_be_longer_than_a_block() {
        let long = "x".repeat(3 * BLOCK);
        let text = format!("first\n{long}\nlast\n");
        assert_eq!(last(&text, 2), (format!("{long}\nlast\n"), 2));
        assert_eq!(last(&text, 3).1, 3);
    }
}
