//! What tenants have reserved of the host: never more than it can give, so that each reservation is worth what it says.

use kennel_model::launch::RESERVABLE_PERCENT;
use kennel_model::{Limits, TenantName};
use tokio::sync::MutexGuard;

use crate::control::Control;
use crate::error::{Error, Result};

/// What there is to reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Whole {
    memory_bytes: u64,
    /// In percent of one.
    processors: u64,
}

impl Control {
    /// Whether this tenant may have reserved as much as these limits say, beside all others. Nobody else reserves anything
    /// until the guard is dropped, after the limits are in the registry; none is needed for a tenant that reserves nothing.
    ///
    /// # Errors
    /// [`Error::Oversold`] says how much is left.
    pub(crate) async fn reserve(&self, name: &TenantName, wish: &Limits) -> Result<Option<MutexGuard<'_, ()>>> {
        if (wish.memory_reserved_bytes, wish.cpu_reserved_percent) == (0, 0) {
            return Ok(None);
        }
        let turn = self.reserving.lock().await;
        let status = self.init.status().await?;
        let percent = u64::from(RESERVABLE_PERCENT);
        let whole = Whole {
            memory_bytes: status.memory.total_bytes / 100 * percent,
            processors: u64::from(status.processors) * percent,
        };
        let rows = self.registry.with(|store| store.tenants()).await?;
        let others: Vec<Limits> = rows.iter().filter(|row| row.name != *name).map(|row| row.limits).collect();
        fits(whole, &others, wish)?;
        Ok(Some(turn))
    }
}

fn fits(whole: Whole, others: &[Limits], wish: &Limits) -> Result<()> {
    const MIB: u64 = 1 << 20;
    let memory: u64 = others.iter().map(|limits| limits.memory_reserved_bytes).sum();
    let free = whole.memory_bytes.saturating_sub(memory);
    if wish.memory_reserved_bytes > free {
        return Err(Error::Oversold(format!("{} MiB of memory", free / MIB)));
    }
    let processors: u64 = others.iter().map(|limits| u64::from(limits.cpu_reserved_percent)).sum();
    let free = whole.processors.saturating_sub(processors);
    if u64::from(wish.cpu_reserved_percent) > free {
        return Err(Error::Oversold(format!("{free} % of a processor")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserving(memory_mib: u64, cpu_reserved_percent: u16) -> Limits {
        Limits { memory_reserved_bytes: memory_mib << 20, cpu_reserved_percent, ..Limits::default() }
    }

    #[test]
    fn nothing_is_sold_twice() {
        let whole = Whole { memory_bytes: 750 << 20, processors: 150 };
        let others = [reserving(200, 100), reserving(0, 0), reserving(300, 0)];
        let said = |wish| fits(whole, &others, &wish).map_err(|e| e.to_string());
        assert_eq!(said(reserving(250, 50)), Ok(()));
        assert!(said(reserving(251, 0)).unwrap_err().contains("250 MiB of memory"));
        assert!(said(reserving(0, 51)).unwrap_err().contains("50 % of a processor"));
        // A smaller machine than the one before: what was sold stays sold, and no more is.
        let small = Whole { memory_bytes: 1 << 20, processors: 75 };
        assert!(fits(small, &others, &reserving(1, 0)).is_err());
        assert!(fits(small, &others, &Limits::default()).is_ok());
    }
}
