//! The commands: they put the parts together and decide what is said. Each returns when it is done or with a failure that
//! `main` shows.

mod hosts;
mod look;
mod publish;

use crate::args::{Cli, Command, Gc, Share, Target, Verify, Where};
use crate::aws::{Aws, Grant};
use crate::exit::{Exit, Failure};
use crate::image::Image;
use crate::manage::{self, ManageError};
use crate::state::State;
use crate::ui::Ui;
use crate::{iam, time};

/// Carries out what was typed.
///
/// # Errors
/// [`Failure`], to be shown.
pub async fn execute(cli: Cli, ui: Ui) -> Result<(), Failure> {
    match cli.command {
        Command::Publish(args) => interruptible(publish::publish(ui, &args)).await,
        Command::Ls(place) => look::ls(ui, &place).await,
        Command::Show(target) => look::show(ui, &target).await,
        Command::Verify(args) => verify(ui, &args).await,
        Command::Copy(args) => publish::copy(ui, &args).await,
        Command::Share(args) => share(ui, &args).await,
        Command::Deprecate(args) => {
            let aws = connect(&args.target.place).await;
            let ami = manage::ours(&aws, &args.target.ami).await?;
            let at = aws.deprecate_image(&ami.id, args.after).await?;
            ui.note(&format!("{} is deprecated from {at} on", ami.id));
            ui.result(&serde_json::json!({ "ami": ami.id, "deprecated": at }), "")
        }
        Command::Disable(target) => disable(ui, &target).await,
        Command::Rm(target) => rm(ui, &target).await,
        Command::Gc(args) => gc(ui, &args).await,
        Command::Launch(args) => interruptible(hosts::launch(ui, &args)).await,
        Command::Hosts(place) => hosts::hosts(ui, &place).await,
        Command::Host(command) => interruptible(hosts::host(ui, &command)).await,
        Command::Policy { roles } => {
            let policy = iam::policy(&roles);
            ui.result(&policy, &serde_json::to_string_pretty(&policy).unwrap_or_default())
        }
    }
}

/// Ends like the commands of a shell that are interrupted do, but says that nothing is lost.
async fn interruptible(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => Err(Failure {
            code: "interrupted",
            message: "interrupted".to_owned(),
            hint: Some("the same command goes on where this one stopped".to_owned()),
            exit: Exit::Failed,
        }),
    }
}

async fn connect(place: &Where) -> Aws {
    Aws::connect(&place.region).await
}

async fn verify(ui: Ui, args: &Verify) -> Result<(), Failure> {
    let image = Image::open(&args.image)?;
    let aws = connect(&args.target.place).await;
    let verdict = manage::verify(&aws, &args.target.ami, &image, ui).await?;
    if verdict.differing.is_empty() {
        let line = format!("{} is this image: {} blocks read and compared", verdict.ami, verdict.read);
        return ui.result(&verdict, &line);
    }
    if ui.is_json() {
        ui.result(&verdict, "")?;
    }
    Err(ManageError::Differs { ami: verdict.ami, blocks: verdict.differing }.into())
}

async fn share(ui: Ui, args: &Share) -> Result<(), Failure> {
    let aws = connect(&args.target.place).await;
    let ami = manage::ours(&aws, &args.target.ami).await?;
    let grants = grants(&args.with, args.public);
    aws.grant(&ami.id, &grants, !args.remove).await?;
    let verb = if args.remove { "no longer" } else { "now" };
    ui.note(&format!("{} may {verb} be launched by {}", ami.id, names(&grants)));
    ui.result(&serde_json::json!({ "ami": ami.id, "given": !args.remove, "to": grants }), "")
}

/// Who is meant by these options.
fn grants(accounts: &[String], public: bool) -> Vec<Grant> {
    let accounts = accounts.iter().cloned().map(Grant::Account);
    accounts.chain(public.then_some(Grant::Public)).collect()
}

fn names(grants: &[Grant]) -> String {
    let name = |grant: &Grant| match grant {
        Grant::Public => "everyone".to_owned(),
        Grant::Account(name) | Grant::Other(name) => name.clone(),
    };
    grants.iter().map(name).collect::<Vec<_>>().join(", ")
}

async fn disable(ui: Ui, target: &Target) -> Result<(), Failure> {
    let aws = connect(&target.place).await;
    let ami = manage::ours(&aws, &target.ami).await?;
    aws.disable_image(&ami.id).await?;
    ui.note(&format!("{} can no longer be launched", ami.id));
    ui.result(&serde_json::json!({ "ami": ami.id, "state": "disabled" }), "")
}

async fn rm(ui: Ui, target: &Target) -> Result<(), Failure> {
    let aws = connect(&target.place).await;
    let snapshot = manage::remove(&aws, &target.ami).await?;
    let with = snapshot.as_ref().map(|id| format!(" and {id}")).unwrap_or_default();
    ui.note(&format!("removed {}{with}", target.ami));
    ui.result(&serde_json::json!({ "removed": target.ami, "snapshot": snapshot }), "")
}

async fn gc(ui: Ui, args: &Gc) -> Result<(), Failure> {
    let aws = connect(&args.place).await;
    let found = manage::leftovers(&aws, &State::from_env()?, args.older_than).await?;
    let mut lines = String::new();
    for leftover in &found {
        let id = &leftover.snapshot.id;
        match leftover.kept {
            Some(why) => ui.note(&format!("{id} stays: {why}")),
            None if args.dry_run => lines += &format!("{id}\n"),
            None => {
                aws.delete_snapshot(id).await?;
                lines += &format!("{id}\n");
            }
        }
    }
    if lines.is_empty() {
        ui.note(&format!("nothing of ours is left over that is older than {}", time::show(args.older_than)));
    }
    let (gone, kept): (Vec<_>, Vec<_>) = found.iter().partition(|leftover| leftover.kept.is_none());
    let word = if args.dry_run { "removable" } else { "removed" };
    ui.result(&serde_json::json!({ word: gone, "kept": kept }), &lines)
}
