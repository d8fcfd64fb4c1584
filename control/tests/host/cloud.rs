//! A host on a cloud: who may sign in and what the host is, from what the metadata service says.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use kennel_model::api;
use kennel_model::cloud::{Identity, Instance, Notice, Report};
use kennel_model::msg::ToControl;
use ssh_key::PrivateKey;

use crate::support::Host;
use crate::support::client::{Client, key};

fn instance(user_data: &str, pair: &PrivateKey) -> Instance {
    Instance {
        id: "i-0123456789abcdef0".into(),
        kind: "t3.small".into(),
        region: "eu-west-1".into(),
        zone: "eu-west-1a".into(),
        host_name: None,
        public_key: Some(pair.public_key().to_openssh().unwrap()),
        user_data: user_data.into(),
        tags: vec![("Name".into(), "edge1".into())],
        identity: Some(Identity {
            account: "123456789012".into(),
            image: "ami-1".into(),
            ..Identity::default()
        }),
    }
}

fn tell(host: &Host, report: Report) {
    host.world.tell(&ToControl::Cloud(Box::new(report)));
}

/// Signs in as soon as control has heard who may.
async fn sign_in(client: &mut Client, key: &PrivateKey) {
    let end = Instant::now() + Duration::from_secs(60);
    while client.sign_in(key).await.status != StatusCode::CREATED {
        assert!(Instant::now() < end, "never let in");
    }
}

#[tokio::test]
async fn operators_come_with_the_metadata_service() {
    let host = Host::start_with("", |_| {});
    let mut client = host.stranger();
    tell(&host, Report { trouble: Some("nobody answers".into()), ..Report::default() });
    assert_eq!(client.sign_in(&key(1)).await.code(), "sign-in-refused");

    let line = key(2).public_key().to_openssh().unwrap();
    let user_data = format!("[operator]\nssh_keys = [\"{line}\"]\n");
    tell(&host, Report { instance: Some(instance(&user_data, &key(1))), ..Report::default() });
    sign_in(&mut client, &key(1)).await;
    sign_in(&mut client, &key(2)).await;
    assert_eq!(client.sign_in(&key(3)).await.code(), "sign-in-refused");
}

#[tokio::test]
async fn the_host_says_where_it_is_and_what_becomes_of_it() {
    let host = Host::start();
    let client = host.operator().await;
    let status = || async { client.get("/v1/host").await.expect::<api::Host>(StatusCode::OK).cloud };
    assert_eq!(status().await, None);

    let notice = Notice::Interruption { action: "terminate".into(), at: "2027-01-21T09:00:00Z".into() };
    let instance = Some(instance("secret = 1", &key(2)));
    tell(&host, Report { instance, trouble: Some("late".into()), notices: vec![notice.clone()] });
    // Init's answer to the request comes behind the report, in the same channel.
    let cloud = status().await.unwrap();
    assert_eq!((cloud.trouble.as_deref(), cloud.notices), (Some("late"), vec![notice.sentence()]));
    let instance = cloud.instance.unwrap();
    assert_eq!((instance.id.as_str(), instance.tags[0].value.as_str()), ("i-0123456789abcdef0", "edge1"));
    assert_eq!((instance.account.as_deref(), instance.image.as_deref()), (Some("123456789012"), Some("ami-1")));
    let answer = client.get("/v1/host").await;
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "user-data is nobody's business");
}

#[tokio::test]
async fn the_user_data_names_the_host() {
    let host = Host::start();
    let client = host.operator().await;
    let named = async || client.get("/v1/host").await.expect::<api::Host>(StatusCode::OK).name;
    assert_eq!(named().await, "", "nobody has named it");
    let first = Instance { host_name: Some("ip-10-0-0-7.example".into()), ..instance("", &key(2)) };
    tell(&host, Report { instance: Some(first), ..Report::default() });
    let end = Instant::now() + Duration::from_secs(60);
    while named().await != "ip-10-0-0-7.example" {
        assert!(Instant::now() < end, "never named");
    }
    let second = Instance { user_data: "[host]\nname = \"edge1\"".into(), ..instance("", &key(2)) };
    tell(&host, Report { instance: Some(second), ..Report::default() });
    while named().await != "edge1" {
        assert!(Instant::now() < end, "never named anew");
    }
}
