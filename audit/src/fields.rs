//! `name=value` words as the audit subsystem writes them. A string of somebody's choice stands in double quotes when it
//! has neither quotes, spaces nor control characters, and in hexadecimal otherwise: so a space always ends a word, and
//! nobody can add a field to a line.

use kennel_model::denial::{MAX_TEXT, MAX_WORD};

/// The words of one line. Of a name that occurs twice the first counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a str);

impl<'a> Fields<'a> {
    /// A value as it stands there.
    pub(crate) fn get(self, name: &str) -> Option<&'a str> {
        self.0.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// A number, an address, …
    pub(crate) fn parse<T: std::str::FromStr>(self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }

    /// A string of somebody's choice, made harmless and cut.
    pub(crate) fn string(self, name: &str) -> Option<String> {
        let value = self.get(name)?;
        Some(match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(plain) => harmless(plain.as_bytes()),
            None => hex(value).map_or_else(|| harmless(value.as_bytes()), |bytes| harmless(&bytes)),
        })
    }
}

/// A short name of the policy's or the kernel's; nothing when it is none.
pub(crate) fn word(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let fits = !text.is_empty() && text.len() <= MAX_WORD && text.bytes().all(plain);
    fits.then(|| text.to_owned())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |b: &u8| char::from(*b).to_digit(16);
    digits.chunks_exact(2).map(|pair| u8::try_from(digit(&pair[0])? << 4 | digit(&pair[1])?).ok()).collect()
}

/// Letters, digits and what else ASCII can show stay; every other byte becomes `\xNN`. At most [`MAX_TEXT`] bytes.
fn harmless(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut buffer = [0; 4];
            match c {
                ' '..='~' => push(&mut out, c.encode_utf8(&mut buffer)),
                c if c.is_alphanumeric() => push(&mut out, c.encode_utf8(&mut buffer)),
                c => c.encode_utf8(&mut buffer).bytes().for_each(|b| push(&mut out, &format!("\\x{b:02x}"))),
            }
        }
        chunk.invalid().iter().for_each(|b| push(&mut out, &format!("\\x{b:02x}")));
        if out.len() >= MAX_TEXT {
            break;
        }
    }
    out
}

fn push(out: &mut String, piece: &str) {
    if out.len() + piece.len() <= MAX_TEXT {
        out.push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_their_whole_name() {
        let fields = Fields("for  pid=12 xpid=13 comm=\"a=b\" dest=80 dest=81");
        assert_eq!(fields.get("pid"), Some("12"));
        assert_eq!(fields.parse("dest"), Some(80_u16));
        assert_eq!(fields.string("comm").as_deref(), Some("a=b"));
        assert_eq!(fields.get("om"), None);
        assert_eq!(fields.parse::<u16>("comm"), None);
    }

    #[test]
    fn strings_in_hexadecimal_are_read_and_made_harmless() {
        let text = |value: &str| Fields(&format!("comm={value}")).string("comm").unwrap();
        assert_eq!(text("6E6F6465"), "node");
        assert_eq!(text("6120736166652022"), "a safe \"");
        assert_eq!(text("1B5B324A0A"), "\\x1b[2J\\x0a");
        assert_eq!(text("C3A9"), "é");
        assert_eq!(text("E280AE"), "\\xe2\\x80\\xae", "a mark that turns the direction of writing");
        assert_eq!(text("FF41"), "\\xffA");
        assert_eq!(text("<no_memory>"), "<no_memory>");
        assert_eq!(text("ABC"), "ABC");
        assert_eq!(text(""), "");
        assert_eq!(text(&"41".repeat(5000)).len(), MAX_TEXT);
    }

    #[test]
    fn words_are_short_and_plain() {
        assert_eq!(word("tcp_socket").as_deref(), Some("tcp_socket"));
        for bad in ["", "a b", "é", "a-b", &"x".repeat(MAX_WORD + 1)] {
            assert_eq!(word(bad), None);
        }
    }
}
