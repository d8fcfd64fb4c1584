//! `kennel denials`: what was denied, in words, and what is denied from now on.

use std::time::Duration;

use kennel_model::api;

use super::{Context, tenant_path};
use crate::args::Denials;
use crate::client::Documents;
use crate::exit::Failure;
use crate::ui::{SafeLines, ago};

/// Without a line, when not following.
const STALL: Duration = Duration::from_secs(60);

pub(super) async fn denials(context: &Context, args: &Denials) -> Result<(), Failure> {
    let mut client = context.client()?;
    let of = args.name.as_ref().map_or_else(|| "/v1".to_owned(), tenant_path);
    let path = format!("{of}/denials?lines={}&follow={}", args.lines, args.follow);
    let mut documents = Documents::new(client.name().clone(), client.stream(&path).await?);
    if args.follow {
        return follow(context, &mut documents).await;
    }
    let mut known: Vec<api::Denial> = Vec::new();
    while let Some(denial) = documents.next(Some(STALL)).await? {
        known.push(denial);
    }
    if known.is_empty() {
        context.ui.note("nothing was denied");
    }
    Ok(context.ui.result(&known, |known| known.iter().map(line).collect())?)
}

/// Until Ctrl-C. There is no telling how long nothing is denied.
async fn follow(context: &Context, documents: &mut Documents) -> Result<(), Failure> {
    loop {
        let next = tokio::select! {
            next = documents.next::<api::Denial>(None) => next?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(denial) = next else { return Ok(()) };
        let text = if context.ui.json() { format!("{}\n", serde_json::json!(denial)) } else { line(&denial) };
        context.ui.raw(text.as_bytes())?;
    }
}

/// One denied act as a line, harmless to the terminal whatever a tenant calls its files.
pub(super) fn line(denial: &api::Denial) -> String {
    let times = if denial.count == 1 { String::new() } else { format!(" ({} times)", denial.count) };
    let text = format!("{:<11}  {}{times}\n", ago(denial.last_at_s), denial.sentence);
    SafeLines::new(false).push(text.as_bytes()).concat() + "\n"
}
