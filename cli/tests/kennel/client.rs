//! The command against a stand-in for a host's API over real TLS: certificate pin, sign-in with key file and agent,
//! sessions, answers, uploads.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::support::{FakeHost, Home, at_home, error, result};
use kennel_cli::pin::Fingerprint;
use signature::Signer;
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, PrivateKey};

#[test]
fn one_sign_in_serves_many_commands_and_is_renewed_when_refused() {
    let (home, host) = at_home();
    for _ in 0..2 {
        let tenants = result(&home.kennel(&["tenant", "ls", "--json"]).output().unwrap());
        assert_eq!(tenants[0]["name"], "blog");
    }
    assert_eq!(host.state.lock().unwrap().sign_ins, 1);
    let session = home.path(".local/state/kennel/sessions/local.json");
    assert_eq!(session.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    host.state.lock().unwrap().tokens.clear();
    result(&home.kennel(&["tenant", "show", "blog", "--json"]).output().unwrap());
    assert_eq!(host.state.lock().unwrap().sign_ins, 2);
}

#[test]
fn another_certificate_ends_it_before_anything_is_sent() {
    let (home, host) = at_home();
    home.know_as(&host, Fingerprint::of_certificate(b"another"));
    let output = home.kennel(&["tenant", "ls", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(error(&output)["code"], "wrong-certificate");
    assert!(error(&output)["message"].as_str().unwrap().contains(&host.fingerprint.to_string()));
    assert!(host.requests().is_empty());
}

#[test]
fn a_key_that_is_not_an_operators_is_refused_with_its_name() {
    let home = Home::new();
    home.operator_key();
    let host = FakeHost::start(Vec::new());
    home.know(&host);
    let output = home.kennel(&["tenant", "ls", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(error(&output)["code"], "not-admitted");
    assert!(error(&output)["message"].as_str().unwrap().contains("kennel/id_ed25519"));
}

#[test]
fn a_no_of_the_host_is_told_in_its_words_with_exit_code_2() {
    let (home, _host) = at_home();
    let output = home.kennel(&["tenant", "show", "nobody", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(error(&output)["code"], "no-such-tenant");
    assert_eq!(error(&output)["hint"], "do better");
}

#[test]
fn a_host_that_is_down_is_named_with_the_command_that_starts_it() {
    let (home, host) = at_home();
    drop(host);
    let output = home.kennel(&["host", "status", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = error(&output);
    assert_eq!(error["code"], "unreachable");
    assert!(error["message"].as_str().unwrap().starts_with("host local does not answer at https://127.0.0.1:"));
    assert!(error["hint"].as_str().unwrap().contains("kennel run"));
}

#[test]
fn tenants_are_added_shown_and_removed() {
    let (home, host) = at_home();
    let add = [
        "tenant",
        "add",
        "shop",
        "--runtime",
        "static",
        "--domain",
        "shop.example",
        "--memory",
        "64M",
        "--json",
    ];
    let tenant = result(&home.kennel(&add).args(["--", "./shop", "-v"]).output().unwrap());
    assert_eq!(tenant["name"], "shop");
    assert_eq!(tenant["limits"]["memory_max_bytes"], 64 << 20);
    let shown = home.kennel(&["tenant", "show", "blog"]).output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("http://blog.localhost:8080/") && text.contains("tenant0003_t"), "{text}");
    assert!(home.kennel(&["tenant", "rm", "blog"]).output().unwrap().status.success());
    assert_eq!(host.requests().last().unwrap(), "DELETE /v1/tenants/blog");
}

#[test]
fn limits_are_shown_and_changed_one_by_one() {
    let (home, host) = at_home();
    let shown = home.kennel(&["limits", "blog"]).output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    for words in ["freeze after   30s", "reclaim after  2m", "stop after     1h"] {
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(host.requests().last().unwrap(), "GET /v1/tenants/blog", "nothing was changed");
    let change = ["limits", "blog", "--no-freeze", "--stop-after", "never", "--memory", "64M"];
    let changed = String::from_utf8(home.kennel(&change).output().unwrap().stdout).unwrap();
    assert!(changed.contains("64M") && changed.contains("never, as it is not frozen"), "{changed}");
    let limits = result(&home.kennel(&["limits", "blog", "--pids", "9", "--json"]).output().unwrap());
    assert_eq!((&limits["pids_max"], &limits["memory_max_bytes"]), (&9.into(), &(64 << 20).into()));
    assert!(limits["freeze_after_s"].is_null() && limits["stop_after_s"].is_null(), "{limits}");
    let twice = home.kennel(&["limits", "blog", "--no-freeze", "--freeze-after", "5s"]).output().unwrap();
    assert_eq!(twice.status.code(), Some(64));
}

#[test]
fn logs_are_harmless_to_the_terminal() {
    let (home, host) = at_home();
    for follow in [&[][..], &["-f"]] {
        let output = home.kennel(&["logs", "blog", "-n", "7"]).args(follow).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "one\ntwo]0;title\nthree\n");
    }
    assert!(host.requests().contains(&"GET /v1/tenants/blog/logs?lines=7&follow=false".to_owned()));
    let document = result(&home.kennel(&["logs", "blog", "--json"]).output().unwrap());
    assert_eq!((&document[0]["text"], &document[0]["release"]), (&"one".into(), &3.into()));
    home.kennel(&["logs", "blog", "--release", "3", "--since", "1h"]).output().unwrap();
    let asked = "GET /v1/tenants/blog/logs?lines=10000&follow=false&since_s=3600&release=3";
    assert_eq!(host.requests().last().unwrap(), asked);
    let line = home.kennel(&["logs", "blog", "-f", "--json"]).output().unwrap().stdout;
    let first: serde_json::Value = serde_json::from_slice(line.split(|b| *b == b'\n').next().unwrap()).unwrap();
    assert_eq!(first["text"], "one");
}

#[test]
fn a_folder_is_streamed_and_its_address_printed() {
    let (home, host) = at_home();
    let big = "x".repeat(300_000);
    home.file("app/server.js", &big);
    home.file("app/node_modules/a/index.js", "a");
    home.file("app/.git/config", "secret");
    let deployed = result(&home.kennel(&["deploy", "blog", "app", "--json"]).output().unwrap());
    assert_eq!(deployed["urls"][0], "http://blog.localhost:8080/");
    let upload = host.state.lock().unwrap().upload.take().unwrap().unwrap();
    let mut names = Vec::new();
    for entry in tar::Archive::new(&upload[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert!(name != "server.js" || text == big);
        names.push(name.trim_end_matches('/').to_owned());
    }
    assert_eq!(names, ["node_modules", "node_modules/a", "node_modules/a/index.js", "server.js"]);
    home.file("app/.gitignore", "node_modules\n.env\n");
    home.file("app/.env", "SECRET");
    let words =
        home.kennel(&["deploy", "blog", "app", "--command", "node 'my app.js' $PORT"]).output().unwrap();
    let words = String::from_utf8(words.stdout).unwrap();
    let (before, rest) = words.split_once("  all of it is sent: ").unwrap();
    let words = format!("{before}{}", rest.split_once('\n').unwrap().1);
    let expected = "release r1 of blog serves: 4K\n  runs: /usr/bin/node server.js (package.json, scripts.start)\n  \
                    a note \n  left out by .gitignore: .env\n  http://blog.localhost:8080/\n";
    assert_eq!(
        words.split_once(": ").unwrap().1.split_once('\n').unwrap().1,
        expected.split_once('\n').unwrap().1
    );
    let query = "POST /v1/tenants/blog/releases?command=node&command=my+app.js&command=%24PORT";
    assert!(host.requests().contains(&query.to_owned()), "{:?}", host.requests());
}

#[test]
fn what_cannot_be_deployed_is_said_before_anything_is_sent() {
    let (home, host) = at_home();
    home.file("app/server.js", "x");
    std::os::unix::fs::symlink("/etc/passwd", home.path("app/passwd")).unwrap();
    let output = home.kennel(&["deploy", "blog", "app", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output)["message"].as_str().unwrap().contains("app/passwd"));
    assert!(host.requests().is_empty());
    std::fs::remove_file(home.path("app/passwd")).unwrap();
    host.state.lock().unwrap().limits.release_max_bytes = 0;
    let output = home.kennel(&["deploy", "blog", "app", "--json"]).output().unwrap();
    assert!(error(&output)["message"].as_str().unwrap().contains("app has 1"), "{}", error(&output));
    assert!(host.state.lock().unwrap().upload.is_none());
}

#[test]
fn an_upload_that_the_host_breaks_off_fails() {
    let (home, host) = at_home();
    home.file("app/server.js", &"x".repeat(8 << 20));
    host.state.lock().unwrap().break_upload_after = Some(1 << 20);
    let output = home.kennel(&["deploy", "blog", "app", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        ["internal", "connection"].contains(&error(&output)["code"].as_str().unwrap()),
        "{}",
        error(&output)
    );
}

#[test]
fn ctrl_c_ends_an_upload_and_says_that_nothing_changed() {
    let (home, host) = at_home();
    home.file("app/server.js", &"x".repeat(32 << 20));
    host.state.lock().unwrap().stall_upload = true;
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_kennel"))
        .args(["deploy", "blog", "app", "--json"])
        .current_dir(home.0.path())
        .env_clear()
        .env("HOME", home.0.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !host.state.lock().unwrap().upload_begun {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(error(&output)["code"], "cancelled");
    assert!(error(&output)["hint"].as_str().unwrap().contains("nothing has changed on the host"));
}

#[test]
fn an_agent_signs_in_with_the_key_that_it_holds() {
    let home = Home::new();
    let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let host = FakeHost::start(vec![key.public_key().clone()]);
    home.know(&host);
    let public = home.file("mine.pub", &key.public_key().to_openssh().unwrap());
    let socket = home.path("agent");
    agent(&socket, key);
    let mut by_itself = home.kennel(&["tenant", "ls", "--json"]);
    result(&by_itself.env("SSH_AUTH_SOCK", &socket).output().unwrap());
    std::fs::remove_dir_all(home.path(".local")).unwrap();
    let mut named = home.kennel(&["tenant", "ls", "--json", "--identity", public.to_str().unwrap()]);
    result(&named.env("SSH_AUTH_SOCK", &socket).output().unwrap());
    assert_eq!(host.state.lock().unwrap().sign_ins, 2);
    std::fs::remove_dir_all(home.path(".local")).unwrap();
    let output = home.kennel(&["tenant", "ls", "--json"]).output().unwrap();
    assert_eq!(error(&output)["code"], "key");
}

#[test]
fn a_locked_key_without_a_terminal_points_to_the_agent() {
    let home = Home::new();
    let key =
        PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap().encrypt(&mut OsRng, "secret").unwrap();
    let path = home.file("locked", &key.to_openssh(ssh_key::LineEnding::LF).unwrap());
    let host = FakeHost::start(vec![key.public_key().clone()]);
    home.know(&host);
    // Without a controlling terminal there is nobody to ask.
    let mut command = assert_cmd::Command::new("setsid");
    command
        .arg("--wait")
        .arg(env!("CARGO_BIN_EXE_kennel"))
        .args(["tenant", "ls", "--json", "--identity"])
        .arg(path);
    let output = command.env_remove("SSH_AUTH_SOCK").env("HOME", home.0.path()).output().unwrap();
    assert!(error(&output)["hint"].as_str().unwrap().contains("ssh-add"), "{}", error(&output));
}

#[test]
fn a_host_is_added_only_with_a_fingerprint_that_somebody_confirmed() {
    let home = Home::new();
    let host = FakeHost::start(Vec::new());
    let url = format!("https://{}", host.address);
    let add = |more: &[&str]| {
        home.kennel(&["host", "add", "berlin", &url, "--web-port", "8080", "--json"])
            .args(more)
            .output()
            .unwrap()
    };
    let unconfirmed = add(&[]);
    assert_eq!(unconfirmed.status.code(), Some(1));
    let pin = host.fingerprint.to_string();
    assert!(error(&unconfirmed)["hint"].as_str().unwrap().contains(&pin));
    assert!(host.requests().is_empty());
    let other = Fingerprint::of_certificate(b"another").to_string();
    assert_eq!(error(&add(&["--fingerprint", &other]))["code"], "wrong-certificate");
    let hosts = result(&home.kennel(&["host", "ls", "--json"]).output().unwrap());
    assert!(hosts["hosts"].as_object().unwrap().is_empty());
    assert_eq!(result(&add(&["--fingerprint", &pin]))["fingerprint"], pin);
    let hosts = result(&home.kennel(&["host", "ls", "--json"]).output().unwrap());
    assert_eq!(hosts["hosts"]["berlin"]["web_port"], 8080);
    result(&home.kennel(&["host", "rm", "berlin", "--json"]).output().unwrap());
}

/// An ssh-agent with one key, as much of it as the command needs.
fn agent(socket: &Path, key: PrivateKey) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve_agent(stream.unwrap(), &key);
        }
    });
}

fn serve_agent(mut stream: UnixStream, key: &PrivateKey) {
    let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut question = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut question).unwrap();
    let blob = key.public_key().to_bytes().unwrap();
    let answer = match question[0] {
        11 => [&[12, 0, 0, 0, 1][..], &string(&blob), &string(b"work key")].concat(),
        13 => {
            let rest = &question[1 + 4 + blob.len()..];
            let data = &rest[4..4 + u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize];
            let signature: ssh_key::Signature = key.try_sign(data).unwrap();
            let signature: Vec<u8> = signature.try_into().unwrap();
            [&[14][..], &string(&signature)].concat()
        }
        _ => vec![5],
    };
    stream.write_all(&string(&answer)).unwrap();
}
