//! Starting a host: everything it needs is laid out in its folder, then QEMU is started in the background. Waiting for
//! the host to be ready is `watch`'s work.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kennel_model::layout;
use kennel_secureboot::KeyFolder;

use super::accel::{self, Verdict};
use super::instance::{Instance, Process};
use super::machine::{Imds, Machine};
use super::{VmError, firmware, qmp, stop, tpm};
use crate::args::{ByteSize, Run};
use crate::exit::FileError;
use crate::paths::write_private;

/// `sun_path` of a socket's address, with its closing NUL.
const MAX_SOCKET_PATH: usize = 108;
/// QEMU sets itself up; the guest is not waited for here.
const START: Duration = Duration::from_secs(60);

/// A host that was started.
#[derive(Debug)]
pub struct Started {
    /// Its QEMU.
    pub process: Process,
    /// How its processor is provided, and why.
    pub verdict: Verdict,
    /// Port on 127.0.0.1 that leads to the proxy.
    pub web_port: u16,
    /// Port on 127.0.0.1 that leads to the proxy's TLS.
    pub https_port: u16,
    /// Port on 127.0.0.1 that leads to the API.
    pub api_port: u16,
}

/// Starts the machine for `kennel run`. The caller holds the instance's claim.
///
/// # Errors
/// [`VmError`] names what is missing or in the way.
pub fn start(instance: &Instance, run: &Run, keys: &[String], trial: &Path) -> Result<Started, VmError> {
    if let Some(process) = instance.running()? {
        return Err(VmError::RunsAlready { name: instance.name().clone(), pid: process.pid() });
    }
    let image = find_image(run)?;
    let firmware = firmware::find(run.secure_boot.is_some())?;
    if instance.qmp().as_os_str().as_bytes().len() >= MAX_SOCKET_PATH {
        return Err(VmError::LongPath(instance.qmp()));
    }
    if run.cable.is_none() {
        free_port(run.port, "--port")?;
        free_port(run.https_port, "--https-port")?;
        free_port(run.api_port, "--api-port")?;
    }
    lay_out(instance, run, &firmware.vars, keys)?;
    let vars = match &run.secure_boot {
        Some(folder) => secure_vars(instance, &KeyFolder::at(folder), &firmware.vars)?,
        None => instance.vars(),
    };
    let verdict = accel::choose(run.accel, super::QEMU, trial)?;
    let machine = Machine {
        name: instance.process_name(),
        accel: verdict.accel,
        memory: run.memory,
        cpus: run.cpus,
        firmware,
        vars,
        image,
        data: instance.data(),
        swap: run.swap_disk.map(|_| instance.swap()),
        disks: run.disks,
        late_data: run.late_data,
        user_data: instance.user_data(),
        imds: run.imds.map(imds).transpose()?,
        beside: run.beside.map(|(at, to)| Ok::<_, VmError>((at, imds(to)?))).transpose()?,
        console: instance.console(),
        qmp: instance.qmp(),
        pid: instance.pid_file(),
        log: instance.qemu_log(),
        tpm: run.tpm.then(|| instance.tpm_socket()),
        web_port: run.port,
        https_port: run.https_port,
        api_port: run.api_port,
        isolated: run.isolated,
        cable: run.cable.clone(),
        clock: run.clock.clone(),
        secure: run.secure_boot.is_some(),
    };
    if run.tpm {
        tpm::start(instance)?;
    }
    // The TPM ends with the machine, but not before there is one.
    launch(&machine).map_err(|error| match run.tpm.then(|| tpm::dismiss(instance)).flatten() {
        Some(why) => VmError::TpmFailed(why),
        None => error,
    })?;
    let process = instance.running()?.ok_or_else(|| VmError::QemuFailed("it ended right away".into()))?;
    let [web_port, https_port, api_port] = match ports(&machine) {
        Ok(ports) => ports,
        Err(e) => {
            // Nobody could reach it, or stop it in order.
            stop::kill(instance, &process)?;
            return Err(VmError::QemuFailed(format!("its ports are unknown: {e}")));
        }
    };
    Ok(Started { process, verdict, web_port, https_port, api_port })
}

/// A server on this computer's loopback, such as the metadata service, and this very program to reach it by.
fn imds(address: SocketAddr) -> Result<Imds, VmError> {
    let here = Path::new("/proc/self/exe");
    let kennel = here.read_link().map_err(FileError::at("read", here))?;
    Ok(Imds { address, kennel })
}

fn launch(machine: &Machine) -> Result<(), VmError> {
    // QEMU's error output goes to its log, as QEMU itself lets it go there as soon as it has read `-D`.
    let log = File::create(&machine.log).map_err(FileError::at("create", &machine.log))?;
    let mut qemu = Command::new(super::QEMU)
        .args(machine.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(VmError::NoQemu)?;
    match accel::wait(&mut qemu, START).map_err(VmError::NoQemu)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => {
            Err(VmError::QemuFailed(last_words(&machine.log).unwrap_or_else(|| status.to_string())))
        }
        None => Err(VmError::QemuFailed("it hung".into())),
    }
}

/// The ports of this computer that lead to the machine's proxy, without TLS and with it, and to its API.
fn ports(machine: &Machine) -> io::Result<[u16; 3]> {
    let wanted = [machine.web_port, machine.https_port, machine.api_port];
    if !wanted.contains(&0) || machine.cable.is_some() {
        return Ok(wanted);
    }
    let forwards = qmp::forwards(&machine.qmp)?;
    let port = |guest| {
        let found = forwards.iter().find(|forward| forward.guest == guest);
        found
            .map(|forward| forward.here)
            .ok_or_else(|| io::Error::other(format!("port {guest} is not forwarded")))
    };
    Ok([port(layout::HTTP_PORT)?, port(layout::HTTPS_PORT)?, port(layout::API_PORT)?])
}

/// What QEMU said last before it gave up: warnings come before the error.
pub(super) fn last_words(log: &Path) -> Option<String> {
    let said = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&said);
    let line = text.lines().rfind(|line| !line.trim().is_empty())?;
    Some(line.trim_start_matches("qemu-system-x86_64: ").to_owned())
}

/// The image named, or the newest one in the output folder.
fn find_image(run: &Run) -> Result<PathBuf, VmError> {
    let image = match &run.image {
        Some(image) => image.clone(),
        None => newest_image(&run.out)
            .ok_or_else(|| VmError::NoImage(format!("no kennel-*.raw in the folder {}", run.out.display())))?,
    };
    // QEMU's process has another working directory.
    image.canonicalize().map_err(|e| VmError::NoImage(format!("{}: {e}", image.display())))
}

fn newest_image(folder: &Path) -> Option<PathBuf> {
    let is_image = |name: &str| name.starts_with("kennel-") && name.ends_with(".raw");
    std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_image))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .max()
        .map(|(_, path)| path)
}

/// Finds out early whether a port can be had, as QEMU's own words do not name the option. 0 leaves the choice to QEMU:
/// a free port that we found could be somebody else's by the time QEMU listens.
fn free_port(port: u16, option: &'static str) -> Result<(), VmError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    listener.map(drop).map_err(|cause| VmError::Port { option, port, cause })
}

/// Puts everything into the host's folder that the machine needs; what is kept from the last run stays.
fn lay_out(instance: &Instance, run: &Run, vars: &Path, keys: &[String]) -> Result<(), VmError> {
    if run.fresh {
        for path in [instance.data(), instance.vars()] {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(FileError::at("remove", &path)(e).into());
                }
                _ => {}
            }
        }
    }
    if !instance.vars().exists() {
        let bytes = std::fs::read(vars).map_err(FileError::at("read", vars))?;
        write_private(&instance.vars(), &bytes)?;
    }
    data_disk(instance, run.data_size)?;
    run.swap_disk.map_or(Ok(()), |size| swap_disk(instance, size))?;
    write_private(&instance.user_data(), kennel_user_data::write(None, keys, &run.time_servers).as_bytes())?;
    // Empty from the start, so that it can be read before QEMU writes to it.
    write_private(&instance.console(), b"")?;
    Ok(())
}

/// The firmware's variables with these keys, made anew at every start: the folder is what counts.
fn secure_vars(instance: &Instance, keys: &KeyFolder, template: &Path) -> Result<PathBuf, VmError> {
    let enrolment = keys.enrolment()?;
    let template = std::fs::read(template).map_err(FileError::at("read", template))?;
    let path = instance.secure_vars();
    write_private(&path, &kennel_secureboot::enroll(&template, &enrolment)?)?;
    Ok(path)
}

fn data_disk(instance: &Instance, size: Option<ByteSize>) -> Result<(), VmError> {
    let path = instance.data();
    match path.metadata() {
        Ok(meta) => match size {
            Some(want) if want.0 != meta.len() => Err(VmError::DiskSize {
                name: instance.name().clone(),
                have: ByteSize(meta.len()).to_string(),
                want: want.to_string(),
            }),
            _ => Ok(()),
        },
        Err(_) => {
            // Sparse: it takes room as it fills.
            let make = || File::create_new(&path)?.set_len(size.unwrap_or(Run::DATA_SIZE).0);
            Ok(make().map_err(FileError::at("make", &path))?)
        }
    }
}

/// What is on it counts for nothing, so one of another size is made anew.
fn swap_disk(instance: &Instance, size: ByteSize) -> Result<(), VmError> {
    let path = instance.swap();
    if path.metadata().is_ok_and(|meta| meta.len() == size.0) {
        return Ok(());
    }
    let make = || File::create(&path)?.set_len(size.0);
    Ok(make().map_err(FileError::at("make", &path))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;
    use kennel_model::HostName;

    fn run(args: &[&str]) -> Run {
        match Cli::parse_from(["kennel", "run"].iter().chain(args)).command {
            Command::Run(run) => run,
            _ => unreachable!(),
        }
    }

    fn instance() -> (tempfile::TempDir, Instance) {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::new(HostName::new("local").unwrap(), dir.path().join("local"));
        drop(instance.claim().unwrap());
        std::fs::write(dir.path().join("vars"), "template").unwrap();
        (dir, instance)
    }

    #[test]
    fn the_data_disk_and_the_variables_are_kept_unless_fresh() {
        let (dir, instance) = instance();
        let vars = dir.path().join("vars");
        lay_out(&instance, &run(&[]), &vars, &[]).unwrap();
        assert_eq!(instance.data().metadata().unwrap().len(), 4 << 30);
        for path in [instance.data(), instance.vars()] {
            std::fs::write(path, "used").unwrap();
        }
        lay_out(&instance, &run(&[]), &vars, &[]).unwrap();
        assert_eq!(std::fs::read(instance.data()).unwrap(), b"used");
        assert_eq!(std::fs::read(instance.vars()).unwrap(), b"used");
        let other = lay_out(&instance, &run(&["--data-size", "1G"]), &vars, &[]).unwrap_err();
        assert!(matches!(other, VmError::DiskSize { .. }), "{other}");
        lay_out(&instance, &run(&["--data-size", "1G", "--fresh"]), &vars, &[]).unwrap();
        assert_eq!(instance.data().metadata().unwrap().len(), 1 << 30);
        assert_eq!(std::fs::read(instance.vars()).unwrap(), b"template");
    }

    #[test]
    fn the_disk_to_swap_to_is_kept_unless_it_is_to_have_another_size() {
        let (dir, instance) = instance();
        let vars = dir.path().join("vars");
        let size = || instance.swap().metadata().map(|meta| meta.len()).ok();
        lay_out(&instance, &run(&[]), &vars, &[]).unwrap();
        assert_eq!(size(), None);
        lay_out(&instance, &run(&["--swap-disk", "64M"]), &vars, &[]).unwrap();
        let bytes = vec![1; 64 << 20];
        std::fs::write(instance.swap(), &bytes).unwrap();
        lay_out(&instance, &run(&["--swap-disk", "64M"]), &vars, &[]).unwrap();
        assert!(std::fs::read(instance.swap()).unwrap() == bytes);
        lay_out(&instance, &run(&["--swap-disk", "1G"]), &vars, &[]).unwrap();
        assert_eq!(size(), Some(1 << 30));
        assert_eq!(std::fs::read(instance.swap()).unwrap()[..4], [0; 4]);
    }

    #[test]
    fn a_port_in_use_names_its_option() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = free_port(port, "--port").unwrap_err();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        assert!(crate::exit::Explain::hint(&error).unwrap().contains("--port PORT"));
        free_port(0, "--port").unwrap();
    }

    #[test]
    fn the_newest_image_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().to_str().unwrap();
        assert!(matches!(find_image(&run(&["--out", out])), Err(VmError::NoImage(_))));
        for (name, age) in
            [("kennel-2.raw", 10), ("kennel-1.raw", 20), ("kennel-3.raw.part", 0), ("sbom.json", 0)]
        {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        assert!(find_image(&run(&["--out", out])).unwrap().ends_with("kennel-2.raw"));
    }

    #[test]
    fn qemus_last_words_are_its_error() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let said = b"qemu: warning: \xff\nqemu-system-x86_64: -netdev: Could not set up\n\n";
        std::fs::write(&log, said).unwrap();
        assert_eq!(last_words(&log).unwrap(), "-netdev: Could not set up");
    }
}
