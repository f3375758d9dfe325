//! Levels and schemas as they are now, and the way of a request through them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use cox_env::Env;
use http::HeaderValue;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;

use super::level::{Level, Refused, Seat};
use super::read::{self, Condition, Distinguisher};
use super::rules::Rules;
use super::seats::{self, Bounds, Wish};
use crate::auth::Attributes;
use crate::metrics::FlowCounts;

/// What a request is classified as: a FlowSchema with its level.
pub(crate) struct Flow {
    name: String,
    rules: Rules,
    distinguisher: Distinguisher,
    schema_uid: HeaderValue,
    level_uid: HeaderValue,
    level: Arc<Level>,
    counts: Arc<FlowCounts>,
}

impl Flow {
    /// The uid of the FlowSchema; empty for a mandatory one that isn't there.
    pub(crate) fn schema_uid(&self) -> &HeaderValue {
        &self.schema_uid
    }

    /// The uid of the PriorityLevelConfiguration.
    pub(crate) fn level_uid(&self) -> &HeaderValue {
        &self.level_uid
    }
}

/// Decides which requests are answered when.
pub(crate) struct FlowControl {
    env: Env,
    /// How many requests are answered at once.
    total: usize,
    /// Goes into the hashes of flows, so that nobody can know whose queues they share.
    salt: u64,
    /// In the order in which they are tried.
    flows: RwLock<Arc<[Arc<Flow>]>>,
    levels: Mutex<BTreeMap<String, Held>>,
}

/// A level with its part of the seats.
struct Held {
    level: Arc<Level>,
    bounds: Bounds,
    seats: usize,
}

/// A level's seats, for metrics.
pub(crate) struct LevelSeats {
    /// The level.
    pub(crate) name: String,
    /// Its own.
    pub(crate) nominal: usize,
    /// At least so many.
    pub(crate) min: usize,
    /// At most so many.
    pub(crate) max: usize,
    /// Now.
    pub(crate) current: usize,
}

impl FlowControl {
    /// With the mandatory objects, until others are known. `total` is how many requests are answered at once.
    pub(crate) fn new(env: Env, total: usize) -> FlowControl {
        let salt = env.chance().below(u64::MAX);
        let control = FlowControl {
            env,
            total,
            salt,
            flows: RwLock::new(Arc::new([])),
            levels: Mutex::new(BTreeMap::new()),
        };
        control.adopt(&[], &[]);
        control
    }

    /// Goes by these objects from now on. What is to be written to the status of schemas is returned.
    pub(super) fn adopt(&self, levels: &[Value], schemas: &[Value]) -> Vec<Condition> {
        let config = read::read(levels, schemas);
        let sum = config.levels.values().map(|level| u64::from(level.shares.nominal)).sum();
        let mut held = self.levels.lock();
        // Levels that are gone let those in who wait there, with the seats they had.
        held.retain(|name, _| config.levels.contains_key(name));
        for (name, level) in &config.levels {
            let bounds = seats::bounds(level.shares, sum, self.total);
            match held.get_mut(name) {
                Some(known) => {
                    known.bounds = bounds;
                    known.level.reshape(level.shape);
                }
                None => {
                    let seats = bounds.nominal - (bounds.nominal - bounds.min) / 2;
                    let level = Level::new(self.env.clone(), level.exempt, level.shape, seats);
                    held.insert(name.clone(), Held { level: Arc::new(level), bounds, seats });
                }
            }
        }
        divide(&mut held);
        let known: BTreeMap<String, Arc<FlowCounts>> = {
            let flows = self.flows.read().clone();
            flows.iter().map(|flow| (flow.name.clone(), flow.counts.clone())).collect()
        };
        let flows = config.schemas.into_iter().filter_map(|schema| {
            let level = held.get(&schema.level)?.level.clone();
            Some(Arc::new(Flow {
                counts: known.get(&schema.name).cloned().unwrap_or_default(),
                level_uid: config.levels.get(&schema.level)?.uid.clone(),
                name: schema.name,
                rules: schema.rules,
                distinguisher: schema.distinguisher,
                schema_uid: schema.uid,
                level,
            }))
        });
        *self.flows.write() = flows.collect();
        config.conditions
    }

    /// Divides the seats by what was wanted lately.
    pub(super) fn rebalance(&self) {
        divide(&mut self.levels.lock());
    }

    /// What a request is. Whatever nothing is for is for `catch-all`.
    pub(crate) fn classify(&self, request: &Attributes<'_>) -> Arc<Flow> {
        let flows = self.flows.read();
        let found = flows.iter().find(|flow| flow.rules.are_for(request));
        let found = found.or_else(|| flows.iter().find(|flow| flow.name == cox_api::flow_control::CATCH_ALL));
        found.or(flows.last()).cloned().expect("the mandatory schemas are always there")
    }

    /// Lets a request in, at once or after a time in a queue.
    ///
    /// # Errors
    /// Where its level has neither seat nor place to wait for it, or no seat within `wait_max`.
    pub(crate) async fn enter(
        &self,
        flow: &Flow,
        request: &Attributes<'_>,
        wait_max: Duration,
    ) -> Result<Seat, Refused> {
        let hash = if flow.level.is_exempt() { 0 } else { self.hash(flow, request) };
        flow.level.enter(&flow.counts, hash, wait_max).await
    }

    fn hash(&self, flow: &Flow, request: &Attributes<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.salt.hash(&mut hasher);
        flow.name.hash(&mut hasher);
        match flow.distinguisher {
            Distinguisher::Nothing => {}
            Distinguisher::User => request.user.name.hash(&mut hasher),
            Distinguisher::Namespace => request.namespace.hash(&mut hasher),
        }
        hasher.finish()
    }

    /// What was counted, by schema and level.
    pub(crate) fn counts(&self) -> Vec<(String, String, Arc<FlowCounts>)> {
        let held = self.levels.lock();
        let flows = self.flows.read();
        let level_of = |flow: &Flow| {
            let found = held.iter().find(|(_, held)| Arc::ptr_eq(&held.level, &flow.level));
            found.map(|(name, _)| name.clone()).unwrap_or_default()
        };
        let mut counts: Vec<_> =
            flows.iter().map(|flow| (flow.name.clone(), level_of(flow), flow.counts.clone())).collect();
        counts.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        counts
    }

    /// The levels' seats.
    pub(crate) fn seats(&self) -> Vec<LevelSeats> {
        let held = self.levels.lock();
        let seats = held.iter().map(|(name, held)| LevelSeats {
            name: name.clone(),
            nominal: held.bounds.nominal,
            min: held.bounds.min,
            max: held.bounds.max,
            current: held.seats,
        });
        seats.collect()
    }
}

/// Gives every level its seats: at least as many as were wanted at once, up to its own; what others lend is divided
/// in proportion to what is to be expected. Where that can't be done, all keep what they have.
fn divide(levels: &mut BTreeMap<String, Held>) {
    let wishes: Vec<Wish> = levels
        .values()
        .map(|held| {
            let seen = held.level.take_demand();
            let low = (held.bounds.min as f64).max(seen.highest.min(held.bounds.nominal as f64));
            Wish { low, high: held.bounds.max as f64, target: low.max(seen.smoothed) }
        })
        .collect();
    let total = levels.values().map(|held| held.bounds.nominal).sum();
    let Some(divided) = seats::divide(total, &wishes) else { return };
    for (held, seats) in levels.values_mut().zip(divided) {
        held.seats = seats.round() as usize;
        held.level.set_seats(held.seats);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::auth::User;

    const WAIT: Duration = Duration::from_secs(15);

    fn control(total: usize) -> FlowControl {
        let all = |built: &[cox_api::flow_control::BuiltIn]| -> Vec<Value> {
            built.iter().map(|one| one.object.clone()).collect()
        };
        let control = FlowControl::new(Env::simulated(1, Timestamp::UNIX_EPOCH), total);
        control.adopt(&all(cox_api::flow_control::levels()), &all(cox_api::flow_control::schemas()));
        control
    }

    #[test]
    fn upstreams_schemas_classify_upstreams_users() {
        let control = control(600);
        let of = |user: &User, verb: &str, group: &str, resource: &str, namespace: &str| {
            control
                .classify(&Attributes { namespace, ..Attributes::resource(user, verb, group, resource) })
                .name
                .clone()
        };
        let leases = "coordination.k8s.io";
        let node = User::node("a");
        let sync = User::service_account("kube-system", "sync", "u");
        let manager = User::component("system:kube-controller-manager");
        assert_eq!(of(&User::admin(), "list", "", "pods", ""), "exempt");
        assert_eq!(of(&node, "update", leases, "leases", "kube-node-lease"), "system-node-high");
        assert_eq!(of(&node, "get", "", "nodes", ""), "system-node-high");
        assert_eq!(of(&node, "get", "", "pods", "n"), "system-nodes");
        assert_eq!(of(&manager, "update", leases, "leases", "kube-system"), "system-leader-election");
        assert_eq!(of(&manager, "update", "", "endpoints", "n"), "endpoint-controller");
        assert_eq!(of(&manager, "list", "", "pods", ""), "kube-controller-manager");
        assert_eq!(of(&sync, "list", "", "pods", ""), "kube-system-service-accounts");
        assert_eq!(of(&User::service_account("n", "app", "u"), "get", "", "pods", "n"), "service-accounts");
        assert_eq!(of(&User::new("jane", &[]), "get", "", "pods", "n"), "global-default");
        let anonymous = User::anonymous();
        assert_eq!(control.classify(&Attributes::path(&anonymous, "get", "/readyz")).name, "probes");
        assert_eq!(control.classify(&Attributes::path(&anonymous, "get", "/version")).name, "global-default");
        assert_eq!(control.classify(&Attributes::path(&User::default(), "get", "/")).name, "catch-all");
    }

    #[tokio::test(start_paused = true)]
    async fn seats_follow_the_demand() {
        let control = control(600);
        let of = |name: &str| control.seats().into_iter().find(|seats| seats.name == name).unwrap();
        let sum = |control: &FlowControl| control.seats().iter().map(|seats| seats.current).sum::<usize>();
        let before = of("workload-low");
        assert_eq!((before.nominal, before.min, before.max), (245, 24, 845));
        let account = User::service_account("n", "app", "u");
        let request = Attributes { namespace: "n", ..Attributes::resource(&account, "get", "", "pods") };
        let flow = control.classify(&request);
        let enter = || control.enter(&flow, &request, Duration::from_secs(60)).boxed();
        let mut waiting: Vec<BoxFuture<'_, Result<Seat, Refused>>> = (0..300).map(|_| enter()).collect();
        let mut seats = Vec::new();
        let mut poll = || {
            waiting.retain_mut(|waiter| match waiter.now_or_never() {
                Some(seat) => {
                    seats.push(seat.unwrap());
                    false
                }
                None => true,
            });
            seats.len()
        };
        assert_eq!(poll(), before.current);
        tokio::time::advance(Duration::from_secs(10)).await;
        control.rebalance();
        let after = of("workload-low");
        assert!(after.current >= 245 && after.current <= 845, "its own at least: {}", after.current);
        assert!(sum(&control).abs_diff(control.seats().iter().map(|seats| seats.nominal).sum()) <= 8);
        // Tokio lets a task poll only so much at a time.
        for _ in 0..10 {
            poll();
            tokio::task::yield_now().await;
        }
        assert_eq!(poll(), after.current.min(300));
        let others = control.seats();
        assert!(others.iter().all(|seats| seats.current >= seats.min && seats.current <= seats.max));
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_counts_for_who_waits_already() {
        let control = FlowControl::new(Env::simulated(1, Timestamp::UNIX_EPOCH), 10);
        let level = |shares: u32| {
            json!({"metadata": {"name": "l"}, "spec": {"type": "Limited", "limited":
                {"nominalConcurrencyShares": shares, "borrowingLimitPercent": 0, "limitResponse":
                    {"type": "Queue", "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": 10}}}}})
        };
        let schema = json!({"metadata": {"name": "s", "uid": "the-schema"}, "spec": {"matchingPrecedence": 5,
            "priorityLevelConfiguration": {"name": "l"}, "rules": [{"subjects": [{"kind": "User", "user": {"name": "*"}}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]}});
        control.adopt(&[level(0)], std::slice::from_ref(&schema));
        let jane = User::new("jane", &[]);
        let request = Attributes::path(&jane, "get", "/");
        let flow = control.classify(&request);
        assert_eq!(flow.schema_uid(), "the-schema");
        let mut waiting = Box::pin(control.enter(&flow, &request, WAIT));
        assert!(waiting.as_mut().now_or_never().is_none(), "no share, no seat");
        control.adopt(&[level(5)], std::slice::from_ref(&schema));
        waiting.await.unwrap();
        control.adopt(&[], &[schema]);
        assert_eq!(control.classify(&request).name, "catch-all");
    }
}
