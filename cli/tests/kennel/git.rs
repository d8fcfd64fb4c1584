//! `git push` with the git of this machine, to a stand-in that keeps releases as a host does: what arrives, what is refused, and
//! what git prints and ends with.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::depot::Depot;
use crate::support::{FakeHost, Home, at_home};

/// A person in a repository, who knows a host.
struct Repository {
    home: Home,
    host: FakeHost,
    depot: Depot,
}

impl Repository {
    /// With a remote, and nothing in it.
    fn new() -> Self {
        Self::of(&["init", "--quiet", "--initial-branch", "main"])
    }

    fn of(init: &[&str]) -> Self {
        let (home, host) = at_home();
        let depot = Depot::at(&host);
        std::fs::create_dir_all(home.path("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_kennel"), home.path("bin/git-remote-kennel")).unwrap();
        let repository = Self { home, host, depot };
        std::fs::create_dir(repository.top()).unwrap();
        repository.git(init);
        repository.git(&["remote", "add", "kennel", "kennel::blog"]);
        repository
    }

    /// A name that has to be quoted wherever somebody forgets to.
    fn top(&self) -> PathBuf {
        self.home.path("my app's $(folder)")
    }

    fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new("git");
        let path = std::env::var_os("PATH").unwrap();
        let path = [self.home.path("bin")].into_iter().chain(std::env::split_paths(&path));
        command.env_clear().env("PATH", std::env::join_paths(path).unwrap()).env("HOME", self.home.path(""));
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.org");
        }
        command.current_dir(self.top()).args(args);
        command
    }

    fn git(&self, args: &[impl AsRef<OsStr>]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.top().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "it"]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// What git says, and whether it is content.
    fn push(&self, args: &[&str]) -> (bool, String) {
        let Output { status, stdout, stderr } = self.command(&[&["push"], args].concat()).output().unwrap();
        assert!(stdout.is_empty() || args.contains(&"--porcelain"), "{}", text(&stdout));
        (status.success(), text(&stderr))
    }

    fn refused(&self, args: &[&str], words: &[&str]) -> String {
        let before = self.depot.newest();
        let (content, said) = self.push(args);
        assert!(!content && words.iter().all(|words| said.contains(words)), "{args:?}: {said}");
        assert_eq!(self.depot.newest(), before, "{args:?}");
        said
    }

    fn pushed(&self, args: &[&str]) -> String {
        let (content, said) = self.push(args);
        assert!(content, "{args:?}: {said}");
        said
    }

    /// Files and links of the newest release.
    fn released(&self) -> Vec<String> {
        let at = self.depot.place(self.depot.newest());
        let listed =
            Command::new("find").arg(&at).args(["-not", "-type", "d", "-printf", "%P\\n"]).output().unwrap();
        let mut names: Vec<String> = text(&listed.stdout).lines().map(str::to_owned).collect();
        names.sort();
        names
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_committed_is_deployed_and_what_is_not_is_not() {
    let repository = Repository::new();
    repository.file(".gitignore", "dist\n");
    repository.file("server.js", "one");
    repository.file("with space/ä 'b'.txt", "two");
    repository.file("dist/tracked.js", "three");
    repository.file("run", "#!");
    std::fs::set_permissions(repository.top().join("run"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("server.js", repository.top().join("link")).unwrap();
    repository.git(&["add", "--force", "dist/tracked.js"]);
    repository.commit();
    repository.file("server.js", "not yet");
    repository.file("untracked", "");
    let status = repository.git(&["status", "--porcelain"]);
    let said = repository.pushed(&["kennel", "main"]);
    for words in [
        "release r1 of blog serves: ",
        "  runs: /usr/bin/node server.js",
        "  http://blog.localhost:8080/\n",
        "main -> main",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let expected = [".gitignore", "dist/tracked.js", "link", "run", "server.js", "with space/ä 'b'.txt"];
    assert_eq!(repository.released(), expected);
    let at = |name: &str| repository.depot.place(1).join(name);
    assert_eq!(std::fs::read(at("server.js")).unwrap(), b"one");
    assert_eq!(at("link").read_link().unwrap(), PathBuf::from("server.js"));
    let executable = |name: &str| at(name).metadata().unwrap().permissions().mode() & 0o100 != 0;
    assert!(executable("run") && !executable("server.js"));
    assert_eq!(
        repository.git(&["status", "--porcelain"]),
        status,
        "the working tree and its index are as they were"
    );
    repository.file(".kennelignore", "*.txt\n.*ignore\n");
    repository.commit();
    repository.pushed(&["kennel", "HEAD:main"]);
    assert_eq!(repository.released(), ["dist/tracked.js", "link", "run", "server.js", "untracked"]);
    repository.commit();
    assert_eq!(repository.pushed(&["--quiet", "kennel", "HEAD:main"]), "");
}

#[test]
fn of_a_second_push_what_has_changed_travels() {
    let repository = Repository::new();
    for number in 0..40 {
        repository.file(&format!("lib/{number}.js"), format!("{number} ").repeat(1000));
    }
    repository.commit();
    repository.pushed(&["kennel", "main"]);
    repository.file("lib/7.js", "seven");
    repository.commit();
    let said = repository.pushed(&["kennel", "main"]);
    assert!(said.contains("looking for what has changed since r1\n"), "{said}");
    assert!(said.contains("  1 of 40 files changed: "), "{said}");
    assert_eq!(std::fs::read(repository.depot.place(2).join("lib/7.js")).unwrap(), b"seven");
}

#[test]
fn what_serves_and_what_is_shown_is_known_to_git() {
    let repository = Repository::new();
    repository.file("server.js", "one");
    let one = repository.commit();
    repository.pushed(&["kennel", "main"]);
    let asked = format!("POST /v1/tenants/blog/releases?commit={one}&ref=refs%2Fheads%2Fmain");
    assert!(repository.host.requests().contains(&asked), "{:?}", repository.host.requests());
    assert_eq!(repository.pushed(&["kennel", "main"]), "Everything up-to-date\n");
    assert_eq!(repository.depot.newest(), 1);
    repository.git(&["checkout", "--quiet", "-b", "fix"]);
    repository.file("server.js", "two");
    let two = repository.commit();
    repository.pushed(&["kennel", "fix"]);
    let listed = repository.git(&["ls-remote", "kennel"]);
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_by_key(|line| line.split_once('\t').map(|(_, name)| name));
    assert_eq!(listed, [format!("{two}\trefs/heads/fix"), format!("{one}\trefs/heads/main")]);
    let said = repository.pushed(&["kennel", "fix:main"]);
    assert!(said.contains(&format!("{}..{}  fix -> main", &one[..7], &two[..7])), "{said}");
    repository.git(&["commit", "--quiet", "--amend", "--message", "another"]);
    repository.refused(&["kennel", "fix:main"], &["! [rejected]", "fix -> main (non-fast-forward)"]);
    repository.pushed(&["--force", "kennel", "fix:main"]);
    repository.refused(&["kennel", ":main"], &["! [remote rejected] main (a push removes nothing from a host"]);
    let cloned = repository.command(&["clone", "kennel::blog", "../cloned"]).output().unwrap();
    let said = text(&cloned.stderr);
    assert!(!cloned.status.success() && said.contains("error: nothing can be fetched from a host"), "{said}");
}

#[test]
fn a_release_that_is_no_good_is_a_ref_that_is_refused() {
    let repository = Repository::new();
    repository.file("server.js", "one");
    repository.commit();
    let why = "release r1 is not taken into use: exited with code 3; nothing serves yet";
    *repository.depot.no_good.lock().unwrap() = Some(why);
    let said = repository.refused(&["kennel", "main"], &["hint: do better\n", &format!("error: {why}\n")]);
    assert!(said.contains(&format!(" ! [remote rejected] main -> main ({why})")), "{said}");
    let status = repository.git(&["branch", "--remotes"]);
    assert_eq!(status, "", "git does not take it for pushed");
    repository.pushed(&["kennel", "main"]);
}

#[test]
fn other_branches_are_shown_and_what_has_no_place_is_refused() {
    let repository = Repository::new();
    repository.file("server.js", "one");
    repository.commit();
    repository.git(&["branch", "fix"]);
    repository.git(&["branch", "more"]);
    repository.git(&["tag", "--annotate", "v1", "--message", "one"]);
    repository.pushed(&["kennel", "fix"]);
    let asked = |words: &str| repository.host.requests().iter().any(|asked| asked.starts_with(words));
    assert!(asked("POST /v1/tenants/blog/releases?beta=&commit="), "{:?}", repository.host.requests());
    repository.refused(&["kennel", "v1"], &["! [remote rejected] v1 -> v1 (tags are not deployed"]);
    repository.refused(
        &["kennel", "main", "more"],
        &["main -> main (one branch at a time", "more -> more (one branch at a time"],
    );
    repository.refused(&["kennel", "main:refs/notes/x"], &["(only branches are deployed)"]);
    let said = repository.push(&["kennel", "main", "v1"]);
    assert!(!said.0 && said.1.contains("main -> main\n") && said.1.contains("v1 -> v1 (tags"), "{}", said.1);
    assert_eq!(repository.depot.newest(), 2, "a branch beside a tag is deployed");
    repository.file("server.js", "two");
    repository.commit();
    repository.git(&["tag", "--annotate", "v2", "--message", "two"]);
    repository.pushed(&["kennel", "v2^{}:refs/heads/main"]);
    assert_eq!(repository.depot.newest(), 3);
    repository.commit();
    let before = repository.depot.newest();
    repository.pushed(&["--dry-run", "kennel", "main"]);
    assert_eq!(repository.depot.newest(), before, "a rehearsal changes nothing");
    let blob = repository.git(&["rev-parse", "HEAD:server.js"]);
    repository.refused(&["kennel", &format!("{}:refs/heads/blob", blob.trim())], &["is no commit"]);
}

#[test]
fn what_cannot_be_sent_is_said_by_its_name_in_the_commit() {
    let repository = Repository::new();
    repository.commit();
    repository.refused(&["kennel", "main"], &["(there is nothing to deploy in the commit)"]);
    repository.file("server.js", "one");
    symlink("/etc/passwd", repository.top().join("out")).unwrap();
    repository.commit();
    repository.refused(
        &["kennel", "main"],
        &["(out cannot be deployed: it is a link to /etc/passwd, which is outside)"],
    );
    std::fs::remove_file(repository.top().join("out")).unwrap();
    let head = repository.commit();
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},themes/dark")]);
    repository.git(&["commit", "--quiet", "--message", "a submodule"]);
    repository
        .refused(&["kennel", "main"], &["(themes/dark is a submodule, and its files are not in the commit)"]);
    repository.file(".kennelignore", "themes\n");
    repository.git(&["add", ".kennelignore"]);
    repository.git(&["commit", "--quiet", "--message", "without it"]);
    repository.file("big.bin", "");
    repository.pushed(&["kennel", "main"]);
    repository.file("big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n");
    repository.git(&["rm", "--cached", "--quiet", "themes/dark"]);
    repository.commit();
    let said = repository.pushed(&["kennel", "main"]);
    assert!(said.contains("warning: big.bin is a pointer of Git LFS"), "{said}");
    let odd = OsStr::from_bytes(b"odd \xff\n.txt");
    std::fs::write(repository.top().join(odd), "odd").unwrap();
    repository.commit();
    repository.refused(
        &["kennel", "main"],
        &["! [remote rejected] main -> main ('odd ", "has a name that is not UTF-8)"],
    );
}

#[test]
fn what_a_person_has_set_for_their_working_tree_has_no_part_in_it() {
    let repository =
        Repository::of(&["init", "--quiet", "--initial-branch", "main", "--object-format", "sha256"]);
    for name in ["a/one.txt", "b/two.txt"] {
        repository.file(name, "one\n");
    }
    repository.file(".gitattributes", "b export-ignore\n*.txt text\n");
    repository.commit();
    repository.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "a"]);
    for hook in ["pre-push", "post-checkout", "post-index-change", "reference-transaction"] {
        repository.file(&format!(".git/hooks/{hook}"), format!("#!/bin/sh\necho {hook} >>\"$HOME/hooks\"\n"));
        let at = repository.top().join(".git/hooks").join(hook);
        std::fs::set_permissions(at, PermissionsExt::from_mode(0o755)).unwrap();
    }
    assert!(!repository.top().join("b").exists());
    repository.git(&["worktree", "add", "--quiet", "../linked", "-b", "other"]);
    for (name, value) in [("core.autocrlf", "true"), ("core.fsmonitor", "true"), ("core.splitIndex", "true")] {
        repository.git(&["config", name, value]);
    }
    let _ = std::fs::remove_file(repository.home.path("hooks"));
    let mut command = repository.command(&["push", "--porcelain", "kennel", "HEAD:main"]);
    let output = command.current_dir(repository.home.path("linked/a")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(repository.released(), [".gitattributes", "a/one.txt", "b/two.txt"]);
    assert_eq!(std::fs::read(repository.depot.place(1).join("b/two.txt")).unwrap(), b"one\n");
    let hooks = std::fs::read_to_string(repository.home.path("hooks")).unwrap();
    assert_eq!(hooks.lines().filter(|hook| *hook == "pre-push").count(), 1, "{hooks}");
    assert!(!hooks.contains("post-checkout") && !hooks.contains("post-index-change"), "{hooks}");
    let (content, said) = repository.push(&["kennel", "main"]);
    assert!(content && said == "Everything up-to-date\n", "{said}");
}

#[test]
fn a_bare_repository_and_a_shallow_one_push_as_well() {
    let repository = Repository::new();
    for content in ["one", "two"] {
        repository.file("server.js", content);
        repository.commit();
    }
    let top = repository.top();
    let source = format!("file://{}", top.display());
    repository.git(&["clone", "--quiet", "--bare", &source, "../bare"]);
    repository.git(&["clone", "--quiet", "--depth", "1", &source, "../shallow"]);
    for (number, folder) in [(1, "bare"), (2, "shallow")] {
        let mut command = repository.command(&["push", "kennel::blog", &format!("main:refs/heads/{folder}")]);
        let output = command.current_dir(repository.home.path(folder)).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(std::fs::read(repository.depot.place(number).join("server.js")).unwrap(), b"two");
    }
}

#[test]
fn an_address_leads_to_a_host_and_a_tenant_or_is_an_error() {
    let repository = Repository::new();
    repository.file("server.js", "one");
    repository.commit();
    repository.pushed(&["kennel://local/blog", "main"]);
    repository.commit();
    for (url, words) in [
        ("kennel://berlin/blog", "error: host berlin is not known here\nhint: known are: local"),
        ("kennel::Bad_Name", "error: \"Bad_Name\" names no tenant"),
        ("kennel://local", "error: \"kennel://local\" names no tenant: it ends with the host"),
    ] {
        repository.refused(&[url, "main"], &[words]);
    }
}

#[test]
fn a_setup_adds_the_remote_once_and_says_what_git_calls() {
    let repository = Repository::new();
    repository.git(&["remote", "remove", "kennel"]);
    let setup = |args: &[&str]| {
        let mut command = repository.home.kennel(&[&["git", "setup", "blog"], args].concat());
        command.env(
            "PATH",
            format!("{}:{}", repository.home.path("bin").display(), std::env::var("PATH").unwrap()),
        );
        command.current_dir(repository.top()).output().unwrap()
    };
    for _ in 0..2 {
        let done = setup(&[]);
        assert_eq!(
            text(&done.stdout),
            "`git push kennel main` deploys blog: kennel://local/blog\n",
            "{}",
            text(&done.stderr)
        );
    }
    assert_eq!(repository.git(&["remote", "get-url", "kennel"]), "kennel://local/blog\n");
    repository.git(&["remote", "set-url", "kennel", "https://example.org/x"]);
    let taken = setup(&[]);
    let said = text(&taken.stderr);
    assert!(
        !taken.status.success()
            && said.contains("the remote kennel is there, and leads to https://example.org/x"),
        "{said}"
    );
    assert!(setup(&["--remote", "live"]).status.success());
    repository.file("server.js", "one");
    repository.commit();
    repository.pushed(&["live", "main"]);
}

#[test]
fn a_deploy_fetches_what_is_named_and_nothing_that_is_not_committed() {
    let repository = Repository::new();
    repository.file("server.js", "one");
    let one = repository.commit();
    repository.git(&["tag", "--annotate", "v1", "--message", "one"]);
    repository.file("server.js", "two");
    repository.commit();
    repository.git(&["checkout", "--quiet", "-b", "fix/it"]);
    repository.file("server.js", "three");
    repository.commit();
    repository.file("server.js", "not yet");
    let (host, home) = (&repository.host, &repository.home);
    let deploy = |source: &str, more: &[&str]| {
        let mut command = home.kennel(&[&["deploy", "blog", source], more].concat());
        let Output { status, stdout, stderr } = command.current_dir(repository.top()).output().unwrap();
        (status.success(), text(&stdout) + &text(&stderr))
    };
    let url = format!("file://{}", repository.top().display());
    let content =
        || std::fs::read(repository.depot.place(repository.depot.newest()).join("server.js")).unwrap();
    let asked =
        || host.requests().into_iter().rfind(|asked| asked.starts_with("POST /v1/tenants/blog/releases"));
    for (source, fetched, name) in [
        (format!("{url}#main"), "two", "ref=refs%2Fheads%2Fmain"),
        (format!("{url}#v1"), "one", "ref=refs%2Ftags%2Fv1"),
        (format!("{url}#{one}"), "one", ""),
        (url.clone(), "three", ""),
        (".#fix/it".to_owned(), "three", "ref=refs%2Fheads%2Ffix%2Fit"),
        (".#".to_owned(), "three", ""),
    ] {
        let (content_with_it, said) = deploy(&source, &[]);
        assert!(content_with_it && said.contains("fetching "), "{source}: {said}");
        assert_eq!(text(&content()), fetched, "{source}");
        let asked = asked().unwrap();
        assert!(asked.contains("commit=") && asked.ends_with(name), "{source}: {asked}");
        assert_eq!(asked.contains("ref="), !name.is_empty(), "{source}: {asked}");
    }
    assert!(deploy(&format!("{url}#v1"), &["--beta"]).0);
    assert!(asked().unwrap().contains("beta=&commit="), "{:?}", asked());
    assert!(deploy(".", &[]).0);
    assert_eq!(text(&content()), "not yet", "a folder is sent as it is");
    let mut command = home.kennel(&["deploy", "blog"]);
    assert!(command.current_dir(repository.top()).output().unwrap().status.success(), "the folder one is in");
    let newest = repository.depot.newest();
    for (source, words) in [
        (format!("{url}#absent"), "error: cannot fetch file://"),
        ("file:///nowhere/at/all".to_owned(), "error: cannot fetch file:///nowhere/at/all: "),
        ("absent#main".to_owned(), "error: cannot read absent#main"),
        ("ext::touch% touched#main".to_owned(), "transport 'ext' not allowed"),
        ("--upload-pack=touch touched:x".to_owned(), "error: "),
    ] {
        let (content_with_it, said) = deploy(&source, &[]);
        assert!(!content_with_it && said.contains(words), "{source}: {said}");
        assert!(!repository.top().join("touched").exists(), "{source}");
    }
    assert_eq!(repository.depot.newest(), newest);
}
