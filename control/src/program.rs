//! Which command starts a release: the tenant's, or the one that the runtime's conventions give for the files at the
//! release's top. No file of the tenant is read here.

use kennel_model::Limits;
use kennel_model::layout::RuntimeFacts;

use crate::error::{Error, Result};
use crate::registry::TenantRow;

/// Where Node programs begin when they have no `server.js`.
const NODE_FALLBACKS: [&str; 3] = ["index.js", "app.js", "main.js"];
/// What a runtime without a default command starts.
const STATIC_PROGRAM: &str = "server";

/// The command for a release with these names at its top.
///
/// # Errors
/// [`Error::NoProgram`] lists what was looked for.
pub(crate) fn command(tenants: &[String], runtime: &RuntimeFacts, top: &[String]) -> Result<Vec<String>> {
    if !tenants.is_empty() {
        return Ok(tenants.to_vec());
    }
    let wanted = candidates(runtime);
    let found = wanted.iter().find(|name| top.contains(name));
    match found {
        Some(name) => Ok(with_program(&runtime.default_command, name)),
        None => Err(Error::NoProgram { runtime: runtime.name.clone(), looked_for: wanted }),
    }
}

/// What starts a release of which all files are answered without it: what would start any other, or nothing.
///
/// # Errors
/// [`Error::NoProgram`] where a program is needed.
pub(crate) fn command_of(row: &TenantRow, runtime: &RuntimeFacts, top: &[String]) -> Result<Vec<String>> {
    match command(&row.command, runtime, top) {
        Err(Error::NoProgram { .. }) if is_whole_site(&row.limits) => Ok(vec![]),
        other => other,
    }
}

/// A release without a program serves nobody once its files are no longer the whole site.
///
/// # Errors
/// [`Error::NoProgram`].
pub(crate) fn still_serves(row: &TenantRow, runtime: &RuntimeFacts, limits: &Limits) -> Result<()> {
    match row.current_release() {
        Some(release) if release.command.is_empty() && !is_whole_site(limits) => {
            Err(Error::NoProgram { runtime: runtime.name.clone(), looked_for: candidates(runtime) })
        }
        _ => Ok(()),
    }
}

fn is_whole_site(limits: &Limits) -> bool {
    limits.static_files.is_some_and(|files| files.is_whole_site())
}

/// Names at the top that the runtime can start, the best first.
fn candidates(runtime: &RuntimeFacts) -> Vec<String> {
    let default = runtime.default_command.last().map_or(STATIC_PROGRAM, String::as_str);
    let mut names = vec![default.trim_start_matches("./").to_owned()];
    if default.ends_with(".js") {
        names.extend(NODE_FALLBACKS.iter().filter(|name| **name != default).map(|name| (*name).to_owned()));
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
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    fn runtime(default: &[&str]) -> RuntimeFacts {
        let name = if default.len() > 1 { "node-24" } else { "static" };
        RuntimeFacts {
            name: name.parse().unwrap(),
            version: String::new(),
            default_command: words(default),
            jit: false,
        }
    }

    fn chosen(default: &[&str], top: &[&str]) -> Result<Vec<String>> {
        command(&[], &runtime(default), &words(top))
    }

    const NODE: &[&str] = &["/usr/bin/node", "server.js"];

    #[test]
    fn node_programs_are_found_by_their_usual_names() {
        for (top, program) in [
            (&["index.js", "server.js"][..], "server.js"),
            (&["main.js", "index.js"], "index.js"),
            (&["lib", "app.js"], "app.js"),
        ] {
            assert_eq!(chosen(NODE, top).unwrap(), words(&["/usr/bin/node", program]));
        }
    }

    #[test]
    fn a_static_release_is_its_server() {
        for default in [&[][..], &["./server"], &["server"]] {
            assert_eq!(chosen(default, &["server", "public"]).unwrap(), words(&["./server"]));
        }
    }

    #[test]
    fn the_tenants_command_wins() {
        let own = words(&["./bin/serve", "--port", "1"]);
        assert_eq!(command(&own, &runtime(NODE), &words(&["server.js"])).unwrap(), own);
    }

    #[test]
    fn nothing_to_start_says_what_was_looked_for() {
        let error = chosen(NODE, &["README.md"]).unwrap_err();
        assert!(
            error.hint().unwrap().starts_with("looked for server.js, index.js, app.js, main.js at the top")
        );
        let error = chosen(&[], &["index.js"]).unwrap_err();
        assert!(error.hint().unwrap().starts_with("looked for server at the top"));
    }
}
