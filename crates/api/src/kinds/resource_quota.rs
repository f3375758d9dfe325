//! `ResourceQuota` of `v1`.

mod validate;

use super::common::resource_list;
use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{get, get_mut, map};
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, Part, Scope, Subresource};

/// The kind's rules.
pub struct ResourceQuota;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "ResourceQuota",
    plural: "resourcequotas",
    singular: "resourcequota",
    short_names: &["quota"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "ResourceQuota",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "resourcequotas",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Request", "string", "What is used, and what may be."),
    column("Limit", "string", "What is used of limits, and what may be."),
    cells::AGE,
];

impl Kind for ResourceQuota {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        if let Some(spec) = get_mut(object, "spec") {
            resource_list::round_up(get_mut(spec, "hard"));
        }
        if let Some(status) = get_mut(object, "status") {
            resource_list::round_up(get_mut(status, "hard"));
            resource_list::round_up(get_mut(status, "used"));
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let status = &object["status"];
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (name, hard) in map(status, "hard") {
            let used = get(&status["used"], name).and_then(Value::as_str).unwrap_or("0");
            let part = format!("{name}: {used}/{}", hard.as_str().unwrap_or_default());
            if name.starts_with("limits.") { limits.push(part) } else { requests.push(part) }
        }
        vec![
            cells::name(object),
            requests.join(", ").into(),
            limits.join(", ").into(),
            cells::age(object, now),
        ]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::spec(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Status {
            validate::status(new, errors);
        } else {
            validate::spec(new, errors);
            validate::scopes_stay(new, old, errors);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::faults;

    #[test]
    fn scopes_fit_resources() {
        let quota = |spec: Value| faults(&ResourceQuota, json!({"spec": spec}));
        assert!(quota(json!({"scopes": ["BestEffort"], "hard": {"pods": "1"}})).is_empty());
        assert_eq!(
            quota(json!({"scopes": ["BestEffort"], "hard": {"cpu": "1"}})),
            ["spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource"]
        );
        assert_eq!(
            quota(json!({"scopes": ["Terminating", "NotTerminating"]})),
            ["spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: conflicting scopes"]
        );
        assert_eq!(
            quota(json!({"hard": {"pods": "1500m", "services": "-1"}})),
            [
                "spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
                "spec.hard[services]: Invalid value: \"-1\": must be greater than or equal to 0",
            ]
        );
    }

    #[test]
    fn rows_show_what_is_used() {
        let quota = json!({"metadata": {"name": "q"}, "status": {"hard": {"limits.cpu": "2", "pods": "10", "cpu": "1"},
            "used": {"pods": "1"}}});
        let row = ResourceQuota.row(&quota, Timestamp::UNIX_EPOCH);
        assert_eq!(row[1], "cpu: 0/1, pods: 1/10");
        assert_eq!(row[2], "limits.cpu: 0/2");
    }
}
