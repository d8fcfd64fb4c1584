//! What is run beside a tenant's program: frames in, frames out, and the end of it whoever goes first.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame as Piece;
use hyper::{Method, StatusCode};
use kennel_model::api::Tenant;
use kennel_model::task::{FRAMES, Frame, FrameKind, Frames, TaskEnd};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::support::client::{Answer, Client, key};
use crate::support::{Host, deployed, wish};

const PATH: &str = "/v1/tenants/blog/exec";

fn run(command: &[&str]) -> Vec<u8> {
    Frame::encode(FrameKind::Run, &serde_json::to_vec(&json!({ "command": command })).unwrap())
}

/// A body that goes on until its sender is dropped.
struct Typed(mpsc::UnboundedReceiver<Vec<u8>>);

impl hyper::body::Body for Typed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Piece<Bytes>>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Piece::data(bytes.into()))))
    }
}

fn typed() -> (mpsc::UnboundedSender<Vec<u8>>, Typed) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Typed(receiver))
}

fn frames(bytes: &[u8]) -> Vec<Frame> {
    let (mut frames, mut all) = (Frames::default(), vec![]);
    frames.push(bytes);
    while let Some(frame) = frames.take().unwrap() {
        all.push(frame);
    }
    assert!(!frames.is_within());
    all
}

fn of(frames: &[Frame], kind: FrameKind) -> String {
    let bytes: Vec<u8> = frames.iter().filter(|f| f.kind == kind).flat_map(|f| f.bytes.clone()).collect();
    String::from_utf8(bytes).unwrap()
}

/// All that came of a command, whose input is this.
async fn whole(operator: &Client, command: &[&str], input: &[u8]) -> (Vec<Frame>, TaskEnd) {
    let (sender, body) = typed();
    sender.send(run(command)).unwrap();
    sender.send(Frame::encode(FrameKind::Input, input)).unwrap();
    sender.send(Frame::encode(FrameKind::InputEnd, b"")).unwrap();
    let answer = operator.begin(Method::POST, PATH, FRAMES, body).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let all = frames(&answer.into_body().collect().await.unwrap().to_bytes());
    drop(sender);
    let last = all.last().unwrap();
    assert_eq!(last.kind, FrameKind::End);
    let end = serde_json::from_slice(&last.bytes).unwrap();
    (all, end)
}

/// For the test of every operation: one whose body is given at once.
pub(crate) async fn each_operation(operator: &Client, name: &str) {
    let body = [run(&["complain"]), Frame::encode(FrameKind::InputEnd, b"")].concat();
    let path = format!("/v1/tenants/{name}/exec");
    let answer: Answer = operator.ask(Method::POST, &path, FRAMES, body.into()).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_typed_goes_in_and_what_is_printed_comes_out() {
    let (host, operator) = deployed().await;
    let input: Vec<u8> = b"0123456789".repeat(20_000);
    let (frames, end) = whole(&operator, &["cat", "-"], &input).await;
    assert_eq!(of(&frames, FrameKind::Output).as_bytes(), input);
    assert_eq!(end, TaskEnd { code: 0, why: "exited with code 0".into() });
    let (frames, end) = whole(&operator, &["complain"], b"").await;
    assert_eq!((of(&frames, FrameKind::ErrorOutput).as_str(), end.code), ("no such thing\n", 3));
    assert!(host.world.lock().tasks.is_empty());
}

#[tokio::test]
async fn it_runs_with_what_the_tenant_has() {
    let (host, operator) = deployed().await;
    let set = json!({ "set": { "COLOUR": "blue" } });
    assert!(operator.post("/v1/tenants/blog/env", &set).await.status.is_success());
    let (sender, body) = typed();
    sender.send(run(&["wait"])).unwrap();
    let answer = operator.begin(Method::POST, PATH, FRAMES, body).await.unwrap();
    let task = host.world.lock().tasks.values().next().unwrap().clone();
    assert_eq!((task.slot.index(), task.spec.argv), (0, vec!["wait".to_owned()]));
    assert_eq!((task.spec.release.0, task.spec.files.0), (2, 1));
    assert_eq!(task.spec.env.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["COLOUR"]);
    sender.send(Frame::encode(FrameKind::Stop, b"")).unwrap();
    let all = frames(&answer.into_body().collect().await.unwrap().to_bytes());
    let end: TaskEnd = serde_json::from_slice(&all.last().unwrap().bytes).unwrap();
    assert_eq!(end.code, 143);
    drop(sender);
}

/// Without holding up this thread, which the client's connection needs as well.
async fn until_there_are(host: &Host, tasks: usize) {
    for _ in 0..600 {
        if host.world.lock().tasks.len() == tasks {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("never: {tasks} tasks");
}

#[tokio::test]
async fn who_goes_away_ends_it() {
    let (host, operator) = deployed().await;
    let (sender, body) = typed();
    sender.send(run(&["wait"])).unwrap();
    let answer = operator.begin(Method::POST, PATH, FRAMES, body).await.unwrap();
    assert_eq!(host.world.lock().tasks.len(), 1);
    drop(sender);
    until_there_are(&host, 0).await;
    drop(answer);

    let body = run(&["wait"]);
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: kennel\r\nauthorization: Bearer {}\r\ncontent-type: {FRAMES}\r\n\
         content-length: 100000\r\n\r\n",
        operator.token.as_ref().unwrap()
    );
    let mut stream = operator.connect().await;
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    stream.flush().await.unwrap();
    until_there_are(&host, 1).await;
    drop(stream);
    until_there_are(&host, 0).await;
}

#[tokio::test]
async fn who_may_no_longer_is_cut_off_and_what_he_ran_is_ended() {
    let (host, operator) = deployed().await;
    let keys = [key(40).public_key().to_openssh().unwrap()];
    let ada = json!({"name": "ada", "role": "deployer", "tenants": ["blog"], "keys": keys});
    assert_eq!(operator.post("/v1/accounts", &ada).await.status, StatusCode::CREATED);
    let mut client = host.stranger();
    assert_eq!(client.sign_in(&key(40)).await.status, StatusCode::CREATED);
    let (sender, body) = typed();
    sender.send(run(&["wait", "--secret=zwieback"])).unwrap();
    let answer = client.begin(Method::POST, PATH, FRAMES, body).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    until_there_are(&host, 1).await;
    assert_eq!(operator.delete("/v1/accounts/ada").await.status, StatusCode::NO_CONTENT);
    until_there_are(&host, 0).await;
    assert!(answer.into_body().collect().await.is_err(), "it broke off");
    drop(sender);
    let audit = operator.get("/v1/audit").await.body;
    let audit = String::from_utf8_lossy(&audit);
    assert!(audit.contains("\"exec\"") && audit.contains("\"wait\"") && !audit.contains("zwieback"), "{audit}");
}

#[tokio::test]
async fn what_cannot_be_run_is_said_before_anything_is() {
    let (host, operator) = deployed().await;
    let ask =
        async |path: &str, body: Vec<u8>| operator.ask(Method::POST, path, FRAMES, body.into()).await.code();
    assert_eq!(ask(PATH, run(&[])).await, "bad-request");
    assert_eq!(ask(PATH, run(&[""])).await, "bad-request");
    assert_eq!(ask(PATH, Frame::encode(FrameKind::Input, b"x")).await, "bad-request");
    assert_eq!(ask(PATH, b"GET / HTTP/1.1\r\n".to_vec()).await, "bad-request");
    assert_eq!(ask(PATH, vec![]).await, "bad-request");
    assert_eq!(ask("/v1/tenants/nobody/exec", run(&["cat"])).await, "no-such-tenant");
    operator.post("/v1/tenants", &wish("empty")).await.expect::<Tenant>(StatusCode::CREATED);
    assert_eq!(ask("/v1/tenants/empty/exec", run(&["cat"])).await, "not-deployed");
    let long = "x".repeat(9000);
    assert_eq!(ask(PATH, run(&[&long])).await, "invalid-tenant");
    let full = kennel_model::msg::Refusal::Busy("too many tasks run in it".into());
    host.world.lock().refuse = Some(("RunTask", full));
    let answer = operator.ask(Method::POST, PATH, FRAMES, run(&["cat"]).into()).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(String::from_utf8_lossy(&answer.body).contains("too many tasks run in it"));
}
