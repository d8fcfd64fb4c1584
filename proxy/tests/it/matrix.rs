//! The smuggling matrix (`tests/matrix`) against this proxy: every row does what it says, and that is permitted.

#[path = "../matrix/mod.rs"]
#[allow(unreachable_pub, missing_docs)]
mod rows;

use kennel_proxy::Limits;

use self::rows::{Program, rows};
use crate::rig::*;

/// A program that is held awake, so that whatever is plain is passed on without hyper, from the first row on.
async fn awake() -> (Proxy, Claim, Program) {
    let limits = Limits { lease_idle: PATIENCE * 100, ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let program = Program::default();
    tokio::spawn(program.clone().serve(listen(claim.slot).await));
    assert_eq!(proxy.get("a.example", "/").await.status(), 200);
    (proxy, claim, program)
}

#[tokio::test]
async fn nothing_reaches_a_program_but_what_may() {
    let (proxy, _claim, program) = awake().await;
    let rows = rows();
    let mut wrong = Vec::new();
    for row in &rows {
        let seen = row.run(proxy.address, &program, PATIENCE).await.unwrap();
        let (reached, statuses) = &row.ours;
        let as_told = seen.reached == *reached && statuses.as_ref().is_none_or(|all| *all == seen.statuses);
        if !as_told || !row.permits(&seen) || !seen.closed {
            wrong.push(format!("{}, {} ({}): {seen:?}, not {:?}", row.group, row.name, row.rfc, row.ours));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    // A proxy that refused all would be right above.
    let good = rows.iter().filter(|row| row.ours.0 == "XN").count();
    let must = rows.iter().filter(|row| row.permits == ["XN"]).count();
    assert!(rows.len() >= 300 && good >= 86 && must >= 60, "{} {good} {must}", rows.len());
}

/// Plain requests before each row, on its connection: what is odd comes where it has to change hands.
#[tokio::test]
async fn nor_behind_requests_that_are_passed_on_without_hyper() {
    const BEFORE: &[u8] = b"GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let (proxy, _claim, program) = awake().await;
    let mut wrong = Vec::new();
    for mut row in rows() {
        let (reached, statuses) = row.ours.clone();
        row.send = [BEFORE, BEFORE, &row.send].concat();
        let seen = row.run(proxy.address, &program, PATIENCE).await.unwrap();
        let reached = format!("NN{}", if reached == "-" { "" } else { &reached });
        let statuses = statuses.map(|all| [vec![200, 200], all].concat());
        let as_told = seen.reached == reached && statuses.as_ref().is_none_or(|all| *all == seen.statuses);
        if !as_told || !seen.closed {
            wrong.push(format!("{}, {}: {seen:?}, not {reached} {statuses:?}", row.group, row.name));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// That the test above would see what it is to see.
#[tokio::test]
async fn the_program_takes_nothing_odd_for_a_request() {
    let (_, claim) = proxy_with_a_tenant(Limits::default()).await;
    let program = Program::default();
    let listener = listen(claim.slot).await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(program.clone().serve(listener));
    let rows = rows();
    for (group, name, reached) in [
        ("lengths", "a length", "XN"),
        ("lengths", "equal twice", "!"),
        ("both", "length zero and chunked", "!"),
        ("chunks", "many", "XN"),
        ("chunks", "a bare LF behind the size", "!"),
        ("lines", "a folded field", "!"),
        ("names", "a blank before the colon", "!"),
        ("values", "a NUL", "!"),
        ("hosts", "two", "?N"),
        ("targets", "two slashes", "XN"),
    ] {
        let row = rows.iter().find(|row| row.group == group && row.name == name).unwrap();
        let patience = std::time::Duration::from_millis(300);
        let seen = row.run(address, &program, patience).await.unwrap();
        assert_eq!(seen.reached, reached, "{group}, {name}: {seen:?}");
        assert_eq!(row.permits(&seen), reached == "XN");
    }
}
