//! `kennel host`: how a host is doing, and which hosts are known here.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kennel_model::certificate::Certificate;
use kennel_model::{HostName, api};

use super::denials::line;
use super::{Context, apart, attest, doctor};
use crate::args::{ByteSize, HostAdd, HostCommand, PassedOn};
use crate::client::{Client, fingerprint_of};
use crate::exit::Failure;
use crate::hosts::{HostBook, KnownHost};
use crate::pin::Fingerprint;
use crate::ui::{fields, remaining, table};

/// A clock that follows nobody so long after the boot is worth a warning.
const CLOCK_PATIENCE_MS: u64 = 180_000;

pub(super) async fn host(context: &Context, command: HostCommand) -> Result<(), Failure> {
    match command {
        HostCommand::Status => status(context).await,
        HostCommand::Metrics => metrics(context).await,
        HostCommand::Certificate => certificate(context).await,
        HostCommand::Attest(args) => attest::attest(context, &args).await,
        HostCommand::Doctor => doctor::doctor(context).await,
        HostCommand::Repair(args) => doctor::repair(context, &args).await,
        HostCommand::Ls => ls(context),
        HostCommand::Use { name } => use_host(context, &name),
        HostCommand::Add(args) => add(context, args).await,
        HostCommand::Rm { name } => rm(context, &name),
        HostCommand::Console(passed) => on_ec2(context, "console", &passed),
        HostCommand::Reboot(passed) => on_ec2(context, "reboot", &passed),
        HostCommand::Replace(passed) => on_ec2(context, "replace", &passed),
        HostCommand::Terminate(passed) => on_ec2(context, "terminate", &passed),
    }
}

/// What is done by way of AWS, not of the host's API.
fn on_ec2(context: &Context, act: &str, passed: &PassedOn) -> Result<(), Failure> {
    apart::ami(&context.global, &["host", act], &passed.arguments)
}

/// As it is, also with `--json`: it is for programs.
async fn metrics(context: &Context) -> Result<(), Failure> {
    let page = context.client()?.text("/v1/metrics").await?;
    Ok(context.ui.raw(page.as_bytes())?)
}

/// Also as it is.
async fn certificate(context: &Context) -> Result<(), Failure> {
    let der = context.client()?.certificate().await?;
    let base64 = STANDARD.encode(der);
    let lines = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    let pem = format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n");
    Ok(context.ui.raw(pem.as_bytes())?)
}

async fn status(context: &Context) -> Result<(), Failure> {
    let mut client = context.client()?;
    let host: api::Host = client.get("/v1/host").await?;
    let name = client.name().clone();
    Ok(context.ui.result(&host, |host| status_words(&name, host))?)
}

fn status_words(name: &HostName, host: &api::Host) -> String {
    let of = |free: u64, total: u64| format!("{} free of {}", ByteSize(free), ByteSize(total));
    let mut rows = Vec::new();
    if host.proof {
        rows.push((
            "WARNING",
            "PROOF IMAGE: some slots are deliberately open; never put it on a network".to_owned(),
        ));
    }
    if let Some(failsafe) = &host.failsafe {
        rows.push(("FAILSAFE", format!("{}: nothing is changed; see `kennel host doctor`", failsafe.why)));
    }
    rows.extend([
        (
            "host",
            format!(
                "{name}{}, version {}, up for {} s",
                own_name(name, host),
                host.version,
                host.uptime_ms / 1000
            ),
        ),
        ("addresses", addresses(host)),
        ("slots", format!("{} of {} in use, {} running", host.slots_used, host.slots, host.running)),
        ("memory", of(host.memory_available_bytes, host.memory_total_bytes)),
    ]);
    rows.extend(swap_words(host));
    rows.push(("data", of(host.data_available_bytes, host.data_total_bytes)));
    rows.extend(clock_words(host));
    if host.draining {
        rows.push((
            "WARNING",
            "draining: requests are refused until EC2 has taken the machine away, or does not".to_owned(),
        ));
    }
    rows.extend(host.cloud.iter().flat_map(cloud_words));
    let runtimes = host.runtimes.iter().map(|r| {
        let start = if r.default_command.is_empty() {
            String::new()
        } else {
            format!("  starts {}", r.default_command.join(" "))
        };
        format!("{} {}{start}", r.name, r.version)
    });
    rows.extend(labelled("runtimes", runtimes));
    let services = host.services.iter().map(|s| {
        let pid = s.pid.map_or_else(|| "not running".to_owned(), |pid| format!("pid {pid}"));
        match s.restarts {
            0 => format!("{}, {pid}", s.name),
            n => format!("{}, {pid}, restarted {n} times", s.name),
        }
    });
    rows.extend(labelled("services", services));
    rows.extend(labelled("WARNING", host.warnings.iter().map(|denial| line(denial).trim_end().to_owned())));
    rows.extend(labelled("WARNING", host.expiring.iter().map(expiring)));
    fields(&rows)
}

/// A certificate that should have been renewed by now.
fn expiring(certificate: &Certificate) -> String {
    let what = format!("certificate {} expires {}", certificate.name, remaining(certificate.not_after_s));
    match certificate.acme {
        None => format!("{what}: renew it, and `kennel cert add`"),
        Some(_) => format!("{what}: ordering another fails, see `kennel cert ls`"),
    }
}

/// What has gone to swap, what that takes of the memory, and how much programs wait for memory.
fn swap_words(host: &api::Host) -> impl Iterator<Item = (&'static str, String)> {
    let (swap, pressure) = (&host.swap, &host.memory_pressure);
    let used = (swap.total_bytes > 0).then(|| {
        let taken = format!("{} of {} used", ByteSize(swap.used_bytes), ByteSize(swap.total_bytes));
        let memory = ByteSize(swap.zram_memory_bytes);
        match swap.used_bytes {
            0 => ("swap", taken),
            _ => ("swap", format!("{taken}, which takes {memory} of the memory")),
        }
    });
    let disk = (swap.disk_total_bytes > 0).then(|| {
        let (used, total) = (ByteSize(swap.disk_used_bytes), ByteSize(swap.disk_total_bytes));
        ("", format!("{used} of it on a disk, encrypted, which has {total}"))
    });
    let percent = |bp: u32| f64::from(bp) / 100.0;
    let waits = (pressure.some_avg10_bp > 0).then(|| {
        let (some, full) = (percent(pressure.some_avg10_bp), percent(pressure.full_avg10_bp));
        ("pressure", format!("programs waited for memory {some} % of the last 10 s, all at once {full} %"))
    });
    used.into_iter().chain(disk).chain(waits)
}

fn addresses(host: &api::Host) -> String {
    let shown: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

/// What the host itself is called, where that says more than its name here.
fn own_name(name: &HostName, host: &api::Host) -> String {
    let own = host.name.as_str();
    if own.is_empty() || own == name.as_str() { String::new() } else { format!(" ({own})") }
}

/// Whom the clock follows and how well. Where nobody was named it is the machine's own, as ever.
fn clock_words(host: &api::Host) -> Option<(&'static str, String)> {
    let clock = &host.clock;
    let servers: Vec<_> = clock.servers.iter().map(ToString::to_string).collect();
    let servers = servers.join(", ");
    let stepped = match clock.stepped_s {
        0 => String::new(),
        s => format!(", was stepped by {s:+} s"),
    };
    match clock {
        _ if clock.servers.is_empty() => None,
        c if c.synchronised => {
            let within = Duration::from_micros(c.max_error_us);
            Some(("clock", format!("synchronised with {servers}, within {within:.1?}{stepped}")))
        }
        _ if host.uptime_ms < CLOCK_PATIENCE_MS => {
            Some(("clock", format!("not synchronised yet; asks {servers}")))
        }
        _ => {
            let hint = "hint: they do not answer, or disagree; see the console";
            Some(("WARNING", format!("the clock is not synchronised, although it asks {servers}; {hint}")))
        }
    }
}

/// Where in the cloud it is, and what is amiss there.
fn cloud_words(cloud: &api::Cloud) -> impl Iterator<Item = (&'static str, String)> {
    let place = cloud.instance.as_ref().map(|i| ("cloud", format!("{}, {} in {}", i.id, i.kind, i.zone)));
    let account = cloud.instance.as_ref().and_then(|i| {
        Some(("", format!("account {}, launched from {}", i.account.as_ref()?, i.image.as_ref()?)))
    });
    let trouble = cloud.trouble.as_ref().map(|t| ("WARNING", t.clone()));
    let notices = cloud.notices.iter().map(|notice| ("WARNING", notice.clone()));
    place.into_iter().chain(account).chain(trouble).chain(notices).collect::<Vec<_>>().into_iter()
}

/// The name once, then its values under each other.
fn labelled(
    name: &'static str,
    values: impl Iterator<Item = String>,
) -> impl Iterator<Item = (&'static str, String)> {
    values.enumerate().map(move |(i, value)| (if i == 0 { name } else { "" }, value))
}

fn ls(context: &Context) -> Result<(), Failure> {
    let book = HostBook::load(&context.paths.hosts_file())?;
    Ok(context.ui.result(&book, |book| {
        let rows: Vec<[String; 4]> = book
            .hosts
            .iter()
            .map(|(name, host)| {
                let mark = if book.current.as_ref() == Some(name) { "*" } else { "" };
                [
                    format!("{name}{mark}"),
                    host.url.to_string(),
                    host.web_port.to_string(),
                    host.fingerprint.to_string(),
                ]
            })
            .collect();
        table(["NAME", "API", "WEB PORT", "CERTIFICATE"], &rows)
    })?)
}

async fn add(context: &Context, args: HostAdd) -> Result<(), Failure> {
    let path = context.paths.hosts_file();
    let mut book = HostBook::load(&path)?;
    let fingerprint = match args.fingerprint {
        Some(fingerprint) => fingerprint,
        None => first_contact(context, &args).await?,
    };
    let (web_port, https_port) = (args.web_port, args.https_port);
    let host = KnownHost { url: args.url, fingerprint, web_port, https_port, tpm: None };
    // Before it is written down, it must be there and show that certificate.
    Client::new(args.name.clone(), host.clone(), context.paths.clone(), None).ping().await?;
    book.put(args.name.clone(), host.clone());
    book.save(&path)?;
    Ok(context
        .ui
        .result(&host, |host| format!("host {} is known here: {} {}", args.name, host.url, host.fingerprint))?)
}

/// Shows the fingerprint and asks. Without anybody to ask, nothing is trusted.
async fn first_contact(context: &Context, args: &HostAdd) -> Result<Fingerprint, Failure> {
    let shown = fingerprint_of(&args.name, &args.url).await?;
    let question = format!(
        "The host at {} shows the certificate\n  {shown}\nIs this what its console says (`control: api certificate …`)?",
        args.url
    );
    let refused = |message: String, hint: String| Failure {
        code: "not-trusted".to_owned(),
        message,
        hint: Some(hint),
        exit: crate::exit::Exit::Failed,
    };
    match context.ui.confirm(&question)? {
        Some(true) => Ok(shown),
        Some(false) => Err(refused(
            format!("host {} was not added", args.name),
            "its console shows the right fingerprint".into(),
        )),
        None => Err(refused(
            format!(
                "the host at {} shows the certificate {shown}, and nobody is there to confirm it",
                args.url
            ),
            format!("compare it with the host's console, then add --fingerprint {shown}"),
        )),
    }
}

fn use_host(context: &Context, name: &HostName) -> Result<(), Failure> {
    let path = context.paths.hosts_file();
    let mut book = HostBook::load(&path)?;
    let host = book.resolve(Some(name))?.1.clone();
    book.current = Some(name.clone());
    book.save(&path)?;
    Ok(context.ui.result(&host, |host| format!("commands speak to {name} from now on: {}", host.url))?)
}

fn rm(context: &Context, name: &HostName) -> Result<(), Failure> {
    let path = context.paths.hosts_file();
    let mut book = HostBook::load(&path)?;
    let host = book.remove(name)?;
    book.save(&path)?;
    Ok(context.ui.result(&host, |_| format!("host {name} is forgotten here"))?)
}
