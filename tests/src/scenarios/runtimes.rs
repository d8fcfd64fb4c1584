//! Runtimes side by side: Python with programs as people have them, and tenants that go from one runtime to another and back.

use std::fs;
use std::path::PathBuf;

use super::{Group, Scenario, builds, people_image, php, samples};
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{PAGE_DEADLINE, Vm};

/// Says what it runs on, without any package.
const PYTHON: &str = r#"
import http.server, os, sys

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(("Python " + sys.version.split()[0]).encode())

print("it prints")
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page).serve_forever()
"#;
/// The same.
const NODE: &str = r#"
require("node:http").createServer((_, answer) => answer.end("Node.js " + process.version)).listen(process.env.PORT, "127.0.0.1");
"#;
/// Whether what was imported has been compiled when the image was built, and where packages are looked for.
const ABOUT: &str = "import json, os, sys; print(os.path.exists(json.__cached__), '/app/vendor' in sys.path)";
/// Memory that is written and then executed.
const MAKES_CODE: &str = "import mmap; mmap.mmap(-1, 4096, prot=7)";

pub(super) fn group() -> Group {
    Group {
        title: "runtimes",
        image: people_image,
        prepare: Vm::boot,
        scenarios: vec![
            Scenario::new(
                "runtimes: Flask under gunicorn, fetched by pip, with a package that is machine code",
                flask,
            )
            .denying(&["execmem"]),
            Scenario::new("runtimes: Django keeps what SQLite has across a deploy and a boot", django),
            Scenario::new("runtimes: a site of PHP, with Slim, SQLite and sessions", php::slim),
            Scenario::new("builds: packages of a site of PHP are fetched by composer", builds::composer),
            Scenario::new("runtimes: a tenant moves to another, and back", moves),
            Scenario::new("runtimes: a rollback goes back to the runtime of its release", back),
            Scenario::new("runtimes: a program for an earlier Node.js, beside the later", earlier),
        ],
    }
}

fn flask(vm: &mut Vm) -> Result<(), String> {
    vm.ok(&["tenant", "add", "flask", "--runtime", "python-3.13", "--domain", "flask.localhost"])?;
    let said = builds::pip(vm, "flask")?;
    let runs =
        "runs: /usr/bin/python3.13 -m gunicorn --bind 127.0.0.1:$PORT app:app (an application of Python)";
    contains("what is run", &said, runs)?;
    same("its page", vm.page("flask", "/?name=%3CAda%3E")?.body.as_str(), "<p>Hello, &lt;Ada&gt;!</p>")?;
    let compiled = vm.page("flask", "/compiled")?.body;
    holds(&compiled, compiled.starts_with("/app/vendor/markupsafe/") && compiled.ends_with(".so"))?;
    vm.logged("flask", "[INFO] Starting gunicorn")?;
    let about = vm.ok(&["exec", "flask", "--", "python", "-c", ABOUT])?;
    same("its library", about.trim(), "True True")?;
    let refused = vm.run(&["exec", "flask", "--", "python3", "-c", MAKES_CODE])?;
    contains("what makes code", &refused.err, "PermissionError")?;
    let context = vm.show("flask")?["context"].as_str().unwrap_or_default().to_owned();
    holds(&context, context.starts_with("system_u:system_r:tenant"))
}

fn django(vm: &mut Vm) -> Result<(), String> {
    let folder = samples::fetched(vm, &["django"])?.join("django").display().to_string();
    let add = ["tenant", "add", "django", "--runtime", "python-3.13", "--domain", "django.localhost"];
    vm.ok(&[&add[..], &["--health", "/up", "--start-timeout", "3m"]].concat())?;
    vm.ok(&["env", "set", "django", "SECRET_KEY=of-a-test"])?;
    let said = vm.ok(&["deploy", "django", &folder])?;
    contains("what is run", &said, "127.0.0.1:$PORT mysite.wsgi:application (manage.py, a site of Django)")?;
    contains("the migration", &vm.ok(&["exec", "django", "--", "python", "manage.py", "migrate"])?, "OK")?;
    write(vm, "one", &["one"])?;
    vm.ok(&["deploy", "django", &folder])?;
    write(vm, "two", &["one", "two"])?;
    vm.stop()?;
    vm.boot()?;
    notes(&vm.page("django", "/")?, &["one", "two"])
}

fn write(vm: &Vm, text: &str, all: &[&str]) -> Result<(), String> {
    let to = ("django.localhost", format!("/?text={text}"));
    let answer = http::ask(vm.web_port(), "POST", (to.0, &to.1), &[("Content-Length", "0")], PAGE_DEADLINE)?;
    notes(&answer, all)
}

fn notes(answer: &http::Answer, all: &[&str]) -> Result<(), String> {
    let expected = serde_json::json!({ "notes": all });
    let seen = serde_json::from_str::<serde_json::Value>(&answer.body);
    let seen = seen.map_err(|e| format!("{e}: {} {}", answer.status, answer.body))?;
    same("what was written", seen, expected)
}

/// A folder with one file.
fn release(vm: &Vm, file: &str, content: &str) -> Result<String, String> {
    let folder = vm.scratch().join(file.replace('.', "-"));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(folder.join(file), content))
        .map_err(|e| e.to_string())?;
    Ok(folder.display().to_string())
}

/// Of whom `kennel runtimes` says that they are on it.
fn on(vm: &Vm, runtime: &str) -> Result<Vec<String>, String> {
    let listed = vm.json(&["runtimes"])?;
    let of = listed.as_array().into_iter().flatten().find(|of| of["name"] == runtime);
    let names = of.ok_or(format!("there is no {runtime}: {listed}"))?["tenants"].as_array().cloned();
    Ok(names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

/// A program of its own that any runtime starts.
fn machine(vm: &Vm) -> Result<PathBuf, String> {
    let folder = vm.scratch().join("machine");
    let from = vm.places().kennel.with_file_name("kennel-villain");
    let copied = fs::create_dir_all(&folder).and_then(|()| fs::copy(&from, folder.join("server")));
    copied.map_err(|e| format!("{}: {e}", from.display()))?;
    Ok(folder)
}

fn moves(vm: &mut Vm) -> Result<(), String> {
    let folder = machine(vm)?.display().to_string();
    // This program takes the first of its ports only.
    let add = ["tenant", "add", "mover", "--runtime", "static", "--domain", "mover.localhost"];
    vm.ok(&[&add[..], &["--trial", "off"]].concat())?;
    vm.ok(&["deploy", "mover", &folder, "--command", "./server serve"])?;
    let answers = |vm: &Vm| same("its page", vm.page("mover", "/probes")?.status, 200);
    let python = |vm: &Vm| Ok::<_, String>(vm.run(&["exec", "mover", "--", "python", "-V"])?.code == 0);
    answers(vm)?;
    holds("there is no Python", !python(vm)?)?;
    let said = vm.ok(&["tenant", "move", "mover", "--runtime", "python-3.13"])?;
    contains("the move", &said, "release r2 of mover serves on python-3.13")?;
    answers(vm)?;
    holds("there is Python", python(vm)?)?;
    same("who is on it", on(vm, "python-3.13")?.contains(&"mover".to_owned()), true)?;
    vm.ok(&["tenant", "move", "mover", "--runtime", "static"])?;
    answers(vm)?;
    holds("there is none again", !python(vm)?)?;
    same("who is on it", on(vm, "static")?, vec!["mover".to_owned()])
}

fn back(vm: &mut Vm) -> Result<(), String> {
    let (node, python) = (release(vm, "server.js", NODE)?, release(vm, "app.py", PYTHON)?);
    vm.ok(&["tenant", "add", "both", "--runtime", "node-24", "--domain", "both.localhost"])?;
    vm.ok(&["deploy", "both", &node])?;
    let page = |vm: &Vm, begins: &str| {
        let body = vm.page("both", "/")?.body;
        holds(&body, body.starts_with(begins))
    };
    page(vm, "Node.js v24.")?;
    let refused = vm.run(&["tenant", "move", "both", "--runtime", "python-3.13"])?;
    let why = "`/usr/bin/node server.js` is a program for node-24, and python-3.13 has nothing that runs it";
    contains("the refusal", &refused.err, why)?;
    contains("the hint", &refused.err, "kennel deploy --runtime python-3.13")?;
    same("the exit code", refused.code, 2)?;
    page(vm, "Node.js v24.")?;
    let said = vm.ok(&["deploy", "both", &python, "--runtime", "python-3.13"])?;
    contains("what is run", &said, "runs: /usr/bin/python3.13 app.py (found by its name)")?;
    page(vm, "Python 3.13.")?;
    vm.logged("both", "it prints")?;
    vm.ok(&["rollback", "both"])?;
    page(vm, "Node.js v24.")?;
    same("its runtime", vm.show("both")?["runtime"].as_str(), Some("node-24"))?;
    // What served last is kept asleep, on its own runtime.
    vm.ok(&["rollback", "both", "--to", "2"])?;
    page(vm, "Python 3.13.")?;
    vm.stop()?;
    vm.boot()?;
    page(vm, "Python 3.13.")
}

fn earlier(vm: &mut Vm) -> Result<(), String> {
    let folder = release(vm, "server.js", NODE)?;
    let package = r#"{"engines": {"node": "^22.11"}}"#;
    fs::write(PathBuf::from(&folder).join("package.json"), package).map_err(|e| e.to_string())?;
    vm.ok(&["tenant", "add", "earlier", "--runtime", "node-24", "--domain", "earlier.localhost"])?;
    let page = |vm: &Vm, begins: &str| {
        let body = vm.page("earlier", "/")?.body;
        holds(&body, body.starts_with(begins))
    };
    let said = vm.ok(&["deploy", "earlier", &folder])?;
    contains("what would fit", &said, "node-22 of this host would fit: --runtime node-22")?;
    page(vm, "Node.js v24.")?;
    let said = vm.ok(&["deploy", "earlier", &folder, "--runtime", "node-22"])?;
    holds(&said, !said.contains("would fit"))?;
    page(vm, "Node.js v22.")?;
    vm.ok(&["tenant", "move", "earlier", "--runtime", "node-24"])?;
    page(vm, "Node.js v24.")?;
    vm.ok(&["tenant", "move", "earlier", "--runtime", "node-22"])?;
    page(vm, "Node.js v22.")?;
    same("who is on it", on(vm, "node-22")?, vec!["earlier".to_owned()])
}
