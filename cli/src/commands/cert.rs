//! `kennel cert`: the certificates that sites are shown with.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use kennel_model::acme::{Acme, AcmeName, NameState};
use kennel_model::certificate::{Certificate, NewCertificate};
use kennel_model::{CertificateName, HostName};

use super::{Context, acme};
use crate::args::CertCommand;
use crate::exit::{Failure, FileError};
use crate::ui::{SafeLines, remaining, table};

const PATH: &str = "/v1/certificates";
/// Names that a row of the table shows.
const NAMES_SHOWN: usize = 3;

pub(super) async fn cert(context: &Context, command: CertCommand) -> Result<(), Failure> {
    match command {
        CertCommand::Add { chain, key } => add(context, &chain, &key).await,
        CertCommand::Ls => ls(context).await,
        CertCommand::Retry { name } => acme::retry(context, &name).await,
        CertCommand::Rm { name } => rm(context, &name).await,
    }
}

async fn add(context: &Context, chain: &Path, key: &Path) -> Result<(), Failure> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(FileError::at("read", path));
    let wish = NewCertificate { chain_pem: read(chain)?, key_pem: read(key)? };
    let mut client = context.client()?;
    let added: Certificate = client.post(PATH, &wish).await?;
    let host = client.host().clone();
    Ok(context.ui.result(&added, |added| {
        let names = added.names.iter().filter_map(|name| HostName::new(name.as_str()).ok());
        let urls: String = names.map(|name| format!("  {}\n", host.https_url(&name))).collect();
        let names = added.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let lasts = remaining(added.not_after_s);
        format!("certificate {} is shown for {names}; it expires {lasts}\n{urls}", added.name)
    })?)
}

async fn ls(context: &Context) -> Result<(), Failure> {
    let mut client = context.client()?;
    let certificates: Vec<Certificate> = client.get(PATH).await?;
    let now: Acme = client.get(acme::PATH).await?;
    Ok(context.ui.result(&certificates, |certificates| {
        let rows = rows(certificates, &now);
        if rows.is_empty() {
            return "no certificates; show one: kennel cert add fullchain.pem privkey.pem\n\
                    or have domains get them by themselves: kennel acme on --email ops@example.com\n"
                .into();
        }
        let text = table(["NAME", "ALSO FOR", "FROM", "EXPIRES", "NEXT", "ISSUER", "TROUBLE"], &rows);
        // Authorities' words, and what made them say so, are strangers'.
        SafeLines::new(false).push(text.as_bytes()).join("\n") + "\n"
    })?)
}

/// A row for each certificate, and one for each domain that is to have one.
fn rows(certificates: &[Certificate], now: &Acme) -> Vec<[String; 7]> {
    let none = || "-".to_owned();
    let ordered = |name: &str| now.names.iter().find(|n| n.name.as_str() == name);
    let has = |c: &Certificate| {
        let (from, next, trouble) = match &c.acme {
            None => ("you".to_owned(), none(), unrenewed(c)),
            Some(by) => {
                let state = ordered(c.name.as_str());
                let next = state.and_then(|n| n.next_s).map_or_else(none, |at| when("renewed", at));
                let error = state.and_then(|n| n.error.clone()).or_else(|| unrenewed(c));
                (acme::authority(&by.directory).to_owned(), next, error)
            }
        };
        let expires = remaining(c.not_after_s);
        [
            c.name.to_string(),
            others(&c.names),
            from,
            expires,
            next,
            c.issuer.clone(),
            trouble.unwrap_or_else(none),
        ]
    };
    let has_none = |n: &AcmeName| {
        let next = n.next_s.map_or_else(none, |at| when("ordered", at));
        let trouble = n.error.clone().or_else(|| now.trouble.clone()).unwrap_or_else(none);
        [n.name.to_string(), none(), acme::state(n.state).to_owned(), none(), next, none(), trouble]
    };
    let wanted = |n: &&AcmeName| {
        now.directory.is_some()
            && matches!(n.state, NameState::Waiting | NameState::Ordering | NameState::Failed)
    };
    certificates.iter().map(has).chain(now.names.iter().filter(wanted).map(has_none)).collect()
}

/// What nobody has renewed in time.
fn unrenewed(certificate: &Certificate) -> Option<String> {
    certificate.is_expiring(now_s()).then(|| "nobody has renewed it".to_owned())
}

/// `renewed in 3 days`
fn when(what: &str, at_s: u64) -> String {
    format!("{what} {}", acme::soon(at_s))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// The names after the first.
fn others(names: &[CertificateName]) -> String {
    let rest = names.get(1..).unwrap_or_default();
    let shown: Vec<_> = rest.iter().take(NAMES_SHOWN).map(ToString::to_string).collect();
    match rest.len().saturating_sub(NAMES_SHOWN) {
        0 if shown.is_empty() => "-".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

async fn rm(context: &Context, name: &CertificateName) -> Result<(), Failure> {
    context.client()?.delete(&format!("{PATH}/{name}")).await?;
    context.ui.note(&format!("certificate {name} is not shown any more, and its key is gone"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_cut() {
        let names = |n: usize| -> Vec<CertificateName> {
            (0..n).map(|n| CertificateName::new(format!("n{n}.example")).unwrap()).collect()
        };
        assert_eq!(others(&names(1)), "-");
        assert_eq!(others(&names(3)), "n1.example, n2.example");
        assert_eq!(others(&names(6)), "n1.example, n2.example, n3.example and 2 more");
    }
}
