//! Arithmetic on resource lists.

use std::collections::BTreeMap;

use serde_json::Value;

use super::spec_defaults::restarts_always;
use crate::kinds::common::walk::{get, list, map};
use crate::quantity::{Format, Quantity};

/// A quantity; nothing where it is none (the schema has checked it before).
pub fn quantity(value: &Value) -> Quantity {
    match value {
        Value::String(text) => text.parse().unwrap_or(Quantity::ZERO),
        number => Quantity::new(number.as_i64().unwrap_or(0), Format::DecimalSi),
    }
}

/// Whether the amount is a whole number.
pub fn is_whole(quantity: Quantity) -> bool {
    quantity == quantity.round_up(0)
}

/// Rounds what is finer than a thousandth up to one.
pub fn round_up(list: &mut Value) {
    let Some(list) = list.as_object_mut() else { return };
    for value in list.values_mut() {
        if value.as_str().is_some_and(|text| text.ends_with(['n', 'u'])) {
            *value = quantity(value).round_up(-3).to_string().into();
        }
    }
}

/// What the containers of a pod ask for together: containers and sidecars at once, and each plain init
/// container beside the sidecars before it. `key` is `requests` or `limits`.
pub fn aggregate(spec: &Value, key: &str) -> BTreeMap<String, Quantity> {
    let mut sums = BTreeMap::new();
    for container in list(spec, "containers") {
        add(&mut sums, container, key);
    }
    let mut sidecars = BTreeMap::new();
    let mut peaks = BTreeMap::new();
    for container in list(spec, "initContainers") {
        if restarts_always(container) {
            add(&mut sums, container, key);
            add(&mut sidecars, container, key);
            raise(&mut peaks, &sidecars);
        } else {
            let mut here = sidecars.clone();
            add(&mut here, container, key);
            raise(&mut peaks, &here);
        }
    }
    raise(&mut sums, &peaks);
    sums
}

fn add(sums: &mut BTreeMap<String, Quantity>, container: &Value, key: &str) {
    let Some(resources) = get(container, "resources") else { return };
    for (name, value) in map(resources, key) {
        let sum = sums.entry(name.clone()).or_insert(Quantity::ZERO);
        *sum = sum.plus(quantity(value));
    }
}

fn raise(sums: &mut BTreeMap<String, Quantity>, floor: &BTreeMap<String, Quantity>) {
    for (name, least) in floor {
        let known = sums.entry(name.clone()).or_insert(*least);
        if least > known {
            *known = *least;
        }
    }
}

/// Whether a resource may be set for the pod as a whole.
pub fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_is_finer_than_a_thousandth() {
        let mut list = json!({"cpu": "100u", "memory": "400m", "x": "1500u"});
        round_up(&mut list);
        assert_eq!(list, json!({"cpu": "1m", "memory": "400m", "x": "2m"}));
    }

    #[test]
    fn sidecars_run_beside_and_init_containers_before() {
        let cpu = |text: &str| json!({"requests": {"cpu": text}});
        let spec = json!({"containers": [{"resources": cpu("700m")}, {"resources": cpu("700m")}],
            "initContainers": [{"resources": cpu("2")}, {"restartPolicy": "Always", "resources": cpu("1")},
                {"resources": cpu("1500m")}]});
        assert_eq!(aggregate(&spec, "requests")["cpu"].to_string(), "2500m");
    }
}
