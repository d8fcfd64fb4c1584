//! Reads the guest's console as it grows. What its lines mean is `kennel_known::sign`'s business.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::ui::SafeLines;

/// Lines kept to show when something fails.
const TAIL_LINES: usize = 25;

/// A console that is being written.
#[derive(Debug)]
pub struct Console {
    file: File,
    lines: SafeLines,
    tail: VecDeque<String>,
}

impl Console {
    /// From its first byte.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, lines: SafeLines::new(false), tail: VecDeque::new() })
    }

    /// The lines that were completed since the last call.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn news(&mut self) -> io::Result<Vec<String>> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        let lines = self.lines.push(&bytes);
        for line in lines.iter().filter(|line| !line.trim().is_empty()) {
            if self.tail.len() == TAIL_LINES {
                self.tail.pop_front();
            }
            self.tail.push_back(line.clone());
        }
        Ok(lines)
    }

    /// The last lines, also one that is not complete.
    pub fn tail(&mut self) -> Vec<String> {
        self.tail.extend(self.lines.finish());
        self.tail.iter().cloned().collect()
    }

    /// The last line.
    pub fn last(&self) -> &str {
        self.tail.back().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn news_come_once_and_the_tail_is_short() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut console = Console::open(file.path()).unwrap();
        assert!(console.news().unwrap().is_empty());
        write!(file, "\x1b[2Jone\r\ntw").unwrap();
        assert_eq!(console.news().unwrap(), ["one"]);
        writeln!(file, "o").unwrap();
        assert_eq!(console.news().unwrap(), ["two"]);
        assert_eq!(console.last(), "two");
        for n in 0..100 {
            writeln!(file, "line {n}").unwrap();
        }
        write!(file, "half").unwrap();
        console.news().unwrap();
        let tail = console.tail();
        assert_eq!((tail.len(), tail[0].as_str()), (TAIL_LINES + 1, "line 75"));
        assert_eq!(tail.last().unwrap(), "half");
    }
}
