//! Files of a release that the proxy answers by itself: the program sleeps on, and nothing but what was published in that folder comes out,
//! whatever the tenant puts there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::http::{self, Answer};
use crate::vm::{PAGE_DEADLINE, Vm};

/// Has a program beside its files.
const NAME: &str = "paper";
/// Has files only.
const ONLY: &str = "sheet";
/// More than is read at a time, and than is kept in memory.
const LARGE: usize = 3 << 20;
/// Says that it answered, and tries to change what is published.
const PROGRAM: &str = r#"
import fs from "node:fs";
import { createServer } from "node:http";
const tries = {
  write: () => fs.writeFileSync("/app/public/planted", "planted"),
  symlink: () => fs.symlinkSync("/data/secret", "/app/public/planted"),
  link: () => fs.linkSync("/app/server.js", "/app/public/planted"),
  rename: () => fs.renameSync("/data/secret", "/app/public/planted"),
  exchange: () => fs.renameSync("/app/server.js", "/app/public/index.html"),
  append: () => fs.appendFileSync("/app/public/index.html", "planted"),
  remove: () => fs.unlinkSync("/app/public/index.html"),
  mode: () => fs.chmodSync("/app/public/index.html", 0o600),
};
createServer((request, response) => {
  if (request.url !== "/plant") return response.end(`program ${request.method} ${request.url}`);
  fs.writeFileSync("/data/secret", "secret");
  const said = {};
  for (const [name, attempt] of Object.entries(tries)) {
    try { attempt(); said[name] = "done"; } catch (error) { said[name] = error.code; }
  }
  response.end(JSON.stringify(said));
}).listen(process.env.PORT, process.env.HOST);
"#;

pub(super) fn group() -> Group {
    Group {
        title: "files that are answered without their program",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            let folder = release(vm.scratch(), "first").map_err(|e| e.to_string())?;
            let domain = format!("{NAME}.localhost");
            vm.ok(&[
                "tenant",
                "add",
                NAME,
                "--runtime",
                "node-24",
                "--domain",
                &domain,
                "--static",
                "public",
                "--trial",
                "off",
            ])?;
            vm.ok(&["deploy", NAME, &folder.display().to_string()]).map(drop)
        },
        scenarios: vec![
            Scenario::new("static: files are answered, and nobody is woken", answered),
            Scenario::new("static: what is no file is the program's, links and hidden files among it", links),
            Scenario::new("static: a program cannot change what is published", plant)
                .denying(&["scontext=system_u:jit_r:tenant"]),
            Scenario::new("static: after a deploy the new files are answered", deployed),
            Scenario::new("static: a site of files needs no program", only),
        ],
    }
}

/// A release whose page says the word.
fn release(scratch: &Path, word: &str) -> std::io::Result<PathBuf> {
    let folder = scratch.join(word);
    let public = folder.join("public");
    fs::create_dir_all(public.join("docs"))?;
    fs::write(folder.join("package.json"), r#"{"type": "module"}"#)?;
    fs::write(folder.join("server.js"), PROGRAM)?;
    fs::write(public.join("index.html"), format!("<h1>{word}</h1>"))?;
    fs::write(public.join("docs/index.html"), "<h1>docs</h1>")?;
    fs::write(public.join("app.3f9a1c2b.js"), "plain()")?;
    fs::write(public.join("app.3f9a1c2b.js.gz"), "compressed")?;
    fs::write(public.join("large.txt"), word.repeat(LARGE / word.len()))?;
    fs::write(public.join(".env"), "SECRET")?;
    symlink("../server.js", public.join("out.js"))?;
    symlink("index.html", public.join("in.html"))?;
    symlink("..", public.join("up"))?;
    Ok(folder)
}

fn ask(vm: &Vm, name: &str, method: &str, path: &str, fields: &[(&str, &str)]) -> Result<Answer, String> {
    http::ask(vm.web_port(), method, (&format!("{name}.localhost"), path), fields, PAGE_DEADLINE)
}

fn field<'a>(answer: &'a Answer, name: &str) -> Result<&'a str, String> {
    let found = answer.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.ok_or(format!("no {name} in {}", answer.head))
}

fn state(vm: &Vm, name: &str) -> Result<String, String> {
    Ok(vm.show(name)?["state"].as_str().unwrap_or_default().to_owned())
}

fn answered(vm: &mut Vm) -> Result<(), String> {
    for (path, body, kind) in [
        ("/", "<h1>first</h1>", "text/html; charset=utf-8"),
        ("/docs/", "<h1>docs</h1>", "text/html; charset=utf-8"),
        ("/app.3f9a1c2b.js?seen", "plain()", "text/javascript; charset=utf-8"),
    ] {
        let answer = vm.page(NAME, path)?;
        same(path, (answer.status, answer.body.as_str()), (200, body))?;
        same("its type", field(&answer, "content-type")?, kind)?;
    }
    let script = "/app.3f9a1c2b.js";
    let packed = ask(vm, NAME, "GET", script, &[("Accept-Encoding", "gzip, br")])?;
    same("compressed", (packed.body.as_str(), field(&packed, "content-encoding")?), ("compressed", "gzip"))?;
    contains("how long it is kept", field(&packed, "cache-control")?, "immutable")?;
    let page = vm.page(NAME, "/")?;
    let again = ask(vm, NAME, "GET", "/", &[("If-None-Match", field(&page, "etag")?)])?;
    same("what has not changed", (again.status, again.body.as_str()), (304, ""))?;
    let large = vm.page(NAME, "/large.txt")?;
    same("the large one", large.body == "first".repeat(LARGE / 5), true)?;
    let part = ask(vm, NAME, "GET", "/large.txt", &[("Range", "bytes=2000000-2000004")])?;
    same("a part of it", (part.status, part.body.as_str()), (206, "first"))?;
    same("a folder", vm.page(NAME, "/docs")?.status, 301)?;
    same("the program", state(vm, NAME)?.as_str(), "stopped")?;
    let seen = crate::vm::until("the visit in the access log", PAGE_DEADLINE, || {
        let all = vm.json(&["logs", NAME, "--access", "-n", "100"])?;
        Ok(all.as_array().into_iter().flatten().find(|l| l["target"] == "/app.3f9a1c2b.js?seen").cloned())
    })?;
    same("its line", (seen["status"].as_u64(), seen["bytes_out"].as_u64()), (Some(200), Some(7)))?;
    holds(&format!("no program was at it: {seen}"), seen["upstream_us"].is_null() && seen["queue_us"].is_null())
}

fn links(vm: &mut Vm) -> Result<(), String> {
    for path in [
        "/api",
        "/.env",
        "/out.js",
        "/in.html",
        "/up/server.js",
        "/up/public/index.html",
        "/../server.js",
        "/%2e%2e/server.js",
        "/docs/..%2f..%2fserver.js",
        "/..%2fserver.js",
    ] {
        let answer = vm.page(NAME, path)?;
        same("who answered", (answer.status, answer.body), (200, format!("program GET {path}")))?;
    }
    same(
        "who answered",
        ask(vm, NAME, "POST", "/", &[("Content-Length", "0")])?.body.as_str(),
        "program POST /",
    )?;
    same("the program", state(vm, NAME)?.as_str(), "running")
}

fn plant(vm: &mut Vm) -> Result<(), String> {
    let said = vm.page_json(NAME, "/plant")?;
    let all = said.as_object().map_or(0, serde_json::Map::len);
    same("attempts", all, 8)?;
    for (name, errno) in said.as_object().into_iter().flatten() {
        let refused = ["EROFS", "EACCES", "EPERM", "EXDEV"];
        holds(&format!("{name}: {errno}"), errno.as_str().is_some_and(|e| refused.contains(&e)))?;
    }
    let answer = vm.page(NAME, "/planted")?;
    same("what was planted", answer.body.as_str(), "program GET /planted")?;
    same("what is published", vm.page(NAME, "/")?.body.as_str(), "<h1>first</h1>")
}

fn deployed(vm: &mut Vm) -> Result<(), String> {
    let before = vm.page(NAME, "/")?;
    for word in ["second", "third", "fourth", "fifth", "sixth", "last"] {
        let folder = release(vm.scratch(), word).map_err(|e| e.to_string())?;
        vm.ok(&["deploy", NAME, &folder.display().to_string()])?;
        let after = vm.page(NAME, "/")?;
        same("the page", after.body.clone(), format!("<h1>{word}</h1>"))?;
        holds("it is told from the one before", field(&after, "etag")? != field(&before, "etag")?)?;
    }
    same("the program", state(vm, NAME)?.as_str(), "stopped")?;
    vm.ok(&["limits", NAME, "--static", "off"])?;
    same("without files", vm.page(NAME, "/")?.body.as_str(), "program GET /")?;
    vm.ok(&["limits", NAME, "--static", "/pages=public/docs"])?;
    same("below another path", vm.page(NAME, "/pages/")?.body.as_str(), "<h1>docs</h1>")
}

fn only(vm: &mut Vm) -> Result<(), String> {
    let folder = vm.scratch().join("sheet");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(folder.join("index.html"), "<h1>sheet</h1>"))
        .map_err(|e| e.to_string())?;
    let folder = folder.display().to_string();
    let domain = format!("{ONLY}.localhost");
    vm.ok(&[
        "tenant",
        "add",
        ONLY,
        "--runtime",
        "static",
        "--domain",
        &domain,
        "--static",
        ".",
        "--static-only",
        "on",
    ])?;
    vm.ok(&["deploy", ONLY, &folder])?;
    same("the page", vm.page(ONLY, "/")?.body.as_str(), "<h1>sheet</h1>")?;
    for path in ["/nothing", "/wp-login.php", "/.git/config", "/.well-known/security.txt"] {
        same(path, vm.page(ONLY, path)?.status, 404)?;
    }
    let posted = ask(vm, ONLY, "POST", "/", &[("Content-Length", "0")])?;
    same("a POST", (posted.status, field(&posted, "allow")?), (405, "get, head"))?;
    same("the program", state(vm, ONLY)?.as_str(), "stopped")?;
    let off = vm.run(&["limits", ONLY, "--static", "off"])?;
    holds(&format!("nobody would answer: {}", off.err), off.code != 0 && off.err.contains("no program"))?;
    vm.ok(&["tenant", "rm", ONLY, "--yes"])?;
    same("after it is gone", vm.page(ONLY, "/")?.status, 404)
}
