//! What a StatefulSet may say.

use serde_json::{Value, json};

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, field_non_negative};
use crate::kinds::common::walk::{at, ensure, get, int, list, same, set, text};
use crate::kinds::common::workload;
use crate::kinds::pod::{ephemeral_claim, internal, template};
use crate::meta::names;

/// What an update may change; everything else is fixed.
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// The spec without its claims and its service.
pub fn spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let place = path.child("podManagementPolicy");
    match text(spec, "podManagementPolicy") {
        "" => errors.required(&place, ""),
        "OrderedReady" | "Parallel" => {}
        other => errors.invalid(&place, &other.into(), "must be 'OrderedReady' or 'Parallel'"),
    }
    strategy(errors, &path.child("updateStrategy"), &spec["updateStrategy"]);
    if let Some(policy) = get(spec, "persistentVolumeClaimRetentionPolicy") {
        let path = path.child("persistentVolumeClaimRetentionPolicy");
        for key in ["whenDeleted", "whenScaled"] {
            check::one_of(errors, &path.child(key), text(policy, key), &["Retain", "Delete"]);
        }
    }
    field_non_negative(errors, spec, path, "replicas");
    field_non_negative(errors, spec, path, "minReadySeconds");
    if let Some(ordinals) = get(spec, "ordinals") {
        check::non_negative(errors, &path.child("ordinals.start"), int(ordinals, "start"));
    }
    workload::selector(errors, path, spec, "statefulset");
    if workload::selects_template(errors, path, spec, Some("")) {
        pods(errors, path, spec);
    }
    let path = path.child("template");
    workload::runs_for_ever(errors, &path, spec, "StatefulSet");
}

/// The template as its pods will be: each claim is a volume of theirs.
fn pods(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let path = path.child("template");
    let nothing = Value::Null;
    let given = get(spec, "template").unwrap_or(&nothing);
    let claims = list(spec, "volumeClaimTemplates");
    if claims.is_empty() {
        return template::validate(errors, &path, given);
    }
    let mut made = given.clone();
    let claimed: Vec<&str> = claims.iter().map(|claim| text(&claim["metadata"], "name")).collect();
    let own = list(&given["spec"], "volumes").iter();
    let mut volumes: Vec<Value> =
        own.filter(|volume| !claimed.contains(&text(volume, "name"))).cloned().collect();
    for name in claimed {
        // A name that no volume may have is a fault of the claim.
        if names::dns1123_label(name).is_empty() {
            volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
        }
    }
    set(ensure(&mut made, "spec"), "volumes", volumes);
    template::validate(errors, &path, &made);
}

fn strategy(errors: &mut FieldErrors, path: &Path<'_>, strategy: &Value) {
    let rolling = get(strategy, "rollingUpdate");
    match (text(strategy, "type"), rolling) {
        ("", _) => errors.required(path, ""),
        ("OnDelete", Some(rolling)) => errors.invalid_shown(
            &path.child("rollingUpdate"),
            internal::json("RollingUpdateStatefulSetStrategy", rolling),
            "only allowed for updateStrategy 'RollingUpdate'",
        ),
        ("RollingUpdate", Some(rolling)) => {
            let path = path.child("rollingUpdate");
            check::non_negative(errors, &path.child("partition"), int(rolling, "partition"));
            if let Some(gone) = get(rolling, "maxUnavailable") {
                let path = path.child("maxUnavailable");
                check::int_or_share(errors, &path, gone);
                if check::amount(gone) == 0 {
                    errors.invalid(&path, gone, "cannot be 0");
                }
                check::at_most_whole(errors, &path, gone);
            }
        }
        ("OnDelete" | "RollingUpdate", None) => {}
        _ => errors.invalid_shown(
            path,
            internal::json("StatefulSetUpdateStrategy", strategy),
            "must be 'RollingUpdate' or 'OnDelete'",
        ),
    }
}

/// What can't change later, so that only a new object is asked.
pub fn claims_and_service(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let service = text(spec, "serviceName");
    if !service.is_empty() {
        check::label(errors, &path.child("serviceName"), service);
    }
    let path = path.child("volumeClaimTemplates");
    for (index, claim) in list(spec, "volumeClaimTemplates").iter().enumerate() {
        let path = path.index(index);
        let name = at(claim, &["metadata", "name"]).and_then(Value::as_str).unwrap_or_default();
        if !name.is_empty() {
            let path = path.child("metadata");
            check::subdomain(errors, &path.child("name"), name);
        }
        ephemeral_claim::claim_spec(errors, &path.child("spec"), &claim["spec"]);
    }
}

/// A change of the spec.
pub fn update(errors: &mut FieldErrors, path: &Path<'_>, new: &Value, old: &Value) {
    spec(errors, path, new);
    let keys = |of: &'_ Value| of.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
    let fixed =
        keys(new).into_iter().chain(keys(old)).flatten().filter(|key| !MUTABLE.contains(&key.as_str()));
    for key in fixed {
        if !same(new.get(&key), old.get(&key)) {
            let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                'minReadySeconds' are forbidden";
            return errors.forbidden(path, detail);
        }
    }
}

/// A change of the status.
pub fn status(errors: &mut FieldErrors, path: &Path<'_>, new: &Value, old: &Value) {
    for key in [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ] {
        field_non_negative(errors, new, path, key);
    }
    let parts = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    workload::at_most(errors, path, new, &parts, "replicas", "cannot be greater than status.replicas");
    let detail = "cannot be greater than status.readyReplicas";
    workload::at_most(errors, path, new, &["availableReplicas"], "readyReplicas", detail);
    check::not_decremented(errors, new, old, path, "collisionCount");
}
