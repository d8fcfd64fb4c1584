//! File contexts: which label a path of an image gets. The format is libselinux's `file_contexts` (pattern, file
//! type, context), so that `matchpathcon` and friends understand the same text; the matching is done here, without
//! libselinux, because the builder is one static program.

use regex_lite::Regex;

/// Patterns with their labels, in the order of the file.
#[derive(Debug, Clone)]
pub struct Contexts {
    text: String,
    specs: Vec<Spec>,
}

/// One line.
#[derive(Debug, Clone)]
struct Spec {
    /// What every match starts with: cheap to test before the expression is.
    stem: String,
    /// Absent when the pattern has no special character: then it is the stem.
    regex: Option<Regex>,
    file_type: Option<FileType>,
    /// Absent for `<<none>>`: the path is deliberately left without a label.
    context: Option<String>,
}

/// What kind of inode a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// `--`
    Regular,
    /// `-d`
    Directory,
    /// `-l`
    Symlink,
    /// `-c`
    CharDevice,
    /// `-b`
    BlockDevice,
    /// `-p`
    Fifo,
    /// `-s`
    Socket,
}

/// A line of a file contexts text that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("file contexts, line {line}: {problem}")]
pub struct BadContexts {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl Contexts {
    /// Reads a file contexts text.
    ///
    /// # Errors
    /// [`BadContexts`] names the first line that cannot be used.
    pub fn parse(text: &str) -> Result<Self, BadContexts> {
        let mut specs = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                specs.push(Spec::parse(line).map_err(|problem| BadContexts { line: number + 1, problem })?);
            }
        }
        Ok(Self { text: text.to_owned(), specs })
    }

    /// The text, as libselinux's tools read it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The label of an absolute path: a pattern without special characters wins over one with, a later line
    /// over an earlier one. `None` when nothing matches or the last match says `<<none>>`.
    pub fn label(&self, path: &str, file_type: FileType) -> Option<&str> {
        let matches = |spec: &&Spec| spec.file_type.is_none_or(|t| t == file_type) && spec.matches(path);
        let exact = self.specs.iter().rev().filter(|s| s.regex.is_none()).find(matches);
        let spec = exact.or_else(|| self.specs.iter().rev().filter(|s| s.regex.is_some()).find(matches))?;
        spec.context.as_deref()
    }

    /// Every label that can be given, in the order of the file.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.specs.iter().filter_map(|spec| spec.context.as_deref())
    }
}

impl Spec {
    fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (pattern, file_type, context) = match fields[..] {
            [pattern, context] => (pattern, None, context),
            [pattern, letter, context] => (pattern, Some(FileType::parse(letter)?), context),
            _ => {
                return Err(format!(
                    "{} fields, not a pattern, an optional file type and a context",
                    fields.len()
                ));
            }
        };
        let literal = pattern.find(|c| "\\^$.|?*+()[]{}".contains(c));
        let regex = match literal {
            None => None,
            Some(_) => Some(Regex::new(&format!("^(?:{pattern})$")).map_err(|e| format!("{pattern}: {e}"))?),
        };
        // The character before the first special one may belong to it (`/a?`), and so may an alternative.
        let stem = match literal {
            None => pattern,
            Some(_) if pattern.contains('|') && !pattern.contains('(') => "",
            Some(end) => pattern[..end].rsplit_once('/').map_or("", |(before, _)| before),
        };
        let context = (context != "<<none>>").then(|| context.to_owned());
        Ok(Self { stem: stem.to_owned(), regex, file_type, context })
    }

    fn matches(&self, path: &str) -> bool {
        match &self.regex {
            None => self.stem == path,
            Some(regex) => path.starts_with(&self.stem) && regex.is_match(path),
        }
    }
}

impl FileType {
    fn parse(letter: &str) -> Result<Self, String> {
        Ok(match letter {
            "--" => Self::Regular,
            "-d" => Self::Directory,
            "-l" => Self::Symlink,
            "-c" => Self::CharDevice,
            "-b" => Self::BlockDevice,
            "-p" => Self::Fifo,
            "-s" => Self::Socket,
            _ => return Err(format!("{letter} is no file type")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        # a comment
        /.*                      a:b:any_t
        /usr/bin/.*      --      a:b:exec_t
        /usr/bin(/.*)?   -d      a:b:bin_dir_t
        /usr/bin/odd             a:b:odd_t
        /usr/lib/.*\\.so(\\..*)? --  a:b:lib_t
        /proc/.*                 <<none>>
    ";

    #[test]
    fn the_last_match_wins_and_a_plain_path_beats_a_pattern() {
        let contexts = Contexts::parse(TEXT).unwrap();
        let label = |path, kind| contexts.label(path, kind);
        assert_eq!(label("/usr/bin/node", FileType::Regular), Some("a:b:exec_t"));
        assert_eq!(label("/usr/bin/node", FileType::Symlink), Some("a:b:any_t"));
        assert_eq!(label("/usr/bin", FileType::Directory), Some("a:b:bin_dir_t"));
        assert_eq!(label("/usr/bin/odd", FileType::Regular), Some("a:b:odd_t"));
        assert_eq!(label("/usr/lib/libc.so.6", FileType::Regular), Some("a:b:lib_t"));
        assert_eq!(label("/usr/lib/libcxso", FileType::Regular), Some("a:b:any_t"));
        assert_eq!(label("/proc/1", FileType::Directory), None);
    }

    #[test]
    fn a_bad_line_is_named() {
        let problem = |text| Contexts::parse(text).unwrap_err();
        assert_eq!(problem("\n/a -x u:r:t").line, 2);
        assert_eq!(problem("/a(  u:r:t").line, 1);
        assert!(problem("/only").problem.contains("1 fields"));
    }
}
