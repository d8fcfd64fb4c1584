//! The route table in force: lookup by name, replaced as a whole. Where tables come from and whether their bytes
//! can be trusted is `snapshot`'s business; which name a request means is `host`'s.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kennel_model::routes::{Crawlers, DuplicateHost, Front, Https, RouteTable, TrafficLimits};
use kennel_model::{HealthPath, HostName, ReleaseId, SlotId, TenantName};

/// Where requests for one name go.
#[derive(Debug)]
pub struct Target {
    /// For the log.
    pub tenant: TenantName,
    /// Whose first port is the upstream.
    pub slot: SlotId,
    /// The name.
    pub host: HostName,
    /// What there is to start, if anything.
    pub release: Option<ReleaseId>,
    /// How long a first request waits for the program to listen.
    pub start_wait: Duration,
    /// What is asked whether it is ready.
    pub health: Option<HealthPath>,
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
}

/// A table that is not taken, the one before stays.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTable {
    /// Two routes for one name.
    #[error(transparent)]
    Duplicate(#[from] DuplicateHost),
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
    by_name: HashMap<String, Arc<Target>>,
    front: Arc<Front>,
}

/// What a lookup found.
#[derive(Debug)]
pub enum Found {
    /// The way to the tenant.
    Target(Arc<Target>),
    /// No tenant has this name.
    Unknown,
    /// No table has arrived yet; every name is unknown for now.
    NoTable,
}

/// The table in force, shared by all workers.
#[derive(Debug, Default)]
pub struct Routes {
    current: RwLock<Option<Arc<Table>>>,
}

impl Routes {
    /// Looks a name up, as [`crate::host::name`] gives it.
    pub fn find(&self, name: &str) -> Found {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        match current.as_ref().map(|t| t.by_name.get(name)) {
            Some(Some(target)) => Found::Target(target.clone()),
            Some(None) => Found::Unknown,
            None => Found::NoTable,
        }
    }

    /// What visitors come through.
    pub(crate) fn front(&self) -> Arc<Front> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map_or_else(Arc::default, |table| table.front.clone())
    }

    /// The same program with another release, if there has been a deploy since it was looked up.
    pub(crate) fn successor(&self, target: &Target) -> Option<Arc<Target>> {
        match self.find(target.host.as_str()) {
            Found::Target(now) if now.slot == target.slot && now.release != target.release => Some(now),
            _ => None,
        }
    }

    /// Puts a new table in force; requests under way keep the target that they have.
    ///
    /// # Errors
    /// [`BadTable`], and nothing has changed.
    pub fn replace(&self, table: RouteTable, start_longest: Duration) -> Result<(), BadTable> {
        table.validate()?;
        let generation = table.generation;
        let by_name = table.routes.into_iter().map(|route| {
            let name = route.host.as_str().to_owned();
            let target = Target {
                host: route.host,
                tenant: route.tenant,
                slot: route.slot,
                release: route.release,
                start_wait: Duration::from_millis(route.start_timeout_ms.into()).min(start_longest),
                health: route.health,
                crawlers: route.crawlers,
                https: route.https,
                hsts_s: route.hsts_s,
                server_timing: route.server_timing,
                traffic: route.traffic,
            };
            (name, Arc::new(target))
        });
        let front = Arc::new(table.front);
        let table = Arc::new(Table { generation, by_name: by_name.collect(), front });
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        match current.as_ref().map(|t| t.generation) {
            Some(have) if generation < have => return Err(BadTable::Old { got: generation, have }),
            _ => *current = Some(table),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::routes::Route;

    const LONGEST: Duration = Duration::from_secs(120);

    fn route(host: &str, slot: u16) -> Route {
        Route {
            host: HostName::new(host).unwrap(),
            tenant: TenantName::new("blog").unwrap(),
            slot: SlotId::new(slot).unwrap(),
            release: Some(ReleaseId(1)),
            start_timeout_ms: u32::MAX,
            health: None,
            crawlers: Crawlers::Wake,
            https: Https::Redirect,
            hsts_s: 0,
            server_timing: false,
            traffic: TrafficLimits::default(),
        }
    }

    fn table(generation: u64, routes: Vec<Route>) -> RouteTable {
        RouteTable { generation, routes, ..RouteTable::default() }
    }

    fn slot_of(routes: &Routes, name: &str) -> Option<u16> {
        match routes.find(name) {
            Found::Target(target) => Some(target.slot.index()),
            _ => None,
        }
    }

    #[test]
    fn a_whole_table_replaces_the_one_before() {
        let routes = Routes::default();
        assert!(matches!(routes.find("a.example"), Found::NoTable));
        routes.replace(table(1, vec![route("a.example", 1)]), LONGEST).unwrap();
        assert_eq!(slot_of(&routes, "a.example"), Some(1));
        routes.replace(table(2, vec![route("b.example", 2)]), LONGEST).unwrap();
        assert!(matches!(routes.find("a.example"), Found::Unknown));
        assert_eq!(slot_of(&routes, "b.example"), Some(2));
    }

    #[test]
    fn a_bad_table_changes_nothing() {
        let routes = Routes::default();
        routes.replace(table(5, vec![route("a.example", 1)]), LONGEST).unwrap();
        let old = table(4, vec![]);
        assert_eq!(routes.replace(old, LONGEST), Err(BadTable::Old { got: 4, have: 5 }));
        let twice = table(6, vec![route("b.example", 1), route("b.example", 2)]);
        assert!(matches!(routes.replace(twice, LONGEST), Err(BadTable::Duplicate(_))));
        assert_eq!(slot_of(&routes, "a.example"), Some(1));
    }

    #[test]
    fn waiting_is_bounded() {
        let routes = Routes::default();
        routes.replace(table(1, vec![route("a.example", 1)]), LONGEST).unwrap();
        match routes.find("a.example") {
            Found::Target(target) => assert_eq!(target.start_wait, LONGEST),
            other => panic!("{other:?}"),
        }
    }
}
