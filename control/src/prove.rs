//! The proof on a live host: a program that tries what is forbidden is deployed to an empty slot in the ways of any
//! tenant, runs there like any tenant's, and what it prints is passed on. Afterwards nothing of it is left; a run that is
//! cut off leaves a tenant that the next start of control removes. What the acts are is the villain's business, and what
//! their results mean is for whoever asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use kennel_model::api::{NewTenant, Probe, Problem, Prove, ProveLine};
use kennel_model::msg::Cause;
use kennel_model::{Limits, ReleaseId, SlotId, TenantName};
use tokio::sync::mpsc;

use crate::control::Control;
use crate::deploy::Wish;
use crate::error::{Error, Result};
use crate::registry::TenantPhase;
use crate::say;

/// The tenant's name while the probes run.
const NAME: &str = "kennel-prove";
const RUNTIME: &str = "static";
const PROGRAM: &str = "kennel-villain";
/// For all probes together; each has a limit of its own, of seconds.
const LIMIT: Duration = Duration::from_secs(900);
/// Between two looks at what it printed.
const PAUSE: Duration = Duration::from_millis(200);
/// Most lines that it may print.
const MAX_OUTPUT: usize = 10_000;

type Sink = mpsc::Sender<std::io::Result<Bytes>>;

impl Control {
    /// Runs the probes and tells what they meet with, to the end whoever listens.
    pub(crate) async fn prove(self: Arc<Self>, wish: Prove, by: String, sink: Sink) {
        let told = self.try_prove(wish, by, &sink).await;
        let last = told.map_or_else(failed, |probes| ProveLine::Done { probes });
        tell(&last, &sink).await;
    }

    async fn try_prove(self: &Arc<Self>, wish: Prove, by: String, sink: &Sink) -> Result<u32> {
        let neighbour = self.neighbour(wish.neighbour.as_ref()).await?;
        let archive = self.villain().await?;
        let name = TenantName::new(NAME).map_err(|e| Error::Internal(e.to_string()))?;
        let mut command = vec![format!("./{PROGRAM}"), "run".into(), "--harmless".into()];
        command.extend(neighbour.map(|slot| format!("neighbour={}", slot.index())));
        let runtime = RUNTIME.parse().map_err(|e: kennel_model::InvalidId| Error::Internal(e.to_string()))?;
        // No request comes, it listens nowhere, and it is not to fall asleep over its work.
        let limits = Limits { freeze_after_s: None, trial: false, ..Limits::default() };
        let new = NewTenant { name: name.clone(), runtime, domains: vec![], command, limits };
        let slot = self.add(new).await?.slot;
        tell(&ProveLine::Begun { slot, neighbour }, sink).await;
        let ran = async {
            self.deploy(&name, &mut Full::new(archive), &Wish::default(), by).await?;
            self.start(&name, Cause::operator()).await?;
            tokio::time::timeout(LIMIT, self.pass_on(slot, sink)).await.map_err(|_| Error::Timeout)?
        };
        let ran = ran.await;
        if let Err(cause) = self.remove(&name).await {
            say!("{name}: what the probes ran in is not removed yet: {cause}");
        }
        ran
    }

    /// The slot that is gone for: the named tenant's, or any tenant's.
    async fn neighbour(&self, name: Option<&TenantName>) -> Result<Option<SlotId>> {
        if let Some(name) = name {
            return Ok(Some(self.ready(name).await?.slot));
        }
        let rows = self.registry.with(|store| store.tenants()).await?;
        Ok(rows.iter().find(|row| row.phase == TenantPhase::Ready).map(|row| row.slot))
    }

    /// The probing program as a release.
    async fn villain(&self) -> Result<Bytes> {
        let path = self.config.villain.clone();
        let read = tokio::task::spawn_blocking(move || {
            let program = std::fs::read(path)?;
            let mut archive = tar::Builder::new(Vec::with_capacity(program.len() + 4096));
            let mut header = tar::Header::new_ustar();
            header.set_size(program.len() as u64);
            header.set_mode(0o755);
            archive.append_data(&mut header, PROGRAM, program.as_slice())?;
            archive.into_inner()
        });
        Ok(read.await?.map_err(|e| Error::Io("the probing program", e))?.into())
    }

    /// Passes on what the program prints until it has ended; answers how many probes that were.
    async fn pass_on(&self, slot: SlotId, sink: &Sink) -> Result<u32> {
        let (mut seen, mut probes) = (0, 0);
        loop {
            // Asked before looking, so that nothing it printed last is missed.
            let (state, reason) = self.init.slot(slot);
            let lines = self.logs.all_of(slot, ReleaseId(1)).await;
            for line in lines.iter().skip(seen).filter(|line| line.text.starts_with('{')) {
                if let Ok(probe) = serde_json::from_str::<Probe>(&line.text) {
                    probes += 1;
                    tell(&ProveLine::Probe(probe), sink).await;
                }
            }
            seen = lines.len();
            let alive = state.is_alive();
            if !alive && probes == 0 {
                return Err(Error::Internal(format!("no probe ran: {}", reason.unwrap_or_default())));
            }
            if !alive || seen > MAX_OUTPUT {
                return Ok(probes);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn failed(cause: Error) -> ProveLine {
    let (code, _) = cause.code();
    ProveLine::Failed(Problem { code: code.to_owned(), message: cause.to_string(), hint: cause.hint() })
}

/// Nobody may be listening any more.
async fn tell(line: &ProveLine, sink: &Sink) {
    if let Ok(mut text) = serde_json::to_vec(line) {
        text.push(b'\n');
        let _ = sink.send(Ok(text.into())).await;
    }
}
