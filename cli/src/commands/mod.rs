//! The commands, one file each kind: they put the parts together and decide what is said. Each returns when it is done
//! or with a failure that `main` shows.

mod access;
mod account;
mod acme;
mod apart;
mod attest;
mod backup;
mod cert;
mod cron;
mod data;
mod denials;
mod deploy;
mod doctor;
mod egress;
mod env;
mod exec;
mod git;
mod host;
mod image;
mod jobs;
mod keys;
mod limits;
mod logs;
mod prove;
mod relay;
mod releases;
mod routing;
mod run;
mod runtimes;
mod scale;
mod shell;
mod stop;
mod tenant;
mod timeline;
mod token;
mod top;
mod traffic;
mod upload;
mod usage;
mod user_data;

use std::io;

pub use git::helper as git_helper;
use kennel_model::token::Secret;
use kennel_model::{HostName, TenantName, layout};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::args::{Cli, Command, Global, HostArg, PassedOn};
use crate::client::Client;
use crate::exit::{Explain, Failure};
use crate::hosts::{ApiUrl, HostBook, KnownHost};
use crate::paths::Paths;
use crate::pin::Fingerprint;
use crate::ui::{Narration, Ui};

/// The variable that has a token's secret, instead of signing in.
const TOKEN: &str = "KENNEL_TOKEN";

/// What every command is given.
struct Context {
    ui: Ui,
    paths: Paths,
    global: Global,
}

/// The runtime for network work could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare for network work: {0}")]
struct NoRuntime(io::Error);

impl Explain for NoRuntime {}

/// Carries out what was typed.
///
/// # Errors
/// [`Failure`], to be shown.
pub fn execute(cli: Cli, ui: Ui) -> Result<(), Failure> {
    let context = Context { ui, paths: Paths::from_env()?, global: cli.global };
    match cli.command {
        Command::Lock(args) => image::lock(&context, &args),
        Command::Build(args) => image::build(&context, &args),
        Command::Keys(command) => keys::keys(&context, &command),
        Command::Ami(PassedOn { arguments }) => apart::ami(&context.global, &[], &arguments),
        Command::Launch(PassedOn { arguments }) => apart::ami(&context.global, &["launch"], &arguments),
        Command::Hosts(PassedOn { arguments }) => apart::ami(&context.global, &["hosts"], &arguments),
        Command::UserData(command) => user_data::user_data(&context, &command),
        Command::Completions { shell } => shell::completions(&context, shell),
        Command::Man { folder } => shell::man(&context, &folder),
        Command::Relay(args) => relay::relay(&args),
        Command::Stop(args) => stop::stop(&context, &args),
        Command::Run(args) => block_on(run::run(&context, &args)),
        Command::Tenant(command) => block_on(tenant::tenant(&context, command)),
        Command::Deploy(args) => block_on(deploy::deploy(&context, &args)),
        Command::Git(command) => git::git(&context, &command),
        Command::Releases(args) => block_on(releases::releases(&context, &args.name)),
        Command::Rollback(args) => block_on(releases::rollback(&context, &args)),
        Command::Promote(args) => block_on(releases::promote(&context, &args)),
        Command::Runtimes => block_on(runtimes::runtimes(&context)),
        Command::Exec(args) => block_on(exec::exec(&context, &args)),
        Command::Scale(args) => block_on(scale::scale(&context, &args)),
        Command::Cron(command) => block_on(cron::cron(&context, command)),
        Command::Data(command) => block_on(data::data(&context, command)),
        Command::Backup(args) => block_on(backup::backup(&context, &args)),
        Command::Restore(args) => block_on(backup::restore(&context, &args)),
        Command::Env(command) => block_on(env::env(&context, command)),
        Command::Limits(args) => block_on(limits::limits(&context, &args)),
        Command::Logs(args) if args.access => block_on(access::access(&context, &args)),
        Command::Logs(args) => block_on(logs::logs(&context, &args)),
        Command::Traffic(args) => block_on(traffic::traffic(&context, &args)),
        Command::Top(args) => block_on(top::top(&context, &args)),
        Command::Usage(args) => block_on(usage::usage(&context, &args)),
        Command::Denials(args) => block_on(denials::denials(&context, &args)),
        Command::Prove(args) => block_on(prove::prove(&context, &args)),
        Command::Egress(args) => block_on(egress::egress(&context, &args)),
        Command::Domain(command) => block_on(routing::domain(&context, command)),
        Command::Redirect(command) => block_on(routing::redirect(&context, command)),
        Command::Maintenance(command) => block_on(routing::maintenance(&context, command)),
        Command::Pages(command) => block_on(routing::pages(&context, command)),
        Command::Acme(command) => block_on(acme::acme(&context, command)),
        Command::Cert(command) => block_on(cert::cert(&context, command)),
        Command::Account(command) => block_on(account::account(&context, command)),
        Command::Audit(args) => block_on(account::audit(&context, &args)),
        Command::Jobs(args) => block_on(jobs::jobs(&context, &args)),
        Command::Job(command) => block_on(jobs::job(&context, &command)),
        Command::Login => block_on(account::login(&context)),
        Command::Token(command) => block_on(token::token(&context, command)),
        Command::Host(command) => block_on(host::host(&context, command)),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(NoRuntime)?;
    let result = runtime.block_on(work);
    // A thread that still reads a file for an upload that was given up is not waited for.
    runtime.shutdown_background();
    result
}

impl Context {
    /// `POST` of a change, whose steps are shown as they come.
    async fn change<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        label: &str,
    ) -> Result<T, Failure> {
        let (mut waiting, mut told) = (self.ui.spinner(label), Narration::default());
        Ok(self.client()?.change(path, body, |job| waiting.tell(job, &mut told)).await?)
    }

    /// A client of the host that is meant.
    fn client(&self) -> Result<Client, Failure> {
        let secret = secret()?;
        let (name, host) = match (&self.global.host, &secret) {
            (Some(HostArg::At(url)), Some(secret)) => at(url, secret)?,
            (Some(HostArg::At(url)), None) => {
                return Err(Failure::usage(
                    format!("{url} alone does not say which certificate to trust"),
                    format!(
                        "KENNEL_TOKEN does, which `kennel token add` prints; or: kennel host add NAME {url}"
                    ),
                ));
            }
            (named, _) => {
                let book = HostBook::load(&self.paths.hosts_file())?;
                let named = match named {
                    Some(HostArg::Named(name)) => Some(name),
                    _ => None,
                };
                let (name, host) = book.resolve(named)?;
                (name.clone(), host.clone())
            }
        };
        let (paths, identity) = (self.paths.clone(), self.global.identity.clone());
        Ok(match secret {
            Some(secret) => Client::with_token(name, host, paths, &secret)?,
            None => Client::new(name, host, paths, identity),
        })
    }
}

/// The token in the environment; nobody sees an argument there.
fn secret() -> Result<Option<Secret>, Failure> {
    let Some(text) = std::env::var_os(TOKEN).filter(|text| !text.is_empty()) else { return Ok(None) };
    let secret = text.to_str().and_then(|text| text.trim().parse().ok());
    let hint = "copy all that `kennel token add` has printed, from kennel_ on; unset it to sign in with a key";
    secret.map(Some).ok_or_else(|| Failure::usage(format!("{TOKEN} is set, and is no token"), hint))
}

/// A host that nobody has made known here: its token says which certificate it has.
fn at(url: &ApiUrl, secret: &Secret) -> Result<(HostName, KnownHost), Failure> {
    // An IPv6 address in its brackets is no name.
    let name = url.host.to_ascii_lowercase().replace([':', '[', ']'], "-");
    let name =
        HostName::new(name.trim_matches('-')).map_err(|e| Failure::usage(e.to_string(), "use an address"))?;
    let host = KnownHost {
        url: url.clone(),
        fingerprint: Fingerprint::of_bytes(secret.certificate()),
        web_port: layout::HTTP_PORT,
        https_port: layout::HTTPS_PORT,
        tpm: None,
    };
    Ok((name, host))
}

fn tenant_path(name: &TenantName) -> String {
    format!("/v1/tenants/{name}")
}
