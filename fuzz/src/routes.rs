//! The proxy's way from a route table in a memfd and a request's target and Host field to a slot. The bytes are the
//! table, the Host field and the target, with a NUL between them.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::time::Duration;

use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use kennel_model::SlotId;
use kennel_model::routes::{Route, RouteTable};
use kennel_proxy::host;
use kennel_proxy::routes::{Found, Routes};
use kennel_proxy::snapshot;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

const LONGEST: Duration = Duration::from_secs(120);
const LIMIT: u64 = 1 << 20;

/// Puts the table in force if it can be, and looks names up in it.
///
/// # Panics
/// When a name leads to a slot that the table does not give it, or a good name leads nowhere.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(3, |b| *b == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (json, host, target) = (part(), part(), part());
    let routes = Routes::default();
    let table: Option<RouteTable> = snapshot::read(sealed(json), LIMIT).ok();
    let table = table.filter(|table| routes.replace(table.clone(), LONGEST).is_ok());
    if let Some(table) = &table {
        table.routes.iter().for_each(|route| is_found(&routes, route));
        let older = RouteTable { generation: table.generation.wrapping_sub(1), ..RouteTable::default() };
        assert_eq!(routes.replace(older, LONGEST).is_err(), table.generation > 0, "an old table is not news");
    }
    if let Some(head) = head(host, target) {
        look_up(&routes, &table.unwrap_or_default(), &head);
    }
}

/// However a visitor may write it.
fn is_found(routes: &Routes, route: &Route) {
    let name = route.host.as_str();
    for written in [name.to_owned(), name.to_uppercase(), format!("{name}.:443"), format!("{name}:")] {
        let found = HeaderValue::from_str(&written).ok().and_then(|value| slot_of(routes, &value));
        assert_eq!(found, Some(route.slot), "{written:?}");
    }
}

/// The slot that a request is for is the one that the table has for that very name.
fn look_up(routes: &Routes, table: &RouteTable, head: &Parts) {
    let Ok(authority) = host::authority(head) else { return };
    let text = authority.to_str().unwrap_or_default();
    assert!(!text.contains(['/', '@', '?', '#', '\\', ' ', ',']) || text.contains(','), "{text:?}");
    // An independent reading: before the port, without the last dot, in lower case.
    let plain = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let plain = plain.strip_suffix('.').unwrap_or(&plain);
    let expected = table.routes.iter().find(|route| route.host.as_str() == plain).map(|route| route.slot);
    assert_eq!(slot_of(routes, &authority), expected, "{text:?}");
}

fn slot_of(routes: &Routes, authority: &HeaderValue) -> Option<SlotId> {
    let name = host::name(authority).ok()?;
    match routes.find(&name) {
        Found::Target(target) => {
            assert!(target.start_wait <= LONGEST);
            Some(target.slot)
        }
        Found::Unknown | Found::NoTable => None,
    }
}

fn head(host: &[u8], target: &[u8]) -> Option<Parts> {
    let host = HeaderValue::from_bytes(host).ok()?;
    let target = if target.is_empty() { b"/" } else { target };
    let request = hyper::Request::builder().uri(target).header(HOST, host);
    Some(request.body(()).ok()?.into_parts().0)
}

fn sealed(bytes: &[u8]) -> Vec<OwnedFd> {
    let make = || {
        let mut file = File::from(memfd_create("routes", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
        std::io::Result::Ok(vec![OwnedFd::from(file)])
    };
    make().unwrap_or_default()
}

/// Tables with none, one and two routes, and ways to ask.
pub fn seeds() -> Vec<Vec<u8>> {
    let route = |host: &str, slot: u16| {
        format!(
            r#"{{"host":"{host}","tenant":"t{slot}","slot":{slot},"release":1,"start_timeout_ms":9,"health":null,"crawlers":"wake","https":"redirect","hsts_s":0}}"#
        )
    };
    let table = |routes: &[String]| format!(r#"{{"generation":3,"routes":[{}]}}"#, routes.join(","));
    let two = table(&[route("a.example", 1), route("b.example", 2)]);
    let ways = [
        (table(&[]), "a.example", "/"),
        (two.clone(), "A.Example.:80", "/x?y"),
        (two.clone(), "b.example", "http://a.example/x"),
        (two, "[::1]:80", "*"),
        (table(&[route("a.example", 1), route("a.example", 2)]), "a.example", "/"),
    ];
    ways.map(|(table, host, target)| format!("{table}\0{host}\0{target}").into_bytes()).into()
}
