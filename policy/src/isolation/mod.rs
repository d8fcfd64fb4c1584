//! The table of forbidden acts, `policy/isolation.toml`: each act with the UNIX means and the SELinux means that refuse it,
//! and what a program sees that tries it, with both kinds of means and with either alone.
//!
//! Here is what a row says and that it says it whole. [`check()`] holds the policy's `neverallow`s against the rows; the
//! probes that try the acts are the villain's, and the tests hold them against the rows.

mod check;
mod packet;

pub use check::{Unmatched, check};
pub use packet::{BadPacket, Packet, Protocol};

use std::collections::BTreeSet;

use kennel_model::proof::Layers;
use serde::Deserialize;

/// What a probe says whose act succeeded.
pub const DONE: &str = "done";

/// The table's text, which the `kennel` command carries too.
const TEXT: &str = include_str!("../../isolation.toml");

/// Every forbidden act.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// In the order of the file.
    #[serde(rename = "row")]
    pub rows: Vec<Row>,
}

/// One forbidden act.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its name and that of the probe that tries it: `other-slot-code-read`.
    pub id: String,
    /// Upon what, as a heading: `files of another slot`.
    pub object: String,
    /// The act, in a sentence.
    pub sentence: String,
    /// The UNIX means that refuse it.
    pub dac: String,
    /// The SELinux means that refuse it.
    pub mac: String,
    /// Whether it may be tried on a host with tenants.
    #[serde(default)]
    pub harmless: bool,
    /// What the packet filter must refuse when the program of slot 0 or of the last slot sends it.
    #[serde(default)]
    pub packets: Vec<Packet>,
    /// What SELinux's record must say when it refuses alone: `send packet metadata_packet_t`. Where absent, any record does.
    #[serde(default)]
    pub record: Option<String>,
    /// What a program sees that tries it.
    expect: Expect,
    /// Why nothing can be expected of a layer alone.
    #[serde(default)]
    argued: Argued,
}

/// One of these must be seen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    both: Vec<String>,
    dac: Option<Vec<String>>,
    mac: Option<Vec<String>>,
    #[serde(default = "done")]
    neither: Vec<String>,
}

/// Where nothing stands in its way an act succeeds, unless its row says otherwise.
fn done() -> Vec<String> {
    vec![DONE.to_owned()]
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Argued {
    dac: Option<String>,
    mac: Option<String>,
}

/// What a row says of one way to be confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode<'a> {
    /// One of these is seen: an errno's name, a signal's, or `held`; with neither layer also `done`.
    Expect(&'a [String]),
    /// The layer cannot express it by itself, and why.
    Argued(&'a str),
}

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadTable {
    /// It has another shape.
    #[error("isolation.toml: {0}")]
    Shape(#[from] Box<toml::de::Error>),
    /// A row says too little or something odd.
    #[error("isolation.toml, row {id}: {problem}")]
    Row {
        /// Which one.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The table.
///
/// # Errors
/// [`BadTable`]; a test sees to it that there is none.
pub fn table() -> Result<Table, BadTable> {
    Table::parse(TEXT)
}

impl Table {
    /// Reads a table and sees that every row is whole.
    ///
    /// # Errors
    /// [`BadTable`] names the first row that is not.
    pub fn parse(text: &str) -> Result<Self, BadTable> {
        let table: Self = toml::from_str(text).map_err(Box::new)?;
        let mut seen = BTreeSet::new();
        for row in &table.rows {
            let fresh = seen.insert(row.id.as_str());
            let problem = if fresh { row.problem() } else { Some("there are two of that id".to_owned()) };
            if let Some(problem) = problem {
                return Err(BadTable::Row { id: row.id.clone(), problem });
            }
        }
        Ok(table)
    }

    /// The row of this id.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// The objects in the order in which they first come.
    pub fn objects(&self) -> Vec<&str> {
        let mut objects: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !objects.contains(&row.object.as_str()) {
                objects.push(&row.object);
            }
        }
        objects
    }
}

impl Row {
    /// What the row says of these layers.
    pub fn mode(&self, layers: Layers) -> Mode<'_> {
        let (expected, argued) = match layers {
            Layers::Both => (Some(&self.expect.both), None),
            Layers::DacOnly => (self.expect.dac.as_ref(), self.argued.dac.as_deref()),
            Layers::MacOnly => (self.expect.mac.as_ref(), self.argued.mac.as_deref()),
            Layers::Neither => (Some(&self.expect.neither), None),
        };
        match expected {
            Some(list) => Mode::Expect(list),
            // A row that was read has one or the other.
            None => Mode::Argued(argued.unwrap_or_default()),
        }
    }

    /// Whether what a probe saw is among what the row expects of these layers. An argued mode accepts anything.
    pub fn accepts(&self, layers: Layers, result: &str) -> bool {
        match self.mode(layers) {
            Mode::Expect(list) => list.iter().any(|expected| expected == result),
            Mode::Argued(_) => true,
        }
    }

    fn problem(&self) -> Option<String> {
        if !kebab(&self.id) {
            return Some("an id is lower-case words joined by hyphens".to_owned());
        }
        let texts =
            [("object", &self.object), ("sentence", &self.sentence), ("dac", &self.dac), ("mac", &self.mac)];
        if let Some((name, _)) = texts.iter().find(|(_, text)| text.trim().is_empty()) {
            return Some(format!("{name} is empty"));
        }
        let modes = [
            ("both", Some(&self.expect.both), None),
            ("dac", self.expect.dac.as_ref(), self.argued.dac.as_ref()),
            ("mac", self.expect.mac.as_ref(), self.argued.mac.as_ref()),
        ];
        let succeeds = |result: &&String| *result != DONE;
        let neither: Vec<String> = self.expect.neither.iter().filter(succeeds).cloned().collect();
        let control = if neither.is_empty() { None } else { mode_problem("neither", Some(&neither), None) };
        modes.into_iter().find_map(|(name, expected, argued)| mode_problem(name, expected, argued)).or(control)
    }
}

fn mode_problem(name: &str, expected: Option<&Vec<String>>, argued: Option<&String>) -> Option<String> {
    match (expected, argued) {
        (Some(_), Some(_)) => Some(format!("{name} has both an expectation and an argument")),
        (None, None) => Some(format!("{name} has neither an expectation nor an argument")),
        (None, Some(why)) => why.trim().is_empty().then(|| format!("{name} has an empty argument")),
        (Some(list), None) if list.is_empty() => Some(format!("{name} expects nothing")),
        (Some(list), None) => {
            list.iter().find(|r| !known(r)).map(|r| format!("{name} expects {r}, which nothing gives"))
        }
    }
}

fn kebab(id: &str) -> bool {
    id.split('-')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

fn known(result: &str) -> bool {
    result == "held" || SIGNALS.contains(&result) || ERRNOS.contains(&result)
}

/// What can end a probe.
const SIGNALS: [&str; 6] = ["SIGSYS", "SIGKILL", "SIGSEGV", "SIGBUS", "SIGXCPU", "SIGXFSZ"];

/// What can refuse an act. Listed so that a misspelt name is found.
#[rustfmt::skip]
const ERRNOS: [&str; 55] = [
    "EPERM", "ENOENT", "ESRCH", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "EAGAIN", "ENOMEM", "EACCES", "EFAULT",
    "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR", "EISDIR", "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY",
    "EFBIG", "ENOSPC", "EROFS", "EMLINK", "ENAMETOOLONG", "ENOLCK", "ENOSYS", "ELOOP", "EOPNOTSUPP",
    "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EAFNOSUPPORT", "EADDRINUSE", "EADDRNOTAVAIL", "ENETUNREACH",
    "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ETIMEDOUT", "EDQUOT", "ENOKEY", "EUSERS", "EPROTO", "EPROTOTYPE",
    "ENOPROTOOPT", "ENOBUFS", "EDEADLK", "EOVERFLOW", "ENOTCONN", "EKEYREJECTED", "ENETDOWN", "EDOM",
];

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"
        [[row]]
        id = "code-read"
        object = "files"
        sentence = "One reads another's code."
        dac = "It is not there."
        mac = "There is no rule."
        [row.expect]
        both = ["ENOENT"]
    "#;

    fn problem(text: &str) -> String {
        Table::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_table_is_whole() {
        assert!(!table().unwrap().rows.is_empty());
    }

    #[test]
    fn a_layer_is_expected_to_refuse_or_it_is_argued_why_it_cannot() {
        let text = format!("{ROW} dac = [\"ENOENT\", \"SIGSYS\"]\n[row.argued]\nmac = \"No label.\"");
        let table = Table::parse(&text).unwrap();
        let row = table.row("code-read").unwrap();
        assert_eq!(row.mode(Layers::Both), Mode::Expect(&["ENOENT".to_owned()]));
        assert_eq!(row.mode(Layers::MacOnly), Mode::Argued("No label."));
        assert!(row.accepts(Layers::DacOnly, "SIGSYS") && row.accepts(Layers::MacOnly, "done"));
        assert!(!row.accepts(Layers::DacOnly, "done") && !row.accepts(Layers::Both, "EACCES"));
        assert!(row.accepts(Layers::Neither, "done") && !row.accepts(Layers::Neither, "ENOENT"));
    }

    #[test]
    fn a_row_that_says_too_little_or_too_much_is_named() {
        let whole = format!("{ROW} dac = [\"ENOENT\"]\nmac = [\"EACCES\"]");
        assert!(Table::parse(&whole).is_ok());
        assert!(problem(ROW).contains("code-read: dac has neither"));
        assert!(problem(&format!("{whole}\n[row.argued]\nmac = \"x\"")).contains("mac has both"));
        assert!(problem(&whole.replace("EACCES", "EACESS")).contains("EACESS"));
        assert!(problem(&whole.replace("[\"EACCES\"]", "[]")).contains("mac expects nothing"));
        assert!(problem(&whole.replace("code-read", "Code_read")).contains("hyphens"));
        assert!(problem(&whole.replace("There is no rule.", " ")).contains("mac is empty"));
        assert!(problem(&format!("{whole}{whole}")).contains("two of that id"));
        assert!(problem(&whole.replace("dac =", "dca =")).contains("unknown field"));
        assert!(problem(&whole.replace("[row.expect]", "why = 1\n[row.expect]")).contains("unknown field"));
    }

    #[test]
    fn objects_come_in_the_order_of_the_file() {
        let whole = format!("{ROW} dac = [\"ENOENT\"]\nmac = [\"EACCES\"]");
        let text = format!(
            "{whole}{}{}",
            whole.replace("code-read", "b").replace("\"files\"", "\"ports\""),
            whole.replace("code-read", "c")
        );
        assert_eq!(Table::parse(&text).unwrap().objects(), ["files", "ports"]);
    }
}
