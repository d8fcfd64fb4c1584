//! Denied acts: kept as they come from init, told to whoever asks, and to whoever follows. What the words are is the
//! model's; what is kept is the registry's. A kind of denial in one of the host's own programs that was never seen
//! before is said on the console too: our own programs do nothing that is forbidden, so either the policy is wrong or
//! somebody has taken one of them over.

use std::sync::Arc;

use bytes::Bytes;
use kennel_model::TenantName;
use kennel_model::api;
use kennel_model::denial::Batch;
use kennel_model::denial::words::{Names, sentence};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::control::Control;
use crate::error::{Error, Result};
use crate::logs::Wish;
use crate::registry::DenialRow;
use crate::say;

/// Batches that a follower may be behind; then it misses some.
const BEHIND: usize = 64;

/// News for those who follow.
pub(crate) struct News(broadcast::Sender<Arc<[api::Denial]>>);

impl Default for News {
    fn default() -> Self {
        Self(broadcast::channel(BEHIND).0)
    }
}

type Sink = mpsc::Sender<std::io::Result<Bytes>>;

impl Control {
    /// Keeps what comes from init, for ever.
    pub(crate) async fn keep_denials(self: Arc<Self>, mut batches: mpsc::Receiver<Batch>) {
        while let Some(batch) = batches.recv().await {
            if let Err(cause) = self.keep(batch).await {
                say!("denied acts were not kept: {cause}");
            }
        }
    }

    async fn keep(&self, batch: Batch) -> Result<()> {
        let kept = self.registry.with(|store| Ok((store.keep_denials(batch)?, store.residents()?))).await?;
        let (rows, names) = kept;
        let news: Arc<[api::Denial]> = rows.iter().map(|row| show(row, &names)).collect();
        for (row, shown) in rows.iter().zip(&*news) {
            if row.new && row.denial.actor.slot().is_none() {
                say!("WARNING: {}; see `kennel host status`", shown.sentence);
            }
        }
        // Nobody may be following.
        let _ = self.denials.0.send(news);
        Ok(())
    }

    /// Denials of the host's own programs.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) async fn warnings(&self) -> Result<Vec<api::Denial>> {
        let (rows, names) = self.registry.with(|store| Ok((store.warnings()?, store.residents()?))).await?;
        Ok(rows.iter().map(|row| show(row, &names)).collect())
    }

    /// Writes what was asked for into the sink, one JSON document a line, until all is told or the client is gone.
    pub(crate) async fn tell_denials(self: Arc<Self>, of: Option<TenantName>, wish: Wish, sink: Sink) {
        // Before the first look, so that nothing falls between.
        let news = self.denials.0.subscribe();
        let told = match self.tell_known(of.clone(), wish.lines, &sink).await {
            Ok(()) if wish.follow => follow(of.as_ref(), news, &sink).await,
            told => told,
        };
        if let Err(cause) = told {
            let _ = sink.send(Err(std::io::Error::other(cause))).await;
        }
    }

    async fn tell_known(&self, of: Option<TenantName>, lines: usize, sink: &Sink) -> Result<()> {
        let look = move |store: &mut crate::registry::Store| {
            Ok((store.denials(of.as_ref(), lines)?, store.residents()?))
        };
        let (rows, names) = self.registry.with(look).await?;
        let shown: Vec<_> = rows.iter().map(|row| show(row, &names)).collect();
        send(&shown, sink).await
    }
}

async fn follow(
    of: Option<&TenantName>,
    mut news: broadcast::Receiver<Arc<[api::Denial]>>,
    sink: &Sink,
) -> Result<()> {
    loop {
        let batch = tokio::select! {
            () = sink.closed() => return Ok(()),
            batch = news.recv() => batch,
        };
        match batch {
            Ok(batch) => {
                let wanted: Vec<_> =
                    batch.iter().filter(|d| of.is_none() || d.tenant.as_ref() == of).cloned().collect();
                send(&wanted, sink).await?;
            }
            // It reads more slowly than others try; the counts are in the registry.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

async fn send(denials: &[api::Denial], sink: &Sink) -> Result<()> {
    let mut text = Vec::new();
    for denial in denials {
        serde_json::to_writer(&mut text, denial).map_err(|e| Error::Internal(e.to_string()))?;
        text.push(b'\n');
    }
    // A client that is gone wants no more.
    if !text.is_empty() {
        let _ = sink.send(Ok(text.into())).await;
    }
    Ok(())
}

fn show(row: &DenialRow, names: &Names) -> api::Denial {
    let denial = &row.denial;
    api::Denial {
        tenant: row.tenant.clone(),
        sentence: sentence(denial, names),
        refused_by: denial.refused_by(),
        program: denial.program.clone(),
        act: denial.act.clone(),
        count: row.count,
        first_at_s: row.first_at_s,
        last_at_s: row.last_at_s,
    }
}
