//! What a release holds, as its host tells it and as it is changed: names, whether files may be executed, and digests. So that a
//! deploy sends what has changed and no more. Both sides hash for themselves; here is only what is hashed and how it is written.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The media type of a listing.
pub const LISTING: &str = "application/vnd.kennel.listing";
/// The media type of a release that is told by what has changed: [`Changes`], and a tar stream of what has come.
pub const CHANGES: &str = "application/vnd.kennel.changes";
/// No listing is longer.
pub const MAX_LISTING_BYTES: usize = 16 << 20;
/// No [`Changes`] are longer.
pub const MAX_CHANGES_BYTES: usize = 8 << 20;
/// So much of a digest is told of each file. It is a hint of what need not be sent: what results is held against a whole digest.
pub const SHORT: usize = 8;

/// Deepest nesting of folders that is read.
const MAX_DEPTH: usize = 64;
/// Bytes of all paths together that are read: a short listing could nest its way to many.
const MAX_PATHS_BYTES: usize = 64 << 20;

/// What is in a release, by SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing<D> {
    /// A folder.
    Folder,
    /// A file, by its content.
    File {
        /// Whether it may be executed.
        executable: bool,
        /// Of its content.
        digest: D,
    },
    /// A symbolic link, by its target's bytes.
    Link(D),
}

/// A SHA-256.
pub type Digest = [u8; 32];

/// The digest of a whole release: of the records of all that is in it, folder by folder, names in the order of their bytes and
/// each folder before what is in it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sum(pub Digest);

/// How a release comes to be from an earlier one. What is in neither list and not in the archive is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// What results.
    pub sum: Sum,
    /// Paths that it does not have; a folder's with all that is in it.
    pub gone: Vec<String>,
    /// Files that are as others were, perhaps of another name.
    pub moved: Vec<Moved>,
}

/// A file that is as one was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Its path in the earlier release.
    pub from: String,
    /// Its path now.
    pub to: String,
}

/// A release as its host tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// All that is in it, each folder before what is in it.
    pub things: Vec<(String, Thing<[u8; SHORT]>)>,
    /// Of all of it.
    pub sum: Sum,
}

/// A listing that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadListing {
    /// It breaks off, or does not follow the form.
    #[error("the listing makes no sense at byte {0}")]
    Malformed(usize),
    /// The release could not be read to its end.
    #[error("the release cannot be read: {0}")]
    Failed(String),
}

impl Thing<Digest> {
    /// Adds what is hashed of it, with its path in the release.
    pub fn record(&self, path: &str, out: &mut Vec<u8>) {
        let length = u32::try_from(path.len()).unwrap_or(u32::MAX);
        out.push(self.letter());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(path.as_bytes());
        match self {
            Self::Folder => {}
            Self::File { digest, .. } | Self::Link(digest) => out.extend_from_slice(digest),
        }
    }

    /// As it stands in a listing.
    pub fn short(&self) -> Thing<[u8; SHORT]> {
        let cut = |digest: &Digest| std::array::from_fn(|at| digest[at]);
        match self {
            Self::Folder => Thing::Folder,
            Self::File { executable, digest } => Thing::File { executable: *executable, digest: cut(digest) },
            Self::Link(digest) => Thing::Link(cut(digest)),
        }
    }
}

impl<D> Thing<D> {
    const fn letter(&self) -> u8 {
        match self {
            Self::Folder => b'd',
            Self::File { executable: false, .. } => b'f',
            Self::File { executable: true, .. } => b'x',
            Self::Link(_) => b'l',
        }
    }
}

impl Thing<[u8; SHORT]> {
    /// Adds its place in a listing: by its name in the folder that was begun last. A folder is begun with it.
    pub fn write(&self, name: &str, out: &mut Vec<u8>) {
        out.push(self.letter());
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        match self {
            Self::Folder => {}
            Self::File { digest, .. } | Self::Link(digest) => out.extend_from_slice(digest),
        }
    }
}

impl Listing {
    /// The folder that was begun last is over.
    pub fn write_leave(out: &mut Vec<u8>) {
        out.push(b'u');
    }

    /// The end of a listing.
    pub fn write_end(sum: &Sum, out: &mut Vec<u8>) {
        out.push(b'e');
        out.extend_from_slice(&sum.0);
    }

    /// The end of one that could not be finished.
    pub fn write_failure(reason: &str, out: &mut Vec<u8>) {
        out.push(b'!');
        out.extend_from_slice(reason.as_bytes());
    }

    /// Reads a whole listing.
    ///
    /// # Errors
    /// [`BadListing`].
    pub fn read(bytes: &[u8]) -> Result<Self, BadListing> {
        let mut rest = Rest { bytes, at: 0 };
        let mut things = Vec::new();
        // The lengths of the paths of the folders that are open.
        let (mut path, mut open, mut paths_bytes) = (String::new(), Vec::new(), 0);
        loop {
            let letter = rest.take::<1>()?[0];
            match letter {
                b'd' | b'f' | b'x' | b'l' => {
                    let name = rest.name()?;
                    paths_bytes += path.len() + name.len();
                    if paths_bytes > MAX_PATHS_BYTES {
                        return Err(rest.malformed());
                    }
                    let inside = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                    let thing = match letter {
                        b'd' => Thing::Folder,
                        b'l' => Thing::Link(rest.take()?),
                        _ => Thing::File { executable: letter == b'x', digest: rest.take()? },
                    };
                    if thing == Thing::Folder {
                        open.push(path.len());
                        path.clone_from(&inside);
                    }
                    if open.len() > MAX_DEPTH {
                        return Err(rest.malformed());
                    }
                    things.push((inside, thing));
                }
                b'u' => path.truncate(open.pop().ok_or_else(|| rest.malformed())?),
                b'e' if open.is_empty() => {
                    let sum = Sum(rest.take()?);
                    return if rest.at == bytes.len() {
                        Ok(Self { things, sum })
                    } else {
                        Err(rest.malformed())
                    };
                }
                b'!' => return Err(BadListing::Failed(rest.reason())),
                _ => return Err(rest.malformed()),
            }
        }
    }
}

/// What is not read yet.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn left(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn malformed(&self) -> BadListing {
        BadListing::Malformed(self.at)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadListing> {
        let taken = self.left().first_chunk().copied().ok_or_else(|| self.malformed())?;
        self.at += N;
        Ok(taken)
    }

    fn name(&mut self) -> Result<&'a str, BadListing> {
        let end = self.left().iter().position(|byte| *byte == 0).ok_or_else(|| self.malformed())?;
        let name = std::str::from_utf8(&self.left()[..end]).map_err(|_| self.malformed())?;
        if matches!(name, "" | "." | "..") || name.contains('/') {
            return Err(self.malformed());
        }
        self.at += end + 1;
        Ok(name)
    }

    fn reason(&self) -> String {
        let words = String::from_utf8_lossy(self.left());
        words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect()
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Sum> for String {
    fn from(sum: Sum) -> Self {
        sum.to_string()
    }
}

/// Not 64 small hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a sum is 64 hexadecimal digits")]
pub struct InvalidSum;

impl TryFrom<String> for Sum {
    type Error = InvalidSum;

    fn try_from(text: String) -> Result<Self, InvalidSum> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(InvalidSum),
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(InvalidSum) };
        let bytes = pairs.iter().map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?));
        let bytes = bytes.collect::<Result<Vec<_>, InvalidSum>>()?;
        bytes.try_into().map(Self).map_err(|_| InvalidSum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listing() -> Vec<u8> {
        let mut out = Vec::new();
        let file = |executable| Thing::File { executable, digest: [7; SHORT] };
        Thing::Folder.write("a", &mut out);
        Thing::Folder.write("b", &mut out);
        file(true).write("run", &mut out);
        Listing::write_leave(&mut out);
        Thing::Link([8; SHORT]).write("l", &mut out);
        Listing::write_leave(&mut out);
        file(false).write("z", &mut out);
        Listing::write_end(&Sum([9; 32]), &mut out);
        out
    }

    #[test]
    fn a_listing_comes_back_with_whole_paths() {
        let file = |executable| Thing::File { executable, digest: [7; SHORT] };
        let things = [
            ("a", Thing::Folder),
            ("a/b", Thing::Folder),
            ("a/b/run", file(true)),
            ("a/l", Thing::Link([8; SHORT])),
            ("z", file(false)),
        ];
        let things = things.map(|(path, thing)| (path.to_owned(), thing)).into();
        assert_eq!(Listing::read(&listing()), Ok(Listing { things, sum: Sum([9; 32]) }));
    }

    #[test]
    fn what_is_cut_off_or_leads_elsewhere_is_no_listing() {
        let whole = listing();
        for cut in 0..whole.len() {
            assert!(matches!(Listing::read(&whole[..cut]), Err(BadListing::Malformed(_))), "{cut}");
        }
        for name in ["", ".", "..", "a/b", "/etc"] {
            let mut out = Vec::new();
            Thing::Folder.write(name, &mut out);
            Listing::write_leave(&mut out);
            Listing::write_end(&Sum([0; 32]), &mut out);
            assert!(matches!(Listing::read(&out), Err(BadListing::Malformed(_))), "{name}");
        }
        let mut failed = Vec::new();
        Thing::Folder.write("a", &mut failed);
        Listing::write_failure("cannot read \"a/b\"\n", &mut failed);
        assert_eq!(Listing::read(&failed), Err(BadListing::Failed("cannot read \"a/b\" ".into())));
        let wide = [b"d".as_slice(), &[b'a'; 1 << 20], b"\0", &b"fb\x0012345678".repeat(64)].concat();
        assert!(matches!(Listing::read(&wide), Err(BadListing::Malformed(_))));
        let deep = b"da\0".repeat(MAX_DEPTH + 1);
        assert!(matches!(Listing::read(&deep), Err(BadListing::Malformed(_))));
        assert!(matches!(Listing::read(&[whole, vec![0]].concat()), Err(BadListing::Malformed(_))));
    }

    #[test]
    fn a_sum_is_written_in_hexadecimal() {
        let sum = Sum(std::array::from_fn(|at| at as u8 * 8));
        let text = serde_json::to_string(&sum).unwrap();
        assert!(text.starts_with("\"0008101820"), "{text}");
        assert_eq!(serde_json::from_str::<Sum>(&text).unwrap(), sum);
        for bad in ["", "00", "0g", &"0".repeat(63), &"0".repeat(66), &"A".repeat(64), &"é".repeat(32)] {
            assert_eq!(Sum::try_from(bad.to_owned()), Err(InvalidSum), "{bad}");
        }
    }

    #[test]
    fn records_of_different_releases_differ() {
        let records = |things: &[(&str, Thing<Digest>)]| {
            let mut out = Vec::new();
            things.iter().for_each(|(path, thing)| thing.record(path, &mut out));
            out
        };
        let file = |executable| Thing::File { executable, digest: [1; 32] };
        let all = [
            records(&[("a", Thing::Folder)]),
            records(&[("a", file(false))]),
            records(&[("a", file(true))]),
            records(&[("a", Thing::Link([1; 32]))]),
            records(&[("a", Thing::Folder), ("b", Thing::Folder)]),
            records(&[("a", Thing::Folder), ("a/b", Thing::Folder)]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| one != other), "{at}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Listing::read(&bytes);
        }
    }
}
