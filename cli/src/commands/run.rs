//! `kennel run`: a host on this computer, in the foreground with its console, or left running behind.

use std::time::{Duration, Instant};

use kennel_model::{Domain, HostName};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Context;
use crate::args::{AccelChoice, Run};
use crate::exit::{Explain, Failure, FileError};
use crate::hosts::{ApiUrl, HostBook, KnownHost};
use crate::keys::{ensure_operator_key, public_line};
use crate::pin::Fingerprint;
use crate::vm::accel::{self, Accel};
use crate::vm::boot::{self, Started};
use crate::vm::console::Console;
use crate::vm::instance::{Claim, Instance};
use crate::vm::watch::{Progress, Watch};
use crate::vm::{self, VmError, stop};

/// How often the console and the process are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Until a host under KVM has to have said something; under emulation it takes a sixth of it, with KVM that works a few seconds.
const KVM_MUTE: Duration = Duration::from_secs(60);
/// For a clean shutdown after Ctrl-C; a second Ctrl-C pulls the plug at once.
const SHUTDOWN: Duration = Duration::from_secs(90);

/// What `--json` prints once the host is ready.
#[derive(Serialize)]
struct Ready<'a> {
    host: &'a HostName,
    web: String,
    api: String,
    web_port: u16,
    https_port: u16,
    api_port: u16,
    fingerprint: Fingerprint,
    accel: crate::vm::accel::Accel,
    boot_seconds: &'a str,
    pid: u32,
    console: std::path::PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen for signals: {0}")]
struct NoSignals(std::io::Error);

impl Explain for NoSignals {}

/// Ctrl-C, `kill`, or a terminal that was closed.
struct Interrupts([Signal; 3]);

impl Interrupts {
    fn new() -> Result<Self, NoSignals> {
        let [a, b, c] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([a.map_err(NoSignals)?, b.map_err(NoSignals)?, c.map_err(NoSignals)?]))
    }

    /// Waits for one of them, but no longer than a tick.
    async fn within_a_tick(&mut self) -> bool {
        let [a, b, c] = &mut self.0;
        tokio::select! {
            _ = a.recv() => true,
            _ = b.recv() => true,
            _ = c.recv() => true,
            () = tokio::time::sleep(TICK) => false,
        }
    }
}

/// A host under way, and everything that is watched of it.
struct Session<'a> {
    context: &'a Context,
    args: &'a Run,
    instance: Instance,
    keys: Vec<String>,
    started: Started,
    console: Console,
    interrupts: Interrupts,
    /// The console's lines are shown.
    streaming: bool,
}

pub(super) async fn run(context: &Context, args: &Run) -> Result<(), Failure> {
    // From here on Ctrl-C is ours to answer.
    let interrupts = Interrupts::new()?;
    let instance = Instance::new(args.name.clone(), context.paths.instance(&args.name));
    let claim = instance.claim()?;
    let mut keys = vec![ensure_operator_key(&context.paths.operator_key())?];
    if let Some(identity) = &context.global.identity {
        keys.push(public_line(identity)?);
    }
    let started = boot::start(&instance, args, &keys, &context.paths.kvm_trial())?;
    say_how(context, args, &started);
    let console = open_console(&instance)?;
    let streaming = !args.detach && !context.ui.json();
    Session { context, args, instance, keys, started, console, interrupts, streaming }.go(claim).await
}

fn say_how(context: &Context, args: &Run, started: &Started) {
    let (words, reason) = (started.verdict.accel.words(), &started.verdict.reason);
    context.ui.note(&format!("host {} starts in QEMU ({words}: {reason})", args.name));
}

fn open_console(instance: &Instance) -> Result<Console, Failure> {
    Ok(Console::open(&instance.console()).map_err(FileError::at("read", &instance.console()))?)
}

impl Session<'_> {
    async fn go(mut self, claim: Claim) -> Result<(), Failure> {
        let (fingerprint, seconds) = match self.boot().await {
            Ok(ready) => ready,
            Err(failure) => {
                // What failed to start is not left running; its console and its data disk stay.
                stop::kill(&self.instance, &self.started.process)?;
                return Err(failure);
            }
        };
        let host = self.pin(fingerprint)?;
        drop(claim);
        self.announce(&host, &seconds)?;
        if self.args.detach { Ok(()) } else { self.stay().await }
    }

    /// Until the host is ready.
    async fn boot(&mut self) -> Result<(Fingerprint, String), Failure> {
        let patience = Duration::from_secs(self.args.timeout);
        let (mut watch, mut began) = (Watch::new(patience), Instant::now());
        let mut spinner = (!self.streaming).then(|| self.context.ui.spinner("booting"));
        loop {
            // Asked first: what the machine wrote before it ended is then in the news.
            let alive = self.started.process.is_alive();
            for line in self.news()? {
                watch.line(&line);
            }
            match watch.progress(alive) {
                Progress::Booting if self.is_mute(&watch, began) => {
                    self.emulate()?;
                    (watch, began) = (Watch::new(patience), Instant::now());
                }
                Progress::Booting => {}
                Progress::Failed(cause) => return Err(self.not_ready(cause).into()),
                Progress::Ready(fingerprint, seconds) => {
                    drop(spinner);
                    if let Some(what) = watch.failure() {
                        self.context.ui.warn(&format!("host {} came up, but: {what}", self.args.name));
                    }
                    return Ok((fingerprint, seconds));
                }
            }
            if let Some(spinner) = &mut spinner {
                spinner.tick(self.console.last());
            }
            if self.interrupts.within_a_tick().await {
                return Err(VmError::Cancelled(self.args.name.clone()).into());
            }
        }
    }

    /// Whether KVM, which nobody asked for, is what the host hangs in: where one processor only pretends to be another's, it
    /// passes its trial now and then.
    fn is_mute(&self, watch: &Watch, began: Instant) -> bool {
        self.args.accel == AccelChoice::Auto
            && self.started.verdict.accel == Accel::Kvm
            && !watch.has_begun()
            && began.elapsed() >= KVM_MUTE
    }

    /// Starts over, emulated. Nothing is lost: the host has not come as far as to its disks.
    fn emulate(&mut self) -> Result<(), Failure> {
        let trial = self.context.paths.kvm_trial();
        stop::kill(&self.instance, &self.started.process)?;
        accel::distrust(vm::QEMU, &trial)?;
        self.started = boot::start(&self.instance, self.args, &self.keys, &trial)?;
        self.console = open_console(&self.instance)?;
        say_how(self.context, self.args, &self.started);
        Ok(())
    }

    fn news(&mut self) -> Result<Vec<String>, Failure> {
        let path = self.instance.console();
        let lines = self.console.news().map_err(FileError::at("read", &path))?;
        if self.streaming && !lines.is_empty() {
            self.context.ui.raw(format!("{}\n", lines.join("\n")).as_bytes())?;
        }
        Ok(lines)
    }

    fn not_ready(&mut self, cause: String) -> VmError {
        let tail = self.console.tail();
        VmError::NotReady { name: self.args.name.clone(), cause, tail, log: self.instance.console() }
    }

    /// Makes the host known here. Its console is this computer's own: what it shows may be believed.
    fn pin(&self, fingerprint: Fingerprint) -> Result<KnownHost, Failure> {
        let path = self.context.paths.hosts_file();
        let url = ApiUrl { host: "127.0.0.1".to_owned(), port: self.started.api_port };
        let mut book = HostBook::load(&path)?;
        // Its TPM is kept as its data disk is, and so is what is known of it.
        let before = book.hosts.get(&self.args.name).filter(|before| before.fingerprint == fingerprint);
        let tpm = before.and_then(|before| before.tpm);
        let host = KnownHost {
            url,
            fingerprint,
            web_port: self.started.web_port,
            https_port: self.started.https_port,
            tpm,
        };
        book.put(self.args.name.clone(), host.clone());
        book.save(&path)?;
        Ok(host)
    }

    fn announce(&self, host: &KnownHost, seconds: &str) -> Result<(), Failure> {
        let ready = Ready {
            host: &self.args.name,
            web: format!("http://127.0.0.1:{}/", host.web_port),
            api: host.url.to_string(),
            web_port: host.web_port,
            https_port: host.https_port,
            api_port: host.url.port,
            fingerprint: host.fingerprint,
            accel: self.started.verdict.accel,
            boot_seconds: seconds,
            pid: self.started.process.pid(),
            console: self.instance.console(),
        };
        Ok(self.context.ui.result(&ready, |ready| self.words(ready, host))?)
    }

    fn words(&self, ready: &Ready<'_>, host: &KnownHost) -> String {
        let name = ready.host;
        let facts = crate::ui::fields(&[
            ("  web", format!("http://<domain>:{}/, https on {}", ready.web_port, ready.https_port)),
            ("  api", format!("{}  {}", ready.api, ready.fingerprint)),
            ("  console", ready.console.display().to_string()),
        ]);
        let example = Domain::new("blog.localhost").map_or_else(|_| ready.web.clone(), |d| host.page_url(&d));
        let stop = match name.as_str() {
            _ if !self.args.detach => "Ctrl-C".to_owned(),
            "local" => "kennel stop".to_owned(),
            name => format!("kennel stop --name {name}"),
        };
        format!(
            "host {name} is ready after {} s ({})\n{facts}\nnext:\n  \
             kennel tenant add blog --runtime node-24 --domain blog.localhost\n  \
             kennel deploy blog examples/node-hello\n  \
             curl {example}\nand to shut down: {stop}\n",
            ready.boot_seconds,
            ready.accel.words()
        )
    }

    /// In the foreground, until the host goes down by itself or on request.
    async fn stay(mut self) -> Result<(), Failure> {
        let mut down_by: Option<tokio::time::Instant> = None;
        loop {
            let alive = self.started.process.is_alive();
            self.news()?;
            if !alive {
                self.instance.forget_process();
                self.context.ui.note(&format!("host {} is down", self.args.name));
                return Ok(());
            }
            let interrupted = self.interrupts.within_a_tick().await;
            match down_by {
                Some(end) if interrupted || tokio::time::Instant::now() >= end => {
                    self.context.ui.warn("pulling the plug");
                    stop::kill(&self.instance, &self.started.process)?;
                    return Err(VmError::Cancelled(self.args.name.clone()).into());
                }
                None if interrupted => {
                    self.context.ui.note("shutting down; Ctrl-C again pulls the plug");
                    if let Err(e) = stop::press_power_button(&self.instance) {
                        self.context.ui.warn(&format!("the power button does not work: {e}"));
                    }
                    down_by = Some(tokio::time::Instant::now() + SHUTDOWN);
                }
                _ => {}
            }
        }
    }
}
