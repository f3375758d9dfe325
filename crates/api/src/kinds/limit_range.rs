//! `LimitRange` of `v1`.

mod validate;

use super::common::resource_list;
use serde_json::Value;

use super::common::walk::{ensure, get_mut, list_mut, map, map_of, text};
use crate::field::FieldErrors;
use crate::kind::{Kind, KindInfo, Part, Scope};

/// The kind's rules.
pub struct LimitRange;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "LimitRange",
    plural: "limitranges",
    singular: "limitrange",
    short_names: &["limits"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "limitranges",
};

impl Kind for LimitRange {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn repeats_metadata_checks(&self) -> bool {
        false
    }

    fn names_itself(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Value) {
        let Some(spec) = get_mut(object, "spec") else { return };
        for item in list_mut(spec, "limits") {
            for key in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
                resource_list::round_up(get_mut(item, key));
            }
            if text(item, "type") == "Container" {
                fill(item, "default", "max");
                fill(item, "defaultRequest", "default");
                fill(item, "defaultRequest", "min");
            }
        }
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::object(object, errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate::object(new, errors);
    }
}

/// Resources that the one list lacks are taken from the other.
fn fill(item: &mut Value, into: &str, from: &str) {
    let source = map(item, from).clone();
    if source.is_empty() {
        return;
    }
    let target = map_of(ensure(item, into));
    for (name, quantity) in source {
        target.entry(name).or_insert(quantity);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, made};

    #[test]
    fn defaults_come_from_bounds() {
        let made = made(
            &LimitRange,
            json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"},
                "default": {"cpu": "1"}}]}}),
        );
        assert_eq!(
            made["spec"]["limits"][0],
            json!({"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"},
                "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1", "memory": "1Mi"}})
        );
    }

    #[test]
    fn amounts_are_in_order() {
        let limit = |limit: Value| faults(&LimitRange, json!({"spec": {"limits": [limit]}}));
        assert_eq!(
            limit(json!({"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}})),
            ["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"]
        );
        assert_eq!(
            limit(
                json!({"type": "Container", "min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "5"}})
            ),
            [
                "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"5\": ratio 5 is greater than max/min = 2.000000"
            ]
        );
        assert_eq!(
            limit(json!({"type": "Pod", "default": {"cpu": "2"}})),
            ["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"]
        );
    }
}
