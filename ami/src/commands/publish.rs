//! `publish` and `copy`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{connect, grants};
use crate::args::{Copy, Parent, Publish};
use crate::aws::{Ami, Aws};
use crate::exit::Failure;
use crate::image::{Image, ImageError};
use crate::manage;
use crate::publish::dry::Extras;
use crate::publish::{Publisher, Stats, UefiData, may_start};
use crate::state::State;
use crate::ui::Ui;

/// A copy may take so long: AWS moves the whole snapshot.
const COPYING: Duration = Duration::from_secs(2 * 60 * 60);

/// An AMI in a region, as `--json` shows it.
#[derive(Serialize)]
struct Line {
    region: String,
    ami: String,
    snapshot: Option<String>,
    existing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Stats>,
}

pub(super) async fn publish(ui: Ui, args: &Publish) -> Result<(), Failure> {
    let deadline = Instant::now() + args.deadline;
    let image = Arc::new(open(&args.image).await?);
    ui.note(&format!("{} {}, digest {}", image.facts.name, image.facts.version, image.digest));
    let keys = match &args.uefi_data {
        Some(file) => Some(UefiData::read(file)?),
        None => UefiData::of_image(&image.facts, &args.image)?,
    };
    may_start(&image.facts, keys.as_ref())?;
    if keys.is_none() && image.facts.signed == Some(true) {
        ui.note("it is signed, but without --uefi-data instances start whatever is on their disk");
    }
    let state = State::from_env()?;
    let aws = connect(&args.place).await.until(deadline);
    let publisher = Publisher {
        aws: &aws,
        image: &image,
        key: args.encrypt.as_deref(),
        keys: keys.as_ref(),
        incremental: args.parent == Parent::Auto,
        data_gib: args.data_size,
        state: &state,
        ui,
    };
    if args.dry_run {
        let extras = Extras {
            copies: others(args).count(),
            share: args.public || !args.share.is_empty(),
            parameter: args.ssm.is_some(),
        };
        let plan = publisher.dry_run(extras).await?;
        return ui.result(&plan, &plan.lines());
    }
    ui.note(&format!("publishing to account {} in {}", aws.account().await?, aws.region()));
    let published = publisher.run().await?;
    finish(&aws, &published.ami, args, ui).await?;
    let mut lines = vec![Line::of(aws.region(), &published.ami, published.existing, published.upload)];
    for region in others(args) {
        let there = Aws::connect(region).await.until(deadline);
        let (copy, existing) = manage::copy(&published.ami, aws.region(), &there, ui).await?;
        finish(&there, &copy, args, ui).await?;
        lines.push(Line::of(region, &copy, existing, None));
    }
    say(ui, &lines)
}

/// The regions to copy to, which the region itself is not.
fn others(args: &Publish) -> impl Iterator<Item = &String> {
    args.copy_to.iter().filter(|region| **region != args.place.region)
}

/// What is asked for in every region.
async fn finish(aws: &Aws, ami: &Ami, args: &Publish, ui: Ui) -> Result<(), Failure> {
    let grants = grants(&args.share, args.public);
    if !grants.is_empty() {
        aws.grant(&ami.id, &grants, true).await?;
        ui.note(&format!("{} may now be launched by {}", ami.id, super::names(&grants)));
    }
    if let Some(path) = &args.ssm {
        aws.put_parameter(path, &ami.id).await?;
        ui.note(&format!("{path} in {} is {}", aws.region(), ami.id));
    }
    Ok(())
}

pub(super) async fn copy(ui: Ui, args: &Copy) -> Result<(), Failure> {
    let aws = connect(&args.target.place).await;
    let ami = manage::ours(&aws, &args.target.ami).await?;
    let mut lines = Vec::new();
    for region in &args.to {
        let there = Aws::connect(region).await.until(Instant::now() + COPYING);
        let (copy, existing) = manage::copy(&ami, aws.region(), &there, ui).await?;
        lines.push(Line::of(region, &copy, existing, None));
    }
    say(ui, &lines)
}

impl Line {
    fn of(region: &str, ami: &Ami, existing: bool, upload: Option<Stats>) -> Self {
        Self {
            region: region.to_owned(),
            ami: ami.id.clone(),
            snapshot: ami.snapshot.clone(),
            existing,
            upload,
        }
    }
}

/// Standard output is exactly the ids, one line for each region.
fn say(ui: Ui, lines: &[Line]) -> Result<(), Failure> {
    let ids: String = lines.iter().map(|line| format!("{}\n", line.ami)).collect();
    ui.result(&serde_json::json!({ "images": lines }), &ids)
}

/// Reads the image where it does not hold up anything else.
async fn open(path: &Path) -> Result<Image, ImageError> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || Image::open(&owned)).await;
    read.map_err(|error| ImageError::Io { path: path.to_owned(), cause: std::io::Error::other(error) })?
}
