//! `kennel acme`: certificates that the host orders by itself.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use kennel_model::HostName;
use kennel_model::acme::{Acme, AcmeName, Authority, LETS_ENCRYPT, LETS_ENCRYPT_STAGING, NameState, NewAcme};

use super::Context;
use crate::args::AcmeCommand;
use crate::exit::{Failure, FileError};
use crate::ui::{SafeLines, remaining, table};

pub(super) const PATH: &str = "/v1/acme";

pub(super) async fn acme(context: &Context, command: AcmeCommand) -> Result<(), Failure> {
    match command {
        AcmeCommand::On { email, directory, staging, ca_root, agree_to_terms } => {
            let directory = if staging { AcmeCommand::staging().to_owned() } else { directory };
            let read = |path: &Path| std::fs::read_to_string(path).map_err(FileError::at("read", path));
            let roots_pem = ca_root.as_deref().map(read).transpose()?;
            let authority = Authority { directory, roots_pem };
            let wish = NewAcme { authority, email, terms_agreed: agree_to_terms };
            let now: Acme = context.client()?.put(PATH, &wish).await?;
            Ok(context.ui.result(&now, words)?)
        }
        AcmeCommand::Status => {
            let now: Acme = context.client()?.get(PATH).await?;
            Ok(context.ui.result(&now, words)?)
        }
        AcmeCommand::Off => {
            context.client()?.delete(PATH).await?;
            context.ui.note("nothing is ordered any more; certificates are shown until they expire");
            Ok(())
        }
    }
}

/// Orders a name now.
pub(super) async fn retry(context: &Context, name: &HostName) -> Result<(), Failure> {
    let _: Acme = context.client()?.post(&format!("{PATH}/{name}"), &serde_json::json!({})).await?;
    context.ui.note(&format!("{name} is ordered now; see `kennel cert ls`"));
    Ok(())
}

/// The authority by a name that people know.
pub(super) fn authority(directory: &str) -> &str {
    match directory {
        LETS_ENCRYPT => "Let's Encrypt",
        LETS_ENCRYPT_STAGING => "Let's Encrypt (staging: trusted by no browser)",
        other => other,
    }
}

fn words(acme: &Acme) -> String {
    let Some(directory) = &acme.directory else {
        return "ACME is off; turn it on: kennel acme on --email ops@example.com\n".into();
    };
    let mut text = format!("certificates are ordered from {}\n", authority(directory));
    if let Some(email) = &acme.email {
        text += &format!("it writes to {email}\n");
    }
    if let (Some(until), Some(trouble)) = (acme.paused_until_s, &acme.trouble) {
        text += &format!("nothing is asked now, it goes on {}: {trouble}\n", soon(until));
    }
    if acme.names.is_empty() {
        text += "no tenant has a domain\n";
        return text;
    }
    let row = |n: &AcmeName| {
        let next = n.next_s.map_or_else(|| "-".to_owned(), soon);
        let error = n.error.clone().unwrap_or_else(|| "-".to_owned());
        [n.name.to_string(), n.tenant.to_string(), state(n.state).to_owned(), next, error]
    };
    let rows: Vec<_> = acme.names.iter().map(row).collect();
    text += &table(["DOMAIN", "TENANT", "CERTIFICATE", "NEXT ORDER", "LAST ERROR"], &rows);
    // What an authority says of an error, strangers may have had a part in.
    SafeLines::new(false).push(text.as_bytes()).join("\n") + "\n"
}

/// `now`, `in 12 min`, `in 3 h`, `in 40 days`
pub(super) fn soon(at_s: u64) -> String {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    match at_s.saturating_sub(now_s) {
        0 => "now".into(),
        s @ 1..7200 => format!("in {} min", s.div_ceil(60)),
        _ => remaining(at_s),
    }
}

/// How a name stands.
pub(super) const fn state(state: NameState) -> &'static str {
    match state {
        NameState::Own => "your own",
        NameState::Issued => "issued",
        NameState::Waiting => "to be ordered",
        NameState::Ordering => "being ordered",
        NameState::Failed => "failed",
        NameState::Local => "none for such a name",
    }
}
