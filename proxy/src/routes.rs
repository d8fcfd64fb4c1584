//! The route table in force: lookup by name, replaced as a whole. Where tables come from and whether their bytes
//! can be trusted is `snapshot`'s business; which name a request means is `host`'s.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::files::{Site, Sites, Which};
use kennel_model::egress::Network;
use kennel_model::page::Page;
use kennel_model::places::Places;
use kennel_model::redirect::Redirect;
use kennel_model::routes::{
    BadRoutes, Beta, Crawlers, Front, Https, Protocol, Route, RouteTable, TrafficLimits,
};
use kennel_model::{Domain, HealthPath, ReleaseId, SlotId, TenantName};

use crate::paths;

/// Where requests for one domain go.
#[derive(Debug)]
pub struct Target {
    /// For the log.
    pub tenant: TenantName,
    /// Whose first port is the upstream.
    pub slot: SlotId,
    /// What it is the way for.
    pub domain: Domain,
    /// Whether the program gets paths without the domain's.
    pub strip: bool,
    /// Where requests are sent in the place of a program.
    pub redirect: Option<Redirect>,
    /// What visitors are told while it is worked on.
    pub maintenance: Option<Maintenance>,
    /// What is shown in the place of our own pages.
    pub page: Option<Arc<Page>>,
    /// What there is to start, if anything.
    pub release: Option<ReleaseId>,
    /// How long a first request waits for the program to listen.
    pub start_wait: Duration,
    /// What is asked whether it is ready.
    pub health: Option<HealthPath>,
    /// What is spoken to it.
    pub protocol: Protocol,
    /// Whether crawlers wake it.
    pub crawlers: Crawlers,
    /// What is done with requests without TLS.
    pub https: Https,
    /// For how long browsers are told to come with it only, in seconds; 0 for nothing.
    pub hsts_s: u32,
    /// Whether answers say where their time went.
    pub server_timing: bool,
    /// What it may take of us.
    pub traffic: TrafficLimits,
    /// Files that are answered here.
    pub(crate) site: Option<Arc<Site>>,
    /// It is shown beside the one that serves: where it is.
    pub beta: Option<Beta>,
}

/// What visitors are told while a tenant is worked on.
#[derive(Debug)]
pub struct Maintenance {
    /// When to come again, in seconds.
    pub retry_after_s: u32,
    /// Who is let through.
    allow: Vec<Network>,
    /// What is shown, if not the tenant's usual page.
    pub page: Option<Arc<Page>>,
}

impl Maintenance {
    /// Whether who comes from there is let through.
    pub fn lets_in(&self, client: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(Network::of(client.to_canonical())))
    }
}

/// A table that is not taken, the one before stays.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTable {
    /// It contradicts itself.
    #[error(transparent)]
    Routes(#[from] BadRoutes),
    /// Not newer than what is in force.
    #[error("generation {got} is older than {have}, which is in force")]
    Old {
        /// Of the new table.
        got: u64,
        /// Of the table in force.
        have: u64,
    },
}

/// A table made ready for lookup.
#[derive(Debug)]
struct Table {
    generation: u64,
    places: Places<Arc<Target>>,
    /// For what has none of its own.
    page: Option<Arc<Page>>,
    front: Arc<Front>,
}

/// What a lookup found.
#[derive(Debug)]
pub enum Found {
    /// The way to the tenant.
    Target(Arc<Target>),
    /// No tenant has this name, or nothing at this path of it.
    Unknown,
    /// The path could be read in two ways that lead to two.
    Ambiguous,
    /// No table has arrived yet; every name is unknown for now.
    NoTable,
}

/// The table in force, shared by all workers.
#[derive(Debug, Default)]
pub struct Routes {
    current: RwLock<Option<Arc<Table>>>,
    /// Something stands in front, by the table in force.
    is_behind: AtomicBool,
    sites: Sites,
}

impl Routes {
    /// Looks up a name, as [`crate::host::name`] gives it, and a path as it came.
    pub fn find(&self, name: &str, path: &str) -> Found {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let Some(table) = current.as_ref() else { return Found::NoTable };
        let sites = table.places.sites(name);
        let found = match sites.have_parts() {
            true => paths::lead(path, |path| sites.find(path)),
            false => Ok(sites.find(path)),
        };
        match found {
            Ok(Some(target)) => Found::Target(target.clone()),
            Ok(None) => Found::Unknown,
            Err(paths::Ambiguous) => Found::Ambiguous,
        }
    }

    /// What visitors come through, if anything: most hosts have nothing there, and each request asks.
    pub(crate) fn in_front(&self) -> Option<Arc<Front>> {
        if !self.is_behind.load(Ordering::Relaxed) {
            return None;
        }
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|table| table.front.clone())
    }

    /// What is shown for what has no page of its own, if not ours.
    pub(crate) fn page(&self) -> Option<Arc<Page>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.page.clone()
    }

    /// The same program with another release, if there has been a deploy since it was looked up.
    pub(crate) fn successor(&self, target: &Target) -> Option<Arc<Target>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let now = current.as_ref()?.places.get(&target.domain)?;
        (now.slot == target.slot && now.beta == target.beta && now.release != target.release)
            .then(|| now.clone())
    }

    /// Puts a new table in force; requests under way keep the target that they have.
    ///
    /// # Errors
    /// [`BadTable`], and nothing has changed.
    pub fn replace(&self, table: RouteTable, start_longest: Duration) -> Result<(), BadTable> {
        table.validate()?;
        let sites = self.sites.of(&table.routes);
        let RouteTable { generation, routes, pages, page, front } = table;
        let pages: Vec<Arc<Page>> = pages.into_iter().map(Arc::new).collect();
        let of = |index: Option<u32>| pages.get(usize::try_from(index?).ok()?).cloned();
        let page = of(page);
        let mut places = Places::with_capacity(routes.len());
        for route in routes {
            let site = route.static_files.and_then(|_| sites.get(&Which::of(&route))).cloned();
            let Route { domain, strip, redirect, maintenance, page, tenant, slot, release, .. } = route;
            let maintenance = maintenance.map(|m| Maintenance {
                retry_after_s: m.retry_after_s,
                allow: m.allow,
                page: of(m.page),
            });
            let target = Target {
                tenant,
                slot,
                strip,
                redirect,
                maintenance,
                page: of(page),
                release,
                start_wait: Duration::from_millis(route.start_timeout_ms.into()).min(start_longest),
                health: route.health,
                protocol: route.protocol,
                crawlers: route.crawlers,
                https: route.https,
                hsts_s: route.hsts_s,
                server_timing: route.server_timing,
                traffic: route.traffic,
                domain: domain.clone(),
                site,
                beta: route.beta,
            };
            places.insert(&domain, Arc::new(target));
        }
        let front = Arc::new(front);
        let table = Arc::new(Table { generation, places, page, front });
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        match current.as_ref().map(|t| t.generation) {
            Some(have) if generation < have => return Err(BadTable::Old { got: generation, have }),
            _ => {
                self.is_behind.store(!table.front.trusted.is_empty(), Ordering::Relaxed);
                *current = Some(table);
            }
        }
        self.sites.replace(sites);
        Ok(())
    }

    /// The files of all sites.
    pub(crate) const fn sites(&self) -> &Sites {
        &self.sites
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(120);

    fn route(host: &str, slot: u16) -> Route {
        let limits = kennel_model::Limits { start_timeout_ms: u32::MAX, ..kennel_model::Limits::default() };
        let (tenant, slot) = (TenantName::new("blog").unwrap(), SlotId::new(slot).unwrap());
        Route::to(host.parse().unwrap(), tenant, slot, Some(ReleaseId(1)), &limits)
    }

    fn table(generation: u64, routes: Vec<Route>) -> RouteTable {
        RouteTable { generation, routes, ..RouteTable::default() }
    }

    fn slot_of(routes: &Routes, name: &str) -> Option<u16> {
        match routes.find(name, "/") {
            Found::Target(target) => Some(target.slot.index()),
            _ => None,
        }
    }

    #[test]
    fn a_whole_table_replaces_the_one_before() {
        let routes = Routes::default();
        assert!(matches!(routes.find("a.example", "/"), Found::NoTable));
        routes.replace(table(1, vec![route("a.example", 1)]), LONGEST).unwrap();
        assert_eq!(slot_of(&routes, "a.example"), Some(1));
        routes.replace(table(2, vec![route("b.example", 2)]), LONGEST).unwrap();
        assert!(matches!(routes.find("a.example", "/"), Found::Unknown));
        assert_eq!(slot_of(&routes, "b.example"), Some(2));
    }

    #[test]
    fn a_bad_table_changes_nothing() {
        let routes = Routes::default();
        routes.replace(table(5, vec![route("a.example", 1)]), LONGEST).unwrap();
        let old = table(4, vec![]);
        assert_eq!(routes.replace(old, LONGEST), Err(BadTable::Old { got: 4, have: 5 }));
        let twice = table(6, vec![route("b.example", 1), route("b.example", 2)]);
        assert!(matches!(routes.replace(twice, LONGEST), Err(BadTable::Routes(BadRoutes::Duplicate(_)))));
        assert_eq!(slot_of(&routes, "a.example"), Some(1));
    }

    #[test]
    fn waiting_is_bounded() {
        let routes = Routes::default();
        routes.replace(table(1, vec![route("a.example", 1)]), LONGEST).unwrap();
        match routes.find("a.example", "/") {
            Found::Target(target) => assert_eq!(target.start_wait, LONGEST),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_page_that_is_not_there_is_no_table() {
        let routes = Routes::default();
        let named = Route { page: Some(1), ..route("a.example", 1) };
        let with = |page| RouteTable {
            pages: vec![Page::new("x").unwrap()],
            page,
            ..table(1, vec![Route { page: Some(0), ..route("a.example", 1) }])
        };
        for bad in [table(1, vec![named]), with(Some(1))] {
            assert_eq!(routes.replace(bad, LONGEST), Err(BadTable::Routes(BadRoutes::NoPage(1))));
        }
        assert!(matches!(routes.find("a.example", "/"), Found::NoTable));
        routes.replace(with(None), LONGEST).unwrap();
        let Found::Target(target) = routes.find("a.example", "/") else { panic!() };
        assert_eq!((target.page.as_ref().map(|page| page.as_str()), routes.page()), (Some("x"), None));
    }

    #[test]
    fn a_deploy_is_seen_at_the_domain_that_was_asked() {
        let routes = Routes::default();
        let of = |release, n| Route { release: Some(ReleaseId(release)), ..route("*.a.example/x", n) };
        routes.replace(table(1, vec![of(1, 1), route("a.example", 2)]), LONGEST).unwrap();
        let Found::Target(first) = routes.find("b.a.example", "/x/y") else { panic!() };
        assert!(routes.successor(&first).is_none());
        routes.replace(table(2, vec![of(2, 1)]), LONGEST).unwrap();
        assert_eq!(routes.successor(&first).and_then(|next| next.release), Some(ReleaseId(2)));
        routes.replace(table(3, vec![of(3, 2)]), LONGEST).unwrap();
        assert!(routes.successor(&first).is_none(), "it is another tenant's now");
    }

    #[test]
    fn who_is_let_in_is_known_by_his_address() {
        let allow = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let maintenance = Maintenance { retry_after_s: 1, allow: allow.into(), page: None };
        for (client, lets_in) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("2001:db8::7", true),
            ("::1", false),
        ] {
            assert_eq!(maintenance.lets_in(client.parse().unwrap()), lets_in, "{client}");
        }
    }
}
