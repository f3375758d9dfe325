//! What drivers publish: devices in pools, and which nodes reach them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cox_api::devices::{Attribute, Facts};
use cox_api::quantity::Quantity;
use k8s_openapi::api::core::v1::NodeSelector;
use k8s_openapi::api::resource::v1::{Device as Published, ResourceSlice};

use crate::selector::{self, Labels};

/// The name of a device: driver, pool, device.
pub(crate) type DeviceId = (String, String, String);
/// Amounts by name.
pub(crate) type Capacities = BTreeMap<String, Quantity>;

/// Who reaches a device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Nodes {
    All,
    One(String),
    Selected(NodeSelector),
}

impl Nodes {
    fn of(name: Option<&String>, selected: Option<&NodeSelector>) -> Nodes {
        match (name, selected) {
            (Some(name), _) => Nodes::One(name.clone()),
            (None, Some(selected)) => Nodes::Selected(selected.clone()),
            (None, None) => Nodes::All,
        }
    }

    pub(crate) fn has(&self, name: &str, labels: &Labels) -> bool {
        match self {
            Nodes::All => true,
            Nodes::One(one) => one == name,
            Nodes::Selected(selected) => selects(selected, name, labels),
        }
    }
}

/// Whether a node is selected.
pub(crate) fn selects(selector: &NodeSelector, name: &str, labels: &Labels) -> bool {
    selector.node_selector_terms.iter().any(|term| selector::term(term, name, labels))
}

/// A device.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) nodes: Nodes,
    /// What selectors see; the error of a fact that can't be read.
    pub(crate) facts: Result<Facts, String>,
    pub(crate) capacity: Capacities,
    /// Whether it is given to several claims, each with a share of its capacity.
    pub(crate) shared: bool,
    pub(crate) published: Published,
}

impl Device {
    fn of(driver: &str, pool: &str, published: &Published, nodes: Nodes) -> Device {
        let attributes: BTreeMap<&str, Attribute> = published
            .attributes
            .iter()
            .flatten()
            .filter_map(|(name, value)| {
                let value = match (value.bool, value.int, &value.string, &value.version) {
                    (Some(value), ..) => Attribute::Bool(value),
                    (_, Some(value), ..) => Attribute::Int(value),
                    (_, _, Some(text), _) => Attribute::Text(text.clone()),
                    (_, _, _, Some(version)) => Attribute::Version(version.clone()),
                    _ => return None,
                };
                Some((name.as_str(), value))
            })
            .collect();
        let capacities = published.capacity.iter().flatten();
        let texts: Vec<(&str, &str)> =
            capacities.clone().map(|(name, capacity)| (name.as_str(), capacity.value.0.as_str())).collect();
        let shared = published.allow_multiple_allocations == Some(true);
        let known = attributes.iter().map(|(name, value)| (*name, value));
        Device {
            id: (driver.to_owned(), pool.to_owned(), published.name.clone()),
            nodes,
            facts: Facts::new(driver, known, texts, shared),
            capacity: capacities
                .filter_map(|(name, capacity)| Some((name.clone(), capacity.value.0.parse().ok()?)))
                .collect(),
            shared,
            published: published.clone(),
        }
    }

    /// An attribute by its full name: those of the driver's own domain may be published without it.
    pub(crate) fn attribute(&self, full: &str) -> Option<String> {
        let attributes = self.published.attributes.as_ref()?;
        let own = full.strip_prefix(self.id.0.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let found = attributes.get(full).or_else(|| attributes.get(own?))?;
        // The sort is part of the value: the number 1 is not the text "1".
        Some(format!("{:?} {:?} {:?} {:?}", found.bool, found.int, found.string, found.version))
    }
}

/// Devices whose driver publishes them together.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) devices: Vec<Device>,
    /// What devices that are parts of one another draw on.
    pub(crate) counters: BTreeMap<String, Capacities>,
    /// Whether all slices of the newest generation are there.
    pub(crate) complete: bool,
    /// Why none of it may be given.
    pub(crate) invalid: Option<String>,
}

/// All pools, by driver and name.
#[derive(Debug, Default)]
pub(crate) struct Inventory(pub(crate) BTreeMap<(String, String), Pool>);

impl Inventory {
    /// Out of all slices. Of a pool the newest generation counts.
    pub(crate) fn new(slices: &[Arc<ResourceSlice>]) -> Inventory {
        let mut by_pool: BTreeMap<(String, String), Vec<&ResourceSlice>> = BTreeMap::new();
        for slice in slices {
            let key = (slice.spec.driver.clone(), slice.spec.pool.name.clone());
            by_pool.entry(key).or_default().push(slice);
        }
        Inventory(
            by_pool
                .into_iter()
                .map(|(key, slices)| {
                    let pool = pool(&key.0, &key.1, slices);
                    (key, pool)
                })
                .collect(),
        )
    }
}

fn pool(driver: &str, name: &str, slices: Vec<&ResourceSlice>) -> Pool {
    let newest = slices.iter().map(|slice| slice.spec.pool.generation).max().unwrap_or_default();
    let mut current: Vec<&ResourceSlice> =
        slices.into_iter().filter(|slice| slice.spec.pool.generation == newest).collect();
    current.sort_by_key(|slice| slice.metadata.name.clone());
    let wanted = current.first().map_or(0, |slice| slice.spec.pool.resource_slice_count);
    let mut pool =
        Pool { complete: i64::try_from(current.len()).is_ok_and(|count| count == wanted), ..Pool::default() };
    let mut names = BTreeSet::new();
    for slice in current {
        let spec = &slice.spec;
        for set in spec.shared_counters.iter().flatten() {
            pool.counters.insert(set.name.clone(), amounts(&set.counters));
        }
        for published in spec.devices.iter().flatten() {
            if !names.insert(published.name.clone()) {
                pool.invalid = Some(format!("duplicate device name {}", published.name));
            }
            let nodes = if spec.per_device_node_selection == Some(true) {
                Nodes::of(published.node_name.as_ref(), published.node_selector.as_ref())
            } else {
                Nodes::of(spec.node_name.as_ref(), spec.node_selector.as_ref())
            };
            pool.devices.push(Device::of(driver, name, published, nodes));
        }
    }
    pool
}

/// Amounts of counters.
pub(crate) fn amounts(counters: &BTreeMap<String, k8s_openapi::api::resource::v1::Counter>) -> Capacities {
    counters
        .iter()
        .filter_map(|(name, counter)| Some((name.clone(), counter.value.0.parse().ok()?)))
        .collect()
}
