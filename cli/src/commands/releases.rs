//! `kennel releases` and `kennel rollback`: which releases are kept, and the way back to one of them.

use kennel_model::TenantName;
use kennel_model::api::{Release, ReleaseState, Rollback, RolledBack};

use super::{Context, tenant_path};
use crate::args::{self, ByteSize};
use crate::exit::Failure;
use crate::ui::{SafeLines, ago, table};

pub(super) async fn releases(context: &Context, name: &TenantName) -> Result<(), Failure> {
    let path = format!("{}/releases", tenant_path(name));
    let releases: Vec<Release> = context.client()?.get(&path).await?;
    Ok(context.ui.result(&releases, |releases| words(name, releases))?)
}

pub(super) async fn rollback(context: &Context, args: &args::Rollback) -> Result<(), Failure> {
    let name = &args.name;
    let waiting = context.ui.spinner(&format!("switching {name}, when what is wanted has shown that it runs"));
    let path = format!("{}/rollback", tenant_path(name));
    let done: Result<RolledBack, _> = context.client()?.post(&path, &Rollback { to: args.to }).await;
    drop(waiting);
    Ok(context.ui.result(&done?, |done| {
        let RolledBack { from, release, tenant } = done;
        format!(
            "release {} of {} serves: {}\n  {from} is kept: `kennel rollback {name} --to {}` leads back to it\n",
            release.id,
            tenant.name,
            ByteSize(release.bytes),
            from.0,
        )
    })?)
}

fn words(name: &TenantName, releases: &[Release]) -> String {
    if releases.is_empty() {
        return format!("{name} has no release yet; bring one: kennel deploy {name} FOLDER\n");
    }
    let rows: Vec<[String; 6]> = releases
        .iter()
        .map(|release| {
            let state = word(release.state).to_owned();
            let command = release.command.join(" ");
            let size = ByteSize(release.bytes).to_string();
            [release.id.to_string(), state, ago(release.created_at_s), release.by.clone(), size, command]
        })
        .collect();
    let text = table(["RELEASE", "STATE", "DEPLOYED", "BY", "SIZE", "COMMAND"], &rows);
    // A command is whatever somebody has typed.
    SafeLines::new(false).push(text.as_bytes()).join("\n") + "\n"
}

const fn word(state: ReleaseState) -> &'static str {
    match state {
        ReleaseState::Serving => "serving",
        ReleaseState::Trying => "trying",
        ReleaseState::Kept => "kept",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::ReleaseId;

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
            state,
        };
        let name = "blog".parse().unwrap();
        let text = words(&name, &[release(12, ReleaseState::Kept), release(7, ReleaseState::Serving)]);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["RELEASE", "STATE", "DEPLOYED", "BY", "SIZE", "COMMAND"]);
        assert_eq!(lines[1][..2], ["r12", "kept"]);
        assert_eq!(lines[2][..2], ["r7", "serving"]);
        assert!(text.contains("SHA256:me  2K") && text.contains("/usr/bin/node"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(words(&name, &[]).contains("kennel deploy blog FOLDER"));
    }
}
