//! The command line as one definition: help, man pages and completions all come from here. What the commands do
//! is in `commands`; this file only says what a person may type.

mod account;
mod acme;
mod backup;
mod cert;
mod cron;
mod data;
mod denials;
mod egress;
mod env;
mod exec;
mod git;
mod host;
mod image;
mod jobs;
mod limit_values;
mod limits;
mod local;
mod release;
mod routing;
mod scale;
mod seeing;
mod size;
mod tenant;
mod token;
mod user_data;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ColorChoice, Parser, Subcommand};

pub use account::{AccountCommand, AccountKeyCommand, Audit, RightsArgs};
pub use acme::AcmeCommand;
pub use backup::{BackupOf, Restore};
pub use cert::CertCommand;
pub use cron::CronCommand;
pub use data::DataCommand;
pub use denials::{Denials, Prove};
pub use egress::{Egress, EgressAct};
pub use env::EnvCommand;
pub use exec::Exec;
pub use git::{GitCommand, GitHelper, GitSetup};
pub use host::{Attest, HostAdd, HostArg, HostCommand, RepairArgs};
pub use image::{Build, KeysCommand, Lock};
pub use jobs::{JobCommand, Jobs};
pub use limit_values::After;
pub use limits::{LimitArgs, LimitsOf};
pub use local::{AccelChoice, DiskBus, Relay, Run, Stop};
pub use release::{Promote, Releases, Rollback};
pub use routing::{DomainCommand, MaintenanceCommand, PagesCommand, RedirectCommand};
pub use scale::ScaleOf;
pub use seeing::{SortKey, Top, Traffic, Usage};
pub use size::ByteSize;
pub use tenant::{AccessFormat, Deploy, Logs, TenantAdd, TenantCommand};
pub use token::{ScopeChoice, TokenAdd, TokenCommand};
pub use user_data::UserDataCommand;

const AFTER_HELP: &str = "\
A first tour:
  kennel lock && kennel build
  kennel run --detach
  kennel tenant add blog --runtime node-24 --domain blog.localhost
  kennel deploy blog examples/node-hello
  kennel logs blog -f

Exit codes:
  0   done
  1   failed: something is broken or out of reach; trying again may help
  2   refused: the host was asked and said no (no such tenant, name taken, upload refused, …)
  64  bad usage";

/// Small, strictly separated homes for small web programs on one host.
#[derive(Debug, Parser)]
#[command(name = "kennel", version, after_help = AFTER_HELP, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// Print one JSON document on standard output, and errors as JSON on standard error
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Host to speak to, by its name in `kennel host ls`, or with KENNEL_TOKEN by its address [default: the one used last]
    #[arg(long, global = true, env = "KENNEL_HOST", value_name = "NAME|URL", help_heading = "Global options")]
    pub host: Option<HostArg>,
    /// SSH key to sign in with: a private key, or a .pub file whose private half is in ssh-agent
    #[arg(
        long,
        global = true,
        env = "KENNEL_IDENTITY",
        value_name = "KEYFILE",
        help_heading = "Global options"
    )]
    pub identity: Option<PathBuf>,
    /// When to use colours; `auto` honours NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    pub color: ColorChoice,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Resolve kennel.toml into kennel.lock: every package with version, size and hash
    Lock(Lock),
    /// Build the disk image from kennel.toml and kennel.lock
    Build(Build),
    /// Make keys for Secure Boot
    #[command(subcommand, after_help = "Example:\n  kennel keys new keys")]
    Keys(KeysCommand),
    /// Boot the image on this computer, in QEMU
    Run(Run),
    /// Shut down what `kennel run` started
    Stop(Stop),
    /// Join standard input and output with an address: what `kennel run --imds` has QEMU start
    #[command(hide = true)]
    Relay(Relay),
    /// Add, list, show, start, stop and remove tenants
    #[command(subcommand, after_help = "Example:\n  kennel tenant ls")]
    Tenant(TenantCommand),
    /// Upload a folder as a tenant's new release
    Deploy(Deploy),
    /// Deploy by `git push`
    #[command(subcommand, after_help = "Example:\n  kennel git setup blog && git push kennel main")]
    Git(GitCommand),
    /// Show which releases of a tenant are kept: who brought them, when, what runs them
    Releases(Releases),
    /// Switch a tenant to an earlier release, or any other that is kept
    Rollback(Rollback),
    /// Have a newer release serve: one that `kennel deploy --beta` shows, or any other that is kept
    Promote(Promote),
    /// Show what programs can run on, and which tenants run on what
    #[command(after_help = "Example:\n  kennel runtimes")]
    Runtimes,
    /// Run a command once beside a tenant's program, with its files, variables, data and limits
    Exec(Exec),
    /// Run other processes of a release's Procfile beside its program, and show which run
    Scale(ScaleOf),
    /// Run commands of a tenant's by the clock
    #[command(subcommand, after_help = "Example:\n  kennel cron add blog '*/5 * * * *' -- node job.js")]
    Cron(CronCommand),
    /// Fetch and replace a tenant's data
    #[command(subcommand, after_help = "Example:\n  kennel data pull blog blog-data.tar")]
    Data(DataCommand),
    /// Keep a tenant in one file: its release, its data and its settings
    Backup(BackupOf),
    /// Make a tenant of such a file
    Restore(Restore),
    /// Set, unset and list variables of a tenant's program, such as its secrets
    #[command(subcommand, after_help = "Example:\n  kennel env set blog COLOUR=blue")]
    Env(EnvCommand),
    /// Show and change a tenant's limits, and when its program goes to sleep
    Limits(LimitsOf),
    /// Route host names, wildcards and paths to tenants
    #[command(subcommand, after_help = "Example:\n  kennel domain add blog '*.blog.example.com'")]
    Domain(DomainCommand),
    /// Send requests elsewhere
    #[command(
        subcommand,
        after_help = "Example:\n  kennel redirect add blog www.example.com https://example.com/ --keep-path"
    )]
    Redirect(RedirectCommand),
    /// Tell visitors that a tenant is being worked on
    #[command(subcommand, after_help = "Example:\n  kennel maintenance on blog --retry-after 30m")]
    Maintenance(MaintenanceCommand),
    /// Show pages of your own where the proxy answers for a program
    #[command(subcommand, after_help = "Example:\n  kennel pages set blog error.html")]
    Pages(PagesCommand),
    /// Show what tenants do and use, live
    Top(Top),
    /// Show what tenants have used in a month
    Usage(Usage),
    /// Show what a tenant's program printed, or the requests to it
    Logs(Logs),
    /// Show requests as they come, live
    Traffic(Traffic),
    /// Show what tenants and the host's own programs tried and were refused
    Denials(Denials),
    /// Try on a live host what is forbidden, as a tenant, and show that it is refused
    Prove(Prove),
    /// Show and change what a tenant may connect to
    Egress(Egress),
    /// See how a host is doing, and which hosts are known here
    #[command(subcommand, after_help = "Example:\n  kennel host status")]
    Host(HostCommand),
    /// Certificates that the host orders by itself (ACME): turn it on and off, see how it stands
    #[command(
        subcommand,
        after_help = "Example:\n  kennel acme on --email ops@example.com --staging --agree-to-terms"
    )]
    Acme(AcmeCommand),
    /// Show sites with TLS: bring, list and remove certificates
    #[command(subcommand, after_help = "Example:\n  kennel cert add fullchain.pem privkey.pem")]
    Cert(CertCommand),
    /// Let people in, with a role, some tenants and keys
    #[command(
        subcommand,
        after_help = "Example:\n  kennel account add ada --role deployer --tenant blog --key ~/.ssh/id_ed25519.pub"
    )]
    Account(AccountCommand),
    /// Show who changed what on the host, from where, and what came of it
    Audit(Audit),
    /// Show what is being changed on the host, and what was of late
    Jobs(Jobs),
    /// Show one change with its steps, or follow it to its end
    #[command(subcommand, after_help = "Example:\n  kennel jobs\n  kennel job show 41\n  kennel job follow 41")]
    Job(JobCommand),
    /// Sign in to the host, and show who one is there
    #[command(after_help = "\
Example:
  kennel login
  kennel login --host edge1 --identity ~/.ssh/id_ed25519

Other commands sign in by themselves when they need to; this one tells whether and as whom. The session is good for
twelve hours. `kennel host use NAME` chooses the host, `kennel host add` makes one known.")]
    Login,
    /// Make, list and revoke tokens, for programs that cannot sign in
    #[command(
        subcommand,
        after_help = "Example:\n  kennel token add ci --account ada --scope deploy --tenant blog --expires 30d"
    )]
    Token(TokenCommand),
    /// Check the document that hosts are started with, before one is
    #[command(subcommand, after_help = "Example:\n  kennel user-data check user-data.toml")]
    UserData(UserDataCommand),
    /// Publish the image to EC2 and look after what was published (`kennel-ami`, built by `make ami`)
    #[command(
        disable_help_flag = true,
        disable_version_flag = true,
        after_help = "Example:\n  kennel ami publish out/kennel-0.1.0-x86_64.raw --region eu-west-1\n  kennel ami --help"
    )]
    Ami(PassedOn),
    /// Launch a host on EC2 from a published image (`kennel-ami`)
    #[command(
        disable_help_flag = true,
        disable_version_flag = true,
        after_help = "Example:\n  kennel launch --name edge1 --region eu-west-1\n  kennel launch --help"
    )]
    Launch(PassedOn),
    /// List the hosts that were launched on EC2 (`kennel-ami`)
    #[command(
        disable_help_flag = true,
        disable_version_flag = true,
        after_help = "Example:\n  kennel hosts --region eu-west-1"
    )]
    Hosts(PassedOn),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  kennel completions bash > ~/.local/share/bash-completion/completions/kennel"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write man pages, one for each command, into a folder
    #[command(after_help = "Example:\n  kennel man ~/.local/share/man/man1")]
    Man {
        /// The folder; made if missing
        folder: PathBuf,
    },
}

/// What another program is told, as it was typed.
#[derive(Debug, clap::Args)]
pub struct PassedOn {
    /// What `kennel-ami` is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub arguments: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_ami_is_passed_on_as_it_is() {
        let line =
            ["kennel", "--json", "ami", "publish", "x.raw", "--region", "eu-west-1", "--quiet", "--", "-x"];
        let cli = Cli::try_parse_from(line).unwrap();
        assert!(cli.global.json && !cli.global.quiet);
        let Command::Ami(PassedOn { arguments }) = cli.command else { panic!("{:?}", cli.command) };
        assert_eq!(arguments, line[3..]);
        let Command::Ami(PassedOn { arguments }) =
            Cli::try_parse_from(["kennel", "ami", "--help"]).unwrap().command
        else {
            panic!("the help is kennel's own");
        };
        assert_eq!(arguments, ["--help"]);
        let line = ["kennel", "host", "replace", "edge1", "--region", "eu-west-1", "--back"];
        let Command::Host(HostCommand::Replace(PassedOn { arguments })) =
            Cli::try_parse_from(line).unwrap().command
        else {
            panic!("it is kennel's own");
        };
        assert_eq!(arguments, line[3..]);
    }

    /// Every command and subcommand, with the words that lead to it.
    fn all(command: &clap::Command, path: &str, out: &mut Vec<(String, String)>) {
        let mut command = command.clone();
        out.push((path.to_owned(), command.render_help().to_string()));
        for sub in command.get_subcommands().filter(|s| s.get_name() != "help") {
            all(sub, &format!("{path} {}", sub.get_name()), out);
        }
    }

    #[test]
    fn every_help_has_an_example_that_names_its_command() {
        let mut found = Vec::new();
        all(&Cli::command(), "kennel", &mut found);
        assert!(found.len() > 15, "only {} commands were seen", found.len());
        for (path, help) in found {
            assert!(help.contains(&format!("  {path}")), "the help of `{path}` has no example:\n{help}");
        }
    }
}
