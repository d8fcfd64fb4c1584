//! Variables as people write them: on the command line, and in a file. What goes wrong is told without quoting a value.

use std::collections::BTreeMap;

use kennel_model::EnvName;
use kennel_model::env::EnvValue;

use crate::exit::{Exit, Explain};

/// Why something is no variable, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct BadVariable {
    place: String,
    why: String,
}

impl Explain for BadVariable {
    fn hint(&self) -> Option<String> {
        Some("see `kennel env set --help`".to_owned())
    }

    fn code(&self) -> String {
        "invalid-env".to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// What one `NAME=VALUE` of the command line says.
#[derive(Debug, PartialEq, Eq)]
pub enum Given {
    /// A value.
    Value(EnvName, EnvValue),
    /// Its value is on standard input.
    Input(EnvName),
}

/// Reads the argument of this number, counted from 1.
///
/// # Errors
/// [`BadVariable`].
pub fn argument(number: usize, text: &str) -> Result<Given, BadVariable> {
    let place = || format!("variable {number}");
    let bad = |why: String| BadVariable { place: place(), why };
    let (name, value) = text.split_once('=').ok_or_else(|| bad("it has no `=`".to_owned()))?;
    let name = EnvName::new(name).map_err(|e| bad(e.to_string()))?;
    if value == "-" {
        return Ok(Given::Input(name));
    }
    let value = EnvValue::new(value).map_err(|e| bad(format!("{name}: {e}")))?;
    Ok(Given::Value(name, value))
}

/// Reads a file of variables.
///
/// # Errors
/// [`BadVariable`] names the first line that is none; a name that comes twice is one.
pub fn file(name: &str, text: &str) -> Result<BTreeMap<EnvName, EnvValue>, BadVariable> {
    let mut all = BTreeMap::new();
    for (number, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |why: String| BadVariable { place: format!("{name}, line {}", number + 1), why };
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (key, value) = line.split_once('=').ok_or_else(|| bad("it has no `=`".to_owned()))?;
        let key = EnvName::new(key.trim_end()).map_err(|e| bad(e.to_string()))?;
        let value = unquoted(value.trim_start()).map_err(|why| bad(format!("{key}: {why}")))?;
        let value = EnvValue::new(value).map_err(|e| bad(format!("{key}: {e}")))?;
        if all.insert(key.clone(), value).is_some() {
            return Err(bad(format!("{key} is there twice")));
        }
    }
    Ok(all)
}

/// A value without its quotes. What different programs read differently is refused.
fn unquoted(text: &str) -> Result<String, &'static str> {
    let closed = |quote: char| {
        let inner = text.strip_prefix(quote)?;
        Some(inner.strip_suffix(quote).ok_or("a quote is not closed on its line, or something follows it"))
    };
    if let Some(inner) = closed('\'') {
        let inner = inner?;
        return if inner.contains('\'') {
            Err("a single quote within single quotes")
        } else {
            Ok(inner.to_owned())
        };
    }
    if let Some(inner) = closed('"') {
        return escaped(inner?);
    }
    if text.contains(['\'', '"', '`', '\\']) || text.contains(" #") || text.contains("\t#") {
        return Err("what has quotes, backslashes or ` #` in it needs quotes around it");
    }
    Ok(text.to_owned())
}

/// What stands between double quotes.
fn escaped(inner: &str) -> Result<String, &'static str> {
    let mut out = String::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => return Err("a double quote within double quotes, without a backslash"),
            '\\' => out.push(match rest.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(c @ ('\\' | '"' | '$')) => c,
                _ => return Err("a backslash before something else than n, t, \\, \" or $"),
            }),
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let all = file(".env", text).map_err(|e| e.to_string())?;
        Ok(all.iter().map(|(name, value)| (name.to_string(), value.expose().to_owned())).collect())
    }

    #[test]
    fn a_file_is_read_as_it_stands() {
        let text = "\u{feff}# a comment\n\nexport A=1\r\nB = two words \nC='it''s $HOME #1'\nD=\"x\\ny \\\"z\\\" \\$1 \\\\\"\nE=\nF=a#b=c$d\nG=\"\"\n";
        let error = read(text).unwrap_err();
        assert_eq!(error, ".env, line 5: C: a single quote within single quotes");
        let text = text.replace("it''s", "its");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read(&text).unwrap(),
            [
                pair("A", "1"),
                pair("B", "two words"),
                pair("C", "its $HOME #1"),
                pair("D", "x\ny \"z\" $1 \\"),
                pair("E", ""),
                pair("F", "a#b=c$d"),
                pair("G", ""),
            ]
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused_by_line_and_without_its_value() {
        for (text, why) in [
            ("hunter2", "line 1: it has no `=`"),
            ("A=1\n9B=hunter2", "line 2: variable \"9B\" is not valid"),
            ("A=hunter2 # comment", "line 1: A: what has quotes"),
            ("A='hunter2", "line 1: A: a quote is not closed"),
            ("A=\"hunter2\" x", "line 1: A: a quote is not closed"),
            ("A=hunter\\2", "line 1: A: what has quotes"),
            ("A=\"hunter\\2\"", "line 1: A: a backslash"),
            ("A=\"hunter\\\"", "line 1: A: a backslash"),
            ("A='", "line 1: A: a quote is not closed"),
            ("A=1\nA=hunter2", "line 2: A is there twice"),
            ("A=hunter\u{1b}2", "line 1: A: a value holds a control"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(&format!(".env, {why}")), "{text}: {error}");
            assert!(!error.contains("hunter"), "{error}");
        }
    }

    #[test]
    fn arguments_are_names_and_values_or_the_input() {
        let name: EnvName = "A".parse().unwrap();
        let value = |text: &str| Given::Value(name.clone(), EnvValue::new(text).unwrap());
        assert_eq!(argument(1, "A=b=c").unwrap(), value("b=c"));
        assert_eq!(argument(1, "A=").unwrap(), value(""));
        assert_eq!(argument(1, "A=--").unwrap(), value("--"));
        assert_eq!(argument(1, "A=-").unwrap(), Given::Input(name.clone()));
        for (text, why) in
            [("hunter2", "variable 3: it has no `=`"), ("a b=hunter2", "variable 3: variable \"a b\"")]
        {
            let error = argument(3, text).unwrap_err().to_string();
            assert!(error.starts_with(why) && !error.contains("hunter"), "{error}");
        }
    }
}
