//! Limits as people write them, for `tenant add` and `limits` alike.

use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

use kennel_model::files::{FolderPath, InvalidStatic, UrlPrefix};
use kennel_model::routes::{Crawlers, Https, TrafficLimits};
use kennel_model::{HealthPath, InvalidHealthPath, Limits, StaticFiles, TenantName};

use super::ByteSize;

/// `kennel limits`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel limits blog
  kennel limits blog --freeze-after 5m --stop-after never
  kennel limits chat --no-freeze --always-on
  kennel limits shop --health /healthz --crawlers wait
  kennel limits shop --https redirect --hsts 180d
  kennel limits shop --requests 50 --client-rate 20 --bandwidth 2M
  kennel limits blog --static /assets=public/assets
  kennel limits docs --static public --static-only on

A program that nobody has needed for a while is frozen, later its memory goes to swap, and at last it
is stopped; the next request wakes it. How long that takes, and how much disk it has, changes at once;
memory, processes and processors from its next start on.")]
pub struct LimitsOf {
    /// The tenant
    pub name: TenantName,
    /// What changes; nothing, to show what is in force.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// Limits that differ from those there are.
#[derive(Debug, Default, clap::Args)]
pub struct LimitArgs {
    /// Memory that all its processes may use together
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Memory that is never taken from it, whoever else needs some; 0 for none
    #[arg(long, value_name = "SIZE")]
    pub reserve_memory: Option<Reserved>,
    /// Processes and threads that it may have
    #[arg(long, value_name = "N")]
    pub pids: Option<u32>,
    /// Disk that its releases, data and log may take together
    #[arg(long, value_name = "SIZE")]
    pub disk: Option<ByteSize>,
    /// Files and folders that it may have on disk
    #[arg(long, value_name = "N")]
    pub files: Option<u32>,
    /// Share of the processors, against 100 of the others
    #[arg(long, value_name = "WEIGHT")]
    pub cpu_weight: Option<u16>,
    /// Processor time that it gets however busy the others are, such as 25% of one processor; 0 for none
    #[arg(long, value_name = "PERCENT")]
    pub reserve_cpu: Option<Percent>,
    /// Freeze it when nobody has needed it for this long, such as 30s, 5m, 1h or never
    #[arg(long, value_name = "TIME")]
    pub freeze_after: Option<After>,
    /// Move a frozen program's memory to swap when nobody has needed it for this long
    #[arg(long, value_name = "TIME")]
    pub reclaim_after: Option<After>,
    /// Stop it when nobody has needed it for this long
    #[arg(long, value_name = "TIME")]
    pub stop_after: Option<After>,
    /// The same as --freeze-after never: for programs that work without being asked
    #[arg(long, conflicts_with = "freeze_after")]
    pub no_freeze: bool,
    /// Start it with the host, after a deploy and whenever it has ended, and never stop it for idleness
    #[arg(long, conflicts_with = "on_demand")]
    pub always_on: bool,
    /// Start it when it is asked for (the default)
    #[arg(long)]
    pub on_demand: bool,
    /// What crawlers do to it while it sleeps: wake it, or wait until a visitor has (503, try again later)
    #[arg(long, value_name = "WAKE|WAIT")]
    pub crawlers: Option<CrawlersArg>,
    /// After a start it is ready when this path answers with a status below 500; none: when its port accepts
    #[arg(long, value_name = "PATH|none")]
    pub health: Option<Health>,
    /// Who comes without TLS although there is a certificate is sent to the same address with it, or answered
    #[arg(long, value_name = "REDIRECT|OPTIONAL")]
    pub https: Option<HttpsArg>,
    /// For how long browsers are told to come with TLS only, such as 180d; off: they are told nothing
    #[arg(long, value_name = "TIME|off")]
    pub hsts: Option<Seconds>,
    /// Whether its answers say where their time went (Server-Timing), for whoever asks
    #[arg(long, value_name = "ON|OFF")]
    pub server_timing: Option<Switch>,
    /// Requests that its program has at a time; more wait in line, and one client has half of them at most
    #[arg(long, value_name = "N")]
    pub requests: Option<NonZeroU32>,
    /// Requests a second, of all its visitors together; what is over is told to come again (503)
    #[arg(long, value_name = "N|off")]
    pub rate: Option<Rate>,
    /// Requests a second of one client, which is an address; what is over is refused (429)
    #[arg(long, value_name = "N|off")]
    pub client_rate: Option<Rate>,
    /// Bytes a second that are sent to its visitors, such as 2M; what is over waits
    #[arg(long, value_name = "SIZE|off")]
    pub bandwidth: Option<Bandwidth>,
    /// Files below this folder of its release are answered without it, for / or for the path before a `=`; off: none are
    #[arg(long = "static", value_name = "[PATH=]FOLDER|off")]
    pub static_files: Option<StaticArg>,
    /// What is not among those files is a 404, and never wakes it
    #[arg(long, value_name = "ON|OFF")]
    pub static_only: Option<Switch>,
    /// How long browsers may keep files without asking again; off: they ask. A file with a hash in its name they keep for a year
    #[arg(long, value_name = "TIME|off")]
    pub static_max_age: Option<Seconds>,
}

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

impl LimitArgs {
    /// Whether something was typed about files that nobody answers.
    pub fn is_about_no_files(&self, limits: &Limits) -> bool {
        limits.static_files.is_none()
            && (self.static_only == Some(Switch::On) || self.static_max_age.is_some_and(|Seconds(s)| s > 0))
    }

    fn files(&self, there: Option<StaticFiles>) -> Option<StaticFiles> {
        let files = match self.static_files {
            Some(StaticArg(None)) => return None,
            Some(StaticArg(Some((path, folder)))) => StaticFiles {
                path,
                folder,
                only: there.is_some_and(|files| files.only),
                max_age_s: there.map_or(0, |files| files.max_age_s),
            },
            None => there?,
        };
        Some(StaticFiles {
            only: self.static_only.map_or(files.only, |switch| switch == Switch::On),
            max_age_s: self.static_max_age.map_or(files.max_age_s, |Seconds(seconds)| seconds),
            ..files
        })
    }

    /// These limits with what was typed in place of what was there.
    #[must_use]
    pub fn apply(&self, limits: Limits) -> Limits {
        let after = |typed: Option<After>, there| typed.map_or(there, |After(seconds)| seconds);
        Limits {
            memory_max_bytes: self.memory.map_or(limits.memory_max_bytes, |size| size.0),
            memory_reserved_bytes: self.reserve_memory.map_or(limits.memory_reserved_bytes, |r| r.0),
            cpu_reserved_percent: self.reserve_cpu.map_or(limits.cpu_reserved_percent, |r| r.0),
            pids_max: self.pids.unwrap_or(limits.pids_max),
            disk_max_bytes: self.disk.map_or(limits.disk_max_bytes, |size| size.0),
            disk_max_inodes: self.files.unwrap_or(limits.disk_max_inodes),
            cpu_weight: self.cpu_weight.unwrap_or(limits.cpu_weight),
            freeze_after_s: if self.no_freeze { None } else { after(self.freeze_after, limits.freeze_after_s) },
            reclaim_after_s: after(self.reclaim_after, limits.reclaim_after_s),
            stop_after_s: after(self.stop_after, limits.stop_after_s),
            always_on: self.always_on || (limits.always_on && !self.on_demand),
            crawlers: self.crawlers.map_or(limits.crawlers, Crawlers::from),
            health: self.health.map_or(limits.health, |Health(path)| path),
            https: self.https.map_or(limits.https, Https::from),
            hsts_s: self.hsts.map_or(limits.hsts_s, |Seconds(seconds)| seconds),
            server_timing: self.server_timing.map_or(limits.server_timing, |switch| switch == Switch::On),
            traffic: TrafficLimits {
                requests_max: self.requests.map_or(limits.traffic.requests_max, NonZeroU32::get),
                requests_per_s: self.rate.map_or(limits.traffic.requests_per_s, |Rate(rate)| rate),
                client_requests_per_s: self
                    .client_rate
                    .map_or(limits.traffic.client_requests_per_s, |Rate(rate)| rate),
                send_bytes_per_s: self.bandwidth.map_or(limits.traffic.send_bytes_per_s, |Bandwidth(b)| b),
            },
            static_files: self.files(limits.static_files),
            ..limits
        }
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

    #[test]
    fn bounds_on_traffic_are_read_and_lifted() {
        let typed = LimitArgs {
            requests: NonZeroU32::new(50),
            rate: Some("100/s".parse().unwrap()),
            client_rate: Some("20".parse().unwrap()),
            bandwidth: Some("2M".parse().unwrap()),
            ..LimitArgs::default()
        };
        let set = typed.apply(Limits::default());
        let traffic = TrafficLimits {
            requests_max: 50,
            requests_per_s: NonZeroU32::new(100),
            client_requests_per_s: NonZeroU32::new(20),
            send_bytes_per_s: NonZeroU64::new(2 << 20),
        };
        assert_eq!(set.traffic, traffic);
        let off = LimitArgs {
            rate: Some("off".parse().unwrap()),
            bandwidth: Some("off".parse().unwrap()),
            ..LimitArgs::default()
        };
        let rest = TrafficLimits { requests_per_s: None, send_bytes_per_s: None, ..traffic };
        assert_eq!(off.apply(set).traffic, rest);
        for bad in ["", "0", "-1", "1.5", "10/m"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn time_of_strict_transport_is_a_time_or_off() {
        assert_eq!(("180d".parse(), "off".parse()), (Ok(Seconds(15_552_000)), Ok(Seconds(0))));
        assert!("never".parse::<Seconds>().is_err() && "180".parse::<Seconds>().is_err());
        let before = Limits { hsts_s: 9, ..Limits::default() };
        let typed = LimitArgs { https: Some(HttpsArg::Optional), ..LimitArgs::default() };
        assert_eq!(typed.apply(before), Limits { https: Https::Optional, ..before });
    }

    #[test]
    fn files_are_a_folder_with_a_path_or_none() {
        let files = |limits: Limits| {
            limits.static_files.map(|f| (f.path.to_string(), f.folder.to_string(), f.only, f.max_age_s))
        };
        let typed =
            |text: &str| LimitArgs { static_files: Some(text.parse().unwrap()), ..LimitArgs::default() };
        let set = typed("public").apply(Limits::default());
        assert_eq!(files(set), Some(("/".into(), "public".into(), false, 0)));
        let only = LimitArgs {
            static_only: Some(Switch::On),
            static_max_age: Some("5m".parse().unwrap()),
            ..LimitArgs::default()
        };
        assert!(only.is_about_no_files(&only.apply(Limits::default())));
        let set = only.apply(set);
        assert!(!only.is_about_no_files(&set));
        let moved = typed("/assets=public/assets").apply(set);
        assert_eq!(files(moved), Some(("/assets".into(), "public/assets".into(), true, 300)));
        assert_eq!(files(LimitArgs::default().apply(moved)), files(moved));
        assert_eq!(files(typed("off").apply(moved)), None);
        for bad in ["", "/public", "assets=public", "/a=../b", "/a=", "=public", "/a=b=c"] {
            assert!(bad.parse::<StaticArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_not_typed_stays() {
        let before = Limits { stop_after_s: None, pids_max: 7, ..Limits::default() };
        assert_eq!(LimitArgs::default().apply(before), before);
        let typed = LimitArgs {
            crawlers: Some(CrawlersArg::Wait),
            health: Some("/up".parse().unwrap()),
            server_timing: Some(Switch::On),
            ..LimitArgs::default()
        };
        let set = typed.apply(before);
        assert_eq!((set.crawlers, set.health), (Crawlers::Wait, "/up".parse().ok()));
        assert!(set.server_timing && LimitArgs::default().apply(set).server_timing);
        let typed = LimitArgs { health: Some("none".parse().unwrap()), ..LimitArgs::default() };
        assert_eq!(typed.apply(set), Limits { health: None, ..set });
        assert!("up".parse::<Health>().is_err());
        let typed = LimitArgs { no_freeze: true, stop_after: Some(After(Some(60))), ..LimitArgs::default() };
        let expected = Limits { freeze_after_s: None, stop_after_s: Some(60), ..before };
        assert_eq!(typed.apply(before), expected);
        let on = LimitArgs { always_on: true, ..LimitArgs::default() }.apply(before);
        assert!(on.always_on && LimitArgs::default().apply(on).always_on);
        assert!(!LimitArgs { on_demand: true, ..LimitArgs::default() }.apply(on).always_on);
    }
}
