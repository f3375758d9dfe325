//! What a ValidatingAdmissionPolicy is told: which of its expressions can't work with the types its rules name.

use cox_api::kinds::admission::type_check;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use serde_json::{Value, json};

/// The status of a policy; none where it was told already.
pub(super) fn status(policy: &ValidatingAdmissionPolicy) -> Option<Value> {
    let generation = policy.metadata.generation.unwrap_or_default();
    let observed = policy.status.as_ref().and_then(|status| status.observed_generation).unwrap_or_default();
    if generation <= observed {
        return None;
    }
    let value = serde_json::to_value(policy).unwrap_or_default();
    let warnings: Vec<Value> = type_check::check(&value)
        .into_iter()
        .map(|warning| json!({"fieldRef": warning.field, "warning": warning.text}))
        .collect();
    // That there is nothing to be said is said as well.
    let checking = if warnings.is_empty() { json!({}) } else { json!({"expressionWarnings": warnings}) };
    Some(json!({"observedGeneration": generation, "typeChecking": checking}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::object;

    #[test]
    fn a_generation_is_told_once() {
        let policy = |generation: i64,
                      observed: Option<i64>,
                      expression: &str|
         -> ValidatingAdmissionPolicy {
            object(
                json!({"metadata": {"name": "p", "generation": generation}, "status": {"observedGeneration": observed},
                "spec": {"validations": [{"expression": expression}], "matchConstraints": {"resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"]}]}}}),
            )
        };
        assert_eq!(status(&policy(1, Some(1), "object.none")), None);
        assert_eq!(
            status(&policy(1, None, "object.spec.hostNetwork")),
            Some(json!({"observedGeneration": 1, "typeChecking": {}}))
        );
        let told = status(&policy(2, Some(1), "object.none")).unwrap();
        let warning = &told["typeChecking"]["expressionWarnings"][0];
        assert_eq!(warning["fieldRef"], "spec.validations[0].expression");
        assert!(
            warning["warning"]
                .as_str()
                .unwrap()
                .starts_with("v1, Kind=Pod: ERROR: <input>:1:7: undefined field 'none'")
        );
    }
}
