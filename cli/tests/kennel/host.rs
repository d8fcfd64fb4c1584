//! A stand-in for a host's API over real TLS that checks signatures as control does.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use kennel_cli::pin::Fingerprint;
use kennel_model::egress::Action;
use kennel_model::job::EVENTS;
use kennel_model::token::{NewToken, Scope, Token, TokenMade};
use kennel_model::{Limits, RuntimeName, SlotId, SlotState, TenantName, api};
use rustls::pki_types::PrivateKeyDer;
use ssh_key::{PublicKey, SshSig};
use tokio_rustls::TlsAcceptor;

use crate::depot::{Depot, Metered};
use crate::{backup, data, egress, jobs, people, releases, routing, seeing};

/// What the stand-in was asked and what it holds.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) operators: Vec<PublicKey>,
    pub(crate) tokens: Vec<String>,
    /// Method and path of every request.
    pub(crate) requests: Vec<String>,
    pub(crate) sign_ins: usize,
    pub(crate) upload: Option<Result<Vec<u8>, String>>,
    /// Break the connection after so many bytes of an upload.
    pub(crate) break_upload_after: Option<usize>,
    /// Stop reading an upload after its first bytes.
    pub(crate) stall_upload: bool,
    pub(crate) upload_begun: bool,
    pub(crate) limits: Limits,
    /// Bytes that came over all connections.
    pub(crate) received: Arc<AtomicU64>,
    /// Where the tenant's data is, if it has any.
    pub(crate) data: Option<PathBuf>,
    /// A tenant that is kept as a whole, if one is.
    pub(crate) whole: Option<backup::Whole>,
    /// Whoever wants to see the job of a change is shown one.
    pub(crate) live: bool,
    /// Where releases are kept, if they are.
    pub(crate) depot: Option<Depot>,
    challenges: HashMap<String, String>,
}

/// A host's API on a port of its own.
pub(crate) struct FakeHost {
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) state: Arc<Mutex<State>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for FakeHost {
    /// Its port is free again when this returns.
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

impl FakeHost {
    pub(crate) fn start(operators: Vec<PublicKey>) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(["kennel".to_owned()]).unwrap().self_signed(&key).unwrap();
        let der = certificate.der().clone();
        let fingerprint = Fingerprint::of_certificate(&der);
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der], private)
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { operators, ..State::default() }));
        let shared = Arc::clone(&state);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let accept = async {
                    while let Ok((tcp, _)) = listener.accept().await {
                        tokio::spawn(serve(acceptor.clone(), tcp, Arc::clone(&shared), fingerprint));
                    }
                };
                tokio::select! { () = accept => {}, _ = stopped => {} }
            });
        });
        Self { address, fingerprint, state, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    tcp: tokio::net::TcpStream,
    state: Arc<Mutex<State>>,
    fingerprint: Fingerprint,
) {
    let received = Arc::clone(&state.lock().unwrap().received);
    let Ok(tls) = acceptor.accept(Metered(tcp, received)).await else { return };
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move {
            let accepted = request.headers().get("accept").and_then(|value| value.to_str().ok());
            let live = state.lock().unwrap().live && accepted.is_some_and(|types| types.contains(EVENTS));
            match answer(request, &state, fingerprint).await {
                Some(response) if live => Ok(jobs::live(response).await),
                Some(response) => Ok::<_, Infallible>(response),
                // A connection that breaks: the task ends without an answer.
                None => std::future::pending().await,
            }
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).await;
}

pub(crate) type Answer = Response<Full<Bytes>>;

pub(crate) fn json(status: u16, value: &impl serde::Serialize) -> Answer {
    let body = serde_json::to_vec(value).unwrap();
    Response::builder().status(status).body(Full::from(body)).unwrap()
}

pub(crate) fn problem(status: u16, code: &str, message: &str) -> Answer {
    let problem = api::Problem { code: code.into(), message: message.into(), hint: Some("do better".into()) };
    json(status, &problem)
}

async fn answer(request: Request<Incoming>, state: &Mutex<State>, fingerprint: Fingerprint) -> Option<Answer> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let token =
        request.headers().get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let signed_in = {
        let mut state = state.lock().unwrap();
        state.requests.push(format!("{method} {}", request.uri()));
        state.tokens.iter().any(|t| token == format!("Bearer {t}"))
    };
    let post = method == Method::POST;
    if path == "/v1/ping" {
        return Some(json(200, &serde_json::json!({})));
    }
    if post && path == "/v1/session/challenge" {
        return Some(challenge(&body(request).await, &mut state.lock().unwrap()));
    }
    if post && path == "/v1/session" {
        return Some(sign_in(&body(request).await, &mut state.lock().unwrap(), fingerprint));
    }
    if !signed_in {
        return Some(problem(401, "sign-in-required", "this needs a signed-in operator"));
    }
    if let Some(answer) = jobs::answer(&path) {
        return Some(answer);
    }
    if let Some((status, answer)) = people::answer(method.as_str(), &path) {
        return Some(json(status, &answer));
    }
    let (limits, depot, data, whole) = {
        let state = state.lock().unwrap();
        (state.limits, state.depot.clone(), state.data.clone(), state.whole.clone())
    };
    if let Some(whole) = whole {
        return Some(whole.answer(request, tenant(limits)).await);
    }
    if let Some(data) = data {
        return Some(data::answer(request, &data).await);
    }
    if let Some(depot) = depot {
        return Some(depot.answer(request, tenant(limits)).await);
    }
    Some(match (method.as_str(), path.as_str()) {
        ("GET", "/v1/tenants") => json(200, &[tenant(limits)]),
        ("POST", "/v1/tenants") => {
            let new: api::NewTenant = serde_json::from_slice(&body(request).await).unwrap();
            json(
                201,
                &api::Tenant { name: new.name, domains: new.domains, limits: new.limits, ..tenant(limits) },
            )
        }
        ("GET", "/v1/tenants/blog") => json(200, &tenant(limits)),
        ("PUT", "/v1/tenants/blog/limits") => {
            let limits = serde_json::from_slice(&body(request).await).unwrap();
            state.lock().unwrap().limits = limits;
            json(200, &tenant(limits))
        }
        ("DELETE", "/v1/tenants/blog") => Response::builder().status(204).body(Full::default()).unwrap(),
        ("GET", "/v1/tenants/blog/egress") => json(200, &egress_report()),
        ("POST", "/v1/tenants/blog/egress") => {
            let new: api::NewEgressRule = serde_json::from_slice(&body(request).await).unwrap();
            let rule = api::EgressRule { number: 2, action: new.action, to: new.to };
            json(201, &api::EgressChange { rule, stopped: true })
        }
        ("DELETE", "/v1/tenants/blog/egress/1") => {
            let rule = egress_report().rules.remove(0).rule;
            json(200, &api::EgressChange { rule, stopped: false })
        }
        ("GET", "/v1/top") => {
            let looks = state.lock().unwrap().requests.iter().filter(|r| *r == "GET /v1/top").count();
            json(200, &seeing::top(looks as u64))
        }
        ("GET", "/v1/usage" | "/v1/tenants/blog/usage") => json(200, &seeing::usage()),
        ("GET", "/v1/tenants/blog/timeline") => json(200, &seeing::timeline()),
        ("GET", "/v1/tokens") => json(200, &[token_of("prometheus")]),
        ("POST", "/v1/tokens") => {
            let new: NewToken = serde_json::from_slice(&body(request).await).unwrap();
            let token = token_of(new.name.as_str());
            json(201, &TokenMade { token, secret: "kennel_metrics_x".into() })
        }
        ("DELETE", "/v1/tokens/prometheus") => Response::builder().status(204).body(Full::default()).unwrap(),
        ("GET", "/v1/metrics") => Response::new(Full::from("kennel_slots 4\n")),
        ("GET", "/v1/access" | "/v1/tenants/blog/access" | "/v1/traffic" | "/v1/tenants/blog/traffic") => {
            Response::new(Full::from(seeing::visits()))
        }
        ("GET", "/v1/tenants/blog/denials") => Response::new(Full::from(egress::denials())),
        ("POST", "/v1/tenants/blog/releases") => return upload(request, state).await,
        ("GET", "/v1/tenants/blog/logs") => {
            let text = |text: &str, unfinished| serde_json::json!({"at_ms": 7, "release": 3, "text": text, "unfinished": unfinished});
            let lines = [("one", false), ("\x1b[31mtwo\x1b[0m\x1b]0;title\x07", false), ("three", true)];
            let lines: String = lines.map(|(line, open)| format!("{}\n", text(line, open))).concat();
            Response::new(Full::from(lines))
        }
        (method, path) if releases::is(path) => {
            let (method, path) = (method.to_owned(), path.to_owned());
            match releases::answer(&method, &path, &body(request).await, tenant(limits)) {
                Ok(answer) => json(200, &answer),
                Err((status, code)) => problem(status, code, "it was refused"),
            }
        }
        (_, path) if routing::is(path) => {
            let (method, path) = (method.clone(), path.to_owned());
            let (status, answer) = routing::answer(&method, &path, &body(request).await, tenant(limits));
            match answer {
                Some(answer) => json(status, &answer),
                None => Response::builder().status(status).body(Full::default()).unwrap(),
            }
        }
        _ => problem(404, "no-such-tenant", "there is no tenant of this name"),
    })
}

async fn body(request: Request<Incoming>) -> Bytes {
    request.into_body().collect().await.unwrap().to_bytes()
}

fn challenge(body: &[u8], state: &mut State) -> Answer {
    let request: api::ChallengeRequest = serde_json::from_slice(body).unwrap();
    let nonce = format!("nonce-{}", state.challenges.len());
    state.challenges.insert(nonce.clone(), request.public_key);
    json(200, &api::Challenge { nonce })
}

fn sign_in(body: &[u8], state: &mut State, fingerprint: Fingerprint) -> Answer {
    let request: api::SessionRequest = serde_json::from_slice(body).unwrap();
    let key = PublicKey::from_openssh(&state.challenges[&request.nonce]).unwrap();
    let signature = SshSig::from_pem(&request.signature).unwrap();
    let text = api::signed_text(&request.nonce, &fingerprint.to_string());
    key.verify(api::SIGNATURE_NAMESPACE, text.as_bytes(), &signature).unwrap();
    if !state.operators.iter().any(|o| o.key_data() == key.key_data()) {
        return problem(401, "sign-in-refused", "the sign-in was refused");
    }
    state.sign_ins += 1;
    let token = format!("token-{}", state.sign_ins);
    state.tokens.push(token.clone());
    json(200, &api::Session { token, expires_in_s: 3600 })
}

async fn upload(request: Request<Incoming>, state: &Mutex<State>) -> Option<Answer> {
    assert_eq!(request.headers()["content-type"], "application/x-tar");
    let break_after = state.lock().unwrap().break_upload_after;
    let mut received = Vec::new();
    let mut stream = request.into_body();
    while let Some(frame) = stream.frame().await {
        match frame {
            Ok(frame) => received.extend_from_slice(frame.data_ref().map_or(&[][..], |d| d)),
            Err(e) => {
                state.lock().unwrap().upload = Some(Err(e.to_string()));
                return Some(problem(400, "upload-refused", "the upload broke off"));
            }
        }
        let stalls = {
            let mut state = state.lock().unwrap();
            state.upload_begun |= state.stall_upload;
            state.stall_upload
        };
        if stalls {
            std::future::pending::<()>().await;
        }
        if break_after.is_some_and(|limit| received.len() >= limit) {
            let answer = problem(500, "internal", "something broke");
            return Some(answer);
        }
    }
    let (bytes, limits) = (received.len() as u64, state.lock().unwrap().limits);
    state.lock().unwrap().upload = Some(Ok(received));
    let release = api::Release { bytes, ..releases::release(1) };
    Some(json(
        201,
        &api::Deployed {
            tenant: tenant(limits),
            release,
            notes: vec!["a note \u{1b}[2J".into()],
            ready_ms: None,
        },
    ))
}

fn token_of(name: &str) -> Token {
    Token {
        name: name.parse().unwrap(),
        scope: Scope::Metrics,
        by: "SHA256:x".into(),
        created_at_s: 1,
        account: None,
        tenants: None,
        expires_at_s: None,
        used_at_s: None,
    }
}

fn egress_report() -> api::EgressReport {
    let rule = api::EgressRule { number: 1, action: Action::Deny, to: "203.0.113.0/24".into() };
    let traffic = api::Traffic { packets: 3, bytes: 180 };
    api::EgressReport {
        rules: vec![api::EgressCount { rule, traffic }],
        accepted_by_default: api::Traffic { packets: 7, bytes: 420 },
        refused_by_default: api::Traffic::default(),
    }
}

fn tenant(limits: Limits) -> api::Tenant {
    let slot = SlotId::new(3).unwrap();
    api::Tenant {
        name: TenantName::new("blog").unwrap(),
        slot,
        uid: slot.uid(),
        context: slot.run_context(true),
        port: slot.port(),
        runtime: RuntimeName::new("node-24").unwrap(),
        domains: vec!["blog.localhost".parse().unwrap()],
        command: vec!["/usr/bin/node".into(), "server.js".into()],
        limits,
        state: SlotState::Stopped,
        reason: None,
        maintenance: None,
        current: None,
        releases: Vec::new(),
        created_at_s: 1,
    }
}
