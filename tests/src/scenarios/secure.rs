//! Secure Boot from end to end, as a person would go about it: keys, a signed image, and firmware that boots this image
//! and no other.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::attest::verdicts;
use super::{Group, Scenario, people_image};
use crate::checks::{contains, holds, same};
use crate::vm::{Output, Vm};

/// For a build whose parts are in the cache, since `make vm` has built the same image unsigned.
const BUILD_DEADLINE: Duration = Duration::from_secs(400);
/// On the kernel's command line, so in the boot program.
const ENFORCING: &[u8] = b"enforcing=1";
/// The EFI partition lies in the first 65 MiB.
const EFI_END: usize = 65 << 20;

pub(super) fn group() -> Group {
    Group {
        title: "Secure Boot with keys of our own",
        image: people_image,
        prepare,
        scenarios: vec![
            Scenario::new("Secure Boot boots the signed image", signed),
            Scenario::new("Secure Boot and the image are what the TPM says", attested),
            Scenario::new("Secure Boot refuses the image when one bit is changed", tampered),
            Scenario::new("Secure Boot refuses the image that nobody has signed", unsigned),
        ],
    }
}

fn keys(vm: &Vm) -> PathBuf {
    vm.scratch().join("keys")
}

fn signed_image(vm: &Vm) -> Result<PathBuf, String> {
    let files = fs::read_dir(vm.scratch().join("out")).map_err(|e| e.to_string())?.flatten();
    let mut images = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "raw"));
    images.next().ok_or_else(|| "there is no signed image".to_owned())
}

/// Keys and a signed image, in the scenario's own folder.
fn prepare(vm: &mut Vm) -> Result<(), String> {
    let (keys, out) = (keys(vm).display().to_string(), vm.scratch().join("out").display().to_string());
    vm.ok(&["keys", "new", &keys])?;
    // The spec with the lock of this run, as scripts/image.sh leaves it.
    let relocked = vm.places().repository.join("kennel.relock.toml").exists();
    let spec = if relocked { "kennel.relock.toml" } else { "kennel.toml" };
    let mut build = vm.command(&["build", "--offline", "--spec", spec, "--secure-boot", &keys, "--out", &out]);
    // The person's own packages: this host's home has none.
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache").into_os_string());
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME").or(home) {
        build.env("XDG_CACHE_HOME", cache);
    }
    if let Some(guests) = std::env::var_os("KENNEL_TEST_GUESTS") {
        build.arg("--guest-dir").arg(guests);
    }
    let output = vm.run_within(BUILD_DEADLINE, build)?;
    holds(&format!("the signed image is built: {}", output.err), output.code == 0)?;
    let manifest = fs::read_to_string(vm.scratch().join("out/manifest.json")).map_err(|e| e.to_string())?;
    contains("the manifest", &manifest, "CN=Kennel db ")?;
    vm.secure(&signed_image(vm)?, &self::keys(vm));
    vm.give_tpm(true);
    Ok(())
}

fn signed(vm: &mut Vm) -> Result<(), String> {
    vm.boot()?;
    vm.says(0, "EFI stub: UEFI Secure Boot is enabled.")
}

/// Everything that was predicted, at once: the boot program, our keys and no others, its parts, and no additions.
fn attested(vm: &mut Vm) -> Result<(), String> {
    let manifest = vm.scratch().join("out/manifest.json").display().to_string();
    let (attest, keys) = (["host", "attest", "--manifest", &manifest], keys(vm).display().to_string());
    let all = [(4, "same"), (7, "same"), (11, "same"), (12, "same")].to_vec();
    same("what is said of the registers", verdicts(&vm.json(&attest)?), all.clone())?;
    let with_keys = vm.json(&[&attest[..], &["--secure-boot", &keys]].concat())?;
    same("the same from the keys themselves", verdicts(&with_keys), all)?;
    vm.stop()
}

fn tampered(vm: &mut Vm) -> Result<(), String> {
    let copy = with_one_bit_changed(vm, &signed_image(vm)?, ENFORCING)?;
    refused(vm, &copy)
}

/// A copy of an image, in which the lowest bit of the last of these bytes of the boot program is another.
pub(super) fn with_one_bit_changed(vm: &Vm, image: &Path, bytes: &[u8]) -> Result<PathBuf, String> {
    let copy = vm.scratch().join("changed.raw");
    fs::copy(image, &copy).map_err(|e| e.to_string())?;
    let file = OpenOptions::new().read(true).write(true).open(&copy).map_err(|e| e.to_string())?;
    let mut efi = vec![0; EFI_END];
    file.read_exact_at(&mut efi, 0).map_err(|e| e.to_string())?;
    let at = efi.windows(bytes.len()).position(|found| found == bytes);
    let at = at.ok_or("these bytes are not in the EFI partition")? + bytes.len() - 1;
    file.write_all_at(&[efi[at] ^ 1], at as u64).map_err(|e| e.to_string())?;
    Ok(copy)
}

fn unsigned(vm: &mut Vm) -> Result<(), String> {
    let image = vm.places().image.clone();
    refused(vm, &image)
}

/// The firmware does not so much as start the image.
fn refused(vm: &mut Vm, image: &Path) -> Result<(), String> {
    let (image, keys) = (image.display().to_string(), keys(vm).display().to_string());
    let fixed = ["run", "--detach", "--port", "0", "--https-port", "0", "--api-port", "0", "--timeout", "120"];
    let Output { code, err, .. } =
        vm.run(&[&fixed[..], &["--image", &image, "--secure-boot", &keys]].concat())?;
    holds("`kennel run` says that the boot failed", code != 0)?;
    contains("the error", &err, "the firmware refuses the boot program")?;
    // Of this boot alone.
    let console = fs::read(vm.state("console.log")).map_err(|e| e.to_string())?;
    let console = String::from_utf8_lossy(&console);
    holds("nothing of the image ran", !console.contains("EFI stub") && !console.contains("init: "))
}
