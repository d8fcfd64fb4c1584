//! A host in a temporary folder: a real control on its own thread and runtime, a stand-in for init, and operators.

pub(crate) mod client;
pub(crate) mod data;
pub(crate) mod openapi;
pub(crate) mod pipes;
mod tasks;
pub(crate) mod world;

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper::StatusCode;
use kennel_control::certificate::Certificate;
use kennel_control::config::Config;
use kennel_control::{Fatal, Handed, run};
use kennel_model::Limits;
use kennel_model::api::{NewTenant, Tenant};
use kennel_model::layout::{Build, ImageFacts, RuntimeFacts};
use kennel_sys::Channel;
use tokio::sync::watch;

use client::{Client, key};
use world::Shared;

/// A host whose control runs.
pub(crate) struct Host {
    /// The disk.
    pub(crate) config: Config,
    /// The host beside control.
    pub(crate) world: Shared,
    /// Where the API listens; a new one at each start.
    pub(crate) address: SocketAddr,
    /// The proxy's end of what records go through; it stays when control ends.
    pub(crate) records: Arc<Channel>,
    records_out: OwnedFd,
    acme: OwnedFd,
    user_data: String,
    stop: watch::Sender<bool>,
    control: Option<JoinHandle<Result<(), Fatal>>>,
    init: Option<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

/// The image of all hosts here.
fn facts() -> ImageFacts {
    let runtime = |name: &str, version: &str, command: &[&str]| RuntimeFacts {
        name: name.parse().unwrap(),
        version: version.into(),
        default_command: command.iter().map(|w| (*w).to_owned()).collect(),
        jit: name.starts_with("node"),
        env: std::collections::BTreeMap::new(),
        build: name.starts_with("node").then(|| Build {
            name: "npm ci".into(),
            when: vec!["package-lock.json".into()],
            unless: vec!["node_modules".into()],
            command: vec!["npm".into(), "ci".into()],
        }),
    };
    ImageFacts {
        version: "0.1.0".into(),
        slots: 4,
        runtimes: vec![
            runtime("node-24", "24.1.0", &["/usr/bin/node", "server.js"]),
            runtime("static", "", &["./server"]),
            runtime("node-22", "22.2.0", &["/opt/22/bin/node", "server.js"]),
            runtime("python-3.13", "3.13.5", &["/usr/bin/python3.13", "app.py"]),
        ],
        proof: false,
    }
}

impl Host {
    /// A blank host with one operator, whose key is `key(1)`.
    pub(crate) fn start() -> Self {
        let public = key(1).public_key().to_openssh().unwrap();
        Self::start_with(&format!("[operator]\nssh_keys = [\"{public}\"]\n"), |_| {})
    }

    /// A blank host with this user-data and these changes to its bounds.
    pub(crate) fn start_with(user_data: &str, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::host();
        config.control_dir = dir.path().join("control");
        config.slots_dir = dir.path().join("slots");
        config.keep_releases = 3;
        config.trial = std::time::Duration::from_millis(60);
        config.steady = std::time::Duration::from_millis(60);
        config.villain = dir.path().join("villain");
        change(&mut config);
        std::fs::create_dir(&config.control_dir).unwrap();
        let world = Shared::default();
        world.lock().slots_dir = config.slots_dir.clone();
        let (records, records_out) = Channel::pair().unwrap();
        let (acme, acme_out) = Channel::pair().unwrap();
        world.lock().acme = Some(acme_out.as_fd().try_clone_to_owned().unwrap());
        let mut host = Self {
            acme: acme.as_fd().try_clone_to_owned().unwrap(),
            records: Arc::new(records),
            records_out: records_out.as_fd().try_clone_to_owned().unwrap(),
            config,
            world,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            user_data: user_data.to_owned(),
            stop: watch::channel(false).0,
            control: None,
            init: None,
            _dir: dir,
        };
        host.restart();
        host
    }

    /// Starts control on what is on disk and in the world.
    pub(crate) fn restart(&mut self) {
        self.world.lock().announced.clear();
        let (ours, theirs) = Channel::pair().unwrap();
        let init = self.world.serve(theirs);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.address = listener.local_addr().unwrap();
        let mut user_data: File = tempfile::tempfile().unwrap();
        user_data.write_all(self.user_data.as_bytes()).unwrap();
        let records = Channel::from_fd(self.records_out.try_clone().unwrap());
        let acme = Channel::from_fd(self.acme.try_clone().unwrap());
        let config = self.config.clone();
        let stop;
        (self.stop, stop) = watch::channel(false);
        let control = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // Dropping the runtime right after is the kill: no task takes another step.
            runtime.block_on(run(
                config,
                facts(),
                Handed { channel: ours, listener, user_data, records, acme },
                stop,
            ))
        });
        (self.control, self.init) = (Some(control), Some(init));
    }

    /// Waits for control's end: by request, or by the world's break. Tells how it ended.
    pub(crate) fn ended(&mut self) -> Result<(), Fatal> {
        let result = self.control.take().expect("control runs").join().unwrap();
        self.init.take().expect("init runs").join().unwrap();
        result
    }

    /// Ends control as SIGTERM does.
    pub(crate) fn stop(&mut self) {
        self.stop.send(true).unwrap();
        self.ended().unwrap();
    }

    /// Someone who has not signed in.
    pub(crate) fn stranger(&self) -> Client {
        self.world.wait("the fingerprint is announced", |world| !world.announced.is_empty());
        let pin = Certificate::load_or_make(&self.config.certificate_file()).unwrap().fingerprint();
        Client::new(self.address, pin)
    }

    /// A signed-in operator.
    pub(crate) async fn operator(&self) -> Client {
        let mut client = self.stranger();
        let answer = client.sign_in(&key(1)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        client
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        let _ = self.control.take().map(JoinHandle::join);
        let _ = self.init.take().map(JoinHandle::join);
    }
}

/// A Node tenant with the domain `NAME.test`, whose releases take over at once.
pub(crate) fn wish(name: &str) -> NewTenant {
    NewTenant {
        name: name.parse().unwrap(),
        runtime: "node-24".parse().unwrap(),
        domains: vec![format!("{name}.test").parse().unwrap()],
        command: vec![],
        limits: Limits { trial: false, ..Limits::default() },
    }
}

/// A tar stream with files of these names and sizes.
pub(crate) fn archive(files: &[(&str, usize)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, size) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(*size as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &vec![b'x'; *size][..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A host with the tenant `blog` and its first release, and its operator.
pub(crate) async fn deployed() -> (Host, Client) {
    let host = Host::start();
    let operator = host.operator().await;
    assert_eq!(operator.post("/v1/tenants", &wish("blog")).await.status, 201);
    assert_eq!(operator.deploy("blog", archive(&[("server.js", 1)])).await.status, 201);
    (host, operator)
}

/// A host with two tenants, `blog` and `shop`, in the first two slots, and its operator.
pub(crate) async fn two_tenants() -> (Host, Client) {
    let host = Host::start();
    let operator = host.operator().await;
    for name in ["blog", "shop"] {
        operator.post("/v1/tenants", &wish(name)).await.expect::<Tenant>(StatusCode::CREATED);
    }
    (host, operator)
}
