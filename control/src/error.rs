//! Everything that an operator may be told went wrong, with its stable code, its HTTP status and its hint in one
//! place. The modules say what happened; `http` only writes it down. What a person can do about each is in `hint`.

mod code;
mod from;
mod hint;

use std::time::Duration;

use kennel_model::account::Role;
use kennel_model::found::Origin;
use kennel_model::{AccountName, Domain, EnvName, ProcessName, ReleaseId, RuntimeName, TenantName, TokenName};

use crate::init::InitError;

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not JSON of the expected shape, an unknown parameter, …
    #[error("{0}")]
    BadRequest(String),
    /// Not an Ed25519 key in OpenSSH's form.
    #[error("the public key cannot be used: {0}")]
    BadKey(String),
    /// No token, or one that is not (or no longer) valid.
    #[error("this needs somebody who has signed in")]
    SignInRequired,
    /// Wrong signature, unknown key, or a nonce that is old or used.
    #[error("the sign-in was refused")]
    SignInRefused,
    /// A token that was good.
    #[error("the token {0} has expired")]
    TokenExpired(TokenName),
    /// One that was taken back.
    #[error("the token {0} was revoked")]
    TokenRevoked(TokenName),
    /// Who has a lesser role than it takes.
    #[error("{0} is {one}, and this takes {least}", one = .1.one(), least = .2.one())]
    RoleTooLow(String, Role, Role),
    /// Who has this role, with other tenants.
    #[error("{0} has nothing to do with the tenant {1}")]
    NotYourTenant(String, String),
    /// Logs and the like, read all at once.
    #[error("too many streams are being read: {0} of an account at most")]
    TooManyStreams(usize),
    /// An operation that is in no row of the table of rights.
    #[error("nobody may ask for this")]
    NobodyMay,
    /// Role and tenants that do not go together.
    #[error("{0}")]
    InvalidAccount(String),
    /// The name is taken.
    #[error("there is an account {0} already")]
    AccountExists(AccountName),
    /// No account of that name.
    #[error("there is no account {0:?}")]
    NoSuchAccount(String),
    /// No more of them.
    #[error("there are {0} accounts already")]
    TooManyAccounts(u32),
    /// It is somebody else's.
    #[error("the key {0} is that of {1}")]
    KeyTaken(String, String),
    /// Not one of the account's.
    #[error("the account {0} has no key {1:?}")]
    NoSuchKey(AccountName, String),
    /// No more of them.
    #[error("the account has {0} keys already")]
    TooManyKeys(u32),
    /// Scope, account, tenants and time that do not go together.
    #[error("{0}")]
    InvalidToken(String),
    /// A token that is good for something else.
    #[error("the token {0} may only {1}")]
    OutOfScope(TokenName, &'static str),
    /// Wrong tokens, one after the other.
    #[error("too many wrong tokens came from this address")]
    TooManyWrong(Duration),
    /// The name is taken.
    #[error("there is a token {0} already")]
    TokenExists(TokenName),
    /// No token of that name.
    #[error("there is no token {0:?}")]
    NoSuchToken(String),
    /// No more of them.
    #[error("there are {0} tokens already")]
    TooManyTokens(usize),
    /// A job that cannot be.
    #[error("the job cannot be: {0}")]
    InvalidJob(String),
    /// No job of that number.
    #[error("{0} has no job {1}")]
    NoSuchJob(TenantName, u32),
    /// Processes that cannot run so often.
    #[error("the processes cannot run so: {0}")]
    InvalidScale(String),
    /// The release that serves has no such line.
    #[error("the release of {0} that serves has no process {1}")]
    NoSuchProcess(TenantName, ProcessName, Vec<ProcessName>),
    /// No change of that number is known that is under way, or was not long ago.
    #[error("there is no job {0}, or it is not known any more")]
    UnknownJob(u64),
    /// No more of them.
    #[error("{0} has as many jobs as a tenant may have")]
    TooManyJobs(TenantName),
    /// A certificate or key that cannot be shown.
    #[error("the certificate cannot be used: {0}")]
    BadCertificate(String),
    /// No certificate of that name.
    #[error("there is no certificate {0:?}")]
    NoSuchCertificate(String),
    /// No more of them.
    #[error("there are {0} certificates already")]
    TooManyCertificates(usize),
    /// Somebody has to agree to the authority's terms, which are there.
    #[error("the authority has terms: {0}")]
    AcmeTerms(String),
    /// The authority, or the way to it.
    #[error("the certificate authority: {0}")]
    Acme(String),
    /// A name that is not ordered, and why not.
    #[error("no certificate is ordered for {0}: {1}")]
    NotOrdered(String, String),
    /// No such path.
    #[error("there is nothing at {0}")]
    NoSuchPath(String),
    /// The path exists, but not with this method.
    #[error("{path} does not take {method}")]
    Method {
        /// What was asked.
        method: String,
        /// Of what.
        path: String,
        /// What it does take, as the `Allow` header has it.
        allow: String,
    },
    /// A body that does not come.
    #[error("the request's body did not arrive in time")]
    Timeout,
    /// A body over the limit.
    #[error("the request's body is larger than {0} bytes")]
    TooLarge(usize),
    /// Not the media type that the path takes.
    #[error("the body must be {0}")]
    MediaType(&'static str),
    /// No tenant of that name.
    #[error("there is no tenant {0:?}")]
    NoSuchTenant(String),
    /// The name is taken.
    #[error("there is a tenant {0} already")]
    TenantExists(TenantName),
    /// The host name is another tenant's.
    #[error("the domain {domain} belongs to the tenant {owner}")]
    DomainTaken {
        /// Which.
        domain: Domain,
        /// Whose.
        owner: TenantName,
    },
    /// Not one of the tenant's, or not of that kind.
    #[error("the tenant {1} has no {0:?} of this kind")]
    NoSuchDomain(String, TenantName),
    /// No more of them: of a tenant, or of the host.
    #[error("there are {0} domains of the {1} already")]
    TooManyDomains(usize, &'static str),
    /// One that does not end, or cannot be.
    #[error("{0}")]
    InvalidRedirect(String),
    /// Not a page, or not a network.
    #[error("{0}")]
    InvalidPage(String),
    /// Too many bytes of them.
    #[error("all pages of this host together would be larger than {} KiB", kennel_model::page::MAX_PAGES_BYTES >> 10)]
    TooManyPages,
    /// There is none.
    #[error("{0} has no page of its own")]
    NoPage(String),
    /// Its time or its networks cannot be.
    #[error("{0}")]
    InvalidMaintenance(String),
    /// The pool is used up.
    #[error("all {0} slots of this host are in use")]
    NoFreeSlot(u16),
    /// Another act on the same tenant is under way.
    #[error("the tenant {0} is busy: {1} is under way")]
    Busy(TenantName, &'static str),
    /// It does not go to sleep.
    #[error("{0} is not put to sleep: {1}")]
    Needed(TenantName, String),
    /// Nothing to start.
    #[error("the tenant {0} has no release yet")]
    NotDeployed(TenantName),
    /// Nothing to switch to.
    #[error("release {1} of {0} serves already")]
    AlreadyServes(TenantName, ReleaseId),
    /// Never there, or removed since; those that are kept.
    #[error("the tenant {0} has no release {1} any more")]
    NoSuchRelease(TenantName, ReleaseId, Vec<ReleaseId>),
    /// Nowhere to move to.
    #[error("the tenant {0} is on the runtime {1} already")]
    RunsThere(TenantName, RuntimeName),
    /// What runs it was found for another language.
    #[error(
        "release {release} cannot run on {to}: `{runs}` is a program for {from}, and {to} has nothing that runs it"
    )]
    NotMovable {
        /// Which.
        release: ReleaseId,
        /// Its command.
        runs: String,
        /// What it runs on.
        from: RuntimeName,
        /// What it was to run on.
        to: RuntimeName,
    },
    /// Not yet, if ever; the newest there was.
    #[error("the tenant {0} has never had a release {1}")]
    NeverReleased(TenantName, ReleaseId, ReleaseId),
    /// Nothing that it printed is there any more, if it ever printed anything; of which release the log's first line is.
    #[error(
        "the log of {0} has no line of {1}: it was not started, or what it printed has been displaced by newer lines"
    )]
    NoLines(TenantName, ReleaseId, Option<ReleaseId>),
    /// It is the oldest that is kept.
    #[error("the tenant {0} has no release before {1}, which serves")]
    NothingEarlier(TenantName, ReleaseId),
    /// It is the newest that is kept.
    #[error("the tenant {0} has no release after {1}, which serves")]
    NothingNewer(TenantName, ReleaseId),
    /// What it runs cannot run twice.
    #[error("nothing is shown beside what serves the tenant {0}, as its releases are not tried")]
    NoTrial(TenantName),
    /// It was tried beside the one that serves, and was not good enough to take over.
    #[error("release {release} is not taken into use: {why}; {}", serving.map_or("nothing serves yet".to_owned(), |r| format!("{r} serves on")))]
    NotReady {
        /// Which.
        release: ReleaseId,
        /// What serves still.
        serving: Option<ReleaseId>,
        /// What is wrong with it.
        why: String,
        /// The end of what it printed.
        log: Vec<String>,
    },
    /// Its packages were not fetched.
    #[error("release {release} cannot be built: {name}: {why}")]
    Build {
        /// Which.
        release: ReleaseId,
        /// What fetches them, as people know it.
        name: String,
        /// How it ended.
        why: String,
        /// The end of what it printed.
        log: Vec<String>,
    },
    /// What it says is to be run before it is tried.
    #[error(
        "release {release} is not taken into use, as its release command failed (Procfile, release): {why}"
    )]
    ReleaseCommand {
        /// Which.
        release: ReleaseId,
        /// How it ended.
        why: String,
        /// The end of what it printed.
        log: Vec<String>,
    },
    /// It was switched to and did not stay up.
    #[error("release {release} does not stay up: {why}; {serving} serves again")]
    DoesNotStart {
        /// Which.
        release: ReleaseId,
        /// What served before, and does again.
        serving: ReleaseId,
        /// Init's words.
        why: String,
        /// The end of what it printed.
        log: Vec<String>,
    },
    /// Names, values, or too many of them. No value is quoted.
    #[error("{0}")]
    InvalidEnv(String),
    /// Not one of the tenant's.
    #[error("{0} has no variable {1}")]
    NoSuchVariable(TenantName, EnvName),
    /// Only its removal may go on.
    #[error("the tenant {0} is being removed")]
    BeingRemoved(TenantName),
    /// Not one of the image's.
    #[error("this host has no runtime {0}")]
    NoSuchRuntime(RuntimeName, Vec<RuntimeName>),
    /// Command, limits or domains out of bounds.
    #[error("the tenant cannot be made: {0}")]
    InvalidTenant(String),
    /// More is reserved than the host can give; what is left.
    #[error("only {0} is left to reserve")]
    Oversold(String),
    /// A rule that cannot be, with what to do about it.
    #[error("{0}")]
    InvalidRule(String, Option<String>),
    /// No rule of that number.
    #[error("the tenant {0} has no egress rule {1}")]
    NoSuchRule(TenantName, u8),
    /// `kennel-unpack` found something that it does not take.
    #[error("the upload was refused: {0}")]
    UploadRefused(String),
    /// There is no copy of a tenant's data to send.
    #[error("the data was not saved: {0}")]
    NotSaved(String),
    /// `kennel-unpack` found something that it does not take.
    #[error("the data was refused: {0}")]
    DataRefused(String),
    /// The release that what came was to share files with is not as whoever sent it takes it to be.
    #[error("{0}")]
    BasisDiffers(String),
    /// The stream ended early or stood still.
    #[error("the upload broke off: {0}")]
    UploadBroken(String),
    /// No program to run in the release.
    #[error("the release holds no program that the runtime {runtime} can start")]
    NoProgram {
        /// The tenant's.
        runtime: RuntimeName,
        /// Names, in the order in which they were looked for.
        looked_for: Vec<String>,
        /// What the release seems to be instead.
        clue: Option<String>,
    },
    /// Something says how the release is run, and it cannot be run like that.
    #[error("the release cannot be run ({}): {why}", origin.words())]
    NotRunnable {
        /// What says it.
        origin: Origin,
        /// Why not.
        why: String,
    },
    /// The release is registered, but the host could not switch to it.
    #[error("release {0} is on disk but not in use yet: {1}")]
    NotActivated(ReleaseId, InitError),
    /// Init did not do its part.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The machine has none.
    #[error("this host has no TPM")]
    NoTpm,
    /// Another operator asks it.
    #[error("the TPM is asked by somebody else just now")]
    TpmBusy,
    /// It did not do it.
    #[error("{0}")]
    Tpm(String),
    /// More than the table of sign-ins holds.
    #[error("too many sign-ins at once")]
    Overloaded,
    /// The registry's fault, not the client's.
    #[error("the registry failed: {0}")]
    Registry(rusqlite::Error),
    /// It is broken, and what stands in for it is not changed.
    #[error("the host is in failsafe mode: its registry cannot be used, and nothing is changed")]
    Failsafe,
    /// No copy of that name.
    #[error("there is no snapshot {0:?} of the registry that is whole")]
    NoSuchSnapshot(String),
    /// There is nothing to repair.
    #[error("the registry is whole")]
    NotBroken,
    /// A row that this program did not write.
    #[error("the registry is damaged: {0}")]
    Damaged(String),
    /// A file or pipe of control's own.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] std::io::Error),
    /// A task of control's own died.
    #[error("an internal task failed: {0}")]
    Internal(String),
}

/// Results of everything that an operator may ask for.
pub type Result<T> = std::result::Result<T, Error>;
