//! What programs print: the files that they print into, which say by their names whose lines are in them, and the lines as control
//! keeps and tells them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ReleaseId;

/// A file in a slot's log folder. There is one for each place in the slot and release, since several releases may print at the same
/// time, one of them on trial: that a line is this release's nobody has to say within the file, where the program could say it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogFile {
    /// Where in the slot, see [`crate::task::Place::number`].
    pub place: u16,
    /// What runs there.
    pub release: ReleaseId,
}

impl fmt::Display for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.place, self.release.0)
    }
}

/// A name that no file of a program's lines has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is not the name of a log")]
pub struct NoLogFile;

impl FromStr for LogFile {
    type Err = NoLogFile;

    fn from_str(name: &str) -> Result<Self, NoLogFile> {
        let (place, release) = name.split_once('-').ok_or(NoLogFile)?;
        let file = Self {
            place: place.parse().map_err(|_| NoLogFile)?,
            release: ReleaseId(release.parse().map_err(|_| NoLogFile)?),
        };
        if file.to_string() == name { Ok(file) } else { Err(NoLogFile) }
    }
}

/// A line that a program has printed, or that init has written of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed<'a> {
    /// When control has seen it, or its file was last written to before that, in milliseconds since 1970-01-01 UTC. It stands
    /// first, and `release` second: whoever looks for some lines reads no further.
    pub at_ms: u64,
    /// Whose it is.
    pub release: ReleaseId,
    /// Without its line feed. What is not UTF-8 is replaced.
    pub text: Cow<'a, str>,
    /// It has had no line feed yet; the release's next one goes on with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unfinished: bool,
    /// So many bytes before it are not kept, as the release printed too much at a time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_whose_lines_are_in_it() {
        let file = LogFile { place: 3, release: ReleaseId(12) };
        assert_eq!(file.to_string(), "3-12");
        assert_eq!("3-12".parse(), Ok(file));
        for other in ["", "current", "3", "3-", "-12", "03-12", "3-+12", "3-12-1", "3-12.1", "../3-12"] {
            assert_eq!(other.parse::<LogFile>(), Err(NoLogFile), "{other}");
        }
    }

    #[test]
    fn what_lines_are_looked_for_by_stands_first() {
        let line = Printed {
            at_ms: 7,
            release: ReleaseId(3),
            text: "a\"b".into(),
            unfinished: false,
            left_out_bytes: 0,
        };
        assert_eq!(serde_json::to_string(&line).unwrap(), r#"{"at_ms":7,"release":3,"text":"a\"b"}"#);
    }
}
