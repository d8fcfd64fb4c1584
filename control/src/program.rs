//! Which command starts a release: what somebody asked for, or else what `kennel-unpack` found in it, for the runtime that the
//! tenant has. No file of the tenant is read here.

mod language;

use kennel_model::command;
use kennel_model::found::{Found, Origin, Process, Program, ProgramKind, Said};
use kennel_model::layout::RuntimeFacts;
use kennel_model::process::RELEASE;
use kennel_model::{Limits, ReleaseId, StaticFiles};
use nodejs_semver::{Range, Version};

use crate::error::{Error, Result};
use crate::registry::{ProcessRow, ReleaseRow, TenantRow};
use language::{Language, interpreter, is_node, language, of_runtime, runs};

/// Where Node programs begin when they have no `server.js`.
const NODE_FALLBACKS: [&str; 3] = ["index.js", "app.js", "main.js"];
/// And Python ones that have no `app.py`.
const PYTHON_FALLBACKS: [&str; 2] = ["main.py", "server.py"];
/// What a runtime without a default command starts.
const STATIC_PROGRAM: &str = "server";
/// Files that a language's programs have at their top, and how its runtimes' names begin.
const LANGUAGES: [(&str, &str, &str); 12] = [
    ("package.json", "Node.js", "node"),
    ("requirements.txt", "Python", "python"),
    ("pyproject.toml", "Python", "python"),
    ("Pipfile", "Python", "python"),
    ("manage.py", "Python", "python"),
    ("index.php", "PHP", "php"),
    ("composer.json", "PHP", "php"),
    ("Gemfile", "Ruby", "ruby"),
    ("deno.json", "Deno", "deno"),
    ("go.mod", "Go", "static"),
    ("Cargo.toml", "Rust", "static"),
    ("Dockerfile", "a container", "container"),
];

/// Endings of programs that are no program's of the browser.
const PROGRAMS: [&str; 6] = [".php", ".py", ".rb", ".pl", ".cgi", ".ts"];

/// How a release is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Program and arguments; nothing where there is no program.
    pub(crate) command: Vec<String>,
    /// Why that.
    pub(crate) origin: Origin,
    /// What is not as the release has it.
    pub(crate) notes: Vec<String>,
}

/// What a release says beside how it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beside {
    /// Run in it before it is tried.
    pub(crate) once: Option<Vec<String>>,
    /// Run beside its program, as often as the tenant wants.
    pub(crate) kept: Vec<ProcessRow>,
    /// What is not run.
    pub(crate) notes: Vec<String>,
}

/// Whom a release is for.
pub(crate) struct Home<'a> {
    /// The tenant.
    pub(crate) row: &'a TenantRow,
    /// Its runtime.
    pub(crate) runtime: &'a RuntimeFacts,
    /// The host's.
    pub(crate) runtimes: &'a [RuntimeFacts],
}

impl Home<'_> {
    /// How the release is run: as was `asked`, else by the tenant's command, else as it says itself.
    ///
    /// # Errors
    /// [`Error::NotRunnable`] and [`Error::NoProgram`], where the tenant's files are not the whole site.
    pub(crate) fn choose(&self, asked: &[String], found: &Found) -> Result<Chosen> {
        let (origin, words) = match &found.said {
            _ if !asked.is_empty() => (Origin::CommandLine, Ok(asked)),
            _ if !self.row.command.is_empty() => (Origin::Tenant, Ok(self.row.command.as_slice())),
            Some(said) if self.hears(said) => (said.origin, said.command.as_deref()),
            _ => match [&found.python, &found.php].into_iter().flatten().find(|said| self.hears(said)) {
                Some(said) => (said.origin, said.command.as_deref()),
                None => return self.unsaid(found).or_else(|cause| self.files(cause)),
            },
        };
        match words.map_err(String::clone).and_then(|words| self.runnable(words, found)) {
            Ok(command) => Ok(self.chosen(command, origin, found)),
            Err(why) if origin == Origin::CommandLine => Err(Error::NotRunnable { origin, why }),
            Err(why) => self.files(Error::NotRunnable { origin, why }),
        }
    }

    /// What else is to be run in it: once, before it is tried, and beside its program. What cannot be is said, but for the first, which is
    /// never left out.
    ///
    /// # Errors
    /// [`Error::ReleaseCommand`].
    pub(crate) fn processes(&self, release: ReleaseId, found: &Found) -> Result<Beside> {
        let mut beside = Beside { once: None, kept: vec![], notes: vec![] };
        for Process { name, command } in &found.processes {
            let command = command.clone().and_then(|words| self.runnable(&words, found));
            match (name.as_str(), command) {
                (RELEASE, Ok(command)) => beside.once = Some(command),
                (RELEASE, Err(why)) => return Err(Error::ReleaseCommand { release, why, log: vec![] }),
                (_, Ok(command)) => beside.kept.push((name.clone(), command)),
                (_, Err(why)) => beside.notes.push(format!("{name} in Procfile cannot be run: {why}")),
            }
        }
        Ok(beside)
    }

    /// Whether what a file says is for the tenant's runtime: `package.json` is of no program of Python's or PHP's, which may have one
    /// for what it shows in browsers.
    fn hears(&self, said: &Said) -> bool {
        let language = language(self.runtime);
        match said.origin {
            Origin::PackageStart | Origin::PackageMain => {
                !matches!(language, Some(Language::Python | Language::Php))
            }
            Origin::Django | Origin::PythonApp => language == Some(Language::Python),
            Origin::PhpSite => language == Some(Language::Php),
            _ => true,
        }
    }

    /// What is run where nothing says it.
    fn unsaid(&self, found: &Found) -> Result<Chosen> {
        let looked_for = candidates(self.runtime);
        let named = looked_for.iter().find(|name| found.top.contains(name) && self.can_start(name, found));
        if let Some(name) = named {
            return Ok(self.chosen(with_program(&self.runtime.default_command, name), Origin::Name, found));
        }
        let fit: Vec<&Program> = found.programs.iter().filter(|program| is_fit(program)).collect();
        if let [only] = fit[..] {
            return Ok(self.chosen(vec![format!("./{}", only.name)], Origin::Executable, found));
        }
        let clue = self.clue(found);
        if clue.is_none() && is_site(found) && self.row.limits.static_files.is_none() {
            return Ok(self.chosen(vec![], Origin::Index, found));
        }
        Err(Error::NoProgram { runtime: self.runtime.name.clone(), looked_for, clue })
    }

    fn chosen(&self, command: Vec<String>, origin: Origin, found: &Found) -> Chosen {
        // Who says it otherwise knows what the files say.
        let heard = !matches!(origin, Origin::CommandLine | Origin::Tenant);
        let left = found.left.iter().filter(|_| heard).map(|left| format!("not done: {left}"));
        let notes = self.other_node(&command, found).into_iter().chain(left).collect();
        Chosen { command, origin, notes }
    }

    /// A site of files needs no program.
    fn files(&self, cause: Error) -> Result<Chosen> {
        match self.row.limits.static_files.is_some_and(|files| files.is_whole_site()) {
            true => Ok(Chosen { command: vec![], origin: Origin::Files, notes: vec![] }),
            false => Err(cause),
        }
    }

    /// The words as they are executed, but for the port, which is known at each start: the runtime's own program by its path.
    fn runnable(&self, words: &[String], found: &Found) -> std::result::Result<Vec<String>, String> {
        command::check(words).map_err(|invalid| invalid.to_string())?;
        let [program, arguments @ ..] = words else { return Err("there is no program in it".to_owned()) };
        let program = match interpreter(self.runtime) {
            _ if program.contains('/') => program.clone(),
            Some(_) if runs(self.runtime, program) => of_runtime(self.runtime, program),
            _ if found.top.contains(program) => format!("./{program}"),
            _ => return Err(self.nowhere(program)),
        };
        let whole = [&[program], arguments].concat();
        let longest = command::with_port(&whole, self.row.slot.last_port());
        command::check(&longest).map_err(|invalid| invalid.to_string())?;
        Ok(whole)
    }

    fn nowhere(&self, program: &str) -> String {
        let name = &self.runtime.name;
        let others = self.runtimes.iter().filter(|r| runs(r, program));
        let others: Vec<String> = others.map(|r| r.name.to_string()).collect();
        let where_else = match others.as_slice() {
            [] if language(self.runtime) == Some(Language::Python) => {
                format!("`pip install --target vendor {program}` puts a package into the release")
            }
            [] => format!("the host has the runtimes {}", names(self.runtimes)),
            others => format!("the runtime {} has it", others.join(", ")),
        };
        format!(
            "{program:?} is neither in the tenant's runtime {name} nor at the top of the release, and is looked for nowhere \
             else; {where_else}"
        )
    }

    /// Says so when the release asks for another Node.js.
    fn other_node(&self, command: &[String], found: &Found) -> Option<String> {
        let asked = found.node.as_deref()?;
        let (name, path) = interpreter(self.runtime)?;
        if name != "node" || command.first().is_none_or(|program| program != path) {
            return None;
        }
        let range: Range = asked.parse().ok()?;
        let fits = |runtime: &RuntimeFacts| {
            runtime.version.parse::<Version>().is_ok_and(|version| version.satisfies(&range))
        };
        if fits(self.runtime) {
            return None;
        }
        let better = self.runtimes.iter().find(|runtime| is_node(runtime) && fits(runtime));
        let better = match better {
            Some(runtime) => format!("{0} of this host would fit: --runtime {0}", runtime.name),
            None => "no runtime of this host fits".to_owned(),
        };
        Some(format!(
            "package.json asks for Node.js {asked}, and it runs on {}; {better}",
            self.runtime.version
        ))
    }

    /// Why a release that holds something is still nothing to run.
    fn clue(&self, found: &Found) -> Option<String> {
        let unfit = found.programs.iter().find(|program| !is_fit(program));
        if let Some(program) = unfit {
            let why = match program.kind {
                ProgramKind::Dynamic => "is linked dynamically: link it statically",
                ProgramKind::Foreign => "is not for x86-64",
                ProgramKind::Static => "may not be executed: `chmod +x` it",
            };
            return Some(format!("{} {why}", program.name));
        }
        if !found.programs.is_empty() {
            let all: Vec<&str> = found.programs.iter().map(|program| program.name.as_str()).collect();
            return Some(format!("there are several static programs: {}", all.join(", ")));
        }
        let has = |file: &str| found.top.iter().any(|name| name == file);
        let (file, language, prefix) = LANGUAGES.into_iter().find(|(file, ..)| has(file))?;
        if prefix == "node" && is_node(self.runtime) {
            return Some("package.json has no scripts.start, and no main that is there".to_owned());
        }
        if prefix == "static" {
            return Some(format!("{file} is of a program in {language}: build it, and deploy what was built"));
        }
        if self.runtime.name.as_str().starts_with(prefix) {
            return None;
        }
        Some(format!(
            "{file} is of a program for {language}, and the tenant's runtime is {}; the host has {}",
            self.runtime.name,
            names(self.runtimes)
        ))
    }

    /// Whether the runtime can start a file of this name: its interpreter any, the machine what is for it.
    fn can_start(&self, name: &str, found: &Found) -> bool {
        let program = found.programs.iter().find(|program| program.name == name);
        interpreter(self.runtime).is_some() || program.is_none_or(is_fit)
    }
}

/// What a command of a release is on another runtime than its own.
///
/// # Errors
/// [`Error::NotMovable`].
pub(crate) fn carried(release: &ReleaseRow, command: &[String], to: &RuntimeFacts) -> Result<Vec<String>> {
    let [program, arguments @ ..] = command else { return Ok(vec![]) };
    // What the release brings itself needs no interpreter; whether it runs there, its trial says.
    let Some(name) = program.strip_prefix('/').and_then(|path| path.rsplit('/').next()) else {
        return Ok(command.to_vec());
    };
    match interpreter(to) {
        Some(_) if runs(to, name) => Ok([&[of_runtime(to, name)], arguments].concat()),
        _ => Err(Error::NotMovable {
            release: release.id,
            runs: command.join(" ").chars().take(200).collect(),
            from: release.runtime.clone(),
            to: to.name.clone(),
        }),
    }
}

/// A release without a program serves nobody once its files are no longer the whole site.
///
/// # Errors
/// [`Error::NoProgram`].
pub(crate) fn still_serves(row: &TenantRow, runtime: &RuntimeFacts, limits: &Limits) -> Result<()> {
    let files = static_files(&TenantRow { limits: *limits, ..row.clone() });
    match row.current_release() {
        Some(release) if release.command.is_empty() && !files.is_some_and(|files| files.is_whole_site()) => {
            let looked_for = candidates(runtime);
            Err(Error::NoProgram { runtime: runtime.name.clone(), looked_for, clue: None })
        }
        _ => Ok(()),
    }
}

/// The files of the current release that the proxy answers: as the tenant's limits say, else all of them where there is
/// nothing but an `index.html`.
pub(crate) fn static_files(row: &TenantRow) -> Option<StaticFiles> {
    let is_site = || row.current_release().is_some_and(|release| release.origin == Some(Origin::Index));
    row.limits.static_files.or_else(|| is_site().then(StaticFiles::all))
}

/// An index, and no program that would be shown in the place of what it answers.
fn is_site(found: &Found) -> bool {
    let is_program = |name: &String| PROGRAMS.iter().any(|ending| name.ends_with(ending));
    found.top.iter().any(|name| name == "index.html") && !found.top.iter().any(is_program)
}

fn is_fit(program: &Program) -> bool {
    program.kind == ProgramKind::Static && program.executable
}

fn names(runtimes: &[RuntimeFacts]) -> String {
    let names: Vec<&str> = runtimes.iter().map(|runtime| runtime.name.as_str()).collect();
    names.join(", ")
}

/// Names at the top that the runtime can start, the best first.
fn candidates(runtime: &RuntimeFacts) -> Vec<String> {
    let default = runtime.default_command.last().map_or(STATIC_PROGRAM, String::as_str);
    let mut names = vec![default.trim_start_matches("./").to_owned()];
    if default.ends_with(".js") {
        names.extend(NODE_FALLBACKS.iter().filter(|name| **name != default).map(|name| (*name).to_owned()));
    }
    if default.ends_with(".py") {
        names.extend(PYTHON_FALLBACKS.iter().filter(|name| **name != default).map(|name| (*name).to_owned()));
    }
    names
}

/// The default command with its last word, the program's file, exchanged.
fn with_program(default: &[String], name: &str) -> Vec<String> {
    match default {
        // A program of the release is started by its path: there is no search path.
        [] | [_] => vec![format!("./{name}")],
        [words @ .., _] => words.iter().cloned().chain([name.to_owned()]).collect(),
    }
}

#[cfg(test)]
mod tests;
