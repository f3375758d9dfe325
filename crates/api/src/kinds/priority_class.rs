//! `PriorityClass` of `scheduling.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::check;
use super::common::walk::{default, ensure, flag, get, int, set, text};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope};

/// The kind's rules.
pub struct PriorityClass;

static INFO: KindInfo = KindInfo {
    group: "scheduling.k8s.io",
    version: "v1",
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "priorityclasses",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Value", "integer", "The priority."),
    column("Global-Default", "boolean", "Whether pods without a class get it."),
    cells::AGE,
    column("PreemptionPolicy", "string", "Whether pods of the class preempt others."),
];

impl Kind for PriorityClass {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        default(object, "preemptionPolicy", "PreemptLowerPriority");
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            cells::name(object),
            int(object, "value").into(),
            flag(object, "globalDefault").into(),
            cells::age(object, now),
            text(object, "preemptionPolicy").into(),
        ]
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        set(ensure(object, "metadata"), "generation", 1);
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        if int(new, "value") != int(old, "value") {
            errors.forbidden(&Path::new("value"), "may not be changed in an update.");
        }
        let key = "preemptionPolicy";
        check::immutable(errors, &Path::new(key), get(new, key), get(old, key), Value::to_string);
    }
}

/// Names that begin so belong to the classes below.
const SYSTEM_PREFIX: &str = "system-";
/// The classes that every cluster has, and their values.
const SYSTEM: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
/// The highest value of all others.
const VALUE_MAX: i64 = 1_000_000_000;

fn validate(object: &Value, errors: &mut FieldErrors) {
    let (name, value) = (text(&object["metadata"], "name"), int(object, "value"));
    if name.starts_with(SYSTEM_PREFIX) {
        let fault = match SYSTEM.iter().find(|(known, _)| *known == name) {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, wanted)) if *wanted != value => {
                Some(format!("value of {name} PriorityClass must be {wanted}"))
            }
            Some(_) if flag(object, "globalDefault") => {
                Some(format!("globalDefault of {name} PriorityClass must be false"))
            }
            Some(_) => None,
        };
        if let Some(fault) = fault {
            let metadata = Path::new("metadata");
            errors.forbidden(
                &metadata.child("name"),
                format!("priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {fault}"),
            );
        }
    } else if value > VALUE_MAX {
        let detail = format!("maximum allowed value of a user defined priority is {VALUE_MAX}");
        errors.forbidden(&Path::new("value"), detail);
    }
    let policy = text(object, "preemptionPolicy");
    check::one_of(errors, &Path::new("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, update_faults};

    #[test]
    fn values_have_bounds_and_stay() {
        let class = |name: &str, value: i64| json!({"metadata": {"name": name}, "value": value});
        assert!(faults(&PriorityClass, class("a", VALUE_MAX)).is_empty());
        assert!(faults(&PriorityClass, class("system-node-critical", 2_000_001_000)).is_empty());
        assert_eq!(
            faults(&PriorityClass, class("a", VALUE_MAX + 1)),
            ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]
        );
        assert!(
            faults(&PriorityClass, class("system-x", 1))[0]
                .ends_with("system-x is not a known system priority class")
        );
        assert_eq!(
            update_faults(&PriorityClass, class("a", 1), Part::Main, |new| new["value"] = 2.into()),
            ["value: Forbidden: may not be changed in an update."]
        );
    }
}
