//! Connections in this process: which requests are passed on here, which are left to hyper, and with what.

use super::*;
use crate::limits::Limits;
use crate::link::Link;
use crate::seen::Records;
use kennel_model::routes::{Protocol, Route, RouteTable};
use kennel_model::{ReleaseId, SlotId, TenantName};
use kennel_sys::Channel;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

const ASK: &str = "GET /a HTTP/1.1\r\nhost: a.example\r\n\r\n";
const HI: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

/// A proxy without listeners, with one tenant that is awake; its slot is one that no test of `it` has.
struct Stand {
    shared: Arc<Shared>,
    drain: watch::Sender<bool>,
    slot: SlotId,
    program: TcpListener,
    _far: (Channel, Channel),
}

async fn stand(change: impl FnOnce(&mut Route)) -> Stand {
    let limits = Limits { park: Duration::from_millis(20), ..Limits::default() };
    let (near, far) = Channel::pair().unwrap();
    let (records, told) = Channel::pair().unwrap();
    let link = Link::new(near).unwrap();
    let shared = Shared::new(limits.clone(), link, Records::new(records, &limits), 1).unwrap();
    let mut free = None;
    for n in 600..700 {
        let slot = SlotId::new(n).unwrap();
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, slot.port())).await {
            free = Some((slot, listener));
            break;
        }
    }
    let (slot, program) = free.unwrap();
    let limits = kennel_model::Limits { start_timeout_ms: 1000, ..kennel_model::Limits::default() };
    let (domain, tenant) = ("a.example".parse().unwrap(), TenantName::new("blog").unwrap());
    let mut route = Route::to(domain, tenant, slot, Some(ReleaseId(1)), &limits);
    change(&mut route);
    let table = RouteTable { generation: 1, routes: vec![route], ..RouteTable::default() };
    shared.routes.replace(table, Duration::from_secs(1)).unwrap();
    shared.leases.grant(slot, 1);
    Stand { shared, drain: watch::channel(false).0, slot, program, _far: (far, told) }
}

/// What became of a connection.
struct After {
    next: Next,
    passed: u64,
    rest: String,
}

impl Stand {
    /// Takes one connection to the program, and answers each request on it by the next of these.
    async fn answers(&self, answers: &[&str]) -> Vec<String> {
        let (mut stream, _) = self.program.accept().await.unwrap();
        let mut heads = Vec::new();
        for answer in answers {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            heads.push(String::from_utf8(head).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    }

    /// Serves a connection on which this is sent; answers what its client got, too.
    async fn serve(&self, sent: &str) -> (After, DuplexStream) {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let client = Client::new(Ipv4Addr::LOCALHOST.into(), permit, None);
        let mut io = WriteBound::new(near, &self.shared.limits);
        let mut rest = Vec::new();
        far.write_all(sent.as_bytes()).await.unwrap();
        let (next, passed) =
            super::serve(&self.shared, &mut io, &mut rest, &client, self.drain.subscribe()).await;
        (After { next, passed, rest: String::from_utf8(rest).unwrap() }, far)
    }
}

async fn all(mut far: DuplexStream) -> String {
    let mut all = String::new();
    far.read_to_string(&mut all).await.unwrap();
    all
}

#[tokio::test]
async fn plain_requests_are_passed_on_one_behind_the_other() {
    let stand = stand(|_| ()).await;
    let sent = [ASK, ASK, ASK].concat();
    let ((after, far), heads) = tokio::join!(stand.serve(&sent), stand.answers(&[HI, HI, HI]));
    assert!(matches!(after.next, Next::Idle));
    assert_eq!((after.passed, after.rest.as_str(), heads.len()), (3, "", 3));
    assert!(heads[0].contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{}", heads[0]);
    let got = all(far).await;
    assert_eq!(got.matches("HTTP/1.1 200 OK\r\n").count(), 3);
    assert_eq!(got.matches("\r\nx-request-id: ").count(), 3);
}

#[tokio::test]
async fn what_is_not_plain_is_left_as_it_came() {
    let stand = stand(|_| ()).await;
    for odd in [
        "POST /a HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\n\r\nhi",
        "GET /a HTTP/1.1\r\nhost: nobody.example\r\n\r\n",
        "GET /robots.txt HTTP/1.1\r\nhost: a.example\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: a.exa",
        "\r\n",
        "\0",
    ] {
        let (after, far) = stand.serve(odd).await;
        assert!(matches!(after.next, Next::Hypers(None)), "{odd:?}");
        assert_eq!((after.passed, after.rest.as_str()), (0, odd));
        assert_eq!(all(far).await, "");
    }
    // Behind one that is.
    let odd = "GET /next HTTP/1.0\r\n\r\n";
    let sent = [ASK, odd].concat();
    let ((after, _), _) = tokio::join!(stand.serve(&sent), stand.answers(&[HI]));
    assert!(matches!(after.next, Next::Hypers(None)));
    assert_eq!((after.passed, after.rest.as_str()), (1, odd));
}

#[tokio::test]
async fn what_no_step_may_pass_over_is_left() {
    let changes: [fn(&mut Route); 4] = [
        |route| route.release = None,
        |route| route.protocol = Protocol::H2c,
        |route| route.strip = true,
        |route| route.health = Some("/health".parse().unwrap()),
    ];
    for change in changes {
        let stand = stand(change).await;
        let (after, _) = stand.serve(ASK).await;
        assert!(matches!(after.next, Next::Hypers(None)));
        assert_eq!(after.rest, ASK);
    }
    let stand = stand(|_| ()).await;
    stand.shared.leases.revoke(stand.slot);
    let (after, _) = stand.serve(ASK).await;
    assert!(matches!(after.next, Next::Hypers(None)), "it is to be woken");
}

#[tokio::test]
async fn an_answer_that_is_not_plain_goes_to_hyper_with_its_request() {
    for odd in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "no HTTP at all\r\n\r\n",
        "",
    ] {
        let stand = stand(|_| ()).await;
        let answers = [odd];
        let ((after, far), _) = tokio::join!(stand.serve(ASK), stand.answers(&answers));
        let Next::Hypers(Some(begun)) = after.next else { panic!("{odd:?}") };
        assert!(matches!(begun.so_far, SoFar::Let(_, Start::Sent(_, false, _))), "{odd:?}");
        assert_eq!((after.passed, after.rest.as_str()), (0, ASK));
        drop(begun);
        assert_eq!(all(far).await, "", "{odd:?}");
    }
}

#[tokio::test]
async fn who_has_too_many_is_told_so_by_hyper_and_nobody_listens_to_what_is_not_there() {
    let one = std::num::NonZeroU32::new(1).unwrap();
    let limited = stand(|route| route.traffic.requests_per_s = Some(one)).await;
    // As many at once as come in `rate_ahead`, and one.
    let sent = ASK.repeat(7);
    let ((after, _), _) = tokio::join!(limited.serve(&sent), limited.answers(&[HI; 6]));
    let Next::Hypers(Some(begun)) = after.next else { panic!("all were let through") };
    assert!(matches!(begun.so_far, SoFar::Failed(Fault::Crowded)));
    assert_eq!((after.passed, after.rest.as_str()), (6, ASK));

    let Stand { shared, drain, slot, program, _far } = stand(|_| ()).await;
    drop(program);
    // Another one's port, for the type only.
    let program = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let gone = Stand { shared, drain, slot, program, _far };
    let (after, _) = gone.serve(ASK).await;
    let Next::Hypers(Some(begun)) = after.next else { panic!("somebody listens") };
    assert!(matches!(begun.so_far, SoFar::Let(_, Start::Unsent)));
}

#[tokio::test]
async fn a_drain_ends_it_with_the_answer_that_is_owed() {
    let stand = stand(|_| ()).await;
    let program = async {
        let (mut stream, _) = stand.program.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        stand.drain.send_replace(true);
        stream.write_all(HI.as_bytes()).await.unwrap();
        stream
    };
    let ((after, far), _stream) = tokio::join!(stand.serve(ASK), program);
    assert!(matches!(after.next, Next::Ended));
    let got = all(far).await;
    assert!(got.contains("\r\nconnection: close\r\n") && got.ends_with("\r\n\r\nhi"), "{got}");
    // And at once where none is.
    let (after, _) = stand.serve("").await;
    assert!(matches!(after.next, Next::Ended) && after.passed == 0);
}

#[tokio::test]
async fn a_long_answer_is_passed_on_whole_and_its_lease_is_held_until_then() {
    let stand = stand(|_| ()).await;
    let body = "0123456789".repeat(100_000);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let answers = [answer.as_str()];
    let ((after, far), _) = tokio::join!(stand.serve(ASK), stand.answers(&answers));
    assert!(matches!(after.next, Next::Idle) && after.passed == 1);
    let got = all(far).await;
    assert!(got.ends_with(&body) && got.len() < body.len() + 500);
    assert!(stand.shared.leases.enter(stand.slot).unwrap().is_leased());
}
