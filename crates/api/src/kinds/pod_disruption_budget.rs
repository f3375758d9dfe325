//! `PodDisruptionBudget` of `policy/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{ensure, get, int, text_ptr};
use super::common::{check, conditions, label_selector};
use super::pod::internal;
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, NameRule, Part, Scope, Subresource};

/// The kind's rules.
pub struct PodDisruptionBudget;

static INFO: KindInfo = KindInfo {
    group: "policy",
    version: "v1",
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short_names: &["pdb"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "PodDisruptionBudget",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "poddisruptionbudgets",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Min Available", "string", "Pods that must stay, as a number or a share."),
    column("Max Unavailable", "string", "Pods that may be gone, as a number or a share."),
    column("Allowed Disruptions", "integer", "Pods that may be evicted now."),
    cells::AGE,
];

impl Kind for PodDisruptionBudget {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn set_defaults(&self, object: &mut Value) {
        ensure(object, "spec");
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate_spec(errors, &Path::new("spec"), &object["spec"]);
    }

    fn validate_update(&self, new: &Value, _old: &Value, part: Part, errors: &mut FieldErrors) {
        if part != Part::Status {
            return validate_spec(errors, &Path::new("spec"), &new["spec"]);
        }
        let (path, status) = (Path::new("status"), &new["status"]);
        conditions::validate(errors, &path.child("conditions"), status);
        for key in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            check::field_non_negative(errors, status, &path, key);
        }
    }

    fn repeats_metadata_checks(&self) -> bool {
        false
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let amount = |key: &str| -> Value {
            match get(spec, key) {
                Some(Value::String(share)) => share.as_str().into(),
                Some(number) => number.to_string().into(),
                None => "N/A".into(),
            }
        };
        vec![
            cells::name(object),
            amount("minAvailable"),
            amount("maxUnavailable"),
            int(&object["status"], "disruptionsAllowed").into(),
            cells::age(object, now),
        ]
    }
}

fn validate_spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let (least, most) = (get(spec, "minAvailable"), get(spec, "maxUnavailable"));
    if least.is_some() && most.is_some() {
        let shown = internal::json("PodDisruptionBudgetSpec", spec);
        errors.invalid_shown(path, shown, "minAvailable and maxUnavailable cannot be both set");
    }
    for (key, amount) in [("minAvailable", least), ("maxUnavailable", most)] {
        if let Some(amount) = amount {
            check::int_or_share(errors, &path.child(key), amount);
            check::at_most_whole(errors, &path.child(key), amount);
        }
    }
    label_selector::validate(get(spec, "selector"), false, &path.child("selector"), errors);
    if let Some(policy) = text_ptr(spec, "unhealthyPodEvictionPolicy") {
        let path = path.child("unhealthyPodEvictionPolicy");
        check::one_of(errors, &path, policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::update_faults;
    use serde_json::json;

    #[test]
    fn conditions_are_checked_before_counters() {
        let found = update_faults(&PodDisruptionBudget, json!({"spec": {}}), Part::Status, |new| {
            new["status"] = json!({"currentHealthy": -1, "observedGeneration": -1,
                "conditions": [{"type": "A", "status": "no", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        });
        let fields: Vec<&str> = found.iter().filter_map(|fault| fault.split(':').next()).collect();
        assert_eq!(fields, ["status.conditions[0].status", "status.currentHealthy"]);
    }
}
