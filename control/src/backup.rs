//! What a tenant is beside its files, told to whoever may run commands with it: they can see all of it from within its slot, values of
//! variables too. What makes a tenant of it again are the operations that there are for each part.

use std::collections::BTreeMap;

use kennel_model::TenantName;
use kennel_model::api::NewEgressRule;
use kennel_model::backup::{Backup, FORMAT, KeptRelease};
use kennel_model::found::Origin;
use kennel_model::routing::{NewDomain, NewRedirect};

use crate::control::Control;
use crate::error::Result;
use crate::registry::{DomainRow, ReleaseRow, TenantRow, now_s};

impl Control {
    /// A tenant's settings, as the registry has them.
    ///
    /// # Errors
    /// [`crate::error::Error::NoSuchTenant`], a tenant that is coming or going, or whose environment cannot be opened.
    pub(crate) async fn backup(&self, name: &TenantName) -> Result<Backup> {
        let row = self.ready(name).await?;
        let env: BTreeMap<_, _> = self.values(name).await?;
        let jobs = self.timetable(name).await?.into_iter().map(|job| job.wish).collect();
        let wanted = name.clone();
        let scale = self.registry.with(move |store| store.scale(&wanted)).await?;
        let wanted = name.clone();
        let page = self.registry.with(move |store| store.page(Some(&wanted))).await?;
        let egress = row.egress.rules().iter();
        let egress =
            egress.map(|rule| NewEgressRule { action: rule.action(), to: rule.to().to_string() }).collect();
        let release = row.current_release().map(kept);
        let TenantRow { name, runtime, command, limits, domains, .. } = row;
        let (domains, redirects) = routed(domains);
        let taken_at_s = now_s();
        Ok(Backup {
            format: FORMAT,
            taken_at_s,
            name,
            runtime,
            command,
            limits,
            domains,
            redirects,
            egress,
            env,
            jobs,
            scale,
            page,
            release,
        })
    }
}

fn routed(rows: Vec<DomainRow>) -> (Vec<NewDomain>, Vec<NewRedirect>) {
    let (mut domains, mut redirects) = (vec![], vec![]);
    for DomainRow { domain, strip, redirect } in rows {
        match redirect {
            None => domains.push(NewDomain { domain, strip }),
            Some(to) => redirects.push(NewRedirect {
                domain,
                to: to.to,
                permanent: to.permanent,
                keep_path: to.keep_path,
            }),
        }
    }
    (domains, redirects)
}

fn kept(row: &ReleaseRow) -> KeptRelease {
    let said = row.origin == Some(Origin::CommandLine);
    KeptRelease {
        id: row.id,
        runtime: row.runtime.clone(),
        command: if said { row.command.clone() } else { vec![] },
        source: row.source.clone(),
    }
}
