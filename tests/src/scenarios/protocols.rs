//! What is spoken to programs and to visitors: a program of HTTP/2 without TLS gets gRPC's calls, asleep or not, and a WebSocket comes over HTTP/2
//! to a program that knows HTTP/1.1 only.

use std::time::Duration;

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::http2::{self, Exchange};
use crate::vm::{PAGE_DEADLINE, Vm, until};

const NAME: &str = "calls";
const CHAT: &str = "chat";
const SOON: Duration = Duration::from_secs(60);

/// Answers each message as it comes, and says at the end, in trailers, what it has heard.
const CALLED: &str = r#"
import { createServer } from "node:http2";
createServer().on("stream", (stream, head) => {
  const told = { "grpc-status": "0", "x-te": head.te ?? "none", "x-authority": head[":authority"] ?? "none", "x-sum": "none" };
  stream.on("trailers", (fields) => { told["x-sum"] = fields["x-sum"]; });
  stream.on("wantTrailers", () => stream.sendTrailers(told));
  stream.respond({ ":status": 200, "content-type": head["content-type"] ?? "text/plain" }, { waitForTrailers: true });
  if (head[":method"] === "GET") return stream.end(`release ${process.env.KENNEL_RELEASE} by ${head[":authority"]}`);
  stream.on("data", (message) => stream.write(`re: ${message}`));
  stream.on("end", () => stream.end());
}).listen(process.env.PORT, process.env.HOST);
"#;

/// Takes an Upgrade, says hello and sends back what comes.
const CHATTING: &str = r#"
import { createHash } from "node:crypto";
import { createServer } from "node:http";
createServer((request, response) => response.end("no socket")).on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = createHash("sha1").update(key).digest("base64");
  socket.on("error", () => {});
  socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\nhello`);
  socket.pipe(socket);
}).listen(process.env.PORT, process.env.HOST);
"#;

pub(super) fn group() -> Group {
    Group {
        title: "what is spoken to programs",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            vm.tenant(NAME, &folder(vm, NAME, CALLED)?)?;
            vm.tenant(CHAT, &folder(vm, CHAT, CHATTING)?)
        },
        scenarios: vec![
            Scenario::new("protocols: a program of HTTP/2 is reached when its tenant has said so", said),
            Scenario::new("protocols: gRPC's calls wake it from wherever it is", woken),
            Scenario::new("protocols: after a deploy the new release is called", deployed),
            Scenario::new("protocols: what is no call of a program is told in gRPC's way", faults),
            Scenario::new("protocols: a WebSocket over HTTP/2 reaches a program of HTTP/1.1", websocket),
        ],
    }
}

fn folder(vm: &Vm, name: &str, server: &str) -> Result<String, String> {
    let folder = vm.scratch().join(name);
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    std::fs::write(folder.join("package.json"), r#"{"type": "module"}"#).map_err(|e| e.to_string())?;
    std::fs::write(folder.join("server.js"), server).map_err(|e| e.to_string())?;
    Ok(folder.display().to_string())
}

fn call(vm: &Vm, host: &str) -> Result<Exchange, String> {
    http2::call(vm.web_port(), (host, "/pkg.Service/Chat"), &["one", "two", "three"], PAGE_DEADLINE)
}

/// A call of the program that goes as it should.
fn goes_well(vm: &Vm) -> Result<(), String> {
    let host = format!("{NAME}.localhost");
    let told = call(vm, &host)?;
    same("the status", (told.status, told.field("content-type")), (200, "application/grpc"))?;
    same("the answers", told.messages.clone(), ["re: one", "re: two", "re: three"].map(String::from).to_vec())?;
    for (name, value) in [("grpc-status", "0"), ("x-te", "trailers"), ("x-sum", "7"), ("x-authority", &host)] {
        holds(&format!("{name} is a trailer: {told:?}"), told.trailers.contains_key(name))?;
        same(name, told.field(name), value)?;
    }
    Ok(())
}

fn said(vm: &mut Vm) -> Result<(), String> {
    same("to HTTP/1.1 it answers nothing that is any", vm.page(NAME, "/")?.status, 502)?;
    contains("its limits", &vm.ok(&["limits", NAME])?, "HTTP/1.1\n")?;
    contains("its limits", &vm.ok(&["limits", NAME, "--protocol", "h2c"])?, "HTTP/2 without TLS\n")?;
    goes_well(vm)?;
    let page = vm.page(NAME, "/")?;
    same("a visitor's page", (page.status, page.body.as_str()), (200, "release 1 by calls.localhost"))?;
    vm.ok(&["limits", CHAT, "--protocol", "h2c"])?;
    let answer = vm.page(CHAT, "/")?;
    same("a program of HTTP/1.1", answer.status, 502)?;
    contains("why", &answer.head, "kennel-error: protocol")?;
    vm.says(0, "does not speak HTTP/2 without TLS")?;
    vm.ok(&["limits", CHAT, "--protocol", "http1"])?;
    same("it is as before", vm.page(CHAT, "/")?.body.as_str(), "no socket")
}

fn woken(vm: &mut Vm) -> Result<(), String> {
    for depth in ["frozen", "reclaimed", "stopped"] {
        until(&format!("it to be {depth}"), SOON, || {
            Ok((vm.run(&["tenant", "sleep", NAME, "--to", depth])?.code == 0).then_some(()))
        })?;
        same("its state", vm.show(NAME)?["state"].as_str(), Some(depth))?;
        goes_well(vm)?;
        same("its state", vm.show(NAME)?["state"].as_str(), Some("running"))?;
    }
    let shown = vm.ok(&["tenant", "show", NAME])?;
    contains("what is shown", &shown, "started by POST /pkg.Service/Chat from 10.0.2.2")
}

fn deployed(vm: &mut Vm) -> Result<(), String> {
    let folder = folder(vm, NAME, CALLED)?;
    goes_well(vm)?;
    vm.ok(&["deploy", NAME, &folder])?;
    goes_well(vm)?;
    same("its page", vm.page(NAME, "/")?.body.as_str(), "release 2 by calls.localhost")
}

fn faults(vm: &mut Vm) -> Result<(), String> {
    let nobody = call(vm, "nobody.localhost")?;
    same("an unknown name", (nobody.status, nobody.field("grpc-status")), (200, "12"))?;
    same("why", nobody.field("kennel-error"), "unknown-host")?;
    vm.ok(&["maintenance", "on", NAME])?;
    let closed = call(vm, &format!("{NAME}.localhost"))?;
    same("maintenance", (closed.status, closed.field("grpc-status")), (200, "14"))?;
    vm.ok(&["maintenance", "off", NAME])?;
    goes_well(vm)
}

fn websocket(vm: &mut Vm) -> Result<(), String> {
    let host = format!("{CHAT}.localhost");
    let told = http2::websocket(vm.web_port(), (&host, "/socket"), &["one"], PAGE_DEADLINE)?;
    same("the status", told.status, 200)?;
    same("what came", told.messages.concat(), "helloone".to_owned())?;
    let declined =
        http2::websocket(vm.web_port(), (&format!("{NAME}.localhost"), "/socket"), &[], PAGE_DEADLINE)?;
    same("of what speaks HTTP/2", (declined.status, declined.field("kennel-error")), (501, "no-websocket"))
}
