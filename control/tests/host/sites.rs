//! Releases without a program: the proxy answers their files, as the tenant's limits say or because there is nothing else in them.

use hyper::StatusCode;
use kennel_model::api::{Deployed, RolledBack, Tenant};
use kennel_model::found::Origin;
use kennel_model::{Limits, SlotId, StaticFiles};

use crate::support::{Host, archive, wish};

fn slot() -> SlotId {
    SlotId::new(0).unwrap()
}

#[tokio::test]
async fn a_site_of_files_needs_no_program() {
    let host = Host::start();
    let operator = host.operator().await;
    let made: Tenant = operator.post("/v1/tenants", &wish("docs")).await.expect(StatusCode::CREATED);
    let files = || archive(&[("pages.txt", 1)]);
    assert_eq!(operator.deploy("docs", files()).await.code(), "no-program");
    let of = |json: &str| Limits { static_files: serde_json::from_str(json).unwrap(), ..made.limits };
    let part = of(r#"{"path":"/assets","folder":".","only":true}"#);
    operator.put("/v1/tenants/docs/limits", &part).await.expect::<Tenant>(StatusCode::OK);
    assert_eq!(operator.deploy("docs", files()).await.code(), "no-program", "who answers the rest?");
    let whole = of(r#"{"path":"/","folder":".","only":true}"#);
    operator.put("/v1/tenants/docs/limits", &whole).await.expect::<Tenant>(StatusCode::OK);
    operator.deploy("docs", files()).await.expect::<Deployed>(StatusCode::CREATED);
    assert!(host.world.lock().slots[&slot()].spec.clone().unwrap().argv.is_empty());
    let off = operator.put("/v1/tenants/docs/limits", &made.limits).await;
    assert_eq!(off.code(), "no-program", "nobody would answer");
    operator.deploy("docs", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    operator.put("/v1/tenants/docs/limits", &made.limits).await.expect::<Tenant>(StatusCode::OK);
}

#[tokio::test]
async fn an_index_alone_is_a_site_until_there_is_a_program() {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("docs")).await.expect::<Tenant>(StatusCode::CREATED);
    let site: Deployed =
        operator.deploy("docs", archive(&[("index.html", 1), ("a.css", 1)])).await.expect(StatusCode::CREATED);
    assert_eq!((site.release.command.len(), site.release.origin), (0, Some(Origin::Index)));
    assert_eq!(site.tenant.limits.static_files, None, "that is the release's, and no limit of the tenant");
    let whole = Some(StaticFiles::all());
    let told = |host: &Host| {
        let world = host.world.lock();
        let route = world.routes.clone().unwrap().routes.remove(0);
        (route.static_files, world.slots[&slot()].spec.clone().unwrap().limits.static_files)
    };
    assert_eq!(told(&host), (whole, whole));
    let part = serde_json::from_str(r#"{"path":"/a","folder":"a"}"#).unwrap();
    let part = Limits { static_files: part, ..site.tenant.limits };
    assert_eq!(
        operator.put("/v1/tenants/docs/limits", &part).await.code(),
        "no-program",
        "who answers the rest?"
    );
    operator.deploy("docs", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    assert_eq!(told(&host), (None, None));
    operator
        .post("/v1/tenants/docs/rollback", &serde_json::json!({}))
        .await
        .expect::<RolledBack>(StatusCode::OK);
    assert_eq!(told(&host), (whole, whole));
}
