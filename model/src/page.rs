//! Pages of operators' own that the proxy answers with in the place of its usual ones. HTML with placeholders and no more: no
//! conditions, no loops, nothing of the request, so that there is nothing to be fooled with. Checked when they are set, and
//! again where a table with them is read.
//!
//! | placeholder | stands for |
//! |---|---|
//! | `{{status}}` | the status, such as 503 |
//! | `{{title}}` | a heading of a few words |
//! | `{{text}}` | a sentence or two |
//! | `{{code}}` | the stable word that is in `Kennel-Error` |
//! | `{{request_id}}` | the request's number, as in `X-Request-Id` and in the access log |

use serde::{Deserialize, Serialize};

/// Bytes of a page: a small picture within (`data:`) included.
pub const MAX_PAGE_BYTES: usize = 32 << 10;
/// Bytes of all different pages of a host together, so that they leave room for the routes in the proxy's table.
pub const MAX_PAGES_BYTES: usize = 3 << 20;

/// A page, checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Page(String);

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The status, in digits.
    Status,
    /// The heading.
    Title,
    /// A sentence or two.
    Text,
    /// The stable word.
    Code,
    /// The request's number.
    RequestId,
}

/// A part of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'p> {
    /// As it stands.
    Text(&'p str),
    /// To be filled in.
    Field(Field),
}

/// A text that is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPage {
    /// Nothing, or blanks.
    #[error("the page is empty")]
    Empty,
    /// Over [`MAX_PAGE_BYTES`].
    #[error("the page has {0} bytes; {MAX_PAGE_BYTES} are the most")]
    TooLong(usize),
    /// Not what text has.
    #[error("the page has a control character in line {0}")]
    Control(usize),
    /// A placeholder that is none.
    #[error(
        "{{{{{name}}}}} in line {line} of the page is no placeholder: there are {{{{status}}}}, {{{{title}}}}, {{{{text}}}}, \
         {{{{code}}}} and {{{{request_id}}}}"
    )]
    Unknown {
        /// What stands there.
        name: String,
        /// Where, counted from 1.
        line: usize,
    },
    /// One without an end.
    #[error("the placeholder that begins in line {0} of the page has no }}}}")]
    Open(usize),
}

impl Page {
    /// # Errors
    /// [`BadPage`].
    pub fn new(text: impl Into<String>) -> Result<Self, BadPage> {
        let text = text.into();
        if text.trim().is_empty() {
            return Err(BadPage::Empty);
        }
        if text.len() > MAX_PAGE_BYTES {
            return Err(BadPage::TooLong(text.len()));
        }
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        if let Some(at) = text.find(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(BadPage::Control(line(at)));
        }
        let mut at = 0;
        while let Some(begin) = text[at..].find("{{").map(|found| at + found) {
            let end = text[begin..].find("}}").map(|found| begin + found).ok_or(BadPage::Open(line(begin)))?;
            let name = text[begin + 2..end].trim();
            if Field::of(name).is_none() {
                return Err(BadPage::Unknown { name: name.chars().take(40).collect(), line: line(begin) });
            }
            at = end + 2;
        }
        Ok(Self(text))
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, in their order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut rest = self.0.as_str();
        std::iter::from_fn(move || match rest.find("{{") {
            _ if rest.is_empty() => None,
            Some(0) => {
                let end = rest.find("}}")?;
                let field = Field::of(rest[2..end].trim())?;
                rest = &rest[end + 2..];
                Some(Piece::Field(field))
            }
            found => {
                let (text, behind) = rest.split_at(found.unwrap_or(rest.len()));
                rest = behind;
                Some(Piece::Text(text))
            }
        })
    }
}

impl Field {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "status" => Self::Status,
            "title" => Self::Title,
            "text" => Self::Text,
            "code" => Self::Code,
            "request_id" => Self::RequestId,
            _ => return None,
        })
    }
}

impl TryFrom<String> for Page {
    type Error = BadPage;
    fn try_from(text: String) -> Result<Self, BadPage> {
        Self::new(text)
    }
}

impl From<Page> for String {
    fn from(page: Page) -> Self {
        page.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_is_text_with_known_placeholders() {
        let page = Page::new("<h1>{{ title }}</h1>{{text}}{{status}} a { b } c").unwrap();
        let pieces: Vec<_> = page.pieces().collect();
        assert_eq!(
            pieces,
            [
                Piece::Text("<h1>"),
                Piece::Field(Field::Title),
                Piece::Text("</h1>"),
                Piece::Field(Field::Text),
                Piece::Field(Field::Status),
                Piece::Text(" a { b } c"),
            ]
        );
        for bad in
            ["", " \n", "a\0b", "\u{1b}[1m", "{{", "{{title", "{{host}}", "{{{title}}}", "{{#if x}}{{/if}}"]
        {
            assert!(Page::new(bad).is_err(), "{bad:?}");
        }
        assert!(Page::new("x".repeat(MAX_PAGE_BYTES + 1)).is_err());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let said = |text: &str| Page::new(text).unwrap_err().to_string();
        assert!(
            said("a\n\n{{host}}")
                .starts_with("{{host}} in line 3 of the page is no placeholder: there are {{status}}")
        );
        assert_eq!(said("a\n{{title"), "the placeholder that begins in line 2 of the page has no }}");
        assert_eq!(said("a\u{7}"), "the page has a control character in line 1");
    }

    proptest! {
        #[test]
        fn the_pieces_of_a_page_are_all_of_it(text in "[a{} ]{0,12}(\\{\\{(status|title)\\}\\})?[a{}\n]{0,12}") {
            if let Ok(page) = Page::new(text.clone()) {
                let again: String = page.pieces().map(|piece| match piece {
                    Piece::Text(text) => text.to_owned(),
                    Piece::Field(Field::Status) => "{{status}}".to_owned(),
                    Piece::Field(_) => "{{title}}".to_owned(),
                }).collect();
                prop_assert_eq!(again, text);
            }
        }
    }
}
