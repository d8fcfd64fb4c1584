//! `kennel host attest`: asks a host's TPM what has booted there, and says what follows. What is asked and believed is
//! `kennel-attest`'s; which TPM is whose, this computer remembers as it remembers certificates.

use std::path::Path;

use kennel_attest::{Challenge, EndorsementKey, Evidence, Expected, Fault, Finding, Verdict};
use kennel_model::HostName;
use kennel_model::api;
use kennel_model::tpm::{Answer, Hex};
use kennel_secureboot::KeyFolder;
use serde::Serialize;

use super::Context;
use crate::args::Attest;
use crate::client::{Client, ClientError};
use crate::exit::{Explain, Failure, FileError};
use crate::hosts::HostBook;
use crate::pin::Fingerprint;
use crate::ui::{fields, table};

impl Explain for Fault {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Manifest(_) => {
                Some("--manifest FILE names the manifest.json that `kennel build` left beside the image".into())
            }
            Self::Endorsement(_) => Some(
                "for EC2: aws ec2 get-instance-tpm-ek-pub --instance-id i-… --key-type rsa-2048 --key-format der \
                 --query KeyValue --output text"
                    .into(),
            ),
            _ => Some("do not trust this host with anything until it is clear why".into()),
        }
    }

    fn code(&self) -> String {
        match self {
            Self::Manifest(_) => "manifest",
            Self::Endorsement(_) => "endorsement-key",
            _ => "not-believed",
        }
        .to_owned()
    }
}

/// What speaks against the host although its answer is believed.
#[derive(Debug, thiserror::Error)]
enum Mismatch {
    #[error("host {host} has not booted {image} as it was built: {what}")]
    Boot { host: HostName, image: String, what: String },
    #[error("host {host} has the TPM {shown}, and not the one that it was known by, {known}")]
    AnotherTpm { host: HostName, shown: Fingerprint, known: Fingerprint },
    #[error("host {host} has the TPM {shown}, and not that of {file}, {given}")]
    NotGiven { host: HostName, shown: Fingerprint, file: String, given: Fingerprint },
}

impl Explain for Mismatch {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Boot { .. } => {
                "if another version of yours runs there, --manifest FILE names its manifest; else \
                                  launch the host anew from your image"
                    .into()
            }
            Self::AnotherTpm { .. } => "if you have replaced the machine, add --new-tpm".into(),
            Self::NotGiven { .. } => "is it the key of this very instance, of the type rsa-2048?".into(),
        })
    }

    fn code(&self) -> String {
        match self {
            Self::Boot { .. } => "not-as-built",
            Self::AnotherTpm { .. } | Self::NotGiven { .. } => "another-tpm",
        }
        .to_owned()
    }
}

/// How the TPM is known to be the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Trust {
    /// Its maker says so.
    Given,
    /// It is the one that was seen first.
    Remembered,
    /// It was never seen before.
    FirstUse,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    host: HostName,
    image: String,
    as_built: bool,
    tpm: Fingerprint,
    trust: Trust,
    registers: Vec<Finding>,
}

pub(super) async fn attest(context: &Context, args: &Attest) -> Result<(), Failure> {
    let expected = expected(args)?;
    let given = args.ek.as_deref().map(endorsement_key).transpose()?;
    let mut client = context.client()?;
    let spinner = context.ui.spinner("asking the TPM");
    let evidence = ask(&mut client).await?;
    drop(spinner);
    let host = client.name().clone();
    let (tpm, trust) = recognise(context, args, &client, &evidence, given.as_ref())?;
    let registers = expected.compare(&evidence);
    let differing = |finding: &&Finding| finding.verdict == Verdict::Differs;
    let what: Vec<String> =
        registers.iter().filter(differing).map(|f| format!("{} ({})", f.of, f.meaning)).collect();
    let report =
        Report { host: host.clone(), image: expected.image, as_built: what.is_empty(), tpm, trust, registers };
    context.ui.result(&report, |report| words(report, args.ek.as_deref()))?;
    if report.as_built {
        return Ok(());
    }
    Err(Mismatch::Boot { host, image: report.image, what: what.join("; ") }.into())
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(FileError::at("read", path))
}

/// What should be running there.
fn expected(args: &Attest) -> Result<Expected, Failure> {
    let file = read(&args.manifest).map_err(|error| Fault::Manifest(error.to_string()))?;
    let mut expected = Expected::read(&String::from_utf8_lossy(&file))?;
    if let Some(folder) = &args.secure_boot {
        expected.with_keys(kennel_secureboot::secure_boot_pcr(&KeyFolder::at(folder).enrolment()?));
    }
    Ok(expected)
}

fn endorsement_key(path: &Path) -> Result<EndorsementKey, Failure> {
    Ok(EndorsementKey::read(&read(path)?)?)
}

/// A quote that answers a new nonce over this very connection, by a key of the TPM that it names.
async fn ask(client: &mut Client) -> Result<Evidence, Failure> {
    let path = "/v1/host/attest";
    let nonce = kennel_attest::nonce();
    let answer = client.post(path, &api::Attest::Quote { nonce: Hex(nonce.to_vec()) }).await?;
    let Answer::Quote(quote) = answer else {
        return Err(Fault::Malformed("it is no quote".into()).into());
    };
    let binding = kennel_attest::binding(&nonce, client.host().fingerprint.bytes());
    let evidence = kennel_attest::check(&quote, &binding)?;
    let challenge = Challenge::new(&evidence)?;
    match client.post(path, &api::Attest::Activate(challenge.activation.clone())).await {
        Ok(Answer::Secret(secret)) => challenge.check(&secret)?,
        Ok(_) => return Err(Fault::Malformed("it is no secret".into()).into()),
        // What a TPM says to a credential that is not for its keys.
        Err(ClientError::Refused { problem, .. }) if problem.code == "tpm-failed" => {
            return Err(Fault::Secret.into());
        }
        Err(other) => return Err(other.into()),
    }
    Ok(evidence)
}

/// Whether it is the right TPM. The first one that a host shows is remembered.
fn recognise(
    context: &Context,
    args: &Attest,
    client: &Client,
    evidence: &Evidence,
    given: Option<&EndorsementKey>,
) -> Result<(Fingerprint, Trust), Failure> {
    let shown = Fingerprint::of_key(evidence.endorsement.der());
    let host = client.name().clone();
    if let (Some(given), Some(file)) = (given, &args.ek) {
        if *given == evidence.endorsement {
            return Ok((shown, Trust::Given));
        }
        let (file, given) = (file.display().to_string(), Fingerprint::of_key(given.der()));
        return Err(Mismatch::NotGiven { host, shown, file, given }.into());
    }
    match client.host().tpm {
        Some(known) if known == shown => Ok((shown, Trust::Remembered)),
        Some(known) if !args.new_tpm => Err(Mismatch::AnotherTpm { host, shown, known }.into()),
        _ => {
            let path = context.paths.hosts_file();
            let mut book = HostBook::load(&path)?;
            if let Some(entry) = book.hosts.get_mut(&host) {
                entry.tpm = Some(shown);
                book.save(&path)?;
            }
            Ok((shown, Trust::FirstUse))
        }
    }
}

fn words(report: &Report, ek: Option<&Path>) -> String {
    let verdict = if report.as_built { "has booted" } else { "has NOT booted" };
    let mark = |verdict| match verdict {
        Verdict::Same => "as built",
        Verdict::Differs => "DIFFERS",
        Verdict::NotPredicted => "unknown",
    };
    let row = |f: &Finding| {
        [f.register.to_string(), f.of.to_owned(), mark(f.verdict).to_owned(), f.meaning.to_owned()]
    };
    let rows: Vec<[String; 4]> = report.registers.iter().map(row).collect();
    let trust = match report.trust {
        Trust::Given => format!("it is the one of {}", ek.unwrap_or(Path::new("--ek")).display()),
        Trust::Remembered => "it is the one that this host was known by".to_owned(),
        Trust::FirstUse => {
            "a TPM says so: which one was not known before, and is remembered now. That it is real and \
                            this machine's, its maker can tell (--ek)"
                .to_owned()
        }
    };
    format!(
        "host {} {verdict} {} as it was built\n\n{}\n{}",
        report.host,
        report.image,
        table(["REGISTER", "OF", "IS", "WHICH MEANS"], &rows),
        fields(&[("tpm", report.tpm.to_string()), ("", trust)])
    )
}
