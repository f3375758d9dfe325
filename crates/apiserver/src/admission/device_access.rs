//! Who may ask for administrative access to devices, give devices to claims, and speak for their drivers. Upstream's
//! strategies check it together with the object, so that refusals are causes of a 422.
//! Source: KEP-5018 (administrative access), KEP-4817 and
//! <https://kubernetes.io/docs/concepts/security/hardening-guide/dynamic-resource-allocation/>

use std::collections::BTreeSet;

use cox_api::{FieldErrors, Part, Path};
use cox_store::Key;
use serde_json::Value;

use super::{each, text};
use crate::auth::Attributes;
use crate::core::call::Call;

/// A namespace with this label, `true`, is for administrators.
const ADMIN_LABEL: &str = "resource.kubernetes.io/admin-access";
const GROUP: &str = "resource.k8s.io";
/// What the token of a pod says of its node.
const NODE_OF_TOKEN: &str = "authentication.kubernetes.io/node-name";

/// What a new claim, or a template of claims, asks for without leave.
pub(crate) fn on_create(call: &Call<'_>, object: &Value) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let spec = match (call.info().group, call.info().plural) {
        (GROUP, "resourceclaims") => &object["spec"],
        (GROUP, "resourceclaimtemplates") => &object["spec"]["spec"],
        _ => return errors,
    };
    let asks = |request: &Value| request["exactly"]["adminAccess"] == true;
    if let Some(at) = each(&spec["devices"]["requests"]).position(asks) {
        let path = Path::new("spec.devices.requests");
        administrators_only(call, &mut errors, &path.index(at).child("adminAccess"));
    }
    errors
}

/// What a write of a claim's status does without leave.
pub(crate) fn on_status(call: &Call<'_>, part: Part, new: &Value, old: &Value) -> FieldErrors {
    let mut errors = FieldErrors::new();
    if part != Part::Status || (call.info().group, call.info().plural) != (GROUP, "resourceclaims") {
        return errors;
    }
    let (now, was) = (&new["status"], &old["status"]);
    let admin = |status: &Value| {
        each(&status["allocation"]["devices"]["results"]).position(|result| result["adminAccess"] == true)
    };
    if let Some(at) = admin(now).filter(|_| admin(was).is_none()) {
        let path = Path::new("status.allocation.devices.results");
        administrators_only(call, &mut errors, &path.index(at).child("adminAccess"));
    }
    binding(call, &mut errors, now, was);
    drivers(call, &mut errors, now, was);
    errors
}

fn administrators_only(call: &Call<'_>, errors: &mut FieldErrors, path: &Path<'_>) {
    let namespace = call.server.db().get_key(&Key::new("namespaces", "", call.namespace));
    if !namespace.is_some_and(|namespace| namespace.parsed()["metadata"]["labels"][ADMIN_LABEL] == "true") {
        let detail = format!(
            "admin access to devices requires the `{ADMIN_LABEL}: true` label on the containing namespace"
        );
        errors.forbidden(path, detail);
    }
}

/// Giving devices, and letting pods use them, takes a right of its own, in the whole cluster.
fn binding(call: &Call<'_>, errors: &mut FieldErrors, now: &Value, was: &Value) {
    if ["allocation", "reservedFor"].iter().all(|key| same(&now[*key], &was[*key])) {
        return;
    }
    let verb = call.verb.as_str();
    let needed = Attributes {
        subresource: "binding",
        ..Attributes::resource(call.user, verb, GROUP, "resourceclaims")
    };
    if let Err(refusal) = call.server.authorizer().require(&needed) {
        let detail = format!(
            "changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=\"{verb}\" permission: {}",
            refusal.message()
        );
        errors.forbidden(&Path::new("status"), detail);
    }
}

/// Speaking of the devices of a driver takes a right for that driver: for claims of the own node, or for all.
fn drivers(call: &Call<'_>, errors: &mut FieldErrors, now: &Value, was: &Value) {
    let verb = call.verb.as_str();
    let anywhere = format!("arbitrary-node:{verb}");
    let verbs = match node_of(&now["allocation"]) {
        Some(node) if is_on(call, node) => vec![format!("associated-node:{verb}"), anywhere],
        _ => vec![anywhere],
    };
    for driver in changed_drivers(now, was) {
        let refused = |verb: &String| {
            let needed = Attributes {
                subresource: "driver",
                namespace: call.namespace,
                name: driver,
                ..Attributes::resource(call.user, verb, GROUP, "resourceclaims")
            };
            call.server.authorizer().require(&needed).err()
        };
        let refusals: Vec<_> = verbs.iter().map_while(refused).collect();
        if let Some(first) = refusals.first().filter(|_| refusals.len() == verbs.len()) {
            let detail = format!(
                "changing status.devices requires resource=\"resourceclaims/driver\", verb=\"[{}]\" permission: {}",
                verbs.join(" "),
                first.message()
            );
            errors.forbidden(&Path::new("status.devices"), detail);
        }
    }
}

/// The one node that a claim's devices are for, as the scheduler writes it.
fn node_of(allocation: &Value) -> Option<&str> {
    let terms = allocation["nodeSelector"]["nodeSelectorTerms"].as_array()?;
    let [term] = terms.as_slice() else { return None };
    if each(&term["matchExpressions"]).next().is_some() {
        return None;
    }
    let [field] = term["matchFields"].as_array()?.as_slice() else { return None };
    let [node] = field["values"].as_array()?.as_slice() else { return None };
    (field["key"] == "metadata.name" && field["operator"] == "In").then(|| text(node))
}

/// Whether the caller is a service account whose pod runs on the node.
fn is_on(call: &Call<'_>, node: &str) -> bool {
    let nodes = call.user.extra.get(NODE_OF_TOKEN).map_or(&[][..], Vec::as_slice);
    call.user.as_service_account().is_some() && nodes == [node]
}

/// Drivers of whose devices something else is said than before. What was said of devices that are given back goes with
/// them: that is nobody's doing.
fn changed_drivers<'v>(now: &'v Value, was: &'v Value) -> BTreeSet<&'v str> {
    let name = |device: &'v Value| ["driver", "pool", "device"].map(|part| text(&device[part]));
    let given = |device: &&'v Value| {
        each(&now["allocation"]["devices"]["results"]).any(|result| name(result) == name(device))
    };
    let key = |device: &'v Value| ["driver", "pool", "device", "shareID"].map(|part| text(&device[part]));
    let said = |status: &'v Value| each(&status["devices"]);
    let differs =
        |one: &'v Value, others: &'v Value| !said(others).any(|other| key(one) == key(other) && one == other);
    let new = said(now).filter(|device| differs(device, was));
    let gone = said(was).filter(|device| differs(device, now)).filter(given);
    new.chain(gone).map(|device| text(&device["driver"])).collect()
}

/// Nothing is nothing, written out or not.
fn same(a: &Value, b: &Value) -> bool {
    let nothing = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    a == b || (nothing(a) && nothing(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn drivers_are_asked_for_what_differs() {
        let device =
            |driver: &str, data: i64| json!({"driver": driver, "pool": "p", "device": "x", "data": data});
        let given = json!({"devices": {"results": [device("a", 0), device("b", 0)]}});
        let status = |devices: Value| json!({"devices": devices, "allocation": given});
        let back = json!({"allocation": null});
        assert!(changed_drivers(&back, &status(json!([device("a", 1)]))).is_empty(), "given back");
        for (now, was, expected) in [
            (json!([device("a", 1)]), json!([device("a", 1)]), vec![]),
            (json!([device("a", 1), device("b", 1)]), json!([device("a", 1)]), vec!["b"]),
            (json!([device("a", 2)]), json!([device("a", 1)]), vec!["a"]),
            (json!(null), json!([device("b", 1), device("a", 1)]), vec!["a", "b"]),
        ] {
            let (now, was) = (status(now), status(was));
            assert_eq!(changed_drivers(&now, &was).into_iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn the_node_of_a_claim_is_named_by_one_field() {
        let field = json!({"key": "metadata.name", "operator": "In", "values": ["n"]});
        for (terms, expected) in [
            (json!([{"matchFields": [field]}]), Some("n")),
            (json!([{"matchFields": [field]}, {"matchFields": [field]}]), None),
            (
                json!([{"matchFields": [field], "matchExpressions": [{"key": "a", "operator": "Exists"}]}]),
                None,
            ),
            (json!([]), None),
        ] {
            assert_eq!(node_of(&json!({"nodeSelector": {"nodeSelectorTerms": terms}})), expected);
        }
    }
}
