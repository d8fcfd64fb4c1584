//! The lines of gitremote-helpers(7): what git asks and how it is answered. What the answers are, others know. Names of refs
//! need not be UTF-8; those that are not are nothing that could be deployed.

use std::io::{BufRead, Write};

use super::GitError;

/// What git asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// What is understood here.
    Capabilities,
    /// The refs that there are.
    List,
    /// How things are to be done.
    Option(String, String),
    /// These refs are to be changed, in this order.
    Push(Vec<Push>),
    /// Objects are wanted.
    Fetch,
    /// Nothing any more.
    End,
}

/// One ref that is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// What it is to be, as the repository knows it; nothing if it is to go.
    pub source: Option<String>,
    /// Its name on the host.
    pub name: String,
}

impl Push {
    /// From what follows `push `. Names of refs have no colon; what comes before may.
    fn of(text: &str) -> Option<Self> {
        let (source, name) = text.strip_prefix('+').unwrap_or(text).rsplit_once(':')?;
        let source = (!source.is_empty()).then(|| source.to_owned());
        Some(Self { source, name: name.to_owned() })
    }
}

/// Both ends of the pipe to git.
#[derive(Debug)]
pub struct Talk<R, W> {
    asks: R,
    answers: W,
}

impl<R: BufRead, W: Write> Talk<R, W> {
    /// Over these.
    pub const fn new(asks: R, answers: W) -> Self {
        Self { asks, answers }
    }

    /// What git asks next.
    ///
    /// # Errors
    /// The pipe broke, or it is nothing that is known here.
    pub fn ask(&mut self) -> Result<Ask, GitError> {
        let line = self.line()?;
        let unknown = |line: &str| GitError::Unknown(line.chars().take(80).collect());
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "" => Ok(Ask::End),
            "capabilities" => Ok(Ask::Capabilities),
            "list" => Ok(Ask::List),
            "fetch" => Ok(Ask::Fetch),
            "option" => {
                let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
                Ok(Ask::Option(name.to_owned(), value.to_owned()))
            }
            "push" => {
                let mut all = vec![Push::of(rest).ok_or_else(|| unknown(&line))?];
                loop {
                    let more = self.line()?;
                    if more.is_empty() {
                        return Ok(Ask::Push(all));
                    }
                    all.push(more.strip_prefix("push ").and_then(Push::of).ok_or_else(|| unknown(&more))?);
                }
            }
            _ => Err(unknown(&line)),
        }
    }

    /// Answers with these lines, and the empty one after them.
    ///
    /// # Errors
    /// The pipe broke.
    pub fn lines(&mut self, lines: &[String]) -> Result<(), GitError> {
        let mut text = lines.join("\n");
        text.push_str(if lines.is_empty() { "\n" } else { "\n\n" });
        self.write(&text)
    }

    /// Answers with one line alone.
    ///
    /// # Errors
    /// The pipe broke.
    pub fn word(&mut self, word: &str) -> Result<(), GitError> {
        self.write(&format!("{word}\n"))
    }

    fn write(&mut self, text: &str) -> Result<(), GitError> {
        self.answers.write_all(text.as_bytes()).and_then(|()| self.answers.flush()).map_err(GitError::Pipe)
    }

    /// The next line; an empty one at the end.
    fn line(&mut self) -> Result<String, GitError> {
        let mut line = Vec::new();
        self.asks.read_until(b'\n', &mut line).map_err(GitError::Pipe)?;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        String::from_utf8(line)
            .map_err(|e| GitError::Unknown(String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_asks_is_understood() {
        let asks = "capabilities\noption verbosity 1\nlist for-push\npush refs/heads/main:refs/heads/main\n\
                    push +:/a: b:refs/heads/x\npush :refs/heads/old\n\nfetch 12 refs/heads/main\n\n";
        let mut talk = Talk::new(asks.as_bytes(), Vec::new());
        let push = |source: Option<&str>, name: &str| Push {
            source: source.map(str::to_owned),
            name: name.to_owned(),
        };
        for expected in [
            Ask::Capabilities,
            Ask::Option("verbosity".into(), "1".into()),
            Ask::List,
            Ask::Push(vec![
                push(Some("refs/heads/main"), "refs/heads/main"),
                push(Some(":/a: b"), "refs/heads/x"),
                push(None, "refs/heads/old"),
            ]),
            Ask::Fetch,
            Ask::End,
            Ask::End,
        ] {
            assert_eq!(talk.ask().unwrap(), expected);
        }
        talk.lines(&["a".into(), "b".into()]).unwrap();
        talk.lines(&[]).unwrap();
        talk.word("ok").unwrap();
        assert_eq!(talk.answers, b"a\nb\n\n\nok\n");
        for bad in ["push main\n\n", "push a:b\nlist\n", "stateless-connect x\n", "\u{e9}\n"] {
            assert!(Talk::new(bad.as_bytes(), Vec::new()).ask().is_err(), "{bad}");
        }
        assert!(Talk::new(&b"push \xff:\xff\n\n"[..], Vec::new()).ask().is_err());
    }
}
