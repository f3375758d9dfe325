//! `CSIDriver` of `storage.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column};
use super::common::check;
use super::common::walk::{default, ensure, flag, get, int, int_ptr, list, same, set, text, text_ptr, texts};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope};

/// The kind's rules.
pub struct CSIDriver;

static INFO: KindInfo = KindInfo {
    group: "storage.k8s.io",
    version: "v1",
    kind: "CSIDriver",
    plural: "csidrivers",
    singular: "csidriver",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "csidrivers",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("AttachRequired", "boolean", "Whether volumes must be attached first."),
    column("PodInfoOnMount", "boolean", "Whether mounting needs facts of the pod."),
    column("StorageCapacity", "boolean", "Whether capacity is reported."),
    column("TokenRequests", "string", "Audiences of the tokens it needs."),
    column("RequiresRepublish", "boolean", "Whether volumes are published again and again."),
    column("Modes", "string", "Life cycles of volumes it offers."),
    cells::AGE,
];

impl Kind for CSIDriver {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = ensure(object, "spec");
        default(spec, "attachRequired", true);
        default(spec, "podInfoOnMount", false);
        default(spec, "storageCapacity", false);
        default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        default(spec, "requiresRepublish", false);
        default(spec, "seLinuxMount", false);
        if list(spec, "volumeLifecycleModes").is_empty() {
            set(spec, "volumeLifecycleModes", json!(["Persistent"]));
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let audiences: Vec<&str> =
            list(spec, "tokenRequests").iter().map(|each| text(each, "audience")).collect();
        let audiences = if audiences.is_empty() { "<unset>".to_owned() } else { audiences.join(",") };
        let modes: Vec<&str> = texts(spec, "volumeLifecycleModes").collect();
        vec![
            cells::name(object),
            flag(spec, "attachRequired").into(),
            flag(spec, "podInfoOnMount").into(),
            flag(spec, "storageCapacity").into(),
            audiences.into(),
            flag(spec, "requiresRepublish").into(),
            modes.join(",").into(),
            cells::age(object, now),
        ]
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _part: Part, _rules: &Rules<'_>) {
        if !same(get(new, "spec"), get(old, "spec")) {
            let generation = int(&old["metadata"], "generation") + 1;
            set(ensure(new, "metadata"), "generation", generation);
        }
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
        let path = Path::new("spec");
        let (now, was) = (&new["spec"], &old["spec"]);
        // Upstream's path has this spelling.
        for (key, shown) in
            [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")]
        {
            check::immutable(errors, &path.child(shown), get(now, key), get(was, key), Value::to_string);
        }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let spec = &new["spec"];
        if old.is_some()
            || list(spec, "tokenRequests").is_empty()
            || get(spec, "serviceAccountTokenInSecrets").is_some()
        {
            return Vec::new();
        }
        vec![
            "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes"
                .to_owned(),
        ]
    }
}

/// How often the number of volumes that fit a node is asked for, at most.
const UPDATE_SECONDS_MIN: i64 = 10;
/// Tokens live so long at least.
const TOKEN_SECONDS_MIN: i64 = 600;

fn validate(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    for key in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
        if get(spec, key).is_none() {
            errors.required(&path.child(key), "");
        }
    }
    if let Some(policy) = text_ptr(spec, "fsGroupPolicy") {
        let policies = &["File", "None", "ReadWriteOnceWithFSType"];
        check::one_of(errors, &path.child("fsGroupPolicy"), policy, policies);
    }
    let tokens = list(spec, "tokenRequests");
    for (at, token) in tokens.iter().enumerate() {
        let path = path.child("tokenRequests");
        let path = path.index(at);
        let audience = text(token, "audience");
        if tokens[..at].iter().any(|earlier| text(earlier, "audience") == audience) {
            errors.duplicate(&path.child("audience"), &audience.into());
            continue;
        }
        match int_ptr(token, "expirationSeconds") {
            Some(seconds @ ..TOKEN_SECONDS_MIN) => {
                let detail = "may not specify a duration less than 10 minutes";
                errors.invalid(&path.child("expirationSeconds"), &seconds.into(), detail);
            }
            Some(seconds) if seconds > 1 << 32 => {
                let detail = "may not specify a duration larger than 2^32 seconds";
                errors.invalid(&path.child("expirationSeconds"), &seconds.into(), detail);
            }
            _ => {}
        }
    }
    for mode in texts(spec, "volumeLifecycleModes") {
        check::one_of(errors, &path.child("volumeLifecycleModes"), mode, &["Persistent", "Ephemeral"]);
    }
    let key = "nodeAllocatableUpdatePeriodSeconds";
    if let Some(seconds @ ..UPDATE_SECONDS_MIN) = int_ptr(spec, key) {
        let detail = format!("must be greater than or equal to {UPDATE_SECONDS_MIN} seconds");
        errors.invalid(&path.child(key), &seconds.into(), detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{changed, faults, made, update_faults};

    #[test]
    fn changes_are_counted() {
        let old = made(&CSIDriver, json!({"spec": {}}));
        assert!(old["metadata"].get("generation").is_none());
        let new = changed(&CSIDriver, &old, Part::Main, |new| new["spec"]["storageCapacity"] = true.into());
        assert_eq!(new["metadata"]["generation"], 1);
        assert_eq!(
            update_faults(&CSIDriver, json!({"spec": {}}), Part::Main, |new| new["spec"]["attachRequired"] =
                false.into()),
            ["spec.attachedRequired: Invalid value: false: field is immutable"]
        );
    }

    #[test]
    fn fields_are_checked() {
        for (spec, expected) in [
            (
                json!({"fsGroupPolicy": "", "volumeLifecycleModes": ["X"], "nodeAllocatableUpdatePeriodSeconds": 9}),
                vec![
                    "spec.fsGroupPolicy: Unsupported value: \"\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"",
                    "spec.volumeLifecycleModes: Unsupported value: \"X\": supported values: \"Persistent\", \"Ephemeral\"",
                    "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
                ],
            ),
            (
                json!({"tokenRequests": [{"audience": "a", "expirationSeconds": 1}, {"audience": "a", "expirationSeconds": 1}]}),
                vec![
                    "spec.tokenRequests[0].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
                    "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
                ],
            ),
        ] {
            assert_eq!(faults(&CSIDriver, json!({"spec": spec})), expected, "{spec}");
        }
    }
}
