//! Releases that say which packages they need and come without them: these are fetched before anybody looks how it starts.

use hyper::StatusCode;
use kennel_model::ReleaseId;
use kennel_model::SlotId;
use kennel_model::api::{Deployed, Problem, Tenant};
use kennel_model::msg::{ControlRequest, Refusal};
use kennel_model::task::TaskIo;

use crate::support::{Host, archive, deployed, wish};

fn slot() -> SlotId {
    SlotId::new(0).unwrap()
}

/// What was done of builds, in its order, with the slot.
fn acts(host: &Host) -> Vec<(u16, &'static str)> {
    let act = |request: &ControlRequest| match request {
        ControlRequest::BeginBuild(slot, ..) => Some((slot.index(), "begin")),
        ControlRequest::RunTask { slot, io: TaskIo::Build, .. } => Some((slot.index(), "run")),
        ControlRequest::EndBuild { slot, .. } => Some((slot.index(), "end")),
        _ => None,
    };
    host.world.lock().requests.iter().filter_map(act).collect()
}

#[tokio::test]
async fn what_comes_without_its_packages_gets_them() {
    let (host, operator) = deployed().await;
    let came = archive(&[("package-lock.json", 3), ("server.js", 1)]);
    let made: Deployed = operator.deploy("blog", came).await.expect(StatusCode::CREATED);
    assert_eq!(acts(&host), [(0, "begin"), (0, "run"), (0, "end")]);
    assert_eq!((made.release.bytes, made.tenant.current), (5000, Some(ReleaseId(2))), "of what it has become");
    let world = host.world.lock();
    let ran = world.requests.iter().find_map(|request| match request {
        ControlRequest::RunTask { spec, io: TaskIo::Build, .. } => Some((spec.release, spec.argv.join(" "))),
        _ => None,
    });
    assert_eq!(ran, Some((ReleaseId(2), "npm ci".to_owned())));
    let onto = world.requests.iter().find_map(|request| match request {
        ControlRequest::EndBuild { onto, .. } => Some(*onto),
        _ => None,
    });
    assert_eq!(onto, Some(Some(ReleaseId(1))), "it shares with what serves");
}

#[tokio::test]
async fn who_has_packages_or_wants_none_is_left_as_it_is() {
    let (host, operator) = deployed().await;
    let whole = archive(&[("package-lock.json", 3), ("server.js", 1), ("node_modules/a/index.js", 1)]);
    operator.deploy("blog", whole).await.expect::<Deployed>(StatusCode::CREATED);
    let bare = || archive(&[("package-lock.json", 3), ("server.js", 1)]);
    operator.deploy_with("blog", "build=no", bare()).await.expect::<Deployed>(StatusCode::CREATED);
    operator
        .deploy_with("blog", "runtime=python-3.13", archive(&[("package-lock.json", 3), ("app.py", 1)]))
        .await
        .expect::<Deployed>(StatusCode::CREATED);
    assert_eq!(operator.deploy_with("blog", "build=yes", bare()).await.code(), "bad-request");
    assert_eq!(acts(&host), []);
}

#[tokio::test]
async fn a_build_that_fails_leaves_nothing_and_what_served_serves() {
    let (host, operator) = deployed().await;
    host.world.lock().builds_fail = true;
    let printed = "kennel: running npm ci\nnpm error code E404\n";
    std::fs::write(host.config.log_folder(slot()).join("1-2"), printed).unwrap();
    let bare = || archive(&[("package-lock.json", 3), ("server.js", 1)]);
    let refused = operator.deploy("blog", bare()).await;
    let problem: Problem = refused.expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        (problem.code.as_str(), problem.message.as_str()),
        ("not-built", "release r2 cannot be built: npm ci: exited with code 1")
    );
    assert!(problem.hint.unwrap().contains("npm error code E404"));
    {
        let mut world = host.world.lock();
        let slot = &world.slots[&slot()];
        assert_eq!((slot.releases.iter().collect::<Vec<_>>(), slot.build), (vec![&1], None));
        assert_eq!(slot.spec.as_ref().map(|spec| spec.release), Some(ReleaseId(1)));
        world.builds_fail = false;
        world.refuse = Some(("EndBuild", Refusal::Failed("no room".into())));
    }
    assert_eq!(operator.deploy("blog", bare()).await.code(), "host-failed");
    {
        let mut world = host.world.lock();
        assert_eq!((world.slots[&slot()].releases.len(), world.slots[&slot()].build), (1, None));
        world.refuse = None;
    }
    operator.deploy("blog", bare()).await.expect::<Deployed>(StatusCode::CREATED);
}

#[tokio::test]
async fn one_is_built_at_a_time() {
    let (host, operator) = deployed().await;
    operator.post("/v1/tenants", &wish("shop")).await.expect::<Tenant>(StatusCode::CREATED);
    let bare = || archive(&[("package-lock.json", 3), ("server.js", 1)]);
    let (one, other) = tokio::join!(operator.deploy("blog", bare()), operator.deploy("shop", bare()));
    assert_eq!([one.status, other.status], [StatusCode::CREATED; 2]);
    let slots: Vec<_> = acts(&host).iter().map(|(slot, _)| *slot).collect();
    assert!([[0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]].contains(&slots.try_into().unwrap()));
}
