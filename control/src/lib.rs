//! Control: the host's decisions. It keeps the registry of tenants, serves the operator's API, takes uploads in and
//! tells init what each slot runs. It holds no privilege: whatever needs one, init does on request, and control may be
//! killed at any moment and started again.
//!
//! | file | duty |
//! |---|---|
//! | `http` | connections, requests, answers |
//! | `auth`, `operators`, `door`, `people`, `certificate` | who may ask for what, and of whom |
//! | `tenants`, `deploy`, `upload`, `switch`, `env`, `secrets`, `program`, `exec`, `cron`, `processes`, `prove`, `host`, `doctor` | what can be asked for |
//! | `drain` | what is done when the cloud takes the machine away |
//! | `sites`, `acme` | certificates of sites: brought, and ordered |
//! | `startup` | what a kill or a power cut has interrupted |
//! | `registry` | what is on disk |
//! | `counters`, `timeline`, `usage`, `metrics` | what tenants do and use |
//! | `access` | requests as the proxy saw them |
//! | `init`, `routes`, `logs`, `denials` | init, the proxy's table, the tenants' lines, what was denied |

mod access;
mod acme;
mod attest;
pub mod auth;
mod backup;
mod beta;
mod build;
pub mod certificate;
pub mod config;
pub mod console;
pub mod control;
mod counters;
mod cron;
mod data;
mod denials;
mod deploy;
mod doctor;
mod domains;
mod door;
mod drain;
mod egress;
mod env;
pub mod error;
mod exec;
mod host;
pub mod http;
pub mod init;
mod jobs;
mod listing;
pub mod logs;
mod maintenance;
mod metrics;
mod moves;
pub mod operators;
pub mod people;
mod processes;
mod program;
mod prove;
pub mod registry;
mod reservations;
mod routes;
mod secrets;
mod sites;
mod startup;
mod switch;
mod tenants;
mod timeline;
mod trial;
mod upload;
mod usage;

use std::fs::File;
use std::net::TcpListener;
use std::sync::Arc;

use kennel_model::layout::ImageFacts;
use kennel_sys::Channel;
use tokio::sync::watch;

use auth::Auth;
use certificate::Certificate;
use config::Config;
use control::Control;
use door::Doorkeeper;
use http::Server;
use init::Init;
use operators::Operators;

/// What control is born with.
pub struct Handed {
    /// To init.
    pub channel: Channel,
    /// The API's listening socket.
    pub listener: TcpListener,
    /// The host's user-data.
    pub user_data: File,
    /// Where records of requests come out.
    pub records: Channel,
    /// To `kennel-acme`.
    pub acme: Channel,
}

/// Why control ends.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// See [`registry::OpenError`].
    #[error(transparent)]
    Registry(#[from] registry::OpenError),
    /// See [`certificate::CertificateError`].
    #[error(transparent)]
    Certificate(#[from] certificate::CertificateError),
    /// See [`init::LinkError`].
    #[error(transparent)]
    Link(#[from] init::LinkError),
    /// Something that every start needs.
    #[error("the start failed: {0}")]
    Start(#[from] error::Error),
    /// The listening socket's.
    #[error("the listening socket: {0}")]
    Listener(#[from] std::io::Error),
}

/// Runs control until `stop` turns true.
///
/// # Errors
/// [`Fatal`], also when init closes the channel.
pub async fn run(
    config: Config,
    facts: ImageFacts,
    handed: Handed,
    stop: watch::Receiver<bool>,
) -> Result<(), Fatal> {
    let registry = doctor::open(&config)?;
    let certificate = Certificate::load_or_make(&config.certificate_file())?;
    let (init, link, told) = Init::new(handed.channel)?;
    let serving = async {
        let orders = acme::Orders::new(acme::Way::new(handed.acme)?);
        let control = Arc::new(Control::new(config, facts, registry, init, orders).await?);
        control.start_up().await?;
        // What keeps something in the registry has nothing to do while that cannot be used.
        if control.failsafe.is_none() {
            tokio::spawn(Arc::clone(&control).keep_denials(told.denials));
            tokio::spawn(Arc::clone(&control).keep_timeline(told.changes));
            tokio::spawn(Arc::clone(&control).keep_usage());
            tokio::spawn(Arc::clone(&control).keep_certificates());
            tokio::spawn(Arc::clone(&control).keep_jobs());
            tokio::spawn(Arc::clone(&control).keep_snapshots());
        }
        tokio::spawn(Arc::clone(&control).keep_processes());
        tokio::spawn(Arc::clone(&control).keep_records(handed.records));
        tokio::spawn(control.logs.clone().take_for_ever(control.init.clone()));
        let fingerprint = certificate.fingerprint();
        let digest = certificate.digest();
        if let Err(cause) = control.announce(&fingerprint).await {
            say!("the certificate {fingerprint} was not announced: {cause}");
        }
        let auth = Arc::new(Auth::new(Operators::default(), fingerprint)?);
        let mut door = Doorkeeper::new(Arc::clone(&auth), handed.user_data, Arc::clone(&control));
        door.look().await;
        tokio::spawn(door.keep());
        tokio::spawn(Arc::clone(&control).heed_notices());
        let ending = Arc::clone(&control);
        let server = Server { auth, control, certificate: digest, tls: certificate.server_config()? };
        handed.listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(handed.listener)?;
        // Until it is to stop, by its operator or for another in its place; answers on their way are sent first.
        let (stopper, until) = watch::channel(false);
        tokio::spawn(async move {
            let mut stop = stop;
            tokio::select! { _ = stop.wait_for(|stop| *stop) => {}, () = ending.over.notified() => {} }
            let _ = stopper.send(true);
        });
        http::serve(Arc::new(server), listener, until).await;
        Ok(())
    };
    tokio::select! {
        gone = link.run() => Err(gone.into()),
        served = serving => served,
    }
}
