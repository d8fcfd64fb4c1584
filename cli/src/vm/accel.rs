//! KVM or emulation? `/dev/kvm` can be there and hang, or be slower than emulation (a virtual machine whose own host
//! emulates virtualisation), so a trial decides: the firmware boots a 512-byte disk that ends the machine with a
//! number. Once under emulation, to know how long that takes here; then with KVM, which must not take much longer.
//! The result is kept until this computer boots again.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::VmError;
use crate::args::AccelChoice;
use crate::exit::FileError;
use crate::paths::write_private;

/// How the machine's processor is provided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// The processor's own virtualisation.
    Kvm,
    /// Emulation.
    Tcg,
}

impl Accel {
    /// The processor to show. Emulation leaves out CMPXCHG16B: QEMU 7.2 corrupts the flags when two emulated processors
    /// meet in one, and the guest's kernel, which uses it in its allocator where it is there, then dies at random.
    pub const fn cpu(self) -> &'static str {
        match self {
            Self::Kvm => "max",
            Self::Tcg => "max,-cx16",
        }
    }

    /// QEMU's `-accel`. Emulated processors take turns on one thread: with a thread each, QEMU 7.2 now and then executes
    /// half of an instruction that the guest's kernel is patching, and the boot dies; turns cost nothing measurable here.
    pub const fn argument(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg,thread=single",
        }
    }

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Tcg => "emulated",
        }
    }
}

/// What a trial found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// What to use.
    pub accel: Accel,
    /// Why, for people.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    boot_id: String,
    qemu: String,
    verdict: Verdict,
}

/// The trial's disk: `mov al, 42; mov dx, 0xf4; out dx, al; cli; hlt` and the boot signature.
fn boot_sector() -> [u8; 512] {
    let mut sector = [0; 512];
    sector[..8].copy_from_slice(&[0xb0, 0x2a, 0xba, 0xf4, 0x00, 0xee, 0xfa, 0xf4]);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}
/// QEMU's exit code for it: `isa-debug-exit` makes 2n+1 of a number n.
const TRIAL_CODE: i32 = 2 * 0x2a + 1;
/// Emulation takes a third of a second; a minute means that something is broken.
const TCG_DEADLINE: Duration = Duration::from_secs(60);
/// What KVM may take beyond emulation's time, which it is to be far below. With a second, one passed that then did not bring the
/// host up in three minutes.
const KVM_GRACE: Duration = Duration::from_millis(300);
/// What KVM may take whatever emulation took.
const KVM_DEADLINE: Duration = Duration::from_secs(5);

/// What to use. A trial is made when there is none of this boot in `kept`.
///
/// # Errors
/// [`VmError::NoQemu`], [`VmError::QemuFailed`] when not even emulation works; [`VmError::NoKvm`] when KVM was asked
/// for and does not work.
pub fn choose(choice: AccelChoice, qemu: &str, kept: &Path) -> Result<Verdict, VmError> {
    if choice == AccelChoice::Tcg {
        return Ok(Verdict { accel: Accel::Tcg, reason: "asked for".into() });
    }
    let boot_id = boot_id();
    let verdict = match load(kept, &boot_id, qemu) {
        Some(verdict) => verdict,
        None => {
            let verdict = find_out(qemu, Path::new("/dev/kvm"))?;
            keep(kept, boot_id, qemu, &verdict)?;
            verdict
        }
    };
    if choice == AccelChoice::Kvm && verdict.accel != Accel::Kvm {
        return Err(VmError::NoKvm(verdict.reason));
    }
    Ok(verdict)
}

/// Notes in `kept` that KVM is no use on this computer until it boots again, whatever its trial said.
///
/// # Errors
/// The file cannot be written.
pub fn distrust(qemu: &str, kept: &Path) -> Result<(), VmError> {
    let reason = "KVM passed its trial boot and then did not boot a host".to_owned();
    keep(kept, boot_id(), qemu, &Verdict { accel: Accel::Tcg, reason })
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

fn keep(path: &Path, boot_id: String, qemu: &str, verdict: &Verdict) -> Result<(), VmError> {
    let kept = Kept { boot_id, qemu: qemu.to_owned(), verdict: verdict.clone() };
    let bytes = serde_json::to_vec(&kept).map_err(|e| FileError::at("write", path)(e.into()))?;
    Ok(write_private(path, &bytes)?)
}

fn load(path: &Path, boot_id: &str, qemu: &str) -> Option<Verdict> {
    let kept: Kept = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (kept.boot_id == boot_id && !boot_id.is_empty() && kept.qemu == qemu).then_some(kept.verdict)
}

fn find_out(qemu: &str, node: &Path) -> Result<Verdict, VmError> {
    let tcg = |reason: String| Ok(Verdict { accel: Accel::Tcg, reason });
    if let Err(e) = std::fs::OpenOptions::new().read(true).write(true).open(node) {
        return tcg(format!("{} cannot be opened: {e}", node.display()));
    }
    let emulated = match trial(qemu, Accel::Tcg, TCG_DEADLINE)? {
        Outcome::Passed(took) => took,
        Outcome::Failed(how) => return Err(VmError::QemuFailed(how)),
    };
    match trial(qemu, Accel::Kvm, KVM_DEADLINE.min(emulated + KVM_GRACE))? {
        Outcome::Passed(_) => Ok(Verdict { accel: Accel::Kvm, reason: "a trial boot passed".into() }),
        Outcome::Failed(how) => tcg(format!("KVM's trial boot failed: {how}")),
    }
}

enum Outcome {
    Passed(Duration),
    Failed(String),
}

fn trial(qemu: &str, accel: Accel, deadline: Duration) -> Result<Outcome, VmError> {
    let disk = tempfile::NamedTempFile::new().map_err(FileError::at("make", &std::env::temp_dir()))?;
    std::fs::write(disk.path(), boot_sector()).map_err(FileError::at("write", disk.path()))?;
    let mut command = Command::new(qemu);
    command
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-machine",
            "pc",
            "-m",
            "16",
        ])
        .args(["-accel", accel.argument(), "-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
        .args(["-device", "ide-hd,drive=trial", "-drive"])
        .arg(super::machine::drive("trial", disk.path(), ""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().map_err(VmError::NoQemu)?;
    let ended = wait(&mut child, deadline).map_err(VmError::NoQemu)?;
    Ok(match ended {
        Some(status) if status.code() == Some(TRIAL_CODE) => Outcome::Passed(began.elapsed()),
        Some(status) => Outcome::Failed(format!("it ended with {status}")),
        None => Outcome::Failed(format!("it did not end within {:.1} s", deadline.as_secs_f32())),
    })
}

/// Waits until the deadline, then kills. A process that hangs in the kernel is left behind rather than waited for.
pub(super) fn wait(child: &mut Child, deadline: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            std::thread::sleep(Duration::from_millis(50));
            // Reaps it if it is gone.
            child.try_wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A stand-in for QEMU that ends with `tcg` and does `kvm` when it is asked for KVM.
    fn fake(tcg: &str, kvm: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qemu");
        let script = format!(
            "#!/bin/sh\necho run >> {0}.runs\ncase \"$*\" in *'-accel kvm'*) {kvm};; esac\n{tcg}\n",
            path.display()
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let name = path.to_str().unwrap().to_owned();
        (dir, name)
    }

    #[test]
    fn kvm_that_passes_is_used() {
        let (_dir, qemu) = fake("exit 85", "exit 85");
        assert_eq!(find_out(&qemu, Path::new("/dev/null")).unwrap().accel, Accel::Kvm);
    }

    #[test]
    fn kvm_that_hung_when_it_mattered_is_not_tried_again() {
        let (dir, qemu) = fake("exit 85", "exit 85");
        let kept = dir.path().join("kept");
        distrust(&qemu, &kept).unwrap();
        assert_eq!(choose(AccelChoice::Auto, &qemu, &kept).unwrap().accel, Accel::Tcg);
        assert!(matches!(choose(AccelChoice::Kvm, &qemu, &kept), Err(VmError::NoKvm(_))));
        assert!(!dir.path().join("qemu.runs").exists());
    }

    #[test]
    fn kvm_that_fails_or_hangs_is_not() {
        for kvm in ["exit 1", "exec sleep 1000", "sleep 0.9; exit 85"] {
            let (_dir, qemu) = fake("exit 85", kvm);
            let verdict = find_out(&qemu, Path::new("/dev/null")).unwrap();
            assert_eq!(verdict.accel, Accel::Tcg, "{kvm}");
            assert!(verdict.reason.contains("it "), "{}", verdict.reason);
        }
    }

    #[test]
    fn without_the_node_nothing_is_tried() {
        let verdict = find_out("/nonexistent/qemu", Path::new("/nonexistent/kvm")).unwrap();
        assert_eq!(verdict.accel, Accel::Tcg);
        assert!(verdict.reason.contains("/nonexistent/kvm"), "{}", verdict.reason);
    }

    #[test]
    fn a_qemu_that_cannot_even_emulate_is_an_error() {
        let (_dir, qemu) = fake("exit 1", "exit 85");
        assert!(matches!(find_out(&qemu, Path::new("/dev/null")), Err(VmError::QemuFailed(_))));
        assert!(matches!(find_out("/nonexistent/qemu", Path::new("/dev/null")), Err(VmError::NoQemu(_))));
    }

    #[test]
    fn a_verdict_holds_for_this_boot_and_this_qemu() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept");
        let verdict = Verdict { accel: Accel::Kvm, reason: "r".into() };
        let kept = Kept { boot_id: "b".into(), qemu: "q".into(), verdict: verdict.clone() };
        std::fs::write(&path, serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(load(&path, "b", "q"), Some(verdict));
        assert_eq!(load(&path, "other", "q"), None);
        assert_eq!(load(&path, "b", "other"), None);
    }

    #[test]
    fn kvm_asked_for_must_work() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept");
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let verdict = Verdict { accel: Accel::Tcg, reason: "it hung".into() };
        std::fs::write(&path, serde_json::to_vec(&Kept { boot_id, qemu: "q".into(), verdict }).unwrap())
            .unwrap();
        assert!(matches!(choose(AccelChoice::Kvm, "q", &path), Err(VmError::NoKvm(why)) if why == "it hung"));
        assert_eq!(choose(AccelChoice::Auto, "q", &path).unwrap().accel, Accel::Tcg);
    }
}
