//! Which workers there are, whose they are, and which one answers a path.
//!
//! The first part of a path under `/w` belongs to the owner who first deployed a route there; what starts with a parameter
//! or `*` belongs to the one owner who first deployed such a route. So nobody's route can take a path that is another
//! owner's, however exact it is. Among an owner's routes the most exact one wins. `/w/0x…` with an owner's address in front
//! leads to that owner's routes and no others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jeju_worker_protocol::{Route, RouteTable, Schedule};

use super::super::error::ApiError;
use super::worker::Worker;
use http::StatusCode;
use jeju_worker_protocol::api::from_hex;

/// A worker, and what is read out of its record.
pub(super) struct Entry {
    pub(super) worker: Arc<Worker>,
    pub(super) schedule: Option<Schedule>,
    routes: Vec<Route>,
}

/// All workers.
#[derive(Default)]
pub(super) struct Directory {
    workers: HashMap<String, Entry>,
    owners: HashMap<[u8; 20], Owner>,
    /// By the first part of paths; `None` is for all the others. With the count of routes.
    claims: HashMap<Option<String>, ([u8; 20], usize)>,
}

#[derive(Default)]
struct Owner {
    /// By when they were first deployed.
    ids: BTreeMap<(u64, u64), String>,
    routes: RouteTable<String>,
}

impl Entry {
    /// What doesn't parse any more is left out.
    fn new(worker: Arc<Worker>) -> Self {
        let schedule = worker.cron.as_deref().and_then(|cron| Schedule::parse(cron).ok());
        let routes = worker.routes.iter().filter_map(|route| Route::parse(route).ok());
        Self {
            schedule,
            routes: routes.collect(),
            worker,
        }
    }
}

impl Directory {
    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<Worker>> {
        self.workers.get(id).map(|entry| &entry.worker)
    }

    /// An owner's, the oldest first.
    pub(super) fn of_owner(&self, owner: &[u8; 20]) -> impl Iterator<Item = &Arc<Worker>> {
        let ids = self
            .owners
            .get(owner)
            .into_iter()
            .flat_map(|owner| owner.ids.values());
        ids.filter_map(|id| self.get(id))
    }

    /// Those with a schedule.
    pub(super) fn scheduled(&self) -> impl Iterator<Item = (&Arc<Worker>, Schedule)> {
        let entries = self.workers.values();
        entries.filter_map(|entry| Some((&entry.worker, entry.schedule?)))
    }

    /// Puts a worker in the place of the one with its id, if there is one.
    pub(super) fn put(&mut self, worker: Worker) {
        self.remove(&worker.id);
        let entry = Entry::new(Arc::new(worker));
        let worker = &entry.worker;
        let owner = self.owners.entry(worker.owner).or_default();
        owner.ids.insert((worker.created, worker.key), worker.id.clone());
        for route in &entry.routes {
            // Checked before a change; but a host may bring an older state of some owners back.
            let (claimed, count) = self.claims.entry(first_part(route)).or_insert((worker.owner, 0));
            if *claimed == worker.owner && owner.routes.insert(route, worker.id.clone()).is_ok() {
                *count += 1;
            }
        }
        self.workers.insert(worker.id.clone(), entry);
    }

    pub(super) fn remove(&mut self, id: &str) {
        let Some(Entry { worker, routes, .. }) = self.workers.remove(id) else {
            return;
        };
        let Some(owner) = self.owners.get_mut(&worker.owner) else {
            return;
        };
        owner.ids.remove(&(worker.created, worker.key));
        for route in &routes {
            if owner.routes.get(route).is_none_or(|there| there != id) {
                continue;
            }
            owner.routes.remove(route);
            let part = first_part(route);
            if let Some((_, count)) = self.claims.get_mut(&part) {
                *count -= 1;
                if *count == 0 {
                    self.claims.remove(&part);
                }
            }
        }
        if owner.ids.is_empty() {
            self.owners.remove(&worker.owner);
        }
    }

    /// Whether the owner's worker with this id, which needn't be there yet, may have these routes.
    ///
    /// # Errors
    /// Which one it may not have, and why.
    pub(super) fn check_routes(&self, owner: &[u8; 20], id: &str, routes: &[String]) -> Result<(), ApiError> {
        let mut own = RouteTable::new();
        for text in routes {
            let route = Route::parse(text)
                .map_err(|error| ApiError::invalid(error.code(), error.to_string(), Some("routes")))?;
            let part = first_part(&route);
            if part.as_deref().is_some_and(|part| address(part).is_some()) {
                let message = format!(
                    "Route {text} starts with an address: such paths lead to that account's workers."
                );
                return Err(ApiError::invalid("route_invalid", message, Some("routes")));
            }
            let table = self.owners.get(owner).map(|owner| &owner.routes);
            let there = table.and_then(|table| table.get(&route));
            if own.insert(&route, ()).is_err() || there.is_some_and(|there| there != id) {
                return Err(taken(text, "another worker of this owner, or the same one twice"));
            }
            if self
                .claims
                .get(&part)
                .is_some_and(|(claimed, _)| claimed != owner)
            {
                return Err(taken(text, "the first part of its path, of another owner"));
            }
        }
        Ok(())
    }

    /// The worker that answers a path under `/w`, given without that and without the query.
    pub(super) fn find(&self, path: &str) -> Option<&Arc<Worker>> {
        let first = path.strip_prefix('/')?.split('/').next()?;
        let (owner, path) = match address(first) {
            Some(owner) => match &path[1 + first.len()..] {
                "" => (owner, "/"),
                path => (owner, path),
            },
            None => {
                let claim = self.claims.get(&Some(first.to_owned()));
                (claim.or_else(|| self.claims.get(&None))?.0, path)
            }
        };
        self.get(self.owners.get(&owner)?.routes.find(path)?)
    }
}

/// The first part of the paths that a route matches, if it is text.
fn first_part(route: &Route) -> Option<String> {
    let shape = route.shape();
    let part = shape.strip_prefix('/')?.split('/').next()?;
    let is_last = shape.len() == 1 + part.len();
    (part != ":" && !(is_last && part.ends_with('*'))).then(|| part.to_owned())
}

fn address(part: &str) -> Option<[u8; 20]> {
    from_hex(part)
}

fn taken(route: &str, by: &str) -> ApiError {
    let message = format!("Route {route} is taken: by {by}.");
    ApiError::new(StatusCode::CONFLICT, "worker_route_taken", message)
}

#[cfg(test)]
mod tests {
    use super::super::worker::tests::worker;
    use super::*;

    fn directory(workers: &[(u8, &str, &[&str])]) -> Directory {
        let mut directory = Directory::default();
        for (key, (owner, name, routes)) in workers.iter().enumerate() {
            directory.put(worker(key as u64, *owner, name, routes));
        }
        directory
    }

    fn found(directory: &Directory, path: &str) -> Option<String> {
        directory.find(path).map(|worker| worker.name.clone())
    }

    fn refused(directory: &Directory, owner: u8, id: &str, routes: &[&str]) -> Option<&'static str> {
        let routes: Vec<_> = routes.iter().map(|route| (*route).to_owned()).collect();
        directory
            .check_routes(&[owner; 20], id, &routes)
            .err()
            .map(|error| error.code)
    }

    #[test]
    fn exact_routes_are_before_parameters_and_those_before_wildcards() {
        let directory = directory(&[
            (1, "all", &["/api/*"]),
            (1, "one", &["/api/:id"]),
            (1, "exact", &["/api/health"]),
            (1, "rest", &["*"]),
        ]);
        for (path, name) in [
            ("/api/health", "exact"),
            ("/api/7", "one"),
            ("/api/7/8", "all"),
            ("/else", "rest"),
            ("/", "rest"),
        ] {
            assert_eq!(found(&directory, path).as_deref(), Some(name), "{path}");
        }
    }

    #[test]
    fn nobody_takes_a_path_that_is_anothers() {
        let directory = directory(&[(1, "shop", &["/shop/*"]), (2, "rest", &["/*"])]);
        // More exact, but of another owner.
        assert_eq!(
            refused(&directory, 2, "x", &["/shop/checkout"]),
            Some("worker_route_taken")
        );
        assert_eq!(refused(&directory, 1, "x", &["/shop/checkout"]), None);
        assert_eq!(
            refused(&directory, 1, "x", &["/:any"]),
            Some("worker_route_taken")
        );
        assert_eq!(refused(&directory, 1, "x", &["/sh*"]), Some("worker_route_taken"));
        assert_eq!(refused(&directory, 2, "x", &["/:any", "/other"]), None);
        assert_eq!(found(&directory, "/shop/1").as_deref(), Some("shop"));
        assert_eq!(
            found(&directory, "/shop"),
            None,
            "the part is the first owner's, route or not"
        );
        assert_eq!(found(&directory, "/shopping").as_deref(), Some("rest"));
    }

    #[test]
    fn an_address_leads_to_its_owners_routes_alone() {
        let directory = directory(&[(1, "a", &["/a", "/"]), (2, "rest", &["/*"])]);
        let (one, two) = ("01".repeat(20), "02".repeat(20));
        assert_eq!(found(&directory, &format!("/0x{one}/a")).as_deref(), Some("a"));
        assert_eq!(found(&directory, &format!("/0x{one}")).as_deref(), Some("a"));
        assert_eq!(found(&directory, &format!("/0x{one}/b")), None);
        assert_eq!(found(&directory, &format!("/0x{two}/a")).as_deref(), Some("rest"));
        let route = format!("/0x{two}/x");
        assert_eq!(refused(&directory, 1, "x", &[&route]), Some("route_invalid"));
    }

    #[test]
    fn a_route_is_one_workers() {
        let directory = directory(&[(1, "a", &["/a/:x"])]);
        let id = directory.of_owner(&[1; 20]).next().unwrap().id.clone();
        assert_eq!(
            refused(&directory, 1, "other", &["/a/:y"]),
            Some("worker_route_taken")
        );
        assert_eq!(refused(&directory, 1, &id, &["/a/:y"]), None);
        assert_eq!(
            refused(&directory, 1, &id, &["/b", "/b"]),
            Some("worker_route_taken")
        );
        assert_eq!(
            refused(&directory, 1, &id, &["/(a+)+["]),
            None,
            "no pattern of another language"
        );
        assert_eq!(refused(&directory, 1, &id, &["a"]), Some("route_invalid"));
    }

    #[test]
    fn what_is_gone_leaves_nothing() {
        let mut directory = directory(&[(1, "a", &["/a", "/b"]), (1, "b", &["/a/b"])]);
        let ids: Vec<_> = directory
            .of_owner(&[1; 20])
            .map(|worker| worker.id.clone())
            .collect();
        directory.remove(&ids[0]);
        assert_eq!(refused(&directory, 2, "x", &["/b"]), None);
        assert_eq!(refused(&directory, 2, "x", &["/a"]), Some("worker_route_taken"));
        // A worker that changes its routes gives the old ones up.
        let mut changed = worker(1, 1, "b", &["/c"]);
        changed.created = 1;
        directory.put(changed);
        assert_eq!(refused(&directory, 2, "x", &["/a", "/b"]), None);
        assert_eq!(directory.len(), 1);
        directory.remove(&ids[1]);
        assert!(directory.workers.is_empty() && directory.owners.is_empty() && directory.claims.is_empty());
    }
}
