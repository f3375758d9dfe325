//! Tolerations, spreading over the topology, gates.

use serde_json::Value;

use super::affinity::label_keys;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text, one_of, positive};
use crate::kinds::common::label_selector;
use crate::kinds::common::walk::{get, int, int_ptr, list, text, text_ptr};
use crate::meta::names;

/// `spec.tolerations`.
pub fn tolerations(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    for (index, toleration) in list(spec, "tolerations").iter().enumerate() {
        let path = path.index(index);
        let [key, operator, value, effect] =
            ["key", "operator", "value", "effect"].map(|key| text(toleration, key));
        let place = path.child("operator");
        if !key.is_empty() {
            check::qualified(errors, &path.child("key"), key);
        } else if operator != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            bad_text(errors, &place, operator, detail);
        }
        if int_ptr(toleration, "tolerationSeconds").is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            bad_text(errors, &path.child("effect"), effect, detail);
        }
        match operator {
            "" | "Equal" => {
                let faults = names::label_value(value);
                if !faults.is_empty() {
                    bad_text(errors, &place, value, faults.join(";"));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    bad_text(errors, &place, value, "value must be empty when `operator` is 'Exists'");
                }
            }
            // Comparing is behind a closed gate, and upstream's message names it all the same. KEP-5471.
            "Lt" | "Gt" => errors.not_supported(&place, &operator.into(), &["Equal", "Exists", "Lt", "Gt"]),
            other => errors.not_supported(&place, &other.into(), &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            one_of(errors, &path.child("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}

/// `spec.topologySpreadConstraints`.
pub fn spread(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let all = list(spec, "topologySpreadConstraints");
    for (index, constraint) in all.iter().enumerate() {
        let path = path.index(index);
        positive(errors, &path.child("maxSkew"), int(constraint, "maxSkew"));
        let (key, action) = (text(constraint, "topologyKey"), text(constraint, "whenUnsatisfiable"));
        if key.is_empty() {
            errors.required(&path.child("topologyKey"), "can not be empty");
        }
        one_of(errors, &path.child("whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        let again =
            |other: &Value| text(other, "topologyKey") == key && text(other, "whenUnsatisfiable") == action;
        if all[index + 1..].iter().any(again) {
            let shown = format!("{{{key}, {action}}}");
            errors.duplicate(&path.child("{topologyKey, whenUnsatisfiable}"), &shown.into());
        }
        if let Some(least) = int_ptr(constraint, "minDomains") {
            let path = path.child("minDomains");
            positive(errors, &path, least);
            if action != "DoNotSchedule" {
                let detail =
                    format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.invalid(&path, &least.into(), detail);
            }
        }
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(policy) = text_ptr(constraint, key) {
                one_of(errors, &path.child(key), policy, &["Honor", "Ignore"]);
            }
        }
        label_keys(errors, &path, constraint);
        label_selector::validate(
            get(constraint, "labelSelector"),
            false,
            &path.child("labelSelector"),
            errors,
        );
    }
}

/// `spec.readinessGates`.
pub fn readiness_gates(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    for (index, gate) in list(spec, "readinessGates").iter().enumerate() {
        check::qualified(errors, &path.index(index).child("conditionType"), text(gate, "conditionType"));
    }
}

/// `spec.schedulingGates`.
pub fn scheduling_gates(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let gates = list(spec, "schedulingGates");
    for (index, gate) in gates.iter().enumerate() {
        let name = text(gate, "name");
        check::qualified(errors, &path.index(index), name);
        if gates[..index].iter().any(|earlier| text(earlier, "name") == name) {
            errors.duplicate(&path.index(index), &name.into());
        }
    }
}
