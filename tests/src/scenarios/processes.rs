//! What a Procfile says beside `web`: a change of tables before a release is tried, and a worker that goes on whether the program
//! sleeps or not.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::checks::{contains, holds, same};
use crate::vm::{Vm, until};

const NAME: &str = "crew";
/// For programs to start on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

const PROCFILE: &str = "web: node server.js\nrelease: node migrate.js\nworker: node worker.js\n";
const SERVER: &str = "\
const read = (name) => require('node:fs').readFileSync('/data/' + name, 'utf8');
require('node:http').createServer((_, answer) => answer.end(read('schema'))).listen(process.env.PORT, '127.0.0.1');
";
const MIGRATE: &str =
    "require('node:fs').appendFileSync('/data/schema', 'changed\\n'); console.log('tables changed');\n";
/// What is in its place when it fails.
const NO_CHANGE: &str = "console.error('no such table'); process.exit(4);\n";
/// Says when it is there, and what it was asked to end by; ends by itself when it is told to.
const WORKER: &str = "\
const fs = require('node:fs');
const tell = (what) => fs.appendFileSync('/data/told', `${what} ${VERSION}\\n`);
process.on('SIGTERM', () => { tell('ends'); process.exit(0); });
tell('begins');
console.log('at work');
setInterval(() => {
  // One of them alone.
  try { fs.unlinkSync('/data/fail'); } catch { return; }
  process.exit(9);
}, 100);
";

/// The release of this version.
fn release(vm: &Vm, version: u8, migrate: &str) -> Result<PathBuf, String> {
    let folder = vm.scratch().join(format!("crew-{version}"));
    let worker = WORKER.replace("VERSION", &version.to_string());
    let files =
        [("Procfile", PROCFILE), ("server.js", SERVER), ("migrate.js", migrate), ("worker.js", &worker)];
    fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    for (name, text) in files {
        fs::write(folder.join(name), text).map_err(|e| e.to_string())?;
    }
    Ok(folder)
}

/// Its worker, as it stands in the list.
fn worker(vm: &Vm) -> Result<Value, String> {
    let all = vm.json(&["scale", NAME])?;
    let all = all.as_array().ok_or("no list of processes")?;
    all.iter().find(|one| one["name"] == "worker").cloned().ok_or_else(|| "there is no worker".to_owned())
}

fn running(vm: &Vm, count: u64) -> Result<Value, String> {
    until(&format!("{count} workers"), DEADLINE, || {
        Ok(Some(worker(vm)?).filter(|worker| worker["running"].as_u64() == Some(count)))
    })
}

/// What workers have told, in their order, as soon as it is so much.
fn told(vm: &Vm, lines: usize) -> Result<Vec<String>, String> {
    let read = "const f = '/data/told', fs = require('node:fs'); \
                process.stdout.write(fs.existsSync(f) ? fs.readFileSync(f, 'utf8') : '')";
    until(&format!("{lines} lines of workers"), DEADLINE, || {
        let text = vm.ok(&["exec", NAME, "--", "node", "-e", read])?;
        let told: Vec<String> = text.lines().map(str::to_owned).collect();
        Ok(Some(told).filter(|told| told.len() >= lines))
    })
}

pub(super) fn beside(vm: &mut Vm) -> Result<(), String> {
    vm.ok(&["tenant", "add", NAME, "--runtime", "node-24", "--domain", &format!("{NAME}.localhost")])?;
    vm.ok(&["limits", NAME, "--start-timeout", "60s"])?;
    let deploy = |vm: &Vm, folder: &PathBuf| vm.ok(&["deploy", NAME, &folder.display().to_string()]);
    let said = deploy(vm, &release(vm, 1, MIGRATE)?)?;
    contains("what is said", &said, "worker in Procfile is not run yet: `kennel scale crew worker=1` does")?;
    same("its tables", vm.page(NAME, "/")?.body.as_str(), "changed\n")?;
    vm.logged(NAME, "tables changed\nkennel: /usr/bin/node: exited with code 0")?;
    same("workers", worker(vm)?["running"].as_u64(), Some(0))?;
    let refused = vm.run(&["scale", NAME, "wroker=1"])?;
    contains("what is said of another", &refused.err, "has no process wroker")?;

    // The program may sleep: they do not.
    vm.ok(&["scale", NAME, "worker=2"])?;
    running(vm, 2)?;
    same("what they tell", told(vm, 2)?, vec!["begins 1".to_owned(); 2])?;
    vm.ok(&["tenant", "stop", NAME])?;
    same("workers of a program that is stopped", worker(vm)?["running"].as_u64(), Some(2))?;
    vm.logged(NAME, "at work")?;

    // One that ends is begun again.
    vm.ok(&["exec", NAME, "--", "node", "-e", "require('node:fs').writeFileSync('/data/fail', '')"])?;
    same("what they tell", told(vm, 3)?, vec!["begins 1".to_owned(); 3])?;
    let worker_now = running(vm, 2)?;
    same("its last end", worker_now["last"]["why"].as_str(), Some("exited with code 9"))?;
    let listed = vm.ok(&["scale", NAME])?;
    vm.note(listed.trim_end().replace('\n', "\n          "));
    contains("the list", &listed, "2 of 2")?;

    // A release whose tables cannot be changed is none, and nobody has noticed.
    let refused = vm.run(&["deploy", NAME, &release(vm, 2, NO_CHANGE)?.display().to_string()])?;
    same("the exit code", refused.code, 2)?;
    contains(
        "what is said",
        &refused.err,
        "its release command failed (Procfile, release): exited with code 4",
    )?;
    contains("and of its log", &refused.err, "no such table")?;
    same("its tables", vm.page(NAME, "/")?.body.as_str(), "changed\n")?;
    same("what they tell", told(vm, 3)?.len(), 3)?;

    // With the next release they are asked to end, and begun in that one.
    deploy(vm, &release(vm, 3, MIGRATE)?)?;
    let told_now = told(vm, 7)?;
    same("workers that were asked to end", told_now.iter().filter(|line| *line == "ends 1").count(), 2)?;
    same("workers of the new release", told_now.iter().filter(|line| *line == "begins 3").count(), 2)?;
    same("its tables", vm.page(NAME, "/")?.body.as_str(), "changed\nchanged\n")?;

    // They are there again after a boot, whether or not anybody has come to see the site.
    vm.stop()?;
    vm.boot()?;
    running(vm, 2)?;
    let begun = |told: &[String]| told.iter().filter(|line| *line == "begins 3").count();
    until("them to begin", DEADLINE, || Ok(Some(begun(&told(vm, 9)?)).filter(|begun| *begun == 4)))?;
    same("the program's state", vm.show(NAME)?["state"].as_str(), Some("stopped"))?;

    let before = told(vm, 9)?.len();
    vm.ok(&["scale", NAME, "worker=0"])?;
    running(vm, 0)?;
    let ended = told(vm, before + 2)?;
    holds("they were asked to end", ended[before..].iter().all(|line| line == "ends 3"))?;
    vm.ok(&["scale", NAME, "worker=1"])?;
    running(vm, 1)?;
    vm.ok(&["tenant", "rm", NAME, "--yes"]).map(drop)
}
