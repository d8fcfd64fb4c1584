//! The route table: composed from the registry, sealed in memory and given to init, which hands it to the proxy. How
//! requests are matched against it is the proxy's business.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use kennel_model::Domain;
use kennel_model::msg::ControlRequest;
use kennel_model::routes::{Front, Maintenance, Route, RouteTable};
use rustix::fs::{MemfdFlags, SealFlags};
use serde::Serialize;

use crate::beta::Betas;
use crate::control::{Control, QUICK};
use crate::error::{Error, Result};
use crate::program::static_files;
use crate::registry::{Pages, TenantPhase, TenantRow};

impl Control {
    /// Publishes what the registry says now. A table never goes out after one that is newer.
    ///
    /// # Errors
    /// The registry's or init's.
    pub(crate) async fn publish_routes(&self) -> Result<()> {
        let _turn = self.publishing.lock().await;
        // Init and the proxy know more than what stands in for the registry, unless this is a boot.
        if self.failsafe.is_some() && !self.is_first.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (rows, pages) = self.registry.with(|store| Ok((store.tenants()?, store.pages()?))).await?;
        self.access.settle(&rows);
        let table = compose(self.next_generation(), &rows, &self.betas, pages, self.front());
        let fd = sealed("routes", &table).map_err(|e| Error::Io("the route table", e))?;
        self.init.ask(ControlRequest::PublishRoutes, vec![fd], QUICK).await?;
        // There may be a name without a certificate now.
        self.orders.look();
        // And another release, with other processes.
        self.processes.look();
        Ok(())
    }
}

fn compose(
    generation: u64,
    rows: &[TenantRow],
    betas: &Betas,
    (pages, of_host): Pages,
    front: Front,
) -> RouteTable {
    let (ids, pages): (Vec<i64>, Vec<_>) = pages.into_iter().unzip();
    // They come in the order of their numbers.
    let at = |id: Option<i64>| ids.binary_search(&id?).ok().and_then(|at| u32::try_from(at).ok());
    let whole = rows.iter().filter(|row| row.phase == TenantPhase::Ready);
    let routes = whole.flat_map(|row| {
        let maintenance = row.maintenance.as_ref().map(|m| Maintenance {
            retry_after_s: m.told.retry_after_s,
            allow: m.allow.clone(),
            page: at(m.page),
        });
        row.domains.iter().map(move |given| Route {
            strip: given.strip,
            redirect: given.redirect.clone(),
            maintenance: maintenance.clone().filter(|_| given.redirect.is_none()),
            page: at(row.page),
            static_files: static_files(row),
            ..Route::to(given.domain.clone(), row.name.clone(), row.slot, row.current, &row.limits)
        })
    });
    let mut routes: Vec<Route> = routes.collect();
    let taken: HashSet<Domain> = routes.iter().map(|route| route.domain.clone()).collect();
    let whole = rows.iter().filter(|row| row.phase == TenantPhase::Ready);
    routes.extend(whole.filter_map(|row| {
        let route = betas.route(row, |domain| taken.contains(domain))?;
        Some(Route { page: at(row.page), ..route })
    }));
    RouteTable { generation, routes, page: at(of_host), pages, front }
}

/// A table in a memfd that nobody can change any more.
pub(crate) fn sealed(name: &str, table: &impl Serialize) -> std::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create(name, flags)?);
    file.write_all(&serde_json::to_vec(table)?)?;
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    use crate::registry::testing::{store, wish};

    #[test]
    fn only_whole_tenants_are_routed() {
        let mut store = store();
        for name in ["a", "b", "c"] {
            store.reserve(&wish(name, &format!("{name}.test")), 9).unwrap();
        }
        store.confirm(&"a".parse().unwrap()).unwrap();
        store.begin_removal(&"c".parse().unwrap()).unwrap();
        let table =
            compose(7, &store.tenants().unwrap(), &Betas::default(), store.pages().unwrap(), Front::default());
        let hosts: Vec<_> = table.routes.iter().map(|r| (r.domain.as_str(), r.release)).collect();
        assert_eq!(hosts, [("a.test", None)]);
    }

    #[test]
    fn the_table_cannot_be_changed_once_it_is_out() {
        let table = RouteTable { generation: 3, ..RouteTable::default() };
        let file = File::from(sealed("routes", &table).unwrap());
        assert!(file.write_at(b"x", 0).is_err());
        assert!(file.set_len(0).is_err());
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(serde_json::from_slice::<RouteTable>(&bytes).unwrap(), table);
    }
}
