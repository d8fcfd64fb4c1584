//! What a runtime's interpreter is, and which programs' names mean it.

use kennel_model::layout::RuntimeFacts;

/// What serves sites of PHP, as `kennel-unpack` names it, and what runs other programs of that language.
const SITE_SERVER: &str = "kennel-php";
const PHP: &str = "php";

/// The program that a runtime runs others with: its name, and where it is.
pub(super) fn interpreter(runtime: &RuntimeFacts) -> Option<(&str, &str)> {
    match runtime.default_command.as_slice() {
        [path, _, ..] => Some((path.rsplit('/').next().unwrap_or(path), path)),
        _ => None,
    }
}

/// What a runtime's interpreter understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Node,
    Python,
    Php,
}

pub(super) fn language(runtime: &RuntimeFacts) -> Option<Language> {
    interpreter(runtime).and_then(|(name, _)| language_of(name))
}

/// By the name of an interpreter. Which version of it is named does not matter: the script that pip writes for a program names
/// the one that pip was run by.
fn language_of(program: &str) -> Option<Language> {
    let is_version = |rest: &str| rest.is_empty() || rest.strip_prefix('3').is_some_and(is_minor);
    match program {
        "node" | "nodejs" => Some(Language::Node),
        SITE_SERVER => Some(Language::Php),
        _ if program.strip_prefix(PHP).is_some_and(is_number) => Some(Language::Php),
        _ => program.strip_prefix("python").filter(|rest| is_version(rest)).map(|_| Language::Python),
    }
}

/// Where the runtime has what runs a program of this name: its interpreter, whichever version is named; of PHP that is another program
/// than the one that serves sites.
pub(super) fn of_runtime(runtime: &RuntimeFacts, program: &str) -> String {
    let Some((_, path)) = interpreter(runtime) else { return program.to_owned() };
    match path.rsplit_once('/') {
        Some((folder, SITE_SERVER)) if program != SITE_SERVER => format!("{folder}/{PHP}"),
        _ => path.to_owned(),
    }
}

/// `8`, `8.4`, or nothing.
fn is_number(rest: &str) -> bool {
    rest.chars().all(|c| c.is_ascii_digit() || c == '.')
}

fn is_minor(rest: &str) -> bool {
    rest.is_empty() || rest.strip_prefix('.').is_some_and(|minor| minor.chars().all(|c| c.is_ascii_digit()))
}

/// Whether a program of this name is the runtime's interpreter.
pub(super) fn runs(runtime: &RuntimeFacts, program: &str) -> bool {
    let own = language(runtime);
    interpreter(runtime).is_some_and(|(name, _)| name == program)
        || (own.is_some() && own == language_of(program))
}

pub(super) fn is_node(runtime: &RuntimeFacts) -> bool {
    language(runtime) == Some(Language::Node)
}
