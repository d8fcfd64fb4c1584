//! Limits as people write them, for `tenant add` and `limits` alike. How each value is written stands in `limit_values`.

use std::num::NonZeroU32;

use kennel_model::routes::{Crawlers, Https, Protocol, TrafficLimits};
use kennel_model::{Limits, StaticFiles, TenantName};

use super::ByteSize;
use super::limit_values::{
    After, Bandwidth, CrawlersArg, Health, HttpsArg, Percent, ProtocolArg, Rate, Reserved, Seconds, StaticArg,
    Switch,
};

/// `kennel limits`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel limits blog
  kennel limits blog --freeze-after 5m --stop-after never
  kennel limits chat --no-freeze --always-on
  kennel limits shop --health /healthz --crawlers wait
  kennel limits shop --https redirect --hsts 180d
  kennel limits api --protocol h2c
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
    /// For how long a start may take until it is ready, such as 30s
    #[arg(long, value_name = "TIME")]
    pub start_timeout: Option<Seconds>,
    /// For how long it may take to end once it is asked to, before it is killed
    #[arg(long, value_name = "TIME")]
    pub stop_grace: Option<Seconds>,
    /// What its program speaks: HTTP/1.1, or HTTP/2 without TLS, known beforehand, as gRPC servers do. WebSockets need http1
    #[arg(long, value_name = "HTTP1|H2C")]
    pub protocol: Option<ProtocolArg>,
    /// Who comes without TLS although there is a certificate is sent to the same address with it, or answered
    #[arg(long, value_name = "REDIRECT|OPTIONAL")]
    pub https: Option<HttpsArg>,
    /// For how long browsers are told to come with TLS only, such as 180d; off: they are told nothing
    #[arg(long, value_name = "TIME|off")]
    pub hsts: Option<Seconds>,
    /// Whether its answers say where their time went (Server-Timing), for whoever asks
    #[arg(long, value_name = "ON|OFF")]
    pub server_timing: Option<Switch>,
    /// Whether a release first has to get ready beside the one that serves, and takes over only then; off for what
    /// cannot run twice
    #[arg(long, value_name = "ON|OFF")]
    pub trial: Option<Switch>,
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
            protocol: self.protocol.map_or(limits.protocol, Protocol::from),
            https: self.https.map_or(limits.https, Https::from),
            hsts_s: self.hsts.map_or(limits.hsts_s, |Seconds(seconds)| seconds),
            server_timing: self.server_timing.map_or(limits.server_timing, |switch| switch == Switch::On),
            start_timeout_ms: self.start_timeout.map_or(limits.start_timeout_ms, Seconds::as_ms),
            stop_grace_ms: self.stop_grace.map_or(limits.stop_grace_ms, Seconds::as_ms),
            trial: self.trial.map_or(limits.trial, |switch| switch == Switch::On),
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
    use std::num::NonZeroU64;

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
            protocol: Some(ProtocolArg::H2c),
            server_timing: Some(Switch::On),
            trial: Some(Switch::Off),
            start_timeout: Some(Seconds(6)),
            stop_grace: Some(Seconds(u32::MAX)),
            ..LimitArgs::default()
        };
        let set = typed.apply(before);
        assert_eq!((set.protocol, LimitArgs::default().apply(set).protocol), (Protocol::H2c, Protocol::H2c));
        assert_eq!((set.crawlers, set.health), (Crawlers::Wait, "/up".parse().ok()));
        assert_eq!((set.start_timeout_ms, set.stop_grace_ms), (6000, u32::MAX));
        assert!(!set.trial && !LimitArgs::default().apply(set).trial);
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
