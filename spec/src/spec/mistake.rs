//! Mistakes in `kennel.toml`, shown the way a person finds them: file, line and column, the line itself, what was
//! probably meant.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a spec was refused.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A place in the text is wrong.
    #[error("{0}")]
    At(Box<Mistake>),
    /// The text is well-formed but says something impossible.
    #[error("{path}: {what}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is impossible.
        what: String,
        /// What to do.
        hint: &'static str,
    },
}

/// A place in the text and what is wrong there. Displays over several lines, with the line and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line's text.
    pub text: String,
    /// How many characters are wrong.
    pub width: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

impl SpecError {
    pub(super) fn from_toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let what = error.message().lines().next().unwrap_or_default().to_owned();
        Self::At(Box::new(Mistake::locate(path, text, error.span().unwrap_or_default(), what)))
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } => Some("run kennel in the folder of kennel.toml, or name the file".into()),
            Self::At(mistake) => mistake.hint.clone(),
            Self::Invalid { hint, .. } => Some((*hint).to_owned()),
        }
    }
}

impl Mistake {
    fn locate(path: &Path, text: &str, span: std::ops::Range<usize>, what: String) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_text = text[line_start..].lines().next().unwrap_or_default();
        let wrong = text.get(span.clone()).unwrap_or_default();
        Self {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            text: line_text.to_owned(),
            width: wrong.lines().next().unwrap_or_default().chars().count().max(1),
            hint: suggestion(&what),
            what,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, text, width, what, .. } = self;
        let margin = " ".repeat(line.to_string().len());
        writeln!(f, "{what}")?;
        writeln!(f, "{margin}--> {}:{line}:{column}", path.display())?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{line} | {text}")?;
        write!(f, "{margin} | {}{}", " ".repeat(column - 1), "^".repeat(*width))
    }
}

/// Reads serde's "unknown field `x`, expected one of `a`, `b`" and names the closest of what was expected.
fn suggestion(what: &str) -> Option<String> {
    let mut quoted = what.split('`').skip(1).step_by(2);
    if !what.starts_with("unknown ") {
        return None;
    }
    let wrong = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    let close = known.iter().map(|&name| (strsim::normalized_damerau_levenshtein(wrong, name), name));
    match close.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, name)) if likeness >= 0.5 => Some(format!("did you mean `{name}`?")),
        _ => Some(format!("possible here: {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::spec::Spec;

    fn refused(text: &str) -> (String, Option<String>) {
        let error = Spec::parse(text, Path::new("kennel.toml")).unwrap_err();
        (error.to_string(), error.hint())
    }

    #[test]
    fn an_unknown_key_shows_its_line_and_what_was_meant() {
        let (text, hint) = refused("[image]\nslots = 10\n\n[debian]\nsuit = \"trixie\"\n");
        let expected = "\
unknown field `suit`, expected one of `suite`, `components`, `mirror`, `security_mirror`, `keyring`
 --> kennel.toml:5:1
  |
5 | suit = \"trixie\"
  | ^^^^";
        assert_eq!(text, expected);
        assert_eq!(hint.as_deref(), Some("did you mean `suite`?"));
    }

    #[test]
    fn a_key_like_no_other_gets_the_list() {
        let (_, hint) = refused("[image]\nzzz = 1\n");
        assert_eq!(hint.as_deref(), Some("possible here: name, version, slots"));
    }

    #[test]
    fn wrong_types_and_broken_toml_have_a_place_too() {
        let (text, _) = refused("[image]\nslots = \"many\"\n");
        assert!(text.contains("--> kennel.toml:2:9") && text.contains("^^^^^^"), "{text}");
        let (text, _) = refused("[image\n");
        assert!(text.contains("--> kennel.toml:1:"), "{text}");
    }

    #[test]
    fn what_types_cannot_say_is_checked_as_well() {
        let rest = "[host]\npackages = []\n[tools]\npackages = []\n";
        let (text, hint) = refused(&format!("[image]\nslots = 5000\n{rest}"));
        assert_eq!(
            (text.as_str(), hint.as_deref()),
            ("kennel.toml: image.slots is 5000", Some("take 1 to 4096"))
        );
        let (text, _) = refused(&format!("{rest}[[runtime]]\nname = \"a\"\n[[runtime]]\nname = \"a\"\n"));
        assert_eq!(text, "kennel.toml: two runtimes are called a");
        let (text, _) =
            refused(&format!("{rest}[[extra.file]]\nsource = \"a\"\npath = \"a\"\nmode = \"0644\"\n"));
        assert_eq!(text, "kennel.toml: \"a\" is not an absolute path in the image");
        let (text, _) =
            refused(&format!("{rest}[[extra.file]]\nsource = \"a\"\npath = \"/a\"\nmode = \"4755\"\n"));
        assert!(text.starts_with("mode \"4755\" is not"), "{text}");
    }
}
