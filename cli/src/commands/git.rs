//! `git push` to a host, and `kennel git setup`. Git calls this program, asks what the host has and says what it pushes; that is
//! written out and deployed as a folder is, and git prints for each ref what has become of it. Standard output is git's.

use std::io;
use std::process::Command;

use kennel_model::api::{self, ReleaseState, Source};
use serde::Serialize;

use super::deploy::{Wish, release_of};
use super::{Context, block_on, tenant_path};
use crate::args::{GitCommand, GitHelper, GitSetup, Global, HostArg};
use crate::exit::Failure;
use crate::git::{Address, Ask, GitError, HELPER, Installed, Place, Push, Repository, Talk, install, place};
use crate::hosts::HostBook;
use crate::paths::Paths;
use crate::ui::{SafeLines, Ui};

/// What is understood here; `fetch` only to say that there is nothing to.
const CAPABILITIES: [&str; 4] = ["option", "push", "fetch", "object-format"];
/// Letters of a reason that git prints beside a ref.
const REASON: usize = 200;

/// Answers git until it asks no more.
///
/// # Errors
/// [`Failure`], to be shown. A ref that is refused is none: git hears of it.
pub fn helper(args: GitHelper) -> Result<(), Failure> {
    let address: Address = args.url.parse().map_err(GitError::Address)?;
    let ui = Ui::new(&args.global).aside(false);
    let global = Global { host: address.host.clone().or(args.global.host.clone()), ..args.global };
    let context = Context { ui, paths: Paths::from_env()?, global };
    let helper = Helper { context, address, dry: false, formats: false };
    block_on(helper.serve(Talk::new(io::stdin().lock(), io::stdout().lock())))
}

struct Helper {
    context: Context,
    address: Address,
    /// Nothing is to be changed.
    dry: bool,
    /// It is to be said how objects are named.
    formats: bool,
}

impl Helper {
    async fn serve<R: io::BufRead, W: io::Write>(mut self, mut talk: Talk<R, W>) -> Result<(), Failure> {
        loop {
            match talk.ask()? {
                Ask::End => return Ok(()),
                Ask::Capabilities => talk.lines(&CAPABILITIES.map(str::to_owned))?,
                Ask::Option(name, value) => {
                    let known = self.option(&name, &value);
                    talk.word(if known { "ok" } else { "unsupported" })?;
                }
                Ask::List => talk.lines(&self.list().await?)?,
                Ask::Push(all) => {
                    let answers = self.push(&all).await?;
                    talk.lines(&answers)?;
                }
                Ask::Fetch => return Err(GitError::NothingToFetch.into()),
            }
        }
    }

    /// Whether it is known here.
    fn option(&mut self, name: &str, value: &str) -> bool {
        match name {
            "verbosity" => {
                let quiet = value.parse().is_ok_and(|level: i32| level < 1);
                self.context.ui = self.context.ui.aside(quiet);
            }
            "dry-run" => self.dry = value == "true",
            // A bar is shown where there is a terminal.
            "progress" => {}
            "object-format" => self.formats = true,
            _ => return false,
        }
        true
    }

    /// The commits that the host says it has: of what serves, and of what is shown.
    async fn list(&self) -> Result<Vec<String>, Failure> {
        let tenant: api::Tenant = self.context.client()?.get(&tenant_path(&self.address.tenant)).await?;
        // Somebody may ask from outside of a repository.
        let format = Repository::of_helper().and_then(|repository| repository.format());
        let (format, digits) = if format.is_ok_and(|f| f == "sha256") { ("sha256", 64) } else { ("sha1", 40) };
        let mut lines = if self.formats { vec![format!(":object-format {format}")] } else { vec![] };
        for release in &tenant.releases {
            let there = release.beta.is_some() || release.state == ReleaseState::Serving;
            let source = release.source.as_ref().filter(|_| there);
            if let Some(Source { commit, name: Some(name) }) = source
                && commit.as_str().len() == digits
                && !lines.iter().any(|line| line.ends_with(&format!(" {name}")))
            {
                lines.push(format!("{commit} {name}"));
            }
        }
        Ok(lines)
    }

    /// What has become of each.
    async fn push(&self, all: &[Push]) -> Result<Vec<String>, Failure> {
        let repository = Repository::of_helper()?;
        let branches = all.iter().filter(|push| push.source.is_some() && place(&push.name).is_ok()).count();
        let mut answers = Vec::new();
        for push in all {
            let refused = match (&push.source, place(&push.name)) {
                (_, Err(refused)) => Some(refused.to_string()),
                (None, Ok(_)) => Some(format!(
                    "a push removes nothing from a host; kennel tenant rm {} does",
                    self.address.tenant
                )),
                (Some(_), Ok(_)) if branches > 1 => Some("one branch at a time is deployed".to_owned()),
                (Some(_), Ok(_)) if self.dry => None,
                (Some(source), Ok(place)) => self.deploy(&repository, (source, &push.name), place).await.err(),
            };
            answers.push(match refused {
                None => format!("ok {}", push.name),
                Some(why) => format!("error {} {why}", push.name),
            });
        }
        Ok(answers)
    }

    /// Deploys a commit. What went wrong is shown, and its reason is for git.
    async fn deploy(&self, repository: &Repository, from: (&str, &str), place: Place) -> Result<(), String> {
        self.brought(repository, from, place).await.map_err(|failure| {
            self.context.ui.failure(&failure);
            reason(&failure.message)
        })
    }

    async fn brought(
        &self,
        repository: &Repository,
        (source, name): (&str, &str),
        place: Place,
    ) -> Result<(), Failure> {
        let client = self.context.client()?;
        let commit = repository.commit(source)?;
        let tree = repository.check_out(&commit)?;
        // A name that is not kept is only not listed again.
        let source = Source { commit, name: name.parse().ok() };
        let wish = Wish::of_commit(source, place == Place::Shown);
        release_of(&self.context, client, &self.address.tenant, &wish, &tree).await
    }
}

/// The first line of it, for a line of git's.
fn reason(message: &str) -> String {
    let lines = SafeLines::new(false).push(format!("{message}\n").as_bytes());
    let line = lines.first().map_or("", |line| line.trim_end_matches(':'));
    // Git reads what begins with a quote as quoted.
    let line = line.replace('"', "'");
    match line.char_indices().nth(REASON) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct SetUp<'a> {
    remote: &'a str,
    url: String,
    helper: Installed,
}

pub(super) fn git(context: &Context, command: &GitCommand) -> Result<(), Failure> {
    let GitCommand::Setup(args) = command;
    setup(context, args)
}

fn setup(context: &Context, args: &GitSetup) -> Result<(), Failure> {
    // By name, so that it leads to the same host tomorrow.
    let host = match &context.global.host {
        Some(host) => host.clone(),
        None => HostArg::Named(HostBook::load(&context.paths.hosts_file())?.resolve(None)?.0.clone()),
    };
    let url = Address { host: Some(host), tenant: args.tenant.clone() }.to_string();
    add_remote(&args.remote, &url)?;
    let done = SetUp { remote: &args.remote, url, helper: install()? };
    Ok(context.ui.result(&done, |done| words(done, args))?)
}

/// Adds it, unless it is there.
fn add_remote(name: &str, url: &str) -> Result<(), GitError> {
    let git = |args: &[&str]| Command::new("git").args(args).output().map_err(GitError::NoGit);
    let known = git(&["remote", "get-url", name])?;
    if known.status.success() {
        let there = String::from_utf8_lossy(&known.stdout).trim().to_owned();
        return match there == url {
            true => Ok(()),
            false => Err(GitError::Taken { name: name.to_owned(), url: there, wanted: url.to_owned() }),
        };
    }
    let added = git(&["remote", "add", name, url])?;
    let said = String::from_utf8_lossy(&added.stderr).trim().to_owned();
    if added.status.success() { Ok(()) } else { Err(GitError::Git { what: "remote add", said }) }
}

fn words(done: &SetUp<'_>, args: &GitSetup) -> String {
    let SetUp { remote, url, helper } = done;
    let mut text = format!("`git push {remote} main` deploys {}: {url}\n", args.tenant);
    let link = helper.link.display();
    if helper.made {
        text.push_str(&format!("  made {link}, which git calls\n"));
    }
    if !helper.in_path {
        let folder = helper.link.parent().map_or_else(String::new, |folder| folder.display().to_string());
        text.push_str(&format!("  git finds {HELPER} when its folder is in PATH: PATH={folder}:$PATH\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_git_takes_as_it_is() {
        assert_eq!(reason("it exited with code 3:\n  the log"), "it exited with code 3");
        assert_eq!(reason("\"x\" is bad\u{1b}[2J"), "'x' is bad");
        let long = reason(&"ä".repeat(300));
        assert_eq!((long.chars().count(), long.ends_with('…')), (201, true));
    }
}
