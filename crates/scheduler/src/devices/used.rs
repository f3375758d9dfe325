//! What is given already.

use std::collections::{BTreeMap, BTreeSet};

use cox_api::quantity::Quantity;
use k8s_openapi::api::resource::v1::AllocationResult;

use super::inventory::{Capacities, DeviceId, Pool, amounts};

/// Devices that are in use. Administrative access uses nothing up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    /// Given as a whole.
    pub(crate) whole: BTreeSet<DeviceId>,
    /// Given in shares: what all of them take.
    pub(crate) shares: BTreeMap<DeviceId, Capacities>,
}

impl Used {
    /// And what one claim was given.
    pub(crate) fn add(&mut self, allocation: &AllocationResult) {
        let results = allocation.devices.as_ref().and_then(|devices| devices.results.as_deref());
        for result in results.unwrap_or_default() {
            if result.admin_access == Some(true) {
                continue;
            }
            let id = (result.driver.clone(), result.pool.clone(), result.device.clone());
            if result.share_id.is_none() {
                self.whole.insert(id);
                continue;
            }
            let taken = result.consumed_capacity.iter().flatten();
            let taken = taken.filter_map(|(name, amount)| Some((name.clone(), amount.0.parse().ok()?)));
            self.share(id, taken);
        }
    }

    /// And a share of a device.
    pub(crate) fn share(&mut self, id: DeviceId, taken: impl IntoIterator<Item = (String, Quantity)>) {
        add(self.shares.entry(id).or_default(), taken);
    }

    pub(crate) fn has(&self, id: &DeviceId) -> bool {
        self.whole.contains(id) || self.shares.contains_key(id)
    }

    /// What is left of a pool's counters.
    pub(crate) fn counters_left(&self, pool: &Pool) -> BTreeMap<String, Capacities> {
        let mut left = pool.counters.clone();
        for device in pool.devices.iter().filter(|device| self.has(&device.id)) {
            for drawn in device.published.consumes_counters.iter().flatten() {
                let Some(left) = left.get_mut(&drawn.counter_set) else { continue };
                for (name, amount) in amounts(&drawn.counters) {
                    if let Some(left) = left.get_mut(&name) {
                        *left = left.minus(amount);
                    }
                }
            }
        }
        left
    }
}

/// Adds amounts by name.
pub(crate) fn add(to: &mut Capacities, more: impl IntoIterator<Item = (String, Quantity)>) {
    for (name, amount) in more {
        let known = to.entry(name).or_insert(Quantity::ZERO);
        *known = known.plus(amount);
    }
}
