//! Where a stand-in for a host keeps releases as a host does, with `kennel-unpack`'s own library; and what counts the bytes that
//! come over a line.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Request};
use kennel_model::listing::CHANGES;
use kennel_model::{ReleaseId, api};
use kennel_unpack::{Bounds, UnpackError, list_release, unpack_changes, unpack_release};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::releases::release;
use crate::support::{Answer, FakeHost, json as answered, problem};

const BOUNDS: Bounds = Bounds { bytes: 1 << 30, entries: 50_000 };

/// A file, and what is written into it.
type Damage = (PathBuf, Vec<u8>);

/// What a release was made from, and whether it is only shown.
type Made = (Option<api::Source>, bool);

/// The releases of `blog`.
#[derive(Clone)]
pub(crate) struct Depot {
    folder: Arc<tempfile::TempDir>,
    /// Written into a file once a release has been listed.
    pub(crate) damage: Arc<Mutex<Option<Damage>>>,
    /// What the releases were made from, and those that are only shown.
    pub(crate) sources: Arc<Mutex<Vec<Made>>>,
    /// Why the next release is no good.
    pub(crate) no_good: Arc<Mutex<Option<&'static str>>>,
}

impl Depot {
    pub(crate) fn at(host: &FakeHost) -> Self {
        let depot = Self {
            folder: Arc::new(tempfile::tempdir().unwrap()),
            damage: Arc::default(),
            sources: Arc::default(),
            no_good: Arc::default(),
        };
        host.state.lock().unwrap().depot = Some(depot.clone());
        depot
    }

    pub(crate) fn place(&self, release: u32) -> PathBuf {
        self.folder.path().join(release.to_string())
    }

    pub(crate) fn newest(&self) -> u32 {
        (1..).take_while(|number| self.place(*number).exists()).last().unwrap_or(0)
    }

    /// Answers what is about releases.
    pub(crate) async fn answer(&self, request: Request<Incoming>, tenant: api::Tenant) -> Answer {
        let releases = self.releases();
        let tenant = api::Tenant { releases, ..tenant };
        let path = request.uri().path().to_owned();
        if let Some(number) = path.strip_suffix("/files").and_then(|path| path.rsplit('/').next()) {
            return self.listing(number.parse().unwrap());
        }
        if request.method() != Method::POST {
            return answered(200, &tenant);
        }
        let query = request.uri().query().unwrap_or_default().to_owned();
        let onto =
            query.split('&').find_map(|word| word.strip_prefix("onto=")).map(|onto| onto.parse().unwrap());
        let media_type = if onto.is_some() { CHANGES } else { "application/x-tar" };
        assert_eq!(request.headers()["content-type"], media_type);
        let sent = request.into_body().collect().await.unwrap().to_bytes();
        if let Some(why) = self.no_good.lock().unwrap().take() {
            return problem(422, "not-ready", why);
        }
        let made = self.take(&sent, onto);
        if made.is_ok() {
            let word =
                |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == name).map(|(_, v)| v);
            let source = word("commit").map(|commit| api::Source {
                commit: commit.parse().unwrap(),
                name: word("ref").map(|name| name.parse().unwrap()),
            });
            self.sources.lock().unwrap().push((source, word("beta").is_some()));
        }
        match made {
            Ok(release) => answered(201, &api::Deployed { release, tenant, notes: vec![], ready_ms: None }),
            Err(error @ UnpackError::Basis { .. }) => problem(409, "basis-differs", &error.to_string()),
            Err(error) => problem(422, "upload-refused", &error.to_string()),
        }
    }

    fn releases(&self) -> Vec<api::Release> {
        let sources = self.sources.lock().unwrap();
        let serving = sources.iter().rposition(|(_, shown)| !shown);
        let one = |(at, (source, shown)): (usize, &Made)| api::Release {
            source: source.clone(),
            state: if serving == Some(at) { api::ReleaseState::Serving } else { api::ReleaseState::Kept },
            beta: shown.then(|| api::Beta { domain: "r1.blog.localhost".parse().unwrap(), until_s: 0 }),
            ..release(at as u32 + 1)
        };
        sources.iter().enumerate().map(one).collect()
    }

    fn take(&self, sent: &[u8], onto: Option<u32>) -> Result<api::Release, UnpackError> {
        let releases = File::open(self.folder.path()).unwrap();
        let number = self.newest() + 1;
        let made = match onto {
            Some(onto) => unpack_changes(sent, releases.as_fd(), number, onto, BOUNDS)?,
            None => unpack_release(sent, releases.as_fd(), number, BOUNDS)?,
        };
        Ok(api::Release { id: ReleaseId(number), bytes: made.bytes, ..release(number) })
    }

    fn listing(&self, number: u32) -> Answer {
        let mut out = Vec::new();
        list_release(File::open(self.folder.path()).unwrap().as_fd(), number, &mut out).unwrap();
        if let Some((path, content)) = self.damage.lock().unwrap().take() {
            std::fs::write(path, content).unwrap();
        }
        hyper::Response::new(out.into())
    }
}

/// A connection whose incoming bytes are counted.
pub(crate) struct Metered(pub(crate) TcpStream, pub(crate) Arc<AtomicU64>);

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, buffer);
        self.1.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
