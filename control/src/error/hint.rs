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
                "sign in again: the token is missing, unknown, too old, or from before a restart".into()
            }
            Self::SignInRefused => {
                "the key must be among [operator] ssh_keys of the host's user-data or an account's \
                (`kennel account ls`), and a challenge is good once, for a minute"
                    .into()
            }
            Self::OutOfScope(..) => "make one for it, or sign in with a key for what tokens may not".into(),
            Self::TokenExpired(name) => {
                format!("make another: `kennel token rm {name}`, then `kennel token add {name} …`")
            }
            Self::TokenRevoked(_) => "make another with `kennel token add`, or ask an operator for one".into(),
            Self::RoleTooLow(_, _, least) => format!("ask {} of this host; docs/accounts.md says who may what", least.one()),
            Self::NotYourTenant(..) => "`kennel tenant ls` lists those that you may see".into(),
            Self::TooManyStreams(_) => "end some: `kennel logs -f` and the like read one each".into(),
            Self::InvalidAccount(_) => "see `kennel account add --help`".into(),
            Self::InvalidToken(_) => "see `kennel token add --help`".into(),
            Self::AccountExists(name) => {
                format!("`kennel account set {name}` gives it other rights, `kennel account key add {name}` a key")
            }
            Self::NoSuchAccount(_) | Self::TooManyAccounts(_) => "`kennel account ls` lists them".into(),
            Self::KeyTaken(..) => "a key signs one in: make another with ssh-keygen -t ed25519".into(),
            Self::NoSuchKey(..) | Self::TooManyKeys(_) => "`kennel account ls` lists them".into(),
            Self::TooManyWrong(left) => format!("try again in {} s", left.as_secs() + 1),
            Self::TokenExists(name) => {
                format!("choose another name, or `kennel token rm {name}`: its secret is not told again")
            }
            Self::NoSuchToken(_) | Self::TooManyTokens(_) => "`kennel token ls` lists them".into(),
            Self::InvalidJob(_) => "see `kennel cron add --help`".into(),
            Self::InvalidScale(_) => "see `kennel scale --help`".into(),
            Self::NoSuchProcess(name, _, known) if known.is_empty() => {
                format!("a line of its Procfile makes one: `worker: node worker.js`; `kennel scale {name}` lists them")
            }
            Self::NoSuchProcess(_, _, known) => format!("it has {}", list(known)),
            Self::NoSuchJob(name, _) | Self::TooManyJobs(name) => format!("`kennel cron ls {name}` lists them"),
            Self::UnknownJob(_) => "`kennel jobs` lists those that are known, `kennel audit` all".into(),
            Self::BadCertificate(_) => {
                "it takes the chain in PEM, the site's own certificate first, and its key, not encrypted".into()
            }
            Self::NoSuchCertificate(_) | Self::TooManyCertificates(_) => "`kennel cert ls` lists them".into(),
            Self::AcmeTerms(_) => "read them, and say that you agree: `--agree-to-terms`".into(),
            Self::Acme(_) => "its directory is an https URL with port 443; `--ca-root FILE` names the root of one of your own".into(),
            Self::NotOrdered(..) => "`kennel acme status` says how every name stands".into(),
            Self::Failsafe => "`kennel host doctor` says why, and what can be done".into(),
            Self::NoSuchSnapshot(_) => "`kennel host doctor` lists them".into(),
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
            Self::NeverReleased(name, _, newest) if newest.0 == 0 => format!("`kennel deploy {name} FOLDER` brings the first"),
            Self::NeverReleased(_, _, newest) => format!("the newest was {newest}"),
            Self::NoLines(name, _, None) => format!("the log of {name} is empty"),
            Self::NoLines(_, _, Some(first)) => format!("its first line is of {first}"),
            Self::NothingEarlier(name, _) => {
                format!("`kennel releases {name}` lists what is kept; `--to N` switches to a newer one")
            }
            Self::NothingNewer(name, _) => {
                format!("`kennel deploy {name} FOLDER --beta` brings one; `kennel releases {name}` lists what is kept")
            }
            Self::NoTrial(name) => format!("`kennel limits {name} --trial on`, if its program can run twice"),
            Self::RunsThere(..) => "`kennel runtimes` lists the others".into(),
            Self::NotMovable { to, .. } => {
                format!("`kennel deploy --runtime {to}` brings a release for it; a rollback leads back to this one")
            }
            Self::Build { log, .. } => format!(
                "`kennel egress` says where it may connect to, and no script of a package is run; the end of what it printed:\n  {}",
                log.join("\n  ")
            ),
            Self::DoesNotStart { log, .. } | Self::NotReady { log, .. } | Self::ReleaseCommand { log, .. } if log.is_empty() => {
                "it has printed nothing".into()
            }
            Self::DoesNotStart { log, .. } | Self::NotReady { log, .. } | Self::ReleaseCommand { log, .. } => format!("the end of its log:\n  {}", log.join("\n  ")),
            Self::BeingRemoved(name) => format!("`kennel tenant rm {name}` tries to finish it"),
            Self::NoSuchRuntime(_, known) => format!("it has {}", list(known)),
            Self::InvalidRule(_, hint) => return hint.clone(),
            Self::NoSuchRule(name, _) => format!("`kennel egress {name}` lists them"),
            Self::UploadRefused(_) => {
                "the release that served before still does; nothing of the upload is left".into()
            }
            Self::BasisDiffers(_) => "send the whole archive: nothing of the upload is left".into(),
            Self::NotSaved(_) => "what is written to all the time can be saved when nobody runs: `kennel maintenance on NAME`, `kennel tenant stop NAME`, and `kennel maintenance off NAME` afterwards".into(),
            Self::DataRefused(_) => "the data is what it was; nothing of the upload is left".into(),
            Self::UploadBroken(_) => "send it again: nothing of the upload is left".into(),
            Self::NoProgram { looked_for, clue, .. } => {
                let clue = clue.as_ref().map(|clue| format!("{clue}; ")).unwrap_or_default();
                format!(
                    "{clue}looked for kennel.toml, Procfile, package.json, {}, one static program and index.html at the top; \
                     `kennel deploy --command '…'` says it as well",
                    list(looked_for)
                )
            }
            Self::NotRunnable { .. } => {
                "say it otherwise: `kennel deploy --command 'node server.js'`, or `[app]` with `command = [\"node\", \
                 \"server.js\"]` in a file kennel.toml"
                    .into()
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
