//! Sites with TLS, as their visitors have them: a certificate is brought by an operator, curl verifies it and speaks HTTP/2 or
//! HTTP/1.1, who comes without is sent there, and a reboot forgets none of it.

use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::http;
use crate::vm::{Output, PAGE_DEADLINE, Vm, until};

const NAME: &str = "site";
const HOST: &str = "site.localhost";
const SOON: Duration = Duration::from_secs(60);

/// Says how it was reached.
const SITE: &str = r#"
require("node:http").createServer((request, response) => {
  const { "x-forwarded-proto": proto, via, cookie } = request.headers;
  response.end(JSON.stringify({ proto, via, cookie }));
}).listen(Number(process.env.PORT), "127.0.0.1");
"#;

pub(super) fn group() -> Group {
    Group {
        title: "sites with TLS",
        image: people_image,
        prepare: |vm| {
            vm.boot()?;
            let folder = vm.scratch().join(NAME);
            std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
            std::fs::write(folder.join("server.js"), SITE).map_err(|e| e.to_string())?;
            vm.tenant(NAME, &folder.display().to_string())?;
            vm.page(NAME, "/").map(drop)
        },
        scenarios: vec![
            Scenario::new("https: without a certificate there is none, and nobody is sent there", without),
            Scenario::new("https: with one, HTTP/2 and HTTP/1.1, and who comes without is sent there", with),
            Scenario::new("https: a redirect wakes nobody, and a visitor with TLS does", asleep),
            Scenario::new("https: a certificate is renewed, survives a reboot, and is removed", renewed),
        ],
    }
}

/// curl's answer, by way of the port that leads to TLS; the certificate is verified against the authority's.
fn curl(vm: &Vm, more: &[&str]) -> Result<Output, String> {
    let port = vm.https_port();
    let mut command = Command::new("curl");
    let root = vm.scratch().join("root.pem");
    command.args(["--silent", "--show-error", "--max-time", "60", "--cacert"]).arg(root);
    command.args(["--resolve", &format!("{HOST}:{port}:127.0.0.1")]).args(more);
    command.arg(format!("https://{HOST}:{port}/"));
    vm.run_within(Duration::from_secs(90), command)
}

/// Its version of HTTP, the status, and what the program says.
fn asked(vm: &Vm, more: &[&str]) -> Result<(String, Value), String> {
    let told = curl(vm, &[&["--write-out", "\n%{http_version} %{response_code}"], more].concat())?;
    holds(&format!("curl succeeds: {}", told.err), told.code == 0)?;
    let (body, how) = told.out.rsplit_once('\n').ok_or("curl said nothing")?;
    Ok((how.to_owned(), serde_json::from_str(body).map_err(|e| format!("{e}: {body}"))?))
}

/// A certificate for the site from an authority of its own, which curl is told to trust.
fn bring(vm: &Vm) -> Result<Value, String> {
    let fault = |e: rcgen::Error| e.to_string();
    let root_key = KeyPair::generate().map_err(fault)?;
    let mut root = CertificateParams::new(vec![]).map_err(fault)?;
    // Or OpenSSL would take the site's for its own issuer.
    root.distinguished_name.push(DnType::CommonName, "the tests' authority");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).map_err(fault)?.pem();
    let key = KeyPair::generate().map_err(fault)?;
    let site = CertificateParams::new(vec![HOST.to_owned()]).map_err(fault)?;
    let chain = site.signed_by(&key, &Issuer::new(root, root_key)).map_err(fault)?.pem();
    let write = |name: &str, text: String| {
        let path = vm.scratch().join(name);
        std::fs::write(&path, text).map_err(|e| e.to_string())?;
        Ok::<_, String>(path.display().to_string())
    };
    write("root.pem", root_pem)?;
    let (chain, key) = (write("chain.pem", chain)?, write("key.pem", key.serialize_pem())?);
    vm.json(&["cert", "add", &chain, &key])
}

/// Without TLS, from where the port is 80's.
fn plain(vm: &Vm) -> Result<http::Answer, String> {
    http::get(vm.web_port(), HOST, "/a?b=c", PAGE_DEADLINE)
}

fn without(vm: &mut Vm) -> Result<(), String> {
    holds("the handshake fails", curl(vm, &["--insecure"])?.code != 0)?;
    same("the status", plain(vm)?.status, 200)?;
    same("certificates", vm.json(&["cert", "ls"])?, Value::Array(vec![]))
}

fn with(vm: &mut Vm) -> Result<(), String> {
    let added = bring(vm)?;
    same("its name", added["name"].as_str(), Some(HOST))?;
    let (how, said) = asked(vm, &["--http2", "--header", "Cookie: a=1; b=2"])?;
    same("the answer", how.as_str(), "2 200")?;
    let seen = serde_json::json!({"proto": "https", "via": "2 kennel", "cookie": "a=1; b=2"});
    same("what the program saw", said, seen)?;
    let (how, said) = asked(vm, &["--http1.1", "--tls-max", "1.2"])?;
    same("the answer", how.as_str(), "1.1 200")?;
    same("what the program saw", said["via"].as_str(), Some("1.1 kennel"))?;
    let sent = plain(vm)?;
    same("the status without TLS", sent.status, 308)?;
    contains("where it is sent", &sent.head, &format!("location: https://{HOST}/a?b=c"))?;
    let page = http::get(vm.web_port(), &format!("{HOST}:{}", vm.web_port()), "/", PAGE_DEADLINE)?;
    same("the status by a port of somebody's own", page.status, 200)?;

    vm.ok(&["limits", NAME, "--https", "optional", "--hsts", "1h"])?;
    contains("what browsers are told", &curl(vm, &["--head"])?.out, "strict-transport-security: max-age=3600")?;
    let answer = plain(vm)?;
    same("the status without TLS", answer.status, 200)?;
    holds("they are told so with TLS only", !answer.head.contains("strict-transport-security"))?;
    vm.ok(&["limits", NAME, "--https", "redirect", "--hsts", "off"]).map(drop)
}

fn asleep(vm: &mut Vm) -> Result<(), String> {
    vm.ok(&["tenant", "stop", NAME])?;
    same("the status without TLS", plain(vm)?.status, 308)?;
    same("its state", vm.show(NAME)?["state"].as_str(), Some("stopped"))?;
    same("the answer with TLS", asked(vm, &[])?.0.as_str(), "2 200")
}

fn renewed(vm: &mut Vm) -> Result<(), String> {
    let before = vm.json(&["cert", "ls"])?;
    bring(vm)?;
    let after = vm.json(&["cert", "ls"])?;
    same("certificates", after.as_array().map(Vec::len), Some(1))?;
    holds("it is another one", before[0]["fingerprint"] != after[0]["fingerprint"])?;
    // The new authority is the only one that curl trusts now.
    same("the answer", asked(vm, &[])?.0.as_str(), "2 200")?;
    vm.stop()?;
    vm.boot()?;
    let found = until("the site with TLS", SOON, || Ok(asked(vm, &[]).ok()))?;
    same("the answer after a reboot", found.0.as_str(), "2 200")?;
    vm.ok(&["cert", "rm", HOST])?;
    holds("the handshake fails", curl(vm, &[])?.code != 0)?;
    same("the status without TLS", plain(vm)?.status, 200)
}
