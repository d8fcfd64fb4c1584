//! The host as a whole: what it has and uses, and turning it off.

use std::time::Duration;

use kennel_model::api::{Cloud, CloudInstance, CloudTag, Host};
use kennel_model::cloud::{Notice, Report};
use kennel_model::msg::ControlRequest;

use crate::control::{Control, QUICK};
use crate::error::{Error, Result};

impl Control {
    /// What the host has and uses now.
    ///
    /// # Errors
    /// When init or the kernel does not say.
    pub async fn host(&self) -> Result<Host> {
        let status = self.init.status().await?;
        let slots_used = self.registry.with(|store| store.slots_used()).await?;
        let data =
            rustix::fs::statvfs(&self.config.control_dir).map_err(|e| Error::Io("data volume", e.into()))?;
        Ok(Host {
            name: status.name,
            addresses: status.addresses,
            version: self.facts.version.clone(),
            proof: self.facts.proof,
            slots: self.facts.slots,
            slots_used,
            running: u16::try_from(self.init.running().len()).unwrap_or(u16::MAX),
            runtimes: self.facts.runtimes.clone(),
            services: status.services,
            uptime_ms: status.uptime_ms,
            memory_total_bytes: status.memory.total_bytes,
            memory_available_bytes: status.memory.available_bytes,
            swap: status.memory.swap,
            memory_pressure: status.memory.pressure,
            memory_reclaimed: status.memory.reclaimed,
            data_total_bytes: data.f_blocks * data.f_frsize,
            data_available_bytes: data.f_bavail * data.f_frsize,
            warnings: self.warnings().await?,
            expiring: self.expiring().await?,
            clock: status.clock,
            failsafe: self.failsafe.clone(),
            draining: status.draining,
            cloud: self.init.cloud().borrow().as_ref().map(shown),
        })
    }

    /// Begins a clean shutdown, with `PowerOff` or `Reboot`.
    ///
    /// # Errors
    /// Init's.
    pub async fn shut_down(&self, request: ControlRequest) -> Result<()> {
        Ok(self.init.act(request, QUICK).await?)
    }

    /// Prints the certificate's fingerprint on the console, where `kennel run` and people read it.
    ///
    /// # Errors
    /// Init's.
    pub async fn announce(&self, fingerprint: &str) -> Result<()> {
        let line = format!("control: api certificate {fingerprint}");
        Ok(self.init.act(ControlRequest::Announce(line), Duration::from_secs(10)).await?)
    }
}

/// What the cloud says, without what is nobody's business: user-data may hold secrets.
fn shown(report: &Report) -> Cloud {
    let tag = |(name, value): &(String, String)| CloudTag { name: name.clone(), value: value.clone() };
    let instance = report.instance.as_ref().map(|instance| CloudInstance {
        id: instance.id.clone(),
        kind: instance.kind.clone(),
        region: instance.region.clone(),
        zone: instance.zone.clone(),
        host_name: instance.host_name.clone(),
        tags: instance.tags.iter().map(tag).collect(),
        account: instance.identity.as_ref().map(|identity| identity.account.clone()),
        image: instance.identity.as_ref().map(|identity| identity.image.clone()),
        architecture: instance.identity.as_ref().map(|identity| identity.architecture.clone()),
        started: instance.identity.as_ref().map(|identity| identity.pending.clone()),
    });
    Cloud {
        instance,
        trouble: report.trouble.clone(),
        notices: report.notices.iter().map(Notice::sentence).collect(),
    }
}
