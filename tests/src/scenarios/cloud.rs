//! A host on EC2, as far as QEMU can show it: firmware that names EC2, NVMe disks, and a metadata service at its
//! link-local address, which is the emulator on this computer. Only the host's operators, its services and the emulator
//! are there; nothing of AWS is contacted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::http;
use crate::imds::Emulator;
use crate::vm::{PAGE_DEADLINE, Vm, until};

/// The service is asked anew every 15 seconds at the latest, and the emulated machine is slow.
pub(super) const SOON: Duration = Duration::from_secs(90);
pub(super) const SPOT: &str = "meta-data/spot/instance-action";
const REBALANCE: &str = "meta-data/events/recommendations/rebalance";
const MAINTENANCE: &str = "meta-data/events/maintenance/scheduled";

/// Whom QEMU's network makes of who comes to the ports of a host that it is EC2 for.
const GATEWAY: &str = "169.252.0.2";

pub(super) fn group() -> Group {
    Group {
        title: "a host on EC2, before an emulated metadata service",
        image: people_image,
        prepare: launch,
        scenarios: vec![
            Scenario::new(
                "cloud: the user-data's operators and the key pair's sign in, nobody else",
                operators,
            ),
            Scenario::new("cloud: the host knows what it is", known),
            Scenario::new("cloud: a tenant does not reach the metadata service", tenants_do_not),
            Scenario::new("cloud: what stands before the host says who visitors are", visitors_of_another),
            Scenario::new("cloud: what EC2 announces is a warning", notices),
            Scenario::new("cloud: tokens end and the service fails, and the host goes on", fails_and_heals),
            Scenario::new("cloud: the data volume is an NVMe disk, and kept", nvme),
            Scenario::new("cloud: the data volume grows when its disk was made larger", grows),
            Scenario::new("cloud: nothing was ever asked without a token", no_faults),
        ],
    }
}

/// A key of nobody's, made from a number; its file, and its public half.
pub(super) fn key(folder: &Path, number: u8) -> Result<(PathBuf, String), String> {
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&[number; 32]));
    let key = PrivateKey::new(pair, format!("operator-{number}")).map_err(|e| e.to_string())?;
    let path = folder.join(format!("key-{number}"));
    let text = key.to_openssh(LineEnding::LF).map_err(|e| e.to_string())?;
    std::fs::write(&path, text.as_bytes()).map_err(|e| e.to_string())?;
    Ok((path, key.public_key().to_openssh().map_err(|e| e.to_string())?))
}

/// The metadata service refuses at first, so that the host is there before anybody can sign in.
pub(super) fn launch(vm: &mut Vm) -> Result<(), String> {
    let emulator = Emulator::start().map_err(|e| format!("no emulator: {e}"))?;
    let (first, first_public) = key(vm.scratch(), 1)?;
    let (_, second_public) = key(vm.scratch(), 2)?;
    emulator.set(
        "user-data",
        format!(
            "[host]\nname = \"edge1\"\n[operator]\nssh_keys = [\"{first_public}\"]\n\
            [proxy]\ntrusted = [\"{GATEWAY}\"]\n"
        ),
    );
    emulator.set("meta-data/public-keys/0/openssh-key", format!("{second_public}\n"));
    emulator.set("meta-data/tags/instance", "Name");
    emulator.set("meta-data/tags/instance/Name", "edge1");
    emulator.switch_off(true);
    vm.launch_on(emulator.clone(), first);
    vm.boot()?;
    until("the console to say why nobody can sign in", SOON, || {
        let said =
            "control: nobody can sign in: the metadata service is refused to this instance (403); hint: ";
        Ok(vm.console().contains(said).then_some(()))
    })?;
    holds("nobody can sign in", vm.run(&["host", "status"])?.code != 0)?;
    emulator.switch_off(false);
    until_an_operator_signs_in(vm)
}

/// Who may is known only when the metadata service has answered.
pub(super) fn until_an_operator_signs_in(vm: &Vm) -> Result<(), String> {
    until("an operator to sign in", SOON, || Ok((vm.run(&["host", "status"])?.code == 0).then_some(())))
}

pub(super) fn emulator(vm: &Vm) -> Result<Emulator, String> {
    vm.emulator().cloned().ok_or("this host is on no cloud".to_owned())
}

/// The host's status, as soon as this is so of what it says of the cloud.
fn when(vm: &Vm, what: &str, so: impl Fn(&Value) -> bool) -> Result<Value, String> {
    until(what, SOON, || Ok(Some(vm.json(&["host", "status"])?["cloud"].clone()).filter(&so)))
}

fn operators(vm: &mut Vm) -> Result<(), String> {
    // With each key anew: whoever has signed in once stays so, whatever key is named.
    let session = vm.scratch().join("state/kennel/sessions/local.json");
    let asks = |number| -> Result<i32, String> {
        std::fs::remove_file(&session).map_err(|e| format!("there was no session to end: {e}"))?;
        let path = key(vm.scratch(), number)?.0.display().to_string();
        Ok(vm.run(&["--identity", &path, "host", "status"])?.code)
    };
    same("the exit code for the user-data's operator", asks(1)?, 0)?;
    same("the exit code for the key pair's owner", asks(2)?, 0)?;
    holds("nobody else signs in", asks(3)? != 0)?;
    vm.ok(&["host", "status"])?;
    vm.says(0, "control: operator keys that may sign in: 2")
}

/// Of the last only is known that it is not one of its own: what stands before that, he may have written.
fn visitors_of_another(vm: &mut Vm) -> Result<(), String> {
    let fields = [("X-Forwarded-For", "198.51.100.9, 192.0.2.44, 169.252.0.2")];
    let page = http::get_with(vm.web_port(), ("nobody.localhost", "/by-another"), &fields, PAGE_DEADLINE)?;
    same("its status", page.status, 404)?;
    let client = until("it to be in the access log", SOON, || {
        let lines = vm.json(&["logs", "--access", "-n", "100"])?;
        let line =
            lines.as_array().and_then(|all| all.iter().find(|line| line["target"] == "/by-another").cloned());
        Ok(line.map(|line| line["client"].clone()))
    })?;
    same("whose it is", client.as_str(), Some("192.0.2.44"))
}

fn known(vm: &mut Vm) -> Result<(), String> {
    let status = vm.json(&["host", "status"])?;
    let cloud = &status["cloud"];
    let instance = &cloud["instance"];
    same("the instance", instance["id"].as_str(), Some("i-0123456789abcdef0"))?;
    same("its zone", instance["zone"].as_str(), Some("eu-west-1a"))?;
    same("its tags", instance["tags"].to_string(), r#"[{"name":"Name","value":"edge1"}]"#.to_owned())?;
    same("trouble", cloud.get("trouble"), None)?;
    same("its account", instance["account"].as_str(), Some("123456789012"))?;
    same("when it was launched", instance["started"].as_str(), Some("2027-01-21T08:00:00Z"))?;
    contains("the status", &vm.ok(&["host", "status"])?, "launched from ami-0fedcba9876543210")?;
    same("its name", status["name"].as_str(), Some("edge1"))?;
    vm.says(0, "this host is called edge1 now, and was kennel")?;
    contains("the status", &vm.ok(&["host", "status"])?, "local (edge1), version ")?;
    contains("the status", &vm.ok(&["host", "status"])?, "i-0123456789abcdef0, t3.small in eu-west-1a")?;
    vm.says(0, "imds: instance i-0123456789abcdef0, t3.small in eu-west-1a: ")
}

fn tenants_do_not(vm: &mut Vm) -> Result<(), String> {
    vm.tenant("villain", "tests/villain")?;
    for host in ["169.254.169.254", "::ffff:169.254.169.254"] {
        let answer = vm.page_json("villain", &format!("/probe/connect?host={host}&port=80"))?;
        same("the attempt", answer["ok"].as_bool(), Some(false))?;
        let errno = answer["errno"].as_str().unwrap_or_default();
        holds(&format!("{errno} is a refusal"), ["ECONNREFUSED", "EACCES", "EPERM"].contains(&errno))?;
    }
    no_faults(vm)
}

fn notices(vm: &mut Vm) -> Result<(), String> {
    let emulator = emulator(vm)?;
    emulator.set(SPOT, r#"{"action":"terminate","time":"2027-01-21T09:00:00Z"}"#);
    let told = |words: &'static str| move |cloud: &Value| cloud["notices"].to_string().contains(words);
    when(vm, "the interruption to be told", told("terminate at 2027-01-21T09:00:00Z"))?;
    contains("the status", &vm.ok(&["host", "status"])?, "WARNING")?;
    vm.says(0, "imds: EC2 takes this spot instance away: terminate at ")?;
    emulator.unset(SPOT);
    emulator.set(
        MAINTENANCE,
        r#"[{"NotBefore":"21 Jan 2027 09:00:43 GMT","Code":"system-reboot","Description":"scheduled reboot",
             "EventId":"instance-event-0d","NotAfter":"21 Jan 2027 09:17:23 GMT","State":"active"}]"#,
    );
    emulator.set(REBALANCE, r#"{"noticeTime": "2027-01-21T08:22:00Z"}"#);
    when(vm, "the maintenance to be told", told("system-reboot, not before 21 Jan 2027"))?;
    when(vm, "the recommendation to be told", told("EC2 recommends since 2027-01-21T08:22:00Z"))?;
    emulator.unset(MAINTENANCE);
    emulator.unset(REBALANCE);
    when(vm, "the warnings to end", |cloud| cloud["notices"].as_array().is_some_and(Vec::is_empty)).map(drop)
}

fn fails_and_heals(vm: &mut Vm) -> Result<(), String> {
    let emulator = emulator(vm)?;
    let before = emulator.tokens_given();
    emulator.forget_tokens();
    until("another token to be asked for", SOON, || Ok((emulator.tokens_given() > before).then_some(())))?;
    emulator.switch_off(true);
    when(vm, "the trouble to be told", |cloud| cloud["trouble"].is_string())?;
    emulator.switch_off(false);
    let cloud = when(vm, "the trouble to end", |cloud| cloud.get("trouble").is_none())?;
    holds("what was known still is", cloud["instance"].is_object())
}

fn nvme(vm: &mut Vm) -> Result<(), String> {
    same("the data volume", told(vm), "was blank and is formatted now".to_owned())?;
    vm.tenant("steady", "examples/node-hello")?;
    vm.stop()?;
    vm.boot()?;
    until_an_operator_signs_in(vm)?;
    same("the data volume", told(vm), "checked".to_owned())?;
    same("the page after a reboot", vm.page("steady", "/")?.status, 200)
}

fn grows(vm: &mut Vm) -> Result<(), String> {
    let more = 2 << 30;
    let size = |vm: &Vm| -> Result<u64, String> {
        let status = vm.json(&["host", "status"])?;
        status["data_total_bytes"].as_u64().ok_or(format!("the status has no size: {status}"))
    };
    let before = size(vm)?;
    vm.stop()?;
    let disk = vm.state("data.raw");
    let enlarge = || {
        let file = std::fs::File::options().write(true).open(&disk)?;
        file.set_len(file.metadata()?.len() + more)
    };
    enlarge().map_err(|e| format!("{} cannot be made larger: {e}", disk.display()))?;
    vm.boot()?;
    until_an_operator_signs_in(vm)?;
    same("the data volume", told(vm), "checked, and grown from 4095 to 6143 MiB".to_owned())?;
    let after = size(vm)?;
    // What the file system needs for itself is no space for tenants.
    holds(&format!("{after} is 2 GiB more than {before}"), after > before + more / 10 * 9)?;
    same("a page that was there before", vm.page("steady", "/")?.status, 200)?;
    vm.tenant("later", "examples/node-hello")?;
    same("a page that was not", vm.page("later", "/")?.status, 200)?;
    vm.stop()?;
    vm.boot()?;
    until_an_operator_signs_in(vm)?;
    same("the data volume, which does not grow again,", told(vm), "checked".to_owned())?;
    same("its size", size(vm)?, after)
}

/// What the console says of the data volume, in the last boot, without the disk's name: which of two is found first differs
/// from boot to boot.
fn told(vm: &Vm) -> String {
    let console = vm.console();
    let last = console.rsplit("data volume: /dev/nvme").next().unwrap_or_default();
    last.lines()
        .next()
        .and_then(|line| line.split_once(' '))
        .map(|(_, told)| told.to_owned())
        .unwrap_or_default()
}

fn no_faults(vm: &mut Vm) -> Result<(), String> {
    let emulator = emulator(vm)?;
    holds("it was asked at all", emulator.times("user-data") > 0)?;
    same("what was asked and may not be", emulator.faults(), Vec::<String>::new())
}
