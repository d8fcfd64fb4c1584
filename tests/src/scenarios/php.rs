//! Sites of PHP: Slim with its packages and SQLite, as `runtimes` has it deployed; what is run, what is sent, and what nobody gets.

use std::fs;

use super::samples;
use crate::checks::{contains, holds, same};
use crate::http::{self, Answer};
use crate::vm::{PAGE_DEADLINE, Vm};

const NAME: &str = "slim";
/// Runs in the slot: what PHP may not, and what it has.
const ABOUT: &str = "echo PHP_VERSION, ' ', ini_get('pcre.jit'), ' ', extension_loaded('ffi') ? 'ffi' : 'none', ' ', \
    preg_match('/a+/', 'caat');";

/// Deployed, asked, deployed again, put to sleep and woken.
pub(super) fn slim(vm: &mut Vm) -> Result<(), String> {
    let folder = samples::fetched(vm, &[NAME])?.join(NAME);
    let path = folder.display().to_string();
    vm.ok(&["tenant", "add", NAME, "--runtime", "php-8.4", "--domain", "slim.localhost"])?;
    fs::rename(folder.join("vendor"), folder.with_file_name("kept")).map_err(|e| e.to_string())?;
    let refused = vm.run(&["deploy", NAME, &path])?;
    contains("without packages", &refused.err, "composer.json requires slim/slim")?;
    contains("what to do", &refused.err, "`composer install --no-dev`")?;
    fs::rename(folder.with_file_name("kept"), folder.join("vendor")).map_err(|e| e.to_string())?;
    let said = vm.ok(&["deploy", NAME, &path])?;
    contains("what is run", &said, "runs: /usr/bin/kennel-php public/index.php (a site of PHP)")?;
    same("its page", vm.page(NAME, "/")?.body.as_str(), "<h1>Slim</h1>")?;
    let clean = vm.page(NAME, "/hello/%3CAda%3E")?.body;
    contains("a path without a file", &clean, "Hello, &lt;Ada&gt; at http://slim.localhost")?;
    sent(vm)?;
    broken(vm)?;
    let about = vm.ok(&["exec", NAME, "--", "php", "-r", ABOUT])?;
    holds(&about, about.starts_with("8.4.") && about.trim_end().ends_with(" 0 none 1"))?;
    write(vm, "one")?;
    same("a first visit", session(vm, "")?.1.as_str(), "1")?;
    let (cookie, _) = session(vm, "")?;
    vm.ok(&["deploy", NAME, &path])?;
    write(vm, "two")?;
    vm.ok(&["tenant", "stop", NAME])?;
    let notes = vm.page_json(NAME, "/notes")?;
    same("what SQLite has", notes, serde_json::json!({ "notes": ["one", "two"] }))?;
    same("a visitor who comes back", session(vm, &cookie)?.1.as_str(), "2")?;
    by_the_proxy(vm)
}

/// Files are sent, and what is a program's is not.
fn sent(vm: &Vm) -> Result<(), String> {
    let style = vm.page(NAME, "/style.css")?;
    contains("its type", &style.head, "content-type: text/css; charset=utf-8")?;
    contains("a file", &style.body, "color: teal")?;
    for path in ["/config.php.bak", "/.gitignore", "/../src/notes.php"] {
        let answer = vm.page(NAME, path)?;
        holds(path, answer.status >= 400 && !answer.body.contains("secret") && !answer.body.contains("<?php"))?;
    }
    // There is a file before the script's name: it is no script, and nothing is run in its name.
    let tricked = vm.page(NAME, "/style.css/x.php")?;
    same("a script below a file", tricked.status, 404)?;
    Ok(())
}

/// An operator may have the proxy answer these files by itself, but for the sources.
fn by_the_proxy(vm: &Vm) -> Result<(), String> {
    vm.ok(&["limits", NAME, "--static", "public"])?;
    vm.ok(&["tenant", "stop", NAME])?;
    contains("a file by the proxy", &vm.page(NAME, "/style.css")?.body, "color: teal")?;
    same("nobody was woken", vm.show(NAME)?["state"].as_str(), Some("stopped"))?;
    same("a copy of a source", vm.page(NAME, "/config.php.bak")?.status, 404)?;
    same("a script is run", vm.page(NAME, "/session.php")?.body.as_str(), "1")
}

/// What breaks is said to whoever looks after it, and to nobody else.
fn broken(vm: &Vm) -> Result<(), String> {
    let answer = vm.page(NAME, "/broken.php")?;
    same("what breaks", answer.status, 500)?;
    holds(&answer.body, !answer.body.contains("not_defined"))?;
    vm.logged(NAME, "PHP Fatal error:  Uncaught Error: Call to undefined function not_defined()")
}

fn write(vm: &Vm, text: &str) -> Result<(), String> {
    let to = ("slim.localhost", format!("/notes?text={text}"));
    let answer = http::ask(vm.web_port(), "POST", (to.0, &to.1), &[("Content-Length", "0")], PAGE_DEADLINE)?;
    same("what writes leads elsewhere", answer.status, 303)
}

/// The cookie that a visitor is given, and how often he has been here.
fn session(vm: &Vm, cookie: &str) -> Result<(String, String), String> {
    let fields = [("Cookie", cookie)];
    let fields = if cookie.is_empty() { &[][..] } else { &fields };
    let Answer { head, body, .. } =
        http::get_with(vm.web_port(), ("slim.localhost", "/session.php"), fields, PAGE_DEADLINE)?;
    let set = head.split("set-cookie: phpsessid=").nth(1).and_then(|rest| rest.split(';').next());
    Ok((set.map(|id| format!("PHPSESSID={id}")).unwrap_or_default(), body))
}
