//! What people get wrong in user-data, and what they are told.

#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failed test")]

use kennel_user_data::{MAX_BYTES, UserData};
use proptest::prelude::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEPGo02wNjd8wWRqyeMFFJJ1XYpOjsfyFHuMNmTGGHI8 ada";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc= eve";

/// Everything that is said of it.
fn said(text: impl AsRef<[u8]>) -> String {
    UserData::from_bytes(text.as_ref()).unwrap_err().to_string()
}

#[test]
fn a_whole_document_is_read() {
    let data = UserData::from_bytes(
        format!("[host]\nname = \"edge1\"\n[operator]\nssh_keys = [\"{KEY}\"]").as_bytes(),
    )
    .unwrap();
    assert_eq!(data.host_name.unwrap().as_str(), "edge1");
    assert_eq!(data.ssh_keys[0].comment(), "ada");
}

#[test]
fn nothing_is_required_and_a_key_counts_once() {
    for nothing in ["", " \r\n\t", "# nobody\n", "[operator]", "[operator]\nssh_keys = []\n[host]"] {
        assert_eq!(UserData::from_bytes(nothing.as_bytes()), Ok(UserData::default()), "{nothing:?}");
    }
    let other = KEY.replace(" ada", " the-same");
    let twice = format!("operator = {{ ssh_keys = ['{KEY}', ' {other} '] }}");
    assert_eq!(UserData::from_bytes(twice.as_bytes()).unwrap().ssh_keys.len(), 1);
}

#[test]
fn time_servers_are_addresses_and_each_counts_once() {
    let servers = |list: &str| UserData::from_bytes(format!("[time]\nservers = {list}").as_bytes());
    let read = servers("['192.0.2.1', '192.0.2.1:123', '[2001:db8::1]:4123']").unwrap().time_servers;
    assert_eq!(read, ["192.0.2.1:123".parse().unwrap(), "[2001:db8::1]:4123".parse().unwrap()]);
    let said = |list: &str| servers(list).unwrap_err().to_string();
    assert!(said("['ntp.example.org']").contains(
        "line 2, time.servers: server 1: it is not an address; names are not looked up; hint: write an address"
    ));
    assert!(said("['192.0.2.1', '127.0.0.1']").contains("server 2: no server can have this address"));
    let other_port = "['192.0.2.1', '192.0.2.1', '192.0.2.1:4123']";
    assert!(said(other_port).contains("server 3: its address is that of another one"));
    assert!(said("'192.0.2.1'").contains("a list of texts is wanted, and this is a text"));
    assert!(said("[123]").contains("server 1: not a text"));
    let many: Vec<_> = (1..10).map(|n| format!("'192.0.2.{n}'")).collect();
    assert!(said(&format!("[{}]", many.join(", "))).contains("more than 8"));
}

#[test]
fn what_stands_before_the_host_is_named_by_networks() {
    let front = |text: &str| UserData::from_bytes(format!("[proxy]\n{text}").as_bytes());
    let read =
        front("trusted = ['10.0.0.0/16', '2001:db8::/56', '192.0.2.1', '10.0.0.0/16']\nproxy_protocol = true");
    let read = read.unwrap().front;
    assert!(read.proxy_protocol && read.trusted.len() == 3);
    assert!(read.trusts("10.0.9.9".parse().unwrap()) && !read.trusts("10.1.0.1".parse().unwrap()));
    let said = |text: &str| front(text).unwrap_err().to_string();
    let name = said("trusted = ['lb.example.org']");
    assert!(
        name.contains("line 2, proxy.trusted: network 1: a name, not an address; hint: names are not"),
        "{name}"
    );
    assert!(said("trusted = ['10.0.0.1/16']").contains("network 1: it has bits beyond its prefix"));
    assert!(said("trusted = ['10.0.0.0/99']").contains("no address of the family has such a prefix"));
    assert!(said("trusted = '10.0.0.0/8'").contains("a list of texts is wanted, and this is a text"));
    assert!(said("proxy_protocol = 'yes'").contains("true or false is wanted, and this is a text"));
    assert!(said("proxy_protocol = true").contains("nobody is trusted to say who a visitor is"));
    let many: Vec<_> = (0..65).map(|n| format!("'10.0.{n}.0/24'")).collect();
    assert!(said(&format!("trusted = [{}]", many.join(", "))).contains("more than 64"));
}

#[test]
fn names_that_are_not_known_get_what_was_meant() {
    assert_eq!(
        said("[operator]\nssh_keys = []\nssh_key = \"x\"\n"),
        "user-data, line 3, operator.ssh_key: no such key; hint: did you mean `ssh_keys`?"
    );
    assert_eq!(
        said("[operators]\nssh_keys = []"),
        "user-data, line 1, operators: no such key; hint: did you mean `operator`?"
    );
    assert_eq!(
        said("[host]\n\nshell = true"),
        "user-data, line 3, host.shell: no such key; hint: possible here: name"
    );
    let long = said(format!("\"{}\\u001b[2J\" = 1", "x".repeat(39)));
    assert!(!long.contains('\u{1b}') && long.contains(&format!("{} :", "x".repeat(39))), "{long}");
}

#[test]
fn every_fault_is_told_at_once_in_the_order_of_the_lines() {
    let text =
        format!("[operator]\nssh_keys = [\"{KEY}\",\n \"ssh-rsa AAAAB3 eve\", 7]\n[host]\nname = \"Edge 1\"");
    let faults = UserData::from_bytes(text.as_bytes()).unwrap_err();
    let said: Vec<_> = faults.all().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with(
        "user-data, line 3, operator.ssh_keys: key 2: \"ssh-rsa\" keys are not accepted, only ssh-ed25519 ones; hint: "
    ));
    assert!(said[1].starts_with("user-data, line 3, operator.ssh_keys: key 3: not a text; hint: "));
    assert!(said[2].starts_with("user-data, line 5, host.name: it cannot be a host's name; hint: use labels"));
}

#[test]
fn kinds_of_values_and_of_keys_are_told() {
    assert!(said("operator = 1").contains("line 1, operator: a table is wanted, and this is a number"));
    assert!(said("[host]\nname = true").contains("host.name: a text is wanted, and this is true or false"));
    assert!(said("[operator]\nssh_keys = 'x'").contains("a list of texts is wanted, and this is a text"));
    let key = |line: &str| said(format!("[operator]\nssh_keys = ['{line}']"));
    assert!(key(ECDSA).contains("\"ecdsa-sha2-nistp256\" keys are not accepted, only ssh-ed25519 ones"));
    let disguised = ECDSA.replace("ecdsa-sha2-nistp256", "ssh-ed25519");
    assert!(key(&disguised).contains("not a whole ssh-ed25519 public key"));
    assert!(key(&KEY[..60]).contains("not a whole ssh-ed25519 public key"));
    let certificate = key("ssh-ed25519-cert-v01@openssh.com AAAA");
    assert!(
        certificate.contains("\"ssh-ed25519-cert-v01@openssh.com\" keys are not accepted"),
        "{certificate}"
    );
    assert!(key(&format!("no-pty {KEY}")).contains("options before a key are not accepted"));
    assert!(key("").contains("not a public key: those begin with ssh-ed25519"));
}

#[test]
fn what_is_meant_for_others_is_known() {
    assert!(said("#!/bin/sh\necho").contains("line 1: it is a script; hint: this host runs no scripts"));
    assert!(said("#cloud-config\npackages: []").contains("it is for cloud-init"));
    assert!(said(r#"{"operator": {}}"#).contains("it is JSON"));
    assert!(said([0x1f, 0x8b, 8, 0]).contains("it is compressed (gzip)"));
    assert!(
        said("W29wZXJhdG9yXQpzc2hfa2V5\ncyA9IFtdCg==\n").contains("it was encoded in base64 once too often")
    );
    assert!(said(b"[host]\nname = \"\xff\"").contains("user-data, line 2: it is not text"));
    let private = said("[operator]\nssh_keys = [\"\"\"\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc\"\"\"]");
    assert!(
        private.contains("line 3: it holds a private key; hint: give the line of the .pub file"),
        "{private}"
    );
}

#[test]
fn grammar_has_a_place_and_a_size_a_bound() {
    assert!(said("\n[operator").starts_with("user-data, line 2: it is not TOML: "), "{}", said("\n[operator"));
    assert!(said("[host]\nname = edge1").starts_with("user-data, line 2: it is not TOML: "));
    let full = format!("#{}", "x".repeat(MAX_BYTES - 1));
    assert_eq!(UserData::from_bytes(full.as_bytes()), Ok(UserData::default()));
    assert!(said(format!("{full}x")).starts_with("user-data: it is longer than 16384 bytes; hint: "));
}

#[test]
fn secrets_in_the_wrong_place_are_not_repeated() {
    for text in [
        "[operator]\nssh_keys = [\"hunter2\", \"ssh-hunter2 hunter2\", \"ssh-ed25519 hunter2\"]".to_owned(),
        "[operator]\nssh_keys = \"hunter2\"".to_owned(),
        "[operator]\npassword = \"hunter2\"".to_owned(),
        "operator = \"hunter2\"".to_owned(),
        "[host]\nname = \"Hunter2 hunter2\"".to_owned(),
        "[host]\nname = hunter2".to_owned(),
        "password: hunter2".to_owned(),
        "[operator]\nssh_keys = [\"hunter2".to_owned(),
        "#!/bin/sh\nPASSWORD=hunter2".to_owned(),
        "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2".to_owned(),
    ] {
        let said = said(&text);
        assert!(!said.to_lowercase().contains("hunter2"), "{said}");
        assert!(said.lines().all(|line| line.chars().count() <= 300), "the console cuts it: {said}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_told_in_printable_lines(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(faults) = UserData::from_bytes(&bytes) {
            prop_assert!(faults.all().iter().all(|f| !f.to_string().chars().any(char::is_control)));
        }
    }

    #[test]
    fn toml_of_any_shape_as_well(text in "(\\[(operator|host|x)\\]\n)?(ssh_keys|name|\"\\PC{0,4}\") = (\\[?\"\\PC{0,9}\"\\]?|[0-9]{1,4}|\\{\\})\n?") {
        if let Err(faults) = UserData::from_bytes(text.as_bytes()) {
            prop_assert!(faults.all().iter().all(|f| !f.to_string().chars().any(char::is_control)));
        }
    }
}
