//! `kennel tenant`: adds, lists, shows, starts, stops and removes tenants.

use kennel_model::msg::{Depth, Rung};
use kennel_model::{Limits, SlotState, TenantName, api};

use super::runtimes::move_to;
use super::timeline::timeline;
use super::{Context, tenant_path};
use crate::args::{ByteSize, TenantAdd, TenantCommand};
use crate::exit::Failure;
use crate::hosts::KnownHost;
use crate::ui::{ago, fields, table};

pub(super) async fn tenant(context: &Context, command: TenantCommand) -> Result<(), Failure> {
    match command {
        TenantCommand::Add(args) => add(context, *args).await,
        TenantCommand::Ls => ls(context).await,
        TenantCommand::Show { name } => show(context, &name).await,
        TenantCommand::Timeline { name, lines } => timeline(context, &name, lines).await,
        TenantCommand::Move { name, runtime } => move_to(context, &name, runtime).await,
        TenantCommand::Rm { name, yes } => rm(context, &name, yes).await,
        TenantCommand::Start { name } => act(context, &name, "start").await,
        TenantCommand::Stop { name } => act(context, &name, "stop").await,
        TenantCommand::Sleep { name, to } => sleep(context, &name, to.into()).await,
    }
}

async fn add(context: &Context, args: TenantAdd) -> Result<(), Failure> {
    let mut client = context.client()?;
    let TenantAdd { name, runtime, domains, limits, command } = args;
    let wish = limits.apply(Limits::default());
    if limits.is_about_no_files(&wish) {
        return Err(super::limits::no_files());
    }
    let limits = wish;
    let body = api::NewTenant { name, runtime, domains, command, limits };
    let tenant: api::Tenant = client.post("/v1/tenants", &body).await?;
    Ok(context.ui.result(&tenant, |t| {
        format!("tenant {} lives in slot {}\nnext: kennel deploy {} FOLDER\n", t.name, t.slot, t.name)
    })?)
}

async fn ls(context: &Context) -> Result<(), Failure> {
    let tenants: Vec<api::Tenant> = context.client()?.get("/v1/tenants").await?;
    Ok(context.ui.result(&tenants, |tenants| {
        if tenants.is_empty() {
            return "no tenants yet; add one: kennel tenant add blog --runtime node-24 --domain blog.localhost\n".into();
        }
        let rows: Vec<[String; 6]> = tenants
            .iter()
            .map(|t| {
                let release = t.current.map_or_else(|| "-".to_owned(), |id| id.to_string());
                let domains: Vec<&str> = t.domains.iter().map(|d| d.as_str()).collect();
                let state = state(t.state).to_owned();
                [t.name.to_string(), state, release, t.runtime.to_string(), t.slot.to_string(), domains.join(" ")]
            })
            .collect();
        table(["NAME", "STATE", "RELEASE", "RUNTIME", "SLOT", "DOMAINS"], &rows)
    })?)
}

pub(super) const fn rung(rung: Rung) -> &'static str {
    match rung {
        Rung::Running => "running",
        Rung::Frozen => "frozen",
        Rung::Reclaimed => "reclaimed",
        Rung::Stopped => "stopped",
    }
}

pub(super) const fn state(state: SlotState) -> &'static str {
    match state {
        SlotState::Stopped => "stopped",
        SlotState::Running => "running",
        SlotState::Frozen => "frozen",
        SlotState::Reclaimed => "reclaimed",
        SlotState::Stopping => "stopping",
        SlotState::Failed => "failed",
    }
}

async fn show(context: &Context, name: &TenantName) -> Result<(), Failure> {
    let mut client = context.client()?;
    let tenant: api::Tenant = client.get(&tenant_path(name)).await?;
    Ok(context.ui.result(&tenant, |tenant| words(tenant, client.host()))?)
}

fn words(t: &api::Tenant, host: &KnownHost) -> String {
    let state = match &t.reason {
        Some(reason) => format!("{}: {reason}", state(t.state)),
        None => state(t.state).to_owned(),
    };
    let mut rows = vec![("tenant", t.name.to_string()), ("state", state)];
    let urls: Vec<String> = t.domains.iter().map(|d| host.page_url(d)).collect();
    rows.push(("pages", if urls.is_empty() { "none: it has no domain".to_owned() } else { urls.join(" ") }));
    if let Some(maintenance) = &t.maintenance {
        let passes = match maintenance.allow.join(" ") {
            allow if allow.is_empty() => String::new(),
            allow => format!(", but for who comes from {allow}"),
        };
        rows.push(("maintenance", format!("visitors are told so since {}{passes}", ago(maintenance.since_s))));
    }
    rows.push(("runtime", t.runtime.to_string()));
    rows.push(("command", t.command.join(" ")));
    rows.push(("slot", format!("{}, uid {}, ports {} to {}", t.slot, t.uid, t.port, t.slot.last_port())));
    rows.push(("domain", t.context.clone()));
    let limits = &t.limits;
    rows.push((
        "limits",
        format!(
            "memory {}, {} processes, cpu weight {}",
            ByteSize(limits.memory_max_bytes),
            limits.pids_max,
            limits.cpu_weight
        ),
    ));
    rows.push(("added", ago(t.created_at_s)));
    if t.releases.is_empty() {
        rows.push(("releases", format!("none yet: kennel deploy {} FOLDER", t.name)));
    }
    for (i, release) in t.releases.iter().rev().enumerate() {
        let mark = if t.current == Some(release.id) { " (serves)" } else { "" };
        let size = ByteSize(release.bytes);
        let line =
            format!("{}{mark}, {size}, {} files, {}", release.id, release.entries, ago(release.created_at_s));
        rows.push((if i == 0 { "releases" } else { "" }, line));
    }
    fields(&rows)
}

async fn rm(context: &Context, name: &TenantName, yes: bool) -> Result<(), Failure> {
    let question = format!("Remove tenant {name} with its releases and its data?");
    // A script knows what it asked for; a person is asked once more.
    if !yes && context.ui.confirm(&question)? == Some(false) {
        return Err(Failure {
            code: "cancelled".to_owned(),
            message: format!("tenant {name} was not removed"),
            hint: None,
            exit: crate::exit::Exit::Failed,
        });
    }
    context.client()?.delete(&tenant_path(name)).await?;
    let document = serde_json::json!({ "removed": name });
    Ok(context.ui.result(&document, |_| format!("tenant {name} is gone"))?)
}

async fn sleep(context: &Context, name: &TenantName, to: Depth) -> Result<(), Failure> {
    let path = format!("{}/sleep", tenant_path(name));
    let tenant: api::Tenant = context.client()?.post(&path, &api::Sleep { to }).await?;
    Ok(context.ui.result(&tenant, |t| {
        let rest = match (to, t.state) {
            (Depth::Reclaimed, SlotState::Frozen) => "; its memory is still on its way to swap",
            _ => "",
        };
        format!("tenant {} is {}{rest}", t.name, state(t.state))
    })?)
}

async fn act(context: &Context, name: &TenantName, verb: &str) -> Result<(), Failure> {
    let tenant: api::Tenant = context.client()?.act(&format!("{}/{verb}", tenant_path(name))).await?;
    Ok(context.ui.result(&tenant, |t| format!("tenant {} is {}", t.name, state(t.state)))?)
}
