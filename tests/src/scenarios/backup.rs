//! A tenant as one file, and a tenant out of that file: beside the original, and in its place when it is gone.

use crate::checks::{contains, holds, same};
use crate::vm::Vm;

use super::data::{NAME, ensure, notes};

/// What the secret is.
const SECRET: &str = "hunter2";

pub(super) fn there_and_back(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["env", "set", NAME, &format!("SECRET={SECRET}")])?;
    vm.ok(&["limits", NAME, "--pids", "77"])?;
    vm.ok(&["cron", "add", NAME, "5 4 1 1 *", "--", "node", "-p", "1"])?;
    let before = notes(vm, "/add?text=kept")?;
    let file = vm.scratch().join("notes-backup.tar").display().to_string();
    let said = vm.ok(&["backup", NAME, &file])?;
    contains("what is said of it", &said, "keep it as a secret")?;
    notes(vm, "/add?text=late")?;

    let copied = vm.ok(&["restore", &file, "--as", "copy", "--domain", "copy.localhost"])?;
    contains("what the copy has not", &copied, "left out: 1 domain, 1 job")?;
    let copy = vm.page_json("copy", "/")?;
    same("the copy's notes", copy["notes"].as_u64(), Some(before))?;
    same("the copy's secret", copy["secret"].as_str(), Some(SECRET))?;
    same("the original's notes", notes(vm, "/")?, before + 1)?;
    vm.ok(&["tenant", "rm", "copy", "--yes"])?;

    let taken = vm.run(&["restore", &file])?;
    same("the exit code while the original is there", taken.code, 2)?;
    same("its notes then", notes(vm, "/")?, before + 1)?;
    vm.ok(&["tenant", "rm", NAME, "--yes"])?;
    let restored = vm.ok(&["restore", &file])?;
    contains("what is said", &restored, "notes is restored: r1 serves, ")?;
    let page = vm.page_json(NAME, "/")?;
    same("its notes", page["notes"].as_u64(), Some(before))?;
    same("its secret", page["secret"].as_str(), Some(SECRET))?;
    let shown = vm.show(NAME)?;
    same("its limit of processes", shown["limits"]["pids_max"].as_u64(), Some(77))?;
    let jobs = vm.json(&["cron", "ls", NAME])?;
    same("its job", jobs[0]["schedule"].as_str(), Some("5 4 1 1 *"))?;
    holds("the job is the only one", jobs.as_array().is_some_and(|jobs| jobs.len() == 1))
}
