//! Jobs: a deploy is seen step by step, and goes on without whoever began it. The tenant is that of `releases`.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::releases::{NAME, deploy, ensure, folder};
use super::trials::slow_to_start;
use crate::checks::{contains, same};
use crate::vm::{Vm, until};

/// For a deploy's files to be there, and its program to be started.
const BEGUN: Duration = Duration::from_secs(60);

/// The job that began last.
pub(super) fn last(vm: &Vm) -> Result<Value, String> {
    let jobs = vm.json(&["jobs", NAME])?;
    jobs.as_array().and_then(|jobs| jobs.last()).cloned().ok_or(format!("no job in {jobs}"))
}

pub(super) fn followed(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["limits", NAME, "--trial", "on", "--health", "/healthz"])?;
    deploy(vm, "base", &slow_to_start("base", 200))?;
    let before = last(vm)?;
    same("the last job", before["act"].as_str(), Some("deploy"))?;
    let files = folder(vm, "left", &slow_to_start("left", 200))?;
    let mut deploying = vm.command(&["deploy", NAME, &files]);
    let mut deploying =
        deploying.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())?;
    let is_tried = || {
        let job = last(vm)?;
        let steps = job["steps"].as_array().ok_or(format!("no steps in {job}"))?;
        let tried =
            steps.iter().any(|step| step["name"].as_str().is_some_and(|name| name.starts_with("try r")));
        Ok((tried && job["number"] != before["number"]).then_some(job))
    };
    let job = until("the deploy to be tried", BEGUN, is_tried);
    let killed = deploying.kill().and_then(|()| deploying.wait());
    killed.map_err(|e| format!("the client is not killed: {e}"))?;
    let number = job?["number"].to_string();
    let followed = vm.run(&["job", "follow", &number])?;
    same("how it ends for who follows it", followed.code, 0)?;
    contains("what is said of it", &followed.out, &format!("job {number}, deploy of {NAME}: done in "))?;
    for step in
        ["  receive and unpack release r", "  try r", "    see that it goes on for ", "  switch to it: "]
    {
        contains("its steps", &followed.err, step)?;
    }
    let page = vm.page_json(NAME, "/")?;
    same("which program answers", page["mark"].as_str(), Some("left"))?;
    contains("the audit log", &vm.ok(&["audit", "--tenant", NAME, "-n", "3"])?, "deploy")
}
