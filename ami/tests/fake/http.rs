//! Receives and sends: connections, the journal of requests, faults before and after, and who answers what.

use super::answer::{Answer, Refusal, Reply};
use super::demand::demands;
use super::faults::Fault;
use super::request::{Request, Service};
use super::{Call, Shared, ebs_read, ebs_write, ec2, host, locked, ssm, sts};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::sync::Arc;

/// Why a connection ends without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection was cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// Answers on a listener, for ever.
pub(crate) async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of a runtime");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<hyper::Response<Full<Bytes>>, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    tokio::time::sleep(shared.latency).await;
    // What a service elsewhere tells everyone: the address that they come from.
    if head.uri.path() == "/checkip" {
        let body = "127.0.0.1\n".into();
        return Ok(response(Reply { status: 200, kind: "text/plain", headers: Vec::new(), body }));
    }
    let request = match Request::of(head.method.as_str(), &head.uri, head.headers, body) {
        Ok(request) => request,
        Err(refusal) => {
            // Nobody knows whose it is; EC2's manner is the one that a person can read.
            note(&shared, Call::unknown(&refusal));
            return Ok(response(refusal.reply(Service::Ec2)));
        }
    };
    let number = note(&shared, Call::of(&request));
    let fault = locked(&shared.faults).meet(&request.action);
    match fault {
        Some(Fault::Cut) => return Err(Cut),
        Some(Fault::Stall) => stall(&shared).await,
        Some(Fault::Status(status)) => {
            settle(&shared, number, status, "");
            let body = "<html><body>the machine in between is not well</body></html>".into();
            return Ok(response(Reply { status, kind: "text/html", headers: Vec::new(), body }));
        }
        _ => {}
    }
    let service = request.service;
    let answer = refused(fault, service).map_or_else(|| handle(request, number, fault, &shared), Err);
    let doors = std::mem::take(&mut locked(&shared.account).doors);
    host::open(doors, &shared);
    let (mut reply, code) = match answer {
        Ok(reply) => (reply, String::new()),
        Err(refusal) => (refusal.reply(service), refusal.code),
    };
    settle(&shared, number, reply.status, &code);
    match fault {
        Some(Fault::CutAfter) => return Err(Cut),
        Some(Fault::StallAfter) => stall(&shared).await,
        Some(Fault::CorruptAnswer) => reply.body = tipped(&reply.body),
        _ => {}
    }
    Ok(response(reply))
}

/// What a fault refuses in the service's stead.
fn refused(fault: Option<Fault>, service: Service) -> Option<Refusal> {
    match (fault?, service) {
        (Fault::Refuse(status, code), _) => Some(Refusal::new(status, code, "this is how it is today")),
        (Fault::Throttle, Service::Ebs) => Some(Refusal {
            reason: Some("ACCOUNT_THROTTLED"),
            ..Refusal::new(
                400,
                "RequestThrottledException",
                "The number of API requests has exceeded the maximum",
            )
        }),
        (Fault::Throttle, Service::Ec2) => {
            Some(Refusal::new(503, "RequestLimitExceeded", "Request limit exceeded."))
        }
        (Fault::Throttle, _) => Some(Refusal::new(400, "ThrottlingException", "Rate exceeded")),
        _ => None,
    }
}

fn handle(mut request: Request, number: usize, fault: Option<Fault>, shared: &Shared) -> Answer {
    let account = &mut locked(&shared.account);
    let demands = demands(&request, account);
    if let Some(call) = locked(&shared.calls).get_mut(number) {
        call.needs = demands.iter().map(|demand| demand.action.clone()).collect();
    }
    locked(&shared.iam).judge(request.service, &demands)?;
    if request.dry_run() {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(Refusal::new(412, "DryRunOperation", message));
    }
    if fault == Some(Fault::Corrupt) {
        request.body = tipped(&request.body);
    }
    match request.service {
        Service::Ebs if ebs_write::knows(&request.action) => ebs_write::answer(&request, account),
        Service::Ebs => ebs_read::answer(&request, account),
        Service::Ec2 => ec2::answer(&request, account),
        Service::Ssm => ssm::answer(&request, account),
        Service::Sts => sts::answer(&request),
    }
}

/// The same bytes but for the last bit.
fn tipped(body: &[u8]) -> Bytes {
    let mut body = body.to_vec();
    if let Some(byte) = body.last_mut() {
        *byte ^= 1;
    }
    body.into()
}

async fn stall(shared: &Shared) {
    locked(&shared.faults).stalled += 1;
    shared.changed.notify_all();
    std::future::pending::<()>().await;
}

fn note(shared: &Shared, call: Call) -> usize {
    let mut calls = locked(&shared.calls);
    calls.push(call);
    calls.len() - 1
}

fn settle(shared: &Shared, number: usize, status: u16, code: &str) {
    // The test may have forgotten the requests meanwhile.
    if let Some(call) = locked(&shared.calls).get_mut(number) {
        call.status = status;
        call.code = code.to_owned();
    }
}

fn response(reply: Reply) -> hyper::Response<Full<Bytes>> {
    let mut builder = hyper::Response::builder().status(reply.status).header("content-type", reply.kind);
    builder = builder.header("x-amzn-requestid", "5c8c5e9b-0000-4000-8000-000000000000");
    for (name, value) in reply.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(reply.body)).expect("headers that are headers")
}

impl Call {
    fn of(request: &Request) -> Call {
        Call {
            region: request.region.clone(),
            action: request.action.clone(),
            needs: Vec::new(),
            status: 0,
            code: String::new(),
            dry_run: request.dry_run(),
        }
    }

    fn unknown(refusal: &Refusal) -> Call {
        let (status, code) = (refusal.status, refusal.code.clone());
        Call { region: String::new(), action: "?".to_owned(), needs: Vec::new(), status, code, dry_run: false }
    }
}
