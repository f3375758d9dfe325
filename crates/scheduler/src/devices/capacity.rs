//! What a claim takes of a device that is shared. KEP-5075.

use std::collections::BTreeMap;

use cox_api::quantity::Quantity;
use k8s_openapi::api::resource::v1::CapacityRequestPolicy;

use super::inventory::{Capacities, Device};

/// What a request takes of each capacity of a shared device; none where the device can't give that much, whoever
/// else uses it.
pub(crate) fn taken(device: &Device, asked: &Capacities) -> Option<Capacities> {
    let mut taken = BTreeMap::new();
    for (name, whole) in &device.capacity {
        let published = device.published.capacity.as_ref().and_then(|all| all.get(name));
        let policy = published.and_then(|capacity| capacity.request_policy.as_ref());
        let amount = match (asked.get(name), policy) {
            (Some(amount), Some(policy)) => rounded(*amount, policy)?,
            (Some(amount), None) => *amount,
            (None, Some(policy)) => usual(policy).unwrap_or(*whole),
            (None, None) => *whole,
        };
        if amount > *whole {
            return None;
        }
        taken.insert(name.clone(), amount);
    }
    Some(taken)
}

fn usual(policy: &CapacityRequestPolicy) -> Option<Quantity> {
    policy.default.as_ref()?.0.parse().ok()
}

/// The least valid amount that is enough.
fn rounded(amount: Quantity, policy: &CapacityRequestPolicy) -> Option<Quantity> {
    if let Some(values) = policy.valid_values.as_ref().filter(|values| !values.is_empty()) {
        return values
            .iter()
            .filter_map(|value| value.0.parse().ok())
            .find(|value: &Quantity| *value >= amount);
    }
    let Some(range) = &policy.valid_range else { return Some(amount) };
    let bound = |value: Option<&k8s_openapi::apimachinery::pkg::api::resource::Quantity>| {
        value.and_then(|value| value.0.parse::<Quantity>().ok())
    };
    let min = bound(Some(&range.min)).unwrap_or(Quantity::ZERO);
    let mut amount = amount.max(min);
    if let Some(step) = bound(range.step.as_ref()).filter(|step| step.value() > 0) {
        let over = amount.minus(min).value().rem_euclid(step.value());
        if over != 0 {
            amount = amount.plus(Quantity::new(step.value() - over, amount.format()));
        }
    }
    (bound(range.max.as_ref()).is_none_or(|max| amount <= max)).then_some(amount)
}
