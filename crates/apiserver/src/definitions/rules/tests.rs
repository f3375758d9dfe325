//! Rules from the point of view of an object.

use cox_api::field::FieldErrors;
use serde_json::{Value, json};

use super::Rules;

fn faults(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut errors = FieldErrors::new();
    Rules::of(schema).check(object, old, &mut errors);
    errors.0.iter().map(ToString::to_string).collect()
}

fn schema(spec: Value) -> Value {
    json!({"type": "object", "properties": {"spec": spec}})
}

#[test]
fn rules_see_the_object_and_what_it_was() {
    let schema = schema(json!({"type": "object",
        "properties": {"min": {"type": "integer"}, "max": {"type": "integer"},
            "fixed": {"type": "string", "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": "fixed may not change"}]}},
        "x-kubernetes-validations": [{"rule": "self.min <= self.max", "reason": "FieldValueForbidden",
            "fieldPath": ".min", "messageExpression": "'min above ' + string(self.max)"}]}));
    let object = |min: i64, fixed: &str| json!({"spec": {"min": min, "max": 5, "fixed": fixed}});
    assert!(faults(&schema, &object(1, "a"), None).is_empty());
    assert_eq!(faults(&schema, &object(9, "a"), None), ["spec.min: Forbidden: min above 5"]);
    let old = object(1, "a");
    assert_eq!(
        faults(&schema, &object(1, "b"), Some(&old)),
        ["spec.fixed: Invalid value: \"b\": fixed may not change"]
    );
    // What was wrong before and hasn't changed is let be.
    let bad = object(9, "a");
    assert!(faults(&schema, &bad, Some(&bad)).is_empty());
}

#[test]
fn elements_are_found_again_by_their_keys() {
    let schema = schema(json!({"type": "array", "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object", "required": ["k"], "properties": {
            "k": {"type": "string"}, "v": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "only up"}]}}));
    let list = |a: i64, b: i64| json!({"spec": [{"k": "b", "v": b}, {"k": "a", "v": a}]});
    let old = json!({"spec": [{"k": "a", "v": 3}]});
    assert!(faults(&schema, &list(3, 0), Some(&old)).is_empty());
    assert_eq!(faults(&schema, &list(2, 0), Some(&old)), ["spec[1]: Invalid value: only up"]);
}

#[test]
fn a_rule_without_end_is_ended() {
    let schema = schema(json!({"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [
        {"rule": "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))", "message": "sums"}]}));
    let object = json!({"spec": (0..400).collect::<Vec<i64>>()});
    let found = faults(&schema, &object, None);
    assert!(found[0].contains("cost"), "{found:?}");
}

#[test]
fn many_versions_tell_their_faults_where_they_are() {
    let version = |rule: &str| json!({"schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-validations": [{"rule": rule}]}}});
    let told = |versions: Value| {
        let mut errors = FieldErrors::new();
        super::check_definition(&json!({"spec": {"versions": versions}}), &mut errors);
        errors.0.iter().map(|error| error.field.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        told(json!([version("5"), version("5")])),
        ["spec.validation.openAPIV3Schema.x-kubernetes-validations[0].rule"]
    );
    assert_eq!(
        told(json!([version("true"), version("self.x")])),
        ["spec.versions[1].schema.openAPIV3Schema.x-kubernetes-validations[0].rule"]
    );
}
