//! What is run beside a tenant's program: as the tenant, with its files and its data, within its limits, for whoever waits, and
//! never to the harm of the program, which is neither woken nor in the same group.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Group, Scenario, backup, data, people_image, processes};
use crate::checks::{contains, holds, same};
use crate::vm::{Vm, until};

const NAME: &str = "exec";
/// For one that prints and ends.
const DEADLINE: Duration = Duration::from_secs(60);

pub(super) fn group() -> Group {
    Group {
        title: "commands beside programs",
        image: people_image,
        prepare: |vm| vm.boot(),
        scenarios: vec![
            Scenario::new(
                "exec: what is typed goes in, what is printed comes out, and its code is kept",
                there_and_back,
            ),
            Scenario::new(
                "exec: it is the tenant, with its files, variables and data, and nobody else",
                as_the_tenant,
            ),
            Scenario::new("exec: the tenant's program is neither woken nor disturbed", beside_the_program),
            Scenario::new("exec: what takes too much ends alone", too_much),
            Scenario::new("exec: who goes away ends it, and so does a removal", who_goes),
            Scenario::new(
                "cron: a job runs by the clock, prints into the log, and what became of it is told",
                by_the_clock,
            ),
            Scenario::new(
                "processes: a worker goes on beside its program, and tables are changed before a release is tried",
                processes::beside,
            ),
            Scenario::new(
                "data: what a program keeps comes out while it serves, and takes its place again in one step",
                data::there_and_back,
            ),
            Scenario::new(
                "data: what harms, what is too much and what never rests leaves all as it was",
                data::as_it_was,
            ),
            Scenario::new(
                "backup: a tenant becomes a file, and the file a tenant, beside it and in its place",
                backup::there_and_back,
            ),
        ],
    }
}

const PROGRAM: &str = "\
const server = require('node:http').createServer((_, answer) => answer.end(JSON.stringify({ pid: process.pid,
  since: process.hrtime.bigint() > 0n, started: globalThis.started ??= Date.now() })));
server.listen(process.env.PORT, '127.0.0.1');
";

fn ensure(vm: &Vm) -> Result<(), String> {
    if vm.show(NAME).is_ok() {
        return Ok(());
    }
    let fault = |e: std::io::Error| e.to_string();
    let folder = vm.scratch().join("exec");
    std::fs::create_dir_all(folder.join("scripts")).map_err(fault)?;
    std::fs::write(folder.join("server.js"), PROGRAM).map_err(fault)?;
    std::fs::write(folder.join("scripts/hello.js"), "console.log('hello', ...process.argv.slice(2));\n")
        .map_err(fault)?;
    let domain = format!("{NAME}.localhost");
    vm.ok(&["tenant", "add", NAME, "--runtime", "node-24", "--domain", &domain, "--trial", "off"])?;
    vm.ok(&["env", "set", NAME, "COLOUR=blue"])?;
    vm.ok(&["deploy", NAME, &folder.display().to_string()]).map(drop)
}

/// One that is to succeed.
fn says(vm: &Vm, command: &[&str]) -> Result<String, String> {
    vm.ok(&[&["exec", NAME, "--"], command].concat())
}

fn there_and_back(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    same("what it prints", says(vm, &["node", "scripts/hello.js", "a b", "c"])?.as_str(), "hello a b c\n")?;
    let failed =
        vm.run(&["exec", NAME, "--", "node", "-e", "console.error('no such thing'); process.exit(7)"])?;
    same("the exit code", failed.code, 7)?;
    same("its error output", failed.err.as_str(), "no such thing\n")?;
    let missing = vm.run(&["exec", NAME, "--", "prisma", "migrate"])?;
    same("the exit code of one that is not there", missing.code, 127)?;
    contains("what is said of it", &missing.err, "cannot start prisma: no such file")?;
    // Neither way may a byte be lost or held back.
    let mut copy = vm.command(&["exec", NAME, "--", "node", "-e", "process.stdin.pipe(process.stdout)"]);
    copy.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let fault = |e: std::io::Error| e.to_string();
    let mut child = copy.spawn().map_err(fault)?;
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut input = child.stdin.take().ok_or("no input")?;
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || input.write_all(&sent));
    let output = child.wait_with_output().map_err(fault)?;
    writer.join().map_err(|_| "the writer panicked")?.map_err(fault)?;
    holds("3 MB come back as they went", output.status.success() && output.stdout == bytes)
}

fn as_the_tenant(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    let slot = vm.show(NAME)?["slot"].as_u64().ok_or("no slot")?;
    let look = "const fs = require('node:fs'); const read = (f) => fs.readFileSync(f, 'utf8').trim();
        console.log(JSON.stringify({ uid: process.getuid(), context: read('/proc/self/attr/current').replace('\\0', ''),
        caps: /CapEff:\\s*(\\S+)/.exec(read('/proc/self/status'))[1], colour: process.env.COLOUR, port: process.env.PORT,
        cwd: process.cwd(), pid: process.pid, root: fs.readdirSync('/').sort(), seen: fs.readdirSync('/proc').filter((n) => n > 0).length }));";
    let seen: serde_json::Value =
        serde_json::from_str(&says(vm, &["node", "-e", look])?).map_err(|e| e.to_string())?;
    vm.note(seen.to_string());
    same("its user", seen["uid"].as_u64(), Some(100_000 + slot))?;
    same("its context", seen["context"].as_str(), Some(format!("system_u:jit_r:tenant{slot:04}_t").as_str()))?;
    same("its capabilities", seen["caps"].as_str(), Some("0000000000000000"))?;
    same("its variable", seen["colour"].as_str(), Some("blue"))?;
    same("its port", seen["port"].as_str(), Some((20_001 + 8 * slot).to_string().as_str()))?;
    same("its folder", seen["cwd"].as_str(), Some("/app"))?;
    same("processes that it sees", seen["seen"].as_u64(), Some(1))?;
    says(vm, &["node", "-e", "require('node:fs').writeFileSync('/data/note', 'kept')"])?;
    same(
        "its data",
        says(vm, &["node", "-p", "require('node:fs').readFileSync('/data/note', 'utf8')"])?.as_str(),
        "kept\n",
    )?;
    let refused =
        vm.run(&["exec", NAME, "--", "node", "-e", "require('node:fs').writeFileSync('/app/x', '')"])?;
    contains("the release is not to be written", &refused.err, "EROFS")?;
    let denied = vm.ok(&["denials", NAME])?;
    holds("nothing that an ordinary command does is denied", !denied.contains("unix_stream_socket"))
}

fn beside_the_program(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    let first = vm.page_json(NAME, "/")?["started"].clone();
    until("it to be put to sleep", DEADLINE, || {
        let slept = vm.run(&["tenant", "sleep", NAME, "--to", "reclaimed"])?;
        Ok((slept.code == 0).then_some(()))
    })?;
    says(vm, &["node", "scripts/hello.js"])?;
    same("the program's state", vm.show(NAME)?["state"].as_str(), Some("reclaimed"))?;
    same("the program's life", vm.page_json(NAME, "/")?["started"].clone(), first)?;
    vm.ok(&["tenant", "stop", NAME])?;
    says(vm, &["node", "scripts/hello.js"])?;
    same("the program's state", vm.show(NAME)?["state"].as_str(), Some("stopped"))
}

/// One that goes on, and has said `up`.
fn begun(vm: &Vm, name: &str, code: &str) -> Result<Child, String> {
    let mut command = vm.command(&["exec", name, "--", "node", "-e", code]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line).map_err(|e| e.to_string())?;
    }
    same("what it prints", line.as_str(), "up\n")?;
    Ok(child)
}

fn too_much(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    let first = vm.page_json(NAME, "/")?["started"].clone();
    vm.ok(&["limits", NAME, "--memory", "96M"])?;
    let hog = "const kept = []; for (;;) kept.push(Buffer.alloc(4 << 20, 1))";
    let ended = vm.run_within(DEADLINE * 3, vm.command(&["exec", NAME, "--", "node", "-e", hog]))?;
    vm.ok(&["limits", NAME, "--memory", "256M"])?;
    same("the exit code", ended.code, 137)?;
    contains("what is said of it", &ended.err, "out of memory: it needed more than its limit of 96 MiB")?;
    same("the program's life", vm.page_json(NAME, "/")?["started"].clone(), first)?;
    let mut running = vec![];
    for _ in 0..7 {
        running.push(begun(vm, NAME, "console.log('up'); setInterval(() => {}, 1000)")?);
    }
    let eighth = vm.run(&["exec", NAME, "--", "node", "-e", "0"])?;
    for child in &mut running {
        let _ = child.kill();
        let _ = child.wait();
    }
    same("the exit code of an eighth", eighth.code, 2)?;
    contains("what is said of it", &eighth.err, "too many tasks run in it")?;
    // Their callers are gone, so they are.
    until("room again", DEADLINE, || Ok(says(vm, &["node", "scripts/hello.js"]).ok())).map(drop)
}

fn who_goes(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    let beat = "const fs = require('node:fs'); console.log('up'); process.on('SIGTERM', () => { fs.writeFileSync('/data/last', 'asked'); process.exit(0) });
        setInterval(() => fs.writeFileSync('/data/beat', String(Date.now())), 100)";
    let mut child = begun(vm, NAME, beat)?;
    let read = |file: &str| {
        let code = format!(
            "try {{ process.stdout.write(require('node:fs').readFileSync('/data/{file}', 'utf8')) }} catch {{}}"
        );
        says(vm, &["node", "-e", &code]).map(|text| Some(text).filter(|text| !text.is_empty()))
    };
    let beats = until("its beat", DEADLINE, || read("beat"));
    let _ = child.kill();
    let _ = child.wait();
    beats?;
    same("what it was asked", until("what it leaves", DEADLINE, || read("last"))?.as_str(), "asked")?;

    let name = "short";
    vm.ok(&["tenant", "add", name, "--runtime", "node-24", "--trial", "off"])?;
    vm.ok(&["deploy", name, &vm.scratch().join("exec").display().to_string()])?;
    let child = begun(vm, name, "console.log('up'); setInterval(() => {}, 1000)")?;
    vm.ok(&["tenant", "rm", name, "--yes"])?;
    let ended = child.wait_with_output().map_err(|e| e.to_string())?;
    same("the exit code of one whose tenant is removed", ended.status.code(), Some(137))?;
    contains("what is said of it", &String::from_utf8_lossy(&ended.stderr), "killed by signal 9 (SIGKILL)")
}

fn by_the_clock(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["tenant", "stop", NAME])?;
    let job = "require('node:fs').appendFileSync('/data/runs', 'x'); console.log('marked by the clock')";
    let added =
        vm.ok(&["cron", "add", NAME, "* * * * *", "--zone", "Europe/Berlin", "--", "node", "-e", job])?;
    contains("what was said", &added, "job 1 of exec is due in ")?;
    let failing =
        ["cron", "add", NAME, "@yearly", "--timeout", "5s", "--", "node", "-e", "setInterval(() => {}, 1000)"];
    contains("what was said", &vm.ok(&failing)?, "job 2 of exec is due in ")?;
    vm.ok(&["cron", "run", NAME, "2"])?;
    let of =
        |number: usize| -> Result<Value, String> { Ok(vm.json(&["cron", "ls", NAME])?[number - 1].clone()) };
    let ran =
        until("a minute to begin", DEADLINE * 2, || Ok(Some(of(1)?).filter(|job| job["last"].is_object())))?;
    same("its exit code", ran["last"]["code"].as_u64(), Some(0))?;
    let seen = says(vm, &["node", "-p", "require('node:fs').readFileSync('/data/runs', 'utf8')"])?;
    holds("it ran once", seen == "x\n" || seen == "xx\n")?;
    vm.logged(NAME, "kennel: running node -e require('node:fs').appendFileSync")?;
    vm.logged(NAME, "marked by the clock\nkennel: node: exited with code 0")?;
    same("the program's state", vm.show(NAME)?["state"].as_str(), Some("stopped"))?;
    let ended =
        until("the other to be ended", DEADLINE, || Ok(Some(of(2)?).filter(|job| job["last"].is_object())))?;
    same("why it ended", ended["last"]["why"].as_str(), Some("it took longer than 5 s and was ended"))?;
    let listed = vm.ok(&["cron", "ls", NAME])?;
    vm.note(listed.trim_end().replace('\n', "\n          "));
    contains("the list", &listed, "* * * * * Europe/Berlin")?;
    let used = vm.json(&["usage", NAME])?;
    vm.note(used["total"].to_string());
    vm.ok(&["cron", "rm", NAME, "1"])?;
    vm.ok(&["cron", "rm", NAME, "2"])?;
    contains("what is left", &vm.ok(&["cron", "ls", NAME])?, "exec has no jobs")
}
