//! Programs as people have them, with packages from npm: what express-generator and fastify-cli leave behind, not changed in
//! anything, and a chat over `ws`. `tests/samples.py` fetches what their locks name. Those of Python are `runtimes`' to deploy.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::ladder;
use crate::checks::{contains, same};
use crate::vm::Vm;

/// For the registry to give what the cache does not have.
const FETCH: Duration = Duration::from_secs(300);

/// These samples with their packages, each in a folder of its name.
pub(super) fn fetched(vm: &Vm, names: &[&str]) -> Result<PathBuf, String> {
    let folder = vm.scratch().join("samples");
    let mut command = Command::new("python3");
    command.arg(vm.places().repository.join("tests/samples.py")).arg(&folder).args(names);
    let made = vm.run_within(FETCH, command)?;
    same("the packages were fetched", (made.code, made.err.as_str()), (0, ""))?;
    Ok(folder)
}

/// These samples without their packages, each in a folder of its name, and what the registry gives in `registry`.
pub(super) fn registry(vm: &Vm, names: &[&str]) -> Result<PathBuf, String> {
    let folder = vm.scratch().join("bare");
    let mut command = Command::new("python3");
    command.arg(vm.places().repository.join("tests/samples.py")).arg("--registry").arg(&folder).args(names);
    let made = vm.run_within(FETCH, command)?;
    same("the packages were fetched", (made.code, made.err.as_str()), (0, ""))?;
    Ok(folder)
}

/// Deployed as they are, they answer.
pub(super) fn deployed(vm: &mut Vm) -> Result<(), String> {
    let folder = fetched(vm, &["express", "fastify", "chat"])?;
    for (name, runs) in [
        ("express", "runs: /usr/bin/node ./bin/www (package.json, scripts.start)"),
        (
            "fastify",
            "runs: /usr/bin/node node_modules/.bin/fastify start -l info app.js (package.json, scripts.start)",
        ),
        ("chat", "runs: /usr/bin/node server.js (found by its name)"),
    ] {
        let domain = format!("{name}.localhost");
        vm.ok(&["tenant", "add", name, "--runtime", "node-24", "--domain", &domain])?;
        let said = vm.ok(&["deploy", name, &folder.join(name).display().to_string()])?;
        contains(name, &said, runs)?;
    }
    contains("the page of Express", &vm.page("express", "/")?.body, "<h1>Express</h1>")?;
    same("a route of Express", vm.page("express", "/users")?.body.as_str(), "respond with a resource")?;
    same("the page of Fastify", vm.page_json("fastify", "/")?["root"].as_bool(), Some(true))?;
    same("a route of Fastify", vm.page("fastify", "/example")?.body.as_str(), "this is an example")?;
    let mut one = ladder::web_socket(vm.web_port(), "chat")?;
    let mut other = ladder::web_socket(vm.web_port(), "chat")?;
    say(&mut one, "hello")?;
    same("what the one hears", hear(&mut one)?.as_str(), "hello")?;
    same("what the other hears", hear(&mut other)?.as_str(), "hello")
}

/// One short text, masked with zeros.
fn say(socket: &mut TcpStream, text: &str) -> Result<(), String> {
    let length = u8::try_from(text.len()).map_err(|e| e.to_string())?;
    let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
    socket.write_all(&frame).map_err(|e| e.to_string())
}

fn hear(socket: &mut TcpStream) -> Result<String, String> {
    let mut head = [0; 2];
    socket.read_exact(&mut head).map_err(|e| format!("nothing was heard: {e}"))?;
    same("a text", head[0], 0x81)?;
    let mut text = vec![0; usize::from(head[1])];
    socket.read_exact(&mut text).map_err(|e| e.to_string())?;
    String::from_utf8(text).map_err(|e| e.to_string())
}
