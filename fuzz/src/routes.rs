//! The proxy's way from a route table in a memfd and a request's target and Host field to a slot. The bytes are the
//! table, the Host field and the target, with a NUL between them.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::time::Duration;

use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use kennel_model::Domain;
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
/// When a request leads to a route that is not the one of its name and path, however the path is read, or a good name leads
/// nowhere.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(3, |b| *b == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (json, host, target) = (part(), part(), part());
    let routes = Routes::default();
    let table: Option<RouteTable> = snapshot::read(sealed(json), LIMIT).ok();
    let table = table.filter(|table| routes.replace(table.clone(), LONGEST).is_ok());
    if let Some(table) = &table {
        table.routes.iter().for_each(|route| is_found(&routes, table, route));
        let older = RouteTable { generation: table.generation.wrapping_sub(1), ..RouteTable::default() };
        assert_eq!(routes.replace(older, LONGEST).is_err(), table.generation > 0, "an old table is not news");
    }
    if let Some(head) = head(host, target) {
        look_up(&routes, &table.unwrap_or_default(), &head);
    }
}

/// However a visitor may write it: what is found is what the rules say, and that is never nothing.
fn is_found(routes: &Routes, table: &RouteTable, route: &Route) {
    let name = route.domain.host().replace('*', "any");
    let path = if route.domain.path().is_empty() { "/" } else { route.domain.path() };
    let expected = expected(table, &name, path);
    assert!(expected.is_some(), "{:?}", route.domain);
    for written in [name.clone(), name.to_uppercase(), format!("{name}.:443"), format!("{name}:")] {
        let found = HeaderValue::from_str(&written).ok().and_then(|value| found(routes, &value, path).ok()?);
        assert_eq!(found, expected, "{written:?} {path}");
    }
}

/// The rules, read out one by one: exact names before wildcards, longer paths before shorter.
fn expected(table: &RouteTable, name: &str, path: &str) -> Option<Domain> {
    let fitting = table.routes.iter().map(|route| &route.domain).filter(|domain| domain.covers(name, path));
    fitting.max_by_key(|domain| (!domain.is_wildcard(), domain.path().len())).cloned()
}

/// What a request is for is what the table has for that very name and path, and for every other way to read the path.
fn look_up(routes: &Routes, table: &RouteTable, head: &Parts) {
    let Ok(authority) = host::authority(head) else { return };
    let text = authority.to_str().unwrap_or_default();
    assert!(!text.contains(['/', '@', '?', '#', '\\', ' ', ',']) || text.contains(','), "{text:?}");
    // An independent reading: before the port, without the last dot, in lower case.
    let plain = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let plain = plain.strip_suffix('.').unwrap_or(&plain);
    let path = head.uri.path();
    let Ok(found) = found(routes, &authority, path) else {
        assert!(path.contains(['%', '\\', ';']) || path.contains("//") || path.contains("/."), "{path:?}");
        return;
    };
    let parts = |domain: &&Domain| !domain.path().is_empty();
    let matter = table
        .routes
        .iter()
        .map(|route| &route.domain)
        .filter(parts)
        .any(|domain| domain.covers(plain, domain.path()));
    for read in if matter { readings(path) } else { vec![path.to_owned()] } {
        assert_eq!(found, expected(table, plain, &read), "{text:?} {path:?} read as {read:?}");
    }
}

/// Ways in which programs read a path: each of what they do to it by itself, and all after each other, step by step.
fn readings(path: &str) -> Vec<String> {
    let steps: [fn(&str) -> String; 5] = [decoded, |p| p.replace('\\', "/"), parameters, slashes, dots];
    let mut all = vec![path.to_owned()];
    all.extend(steps.iter().map(|step| step(path)));
    let mut last = path.to_owned();
    for step in steps {
        last = step(&last);
        all.push(last.clone());
    }
    all
}

fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex =
            bytes.get(at + 1..at + 3).filter(|two| *byte == b'%' && two.iter().all(u8::is_ascii_hexdigit));
        let value = hex.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        at += if value.is_some() { 3 } else { 1 };
        out.push(value.unwrap_or(*byte));
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Without what follows semicolons.
fn parameters(path: &str) -> String {
    path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
}

fn slashes(path: &str) -> String {
    let mut path = path.to_owned();
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

fn dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => _ = kept.pop(),
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// The domain whose route is found; an error where the path can be read in two ways.
fn found(routes: &Routes, authority: &HeaderValue, path: &str) -> Result<Option<Domain>, ()> {
    let Ok(name) = host::name(authority) else { return Ok(None) };
    match routes.find(&name, path) {
        Found::Target(target) => {
            assert!(target.start_wait <= LONGEST);
            Ok(Some(target.domain.clone()))
        }
        Found::Unknown | Found::NoTable => Ok(None),
        Found::Ambiguous => Err(()),
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

/// Tables with none, one and more routes, and ways to ask.
pub fn seeds() -> Vec<Vec<u8>> {
    let route = |host: &str, slot: u16| {
        format!(
            r#"{{"domain":"{host}","tenant":"t{slot}","slot":{slot},"release":1,"start_timeout_ms":9,"health":null,"crawlers":"wake","https":"redirect","hsts_s":0,"server_timing":false}}"#
        )
    };
    let table = |routes: &[String]| format!(r#"{{"generation":3,"routes":[{}]}}"#, routes.join(","));
    let two = table(&[route("a.example", 1), route("b.example", 2)]);
    let parts = ["*.a.example", "a.example", "a.example/shop", "*.a.example/shop/x"];
    let parts = table(&parts.iter().zip(1..).map(|(domain, slot)| route(domain, slot)).collect::<Vec<_>>());
    let ways = [
        (parts.clone(), "b.a.example", "/shop/x/y"),
        (parts.clone(), "a.example", "/shop%2Fx;y//z/../w"),
        (parts, "a.example", "/%73hop\\x"),
        (table(&[]), "a.example", "/"),
        (two.clone(), "A.Example.:80", "/x?y"),
        (two.clone(), "b.example", "http://a.example/x"),
        (two, "[::1]:80", "*"),
        (table(&[route("a.example", 1), route("a.example", 2)]), "a.example", "/"),
    ];
    ways.map(|(table, host, target)| format!("{table}\0{host}\0{target}").into_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or nothing behind the first check would be tried.
    #[test]
    fn the_seeds_hold_tables() {
        for seed in seeds() {
            let json = seed.split(|b| *b == 0).next().unwrap_or_default();
            let table: Result<RouteTable, _> = snapshot::read(sealed(json), LIMIT);
            assert!(table.is_ok(), "{table:?}");
        }
    }
}
