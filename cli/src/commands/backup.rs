//! `kennel backup` and `kennel restore`: a tenant as one file, and a tenant out of one. The host knows only of its parts.

use std::collections::BTreeMap;

use hyper::Method;
use kennel_model::api::{DataReplaced, Deployed, NewTenant, Tenant};
use kennel_model::backup::{Backup, DATA, RELEASE};
use kennel_model::cron::Job;
use kennel_model::data::ARCHIVE;
use kennel_model::env::{ChangeEnv, EnvChanged};
use kennel_model::process::{Process, Scale};
use kennel_model::routing::{DomainChange, NewDomain, NewRedirect, PageText, RedirectChange};
use kennel_model::{TenantName, api};
use serde::Serialize;

use super::data::receive;
use super::deploy::Wish;
use super::upload::{Aborted, send_stream};
use super::{Context, tenant_path};
use crate::args::{BackupOf, ByteSize, Restore};
use crate::backup::{Keep, Kept};
use crate::client::Client;
use crate::exit::Failure;

/// What is kept.
#[derive(Debug, Serialize)]
struct Done<'k> {
    tenant: &'k TenantName,
    to: &'k std::path::Path,
    bytes: u64,
    data_bytes: u64,
    release: Option<kennel_model::ReleaseId>,
}

pub(super) async fn backup(context: &Context, args: &BackupOf) -> Result<(), Failure> {
    let BackupOf { name, to } = args;
    let out = to == std::path::Path::new("-");
    if out && context.ui.json() {
        return Err(Failure::usage("the backup and --json cannot both be on standard output", "name a file"));
    }
    let mut keep = Keep::of(to)?;
    let mut client = context.client()?;
    let settings: Backup = client.act(&format!("{}/backup", tenant_path(name))).await?;
    keep.settings(&settings)?;
    let label = format!("the data of {name}");
    let path = format!("{}/data/save", tenant_path(name));
    let data_bytes = part(context, &mut client, (&path, &label), (&mut keep, DATA)).await?;
    let release = settings.release.map(|release| release.id);
    if let Some(id) = release {
        let path = format!("{}/releases/{}/save", tenant_path(name), id.0);
        let label = format!("{id} of {name}");
        part(context, &mut client, (&path, &label), (&mut keep, RELEASE)).await?;
    }
    let bytes = keep.finish()?;
    let serves = release.map_or_else(|| "no release".to_owned(), |id| id.to_string());
    let what = format!("{} with {serves}, {} of data and its settings", ByteSize(bytes), ByteSize(data_bytes));
    if out {
        context.ui.note(&format!("{name} is kept: {what}"));
        return Ok(());
    }
    let done = Done { tenant: name, to, bytes, data_bytes, release };
    Ok(context.ui.result(&done, |_| {
        format!(
            "{name} is kept in {}: {what}\n  values of variables are in it: keep it as a secret\n",
            to.display()
        )
    })?)
}

/// Fetches an archive into it: how many bytes that were.
async fn part(
    context: &Context,
    client: &mut Client,
    (path, label): (&str, &str),
    (keep, name): (&mut Keep, &'static str),
) -> Result<u64, Failure> {
    let waiting = context.ui.spinner(&format!("copying {label}"));
    let (bytes, body) = client.save(path).await?;
    drop(waiting);
    let bar = context.ui.bar(&format!("fetching {label}"), bytes.unwrap_or_default());
    let mut part = keep.part(name, bytes)?;
    receive(client, body, &bar, |piece| part.take(piece)).await?;
    Ok(part.finish()?)
}

/// What was made.
#[derive(Debug, Serialize)]
struct Restored {
    tenant: Tenant,
    data: DataReplaced,
    urls: Vec<String>,
    /// What stands in the backup and was not made.
    left_out: Vec<String>,
}

pub(super) async fn restore(context: &Context, args: &Restore) -> Result<(), Failure> {
    let kept = Kept::open(&args.from)?;
    let wanted = Wanted::of(kept.settings(), args);
    let mut client = context.client()?;
    let Backup { runtime, command, limits, .. } = kept.settings().clone();
    let new = NewTenant { name: wanted.name.clone(), runtime, domains: vec![], command, limits };
    let _: Tenant = client.post("/v1/tenants", &new).await?;
    let making = fill(context, &mut client, &kept, &wanted);
    let made = tokio::select! {
        made = making => made,
        _ = tokio::signal::ctrl_c() => Err(Aborted::Cancelled(client.job()).into()),
    };
    let data = made.map_err(|failure| unfinished(&wanted.name, failure))?;
    let tenant: Tenant = client.get(&tenant_path(&wanted.name)).await?;
    let named = tenant.domains.iter().filter(|domain| !domain.is_wildcard());
    let urls = named.map(|domain| client.host().page_url(domain)).collect();
    let restored = Restored { tenant, data, urls, left_out: wanted.left_out };
    Ok(context.ui.result(&restored, words)?)
}

/// What is made of a backup.
struct Wanted {
    name: TenantName,
    domains: Vec<NewDomain>,
    redirects: Vec<NewRedirect>,
    jobs: Vec<kennel_model::cron::NewJob>,
    scale: Scale,
    left_out: Vec<String>,
}

impl Wanted {
    /// Beside the original nothing is taken from it, and nothing done twice.
    fn of(settings: &Backup, args: &Restore) -> Self {
        let name = args.name.clone().unwrap_or_else(|| settings.name.clone());
        let is_copy = name != settings.name;
        let Backup { domains, redirects, jobs, scale, .. } = settings.clone();
        let given: Vec<_> =
            args.domain.iter().map(|domain| NewDomain { domain: domain.clone(), strip: false }).collect();
        let mut left_out = Vec::new();
        let mut unless = |left: bool, count: usize, what: &str| {
            if left && count > 0 {
                left_out.push(format!(
                    "{count} {what}{}",
                    match (count, what) {
                        (1, _) => "",
                        (_, "process") => "es",
                        _ => "s",
                    }
                ));
            }
        };
        let others = is_copy || !given.is_empty();
        unless(others, domains.len(), "domain");
        unless(others, redirects.len(), "redirect");
        unless(is_copy, jobs.len(), "job");
        unless(is_copy, scale.len(), "process");
        Self {
            name,
            domains: if others { given } else { domains },
            redirects: if others { vec![] } else { redirects },
            jobs: if is_copy { vec![] } else { jobs },
            scale: Scale { processes: if is_copy { BTreeMap::default() } else { scale } },
            left_out,
        }
    }
}

/// Everything, in the order in which nobody finds half of it: what the program needs, the program, and then who asks for it.
async fn fill(
    context: &Context,
    client: &mut Client,
    kept: &Kept,
    wanted: &Wanted,
) -> Result<DataReplaced, Failure> {
    let (settings, name) = (kept.settings(), &wanted.name);
    let path = |what: &str| format!("{}/{what}", tenant_path(name));
    if !settings.env.is_empty() {
        let wish = ChangeEnv { set: settings.env.clone(), unset: vec![] };
        let _: EnvChanged = client.post(&path("env"), &wish).await?;
    }
    for rule in &settings.egress {
        let _: api::EgressChange = client.post(&path("egress"), rule).await?;
    }
    if let Some(page) = &settings.page {
        client.put_only(&path("page"), &PageText { html: page.clone().into() }).await?;
    }
    let data = kept.data()?;
    let bar = context.ui.bar(&format!("sending data, to {name}"), data.bytes());
    let to = (Method::PUT, &*path("data"), ARCHIVE);
    let data = send_stream(client, to, move |out| data.write(out), (&bar, "the host puts it in place")).await?;
    drop(bar);
    if let (Some(files), Some(release)) = (kept.release()?, &settings.release) {
        let bar = context.ui.bar(&format!("deploying {}, to {name}", release.id), files.bytes());
        let wish = Wish::of_kept(release).path(name, None);
        let to = (Method::POST, &*wish, ARCHIVE);
        let settling = (&bar, "the host unpacks and tries it");
        let _: Deployed = send_stream(client, to, move |out| files.write(out), settling).await?;
    }
    if !wanted.scale.processes.is_empty() {
        let _: Vec<Process> = client.post(&path("processes"), &wanted.scale).await?;
    }
    for job in &wanted.jobs {
        let _: Job = client.post(&path("cron"), job).await?;
    }
    for domain in &wanted.domains {
        let _: DomainChange = client.post(&path("domains"), domain).await?;
    }
    for redirect in &wanted.redirects {
        let _: RedirectChange = client.post(&path("redirects"), redirect).await?;
    }
    Ok(data)
}

/// What came so far is left, for whoever wants to see why.
fn unfinished(name: &TenantName, failure: Failure) -> Failure {
    let again = format!("`kennel tenant rm {name}` takes away what is there of it, for another try");
    let hint = match failure.hint {
        Some(hint) => format!("{hint}; {again}"),
        None => again,
    };
    Failure {
        message: format!("{name} is made, but not whole: {}", failure.message),
        hint: Some(hint),
        ..failure
    }
}

fn words(restored: &Restored) -> String {
    let Restored { tenant, data, urls, left_out } = restored;
    let serves = tenant.current.map_or_else(|| "has no release".to_owned(), |id| format!("{id} serves"));
    let mut text = format!(
        "{} is restored: {serves}, {} of data in {} files and folders\n",
        tenant.name,
        ByteSize(data.bytes),
        data.entries
    );
    if !left_out.is_empty() {
        text.push_str(&format!("  left out: {}\n", left_out.join(", ")));
    }
    for url in urls {
        text.push_str(&format!("  {url}\n"));
    }
    if tenant.domains.is_empty() {
        text.push_str(&format!("  it has no domain: kennel domain add {} blog.example.com\n", tenant.name));
    }
    text
}

#[cfg(test)]
mod tests {
    use kennel_model::cron::NewJob;

    use super::*;

    fn settings() -> Backup {
        let domain = |text: &str| NewDomain { domain: text.parse().unwrap(), strip: false };
        let job = serde_json::json!({"schedule": "@daily", "command": ["node", "x"]});
        let job: NewJob = serde_json::from_value(job).unwrap();
        let domains = vec![domain("a.test"), domain("b.test")];
        Backup { domains, jobs: vec![job], ..crate::backup::tests::settings(false) }
    }

    #[test]
    fn a_copy_takes_nothing_from_the_original() {
        let wanted = |name: Option<&str>, domains: &[&str]| {
            let args = Restore {
                from: "x".into(),
                name: name.map(|name| name.parse().unwrap()),
                domain: domains.iter().map(|domain| domain.parse().unwrap()).collect(),
            };
            let Wanted { name, domains, jobs, left_out, .. } = Wanted::of(&settings(), &args);
            let domains: Vec<_> = domains.iter().map(|new| new.domain.as_str().to_owned()).collect();
            (name.to_string(), domains.join(" "), jobs.len(), left_out.join(", "))
        };
        let told =
            |name: &str, domains: &str, jobs, left: &str| (name.into(), domains.into(), jobs, left.into());
        assert_eq!(wanted(None, &[]), told("blog", "a.test b.test", 1, ""));
        assert_eq!(wanted(Some("blog"), &[]), told("blog", "a.test b.test", 1, ""));
        assert_eq!(wanted(None, &["c.test"]), told("blog", "c.test", 1, "2 domains"));
        assert_eq!(wanted(Some("copy"), &[]), told("copy", "", 0, "2 domains, 1 job, 1 process"));
        assert_eq!(wanted(Some("copy"), &["c.test"]), told("copy", "c.test", 0, "2 domains, 1 job, 1 process"));
    }
}
