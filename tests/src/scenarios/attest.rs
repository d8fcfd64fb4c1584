//! What the host's TPM says of what has booted, as a person asks for it: as built, with one bit changed, and on a host that
//! has no TPM. With Secure Boot it is asked in `secure`.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::secure::with_one_bit_changed;
use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::vm::{Output, Vm};

/// On the kernel's command line, where a changed bit does no harm.
const PANIC: &[u8] = b"panic=10";
/// Nobody's endorsement key.
const OTHER_KEY: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAovICpVeOkqmSbyOgVzNG\n\
u/s/ZpI43c+JfJO03NjG1pBMHXZJrOJJwDzPg9eJrplHyD5BSYdVlBxMGSCi0m5K\n\
mxwITrFXcvfDLH+1BFQJfhpAPzV9XleuLL4zBEEctU1rlMog3nUMEz3u3+Dlkiu9\n\
u4E1usOVdKTeL0znX2pPPWCcDWKTxHqrnW2Oxn7DvFKbRomxtiTpUbYMXu07Wvx7\n\
WOFeA485r5Z36g1J2/4pB/VFR5vj0uMJK6Bl71Mfyvgl6a8MWkdwarLKU2E0HoL3\n\
BeouCkNTHOtezgcC7D9nFjRuimaK6GpEk5oXrB+WIOAFLy3q74RELQjIuqw3rtNm\n\
AQIDAQAB\n\
-----END PUBLIC KEY-----\n";

pub(super) fn group() -> Group {
    Group {
        title: "what the TPM says has booted",
        image: people_image,
        prepare: |vm| {
            vm.give_tpm(true);
            vm.boot()
        },
        scenarios: vec![
            Scenario::new("attest: the image has booted as its manifest says", as_built),
            Scenario::new("attest: another image's manifest is told apart", another_manifest),
            Scenario::new("attest: another TPM than the one that is expected is told apart", another_tpm),
            Scenario::new("attest: one changed bit of the command line is named", changed),
            Scenario::new("attest: a host without a TPM says so", without),
        ],
    }
}

/// The registers of an answer with their verdicts, in order.
pub(super) fn verdicts(report: &Value) -> Vec<(u64, &str)> {
    let registers = report["registers"].as_array().into_iter().flatten();
    registers
        .map(|r| (r["register"].as_u64().unwrap_or_default(), r["verdict"].as_str().unwrap_or_default()))
        .collect()
}

/// The manifest of the image that people get.
fn manifest(vm: &Vm) -> Result<String, String> {
    let path = vm.places().image.with_file_name("manifest.json");
    fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A file of the scenario's own, with this text.
fn file(vm: &Vm, name: &str, text: &str) -> Result<String, String> {
    let path: PathBuf = vm.scratch().join(name);
    fs::write(&path, text).map_err(|e| e.to_string())?;
    Ok(path.display().to_string())
}

fn as_built(vm: &mut Vm) -> Result<(), String> {
    vm.says(0, "] tpm started")?;
    let manifest = file(vm, "manifest.json", &manifest(vm)?)?;
    let attest = ["host", "attest", "--manifest", &manifest];
    let report = vm.json(&attest)?;
    let expected = [(4, "same"), (7, "not-predicted"), (11, "same"), (12, "same")];
    same("what is said of the registers", verdicts(&report), expected.to_vec())?;
    same("how the TPM is known", report["trust"].clone(), "first-use".into())?;
    let again = vm.json(&attest)?;
    same("how it is known the second time", again["trust"].clone(), "remembered".into())?;
    same("the TPM", again["tpm"].clone(), report["tpm"].clone())?;
    contains("the words", &vm.ok(&attest)?, "has booted kennel 0.1.0 as it was built")
}

fn another_manifest(vm: &mut Vm) -> Result<(), String> {
    let mut other: Value = serde_json::from_str(&manifest(vm)?).map_err(|e| e.to_string())?;
    other["boot"]["expected_pcrs"]["11"] = "11".repeat(32).into();
    let path = file(vm, "other.json", &other.to_string())?;
    let Output { code, out, err } = vm.run(&["host", "attest", "--manifest", &path])?;
    same("the exit code", code, 1)?;
    contains("the answer", &out, "has NOT booted")?;
    contains("the error", &err, "kernel (kernel, initramfs or command line")?;
    holds("only that register is named", !err.contains("boot program (the firmware"))
}

fn another_tpm(vm: &mut Vm) -> Result<(), String> {
    let manifest = file(vm, "manifest.json", &manifest(vm)?)?;
    let key = file(vm, "other.ek", OTHER_KEY)?;
    let Output { code, err, .. } = vm.run(&["host", "attest", "--manifest", &manifest, "--ek", &key])?;
    same("the exit code", code, 1)?;
    contains("the error", &err, "and not that of")
}

/// Without Secure Boot it boots; that it is not what was built shows here. The TPM is the one of the boot before.
fn changed(vm: &mut Vm) -> Result<(), String> {
    let (whole, manifest) = (vm.places().image.clone(), file(vm, "manifest.json", &manifest(vm)?)?);
    let image = with_one_bit_changed(vm, &whole, PANIC)?;
    vm.stop()?;
    vm.change_image(&image);
    vm.boot()?;
    let Output { code, out, err } = vm.run(&["--json", "host", "attest", "--manifest", &manifest])?;
    same("the exit code", code, 1)?;
    let report: Value = serde_json::from_str(&out).map_err(|e| format!("no JSON ({e}): {out}"))?;
    let expected = [(4, "differs"), (7, "not-predicted"), (11, "differs"), (12, "same")];
    same("what is said of the registers", verdicts(&report), expected.to_vec())?;
    same("how the TPM is known", report["trust"].clone(), "remembered".into())?;
    contains("the error", &err, "not-as-built")?;
    vm.stop()?;
    vm.change_image(&whole);
    Ok(())
}

fn without(vm: &mut Vm) -> Result<(), String> {
    vm.give_tpm(false);
    vm.boot()?;
    vm.says(0, "there is no /dev/tpmrm0: tpm is not started")?;
    let manifest = file(vm, "manifest.json", &manifest(vm)?)?;
    let Output { code, err, .. } = vm.run(&["host", "attest", "--manifest", &manifest])?;
    same("the exit code", code, 2)?;
    contains("the error", &err, "this host has no TPM")?;
    contains("the hint", &err, "kennel run --tpm")
}
