//! `git push` from a real repository, by real git, to a host: what is pushed serves, what is no good is a ref that is refused, and
//! another branch is shown. The tenant is that of `releases`.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::releases::{NAME, ensure, states};
use super::trials::slow_to_start;
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{Output, PAGE_DEADLINE, Vm};

/// For one command of git's, a trial under emulation included.
const PATIENCE: Duration = Duration::from_secs(180);

/// A repository of somebody who knows the host.
struct Repository<'a> {
    vm: &'a Vm,
    top: PathBuf,
    bin: PathBuf,
}

impl<'a> Repository<'a> {
    /// With `kennel` in a folder of its own that is in PATH.
    fn new(vm: &'a Vm) -> Result<Self, String> {
        let [top, bin] = ["my repository", "bin"].map(|name| vm.scratch().join(name));
        for folder in [&top, &bin] {
            std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
        }
        symlink(vm.command(&[]).get_program(), bin.join("kennel")).map_err(|e| e.to_string())?;
        let repository = Self { vm, top, bin };
        repository.ok("git", &["init", "--quiet", "--initial-branch", "main"])?;
        Ok(repository)
    }

    /// Runs a program in it, as the person who knows the host.
    fn run(&self, program: &str, args: &[&str]) -> Result<Output, String> {
        let mut command = Command::new(program);
        let known = self.vm.command(&[]);
        for (name, value) in known.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = [self.bin.clone()].into_iter().chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(path).map_err(|e| e.to_string())?);
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.org");
        }
        command.current_dir(&self.top).args(args);
        self.vm.run_within(PATIENCE, command)
    }

    fn ok(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let Output { code, out, err } = self.run(program, args)?;
        if code == 0 {
            Ok(out + &err)
        } else {
            Err(format!("{program} {args:?} ended with {code}: {out}{err}"))
        }
    }

    fn commit(&self, mark: &str, program: &str) -> Result<(), String> {
        std::fs::write(self.top.join("server.js"), program).map_err(|e| e.to_string())?;
        self.ok("git", &["add", "--all"])?;
        self.ok("git", &["commit", "--quiet", "--message", mark]).map(drop)
    }
}

pub(super) fn pushed(vm: &mut Vm) -> Result<(), String> {
    ensure(vm)?;
    vm.ok(&["limits", NAME, "--trial", "on", "--health", "/healthz", "--start-timeout", "60s"])?;
    let repository = Repository::new(vm)?;
    let said = repository.ok("sh", &["-c", &format!("kennel git setup {NAME}")])?;
    contains("what the setup said", &said, &format!("`git push kennel main` deploys {NAME}: kennel://"))?;
    contains("what the setup said", &said, "/git-remote-kennel, which git calls")?;
    // Too much to be sent again without a look at what the host has.
    std::fs::write(repository.top.join("ballast"), vec![7; 300 << 10]).map_err(|e| e.to_string())?;
    repository.commit("first", &slow_to_start("pushed-1", 200))?;
    let said = repository.ok("git", &["push", "kennel", "main"])?;
    for words in [&format!(" of {NAME} serves: "), "  tried: ready ", "  runs: ", "main -> main"] {
        contains("what git showed", &said, words)?;
    }
    let first = vm.page_json(NAME, "/")?;
    same("which program answers", first["mark"].as_str(), Some("pushed-1"))?;
    repository.commit("broken", "console.error('no such module as ever'); process.exit(3);\n")?;
    let before = states(vm)?;
    let refused = repository.run("git", &["push", "kennel", "main"])?;
    holds("git is not content", refused.code != 0)?;
    contains("what git showed", &refused.err, "! [remote rejected] main -> main (release r")?;
    contains("what git showed", &refused.err, "exited with code 3")?;
    contains("what git showed", &refused.err, "no such module as ever")?;
    same("the releases", states(vm)?, before)?;
    same("who answers", &vm.page_json(NAME, "/")?["life"], &first["life"])?;
    repository.commit("mended", &slow_to_start("pushed-2", 200))?;
    let said = repository.ok("git", &["push", "kennel", "main"])?;
    contains("what git showed", &said, "  1 of 2 files changed: ")?;
    same("which program answers", vm.page_json(NAME, "/")?["mark"].as_str(), Some("pushed-2"))?;
    contains("what git said", &repository.ok("git", &["push", "kennel", "main"])?, "Everything up-to-date")?;
    let commit = repository.ok("git", &["rev-parse", "HEAD"])?;
    contains("the releases", &vm.ok(&["releases", NAME])?, &format!("{} main", &commit[..10]))?;
    repository.ok("git", &["checkout", "--quiet", "-b", "fix"])?;
    repository.commit("seen first", &slow_to_start("fix", 200))?;
    let said = repository.ok("git", &["push", "kennel", "fix"])?;
    contains("what git showed", &said, &format!(" of {NAME} is shown: "))?;
    let address = said.split_whitespace().find_map(|word| word.strip_prefix("http://"));
    let host = address.and_then(|address| address.split(':').next()).ok_or("it told no address")?;
    let shown = http::get(vm.web_port(), host, "/", PAGE_DEADLINE)?;
    contains("the page of what is shown", &shown.body, "\"mark\":\"fix\"")?;
    same("which program answers others", vm.page_json(NAME, "/")?["mark"].as_str(), Some("pushed-2"))
}
