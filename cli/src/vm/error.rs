//! What can go wrong with a host on this computer, and what the person can do about each.

use std::io;
use std::path::PathBuf;

use kennel_model::HostName;

use super::QEMU;
use crate::exit::{Explain, FileError};

/// Why a host could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// No emulator.
    #[error("{QEMU} cannot be started: {0}")]
    NoQemu(io::Error),
    /// It is there but does not want to.
    #[error("{QEMU} did not start: {0}")]
    QemuFailed(String),
    /// No TPM in software.
    #[error("swtpm, which is the machine's TPM, cannot be started: {0}")]
    NoSwtpm(io::Error),
    /// It is there but does not want to.
    #[error("swtpm, which is the machine's TPM, did not start: {0}")]
    TpmFailed(String),
    /// No UEFI firmware.
    #[error("no UEFI firmware (OVMF) was found; looked for {0}")]
    NoFirmware(String),
    /// KVM was asked for and does not work.
    #[error("KVM does not work on this computer: {0}")]
    NoKvm(String),
    /// No image.
    #[error("there is no image: {0}")]
    NoImage(String),
    /// Already there.
    #[error("host {name} runs already, with the process id {pid}")]
    RunsAlready {
        /// Which.
        name: HostName,
        /// The emulator's process.
        pid: u32,
    },
    /// Another command is starting or stopping it.
    #[error("another command is busy with host {0}")]
    Busy(HostName),
    /// Somebody else listens there.
    #[error("port {port} of 127.0.0.1 cannot be used: {cause}")]
    Port {
        /// The option that names another.
        option: &'static str,
        /// Which.
        port: u16,
        /// What the system said.
        cause: io::Error,
    },
    /// A size that was asked for and is not what is there.
    #[error("the data disk of host {name} has {have} already, not {want}")]
    DiskSize {
        /// Which host.
        name: HostName,
        /// What it has.
        have: String,
        /// What was asked for.
        want: String,
    },
    /// Over the limit of a Unix socket's address.
    #[error("the path {} is too long for a socket", .0.display())]
    LongPath(PathBuf),
    /// The boot failed; the last lines of the console tell how.
    #[error("host {name} did not become ready: {cause}\n{}", indent(tail))]
    NotReady {
        /// Which host.
        name: HostName,
        /// What ended the wait.
        cause: String,
        /// The last lines of its console.
        tail: Vec<String>,
        /// The whole console.
        log: PathBuf,
    },
    /// It does not go down.
    #[error("host {name} did not shut down within {seconds} s")]
    StillUp {
        /// Which host.
        name: HostName,
        /// How long was waited.
        seconds: u64,
    },
    /// QEMU does not take the order.
    #[error("the power button of host {name} does not work: {cause}")]
    NoPowerButton {
        /// Which host.
        name: HostName,
        /// What the system said.
        cause: io::Error,
    },
    /// Its end could not be brought about.
    #[error("the process {pid} of host {name} cannot be ended: {cause}")]
    Kill {
        /// Which host.
        name: HostName,
        /// The emulator's process.
        pid: u32,
        /// What the system said.
        cause: io::Error,
    },
    /// The person pressed Ctrl-C.
    #[error("cancelled: host {0} was stopped")]
    Cancelled(HostName),
    /// The keys for Secure Boot.
    #[error(transparent)]
    Keys(#[from] kennel_secureboot::Error),
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

fn indent(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

impl Explain for VmError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoQemu(_) => Some("install it: apt-get install qemu-system-x86".into()),
            Self::NoSwtpm(_) => Some("install it: apt-get install swtpm; or leave --tpm out".into()),
            Self::NoFirmware(_) => Some("install it: apt-get install ovmf".into()),
            Self::NoKvm(_) => Some("leave --accel out: it is emulated then".into()),
            Self::NoImage(_) => Some("`kennel build` makes one, --image names another".into()),
            Self::RunsAlready { name, .. } => Some(match name.as_str() {
                "local" => "`kennel stop` stops it; --name NAME starts another".into(),
                name => format!("`kennel stop --name {name}` stops it"),
            }),
            Self::Busy(_) => Some("wait for it to end, then try again".into()),
            Self::Port { option, .. } => {
                Some(format!("choose another with {option} PORT; {option} 0 takes a free one"))
            }
            Self::DiskSize { .. } => Some("leave --data-size out, or start empty with --fresh".into()),
            Self::LongPath(_) => Some("choose a shorter --name, or a shorter XDG_STATE_HOME".into()),
            Self::NotReady { log, .. } => Some(format!("the whole console is in {}", log.display())),
            Self::StillUp { name, .. } | Self::NoPowerButton { name, .. } => Some(match name.as_str() {
                "local" => "`kennel stop --force` pulls the plug".into(),
                name => format!("`kennel stop --name {name} --force` pulls the plug"),
            }),
            Self::Keys(error) => error.hint().map(str::to_owned),
            Self::TpmFailed(_)
            | Self::QemuFailed(_)
            | Self::Kill { .. }
            | Self::Cancelled(_)
            | Self::File(_) => None,
        }
    }

    fn code(&self) -> String {
        match self {
            Self::NoQemu(_) | Self::QemuFailed(_) => "qemu",
            Self::NoSwtpm(_) | Self::TpmFailed(_) => "tpm",
            Self::NoFirmware(_) => "no-firmware",
            Self::NoKvm(_) => "no-kvm",
            Self::NoImage(_) => "no-image",
            Self::RunsAlready { .. } => "runs-already",
            Self::Busy(_) => "busy",
            Self::Port { .. } => "port-in-use",
            Self::DiskSize { .. } => "disk-size",
            Self::LongPath(_) => "long-path",
            Self::NotReady { .. } => "not-ready",
            Self::StillUp { .. } => "still-up",
            Self::NoPowerButton { .. } => "no-power-button",
            Self::Kill { .. } => "kill",
            Self::Cancelled(_) => "cancelled",
            Self::Keys(_) => "keys",
            Self::File(_) => "file",
        }
        .to_owned()
    }
}
