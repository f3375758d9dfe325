//! The status of a claim: the devices it was given, who may use them, and what drivers say of them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::devices::{self, RequestNames};
use crate::kinds::common::walk::{get, get_mut, list, list_mut, map_of, remove, set, text, text_ptr, texts};
use crate::kinds::common::{check, conditions, csi};
use crate::kinds::pod::{affinity, internal};
use crate::meta::names;

/// Most pods that share a claim.
const RESERVED_MAX: usize = 256;
/// Most conditions of one device.
const CONDITIONS_MAX: usize = 8;
/// Longest data of a driver about one device, in bytes of JSON.
const DATA_BYTES_MAX: usize = 10 * 1024;
/// Longest name of a network interface, in bytes.
const INTERFACE_BYTES_MAX: usize = 256;
/// Longest hardware address of a network interface, in bytes.
const HARDWARE_ADDRESS_BYTES_MAX: usize = 128;
/// Most addresses of a network interface.
const ADDRESSES_MAX: usize = 16;

/// Tolerations that were copied from requests compare values unless they say otherwise.
pub fn set_defaults(status: &mut Value) {
    let devices = get_mut(status, "allocation").and_then(|allocation| get_mut(allocation, "devices"));
    for result in devices.map_or(&mut [][..], |devices| list_mut(devices, "results")) {
        for toleration in list_mut(result, "tolerations") {
            crate::kinds::common::walk::default_text(toleration, "operator", "Equal");
        }
    }
}

/// A device, as messages name it: driver, pool, name, and the share of it where there are shares.
fn identity(of: &Value) -> String {
    let mut name = format!("{}/{}/{}", text(of, "driver"), text(of, "pool"), text(of, "device"));
    if let Some(share) = text_ptr(of, "shareID").filter(|share| !share.is_empty()) {
        name.push('/');
        name.push_str(share);
    }
    name
}

fn results(status: &Value) -> &[Value] {
    get(status, "allocation").map_or(&[], |allocation| list(&allocation["devices"], "results"))
}

/// What is said of devices goes with them. KEP-4817.
pub fn drop_of_devices_given_back(new: &mut Value, old: &Value) {
    let device = |of: &Value| [text(of, "driver"), text(of, "pool"), text(of, "device")].join("/");
    let given = |of: &Value| results(&of["status"]).iter().map(device).collect::<BTreeSet<_>>();
    let gone: BTreeSet<String> = given(old).difference(&given(new)).cloned().collect();
    let status = &mut new["status"];
    let kept: Vec<Value> =
        list(status, "devices").iter().filter(|of| !gone.contains(&device(of))).cloned().collect();
    if kept.is_empty() {
        remove(status, "devices");
    } else {
        set(map_or_self(status), "devices", kept);
    }
}

fn map_or_self(status: &mut Value) -> &mut Value {
    map_of(status);
    status
}

/// Checks a write of the status.
pub fn validate(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let path = Path::new("status");
    let (now, was) = (&new["status"], &old["status"]);
    let place = path.child("reservedFor");
    let reserved = list(now, "reservedFor");
    if devices::few(errors, &place, reserved, RESERVED_MAX) {
        for (at, user) in reserved.iter().enumerate() {
            let path = place.index(at);
            for key in ["resource", "name", "uid"] {
                check::required(errors, &path.child(key), text(user, key));
            }
        }
        devices::distinct(errors, &place, reserved, |user| text(user, "uid"));
    }
    of_devices(errors, &path.child("devices"), now);
    let (allocation, before) = (get(now, "allocation"), get(was, "allocation"));
    if !reserved.is_empty() {
        let deleted = get(&new["metadata"], "deletionTimestamp").is_some();
        if allocation.is_none() {
            errors.forbidden(&place, "may not be specified when `allocated` is not set");
        } else if deleted && reserved.iter().any(|user| !list(was, "reservedFor").contains(user)) {
            let detail =
                "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            errors.forbidden(&place, detail);
        }
    }
    let place = path.child("allocation");
    match (allocation, before) {
        (Some(_), Some(_)) => {
            let shown = |allocation: &Value| internal::json("AllocationResult", allocation);
            check::immutable(errors, &place, allocation, before, shown);
        }
        (Some(allocation), None) => {
            let known = RequestNames::of(&new["spec"]["devices"]);
            of_allocation(errors, &place, allocation, &known);
        }
        (None, _) => {}
    }
}

/// Checks what is given for the first time.
fn of_allocation(errors: &mut FieldErrors, path: &Path<'_>, allocation: &Value, known: &RequestNames<'_>) {
    let place = path.child("devices");
    let devices_given = &allocation["devices"];
    let results_path = place.child("results");
    let all = list(devices_given, "results");
    if devices::few(errors, &results_path, all, devices::REQUESTS_MAX) {
        for (at, result) in all.iter().enumerate() {
            let path = results_path.index(at);
            devices::reference(errors, &path.child("request"), text(result, "request"), known);
            named(errors, &path, result);
            devices::bindings(errors, &path, result);
            for (at, toleration) in list(result, "tolerations").iter().enumerate() {
                devices::toleration(errors, &path.child("tolerations").index(at), toleration);
            }
            if let Some(share) = text_ptr(result, "shareID") {
                devices::uid(errors, &path.child("shareID"), share);
            }
        }
    }
    devices::allocated_config(errors, &place, devices_given, known);
    if let Some(selector) = get(allocation, "nodeSelector") {
        affinity::node_selector(errors, &path.child("nodeSelector"), selector);
    }
}

/// The three parts of the name of a device.
fn named(errors: &mut FieldErrors, path: &Path<'_>, of: &Value) {
    csi::driver_name(errors, &path.child("driver"), text(of, "driver"));
    devices::pool_name(errors, &path.child("pool"), text(of, "pool"));
    check::label(errors, &path.child("device"), text(of, "device"));
}

/// `status.devices`: what drivers say of the devices of this claim.
fn of_devices(errors: &mut FieldErrors, path: &Path<'_>, status: &Value) {
    let given: Vec<String> = results(status).iter().map(identity).collect();
    let all = list(status, "devices");
    for (at, device) in all.iter().enumerate() {
        let path = path.index(at);
        named(errors, &path, device);
        if let Some(share) = text_ptr(device, "shareID") {
            devices::uid(errors, &path.child("shareID"), share);
        }
        let name = identity(device);
        if !given.contains(&name) {
            errors.invalid_shown(&path, name, "must be an allocated device in the claim");
        }
        let place = path.child("conditions");
        let count = list(device, "conditions").len();
        if count > CONDITIONS_MAX {
            errors.too_many(&place, count, CONDITIONS_MAX);
        }
        conditions::validate(errors, &place, device);
        if let Some(data) = get(device, "data") {
            devices::raw(errors, &path.child("data"), Some(data), DATA_BYTES_MAX);
        }
        if let Some(data) = get(device, "networkData") {
            network(errors, &path.child("networkData"), data);
        }
    }
    for (at, device) in all.iter().enumerate() {
        let name = identity(device);
        if all[..at].iter().any(|earlier| identity(earlier) == name) {
            let path = path.index(at);
            check::push(errors, crate::field::FieldErrorKind::Duplicate, &path, Some(name), "");
        }
    }
}

fn network(errors: &mut FieldErrors, path: &Path<'_>, data: &Value) {
    for (key, most) in
        [("interfaceName", INTERFACE_BYTES_MAX), ("hardwareAddress", HARDWARE_ADDRESS_BYTES_MAX)]
    {
        if text(data, key).len() > most {
            errors.too_long(&path.child(key), most);
        }
    }
    let (path, all) = (path.child("ips"), list(data, "ips"));
    if devices::few(errors, &path, all, ADDRESSES_MAX) {
        for (at, address) in texts(data, "ips").enumerate() {
            check::messages(errors, &path.index(at), address, names::interface_address(address));
        }
        devices::distinct(errors, &path, all, |address| address.as_str().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::super::ResourceClaim;
    use super::*;
    use crate::kind::Part;
    use crate::kinds::common::testing::{changed, made};
    use serde_json::json;

    fn claim(status: Value) -> Value {
        let spec = json!({"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}}]}});
        let mut claim = made(&ResourceClaim, json!({"spec": spec}));
        claim["metadata"]["resourceVersion"] = "1".into();
        claim["status"] = status;
        claim
    }

    fn given() -> Value {
        json!({"devices": {"results": [{"request": "r", "driver": "d", "pool": "p", "device": "x"}]}})
    }

    fn faults(old: &Value, status: Value) -> Vec<String> {
        let new = changed(&ResourceClaim, old, Part::Status, |new| new["status"] = status);
        crate::meta::check_update(&ResourceClaim, &new, old, Part::Status)
            .0
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn user(uid: &str) -> Value {
        json!({"resource": "pods", "name": uid, "uid": uid})
    }

    #[test]
    fn pods_reserve_what_is_allocated() {
        let (empty, full) = (claim(json!({})), claim(json!({"allocation": given()})));
        let reserve = |users: Value| json!({"allocation": given(), "reservedFor": users});
        let many: Vec<Value> = (0..257).map(|at| user(&at.to_string())).collect();
        for (old, status, expected) in [
            (&empty, reserve(json!([user("a")])), vec![]),
            (&full, json!({}), vec![]),
            (
                &empty,
                json!({"reservedFor": [user("a")]}),
                vec!["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"],
            ),
            (
                &full,
                reserve(json!([user("a"), user("a")])),
                vec!["status.reservedFor[1]: Duplicate value: \"a\""],
            ),
            (
                &full,
                reserve(json!([{"uid": "a"}])),
                vec![
                    "status.reservedFor[0].resource: Required value",
                    "status.reservedFor[0].name: Required value",
                ],
            ),
            (
                &full,
                reserve(json!(many)),
                vec!["status.reservedFor: Too many: 257: must have at most 256 items"],
            ),
        ] {
            assert_eq!(faults(old, status), expected);
        }
        let mut deleted = claim(reserve(json!([user("a")])));
        deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(faults(&deleted, reserve(json!([]))).is_empty());
        assert_eq!(
            faults(&deleted, reserve(json!([user("b")]))),
            [
                "status.reservedFor: Forbidden: new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
            ]
        );
    }

    #[test]
    fn what_was_given_stays_until_it_is_given_back() {
        let mut other = given();
        other["devices"]["results"][0]["device"] = "y".into();
        let found = faults(&claim(json!({"allocation": given()})), json!({"allocation": other}));
        assert_eq!(
            found,
            [
                r#"status.allocation: Invalid value: {"Devices":{"Results":[{"Request":"r","Driver":"d","Pool":"p","Device":"y","AdminAccess":null,"Tolerations":null,"BindingConditions":null,"BindingFailureConditions":null,"ShareID":null,"ConsumedCapacity":null}],"Config":null},"NodeSelector":null,"AllocationTimestamp":null}: field is immutable"#
            ]
        );
        let bad = json!({"devices": {"results": [{"request": "q", "driver": "", "pool": "", "device": "D"}],
            "config": [{"source": "Me", "opaque": {"driver": "d", "parameters": {}}}]}, "nodeSelector": {}});
        let found = faults(&claim(json!({})), json!({"allocation": bad}));
        let fields: Vec<&str> = found.iter().filter_map(|fault| fault.split(": ").next()).collect();
        let result = "status.allocation.devices.results[0]";
        assert_eq!(
            fields,
            [
                &format!("{result}.request"),
                &format!("{result}.driver"),
                &format!("{result}.pool"),
                &format!("{result}.device"),
                "status.allocation.devices.config[0].source",
                "status.allocation.nodeSelector.nodeSelectorTerms",
            ]
        );
    }

    #[test]
    fn drivers_speak_of_devices_of_the_claim() {
        let old = claim(json!({"allocation": given()}));
        let device = |name: &str| json!({"driver": "d", "pool": "p", "device": name, "conditions": []});
        let with = |devices: Value| json!({"allocation": given(), "devices": devices});
        assert!(faults(&old, with(json!([device("x")]))).is_empty());
        assert_eq!(
            faults(&old, with(json!([device("y"), device("y")]))),
            [
                "status.devices[0]: Invalid value: d/p/y: must be an allocated device in the claim",
                "status.devices[1]: Invalid value: d/p/y: must be an allocated device in the claim",
                "status.devices[1]: Duplicate value: d/p/y",
            ]
        );
        let mut network = device("x");
        network["data"] = json!("text");
        network["networkData"] =
            json!({"ips": ["10.0.0.1/24", "10.0.0.1", "::0/8"], "interfaceName": "x".repeat(257)});
        assert_eq!(
            faults(&old, with(json!([network]))),
            [
                "status.devices[0].data: Invalid value: \"<value omitted>\": must be a valid JSON object",
                "status.devices[0].networkData.interfaceName: Too long: may not be more than 256 bytes",
                "status.devices[0].networkData.ips[1]: Invalid value: \"10.0.0.1\": must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)",
                "status.devices[0].networkData.ips[2]: Invalid value: \"::0/8\": must be in canonical form (\"::/8\")",
            ]
        );
    }

    #[test]
    fn what_is_said_of_a_device_goes_with_it() {
        let said = json!([{"driver": "d", "pool": "p", "device": "x", "conditions": []}]);
        let old = claim(json!({"allocation": given(), "devices": said}));
        let new = changed(&ResourceClaim, &old, Part::Status, |new| {
            remove(&mut new["status"], "allocation");
        });
        assert_eq!(new["status"], json!({}));
        let new = changed(&ResourceClaim, &old, Part::Status, |new| {
            new["status"]["reservedFor"] = json!([user("a")])
        });
        assert_eq!(new["status"]["devices"], said);
    }

    #[test]
    fn a_write_of_the_status_keeps_the_labels() {
        let old = claim(json!({}));
        let new = changed(&ResourceClaim, &old, Part::Status, |new| {
            new["metadata"]["labels"] = json!({"a": "b"});
            new["metadata"]["finalizers"] = json!(["a/b"]);
        });
        assert_eq!(new["metadata"], old["metadata"]);
    }
}
