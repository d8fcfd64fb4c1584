//! The values of limits as people write them: times, sizes, rates and choices. What they are values of stands in `limits`.

use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

use kennel_model::files::{FolderPath, InvalidStatic, UrlPrefix};
use kennel_model::routes::{Crawlers, Https, Protocol};
use kennel_model::{HealthPath, InvalidHealthPath};

use super::ByteSize;

/// So many a second, or no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<NonZeroU32>);

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        match text.strip_suffix("/s").unwrap_or(text) {
            "off" => Ok(Self(None)),
            digits => digits
                .parse()
                .map(|rate| Self(Some(rate)))
                .map_err(|_| InvalidRate(text.chars().take(40).collect())),
        }
    }
}

/// Why a rate was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a rate: write how many a second, such as 50, or off")]
pub struct InvalidRate(String);

/// Bytes a second, or no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth(pub Option<NonZeroU64>);

impl FromStr for Bandwidth {
    type Err = super::size::InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self(None)),
            // A size is never 0.
            size => size.parse().map(|ByteSize(bytes)| Self(NonZeroU64::new(bytes))),
        }
    }
}

/// Where files are answered from, and below which path; none for nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticArg(pub Option<(UrlPrefix, FolderPath)>);

impl FromStr for StaticArg {
    type Err = InvalidStatic;

    fn from_str(text: &str) -> Result<Self, InvalidStatic> {
        if text == "off" {
            return Ok(Self(None));
        }
        let (path, folder) = text.split_once('=').unwrap_or(("/", text));
        Ok(Self(Some((path.parse()?, folder.parse()?))))
    }
}

/// What becomes of requests without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HttpsArg {
    /// They are sent to the same address with TLS
    Redirect,
    /// They are answered
    Optional,
}

impl From<HttpsArg> for Https {
    fn from(arg: HttpsArg) -> Self {
        match arg {
            HttpsArg::Redirect => Self::Redirect,
            HttpsArg::Optional => Self::Optional,
        }
    }
}

/// A time in seconds; 0 for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub u32);

impl Seconds {
    /// In milliseconds; the host refuses what is longer than can be.
    pub const fn as_ms(self) -> u32 {
        self.0.saturating_mul(1000)
    }
}

impl FromStr for Seconds {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        match text.parse() {
            _ if text == "off" => Ok(Self(0)),
            Ok(After(Some(seconds))) => Ok(Self(seconds)),
            Ok(After(None)) => Err(InvalidTime(text.to_owned())),
            Err(e) => Err(e),
        }
    }
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// Yes
    On,
    /// No
    Off,
}

/// What crawlers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CrawlersArg {
    /// They wake it
    Wake,
    /// They are told to come again later
    Wait,
}

/// What a program speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ProtocolArg {
    /// HTTP/1.1
    Http1,
    /// HTTP/2 without TLS, known beforehand
    H2c,
}

impl From<ProtocolArg> for Protocol {
    fn from(arg: ProtocolArg) -> Self {
        match arg {
            ProtocolArg::Http1 => Self::Http1,
            ProtocolArg::H2c => Self::H2c,
        }
    }
}

/// A path, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health(pub Option<HealthPath>);

impl FromStr for Health {
    type Err = InvalidHealthPath;

    fn from_str(text: &str) -> Result<Self, InvalidHealthPath> {
        if text == "none" { Ok(Self(None)) } else { text.parse().map(|path| Self(Some(path))) }
    }
}

impl From<CrawlersArg> for Crawlers {
    fn from(arg: CrawlersArg) -> Self {
        match arg {
            CrawlersArg::Wake => Self::Wake,
            CrawlersArg::Wait => Self::Wait,
        }
    }
}

/// A time in seconds, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After(pub Option<u32>);

/// Bytes to reserve, where none is an answer too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved(pub u64);

impl FromStr for Reserved {
    type Err = super::size::InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "0" { Ok(Self(0)) } else { text.parse().map(|ByteSize(bytes)| Self(bytes)) }
    }
}

/// A part of one processor: `25%`, `150` for one and a half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(pub u16);

impl FromStr for Percent {
    type Err = InvalidPercent;

    fn from_str(text: &str) -> Result<Self, InvalidPercent> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        digits.parse().map(Self).map_err(|_| InvalidPercent(text.chars().take(40).collect()))
    }
}

/// Why a part of a processor was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a part of a processor: write percent of one, such as 25%")]
pub struct InvalidPercent(String);

/// Why a time was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time: write a number with s, m, h or d, such as 30s, or never")]
pub struct InvalidTime(String);

const UNITS: [(char, u32); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

impl FromStr for After {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        if text == "never" {
            return Ok(Self(None));
        }
        let invalid = || InvalidTime(text.chars().take(40).collect());
        let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
        let (digits, seconds) = unit.ok_or_else(invalid)?;
        let count: u32 = digits.parse().map_err(|_| invalid())?;
        count.checked_mul(seconds).map(|s| Self(Some(s))).ok_or_else(invalid)
    }
}

impl std::fmt::Display for After {
    /// In the largest unit that leaves a whole number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(seconds) = self.0 else { return f.write_str("never") };
        let whole = UNITS.iter().find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit));
        let (name, unit) = whole.unwrap_or(&('s', 1));
        write!(f, "{}{name}", seconds / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them_and_written_so() {
        for (text, seconds) in
            [("0s", Some(0)), ("90s", Some(90)), ("2m", Some(120)), ("36h", Some(129_600)), ("never", None)]
        {
            assert_eq!(text.parse(), Ok(After(seconds)), "{text}");
            assert_eq!(After(seconds).to_string(), text);
        }
        assert_eq!(After(Some(3600)).to_string(), "1h");
        for bad in ["", "30", "s", "-1s", "1.5h", "Never", "99999999d", "3w"] {
            assert!(bad.parse::<After>().is_err(), "{bad}");
        }
    }

    #[test]
    fn reservations_are_read_and_given_back() {
        assert_eq!(("0".parse(), "64M".parse()), (Ok(Reserved(0)), Ok(Reserved(64 << 20))));
        assert_eq!(
            ("25%".parse(), "150".parse(), "0".parse()),
            (Ok(Percent(25)), Ok(Percent(150)), Ok(Percent(0)))
        );
        for bad in ["", "%", "-5%", "2.5%", "70000"] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
    }
}
