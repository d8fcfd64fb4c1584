//! `kennel cert`: the certificates that sites are shown with.

use std::path::Path;

use kennel_model::certificate::{Certificate, NewCertificate};
use kennel_model::{CertificateName, HostName};

use super::Context;
use crate::args::CertCommand;
use crate::exit::{Failure, FileError};
use crate::ui::{remaining, table};

const PATH: &str = "/v1/certificates";
/// Names that a row of the table shows.
const NAMES_SHOWN: usize = 3;

pub(super) async fn cert(context: &Context, command: CertCommand) -> Result<(), Failure> {
    match command {
        CertCommand::Add { chain, key } => add(context, &chain, &key).await,
        CertCommand::Ls => ls(context).await,
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
    let certificates: Vec<Certificate> = context.client()?.get(PATH).await?;
    Ok(context.ui.result(&certificates, |certificates| {
        if certificates.is_empty() {
            return "no certificates; show one: kennel cert add fullchain.pem privkey.pem\n".into();
        }
        let rows: Vec<[String; 4]> = certificates
            .iter()
            .map(|c| [c.name.to_string(), others(&c.names), remaining(c.not_after_s), c.issuer.clone()])
            .collect();
        table(["NAME", "ALSO FOR", "EXPIRES", "ISSUER"], &rows)
    })?)
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
