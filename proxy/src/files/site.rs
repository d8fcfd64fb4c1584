//! The files of one release: its folder, opened by init when first needed, and what is known of names in it. A release never changes, so
//! that what was found once holds for as long as the release is the tenant's. Both bounds and what they cost stand in `Limits`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kennel_model::routes::Route;
use kennel_model::{ReleaseId, SlotId, StaticFiles, TenantName};
use rustix::fs::Stat;
use rustix::io::Errno;
use tokio::sync::OnceCell;

use super::choose::CODINGS;
use super::form::Form;
use super::open::{self, Found};
use super::place;
use crate::limits::Limits;

/// Names longer than this are not remembered.
const LONGEST_NAME: usize = 512;

/// Which of the releases of a tenant that have routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Which {
    /// Whose.
    pub(super) slot: SlotId,
    /// Not the one that serves.
    is_beta: bool,
}

impl Which {
    /// The one that a route leads to.
    pub(crate) const fn of(route: &Route) -> Self {
        Self { slot: route.slot, is_beta: route.beta.is_some() }
    }
}

/// The files of one release.
#[derive(Debug)]
pub(crate) struct Site {
    pub(super) tenant: TenantName,
    pub(super) which: Which,
    pub(super) release: ReleaseId,
    pub(super) rule: StaticFiles,
    /// None: there is no such folder.
    pub(super) folder: OnceCell<Option<Arc<OwnedFd>>>,
    names: Mutex<Names>,
}

#[derive(Debug, Default)]
struct Names {
    known: HashMap<Box<str>, Known>,
    missing: HashSet<Box<str>>,
}

/// What is known of a name.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// A file.
    File(Arc<Entry>),
    /// A folder with a page, to be asked for with a slash behind it.
    Folder,
    /// Nothing.
    Nothing,
}

/// A file in all its forms.
#[derive(Debug)]
pub(super) struct Entry {
    /// As it is.
    pub(super) plain: Form,
    /// Compressed, by their place in [`CODINGS`].
    pub(super) coded: [Option<Form>; CODINGS.len()],
}

/// How much of it all is held.
#[derive(Debug)]
pub(super) struct Budget {
    files: AtomicUsize,
    bytes: AtomicUsize,
    max_files: usize,
    max_bytes: usize,
    pub(super) max_names: usize,
    /// Of a file that is kept in memory.
    pub(super) small_bytes: u64,
}

/// What a form holds.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: Option<usize>,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            files: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_files: limits.static_open_files,
            max_bytes: limits.static_kept_bytes,
            max_names: limits.static_names,
            small_bytes: limits.static_small_bytes,
        })
    }

    /// Whether more is held than may stay.
    fn is_over(&self) -> bool {
        self.files.load(Ordering::Relaxed) > self.max_files
            || self.bytes.load(Ordering::Relaxed) > self.max_bytes
    }

    /// For bytes in memory, or for an open file.
    pub(super) fn share(self: &Arc<Self>, bytes: Option<usize>) -> Share {
        match bytes {
            Some(bytes) => self.bytes.fetch_add(bytes, Ordering::Relaxed),
            None => self.files.fetch_add(1, Ordering::Relaxed),
        };
        Share { budget: self.clone(), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        match self.bytes {
            Some(bytes) => self.budget.bytes.fetch_sub(bytes, Ordering::Relaxed),
            None => self.budget.files.fetch_sub(1, Ordering::Relaxed),
        };
    }
}

impl Site {
    fn new(route: &Route) -> Option<Self> {
        Some(Self {
            tenant: route.tenant.clone(),
            which: Which::of(route),
            release: route.release?,
            rule: route.static_files?,
            folder: OnceCell::new(),
            names: Mutex::default(),
        })
    }

    fn is_of(&self, route: &Route) -> bool {
        self.tenant == route.tenant
            && self.which == Which::of(route)
            && Some(self.release) == route.release
            && Some(self.rule) == route.static_files
    }

    /// What is known of a name already.
    pub(super) fn known(&self, path: &str) -> Option<Known> {
        let names = self.lock();
        names.known.get(path).cloned().or_else(|| names.missing.contains(path).then_some(Known::Nothing))
    }

    /// Remembers what was found. Answers whether too much is held by now, here and elsewhere.
    pub(super) fn remember(&self, path: &str, known: &Known, budget: &Budget) -> bool {
        if path.len() > LONGEST_NAME {
            return false;
        }
        let mut names = self.lock();
        // All of it instead of the least used: what is in use comes back by itself.
        match known {
            Known::Nothing => {
                if names.missing.len() >= budget.max_names {
                    names.missing.clear();
                }
                names.missing.insert(path.into());
                false
            }
            known => {
                if names.known.len() >= budget.max_names {
                    names.known.clear();
                }
                names.known.insert(path.into(), known.clone());
                budget.is_over()
            }
        }
    }

    fn forget(&self) {
        *self.lock() = Names::default();
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is known without looking at the disk that there is nothing by this name.
    pub(super) fn is_known_missing(folder: &OwnedFd, path: &str) -> bool {
        !path.is_empty() && open::is_known_missing(folder.as_fd(), path)
    }

    /// Looks a name up. May wait for the disk.
    ///
    /// # Errors
    /// The system's, where it does not follow that there is nothing.
    pub(super) fn find(&self, folder: &OwnedFd, path: &str, budget: &Arc<Budget>) -> io::Result<Known> {
        let look = |path: &str| open::find(folder.as_fd(), path).map_err(io::Error::from);
        let (file, stat) = match look(if path.is_empty() { "." } else { path })? {
            Found::File(file, stat) => (file, stat),
            Found::Folder => {
                let page = look(&place::index_of(path.to_owned()))?;
                return Ok(if matches!(page, Found::File(..)) { Known::Folder } else { Known::Nothing });
            }
            Found::Nothing => return Ok(Known::Nothing),
        };
        let mut coded = [const { None }; CODINGS.len()];
        for (at, coding) in CODINGS.iter().enumerate() {
            if let Found::File(file, stat) = look(&format!("{path}{}", coding.ending))? {
                coded[at] = Some((file, stat));
            }
        }
        let varies = coded.iter().any(Option::is_some);
        let form =
            |(file, stat): (File, Stat), coding| Form::new(self, path, file, &stat, (coding, varies), budget);
        let mut forms = [const { None }; CODINGS.len()];
        for (at, found) in coded.into_iter().enumerate() {
            forms[at] = found.map(|found| form(found, Some(CODINGS[at]))).transpose()?;
        }
        Ok(Known::File(Arc::new(Entry { plain: form((file, stat), None)?, coded: forms })))
    }
}

/// All of a small file.
///
/// # Errors
/// The system's, or it has become shorter.
pub(super) fn whole(file: &File, size: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| Errno::FBIG)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.into())
}

/// The sites of the route table in force.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    current: Mutex<HashMap<Which, Arc<Site>>>,
}

impl Sites {
    /// Those of another table. A release that both have keeps what is known of it; no other may, as a slot that another
    /// tenant has by now has other files under the same number.
    pub(crate) fn of(&self, routes: &[Route]) -> HashMap<Which, Arc<Site>> {
        let current = self.lock();
        let mut next = HashMap::new();
        for route in routes.iter().filter(|route| route.static_files.is_some()) {
            let which = Which::of(route);
            if next.contains_key(&which) {
                continue;
            }
            let kept = current.get(&which).filter(|site| site.is_of(route)).cloned();
            if let Some(site) = kept.or_else(|| Site::new(route).map(Arc::new)) {
                next.insert(which, site);
            }
        }
        next
    }

    /// Puts them in force.
    pub(crate) fn replace(&self, next: HashMap<Which, Arc<Site>>) {
        *self.lock() = next;
    }

    /// What is there now.
    pub(super) fn at(&self, which: Which) -> Option<Arc<Site>> {
        self.lock().get(&which).cloned()
    }

    /// Closes what is open and not in use.
    pub(super) fn forget_names(&self) {
        self.lock().values().for_each(|site| site.forget());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Which, Arc<Site>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::routes::Beta;

    fn route(tenant: &str, release: u32, folder: &str) -> Route {
        let json = serde_json::json!({
            "domain": "a.example", "tenant": tenant, "slot": 3, "release": release, "start_timeout_ms": 1, "health": null,
            "crawlers": "wake", "https": "redirect", "hsts_s": 0, "server_timing": false,
            "static_files": { "path": "/", "folder": folder },
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn only_the_same_release_of_the_same_tenant_keeps_what_is_known() {
        let (sites, slot) = (Sites::default(), Which::of(&route("blog", 1, "public")));
        let first = sites.of(&[route("blog", 1, "public")]);
        let site = first[&slot].clone();
        sites.replace(first);
        assert!(Arc::ptr_eq(&sites.of(&[route("blog", 1, "public")])[&slot], &site));
        for other in [route("blog", 2, "public"), route("shop", 1, "public"), route("blog", 1, "dist")] {
            assert!(!Arc::ptr_eq(&sites.of(&[other])[&slot], &site));
        }
        let beta = Route { beta: Some(Beta { port: None }), ..route("blog", 2, "public") };
        let both = sites.of(&[route("blog", 1, "public"), beta.clone()]);
        assert!(Arc::ptr_eq(&both[&slot], &site), "the one that is shown beside it is another");
        assert_eq!(both[&Which::of(&beta)].release, ReleaseId(2));
        sites.replace(sites.of(&[]));
        assert!(!Arc::ptr_eq(&sites.of(&[route("blog", 1, "public")])[&slot], &site), "it was gone in between");
    }

    #[test]
    fn what_is_known_is_bounded() {
        let limits = Limits { static_names: 3, static_open_files: 1, ..Limits::default() };
        let (budget, sites) = (Budget::new(&limits), Sites::default());
        let site = sites.of(&[route("blog", 1, "public")]).into_values().next().unwrap();
        for n in 0..9 {
            site.remember(&format!("missing-{n}"), &Known::Nothing, &budget);
            site.remember(&format!("folder-{n}"), &Known::Folder, &budget);
            let names = site.lock();
            assert!(names.known.len() <= 3 && names.missing.len() <= 3);
        }
        assert!(matches!(site.known("missing-8"), Some(Known::Nothing)));
        assert!(site.known("missing-0").is_none());
        site.remember(&"a".repeat(LONGEST_NAME + 1), &Known::Nothing, &budget);
        assert!(site.known(&"a".repeat(LONGEST_NAME + 1)).is_none());
        let held = [budget.share(None), budget.share(None)];
        assert!(site.remember("one-more", &Known::Folder, &budget), "too many files are open");
        drop(held);
        assert!(!site.remember("one-more", &Known::Folder, &budget));
    }
}
