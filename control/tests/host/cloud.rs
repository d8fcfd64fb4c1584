//! A host on a cloud: who may sign in and what the host is, from what the metadata service says.

use std::net::SocketAddr;
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
async fn a_host_of_the_clouds_asks_its_server_unless_told_otherwise() {
    let host = Host::start_with("", |_| {});
    let asks = |servers: &[&str]| {
        let servers: Vec<_> = servers.iter().map(|s| s.parse::<SocketAddr>().unwrap()).collect();
        host.world.wait("those time servers", |world| world.time_servers == servers);
    };
    asks(&[]);
    tell(&host, Report { trouble: Some("nobody answers".into()), ..Report::default() });
    asks(&["169.254.169.123:123"]);
    let user_data = "[time]\nservers = [\"192.0.2.1\", \"192.0.2.2:4123\"]";
    tell(&host, Report { instance: Some(instance(user_data, &key(1))), ..Report::default() });
    asks(&["192.0.2.1:123", "192.0.2.2:4123"]);
}

#[tokio::test]
async fn the_host_empties_itself_before_it_is_taken_away_and_fills_again_if_it_is_not() {
    let host = Host::start();
    let client = host.operator().await;
    let interruption = |at: &str| Notice::Interruption { action: "terminate".into(), at: at.into() };
    let noticed = |notices: &[Notice]| tell(&host, Report { notices: notices.into(), ..Report::default() });
    let draining = async || client.get("/v1/host").await.expect::<api::Host>(StatusCode::OK).draining;
    noticed(&[interruption("2999-01-01T00:00:00Z")]);
    assert!(!draining().await);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let clock = (now / 3600 % 24, now / 60 % 60, now % 60);
    let days = now / 86_400;
    noticed(&[interruption(&format!("{}T{:02}:{:02}:{:02}Z", date(days), clock.0, clock.1, clock.2))]);
    host.world.wait("to drain", |world| world.draining);
    assert!(draining().await);
    noticed(&[]);
    host.world.wait("to serve", |world| !world.draining);
    assert!(!draining().await);
}

/// So many days after 1970-01-01, counted off.
fn date(mut days: u64) -> String {
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 0;
    let months = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= months[month] {
        days -= months[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, days + 1)
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
