//! `kennel releases`, `kennel rollback` and `kennel promote`: which releases are kept, and the ways back and forth between them.

use kennel_model::api::{Promote, Release, ReleaseState, Rollback, RolledBack, Source};
use kennel_model::{Domain, TenantName};

use super::{Context, tenant_path};
use crate::args::{self, ByteSize};
use crate::exit::Failure;
use crate::ui::{SafeLines, ago, table, until};

pub(super) async fn releases(context: &Context, name: &TenantName) -> Result<(), Failure> {
    let path = format!("{}/releases", tenant_path(name));
    let mut client = context.client()?;
    let releases: Vec<Release> = client.get(&path).await?;
    let url = |domain: &Domain| client.host().page_url(domain);
    Ok(context.ui.result(&releases, |releases| words(name, releases, url))?)
}

pub(super) async fn rollback(context: &Context, args: &args::Rollback) -> Result<(), Failure> {
    let name = &args.name;
    let label = format!("switching {name}, when what is wanted has shown that it runs");
    let path = format!("{}/rollback", tenant_path(name));
    let done: RolledBack = context.change(&path, &Rollback { to: args.to }, &label).await?;
    Ok(context.ui.result(&done, switched)?)
}

pub(super) async fn promote(context: &Context, args: &args::Promote) -> Result<(), Failure> {
    let name = &args.name;
    let label = format!("promoting a release of {name}");
    let path = format!("{}/promote", tenant_path(name));
    let done: RolledBack = context.change(&path, &Promote { release: args.release }, &label).await?;
    Ok(context.ui.result(&done, switched)?)
}

fn switched(done: &RolledBack) -> String {
    let RolledBack { from, release, tenant } = done;
    let (id, name, size) = (release.id, &tenant.name, ByteSize(release.bytes));
    format!(
        "release {id} of {name} serves: {size}\n  {from} is kept: `kennel rollback {name} --to {}` leads back to it\n",
        from.0
    )
}

fn words(name: &TenantName, releases: &[Release], url: impl Fn(&Domain) -> String) -> String {
    if releases.is_empty() {
        return format!("{name} has no release yet; bring one: kennel deploy {name} FOLDER\n");
    }
    let rows: Vec<[String; 8]> = releases
        .iter()
        .map(|release| {
            let state = word(release).to_owned();
            let command = release.command.join(" ");
            let size = ByteSize(release.bytes).to_string();
            let runtime = release.runtime.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            [
                release.id.to_string(),
                state,
                ago(release.created_at_s),
                release.by.clone(),
                size,
                runtime,
                release.source.as_ref().map_or_else(|| "-".to_owned(), from),
                command,
            ]
        })
        .collect();
    let mut text = table(["RELEASE", "STATE", "DEPLOYED", "BY", "SIZE", "RUNTIME", "COMMIT", "COMMAND"], &rows);
    for (release, beta) in releases.iter().filter_map(|release| Some((release.id, release.beta.as_ref()?))) {
        text.push_str(&format!(
            "{release} is shown at {}, gone {}; `kennel promote {name}` has it serve\n",
            url(&beta.domain),
            until(beta.until_s)
        ));
    }
    // A command is whatever somebody has typed.
    SafeLines::new(false).push(text.as_bytes()).join("\n") + "\n"
}

/// The beginning of its commit, and the branch or whatever it was.
fn from(source: &Source) -> String {
    let commit: String = source.commit.as_str().chars().take(10).collect();
    let name = source.name.as_ref().map(|name| name.as_str());
    let name = name.map(|name| name.strip_prefix("refs/heads/").unwrap_or(name));
    name.map_or_else(|| commit.clone(), |name| format!("{commit} {name}"))
}

const fn word(release: &Release) -> &'static str {
    match release.state {
        ReleaseState::Serving => "serving",
        ReleaseState::Trying => "trying",
        ReleaseState::Kept if release.beta.is_some() => "beta",
        ReleaseState::Kept => "kept",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::ReleaseId;
    use kennel_model::api::Beta;

    #[test]
    fn a_release_is_a_line_that_commands_no_terminal() {
        let release = |id, state| Release {
            id: ReleaseId(id),
            bytes: 2048,
            entries: 2,
            created_at_s: 0,
            by: "SHA256:me".into(),
            command: vec!["/usr/bin/node".into(), "\u{1b}[2J".into()],
            files: None,
            origin: None,
            beta: (id == 12).then(|| Beta { domain: "r12.blog.example".parse().unwrap(), until_s: 86_400 }),
            runtime: Some("node-24".parse().unwrap()),
            source: (id == 7).then(|| Source {
                commit: "0a".repeat(20).parse().unwrap(),
                name: Some("refs/heads/main".parse().unwrap()),
            }),
            state,
        };
        let url = |domain: &Domain| format!("https://{domain}/");
        let name = "blog".parse().unwrap();
        let text = words(&name, &[release(12, ReleaseState::Kept), release(7, ReleaseState::Serving)], url);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["RELEASE", "STATE", "DEPLOYED", "BY", "SIZE", "RUNTIME", "COMMIT", "COMMAND"]);
        assert_eq!(lines[1][..2], ["r12", "beta"]);
        let shown = "r12 is shown at https://r12.blog.example/, gone in 0 s; `kennel promote blog` has";
        assert!(text.contains(shown), "{text}");
        assert_eq!(lines[2][..2], ["r7", "serving"]);
        assert!(
            text.contains("SHA256:me  2K    node-24  0a0a0a0a0a main  /usr/bin/node")
                && text.contains("/usr/bin/node"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(words(&name, &[], url).contains("kennel deploy blog FOLDER"));
    }
}
