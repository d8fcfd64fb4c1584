//! From what people write in a script or a Procfile to what can be executed without a shell, npm and a search path.

use kennel_model::command;

use super::package::Package;
use super::{Head, Release, Thing, python};

/// How often one script may name another.
const MAX_STEPS: u32 = 8;
/// Where npm puts the programs of packages.
const BIN: &str = "node_modules/.bin";
/// What a script may begin with that needs a shell.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "zsh", "ksh"];

/// Program and arguments, or why they cannot be run, and what to do.
type Words = Result<Vec<String>, String>;

/// What words are looked up in.
pub(super) struct Resolver<'a, R> {
    pub(super) release: &'a R,
    /// Its `package.json`, if it has one that can be read.
    pub(super) package: &'a Result<Option<Package>, String>,
}

impl<R: Release> Resolver<'_, R> {
    /// A line as people write it.
    pub(super) fn line(&self, line: &str) -> Words {
        self.follow(line, MAX_STEPS)
    }

    /// Words that are split already.
    pub(super) fn words(&self, words: Vec<String>) -> Words {
        self.program(words, MAX_STEPS)
    }

    fn follow(&self, line: &str, steps: u32) -> Words {
        let words = command::split(line).map_err(|cause| format!("`{}`: {cause}", clipped(line)))?;
        self.program(words, steps)
    }

    fn program(&self, words: Vec<String>, steps: u32) -> Words {
        let [first, arguments @ ..] = words.as_slice() else { return Ok(words) };
        match first.as_str() {
            "npm" | "yarn" | "pnpm" => self.script(&words, steps),
            "npx" => match arguments.first() {
                Some(name) if !name.starts_with('-') => self.of_package(arguments).unwrap_or_else(|| {
                    Err(format!("{BIN}/{name} is not in the release: are its packages installed?"))
                }),
                _ => Err("npx is not on the host: name the program itself".to_owned()),
            },
            "node" | "nodejs" => self.node(arguments),
            "poetry" | "pipenv" | "pdm" | "uv" => match (arguments, steps.checked_sub(1)) {
                ([run, name, ..], Some(steps)) if run == "run" && !name.starts_with('-') => {
                    self.program(arguments[1..].to_vec(), steps)
                }
                _ => Err(format!(
                    "`{}`: {first} is not on the host; only `{first} run PROGRAM` can be followed",
                    clipped(&words.join(" "))
                )),
            },
            name if is_python(name) => self.python(&words),
            path if path.starts_with('/') => Ok(words),
            path if path.contains('/') => self.at_path(&words),
            _ => self.of_package(&words).or_else(|| self.of_python_package(&words)).unwrap_or(Ok(words)),
        }
    }

    /// `npm start`, `npm run NAME` and their like, which name a script of `package.json`.
    fn script(&self, words: &[String], steps: u32) -> Words {
        let all: Vec<&str> = words.iter().map(String::as_str).collect();
        let line = clipped(&words.join(" "));
        let name = match all[..] {
            [_, "start"] => "start",
            [_, "run" | "run-script", name] | ["yarn" | "pnpm", name] => name,
            _ => {
                return Err(format!(
                    "`{line}`: {0} is not on the host; only `{0} start` and `{0} run NAME` can be followed",
                    words[0]
                ));
            }
        };
        let package = self.package.as_ref().map_err(|why| format!("`{line}`: package.json: {why}"))?;
        let script = package.as_ref().and_then(|package| package.script(name));
        let script = script.ok_or_else(|| format!("`{line}`: package.json has no scripts.{name}"))?;
        let steps = steps.checked_sub(1).ok_or("the scripts of package.json name each other in a circle")?;
        self.follow(script, steps)
    }

    /// A program of Node.js: its file is looked for where Node.js would.
    fn node(&self, arguments: &[String]) -> Words {
        let file = arguments.first().ok_or("`node` alone has no program: name its file")?;
        if !node_finds(file, self.release) {
            return Err(format!("`node {0}`: {1}", clipped(file), missing(file)));
        }
        Ok(["node"].map(str::to_owned).into_iter().chain(arguments.iter().cloned()).collect())
    }

    /// A program of Python: its file is there. Which Python it is, the runtime says.
    fn python(&self, words: &[String]) -> Words {
        let [name, arguments @ ..] = words else { return Ok(vec![]) };
        let file = arguments.first().ok_or(format!("`{name}` alone has no program: name its file"))?;
        match below(file).filter(|path| !path.is_empty()) {
            Some(path) if self.release.at(&path).is_none() => {
                Err(format!("`{name} {}`: {}", clipped(file), missing(file)))
            }
            _ => Ok(words.to_vec()),
        }
    }

    /// A program that a package of Python has brought: what `python -m` runs, or the script that pip has written.
    fn of_python_package(&self, words: &[String]) -> Option<Words> {
        let [name, arguments @ ..] = words else { return None };
        let module = below(name)?;
        if python::has(self.release, &format!("{module}/__main__.py")) {
            let run = ["python", "-m", name].map(str::to_owned);
            return Some(Ok(run.into_iter().chain(arguments.iter().cloned()).collect()));
        }
        let scripts = python::PACKAGES.iter().map(|folder| format!("{folder}/bin/{module}"));
        scripts.into_iter().find_map(|file| match self.release.at(&file)? {
            Thing::File(Some(Head::Script(interpreter))) => Some(scripted(&interpreter, &file, arguments)),
            _ => None,
        })
    }

    /// A program of the release, by its path.
    fn at_path(&self, words: &[String]) -> Words {
        let [file, arguments @ ..] = words else { return Ok(vec![]) };
        let Some(path) = below(file) else { return Ok(words.to_vec()) };
        match self.release.at(&path) {
            None => Err(missing(file)),
            Some(Thing::Folder) => Err(format!("{} is a folder", clipped(file))),
            Some(Thing::File(Some(Head::Script(interpreter)))) => scripted(&interpreter, file, arguments),
            Some(Thing::File(_)) => Ok(words.to_vec()),
        }
    }

    /// A program that a package has brought, if there is one by this name.
    fn of_package(&self, words: &[String]) -> Option<Words> {
        let [name, arguments @ ..] = words else { return None };
        let file = format!("{BIN}/{name}");
        let Thing::File(head) = self.release.at(&below(&file)?)? else { return None };
        Some(match head {
            Some(Head::Script(interpreter)) => scripted(&interpreter, &file, arguments),
            Some(Head::Machine(_)) => Ok([file].into_iter().chain(arguments.iter().cloned()).collect()),
            None => Err(format!("the first line of {} does not say what runs it", clipped(&file))),
        })
    }
}

/// `python`, `python3`, `python3.12`.
fn is_python(name: &str) -> bool {
    name.strip_prefix("python").is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// Whether Node.js would find a program by this name. What is not looked for is believed.
pub(super) fn node_finds(file: &str, release: &impl Release) -> bool {
    let Some(path) = below(file) else { return true };
    let endings = ["", ".js", ".mjs", ".cjs", ".json", ".node"];
    path.is_empty() || endings.iter().any(|ending| release.at(&format!("{path}{ending}")).is_some())
}

/// A path as it is below the release; none for options, and for what leads elsewhere.
fn below(file: &str) -> Option<String> {
    let file = file.strip_prefix("/app/").unwrap_or(file);
    if file.starts_with(['-', '/']) || file.contains('$') || file.split('/').any(|part| part == "..") {
        return None;
    }
    Some(file.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/"))
}

/// A file that names its interpreter: the runtime may have that elsewhere than where its first line says.
fn scripted(interpreter: &[String], file: &str, arguments: &[String]) -> Words {
    match interpreter.first() {
        Some(name) if SHELLS.contains(&name.as_str()) => {
            Err(format!("{} is a script for {name}, and slots have no shell", clipped(file)))
        }
        _ => Ok([interpreter, &[file.to_owned()], arguments].concat()),
    }
}

fn missing(file: &str) -> String {
    let file = clipped(file);
    format!("{file} is not in the release; is it built, and not left out by .gitignore or .kennelignore?")
}

fn clipped(text: &str) -> String {
    text.chars().take(200).collect()
}
