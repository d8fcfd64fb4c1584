//! The villain as a web program: a request for each attempt. HTTP as little of it as the harness needs, and a few threads
//! that each serve one connection after the other.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{PROBES, Place, attempt, neighbour};

/// Requests that are served at the same time.
const WORKERS: usize = 6;
/// For a client to ask, and to take what it asked for.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_REQUEST: usize = 8 << 10;

/// What else the program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Only attempts.
    Villain,
    /// Makes what others reach for.
    Neighbour,
}

/// Serves for ever.
///
/// # Errors
/// It cannot listen.
pub fn serve(place: &Place, role: Role) -> io::Result<()> {
    let objects = match role {
        Role::Villain => Value::Null,
        Role::Neighbour => serde_json::to_value(neighbour::set_up(place)).map_err(io::Error::other)?,
    };
    let listener = TcpListener::bind(("127.0.0.1", place.own.port()))?;
    println!("villain: {role:?} of slot {}, listening", place.own);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| work(&listener, place, &objects));
        }
    });
    Ok(())
}

fn work(listener: &TcpListener, place: &Place, objects: &Value) {
    loop {
        let Ok((mut client, _)) = listener.accept() else { continue };
        // A client that goes away is none of our business.
        let _ = one(&mut client, place, objects);
    }
}

fn one(client: &mut TcpStream, place: &Place, objects: &Value) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let target = read_target(client)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    if path == "/endless" {
        return endless(client);
    }
    let (status, body) = match answer(path, query, place, objects) {
        Ok(body) => ("200 OK", body),
        Err(problem) => ("404 Not Found", json!({ "error": problem })),
    };
    let body = format!("{body}\n");
    write!(
        client,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn read_target(client: &mut TcpStream) -> io::Result<String> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        let count = client.read(&mut bytes)?;
        if count == 0 || request.len() > MAX_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        request.extend_from_slice(&bytes[..count]);
    }
    let text = String::from_utf8_lossy(&request);
    Ok(text.split(' ').nth(1).unwrap_or("/").to_owned())
}

fn answer(path: &str, query: &str, place: &Place, objects: &Value) -> Result<Value, String> {
    match path {
        "/" => Ok(json!({ "slot": place.own.index() })),
        "/objects" => Ok(objects.clone()),
        "/probes" => {
            Ok(PROBES.iter().map(|probe| json!({ "id": probe.id, "harmless": probe.harmless })).collect())
        }
        _ => {
            let id = path.strip_prefix("/probe/").ok_or("there is no such page")?;
            let probe = PROBES.iter().find(|probe| probe.id == id).ok_or("there is no such probe")?;
            let mut place = place.clone();
            for pair in query.split('&').filter(|pair| !pair.is_empty()) {
                place.tell(pair).map_err(|error| error.to_string())?;
            }
            serde_json::to_value(attempt(probe, &place)).map_err(|error| error.to_string())
        }
    }
}

/// More than anybody wants, for those who take it slowly or not at all.
fn endless(client: &mut TcpStream) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    client.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
    while Instant::now() < end {
        client.write_all(&[b'.'; 16 << 10])?;
    }
    Ok(())
}
