//! `kennel deploy`: sends a folder as a tenant's new release, and of it only what the host does not have. The old one serves
//! until the host says that the new one is complete, so that giving up at any time changes nothing.

use std::sync::Arc;

use kennel_model::backup::KeptRelease;
use kennel_model::listing::Listing;
use kennel_model::{Domain, ReleaseId, RuntimeName, TenantName, api};
use serde::Serialize;

use super::upload::{Aborted, Unsent, send};
use super::{Context, tenant_path};
use crate::args::{ByteSize, Deploy};
use crate::client::Client;
use crate::deploy::{Contents, Counts, Delta, Parcel, Source};
use crate::exit::Failure;
use crate::git::{Fetched, Remote, Tree};
use crate::ui::{SafeLines, until};

/// What is smaller is sent as it is: to ask what the host has would cost as much.
const WORTH_ASKING: u64 = 64 << 10;
/// Names of what was left out that are shown.
const SHOWN: usize = 8;

/// What `--json` prints.
#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    deployed: &'a api::Deployed,
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    travelled: Travelled,
}

/// What it took to bring the release there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Travelled {
    /// Bytes that went out to the host, TLS and all, from the first of this command on.
    sent_bytes: u64,
    /// Bytes of the files that there are, or of the archive.
    of_bytes: u64,
    /// The release that the host has most of it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    onto: Option<ReleaseId>,
    /// How much has changed since that one.
    #[serde(flatten)]
    counts: Option<Counts>,
}

pub(super) async fn deploy(context: &Context, args: &Deploy) -> Result<(), Failure> {
    let client = context.client()?;
    let Some(remote) = Remote::of(&args.source) else {
        let source = Source::of(&args.source)?;
        return release(context, client, &args.name, &Wish::of(args), source).await;
    };
    context.ui.note(&format!("fetching {remote}"));
    let Fetched { tree, source } = tokio::select! {
        // Ctrl-C ends git too.
        fetched = tokio::task::spawn_blocking(move || remote.fetch()) => fetched.map_err(std::io::Error::other).map_err(Aborted::Reading)??,
        _ = tokio::signal::ctrl_c() => return Err(Aborted::Cancelled(None).into()),
    };
    let wish = Wish { source: Some(source), ..Wish::of(args) };
    release_of(context, client, &args.name, &wish, &tree).await
}

/// Makes a release of a commit.
pub(super) async fn release_of(
    context: &Context,
    client: Client,
    name: &TenantName,
    wish: &Wish,
    tree: &Tree,
) -> Result<(), Failure> {
    let (plan, note) = tree.plan()?;
    if let Some(note) = note {
        context.ui.warn(&note);
    }
    let done = release(context, client, name, wish, Source::Folder(plan)).await;
    done.map_err(|failure| tree.told(failure))
}

/// Makes a release of it, and says what has become of that.
pub(super) async fn release(
    context: &Context,
    mut client: Client,
    name: &TenantName,
    wish: &Wish,
    source: Source,
) -> Result<(), Failure> {
    let source = Arc::new(source);
    // Tells early whether the tenant is there, what it may hold, and that the session is good.
    let tenant: api::Tenant = client.get(&tenant_path(name)).await?;
    source.check(&tenant.limits)?;
    let left_out = source.left_out();
    let brought = tokio::select! {
        brought = bring(context, &mut client, (&tenant, wish), &source) => brought?,
        _ = tokio::signal::ctrl_c() => return Err(Aborted::Cancelled(client.job()).into()),
    };
    let (deployed, onto, counts) = brought;
    let travelled = Travelled { sent_bytes: client.sent(), of_bytes: source.bytes(), onto, counts };
    let url = |domain: &Domain| client.host().page_url(domain);
    let urls = match &deployed.release.beta {
        Some(beta) => vec![url(&beta.domain)],
        None => deployed.tenant.domains.iter().filter(|domain| !domain.is_wildcard()).map(url).collect(),
    };
    Ok(context.ui.result(&Done { deployed: &deployed, urls, left_out, travelled }, words)?)
}

/// A release, what it builds on, and how much of it has changed since.
type Brought = (api::Deployed, Option<ReleaseId>, Option<Counts>);

/// What has changed, if that will do, or all of it.
async fn bring(
    context: &Context,
    client: &mut Client,
    (tenant, wish): (&api::Tenant, &Wish),
    source: &Arc<Source>,
) -> Result<Brought, Failure> {
    let name = &tenant.name;
    if let Some((onto, delta)) = delta(context, client, tenant, source).await? {
        let counts = delta.counts();
        let parcel = Parcel::Changed(Arc::clone(source), delta, onto);
        let label = format!("deploying {} of {} files, to {name}", counts.changed, counts.files);
        let bar = context.ui.bar(&label, parcel.bytes());
        match send(client, &wish.path(name, Some(onto)), parcel, &bar).await {
            Ok(deployed) => return Ok((deployed, Some(onto), Some(counts))),
            Err(Unsent::Failed(failure)) => return Err(failure),
            Err(Unsent::Unfit(onto, why)) => {
                context.ui.note(&format!("{onto} cannot be built on, so all of it is sent: {why}"));
            }
        }
    }
    let label = format!("deploying {}, to {name}", source.words());
    let bar = context.ui.bar(&label, source.bytes());
    match send(client, &wish.path(name, None), Parcel::Whole(Arc::clone(source)), &bar).await {
        Ok(deployed) => Ok((deployed, None, None)),
        Err(Unsent::Failed(failure)) => Err(failure),
        Err(Unsent::Unfit(_, why)) => Err(Aborted::Reading(std::io::Error::other(why)).into()),
    }
}

/// What has changed since the newest release that the host keeps; nothing where that is not known or not worth it.
async fn delta(
    context: &Context,
    client: &mut Client,
    tenant: &api::Tenant,
    source: &Arc<Source>,
) -> Result<Option<(ReleaseId, Delta)>, Failure> {
    let newest = tenant.releases.iter().map(|release| release.id).max();
    let Some(newest) = newest.filter(|_| source.plan().is_some() && source.bytes() > WORTH_ASKING) else {
        return Ok(None);
    };
    context.ui.note(&format!("looking for what has changed since {newest}"));
    let reading = Arc::clone(source);
    let reading =
        tokio::task::spawn_blocking(move || reading.plan().map(Contents::of).transpose().map(Option::flatten));
    let path = format!("{}/releases/{}/files", tenant_path(&tenant.name), newest.0);
    let listed = client.listing(&path).await;
    let contents = reading.await.map_err(std::io::Error::other).flatten().map_err(Aborted::Reading)?;
    match (listed, contents) {
        (Ok(listing), Some(contents)) => Ok(worth_it(&listing, &contents).map(|delta| (newest, delta))),
        (Err(cause), Some(_)) => {
            context.ui.note(&format!("what {newest} holds is not known, so all of it is sent: {cause}"));
            Ok(None)
        }
        (_, None) => Ok(None),
    }
}

/// What has changed, unless that is all of it.
fn worth_it(listing: &Listing, contents: &Contents) -> Option<Delta> {
    let delta = Delta::between(listing, contents);
    (delta.counts().changed < delta.counts().files).then_some(delta)
}

/// What is wanted of the release.
#[derive(Debug, Default)]
pub(super) struct Wish {
    command: Vec<String>,
    runtime: Option<RuntimeName>,
    /// Where it is shown; empty for the usual place.
    beta: Option<String>,
    /// The commit that it is made from.
    source: Option<api::Source>,
    /// Nothing is fetched for it.
    prebuilt: bool,
}

impl Wish {
    fn of(args: &Deploy) -> Self {
        let beta = args.beta.as_ref().map(|at| at.as_ref().map_or_else(String::new, ToString::to_string));
        let command = args.command.as_ref().map_or_else(Vec::new, |words| words.0.clone());
        Self { command, runtime: args.runtime.clone(), beta, source: None, prebuilt: args.no_build }
    }

    /// Of a commit, to be shown at the usual place, or to serve.
    pub(super) fn of_commit(source: api::Source, beta: bool) -> Self {
        Self { beta: beta.then(String::new), source: Some(source), ..Self::default() }
    }

    /// Of a release that was kept, as far as whoever deployed it had wishes.
    pub(super) fn of_kept(kept: &KeptRelease) -> Self {
        let KeptRelease { runtime, command, source, .. } = kept.clone();
        Self { command, runtime: Some(runtime), beta: None, source, prebuilt: true }
    }

    /// Where it is sent to, with what it builds on.
    pub(super) fn path(&self, name: &TenantName, onto: Option<ReleaseId>) -> String {
        let path = format!("{}/releases", tenant_path(name));
        let words = self.command.iter().map(|word| ("command", word.clone()));
        let onto = onto.map(|onto| ("onto", onto.0.to_string()));
        let runtime = self.runtime.as_ref().map(|name| ("runtime", name.to_string()));
        let beta = self.beta.clone().map(|at| ("beta", at));
        let mut query = form_urlencoded::Serializer::new(String::new());
        let commit = self.source.as_ref().map(|source| ("commit", source.commit.to_string()));
        let named = self.source.as_ref().and_then(|source| Some(("ref", source.name.as_ref()?.to_string())));
        let build = self.prebuilt.then(|| ("build", "no".to_owned()));
        let all = words.chain(onto).chain(runtime).chain(beta).chain(build).chain(commit).chain(named);
        match query.extend_pairs(all).finish().as_str() {
            "" => path,
            query => format!("{path}?{query}"),
        }
    }
}

fn words(done: &Done<'_>) -> String {
    let api::Deployed { release, tenant, notes, ready_ms } = done.deployed;
    let does = if release.beta.is_some() { "is shown" } else { "serves" };
    let mut text = format!("release {} of {} {does}: {}\n", release.id, tenant.name, ByteSize(release.bytes));
    if let Some(ms) = ready_ms {
        let then = if release.beta.is_some() { "" } else { ", then it took over" };
        text.push_str(&format!("  tried: ready {:.1} s after its start{then}\n", f64::from(*ms) / 1e3));
    }
    let why = release.origin.map(|origin| format!(" ({})", origin.words())).unwrap_or_default();
    text.push_str(&match release.command.as_slice() {
        [] => format!("  runs: nothing, its files are answered{why}\n"),
        words => format!("  runs: {}{why}\n", words.join(" ")),
    });
    text.push_str(&format!("  {}\n", done.travelled));
    for note in notes {
        text.push_str(&format!("  {note}\n"));
    }
    if !done.left_out.is_empty() {
        text.push_str(&format!("  left out by .gitignore: {}\n", listed(&done.left_out)));
    }
    for url in &done.urls {
        text.push_str(&format!("  {url}\n"));
    }
    if let Some(beta) = &release.beta {
        text.push_str(&format!(
            "  gone {}, unless `kennel promote {}` has it serve; {} serves on\n",
            until(beta.until_s),
            tenant.name,
            tenant.current.map_or_else(String::new, |id| id.to_string())
        ));
    }
    if release.beta.is_some() {
        return safe(&text);
    }
    for domain in tenant.domains.iter().filter(|domain| domain.is_wildcard()) {
        text.push_str(&format!("  {domain}\n"));
    }
    if tenant.domains.is_empty() {
        text.push_str("  it has no domain yet, so nobody can reach it\n");
    }
    safe(&text)
}

/// Commands and names of files are whatever somebody has written.
fn safe(text: &str) -> String {
    SafeLines::new(false).push(text.as_bytes()).join("\n") + "\n"
}

impl std::fmt::Display for Travelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sent = format!("{} sent of {}", ByteSize(self.sent_bytes), ByteSize(self.of_bytes));
        let Some(Counts { files, changed, moved, gone }) = self.counts else {
            return write!(f, "all of it is sent: {}", ByteSize(self.sent_bytes));
        };
        if changed + moved + gone == 0 {
            return write!(f, "none of {files} files changed: {sent}");
        }
        let moved = if moved > 0 { format!(", {moved} moved") } else { String::new() };
        let gone = if gone > 0 { format!(", {gone} gone") } else { String::new() };
        write!(f, "{changed} of {files} files changed{moved}{gone}: {sent}")
    }
}

/// The first of the names, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_travels_in_the_query() {
        let name = "blog".parse().unwrap();
        let words = ["node", "my app.js", "a=b&c", "$PORT"].map(str::to_owned);
        let expected =
            "/v1/tenants/blog/releases?command=node&command=my+app.js&command=a%3Db%26c&command=%24PORT";
        let (wish, none) = (Wish { command: words.into(), ..Wish::default() }, Wish::default());
        assert_eq!(
            (wish.path(&name, None).as_str(), none.path(&name, None).as_str()),
            (expected, "/v1/tenants/blog/releases")
        );
        let onto = Some(ReleaseId(7));
        assert_eq!(wish.path(&name, onto), format!("{expected}&onto=7"));
        assert_eq!(none.path(&name, onto), "/v1/tenants/blog/releases?onto=7");
        let moved = Wish { runtime: Some("python-3.13".parse().unwrap()), ..Wish::default() };
        assert_eq!(moved.path(&name, None), "/v1/tenants/blog/releases?runtime=python-3.13");
        let whole = Wish { prebuilt: true, ..Wish::default() };
        assert_eq!(whole.path(&name, onto), "/v1/tenants/blog/releases?onto=7&build=no");
        let (commit, main) = ("0a".repeat(20), Some("refs/heads/main".parse().unwrap()));
        let source = api::Source { commit: commit.parse().unwrap(), name: main };
        let pushed = Wish::of_commit(source, true).path(&name, None);
        assert_eq!(pushed, format!("/v1/tenants/blog/releases?beta=&commit={commit}&ref=refs%2Fheads%2Fmain"));
        let shown = |at: &str| Wish { beta: Some(at.to_owned()), ..Wish::default() }.path(&name, None);
        assert_eq!(
            [shown(""), shown("next.example.com")],
            ["/v1/tenants/blog/releases?beta=", "/v1/tenants/blog/releases?beta=next.example.com"]
        );
    }

    #[test]
    fn what_travelled_is_told_in_a_line() {
        let told =
            |counts| Travelled { sent_bytes: 12_700, of_bytes: 21_076_378, onto: None, counts }.to_string();
        let counts = Counts { files: 3000, ..Counts::default() };
        assert_eq!(told(None), "all of it is sent: 12.4K");
        assert_eq!(told(Some(counts)), "none of 3000 files changed: 12.4K sent of 20.1M");
        let counts = Counts { changed: 1, ..counts };
        assert_eq!(told(Some(counts)), "1 of 3000 files changed: 12.4K sent of 20.1M");
        let counts = Counts { moved: 2, gone: 3, ..counts };
        assert_eq!(told(Some(counts)), "1 of 3000 files changed, 2 moved, 3 gone: 12.4K sent of 20.1M");
    }

    #[test]
    fn of_many_names_some_are_listed() {
        let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        assert_eq!(listed(&names[..2]), "0, 1");
        assert_eq!(listed(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
    }
}
