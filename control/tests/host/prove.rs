//! The probes on a live host, through the API: deployed, run, told, and gone.

use hyper::StatusCode;
use kennel_model::api::{Prove, ProveLine, Tenant};

use crate::support::{Host, wish};

fn host() -> Host {
    let host = Host::start();
    std::fs::write(&host.config.villain, "a program").unwrap();
    host.world.lock().villain_says = "kennel: starting release 1\n\
        {\"id\":\"other-slot-code-read\",\"result\":\"ENOENT\",\"detail\":\"\"}\n\
        {\"id\":\"metadata-v4\",\"result\":\"done\",\"detail\":\"it answered\"}\n"
        .to_owned();
    host
}

async fn prove(host: &Host, neighbour: Option<&str>) -> Vec<ProveLine> {
    let operator = host.operator().await;
    let wish = Prove { neighbour: neighbour.map(|name| name.parse().unwrap()) };
    let answer = operator.post("/v1/host/prove", &wish).await;
    assert_eq!(answer.status, StatusCode::OK);
    let text = std::str::from_utf8(&answer.body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn every_probe_is_told_and_nothing_is_left() {
    let host = host();
    let operator = host.operator().await;
    let blog: Tenant = operator.post("/v1/tenants", &wish("blog")).await.expect(StatusCode::CREATED);
    let lines = prove(&host, Some("blog")).await;
    let [ProveLine::Begun { slot, neighbour }, ProveLine::Probe(first), ProveLine::Probe(second), end] =
        &lines[..]
    else {
        panic!("{lines:?}")
    };
    assert!(*slot != blog.slot && *neighbour == Some(blog.slot));
    assert_eq!((first.id.as_str(), first.result.as_str()), ("other-slot-code-read", "ENOENT"));
    assert_eq!((second.result.as_str(), second.detail.as_str()), ("done", "it answered"));
    assert_eq!(*end, ProveLine::Done { probes: 2 });
    assert_eq!(host.world.lock().slots.keys().copied().collect::<Vec<_>>(), [blog.slot]);
    let tenants: Vec<Tenant> = operator.get("/v1/tenants").await.expect(StatusCode::OK);
    assert_eq!(tenants.len(), 1);
}

#[tokio::test]
async fn what_goes_wrong_is_the_last_line_and_leaves_nothing() {
    let host = host();
    let lines = prove(&host, Some("nobody")).await;
    assert!(
        matches!(&lines[..], [ProveLine::Failed(problem)] if problem.code == "no-such-tenant"),
        "{lines:?}"
    );
    host.world.lock().villain_says.clear();
    let lines = prove(&host, None).await;
    assert!(matches!(lines.last(), Some(ProveLine::Failed(_))), "{lines:?}");
    assert!(host.world.lock().slots.is_empty());
}
