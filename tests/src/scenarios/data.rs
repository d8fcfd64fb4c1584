//! A tenant's data on its way out and back: a database that a program has open, on a host that goes on serving. What is wrong with
//! what comes, and what there is no room for, leaves the data as it was.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::archives;
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{PAGE_DEADLINE, Vm};

pub(super) const NAME: &str = "notes";
/// Keeps notes in SQLite, says how many there are and since when it runs; and writes without rest, if it is told to.
const PROGRAM: &str = r#"
const { DatabaseSync } = require("node:sqlite");
const fs = require("node:fs");
const db = new DatabaseSync("/data/notes.sqlite");
db.exec("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS note (text TEXT)");
const life = Date.now();
require("node:http").createServer((request, answer) => {
  const url = new URL(request.url, "http://notes");
  if (url.pathname === "/add") db.prepare("INSERT INTO note VALUES (?)").run(url.searchParams.get("text"));
  if (url.pathname === "/fill") fs.writeFileSync("/data/ballast", Buffer.alloc(Number(url.searchParams.get("mib")) << 20, 7));
  if (url.pathname === "/restless") {
    // A byte at a time: who writes much is made to wait for the disk, and rests.
    const clock = fs.openSync("/data/clock", "a");
    setInterval(() => fs.writeSync(clock, "."), 1);
  }
  const { notes } = db.prepare("SELECT count(*) AS notes FROM note").get();
  const secret = process.env.SECRET;
  answer.end(JSON.stringify({ notes, life, secret, files: fs.readdirSync("/data").sort() }));
}).listen(process.env.PORT, "127.0.0.1");
"#;

pub(super) fn ensure(vm: &Vm) -> Result<(), String> {
    if vm.show(NAME).is_ok() {
        return Ok(());
    }
    let folder = vm.scratch().join("notes");
    fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    fs::write(folder.join("server.js"), PROGRAM).map_err(|e| e.to_string())?;
    let domain = format!("{NAME}.localhost");
    vm.ok(&["tenant", "add", NAME, "--runtime", "node-24", "--domain", &domain])?;
    vm.ok(&["deploy", NAME, &folder.display().to_string()]).map(drop)
}

pub(super) fn notes(vm: &Vm, path: &str) -> Result<u64, String> {
    let facts = vm.page_json(NAME, path)?;
    facts["notes"].as_u64().ok_or(format!("no notes in {facts}"))
}

/// Asks again and again until it is told to stop: how often, and what was not answered as it should be.
fn visit(port: u16, over: &AtomicBool) -> (usize, Vec<String>) {
    let (mut answered, mut lost) = (0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        match http::get(port, "notes.localhost", "/", PAGE_DEADLINE) {
            Ok(answer) if answer.status == 200 => answered += 1,
            Ok(answer) => lost.push(format!("{}: {}", answer.status, answer.body)),
            Err(cause) => lost.push(cause),
        }
        thread::sleep(Duration::from_millis(100));
    }
    (answered, lost)
}

pub(super) fn there_and_back(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    for n in 1..=3 {
        same("the notes", notes(vm, &format!("/add?text=note{n}"))?, n)?;
    }
    let before = vm.page_json(NAME, "/")?;
    let (archive, folder) = (vm.scratch().join("notes.tar"), vm.scratch().join("notes-data"));
    let (archive, folder) = (archive.display().to_string(), format!("{}/", folder.display()));
    vm.ok(&["data", "pull", NAME, &archive])?;
    vm.ok(&["data", "pull", NAME, &folder])?;
    let database = fs::read(format!("{folder}notes.sqlite")).map_err(|e| e.to_string())?;
    holds("it is a database", database.starts_with(b"SQLite format 3\0"))?;
    let after = vm.page_json(NAME, "/")?;
    same("the program that serves", &after["life"], &before["life"])?;
    same("what it sees in its folder", &after["files"], &before["files"])?;

    same("the notes, one later", notes(vm, "/add?text=late")?, 4)?;
    let over = AtomicBool::new(false);
    let port = vm.web_port();
    let (pushed, (answered, lost)) = thread::scope(|scope| {
        let visitor = scope.spawn(|| visit(port, &over));
        let pushed = vm.ok(&["data", "push", NAME, &archive]);
        over.store(true, Ordering::Relaxed);
        (pushed, visitor.join().unwrap_or_default())
    });
    contains("what is said", &pushed?, "the data of notes is replaced: ")?;
    vm.note(format!("{answered} visits while the data was replaced, {} lost {lost:?}", lost.len()));
    holds("visitors were answered all the time", answered > 0 && lost.is_empty())?;
    same("the notes as they were", notes(vm, "/")?, 3)?;
    same("the notes, with a new one", notes(vm, "/add?text=new")?, 4)?;
    let seen = vm.page_json(NAME, "/")?;
    holds("it is another life", seen["life"] != before["life"])?;
    let listed = vm.ok(&[
        "exec",
        NAME,
        "--",
        "node",
        "-p",
        "fs.statSync('/data').uid + ' ' + fs.readdirSync('/').sort()",
    ])?;
    contains("what a command sees", &listed, "app,bin,data,dev")?;
    vm.ok(&["data", "push", NAME, &folder])?;
    same("the notes of the folder", notes(vm, "/")?, 3)?;
    vm.pull_the_plug()?;
    vm.boot()?;
    same("the notes after a power cut", notes(vm, "/")?, 3)
}

pub(super) fn as_it_was(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    let before = notes(vm, "/add?text=kept")?;
    let kept = || same("the notes that are kept", notes(vm, "/")?, before);
    archives::refused_as_data(vm, NAME, kept)?;

    // Twenty of forty MiB: neither a copy has room beside it, nor other data.
    vm.ok(&["limits", NAME, "--disk", "40M"])?;
    notes(vm, "/fill?mib=24")?;
    let folder = vm.scratch().join("too-much");
    fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    fs::write(folder.join("ballast"), vec![1; 24 << 20]).map_err(|e| e.to_string())?;
    let refused = vm.run(&["data", "push", NAME, &folder.display().to_string()])?;
    same("the exit code of too much", refused.code, 2)?;
    contains("what is said of too much", &refused.err, "the tenant's disk limit is reached")?;
    kept()?;
    let archive = vm.scratch().join("full.tar").display().to_string();
    vm.ok(&["data", "pull", NAME, &archive])?;
    let bytes = fs::metadata(&archive).map_err(|e| e.to_string())?.len();
    holds(&format!("all {bytes} bytes came without a copy"), bytes > 24 << 20)?;
    // Nothing of the refused is left: there is room for as much as before.
    notes(vm, "/fill?mib=30")?;
    vm.ok(&["limits", NAME, "--disk", "1G"])?;

    // Nobody visits it meanwhile, and what is frozen rests.
    let never = ["--freeze-after", "never", "--reclaim-after", "never", "--stop-after", "never"];
    vm.ok(&[&["limits", NAME][..], &never].concat())?;
    notes(vm, "/restless")?;
    let restless = vm.run(&["data", "pull", NAME, &vm.scratch().join("restless.tar").display().to_string()])?;
    same("the exit code of what never rests", restless.code, 2)?;
    contains("what is said of it", &restless.err, "its data changed while it was read")?;
    vm.ok(&["tenant", "stop", NAME])?;
    vm.ok(&["data", "pull", NAME, &vm.scratch().join("rest.tar").display().to_string()])?;
    vm.ok(&["tenant", "rm", NAME, "--yes"]).map(drop)
}
