//! From one runtime to another: a release of the same files that the other runs, tried and taken into use as a rollback's is. What one
//! runtime's interpreter runs, another language's cannot: that is refused before anything is tried.

use std::sync::Arc;

use kennel_model::TenantName;
use kennel_model::api::{Move, Moved, RuntimeUse};

use crate::control::Control;
use crate::error::{Error, Result};
use crate::people::Who;
use crate::people::rights::sees;
use crate::program;
use crate::trial::look_after;

impl Control {
    /// The image's runtimes, each with those tenants on it that whoever asks may see.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) async fn runtimes(&self, who: &Who) -> Result<Vec<RuntimeUse>> {
        let rows = self.registry.with(|store| store.tenants()).await?;
        let theirs: Vec<_> = rows.iter().filter(|row| sees(who, row.name.as_str())).collect();
        let used = self.facts.runtimes.iter().map(|runtime| RuntimeUse {
            name: runtime.name.clone(),
            version: runtime.version.clone(),
            jit: runtime.jit,
            tenants: theirs
                .iter()
                .filter(|row| row.runtime == runtime.name)
                .map(|row| row.name.clone())
                .collect(),
        });
        Ok(used.collect())
    }

    /// Has what serves run on another runtime; without a release, what comes first will.
    ///
    /// # Errors
    /// [`Error`]; what served before serves still, or again.
    pub async fn move_to(self: &Arc<Self>, name: &TenantName, wish: Move, by: &str) -> Result<Moved> {
        let claim = self.claim(name, "a move to another runtime")?;
        let row = self.settled(name).await?;
        let to = self.runtime(&wish.runtime)?;
        let from = row.runtime.clone();
        if to.name == from {
            return Err(Error::RunsThere(name.clone(), from));
        }
        let command = match row.current_release() {
            Some(release) => program::carried(release, &release.command, to)?,
            None => vec![],
        };
        let (wanted, by_whom, runtime) = (name.clone(), by.to_owned(), wish.runtime);
        let told = format!("moved from {from} to {runtime}");
        let begun =
            move |store: &mut crate::registry::Store| store.begin_move(&wanted, &by_whom, &runtime, &command);
        let begun = self.registry.with(begun).await?;
        if let Some(id) = begun {
            self.try_out(&claim, &row, id, format!("{told}: {id} by {by}")).await?;
            self.sweep(&claim, &row).await;
            if let (Some(before), true) = (row.current, row.limits.trial) {
                tokio::spawn(look_after(Arc::clone(self), name.clone(), id, before));
            }
        }
        let tenant = self.tenant(name).await?;
        let release = tenant.releases.iter().find(|of| Some(of.id) == begun).cloned();
        Ok(Moved { from, release, tenant })
    }
}
