//! Commands as people write them, in words as they are executed. Slots have no shell: what would need one is named and
//! refused. Which program a command means, and who may say it, is decided elsewhere.

use crate::launch::{InvalidLaunch, MAX_ARGV_BYTES};

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPlain {
    /// No word in it.
    #[error("there is no program in it")]
    Empty,
    /// A quotation that does not end.
    #[error("a quotation mark is not closed")]
    Quote,
    /// Pipes, lists, redirections, patterns, substitutions.
    #[error("{0:?} is for a shell, and slots have none: name one program with its arguments")]
    Shell(String),
    /// A variable other than `PORT`.
    #[error(
        "${0} is for a shell, and slots have none: $PORT alone is replaced; a program finds the others in its environment"
    )]
    Variable(String),
    /// `NAME=value` before the program.
    #[error("\"{0}=\" before the program is for a shell, and slots have none: `kennel env set` sets it")]
    Assignment(String),
}

/// The words of a line, by the rules of a POSIX shell. What is set by the host anyway (`NODE_ENV=production` before the
/// program) and `exec` are left out.
///
/// # Errors
/// [`NotPlain`] names what would need a shell.
pub fn split(line: &str) -> Result<Vec<String>, NotPlain> {
    let line = line.trim();
    needs_no_shell(line)?;
    let mut words = shell_words::split(line).map_err(|_| NotPlain::Quote)?;
    while let Some(first) = words.first() {
        match first.split_once('=') {
            _ if first == "exec" || first == "NODE_ENV=production" => {}
            Some((name, _)) if is_name(name) => return Err(NotPlain::Assignment(name.to_owned())),
            _ => return Ok(words),
        }
        words.remove(0);
    }
    Err(NotPlain::Empty)
}

/// The words with the port in the place of `$PORT`, `${PORT}` and `${PORT:-…}`.
pub fn with_port(words: &[String], port: u16) -> Vec<String> {
    let port = port.to_string();
    let put = |word: &String| {
        let (mut out, mut rest) = (String::with_capacity(word.len()), word.as_str());
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let used = port_at(from);
            out.push_str(if used.is_some() { &port } else { "$" });
            rest = &from[used.unwrap_or(1)..];
        }
        out + rest
    };
    words.iter().map(put).collect()
}

/// Checks a command before it is kept.
///
/// # Errors
/// [`InvalidLaunch`] names the first thing found wrong.
pub fn check(words: &[String]) -> Result<(), InvalidLaunch> {
    if words.first().is_some_and(String::is_empty) {
        return Err(InvalidLaunch::NoCommand);
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err(InvalidLaunch::Nul("the command"));
    }
    if words.iter().map(|word| word.len() + 1).sum::<usize>() > MAX_ARGV_BYTES {
        return Err(InvalidLaunch::TooLong("the command", MAX_ARGV_BYTES));
    }
    Ok(())
}

/// Where quotations begin and end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    Single,
    Double,
}

fn needs_no_shell(line: &str) -> Result<(), NotPlain> {
    let mut within = Within::Nothing;
    let mut begins = true;
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        let rest = &line[at..];
        match (within, c) {
            (Within::Single, '\'') | (Within::Double, '"') => within = Within::Nothing,
            (Within::Single, _) => {}
            (_, '\\') => drop(chars.next()),
            (Within::Nothing, '\'') => within = Within::Single,
            (Within::Nothing, '"') => within = Within::Double,
            (_, '`') => return Err(NotPlain::Shell("`".to_owned())),
            (_, '$') => variable(rest)?,
            (Within::Double, _) => {}
            (_, '#') if begins => return Ok(()),
            (_, '~') if begins => return Err(NotPlain::Shell("~".to_owned())),
            (_, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | '\n') => {
                let same = rest.chars().take_while(|other| *other == c).take(2).collect();
                return Err(NotPlain::Shell(same));
            }
            _ => {}
        }
        begins = within == Within::Nothing && c.is_whitespace();
    }
    Ok(())
}

/// What a `$` begins.
fn variable(rest: &str) -> Result<(), NotPlain> {
    if port_at(rest).is_some() {
        return Ok(());
    }
    let name = rest[1..].strip_prefix('{').unwrap_or(&rest[1..]);
    let name: String = name.chars().take_while(|c| is_name_part(*c)).take(64).collect();
    match (name.is_empty(), rest[1..].chars().next()) {
        (false, _) => Err(NotPlain::Variable(name)),
        (true, Some(c)) if "({@*#?!$-'".contains(c) => Err(NotPlain::Shell(format!("${c}"))),
        (true, _) => Ok(()),
    }
}

/// How long the word for the port is with which a text begins.
fn port_at(text: &str) -> Option<usize> {
    if let Some(after) = text.strip_prefix("$PORT") {
        return (!after.starts_with(is_name_part)).then_some("$PORT".len());
    }
    let after = text.strip_prefix("${PORT")?;
    let default = after.strip_prefix(":-").unwrap_or(after);
    let plain = default.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    // Without the two signs nothing may stand between the name and its end.
    let end = plain.strip_prefix('}').filter(|_| after.starts_with(":-") || after.starts_with('}'))?;
    Some(text.len() - end.len())
}

fn is_name_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_name_part) && !text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_commands_are_split_as_a_shell_would() {
        for (line, words) in [
            ("node server.js", &["node", "server.js"][..]),
            (
                "  node --max-old-space-size=200 'my app.js' ",
                &["node", "--max-old-space-size=200", "my app.js"],
            ),
            ("gunicorn \"app:create_app()\" -b :$PORT", &["gunicorn", "app:create_app()", "-b", ":$PORT"]),
            ("./server --port ${PORT:-3000} # ours", &["./server", "--port", "${PORT:-3000}"]),
            ("NODE_ENV=production exec node a.js", &["node", "a.js"]),
            (r"node a\ b.js a\;b '$HOME' '*'", &["node", "a b.js", "a;b", "$HOME", "*"]),
            ("node a#b x=y", &["node", "a#b", "x=y"]),
            ("cost 5$", &["cost", "5$"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_named() {
        let shell = |sign: &str| NotPlain::Shell(sign.to_owned());
        for (line, fault) in [
            ("", NotPlain::Empty),
            ("# nothing", NotPlain::Empty),
            ("exec", NotPlain::Empty),
            ("node 'a", NotPlain::Quote),
            ("npm run build && node a.js", shell("&&")),
            ("node a.js | tee log", shell("|")),
            ("node a.js;b", shell(";")),
            ("node a.js 2>&1", shell(">")),
            ("node a.js &", shell("&")),
            ("node dist/*.js", shell("*")),
            ("node ~/a.js", shell("~")),
            ("node a.js `id`", shell("`")),
            ("node \"`id`\"", shell("`")),
            ("node $(id)", shell("$(")),
            ("a\nb", shell("\n")),
            ("node $HOME/a.js", NotPlain::Variable("HOME".into())),
            ("node \"${HOST}\"", NotPlain::Variable("HOST".into())),
            ("node $PORTS", NotPlain::Variable("PORTS".into())),
            ("node ${PORT:=1}", NotPlain::Variable("PORT".into())),
            ("node ${PORT3000}", NotPlain::Variable("PORT3000".into())),
            ("A=1 node a.js", NotPlain::Assignment("A".into())),
            ("NODE_ENV=test node a.js", NotPlain::Assignment("NODE_ENV".into())),
        ] {
            assert_eq!(split(line).unwrap_err(), fault, "{line}");
        }
    }

    #[test]
    fn the_port_is_put_in_wherever_it_stands() {
        let words = ["-p=$PORT", "${PORT}0", "${PORT:-80}:$PORT", "$PORTS", "$", "${PORT", "5$ $PORT"];
        let put = with_port(&words.map(str::to_owned), 7001);
        assert_eq!(put, ["-p=7001", "70010", "7001:7001", "$PORTS", "$", "${PORT", "5$ 7001"]);
    }

    #[test]
    fn commands_are_bounded() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(check(&words(&["./server", ""])), Ok(()));
        assert_eq!(check(&words(&[""])), Err(InvalidLaunch::NoCommand));
        assert_eq!(check(&words(&["a", "b\0"])), Err(InvalidLaunch::Nul("the command")));
        let long = "x".repeat(MAX_ARGV_BYTES);
        assert_eq!(check(&words(&[&long])), Err(InvalidLaunch::TooLong("the command", MAX_ARGV_BYTES)));
    }
}
