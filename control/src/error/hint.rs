//! What a person can do about each error.

use kennel_model::msg::Refusal;

use super::Error;
use crate::init::InitError;

impl Error {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::BadKey(_) => "use an Ed25519 key: ssh-keygen -t ed25519".into(),
            Self::SignInRequired => {
                "sign in again: the token is missing, too old, or from before a restart".into()
            }
            Self::SignInRefused => {
                "the key must be among [operator] ssh_keys of the host's user-data, and a challenge \
                is good once, for a minute"
                    .into()
            }
            Self::OutOfScope(..) => "sign in as an operator for anything else".into(),
            Self::TooManyWrong(left) => format!("try again in {} s", left.as_secs() + 1),
            Self::TokenExists(name) => {
                format!("choose another name, or `kennel token rm {name}`: its secret is not told again")
            }
            Self::NoSuchToken(_) | Self::TooManyTokens(_) => "`kennel token ls` lists them".into(),
            Self::BadCertificate(_) => {
                "it takes the chain in PEM, the site's own certificate first, and its key, not encrypted".into()
            }
            Self::NoSuchCertificate(_) | Self::TooManyCertificates(_) => "`kennel cert ls` lists them".into(),
            Self::AcmeTerms(_) => "read them, and say that you agree: `--agree-to-terms`".into(),
            Self::Acme(_) => "its directory is an https URL with port 443; `--ca-root FILE` names the root of one of your own".into(),
            Self::NotOrdered(..) => "`kennel acme status` says how every name stands".into(),
            Self::NoSuchPath(_) => "all paths are in /v1/openapi.json".into(),
            Self::Method { allow, .. } => format!("it takes {allow}"),
            Self::NoSuchTenant(_) => "`kennel tenant ls` lists the tenants".into(),
            Self::TenantExists(_) => "choose another name, or remove it first".into(),
            Self::DomainTaken { .. } => "each domain belongs to one tenant only".into(),
            Self::NoSuchDomain(_, name) => {
                format!("`kennel domain ls {name}` and `kennel redirect ls {name}` list what it has")
            }
            Self::TooManyDomains(..) => "a wildcard such as *.example.com stands for many".into(),
            Self::InvalidRedirect(_) => "`kennel redirect ls` lists those there are".into(),
            Self::TooManyPages => "make them smaller; the same page for several tenants counts once".into(),
            Self::InvalidMaintenance(_) => "see `kennel maintenance on --help`".into(),
            Self::Oversold(_) => {
                "reserve less, or take back what others have: `kennel limits NAME --reserve-memory 0 --reserve-cpu 0`"
                    .into()
            }
            Self::NoFreeSlot(_) => "remove a tenant, or build an image with more slots".into(),
            Self::Busy(..) | Self::TpmBusy | Self::Init(InitError::Refused(Refusal::Busy(_))) => {
                "try again when it is done".into()
            }
            Self::NoTpm => "`kennel run --tpm` gives it one; on EC2, an AMI of `kennel ami publish` and an \
                instance type with NitroTPM do"
                .into(),
            Self::Needed(name, _) => {
                format!("try again, or `kennel tenant stop {name}`, which waits for nobody")
            }
            Self::NotDeployed(name) => format!("`kennel deploy {name} FOLDER` brings the first"),
            Self::InvalidEnv(_) => "see `kennel env set --help`".into(),
            Self::NoSuchVariable(name, _) => format!("`kennel env ls {name}` lists those there are"),
            Self::AlreadyServes(name, _) => format!("`kennel releases {name}` lists the others that are kept"),
            Self::NoSuchRelease(_, _, kept) if kept.is_empty() => return None,
            Self::NoSuchRelease(_, _, kept) => format!("it has {}", list(kept)),
            Self::NothingEarlier(name, _) => {
                format!("`kennel releases {name}` lists what is kept; `--to N` switches to a newer one")
            }
            Self::DoesNotStart { log, .. } if log.is_empty() => "it has printed nothing".into(),
            Self::DoesNotStart { log, .. } => format!("the end of its log:\n  {}", log.join("\n  ")),
            Self::BeingRemoved(name) => format!("`kennel tenant rm {name}` tries to finish it"),
            Self::NoSuchRuntime(_, known) => format!("it has {}", list(known)),
            Self::InvalidRule(_, hint) => return hint.clone(),
            Self::NoSuchRule(name, _) => format!("`kennel egress {name}` lists them"),
            Self::UploadRefused(_) => {
                "the release that served before still does; nothing of the upload is left".into()
            }
            Self::UploadBroken(_) => "deploy again: nothing of the upload is left".into(),
            Self::NoProgram { looked_for, .. } => {
                format!(
                    "looked for {} at the top; name the tenant's command if it is another",
                    list(looked_for)
                )
            }
            Self::NotActivated(..) => "deploy again, or restart the host: it then switches to it".into(),
            Self::Overloaded => "try again in a minute".into(),
            Self::Registry(_) | Self::Damaged(_) => "see the host's console; is the data volume full?".into(),
            _ => return None,
        };
        Some(text)
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
