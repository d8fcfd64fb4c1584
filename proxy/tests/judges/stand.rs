//! Whom the judges see: the program with one site, `a.example`, with TLS and without, and where others' programs are run.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Output, Stdio};
use std::time::Duration;

use kennel_model::certificate::CertificateTable;
use kennel_model::msg::ToProxy;
use kennel_model::routes::{Https, Route, TrafficLimits};
use kennel_sys::Channel;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use crate::authority::Authority;
use crate::born;
use crate::rig::*;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kennel-proxy");
pub(crate) const HOST: &str = "a.example";
/// The same site, for programs that look names up.
pub(crate) const LOCAL: &str = "localhost";
/// Others' programs are given up after this; all of them are done much sooner.
const LONGEST: Duration = Duration::from_secs(120);

pub(crate) struct Stand {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) claim: Claim,
    child: Child,
    said: JoinHandle<String>,
    init: Init,
    _records: Channel,
}

impl Stand {
    /// The program, ready. Who asks much at a time is one client here, so the site takes as much of one as of many.
    pub(crate) async fn new() -> Self {
        Self::with(TrafficLimits { requests_max: 1000, ..TrafficLimits::default() }).await
    }

    pub(crate) async fn with(traffic: TrafficLimits) -> Self {
        let (claim, authority) = (claim(), Authority::new());
        let (near, far) = Channel::pair().unwrap();
        let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let [http, https] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let (records_in, records) = Channel::pair().unwrap();
        let mut child = born::spawn(PROGRAM, &near, &records_in, &listeners);
        let mut stderr = child.stderr.take().unwrap();
        let said = tokio::spawn(async move {
            let mut said = String::new();
            _ = stderr.read_to_string(&mut said).await;
            said
        });
        let init = Init::new(far);
        let route = |host| Route { https: Https::Optional, traffic, ..route(host, claim.slot) };
        init.publish(1, vec![route(HOST), route(LOCAL)]);
        let certificates = vec![authority.issue(&[HOST], 0)];
        init.say_certificates(&CertificateTable { generation: 1, certificates, challenges: vec![] });
        let stand = Self { http, https, authority, claim, child, said, init, _records: records };
        // Routes came first, so both are in force then.
        soon(async { while stand.tls(&[b"h2"]).await.is_err() {} }).await;
        stand
    }

    /// A connection with TLS that may speak these.
    pub(crate) async fn tls(&self, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.https).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(HOST).unwrap();
        soon(self.authority.connector(alpn).connect(name, stream)).await
    }

    /// Ends it, in order: whatever it went through, it has neither died nor panicked.
    pub(crate) async fn ends(mut self) {
        self.init.say(&ToProxy::Drain);
        let status = tokio::time::timeout(LONGEST, self.child.wait()).await.expect("a drain ends").unwrap();
        let said = self.said.await.unwrap();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.lines().all(|line| line.starts_with("proxy: ")), "{said}");
    }
}

/// Runs somebody else's program to its end.
pub(crate) async fn run(program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(LONGEST, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(e)) => panic!("{program}: {e}: run `make deps`"),
        Err(_) => panic!("{program} {args:?} has not ended"),
    }
}
