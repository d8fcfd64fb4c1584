//! `kennel.toml` and `Procfile`: the files that are there to say how a release is run.

use serde::Deserialize;

/// Longest list of other lines of a Procfile that is looked at.
const MAX_OTHERS: usize = 64;

/// All that the `kennel.toml` of a program may hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KennelToml {
    app: App,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct App {
    command: Vec<String>,
}

/// The command of a program's `kennel.toml`.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn kennel_toml(text: &str) -> Result<Vec<String>, String> {
    let toml: KennelToml = toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("line {line}: {}; it holds `[app]` with `command = [\"node\", \"server.js\"]`", e.message())
    })?;
    match toml.app.command.first().is_some_and(|program| !program.is_empty()) {
        true => Ok(toml.app.command),
        false => Err("the command is empty".to_owned()),
    }
}

/// The lines of a `Procfile`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Procfile {
    /// What answers requests.
    pub(super) web: Option<String>,
    /// The other lines: name and command.
    pub(super) others: Vec<(String, String)>,
}

/// Reads a `Procfile`: lines of `name: command`, empty ones, and comments.
///
/// # Errors
/// A line that is none of these, or a name that comes twice.
pub(super) fn procfile(text: &str) -> Result<Procfile, String> {
    let mut read = Procfile::default();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = at + 1;
        let (name, command) = line.split_once(':').ok_or(format!("line {at} is not `name: command`"))?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = name.trim();
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(format!("line {at} is not `name: command`"));
        }
        match name {
            "web" if read.web.is_some() => return Err(format!("line {at}: web stands there twice")),
            "web" => read.web = Some(command.trim().to_owned()),
            _ if read.others.iter().any(|(other, _)| other == name) => {
                return Err(format!("line {at}: {name} stands there twice"));
            }
            _ if read.others.len() < MAX_OTHERS => {
                read.others.push((name.to_owned(), command.trim().to_owned()));
            }
            _ => {}
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_kennel_toml_has_a_command_and_nothing_else() {
        let read = |text: &str| kennel_toml(text);
        assert_eq!(read("[app]\ncommand = [\"node\", \"a.js\"]").unwrap(), ["node", "a.js"]);
        for (text, why) in [
            ("", "line 1: missing field `app`"),
            ("[app]\n", "missing field `command`"),
            ("[app]\ncommand = []", "the command is empty"),
            ("[app]\ncommand = [\"\"]", "the command is empty"),
            ("[app]\ncommand = \"node a.js\"", "line 2: invalid type: string"),
            ("[app]\ncommand = [\"a\"]\nport = 1", "line 3: unknown field `port`"),
            ("[image]\nslots = 1", "unknown field `image`"),
            ("[app\n", "line 1: "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_procfile_is_lines() {
        let read = procfile("# ours\r\nweb: node a.js -p 1:2\r\n\nworker-2:  node b.js\nrelease: x\n").unwrap();
        let expected = Procfile {
            web: Some("node a.js -p 1:2".into()),
            others: [("worker-2", "node b.js"), ("release", "x")]
                .map(|(name, line)| (name.into(), line.into()))
                .into(),
        };
        assert_eq!(read, expected);
        assert_eq!(procfile("").unwrap(), Procfile::default());
        for (text, why) in [
            ("web: a\nweb: b", "line 2: web stands there twice"),
            ("a: x\nb: y\na: z", "line 3: a stands there twice"),
            ("node server.js", "line 1 is not"),
            (": x", "line 1 is not"),
            ("\nw b: x", "line 2 is not"),
        ] {
            let error = procfile(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
