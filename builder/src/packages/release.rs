//! What a suite's signed `InRelease` says: that it is the suite we asked for, that it is fresh, and which digests its
//! package lists have.

use std::time::{Duration, SystemTime};

use deb822_fast::borrowed::{BorrowedParagraph, BorrowedParser};

use crate::digest::Sha256;
use crate::packages::fetch::Wanted;

/// Clocks may differ by this much before a date in the future is suspicious.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 3600);

/// Why a signed index is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It is not a Release file.
    #[error("{of} is malformed: {what}")]
    Malformed {
        /// The index.
        of: String,
        /// What is wrong.
        what: String,
    },
    /// The mirror answered with another suite.
    #[error("{of} is the index of {found:?}, not of {wanted:?}")]
    OtherSuite {
        /// The index.
        of: String,
        /// What it says it is.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// It is past its end.
    #[error("{of} was valid until {until}")]
    Expired {
        /// The index.
        of: String,
        /// Its end.
        until: String,
    },
    /// It is from the future.
    #[error("{of} is dated {date}, which is still to come")]
    FromTheFuture {
        /// The index.
        of: String,
        /// Its date.
        date: String,
    },
    /// It does not list what we need.
    #[error("{of} lists no {file}")]
    NotListed {
        /// The index.
        of: String,
        /// What is missing.
        file: String,
    },
}

impl ReleaseError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "try another mirror",
            Self::OtherSuite { .. } => "check debian.suite and debian.mirror in kennel.toml",
            Self::Expired { .. } => {
                "the mirror is stale, or this computer's clock is wrong; try another mirror"
            }
            Self::FromTheFuture { .. } => "check this computer's clock",
            Self::NotListed { .. } => "check debian.suite and debian.components in kennel.toml",
        }
    }
}

/// A verified and fresh index of one suite.
#[derive(Debug)]
pub(super) struct Release {
    of: String,
    by_hash: bool,
    /// Path below the suite's folder, digest, size.
    files: Vec<(String, Sha256, u64)>,
}

impl Release {
    /// Reads the signed text of `of`, which must be the index of `suite` and valid at `now`.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub(super) fn parse(text: &str, of: &str, suite: &str, now: SystemTime) -> Result<Self, ReleaseError> {
        let malformed = |what: String| ReleaseError::Malformed { of: of.to_owned(), what };
        let paragraphs = BorrowedParser::new(text).parse_all().map_err(|error| malformed(error.to_string()))?;
        let [paragraph] = &paragraphs[..] else { return Err(malformed("it is not one paragraph".into())) };
        let field = |name: &str| paragraph.get_single(name);
        let codename = field("Codename").unwrap_or_default();
        if codename != suite && field("Suite") != Some(suite) {
            return Err(ReleaseError::OtherSuite {
                of: of.to_owned(),
                found: codename.to_owned(),
                wanted: suite.to_owned(),
            });
        }
        check_dates(paragraph, of, now)?;
        let lines = paragraph.get("SHA256").ok_or_else(|| malformed("there is no SHA256 in it".into()))?;
        let files = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| {
            listed(line).ok_or_else(|| malformed(format!("{line:?} is not a digest, a size and a path")))
        });
        Ok(Self {
            of: of.to_owned(),
            by_hash: field("Acquire-By-Hash") == Some("yes"),
            files: files.collect::<Result<_, _>>()?,
        })
    }

    /// How to fetch the package list of a component; `suite_url` is the URL of the suite's folder.
    ///
    /// # Errors
    /// When the component is not in the index.
    pub(super) fn packages_list(&self, component: &str, suite_url: &str) -> Result<Wanted, ReleaseError> {
        let file = format!("{component}/binary-amd64/Packages.xz");
        let (_, sha256, size) = self
            .files
            .iter()
            .find(|(path, ..)| *path == file)
            .ok_or_else(|| ReleaseError::NotListed { of: self.of.clone(), file: file.clone() })?;
        // By hash, the list is right even while the mirror is being updated.
        let path = match self.by_hash {
            true => format!("{component}/binary-amd64/by-hash/SHA256/{sha256}"),
            false => file.clone(),
        };
        let url = format!("{suite_url}/{path}");
        Ok(Wanted { name: format!("{} {file}", self.of), url, size: *size, sha256: *sha256, locked: false })
    }
}

fn check_dates(paragraph: &BorrowedParagraph<'_>, of: &str, now: SystemTime) -> Result<(), ReleaseError> {
    let time = |text: &str| {
        httpdate::parse_http_date(&text.replace(" UTC", " GMT"))
            .map_err(|_| ReleaseError::Malformed { of: of.to_owned(), what: format!("{text:?} is not a date") })
    };
    let date = paragraph.get_single("Date").unwrap_or_default();
    if time(date)? > now + CLOCK_TOLERANCE {
        return Err(ReleaseError::FromTheFuture { of: of.to_owned(), date: date.to_owned() });
    }
    // A stable release's main index has no end; its updates and security do.
    match paragraph.get_single("Valid-Until") {
        Some(until) if time(until)? < now => {
            Err(ReleaseError::Expired { of: of.to_owned(), until: until.to_owned() })
        }
        _ => Ok(()),
    }
}

fn listed(line: &str) -> Option<(String, Sha256, u64)> {
    let mut words = line.split_whitespace();
    let (sha256, size, path) = (words.next()?, words.next()?, words.next()?);
    Some((path.to_owned(), sha256.parse().ok()?, size.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn text(extra: &str) -> String {
        format!(
            "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n{extra}\
             SHA256:\n {} 12 main/binary-amd64/Packages.xz\n {} 0 other\n",
            Sha256::of(b"list"),
            Sha256::of(b"")
        )
    }

    fn date() -> SystemTime {
        httpdate::parse_http_date("Sat, 12 Sep 2026 07:55:41 GMT").unwrap()
    }

    fn parse(extra: &str, suite: &str, now: SystemTime) -> Result<Release, String> {
        Release::parse(&text(extra), "InRelease", suite, now).map_err(|error| error.to_string())
    }

    #[test]
    fn the_list_is_found_by_path_or_by_hash() {
        let plain =
            parse("", "trixie", date()).unwrap().packages_list("main", "http://m/dists/trixie").unwrap();
        assert_eq!(plain.url, "http://m/dists/trixie/main/binary-amd64/Packages.xz");
        assert_eq!((plain.sha256, plain.size), (Sha256::of(b"list"), 12));
        let hashed = parse("Acquire-By-Hash: yes\n", "stable", date()).unwrap();
        let hashed = hashed.packages_list("main", "http://m").unwrap();
        assert_eq!(hashed.url, format!("http://m/main/binary-amd64/by-hash/SHA256/{}", Sha256::of(b"list")));
        let missing = parse("", "trixie", date()).unwrap().packages_list("contrib", "http://m").unwrap_err();
        assert_eq!(missing.to_string(), "InRelease lists no contrib/binary-amd64/Packages.xz");
    }

    #[test]
    fn another_suite_a_stale_and_a_future_index_are_refused() {
        let until = "Valid-Until: Sat, 19 Sep 2026 07:55:41 UTC\n";
        assert!(parse(until, "trixie", date() + 6 * DAY).is_ok());
        assert_eq!(
            parse(until, "trixie", date() + 8 * DAY).unwrap_err(),
            "InRelease was valid until Sat, 19 Sep 2026 07:55:41 UTC"
        );
        assert_eq!(
            parse("", "bookworm", date()).unwrap_err(),
            "InRelease is the index of \"trixie\", not of \"bookworm\""
        );
        assert!(parse("", "trixie", date() - 2 * DAY).unwrap_err().ends_with("which is still to come"));
    }

    #[test]
    fn nonsense_is_malformed() {
        for text in
            ["", "<html>", "Codename: trixie\n", "Codename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n"]
        {
            let error = Release::parse(text, "InRelease", "trixie", date()).unwrap_err().to_string();
            assert!(error.starts_with("InRelease is malformed: "), "{error}");
        }
    }
}
