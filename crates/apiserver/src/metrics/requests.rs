//! Requests by what they were for: a fixed table of what is served, in which a request finds its place without a
//! lock.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{ANSWER, EVENT, Histogram, REQUEST};
use super::labels::{CODES, DryRun, Scope, Verb, code_place};
use crate::core::facts;

/// Something that is served, as labels name it.
#[derive(Debug, Default)]
pub(super) struct Route {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) resource: &'static str,
    /// Of paths that aren't resources, the path.
    pub(super) subresource: &'static str,
    pub(super) component: &'static str,
    pub(super) deprecated: bool,
}

/// Paths whose requests are counted though they aren't resources. Upstream counts those of its health checks alone.
const PATHS: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// Where a request is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    route: usize,
    verb: Verb,
    scope: Scope,
    dry_run: DryRun,
}

/// Requests and watches, by route.
pub(crate) struct Requests {
    routes: Vec<(Route, Counts)>,
    by_plural: HashMap<&'static str, Vec<usize>>,
    by_path: HashMap<&'static str, usize>,
}

/// What is counted of a route: made when it is first used.
#[derive(Default)]
pub(super) struct Counts {
    slots: OnceLock<Box<[OnceLock<Box<Slot>>]>>,
    watch: OnceLock<Box<WatchCounts>>,
}

/// What is counted of a route, verb and scope.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) long_running: AtomicI64,
    /// Refused because there were too many, and cut off because they took too long.
    pub(super) too_many: AtomicU64,
    pub(super) too_long: AtomicU64,
    pub(super) sizes: OnceLock<Histogram>,
    /// Of requests that waited to be let in: their times, and their times without that.
    pub(super) queued: OnceLock<Box<[Histogram; 2]>>,
    pub(super) answered: [OnceLock<Box<Answered>>; DryRun::ALL.len()],
}

/// What is counted of the answers of a slot.
pub(super) struct Answered {
    /// By the place of the code; the last is for all others.
    pub(super) codes: [AtomicU64; CODES.len() + 1],
    pub(super) time: Histogram,
}

/// What is counted of a resource's watches.
pub(super) struct WatchCounts {
    pub(super) events: AtomicU64,
    pub(super) sizes: Histogram,
}

impl Requests {
    pub(super) fn new() -> Requests {
        let mut requests =
            Requests { routes: Vec::new(), by_plural: HashMap::new(), by_path: HashMap::new() };
        for info in crate::registry::infos() {
            let subresources = info.subresources.iter().map(|sub| sub.name);
            for subresource in std::iter::once("").chain(subresources) {
                let route = Route {
                    group: info.group,
                    version: info.version,
                    resource: info.plural,
                    subresource,
                    component: "apiserver",
                    deprecated: facts::warning_of_use(info.group, info.version, info.plural).is_some(),
                };
                requests.by_plural.entry(info.plural).or_default().push(requests.routes.len());
                requests.routes.push((route, Counts::default()));
            }
        }
        for path in PATHS {
            requests.by_path.insert(path, requests.routes.len());
            requests.routes.push((Route { subresource: path, ..Route::default() }, Counts::default()));
        }
        requests
    }

    /// Where a request for a resource is counted; nowhere if it isn't served.
    pub(crate) fn resource(
        &self,
        resource: &cox_api::Resource,
        subresource: &str,
        verb: Verb,
        scope: Scope,
        dry_run: DryRun,
    ) -> Option<Place> {
        let route = self.by_plural.get(resource.plural.as_str())?.iter().copied().find(|&at| {
            let route = &self.routes[at].0;
            route.group == resource.group
                && route.version == resource.version
                && route.subresource == subresource
        })?;
        Some(Place { route, verb, scope, dry_run })
    }

    /// Where a request for a path is counted.
    pub(crate) fn path(&self, path: &str, verb: Verb) -> Option<Place> {
        let route = *self.by_path.get(path)?;
        Some(Place { route, verb, scope: Scope::None, dry_run: DryRun::No })
    }

    fn slot(&self, place: Place) -> &Slot {
        let slots = self.routes[place.route]
            .1
            .slots
            .get_or_init(|| (0..Verb::ALL.len() * Scope::ALL.len()).map(|_| OnceLock::new()).collect());
        slots[place.verb as usize * Scope::ALL.len() + place.scope as usize].get_or_init(Box::default)
    }

    /// Counts an answer. `queued` is how long the request waited to be let in, `bytes` is its size where that is known
    /// and counts.
    pub(crate) fn answered(
        &self,
        place: Place,
        code: u16,
        time: Duration,
        queued: Duration,
        bytes: Option<u64>,
    ) {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let slot = self.slot(place);
        if !queued.is_zero() {
            let both = || Box::new(std::array::from_fn(|_| Histogram::new(&REQUEST)));
            let [whole, served] = &**slot.queued.get_or_init(both);
            whole.observe(nanoseconds(time));
            served.observe(nanoseconds(time.saturating_sub(queued)));
        }
        let answered = slot.answered[place.dry_run as usize].get_or_init(|| {
            Box::new(Answered {
                codes: [const { AtomicU64::new(0) }; CODES.len() + 1],
                time: Histogram::new(&REQUEST),
            })
        });
        answered.codes[code_place(code)].fetch_add(1, Ordering::Relaxed);
        answered.time.observe(nanoseconds(time));
        // Upstream measures the answers of reads alone.
        if let Some(bytes) = bytes
            && matches!(place.verb, Verb::Get | Verb::List)
        {
            slot.sizes.get_or_init(|| Histogram::new(&ANSWER)).observe(bytes);
        }
    }

    /// Counts a request that the server ended to protect itself: 429 or 504.
    pub(crate) fn terminated(&self, place: Place, code: u16) {
        let slot = self.slot(place);
        let count = if code == 429 { &slot.too_many } else { &slot.too_long };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// A request that lasts begins (1) or is over (-1).
    pub(crate) fn long_running(&self, place: Place, change: i64) {
        self.slot(place).long_running.fetch_add(change, Ordering::Relaxed);
    }

    /// Counts an event that is sent in a watch.
    pub(crate) fn watch_event(&self, place: Place, bytes: u64) {
        let watch = self.routes[place.route].1.watch.get_or_init(|| {
            Box::new(WatchCounts { events: AtomicU64::new(0), sizes: Histogram::new(&EVENT) })
        });
        watch.events.fetch_add(1, Ordering::Relaxed);
        watch.sizes.observe(bytes);
    }

    /// What was used of each route, in the order of the labels.
    pub(super) fn used(&self) -> Vec<Used<'_>> {
        let mut used: Vec<Used<'_>> = Vec::new();
        for (route, counts) in &self.routes {
            let slots = counts.slots.get().into_iter().flatten().enumerate();
            for (at, slot) in slots.filter_map(|(at, slot)| Some((at, slot.get()?))) {
                let (verb, scope) = (Verb::ALL[at / Scope::ALL.len()], Scope::ALL[at % Scope::ALL.len()]);
                used.push(Used { route, verb, scope, slot });
            }
        }
        used
    }

    /// The routes that were watched.
    pub(super) fn watched(&self) -> impl Iterator<Item = (&Route, &WatchCounts)> {
        self.routes.iter().filter_map(|(route, counts)| Some((route, &**counts.watch.get()?)))
    }
}

/// A slot with its labels.
pub(super) struct Used<'a> {
    pub(super) route: &'a Route,
    pub(super) verb: Verb,
    pub(super) scope: Scope,
    pub(super) slot: &'a Slot,
}

#[cfg(test)]
mod tests {
    use super::*;
    use cox_api::Resource;

    #[test]
    fn only_what_is_served_has_a_place() {
        let requests = Requests::new();
        let of = |group: &str, plural: &str, sub: &str| {
            requests
                .resource(&Resource::new(group, "v1", plural), sub, Verb::Get, Scope::Resource, DryRun::No)
                .is_some()
        };
        assert!(of("", "pods", "") && of("", "pods", "log") && of("apps", "deployments", "scale"));
        assert!(of("authorization.k8s.io", "subjectaccessreviews", ""));
        assert!(!of("", "pods", "nothing") && !of("apps", "pods", "") && !of("", "nothing", ""));
        assert!(
            requests.path("/readyz", Verb::Get).is_some()
                && requests.path("/readyz/ping", Verb::Get).is_none()
        );
    }

    #[test]
    fn verbs_and_scopes_are_at_their_own_place() {
        for (at, verb) in Verb::ALL.into_iter().enumerate() {
            assert_eq!(verb as usize, at);
        }
        for (at, scope) in Scope::ALL.into_iter().enumerate() {
            assert_eq!(scope as usize, at);
        }
        for (at, dry_run) in DryRun::ALL.into_iter().enumerate() {
            assert_eq!(dry_run as usize, at);
        }
    }
}
