//! What `kennel-unpack` finds in a release that says how it is run. The files are the tenant's: they are read in its own
//! slot, and what comes out of them is bounded, plain and checked again by control, which decides.

use serde::{Deserialize, Serialize};

use crate::process::MAX_PROCESSES;
use crate::{ProcessName, command};

/// Names at a release's top that are reported.
pub const MAX_TOP: usize = 200;
/// Programs among them.
pub const MAX_PROGRAMS: usize = 16;
/// Things that a file says and nobody does.
pub const MAX_LEFT: usize = 8;
/// Longest text about a file, in bytes.
pub const MAX_WHY_BYTES: usize = 600;
/// Longest range of versions, in bytes.
pub const MAX_RANGE_BYTES: usize = 128;
/// Longest name of a file, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// What is known of a release without having run it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Names of files and links at its top, at most [`MAX_TOP`].
    pub top: Vec<String>,
    /// Names of folders there, at most [`MAX_TOP`].
    pub folders: Vec<String>,
    /// What `kennel.toml`, `Procfile` or `package.json` says, whichever comes first.
    pub said: Option<Said>,
    /// How the application of Python is served that its files have, for runtimes of that language.
    pub python: Option<Said>,
    /// How the site of PHP is served that its files are, for runtimes of that language.
    pub php: Option<Said>,
    /// Machine programs at its top, at most [`MAX_PROGRAMS`].
    pub programs: Vec<Program>,
    /// The versions of Node.js that `package.json` asks for, as npm writes ranges: `>=20 <25`.
    pub node: Option<String>,
    /// What else its `Procfile` says is to run, at most [`MAX_PROCESSES`](crate::process::MAX_PROCESSES).
    pub processes: Vec<Process>,
    /// What was said and is not done, such as other lines of a `Procfile`; at most [`MAX_LEFT`].
    pub left: Vec<String>,
}

/// A file's word on what is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Which, and where in it.
    pub origin: Origin,
    /// Program and arguments, with `$PORT` as it was written. A program without a slash is the runtime's. Or why that cannot
    /// be run.
    pub command: Result<Vec<String>, String>,
}

/// A line of a `Procfile` that is not `web`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its name there.
    pub name: ProcessName,
    /// As of [`Said`].
    pub command: Result<Vec<String>, String>,
}

/// Where a release's command comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Whoever deployed it said so.
    CommandLine,
    /// Whoever made the tenant said so.
    Tenant,
    /// `command` in `[app]` of `kennel.toml`.
    KennelToml,
    /// `web` in `Procfile`.
    Procfile,
    /// `start` in `scripts` of `package.json`.
    PackageStart,
    /// `main` in `package.json`.
    PackageMain,
    /// `manage.py`, and the settings that it names.
    Django,
    /// An application in a Python file of a usual name.
    PythonApp,
    /// A front controller of PHP, `index.php`, at its top or in the folder that visitors see.
    PhpSite,
    /// A file has one of the names that are looked for.
    Name,
    /// There is one static program.
    Executable,
    /// No program: an `index.html`, and nothing that says how to run anything. The proxy answers its files.
    Index,
    /// No program: the tenant's rule for files is for the whole site.
    Files,
}

/// A machine program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its file.
    pub name: String,
    /// Whether it can be started as it is.
    pub kind: ProgramKind,
    /// Whether its file may be executed.
    pub executable: bool,
}

/// What a machine program needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramKind {
    /// Nothing: x86-64, statically linked.
    Static,
    /// A dynamic loader, and libraries.
    Dynamic,
    /// Another kind of machine.
    Foreign,
}

/// A report that `kennel-unpack` does not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the report of the release is out of bounds: {0}")]
pub struct OutOfBounds(&'static str);

impl Origin {
    /// As people know it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::CommandLine => "the command line",
            Self::Tenant => "the tenant's command",
            Self::KennelToml => "kennel.toml, app.command",
            Self::Procfile => "Procfile, web",
            Self::PackageStart => "package.json, scripts.start",
            Self::PackageMain => "package.json, main",
            Self::Django => "manage.py, a site of Django",
            Self::PythonApp => "an application of Python",
            Self::PhpSite => "a site of PHP",
            Self::Name => "found by its name",
            Self::Executable => "the one static program",
            Self::Index => "index.html, and no program",
            Self::Files => "the tenant's files are the whole site",
        }
    }
}

impl Found {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the part.
    pub fn validate(&self) -> Result<(), OutOfBounds> {
        let well = |command: &Result<Vec<String>, String>| match command {
            Ok(words) => !words.is_empty() && command::check(words).is_ok() && words.iter().all(|w| plain(w)),
            Err(why) => short(why, MAX_WHY_BYTES),
        };
        let said_well =
            [&self.said, &self.python, &self.php].into_iter().flatten().all(|said| well(&said.command));
        let others = &self.processes;
        let is_once = |(at, one): (usize, &Process)| !others[..at].iter().any(|other| other.name == one.name);
        let processes = others.len() <= MAX_PROCESSES
            && others.iter().all(|one| well(&one.command))
            && others.iter().enumerate().all(is_once);
        let range = |range: &String| short(range, MAX_RANGE_BYTES) && range.chars().all(in_ranges);
        let programs = self.programs.iter().all(|program| self.top.contains(&program.name));
        // Names in a release may hold anything but a slash; these are looked up, and not shown.
        let names = [&self.top, &self.folders].into_iter().all(|names| {
            names.len() <= MAX_TOP && names.iter().all(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES)
        });
        for (good, what) in [
            (names, "names"),
            (said_well, "what is said"),
            (processes, "processes"),
            (self.programs.len() <= MAX_PROGRAMS && programs, "programs"),
            (self.node.as_ref().is_none_or(range), "versions of Node.js"),
            (self.left.len() <= MAX_LEFT && self.left.iter().all(|w| short(w, MAX_WHY_BYTES)), "what is left"),
        ] {
            if !good {
                return Err(OutOfBounds(what));
            }
        }
        Ok(())
    }
}

/// Whether a range of versions may have it.
pub fn in_ranges(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".*<>=^~|+- ".contains(c)
}

fn plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn short(text: &str, bytes: usize) -> bool {
    !text.is_empty() && text.len() <= bytes && plain(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let name = "server".to_owned();
        Found {
            top: vec![name.clone(), "package.json".into()],
            folders: vec!["lib".into()],
            said: Some(Said { origin: Origin::PackageStart, command: Ok(vec!["node".into(), "a.js".into()]) }),
            python: Some(Said { origin: Origin::Django, command: Err("there is no server".into()) }),
            php: Some(Said { origin: Origin::PhpSite, command: Err("there is no package".into()) }),
            programs: vec![Program { name, kind: ProgramKind::Static, executable: true }],
            processes: vec![Process { name: "worker".parse().unwrap(), command: Ok(vec!["node".into()]) }],
            node: Some(">=20 <25 || ^26.1.0-rc.1".into()),
            left: vec!["worker in the Procfile".into()],
        }
    }

    #[test]
    fn a_report_is_bounded() {
        assert_eq!(found().validate(), Ok(()));
        assert_eq!(Found::default().validate(), Ok(()));
        let said = |command| Some(Said { origin: Origin::Procfile, command });
        for (part, spoil) in [
            ("names", (|f: &mut Found| f.top = vec!["x".into(); MAX_TOP + 1]) as fn(&mut Found)),
            ("names", |f| f.top.push(String::new())),
            ("names", |f| f.folders = vec!["x".into(); MAX_TOP + 1]),
            ("programs", |f| f.top.clear()),
            ("programs", |f| f.programs = vec![f.programs[0].clone(); MAX_PROGRAMS + 1]),
            ("versions of Node.js", |f| f.node = Some("20\n".into())),
            ("versions of Node.js", |f| f.node = Some("2".repeat(MAX_RANGE_BYTES + 1))),
            ("what is left", |f| f.left = vec!["x".into(); MAX_LEFT + 1]),
            ("what is left", |f| f.left = vec!["\u{1b}[2J".into()]),
        ] {
            let mut bad = found();
            spoil(&mut bad);
            assert_eq!(bad.validate(), Err(OutOfBounds(part)));
        }
        for command in [
            Ok(vec![]),
            Ok(vec![String::new()]),
            Ok(vec!["a".into(), "\u{7}".into()]),
            Ok(vec!["x".repeat(9000)]),
            Err("x".repeat(MAX_WHY_BYTES + 1)),
            Err("a\nb".into()),
        ] {
            for bad in [
                Found { said: said(command.clone()), ..found() },
                Found { python: said(command.clone()), ..found() },
                Found { php: said(command), ..found() },
            ] {
                assert_eq!(bad.validate(), Err(OutOfBounds("what is said")), "{bad:?}");
            }
        }
    }

    #[test]
    fn a_report_is_the_same_when_it_has_been_read() {
        for said in [found().said, None, Some(Said { origin: Origin::KennelToml, command: Err("no".into()) })] {
            let before = Found { said, ..found() };
            let text = serde_json::to_string(&before).unwrap();
            assert_eq!(serde_json::from_str::<Found>(&text).unwrap(), before);
        }
    }
}
