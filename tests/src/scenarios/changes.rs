//! Releases of which only what has changed travels: a site of 5,000 files, changed in every way there is, is what the whole archive
//! makes of it, and who says what is not so of an earlier release gets nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::checks::{contains, holds, same};
use crate::vm::Vm;

const NAME: &str = "many";
/// Files of the site, in so many folders.
const FILES: usize = 5000;
const FOLDERS: usize = 50;
/// Tells all of its release: who owns each file, its mode and its content, and whether it can be written.
const PROGRAM: &str = r#"
const fs = require("node:fs");
const hash = require("node:crypto").createHash("sha256");
const other = [];
const walk = (folder) => {
  for (const name of fs.readdirSync(folder).sort()) {
    const path = `${folder}/${name}`, is = fs.lstatSync(path);
    if (is.uid !== process.getuid() || is.gid !== process.getgid()) other.push(path);
    const content = is.isSymbolicLink() ? fs.readlinkSync(path) : is.isDirectory() ? "" : fs.readFileSync(path);
    hash.update(`${path} ${is.mode}\n`).update(content);
    if (is.isDirectory()) walk(path);
  }
};
walk("/app");
let write = "done";
try { fs.appendFileSync("/app/public/7/7.html", "x"); } catch (error) { write = error.code; }
const told = JSON.stringify({ release: process.env.KENNEL_RELEASE, all: hash.digest("hex"), other, write });
require("node:http").createServer((_, answer) => answer.end(told)).listen(process.env.PORT, "127.0.0.1");
"#;

fn page(number: usize) -> String {
    format!("public/{}/{number}.html", number % FOLDERS)
}

fn site(vm: &Vm) -> std::io::Result<PathBuf> {
    let folder = vm.scratch().join("many");
    for number in 0..FOLDERS {
        fs::create_dir_all(folder.join(format!("public/{number}")))?;
    }
    for number in 0..FILES {
        fs::write(folder.join(page(number)), format!("<p>page {number} of a site with many of them</p>"))?;
    }
    fs::write(folder.join("public/index.html"), "first")?;
    fs::write(folder.join("server.js"), PROGRAM)?;
    symlink("index.html", folder.join("public/link"))?;
    Ok(folder)
}

/// A file changed, one gone, one new, one renamed, one with another mode, and a link to another.
fn change(folder: &Path) -> std::io::Result<()> {
    let at = |path: &str| folder.join(path);
    fs::write(at("public/index.html"), "second")?;
    fs::remove_file(at(&page(1)))?;
    fs::write(at("public/new.html"), "new")?;
    fs::rename(at(&page(2)), at("public/renamed.html"))?;
    fs::set_permissions(at(&page(3)), fs::Permissions::from_mode(0o755))?;
    fs::remove_file(at("public/link"))?;
    symlink("new.html", at("public/link"))
}

/// What the program tells of its release.
fn told(vm: &Vm, release: &str) -> Result<Value, String> {
    let told = vm.page_json(NAME, "/tell")?;
    same("the release", told["release"].as_str(), Some(release))?;
    same("files that are not the slot's", told["other"].clone(), json!([]))?;
    holds(&format!("a file can be written: {told}"), told["write"] != "done")?;
    Ok(told["all"].clone())
}

/// Both parts in one, since the second goes on with what the first has made.
pub(super) fn travels(vm: &mut Vm) -> Result<(), String> {
    let fault = |e: std::io::Error| e.to_string();
    let folder = site(vm).map_err(fault)?;
    let path = folder.display().to_string();
    let domain = format!("{NAME}.localhost");
    vm.ok(&["tenant", "add", NAME, "--runtime", "node-24", "--domain", &domain, "--static", "public"])?;
    let first = vm.json(&["deploy", NAME, &path])?;
    told(vm, "1")?;
    change(&folder).map_err(fault)?;
    let second = vm.json(&["deploy", NAME, &path])?;
    let travelled = &second["travelled"];
    for (word, count) in [("changed", 4), ("moved", 1), ("gone", 1), ("onto", 1)] {
        same(word, travelled[word].as_u64(), Some(count))?;
    }
    let sent = |of: &Value| of["travelled"]["sent_bytes"].as_u64().unwrap_or(u64::MAX);
    vm.note(format!("{FILES} files: {} bytes sent at first, {} for six changes", sent(&first), sent(&second)));
    holds(&format!("{} bytes were sent", sent(&second)), sent(&second) <= 64 << 10)?;
    // The proxy reads them as well, and not by the slot's rights.
    for (path, status, body) in [
        ("/", 200, "second"),
        (&page(1)["public".len()..], 200, "release"),
        ("/new.html", 200, "new"),
        ("/renamed.html", 200, "page 2 of"),
        (&page(3)["public".len()..], 200, "page 3 of"),
        (&page(4444)["public".len()..], 200, "page 4444 of"),
    ] {
        let answer = vm.page(NAME, path)?;
        same(path, answer.status, status)?;
        contains(path, &answer.body, body)?;
    }
    let by_changes = told(vm, "2")?;
    let archive = vm.scratch().join("many.tar");
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(&archive).arg("--directory").arg(&folder).arg(".");
    holds("tar packs it", tar.status().map_err(fault)?.success())?;
    vm.ok(&["deploy", NAME, &archive.display().to_string()])?;
    same("what the whole archive makes", told(vm, "3")?, by_changes)?;
    lies(vm)
}

fn lies(vm: &Vm) -> Result<(), String> {
    vm.ok(&["account", "add", "liar", "--role", "deployer", "--tenant", NAME])?;
    let secret =
        vm.ok(&["token", "add", "liar", "--account", "liar", "--scope", "deploy", "--expires", "1d"])?;
    let before = vm.show(NAME)?;
    let registry = "/data/control/registry.sqlite";
    let moved = |from: &str| json!({"sum": "0".repeat(64), "gone": [], "moved": [{"from": from, "to": "x"}]});
    let plain = json!({"sum": "0".repeat(64), "gone": [], "moved": []});
    for (onto, said, code, words) in [
        ("3", plain.clone(), "basis-differs", "what results is something else"),
        ("9", plain, "no-such-release", "has no release r9"),
        ("3", moved("../../../control/registry.sqlite"), "upload-refused", "'..' in its path"),
        ("3", moved("../../../0000/releases/1/server.js"), "upload-refused", "'..' in its path"),
        ("3", moved(registry), "upload-refused", "absolute path"),
        ("3", moved("public/link"), "upload-refused", "is a hard link to"),
        ("3", moved("public"), "upload-refused", "is a hard link to"),
        (
            "3",
            json!({"sum": "0".repeat(64), "gone": ["../2"], "moved": []}),
            "upload-refused",
            "'..' in its path",
        ),
    ] {
        let answer = send(vm, secret.trim(), onto, &said)?;
        same(&format!("the code for {said}"), answer["code"].as_str(), Some(code))?;
        contains("the message", answer["message"].as_str().unwrap_or_default(), words)?;
    }
    let after = vm.show(NAME)?;
    same("the releases", &after["releases"], &before["releases"])?;
    same("the current release", &after["current"], &before["current"])?;
    same("the page", vm.page(NAME, "/")?.body.as_str(), "second")
}

/// Sends changes with an empty archive; what the host answers.
fn send(vm: &Vm, secret: &str, onto: &str, said: &Value) -> Result<Value, String> {
    let said = said.to_string();
    let length = u32::try_from(said.len()).map_err(|e| e.to_string())?;
    let body = [&length.to_be_bytes(), said.as_bytes(), &[0; 1024]].concat();
    let file = vm.scratch().join("changes");
    fs::write(&file, body).map_err(|e| e.to_string())?;
    let hosts = fs::read_to_string(vm.scratch().join("config/kennel/hosts.toml")).map_err(|e| e.to_string())?;
    let url = hosts.split("url = \"").nth(1).and_then(|rest| rest.split('"').next()).ok_or("no URL")?;
    let mut command = Command::new("curl");
    // Who it is was seen when it booted; this is about what it does with what is sent.
    command.args(["--insecure", "--silent", "--show-error", "--max-time", "60"]);
    command.args(["--header", &format!("authorization: Bearer {secret}")]);
    command.args(["--header", "content-type: application/vnd.kennel.changes"]);
    command.arg("--data-binary").arg(format!("@{}", file.display()));
    command.arg(format!("{url}/v1/tenants/{NAME}/releases?onto={onto}"));
    let output = vm.run_within(Duration::from_secs(90), command)?;
    serde_json::from_str(&output.out).map_err(|e| format!("{e}: {}{}", output.out, output.err))
}
