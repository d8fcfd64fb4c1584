//! What a release says of how it is run: read from what was seen of it while it was unpacked, so that nothing is opened
//! again and no right to read is needed. Nothing is executed and nothing of it is believed: what comes out is bounded, and
//! control decides.

mod files;
mod head;
mod package;
mod php;
mod python;
mod resolve;
mod seen;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use kennel_model::found::{Found, MAX_LEFT, MAX_WHY_BYTES, Origin, Process, Said};
use kennel_model::process::MAX_PROCESSES;

use head::{HEAD_BYTES, Head, classify};
use package::Package;
use resolve::Resolver;
pub(crate) use seen::Seen;

/// Files that say something of the release, if they lie at its top.
const SPOKEN: [&str; 3] = ["kennel.toml", "Procfile", "package.json"];
/// And others that only show what they are.
const SHOWING: [&str; 9] = with(python::LOOKED_INTO, php::COMPOSER);
/// How much of one of them is read; what is longer is not.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// What was seen of a file that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Text {
    /// All of it.
    Whole(Vec<u8>),
    /// More than [`MAX_TEXT_BYTES`].
    TooLong,
    /// Another name for something else, which was not looked at.
    Link,
}

/// A release, as far as it has to be known.
trait Release {
    /// One of [`SPOKEN`] or [`SHOWING`], if it is there.
    fn text(&self, name: &str) -> Option<&Text>;
    /// What is at a path below the release, links followed.
    fn at(&self, path: &str) -> Option<Thing>;
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Folder,
    /// A file, with what its first bytes say, where that is something.
    File(Option<Head>),
}

/// What `kennel.toml`, `Procfile` and `package.json` say, the first that says how the release is run before the others.
fn said(release: &impl Release, found: Found) -> Found {
    let mut left = Vec::new();
    let package = package_of(release);
    let resolver = Resolver { release, package: &package };
    let (web, processes) = by_procfile(&resolver, &mut left);
    let said = by_kennel_toml(&resolver).or(web).or_else(|| by_package(&resolver, &mut left));
    let node = package.ok().flatten().and_then(|package| package.node_range());
    let reported = |(origin, command): Word| Said { origin, command: command.and_then(bounded).map_err(short) };
    let (said, python) = (said.map(reported), python::by_application(release).map(reported));
    let php = php::by_site(release, &mut left).map(reported);
    left.truncate(MAX_LEFT);
    Found { said, python, php, processes, node, left: left.into_iter().map(short).collect(), ..found }
}

/// The names, and one more.
const fn with(names: [&'static str; 8], one: &'static str) -> [&'static str; 9] {
    let [a, b, c, d, e, f, g, h] = names;
    [a, b, c, d, e, f, g, h, one]
}

/// A file's word: where it stands, and what it is or why it cannot be followed.
type Word = (Origin, Result<Vec<String>, String>);

fn by_kennel_toml(resolver: &Resolver<'_, impl Release>) -> Option<Word> {
    let text = resolver.release.text("kennel.toml")?;
    let words = readable(text).and_then(|text| files::kennel_toml(&text));
    Some((Origin::KennelToml, words.and_then(|words| resolver.words(words))))
}

/// Its `web`, and what else it says is to run.
fn by_procfile(resolver: &Resolver<'_, impl Release>, left: &mut Vec<String>) -> (Option<Word>, Vec<Process>) {
    let Some(text) = resolver.release.text("Procfile") else { return (None, vec![]) };
    let lines = match readable(text).and_then(|text| files::procfile(&text)) {
        Ok(lines) => lines,
        Err(why) => return (Some((Origin::Procfile, Err(why))), vec![]),
    };
    let mut processes = Vec::new();
    for (name, line) in lines.others {
        match name.parse() {
            Ok(name) if processes.len() < MAX_PROCESSES => {
                let command = resolver.line(&line).and_then(bounded).map_err(short);
                processes.push(Process { name, command });
            }
            Ok(_) => left.push(format!("{name} in Procfile: {MAX_PROCESSES} processes beside web are kept")),
            Err(cause) => left.push(format!("{name} in Procfile: {cause}")),
        }
    }
    (lines.web.map(|web| (Origin::Procfile, resolver.line(&web))), processes)
}

fn by_package(resolver: &Resolver<'_, impl Release>, left: &mut Vec<String>) -> Option<Word> {
    let package = match resolver.package {
        Ok(package) => package.as_ref()?,
        Err(why) => return Some((Origin::PackageStart, Err(why.clone()))),
    };
    if let Some(start) = package.script("start") {
        let hooks = ["prestart", "poststart"].into_iter().filter(|name| package.script(name).is_some());
        left.extend(hooks.map(|name| format!("scripts.{name} in package.json")));
        return Some((Origin::PackageStart, resolver.line(start)));
    }
    let main = package.main().filter(|main| resolve::node_finds(main, resolver.release))?;
    Some((Origin::PackageMain, Ok(vec!["node".to_owned(), main.to_owned()])))
}

fn package_of(release: &impl Release) -> Result<Option<Package>, String> {
    release.text("package.json").map(|text| readable(text).and_then(|text| Package::read(&text))).transpose()
}

fn readable(text: &Text) -> Result<Cow<'_, str>, String> {
    match text {
        Text::Whole(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
            // Editors of Windows begin with it, and npm passes over it.
            Ok(Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)))
        }
        Text::TooLong => Err(format!("it is longer than {} KiB", MAX_TEXT_BYTES >> 10)),
        Text::Link => Err("it is a link: put the file itself there".to_owned()),
    }
}

fn bounded(words: Vec<String>) -> Result<Vec<String>, String> {
    kennel_model::command::check(&words).map_err(|invalid| invalid.to_string())?;
    match words.iter().any(|word| word.chars().any(char::is_control)) {
        true => Err("there is a control character in the command".to_owned()),
        false => Ok(words),
    }
}

/// As it can be reported: on one line, and not too long.
fn short(text: String) -> String {
    let mut out = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if out.len() + c.len_utf8() + '…'.len_utf8() > MAX_WHY_BYTES {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out
}
