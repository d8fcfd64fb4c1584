//! The few pax records that matter to a release. Records are read by their length: their values may hold any byte.

use crate::error::Fault;

/// What a pax header says about the entry after it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) sparse: bool,
}

impl Pax {
    /// Reads the records of one header; times, owners and extended attributes are passed over.
    /// `None` when they are malformed.
    pub(crate) fn parse(mut data: &[u8]) -> Option<Self> {
        let mut pax = Self::default();
        while !data.is_empty() {
            let (key, value, rest) = record(data)?;
            match key {
                b"path" => pax.path = Some(value.to_vec()),
                b"linkpath" => pax.link = Some(value.to_vec()),
                b"size" => pax.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                _ if key.starts_with(b"GNU.sparse.") => pax.sparse = true,
                _ => {}
            }
            data = rest;
        }
        Some(pax)
    }

    /// A pax header for all entries to come may only carry what is passed over (git writes a comment there).
    pub(crate) fn says_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The size belongs in the entry's own header, where it was read already.
    pub(crate) fn check(&self, size: u64) -> Result<(), Fault> {
        if self.sparse {
            return Err(Fault::Sparse);
        }
        match self.size {
            Some(other) if other != size => Err(Fault::SizeMismatch),
            _ => Ok(()),
        }
    }
}

/// Splits `"<length> <key>=<value>\n"` off, where the length counts the whole record.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(8).position(|b| *b == b' ')?;
    let digits = &data[..space];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if length <= space + 1 || length > data.len() {
        return None;
    }
    let (record, rest) = data.split_at(length);
    let body = record[space + 1..].strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=')?;
    Some((&body[..equals], &body[equals + 1..], rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_are_read_by_length() {
        let pax = Pax::parse(b"14 comment=a\nb\n12 path=a/b\n\n9 size=7\n").unwrap_or_default();
        // The second record claims a newline as part of its value, which a reader by lines would miss.
        assert_eq!(pax, Pax::default(), "the first length is off by one, so nothing is believed");
        let pax = Pax::parse(b"15 comment=a\nb\n12 path=a/b\n9 size=7\n").unwrap();
        assert_eq!((pax.path.as_deref(), pax.size), (Some(&b"a/b"[..]), Some(7)));
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in
            [&b"x"[..], b"99 path=a\n", b"3 a", b" path=a\n", b"12 path:a/b\n", b"11 path=a/bX", b"0 a=b\n"]
        {
            assert_eq!(Pax::parse(bad), None, "{bad:?}");
        }
        assert!(Pax::parse(b"22 GNU.sparse.major=1\n").unwrap().sparse);
    }

    #[test]
    fn a_size_must_repeat_the_header() {
        let pax = Pax::parse(b"9 size=7\n").unwrap();
        assert_eq!((pax.check(7), pax.check(8)), (Ok(()), Err(Fault::SizeMismatch)));
        assert!(!pax.says_nothing());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pax::parse(&data);
        }
    }
}
