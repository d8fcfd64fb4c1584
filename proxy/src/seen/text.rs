//! What strangers send, as text that does no harm wherever it is written: printable ASCII, and bounded.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Ends what was cut.
const CUT: &str = "…";

/// The bytes as they are, if all are printable and there are no more than `bound`. Other bytes are written `\xNN`, and so
/// is a backslash, so that nobody can write what looks like one of them; what is too long is cut.
pub(crate) fn text(bytes: &[u8], bound: usize) -> Cow<'_, str> {
    if bytes.len() <= bound
        && bytes.iter().all(|b| is_plain(*b))
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bound);
    for byte in bytes {
        let room = bound.saturating_sub(text.len() + CUT.len());
        match (is_plain(*byte), room) {
            (true, 1..) => text.push(char::from(*byte)),
            // Writing to a string does not fail.
            (false, 4..) => _ = write!(text, "\\x{byte:02X}"),
            _ => {
                text.push_str(CUT);
                break;
            }
        }
    }
    Cow::Owned(text)
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_is_not_copied() {
        assert!(matches!(text(b"/a?b=%20\"<>", 64), Cow::Borrowed("/a?b=%20\"<>")));
        assert!(matches!(text(b"", 64), Cow::Borrowed("")));
        assert!(matches!(text(b"12345678", 8), Cow::Borrowed("12345678")));
    }

    #[test]
    fn what_is_not_is_escaped_and_cannot_be_forged() {
        assert_eq!(text(b"a\tb\x1b[31m\r\n", 64), "a\\x09b\\x1B[31m\\x0D\\x0A");
        assert_eq!(text("grün".as_bytes(), 64), "gr\\xC3\\xBCn");
        assert_eq!(text(b"\\x0A", 64), "\\x5Cx0A");
    }

    #[test]
    fn what_is_long_is_cut_between_its_parts() {
        assert_eq!(text(b"123456789", 8), "12345…");
        assert_eq!(text(b"1234\n\n\n", 12), "1234\\x0A…");
        for bound in 3..40 {
            let cut = text(&[7; 100], bound);
            assert!(cut.len() <= bound && cut.ends_with(CUT), "{bound}: {cut}");
            assert_eq!((cut.len() - CUT.len()) % 4, 0);
        }
    }
}
