//! Checks of slices and of the devices in them.

use serde_json::Value;

use super::{attribute, capacity, counters};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::devices;
use crate::kinds::common::walk::{flag, flag_ptr, get, int, list, map, same, text, text_ptr};
use crate::kinds::common::{check, csi};
use crate::kinds::pod::{affinity, internal};

/// Most devices of a slice.
const DEVICES_MAX: usize = 128;
/// Most devices of a slice in which any has taints or consumes counters.
const DEVICES_WITH_MORE_MAX: usize = 64;
/// Most attributes and capacities of a device together.
const FACTS_MAX: usize = 32;
/// Most taints of a device.
const TAINTS_MAX: usize = 16;

/// Checks the spec.
pub fn spec(errors: &mut FieldErrors, spec: &Value, old: Option<&Value>) {
    let path = Path::new("spec");
    csi::driver_name(errors, &path.child("driver"), text(spec, "driver"));
    pool(errors, &path.child("pool"), &spec["pool"]);
    if let Some(old) = old {
        let nothing = || "null".to_owned();
        let mut stays = |path: &Path<'_>, new: Option<&Value>, old: Option<&Value>| {
            if !same(new, old) {
                errors.invalid_shown(
                    path,
                    new.map_or_else(nothing, crate::field::show),
                    "field is immutable",
                );
            }
        };
        stays(&path.child("pool.name"), get(&spec["pool"], "name"), get(&old["pool"], "name"));
        stays(&path.child("driver"), get(spec, "driver"), get(old, "driver"));
        stays(&path.child("nodeName"), get(spec, "nodeName"), get(old, "nodeName"));
    }
    nodes(errors, &path, spec);
    let all = list(spec, "devices");
    if get(spec, "sharedCounters").is_some() && get(spec, "devices").is_some() {
        check::bad_text(errors, &path, "", "only one of `sharedCounters` or `devices` is allowed");
    }
    let more =
        |device: &Value| !list(device, "taints").is_empty() || !list(device, "consumesCounters").is_empty();
    let most = if all.iter().any(more) { DEVICES_WITH_MORE_MAX } else { DEVICES_MAX };
    let place = path.child("devices");
    if devices::few(errors, &place, all, most) {
        for (at, each) in all.iter().enumerate() {
            let before = old.map_or(&[][..], |old| list(old, "devices"));
            let before = before.iter().find(|before| text(before, "name") == text(each, "name"));
            device(errors, &place.index(at), each, before, flag(spec, "perDeviceNodeSelection"));
        }
        devices::distinct(errors, &place, all, |device| text(device, "name"));
    }
    counters::shared(errors, &path, spec);
}

fn pool(errors: &mut FieldErrors, path: &Path<'_>, pool: &Value) {
    devices::pool_name(errors, &path.child("name"), text(pool, "name"));
    let slices = int(pool, "resourceSliceCount");
    check::positive(errors, &path.child("resourceSliceCount"), slices);
    let generation = int(pool, "generation");
    if generation < 0 {
        let detail = "must be greater than or equal to zero";
        errors.invalid(&path.child("generation"), &generation.into(), detail);
    }
}

/// Which nodes reach the devices: said once.
fn nodes(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let mut said = Vec::new();
    match text_ptr(spec, "nodeName") {
        Some("") => {
            let detail = "must be either unset or set to a non-empty string";
            check::bad_text(errors, &path.child("nodeName"), "", detail);
        }
        Some(name) => {
            said.push("`nodeName`");
            devices::node_name(errors, &path.child("nodeName"), name);
        }
        None => {}
    }
    if let Some(selector) = get(spec, "nodeSelector") {
        said.push("`nodeSelector`");
        let path = path.child("nodeSelector");
        affinity::node_selector(errors, &path, selector);
        if list(selector, "nodeSelectorTerms").len() != 1 {
            let shown = internal::json_list("NodeSelectorTerm", get(selector, "nodeSelectorTerms"));
            let detail = "must have exactly one node selector term";
            errors.invalid_shown(&path.child("nodeSelectorTerms"), shown, detail);
        }
    }
    for (key, word) in [("allNodes", "`allNodes`"), ("perDeviceNodeSelection", "`perDeviceNodeSelection`")] {
        match flag_ptr(spec, key) {
            Some(true) => said.push(word),
            Some(false) => {
                errors.invalid(&path.child(key), &false.into(), "must be either unset or set to true");
            }
            None => {}
        }
    }
    let one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match said.len() {
        0 => errors.required(path, one),
        1 => {}
        _ => {
            let detail = format!("{one}, but multiple fields are set");
            check::bad_text(errors, path, &format!("{{{}}}", said.join(", ")), detail);
        }
    }
}

fn device(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    device: &Value,
    before: Option<&Value>,
    chooses_nodes: bool,
) {
    check::label(errors, &path.child("name"), text(device, "name"));
    let (attributes, capacities) = (map(device, "attributes"), map(device, "capacity"));
    let facts = attributes.len() + capacities.len();
    if facts > FACTS_MAX {
        let detail = format!("the total number of attributes and capacities must not exceed {FACTS_MAX}");
        errors.invalid(path, &facts.into(), detail);
    }
    let place = path.child("attributes");
    for (name, value) in attributes {
        let key = devices::key_place(name);
        let place = place.key(&key);
        devices::qualified(errors, &place, name);
        attribute::validate(errors, &place, value);
    }
    // What was there already is no worse than it was.
    let changed = |key: &str| before.is_none_or(|before| !same(get(device, key), get(before, key)));
    if changed("capacity") {
        let place = path.child("capacity");
        for (name, value) in capacities {
            let key = devices::key_place(name);
            let place = place.key(&key);
            devices::qualified(errors, &place, name);
            capacity::validate(errors, &place, value, flag(device, "allowMultipleAllocations"));
        }
    }
    if changed("taints") {
        let (place, taints) = (path.child("taints"), list(device, "taints"));
        if devices::few(errors, &place, taints, TAINTS_MAX) {
            for (at, taint) in taints.iter().enumerate() {
                devices::taint(errors, &place.index(at), taint);
            }
        }
    }
    counters::consumed(errors, path, device);
    if chooses_nodes {
        own_nodes(errors, path, device);
    } else if ["nodeName", "nodeSelector", "allNodes"].iter().any(|key| get(device, key).is_some()) {
        let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
        errors.invalid(path, &Value::Null, detail);
    }
    devices::bindings(errors, path, device);
}

/// Which nodes reach one device, where every device says it for itself.
fn own_nodes(errors: &mut FieldErrors, path: &Path<'_>, device: &Value) {
    let mut said = Vec::new();
    match text_ptr(device, "nodeName") {
        Some("") => check::bad_text(errors, &path.child("nodeName"), "", "must not be empty"),
        Some(name) => {
            said.push("`nodeName`");
            devices::node_name(errors, &path.child("nodeName"), name);
        }
        None => {}
    }
    if let Some(selector) = get(device, "nodeSelector") {
        said.push("`nodeSelector`");
        affinity::node_selector(errors, &path.child("nodeSelector"), selector);
    }
    match flag_ptr(device, "allNodes") {
        Some(true) => said.push("`allNodes`"),
        Some(false) => {
            errors.invalid(&path.child("allNodes"), &false.into(), "must be either unset or set to true");
        }
        None => {}
    }
    let one = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    match said.len() {
        0 => errors.required(path, one),
        1 => {}
        _ => check::bad_text(errors, path, &format!("{{{}}}", said.join(", ")), one),
    }
}
