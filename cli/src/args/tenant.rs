//! Arguments of the commands about tenants: `tenant …`, `deploy` and `logs`.

use std::path::PathBuf;

use clap::Subcommand;
use kennel_model::command::{NotPlain, split};
use kennel_model::msg::Depth;
use kennel_model::{Domain, RuntimeName, TenantName};

use super::{After, LimitArgs};

/// `kennel tenant …`
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Give a new tenant a slot of its own
    Add(Box<TenantAdd>),
    /// List the tenants
    #[command(after_help = "Example:\n  kennel tenant ls")]
    Ls,
    /// Show everything about one tenant
    #[command(after_help = "Example:\n  kennel tenant show blog")]
    Show {
        /// The tenant
        name: TenantName,
    },
    /// Show what a tenant's program did of late: when it slept, what woke it, how long that took
    #[command(after_help = "Example:\n  kennel tenant timeline blog\n  kennel tenant timeline blog -n 200")]
    Timeline {
        /// The tenant
        name: TenantName,
        /// Changes to show, the last ones; 200 are kept
        #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=200))]
        lines: u32,
    },
    /// Have a tenant's program run on another runtime
    #[command(after_help = "\
Example:
  kennel tenant move blog --runtime node-24

A release of the same files is started on it beside the one that serves, and takes over when it is ready. What was found for
another language is refused: `kennel deploy NAME FOLDER --runtime NAME` brings what is for it. `kennel rollback` leads back.")]
    Move {
        /// The tenant
        name: TenantName,
        /// One of those that `kennel runtimes` lists
        #[arg(long)]
        runtime: RuntimeName,
    },
    /// Remove a tenant with its releases and its data
    #[command(after_help = "Example:\n  kennel tenant rm blog --yes")]
    Rm {
        /// The tenant
        name: TenantName,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Start a tenant's program now instead of at its first request, or wake it if it sleeps
    #[command(
        visible_alias = "wake",
        after_help = "Example:\n  kennel tenant start blog\n  kennel tenant wake blog"
    )]
    Start {
        /// The tenant
        name: TenantName,
    },
    /// Put a tenant's program to sleep without waiting for the time; the next request wakes it
    #[command(after_help = "\
Example:
  kennel tenant sleep blog
  kennel tenant sleep blog --to reclaimed

Refused while a request is in flight; `kennel tenant stop` waits for nobody.")]
    Sleep {
        /// The tenant
        name: TenantName,
        /// How deep: no processor time, or its memory in swap as well, or no process at all
        #[arg(long, value_name = "DEPTH", default_value = "frozen")]
        to: DepthArg,
    },
    /// Stop a tenant's program; the next request starts it again
    #[command(after_help = "Example:\n  kennel tenant stop blog")]
    Stop {
        /// The tenant
        name: TenantName,
    },
}

/// How deep a program is put to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DepthArg {
    /// It gets no processor time
    Frozen,
    /// And its memory goes to swap
    Reclaimed,
    /// It is stopped
    Stopped,
}

impl From<DepthArg> for Depth {
    fn from(arg: DepthArg) -> Self {
        match arg {
            DepthArg::Frozen => Self::Frozen,
            DepthArg::Reclaimed => Self::Reclaimed,
            DepthArg::Stopped => Self::Stopped,
        }
    }
}

/// `kennel tenant add`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel tenant add blog --runtime node-24 --domain blog.localhost
  kennel tenant add api --runtime static --domain api.example.org --memory 64M -- ./api --verbose")]
pub struct TenantAdd {
    /// Name of the tenant: a-z, 0-9 and '-'
    pub name: TenantName,
    /// One of the image's runtimes; `kennel runtimes` lists them
    #[arg(long)]
    pub runtime: RuntimeName,
    /// Host name, wildcard or path to serve, see `kennel domain add --help`; may be given more than once
    #[arg(long = "domain", value_name = "NAME")]
    pub domains: Vec<Domain>,
    /// Limits other than the default ones.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Program and arguments, relative to the release, whatever it says itself [default: what it says]
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `kennel deploy`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel deploy blog examples/node-hello
  kennel deploy blog ./app --command 'node --enable-source-maps dist/server.js'
  kennel deploy blog . --beta                # shown at r12.blog.example.com; then `kennel promote blog`
  kennel deploy blog ./site --runtime python-3.13
  kennel deploy blog https://github.com/ada/blog#v2    # a branch, a tag or a commit, as git fetches it
  kennel deploy blog .#main                  # what is committed here

What is run is what --command says, or else the first of these at the top of the folder: kennel.toml,
`web` in a Procfile, `start` or `main` in package.json (for Python a site of Django, or an application, and
its server in vendor), server.js or app.py and their like, one static program; an index.html alone is a site
of files. There is no shell: `$PORT` is the only variable.

Everything in the folder is uploaded, but .git and what .gitignore files leave out; node_modules is
uploaded all the same. With a .kennelignore file (written like a .gitignore) that counts, and no
.gitignore.

Packages that it needs and comes without are fetched on the host: with package-lock.json and no node_modules by
npm ci. No script of a package is run, and what is built from sources is still built before: `--no-build` leaves
that out. What it prints is in `kennel logs`.

The release is started beside the one that serves, and takes over when it is ready: when its port accepts and, if
there is one, its health path (`kennel limits NAME --health /healthz`) is answered with less than 500. What is no
good never serves.")]
pub struct Deploy {
    /// The tenant
    pub name: TenantName,
    /// The folder with the program, a tar archive of it, or a repository that git fetches from, as in
    /// `https://example.org/blog.git#main`
    #[arg(value_name = "FOLDER|ARCHIVE|URL#REF", default_value = ".")]
    pub source: PathBuf,
    /// Program and arguments, as in a shell, but without one [default: what the release says]
    #[arg(long, value_name = "COMMAND", value_parser = command)]
    pub command: Option<Words>,
    /// Show it at a domain of its own for a day, while the one before serves [default: rN. before the tenant's]
    #[arg(long, value_name = "DOMAIN", num_args = 0..=1, require_equals = true)]
    pub beta: Option<Option<Domain>>,
    /// What it is to run on, from now on; `kennel runtimes` lists them [default: the tenant's]
    #[arg(long)]
    pub runtime: Option<RuntimeName>,
    /// Fetch no packages for it on the host, whatever its files say
    #[arg(long)]
    pub no_build: bool,
}

/// The words of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

fn command(text: &str) -> Result<Words, NotPlain> {
    split(text).map(Words)
}

/// `kennel logs`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel logs blog -n 100
  kennel logs blog -f
  kennel logs blog --release 12 --since 1h
  kennel logs blog --access --since 1h
  kennel logs blog --access -f --format json

Each line is known to be of one release, also while a new one is tried beside the one that serves. How long lines
are kept is in docs/releases.md.

With --access, a line for each request to it, in the Combined Log Format or as a JSON document, written
when its answer has ended. Without a tenant, requests that belong to none. What is kept is in docs/proxy.md.")]
pub struct Logs {
    /// The tenant
    #[arg(required_unless_present = "access")]
    pub name: Option<TenantName>,
    /// Go on with what it prints from now on, until Ctrl-C; with --json, one document a line
    #[arg(long, short)]
    pub follow: bool,
    /// Lines to show of what is there [default: 50, or all with --since]
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub lines: Option<u32>,
    /// Show the requests to it instead of what it printed
    #[arg(long)]
    pub access: bool,
    /// How a request is written
    #[arg(long, value_enum, requires = "access", default_value_t = AccessFormat::Combined)]
    pub format: AccessFormat,
    /// Only what was printed, or requests that came, no longer ago than this, such as 10m or 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<After>,
    /// Only what this release has printed, and what was said of it
    #[arg(long, value_name = "N", conflicts_with = "access")]
    pub release: Option<u32>,
}

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AccessFormat {
    /// As Apache and nginx do
    Combined,
    /// One JSON document a line
    Json,
}

impl Logs {
    /// How many lines of what is there.
    pub fn wanted(&self) -> u32 {
        self.lines.unwrap_or(if self.since.is_some() { 10_000 } else { 50 })
    }
}
