//! `launch`, `hosts`, `host …`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kennel_known::hosts::HostBook;
use kennel_known::paths::Paths;
use serde::Serialize;

use super::connect;
use crate::args::Where;
use crate::args::hosts::{Host, Launch, Named, Replace, Terminate};
use crate::aws::Instance;
use crate::exit::{Exit, Failure};
use crate::launch::{self, Direction, LaunchError, Remains, Removal, Site, Up, Wish};
use crate::ui::Ui;

/// Removing takes at most this long.
const REMOVING: Duration = Duration::from_secs(30 * 60);

pub(super) async fn launch(ui: Ui, args: &Launch) -> Result<(), Failure> {
    let wish = wish(args)?;
    let aws = connect(&args.place).await.until(Instant::now() + args.deadline);
    let site = Site::new(&aws, &args.name, ui)?;
    if args.dry_run {
        let plan = site.dry_launch(&wish).await?;
        return ui.result(&plan, &plan.lines());
    }
    let up = site.launch(&wish).await?;
    let (host, region) = (&up.host, aws.region());
    let verb = if up.existing { "is up" } else { "is launched" };
    ui.note(&format!("{host} {verb} at {}, and known here; next:", up.address));
    if let Some(domain) = &args.domain {
        ui.note(&format!("  at your DNS provider: {domain} and *.{domain} are A records of {}", up.address));
    }
    let domain = args.domain.as_ref().map_or_else(|| "example.org".to_owned(), ToString::to_string);
    ui.note(&format!("  kennel --host {host} host status"));
    ui.note(&format!("  kennel --host {host} tenant add blog --runtime node-24 --domain blog.{domain}"));
    ui.note(&format!("  kennel host console {host} --region {region}"));
    arrived(ui, &up)
}

/// Standard output is exactly the address.
fn arrived(ui: Ui, up: &Up) -> Result<(), Failure> {
    ui.result(up, &up.address.to_string())
}

fn wish(args: &Launch) -> Result<Wish, LaunchError> {
    Ok(Wish {
        ami: args.ami.clone(),
        kind: args.kind.clone(),
        subnet: args.subnet.clone(),
        key: args.key.clone(),
        ssh_keys: ssh_keys(&args.ssh_key)?,
        profile: args.instance_profile.clone(),
        spot: args.spot,
        elastic_ip: args.elastic_ip,
        data_gib: args.data_size,
        api_from: args.api_from.clone(),
    })
}

/// The keys in the files named; if none is, those with which `kennel` signs in from here.
fn ssh_keys(files: &[PathBuf]) -> Result<Vec<String>, LaunchError> {
    let mut keys = Vec::new();
    for file in files {
        keys.extend(keys_in(file)?);
    }
    if files.is_empty() {
        let paths = Paths::from_env().map_err(|error| LaunchError::Book(error.to_string()))?;
        let own = [paths.operator_key(), paths.ssh_key()];
        // One of another type is none that a host takes; it is not what was asked for, either.
        keys.extend(own.iter().filter(|file| file.exists()).filter_map(|file| keys_in(file).ok()).flatten());
    }
    keys.dedup();
    Ok(keys)
}

fn keys_in(file: &Path) -> Result<Vec<String>, LaunchError> {
    let unusable = |why: String| LaunchError::Unusable {
        what: format!("{}: {why}", file.display()),
        hint: "name a file with ssh-ed25519 public keys, such as ~/.ssh/id_ed25519.pub".to_owned(),
    };
    let text = std::fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    kennel_user_data::public_keys(&text).map_err(unusable)
}

/// A host as `hosts` shows it.
#[derive(Serialize)]
struct Line {
    host: String,
    /// How it is known here: `yes`, `no`, or `elsewhere`, when the book has another address.
    known: &'static str,
    #[serde(flatten)]
    instance: Instance,
}

pub(super) async fn hosts(ui: Ui, place: &Where) -> Result<(), Failure> {
    let aws = connect(place).await;
    let paths = Paths::from_env().map_err(|error| LaunchError::Book(error.to_string()))?;
    let book = HostBook::load(&paths.hosts_file()).map_err(LaunchError::from)?;
    let mut all: Vec<_> =
        aws.instances(None).await?.into_iter().map(|instance| line(instance, &book)).collect();
    all.sort_by(|one, other| (&one.host, &one.instance.id).cmp(&(&other.host, &other.instance.id)));
    if all.is_empty() {
        ui.note(&format!("no host is in {}; `kennel launch` makes one", place.region));
    }
    let mut lines = String::new();
    for line in &all {
        if lines.is_empty() {
            lines += "HOST             INSTANCE             TYPE         STATE          ADDRESS          KNOWN HERE\n";
        }
        let address = line.instance.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
        let Instance { id, kind, state, .. } = &line.instance;
        let _ =
            writeln!(lines, "{:<16} {id:<20} {kind:<12} {state:<14} {address:<16} {}", line.host, line.known);
    }
    ui.result(&serde_json::json!({ "region": place.region, "hosts": all }), &lines)
}

fn line(instance: Instance, book: &HostBook) -> Line {
    let host = instance.host().to_owned();
    let known = book.hosts.iter().find(|(name, _)| name.as_str() == host).map(|(_, known)| &known.url.host);
    let address = instance.address.map(|address| address.to_string());
    let known = match known {
        None => "no",
        Some(at) if address.as_ref() == Some(at) => "yes",
        Some(_) => "elsewhere",
    };
    Line { host, known, instance }
}

pub(super) async fn host(ui: Ui, command: &Host) -> Result<(), Failure> {
    match command {
        Host::Console(named) => console(ui, named).await,
        Host::Reboot(named) => reboot(ui, named).await,
        Host::Replace(args) => replace(ui, args).await,
        Host::Terminate(args) => terminate(ui, args).await,
    }
}

async fn console(ui: Ui, named: &Named) -> Result<(), Failure> {
    let aws = connect(&named.place).await;
    let instance = Site::new(&aws, &named.name, ui)?.the_instance().await?;
    let lines = launch::lines(&aws.console(&instance.id).await?);
    if lines.is_empty() {
        ui.note(&format!("{} has printed nothing yet, or AWS does not show it yet", instance.id));
    }
    let text = lines.join("\n");
    ui.result(&serde_json::json!({ "host": named.name, "instance": instance.id, "lines": lines }), &text)
}

async fn reboot(ui: Ui, named: &Named) -> Result<(), Failure> {
    let aws = connect(&named.place).await;
    let instance = Site::new(&aws, &named.name, ui)?.the_instance().await?;
    aws.reboot_instance(&instance.id).await?;
    ui.note(&format!(
        "{} is told to reboot; `kennel --host {} host status` shows when it is back",
        instance.id, named.name
    ));
    ui.result(&serde_json::json!({ "host": named.name, "rebooting": instance.id }), "")
}

async fn replace(ui: Ui, args: &Replace) -> Result<(), Failure> {
    let aws = connect(&args.target.place).await.until(Instant::now() + args.deadline);
    let site = Site::new(&aws, &args.target.name, ui)?;
    if args.dry_run {
        let bill = site.dry_replace(&args.ami).await?;
        return ui.result(&bill, &bill.lines());
    }
    let to = if args.back { Direction::Back } else { Direction::Forward };
    let up = site.replace(&args.ami, to).await?;
    ui.note(&format!("{} is up at {}: {} with {}", up.host, up.address, up.instance.id, up.instance.ami));
    arrived(ui, &up)
}

async fn terminate(ui: Ui, args: &Terminate) -> Result<(), Failure> {
    let (name, region) = (&args.target.name, &args.target.place.region);
    let aws = connect(&args.target.place).await.until(Instant::now() + REMOVING);
    let site = Site::new(&aws, name, ui)?;
    let remains = site.remains().await?;
    let removal = Removal { data: args.with_data, address: args.with_address };
    if !args.yes {
        ui.note(&question(name.as_str(), &remains, removal));
        match ui.asked_for(&format!("Type {name} to go on:")) {
            Some(typed) if typed == name.as_str() => {}
            Some(_) => {
                return Err(not_done(format!("{name} is left as it is"), "it was not its name that was typed"));
            }
            None => return Err(not_done("nobody is there to be asked".to_owned(), "--yes does not ask")),
        }
    }
    site.terminate(&remains, removal).await?;
    ui.note(&format!("{name} is removed"));
    if !removal.data {
        for volume in &remains.volumes {
            ui.note(&format!(
                "{} of {} GiB remains, with the tenants' data: `kennel launch --name {name} --region {region}` uses it \
                 again, `kennel host terminate {name} --region {region} --with-data` removes it",
                volume.id, volume.gib
            ));
        }
    }
    if !removal.address {
        for address in &remains.addresses {
            ui.note(&format!(
                "the Elastic IP {} remains, and costs $3.65 a month: the same launch with --elastic-ip uses it again, \
                 `kennel host terminate {name} --region {region} --with-address` gives it back",
                address.ip
            ));
        }
    }
    let kept = serde_json::json!({
        "volumes": if removal.data { &[][..] } else { &remains.volumes[..] },
        "addresses": if removal.address { &[][..] } else { &remains.addresses[..] },
    });
    let instance = remains.instance.as_ref().map(|instance| &instance.id);
    ui.result(&serde_json::json!({ "host": name, "terminated": instance, "kept": kept }), "")
}

fn question(name: &str, remains: &Remains, removal: Removal) -> String {
    let mut text = format!("This removes the host {name}");
    if let Some(instance) = &remains.instance {
        let _ = write!(text, " ({}, {})", instance.id, instance.state);
    }
    for volume in &remains.volumes {
        let fate = if removal.data { "is REMOVED with all tenants' data" } else { "stays" };
        let _ = write!(text, "\n  data volume {} ({} GiB) {fate}", volume.id, volume.gib);
    }
    for address in &remains.addresses {
        let fate = if removal.address { "is given back" } else { "stays" };
        let _ = write!(text, "\n  Elastic IP {} {fate}", address.ip);
    }
    text
}

fn not_done(message: String, hint: &str) -> Failure {
    Failure { code: "not-confirmed", message, hint: Some(hint.to_owned()), exit: Exit::Failed }
}
