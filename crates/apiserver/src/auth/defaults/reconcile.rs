//! What a default role or binding that is already there becomes: what is missing is added, nothing is taken away.
//! Objects whose annotation says `autoupdate: "false"` stay as they are.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#auto-reconciliation>

use serde_json::{Map, Value};

use crate::auth::rbac::{PolicyRule, uncovered};

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// The role as it should be; none where nothing has to be written.
pub fn reconcile_role(existing: &Value, wanted: &Value) -> Option<Value> {
    if is_protected(existing) {
        return None;
    }
    let mut result = existing.clone();
    merge_metadata(&mut result, wanted);
    if wanted.get("aggregationRule").is_some() {
        result["aggregationRule"] = wanted["aggregationRule"].clone();
    } else {
        let rules = |object: &Value| -> Vec<PolicyRule> {
            serde_json::from_value(object["rules"].clone()).unwrap_or_default()
        };
        let missing = uncovered(&rules(existing), &rules(wanted));
        if !missing.is_empty() {
            let mut all = existing["rules"].as_array().cloned().unwrap_or_default();
            all.extend(missing.iter().filter_map(|rule| serde_json::to_value(rule).ok()));
            result["rules"] = Value::Array(all);
        }
    }
    (result != *existing).then_some(result)
}

/// The binding as it should be; none where nothing has to be written. A binding to another role is replaced,
/// because `roleRef` can't change: `Err` says to delete it first.
pub fn reconcile_binding(existing: &Value, wanted: &Value) -> Result<Option<Value>, ()> {
    if is_protected(existing) {
        return Ok(None);
    }
    if existing["roleRef"] != wanted["roleRef"] {
        return Err(());
    }
    let mut result = existing.clone();
    merge_metadata(&mut result, wanted);
    let mut subjects = existing["subjects"].as_array().cloned().unwrap_or_default();
    for subject in wanted["subjects"].as_array().into_iter().flatten() {
        if !subjects.contains(subject) {
            subjects.push(subject.clone());
        }
    }
    if !subjects.is_empty() {
        result["subjects"] = Value::Array(subjects);
    }
    Ok((result != *existing).then_some(result))
}

fn is_protected(object: &Value) -> bool {
    object["metadata"]["annotations"][AUTOUPDATE] == "false"
}

fn merge_metadata(object: &mut Value, wanted: &Value) {
    for part in ["labels", "annotations"] {
        let Some(wanted) = wanted["metadata"][part].as_object() else { continue };
        let known = &mut object["metadata"][part];
        if !known.is_object() {
            *known = Value::Object(Map::new());
        }
        for (key, value) in wanted {
            known[key] = value.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn missing_rules_come_back_and_own_ones_stay() {
        let wanted = json!({"metadata": {"name": "r"}, "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]});
        let mut existing = json!({"metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "secrets"]}]});
        let result = reconcile_role(&existing, &wanted).unwrap();
        assert_eq!(result["rules"].as_array().unwrap().len(), 2);
        assert_eq!(result["rules"][1]["verbs"], json!(["list"]));
        assert_eq!(reconcile_role(&result, &wanted), None);
        existing["metadata"]["annotations"] = json!({AUTOUPDATE: "false"});
        assert_eq!(reconcile_role(&existing, &wanted), None);
    }
}
