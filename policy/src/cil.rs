//! A reader of CIL's grammar: lists of words and lists, and comments. What the statements mean is for the modules that
//! ask; `secilc` is the authority on whether they are right.

/// A word or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    /// A name, a number, or a quoted string with its quotes.
    Word(&'a str),
    /// What stands between parentheses.
    List(Vec<Node<'a>>),
}

/// Text that is no CIL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BadCil {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

impl<'a> Node<'a> {
    /// The parts of a list; a word has none.
    pub(crate) fn parts(&self) -> &[Node<'a>] {
        match self {
            Node::Word(_) => &[],
            Node::List(parts) => parts,
        }
    }

    /// The word, if it is one.
    pub(crate) fn word(&self) -> Option<&'a str> {
        match self {
            Node::Word(word) => Some(word),
            Node::List(_) => None,
        }
    }

    /// The words of a list, without the lists in it.
    pub(crate) fn words(&self) -> Vec<&'a str> {
        self.parts().iter().filter_map(Node::word).collect()
    }
}

/// The statements of a source file.
///
/// # Errors
/// [`BadCil`] when parentheses or quotes do not match, or a word stands outside of any.
pub(crate) fn parse(text: &str) -> Result<Vec<Node<'_>>, BadCil> {
    let bad = |rest: &str, problem| BadCil { line: line_of(text, rest), problem };
    // The lists around the place that is being read, and the statements that are complete.
    let (mut open, mut statements): (Vec<Vec<Node<'_>>>, _) = (Vec::new(), Vec::new());
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            ';' => rest.find('\n').unwrap_or(rest.len()),
            '"' => 2 + rest[1..].find('"').ok_or_else(|| bad(rest, "a quote without an end"))?,
            '(' | ')' => 1,
            _ => rest.find(|c: char| c.is_whitespace() || "();\"".contains(c)).unwrap_or(rest.len()),
        };
        match first {
            ';' => {}
            '(' => open.push(Vec::new()),
            ')' => {
                let parts =
                    open.pop().ok_or_else(|| bad(rest, "a closing parenthesis without an opening one"))?;
                open.last_mut().unwrap_or(&mut statements).push(Node::List(parts));
            }
            _ => {
                let list = open.last_mut().ok_or_else(|| bad(rest, "a word outside of parentheses"))?;
                list.push(Node::Word(&rest[..length]));
            }
        }
        rest = rest[length..].trim_start();
    }
    if open.is_empty() {
        Ok(statements)
    } else {
        Err(bad(rest, "an opening parenthesis without a closing one"))
    }
}

fn line_of(text: &str, rest: &str) -> usize {
    1 + text[..text.len() - rest.len()].bytes().filter(|b| *b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read_and_comments_are_not() {
        let text = "; (no)\n(allow a (b \"c d\") ; rest\n (e))(type f)";
        let statements = parse(text).unwrap();
        assert_eq!(statements.len(), 2);
        assert_eq!(statements[0].words(), ["allow", "a"]);
        assert_eq!(statements[0].parts()[2].words(), ["b", "\"c d\""]);
        assert_eq!(statements[1].words(), ["type", "f"]);
    }

    #[test]
    fn what_does_not_match_is_named_with_its_line() {
        assert_eq!(parse("(a\n(b)").unwrap_err().line, 2);
        assert_eq!(parse("\n\n)").unwrap_err().line, 3);
        assert_eq!(parse("\nword").unwrap_err().problem, "a word outside of parentheses");
        assert_eq!(parse("(\"a").unwrap_err().problem, "a quote without an end");
    }
}
