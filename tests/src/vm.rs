//! One host in QEMU, run and asked through the `kennel` command as a person would, with folders and ports of its own.
//! What is tried with it is the scenarios' business.

mod setup;
mod waiting;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::cable::Cable;
use crate::http::{self, Answer};
use crate::ntp::Ntp;
use crate::pebble::Pebble;
use setup::Cloud;
pub use waiting::until;
use waiting::{appears, wait};

/// For one command: emulation is slow, and CI's machine has two processors.
const COMMAND_DEADLINE: Duration = Duration::from_secs(180);
/// For one page, a cold start of Node.js under emulation included.
pub const PAGE_DEADLINE: Duration = Duration::from_secs(150);

/// Where things are, the same for all scenarios.
#[derive(Debug, Clone)]
pub struct Places {
    /// The `kennel` program.
    pub kennel: PathBuf,
    /// The top of the repository.
    pub repository: PathBuf,
    /// The image that people get.
    pub image: PathBuf,
    /// The image with the probe in it.
    pub probe_image: PathBuf,
    /// The image in which some slots are deliberately open.
    pub proof_image: PathBuf,
}

/// What a command printed.
#[derive(Debug)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A host. Dropping it ends its QEMU, by PID.
pub struct Vm {
    places: Places,
    home: TempDir,
    image: PathBuf,
    web_port: u16,
    https_port: u16,
    isolated: bool,
    /// A server of this machine's, and where the guest finds it.
    beside: Option<String>,
    /// Its certificate authority.
    authority: Option<Pebble>,
    /// Whom it asks for the time, and what its clock says when it boots.
    time: Option<(Vec<Ntp>, Vec<String>, String)>,
    cloud: Option<Cloud>,
    cable: Option<Cable>,
    /// It boots without its data disk.
    late_data: bool,
    /// The folder of keys with which Secure Boot is on.
    keys: Option<String>,
    tpm: bool,
    /// As `kennel run` has it where nothing is said.
    memory: Option<&'static str>,
    swap_disk: Option<&'static str>,
    pid: Option<Pid>,
    /// The consoles of earlier boots; each boot begins a new file.
    earlier: String,
    /// Figures of a scenario that people are to see.
    notes: Vec<String>,
}

impl Vm {
    /// A host of this image that is not running yet.
    ///
    /// # Errors
    /// No temporary folder.
    pub fn new(places: &Places, image: &Path) -> Result<Self, String> {
        let home = tempfile::Builder::new().prefix("kennel-vm-").tempdir().map_err(|e| e.to_string())?;
        Ok(Self {
            places: places.clone(),
            home,
            image: image.to_owned(),
            web_port: 0,
            https_port: 0,
            isolated: false,
            beside: None,
            authority: None,
            time: None,
            cloud: None,
            cable: None,
            late_data: false,
            keys: None,
            tpm: false,
            memory: None,
            swap_disk: None,
            pid: None,
            earlier: String::new(),
            notes: Vec::new(),
        })
    }

    /// Boots it and waits until it is ready.
    ///
    /// # Errors
    /// What `kennel run` said.
    pub fn boot(&mut self) -> Result<(), String> {
        let image = self.image.display().to_string();
        let args = self.boot_arguments(&image);
        let ready = self.json(&args)?;
        self.is_ready(&ready)
    }

    /// What `kennel run` says of a host that is ready.
    fn is_ready(&mut self, ready: &Value) -> Result<(), String> {
        let number = |key: &str| ready[key].as_u64().ok_or(format!("`kennel run` said no {key}: {ready}"));
        self.web_port = number("web_port")?.try_into().map_err(|_| "web_port is no port")?;
        self.https_port = number("https_port")?.try_into().map_err(|_| "https_port is no port")?;
        let pid = number("pid")?.try_into().map_err(|_| "pid is no PID")?;
        self.pid = Pid::from_raw(pid);
        Ok(())
    }

    /// Begins to boot it, and answers as soon as its plug could be pulled; with the command that waits until it is ready.
    ///
    /// # Errors
    /// QEMU does not start.
    pub fn begin_to_boot(&mut self) -> Result<Child, String> {
        let image = self.image.display().to_string();
        let args = [vec!["--json"], self.boot_arguments(&image)].concat();
        let mut command = self.command(&args);
        let ready = fs::File::create(self.ready_file()).map_err(|e| e.to_string())?;
        let child = command.stdout(ready).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())?;
        let pid = until("QEMU to start", Duration::from_secs(60), || {
            Ok(fs::read_to_string(self.state("pid")).ok().and_then(|text| text.trim().parse().ok()))
        })?;
        self.pid = Pid::from_raw(pid);
        Ok(child)
    }

    /// Waits until a boot that was begun is over, which must have succeeded.
    ///
    /// # Errors
    /// It has not, or takes too long.
    pub fn finish_boot(&mut self, mut booting: Child) -> Result<(), String> {
        let code = wait(&mut booting, Duration::from_secs(420)).ok_or("the boot does not end")?;
        let said = fs::read(self.ready_file()).map_err(|e| e.to_string())?;
        match serde_json::from_slice(&said) {
            Ok(ready) if code == 0 => self.is_ready(&ready),
            _ => Err(format!("`kennel run` ended with {code}: {}", String::from_utf8_lossy(&said))),
        }
    }

    /// What a boot that was begun prints.
    fn ready_file(&self) -> PathBuf {
        self.home.path().join("ready.json")
    }

    /// Whether it was booted and not stopped since.
    pub const fn runs(&self) -> bool {
        self.pid.is_some()
    }

    /// Pulls the plug.
    ///
    /// # Errors
    /// It does not end.
    pub fn pull_the_plug(&mut self) -> Result<(), String> {
        let Some(pid) = self.pid.take() else { return Ok(()) };
        let _ = kill_process(pid, Signal::KILL);
        until("QEMU to end", Duration::from_secs(10), || {
            Ok(rustix::process::test_kill_process(pid).is_err().then_some(()))
        })?;
        self.put_console_away();
        Ok(())
    }

    /// Shuts it down as a person would.
    ///
    /// # Errors
    /// What `kennel stop` said.
    pub fn stop(&mut self) -> Result<(), String> {
        self.ok(&["stop", "--timeout", "120"])?;
        self.pid = None;
        self.put_console_away();
        Ok(())
    }

    /// `kennel` with these arguments, for this host alone.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.places.kennel);
        command.args(args).current_dir(&self.places.repository).stdin(Stdio::null());
        command.env("HOME", self.home.path());
        for (name, folder) in [("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config")] {
            command.env(name, self.home.path().join(folder));
        }
        command.env_remove("SSH_AUTH_SOCK").env_remove("KENNEL_HOST").env_remove("KENNEL_IDENTITY");
        if let Some(cloud) = &self.cloud {
            command.env("KENNEL_IDENTITY", &cloud.identity);
        }
        command
    }

    /// Runs `kennel` to its end.
    ///
    /// # Errors
    /// It could not be started, or went on past the deadline.
    pub fn run(&self, args: &[&str]) -> Result<Output, String> {
        let deadline = if args.first() == Some(&"run") { Duration::from_secs(420) } else { COMMAND_DEADLINE };
        self.run_within(deadline, self.command(args))
            .map_err(|error| format!("`kennel {}`: {error}", args.join(" ")))
    }

    /// Runs a command, `kennel` most likely, to its end.
    ///
    /// # Errors
    /// It could not be started, or went on past the deadline.
    pub fn run_within(&self, deadline: Duration, mut command: Command) -> Result<Output, String> {
        let folder = tempfile::tempdir_in(self.home.path()).map_err(|e| e.to_string())?;
        let (out, err) = (folder.path().join("out"), folder.path().join("err"));
        let file = |path: &Path| fs::File::create(path).map_err(|e| e.to_string());
        let spawned = command.stdout(file(&out)?).stderr(file(&err)?).spawn();
        let mut child = spawned.map_err(|e| format!("{:?} cannot be started: {e}", command.get_program()))?;
        let status = wait(&mut child, deadline).ok_or("it did not end")?;
        let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        Ok(Output { code: status, out: text(&out), err: text(&err) })
    }

    /// Runs `kennel`, which must succeed; its standard output.
    ///
    /// # Errors
    /// What it said.
    pub fn ok(&self, args: &[&str]) -> Result<String, String> {
        let output = self.run(args)?;
        if output.code == 0 {
            return Ok(output.out);
        }
        Err(format!("`kennel {}` ended with {}: {}{}", args.join(" "), output.code, output.out, output.err))
    }

    /// Runs `kennel --json`, which must succeed; its document.
    ///
    /// # Errors
    /// What it said.
    pub fn json(&self, args: &[&str]) -> Result<Value, String> {
        let out = self.ok(&[&["--json"], args].concat())?;
        if out.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&out)
            .map_err(|e| format!("`kennel {}` printed no JSON ({e}): {out}", args.join(" ")))
    }

    /// Makes a tenant with the host name `<name>.localhost`, whose releases take over without a trial, and deploys a folder of the
    /// repository to it, which is started by whoever comes first.
    ///
    /// # Errors
    /// What `kennel` said.
    pub fn tenant(&self, name: &str, folder: &str) -> Result<(), String> {
        let domain = format!("{name}.localhost");
        self.ok(&["tenant", "add", name, "--runtime", "node-24", "--domain", &domain, "--trial", "off"])?;
        self.ok(&["deploy", name, folder])?;
        Ok(())
    }

    /// A tenant as `kennel tenant show --json` has it.
    ///
    /// # Errors
    /// What `kennel` said.
    pub fn show(&self, name: &str) -> Result<Value, String> {
        self.json(&["tenant", "show", name])
    }

    /// Fetches a page of a tenant, through the proxy.
    ///
    /// # Errors
    /// No answer.
    pub fn page(&self, tenant: &str, path: &str) -> Result<Answer, String> {
        http::get(self.web_port, &format!("{tenant}.localhost"), path, PAGE_DEADLINE)
    }

    /// Fetches a page, which must be a 200 with JSON.
    ///
    /// # Errors
    /// Anything else.
    pub fn page_json(&self, tenant: &str, path: &str) -> Result<Value, String> {
        let answer = self.page(tenant, path)?;
        if answer.status != 200 {
            return Err(format!("{tenant}{path} answered {}: {}", answer.status, answer.body));
        }
        serde_json::from_str(&answer.body)
            .map_err(|e| format!("{tenant}{path} is no JSON ({e}): {}", answer.body))
    }

    /// The port of the proxy here.
    pub const fn web_port(&self) -> u16 {
        self.web_port
    }

    /// The port that leads to the proxy's TLS.
    pub const fn https_port(&self) -> u16 {
        self.https_port
    }

    /// What the tenant printed.
    ///
    /// # Errors
    /// What `kennel logs` said.
    pub fn logs(&self, tenant: &str) -> Result<String, String> {
        self.ok(&["logs", tenant, "-n", "500"])
    }

    /// Waits until the tenant's log has the words: what is printed gets there in its own time.
    ///
    /// # Errors
    /// The deadline, with the end of the log and of the tenant's timeline.
    pub fn logged(&self, tenant: &str, words: &str) -> Result<(), String> {
        appears(&format!("{tenant}'s log"), words, || self.logs(tenant)).map_err(|why| {
            let timeline = self.ok(&["tenant", "timeline", tenant, "-n", "12"]).unwrap_or_else(|e| e);
            format!("{why}\n{timeline}")
        })
    }

    /// Waits until the console says the words, after its first `seen` bytes: what a service prints gets there through
    /// init and the kernel, in its own time.
    ///
    /// # Errors
    /// The deadline, with the end of the console.
    pub fn says(&self, seen: usize, words: &str) -> Result<(), String> {
        appears("the console", words, || Ok(self.console().split_off(seen)))
    }

    /// Everything on the console since the first boot.
    pub fn console(&self) -> String {
        let bytes = fs::read(self.state("console.log")).unwrap_or_default();
        self.earlier.clone() + &String::from_utf8_lossy(&bytes)
    }

    /// What was on the console until now belongs to an earlier boot.
    fn put_console_away(&mut self) {
        self.earlier = self.console();
        let _ = fs::remove_file(self.state("console.log"));
    }

    /// Copies the console to where `KENNEL_TEST_CONSOLES` says, if it does.
    fn keep_console(&self) {
        let name = self.home.path().file_name();
        if let (Some(folder), Some(name)) = (std::env::var_os("KENNEL_TEST_CONSOLES"), name)
            && let Err(error) = fs::write(PathBuf::from(folder).join(name), self.console())
        {
            eprintln!("the console is lost: {error}");
        }
    }

    /// A file in the host's state folder.
    pub fn state(&self, file: &str) -> PathBuf {
        self.home.path().join("state/kennel/hosts/local").join(file)
    }

    /// Prints a line below the scenario's.
    pub fn note(&mut self, line: String) {
        self.notes.push(line);
    }

    /// What was noted since the last time.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// A folder for this host's scenarios to write to.
    pub fn scratch(&self) -> &Path {
        self.home.path()
    }

    /// Where things are.
    pub const fn places(&self) -> &Places {
        &self.places
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = self.pull_the_plug();
        self.keep_console();
    }
}
