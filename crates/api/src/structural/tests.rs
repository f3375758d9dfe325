//! Structural schemas from the point of view of an object.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Structural;

fn widget() -> Structural {
    Structural::of(&json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["size"],
        "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 10},
            "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "tags": {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "set",
                "items": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"}},
            "ratio": {"type": "number", "multipleOf": 0.5},
            "port": {"x-kubernetes-int-or-string": true},
            "when": {"type": "string", "format": "date-time"},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}}},
            "limits": {"type": "object", "additionalProperties": {"type": "string"}},
            "nul": {"type": "string", "nullable": true},
            "nested": {"type": "object", "default": {}, "properties": {"deep": {"type": "integer", "default": 7},
                "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}}}},
            "one": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "required": ["k"], "properties": {
                    "k": {"type": "string"}, "v": {"type": "integer", "maximum": 5}}}}}}}}))
}

fn faults(spec: Value, old: Option<Value>) -> Vec<String> {
    let (object, old) = (json!({"spec": spec}), old.map(|spec| json!({"spec": spec})));
    let schema = widget();
    let faults = schema.check(&object, old.as_ref()).into_iter().chain(schema.repeated_elements(&object));
    faults.map(|fault| fault.into_error("").to_string()).collect()
}

#[test]
fn values_are_checked_in_upstreams_words() {
    let full = json!({"size": 5, "color": "blue", "tags": ["ab"], "ratio": 1.5, "port": "80%", "nul": null,
        "when": "2024-01-02T03:04:05Z", "free": {"any": [1, null]}, "limits": {"a": "b"}, "one": {"a": "1"}});
    assert_eq!(faults(full, None), [""; 0]);
    for (spec, told) in [
        (json!({}), "spec.size: Required value"),
        (
            json!({"size": 0}),
            "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1",
        ),
        (
            json!({"size": "5"}),
            "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
        ),
        (
            json!({"size": 1, "color": "x"}),
            "spec.color: Unsupported value: \"x\": supported values: \"red\", \"blue\"",
        ),
        (
            json!({"size": 1, "tags": ["aa", "ab", "ac", "ad"]}),
            "spec.tags: Too many: 4: must have at most 3 items",
        ),
        (
            json!({"size": 1, "tags": ["a"]}),
            "spec.tags[0]: Invalid value: \"a\": spec.tags[0] in body should be at least 2 chars long",
        ),
        (json!({"size": 1, "tags": ["toolong"]}), "spec.tags[0]: Too long: may not be more than 5 bytes"),
        (json!({"size": 1, "tags": ["aa", "aa"]}), "spec.tags[1]: Duplicate value: \"aa\""),
        (
            json!({"size": 1, "ratio": 0.3}),
            "spec.ratio: Invalid value: 0.3: spec.ratio in body should be a multiple of 0.5",
        ),
        (
            json!({"size": 1, "port": []}),
            "spec.port: Invalid value: \"array\": spec.port in body must be of type integer,string: \"array\"",
        ),
        (
            json!({"size": 1, "when": "now"}),
            "spec.when: Invalid value: \"now\": spec.when in body must be of type date-time: \"now\"",
        ),
        (
            json!({"size": 1, "limits": {"a": 5}}),
            "spec.limits.a: Invalid value: \"integer\": spec.limits.a in body must be of type string: \"integer\"",
        ),
        (
            json!({"size": 1, "one": {"a": "", "b": ""}}),
            "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ),
        (
            json!({"size": 1, "parts": [{"k": "a"}, {"k": "a"}]}),
            "spec.parts[1]: Duplicate value: {\"k\":\"a\"}",
        ),
    ] {
        assert_eq!(faults(spec.clone(), None), [told], "{spec}");
    }
    assert_eq!(
        faults(json!({"size": 1.5}), None),
        [
            "spec.size: Invalid value: \"number\": spec.size in body must be of type integer: \"number\"",
            "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in spec.size",
        ]
    );
}

#[test]
fn what_was_wrong_and_has_not_changed_is_let_be() {
    let old = json!({"size": 99, "parts": [{"k": "a", "v": 9}, {"k": "b", "v": 1}]});
    let mut new = old.clone();
    new["color"] = "blue".into();
    assert!(faults(new.clone(), Some(old.clone())).is_empty());
    // An element is found again by its key, wherever it stands now.
    new["parts"] = json!([{"k": "b", "v": 2}, {"k": "a", "v": 9}]);
    assert!(faults(new.clone(), Some(old.clone())).is_empty());
    new["parts"][1]["v"] = 8.into();
    new["size"] = 98.into();
    assert_eq!(faults(new, Some(old)).len(), 2);
}

#[test]
fn unknown_fields_go_and_defaults_come() {
    let schema = widget();
    let mut object = json!({"apiVersion": "v1", "kind": "W", "metadata": {"x": 1}, "top": 1, "spec": {"size": 1,
        "color": null, "nul": null, "bogus": 1, "nested": {"deeper": 2, "list": [{}, {"b": 1}]},
        "free": {"any": {"thing": 1}, "known": {"a": "b", "c": 1}}, "limits": {"any": "x"}}});
    assert_eq!(
        schema.prune_object(&mut object),
        ["spec.bogus", "spec.free.known.c", "spec.nested.deeper", "spec.nested.list[1].b", "top"]
    );
    schema.prune_nulls(&mut object);
    schema.set_defaults(&mut object);
    assert_eq!(
        object["spec"],
        json!({"size": 1, "color": "red", "nul": null, "limits": {"any": "x"},
            "nested": {"deep": 7, "list": [{"a": "x"}, {"a": "x"}]},
            "free": {"any": {"thing": 1}, "known": {"a": "b"}}})
    );
    assert_eq!(object["metadata"], json!({"x": 1}));
    let again = object.clone();
    assert!(schema.prune_object(&mut object).is_empty());
    schema.set_defaults(&mut object);
    assert_eq!(object, again);
}

#[test]
fn formats_are_told_apart() {
    use super::formats::has_format;
    for (format, good, bad) in [
        ("ipv4", "1.2.3.4", "1.2.3"),
        ("ipv6", "::1", "1.2.3.4"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("date", "2024-02-29", "2023-02-29"),
        ("duration", "1h30m", "soon"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("uri", "https://example.com/a", "a b"),
        ("email", "a@b.c", "a"),
        ("hostname", "a.example.com", "a..b"),
        ("byte", "aGVsbG8=", "a"),
        ("mac", "01:23:45:67:89:ab", "01:23"),
        ("isbn10", "0-306-40615-2", "0-306-40615-3"),
        ("isbn13", "978-0-306-40615-7", "978-0-306-40615-6"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("hexcolor", "#fff", "#ff"),
    ] {
        assert!(has_format(format, good), "{format} {good}");
        assert!(!has_format(format, bad), "{format} {bad}");
    }
    assert!(has_format("mood", "anything"));
}

#[test]
fn embedded_objects_say_what_they_are() {
    let schema = Structural::of(&json!({"type": "object", "properties": {"template": {"type": "object",
        "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}}}));
    let faults = |template: Value| -> Vec<String> {
        let found = schema.embedded_faults(&json!({"template": template}));
        found.into_iter().map(|fault| fault.into_error("").to_string()).collect()
    };
    assert!(
        faults(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}})).is_empty()
    );
    assert_eq!(faults(json!({"apiVersion": "v1"})), ["template.kind: Required value: must not be empty"]);
    let labels = faults(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": 1}}}));
    assert!(labels[0].starts_with("template.metadata: Invalid value: "), "{labels:?}");
}

/// Any JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-20i64..20).prop_map(Value::from),
        (-20i32..20).prop_map(|number| Value::from(f64::from(number) / 4.0)),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A schema with every sort of check, whether it makes sense or not.
fn schemas() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec!["string", "integer", "number", "boolean", "object", "array", ""]);
    let checks = (kind, any::<[bool; 4]>(), any_json(), -5i64..5).prop_map(|(kind, flags, default, number)| {
        let mut schema = json!({"type": kind, "nullable": flags[0], "minimum": number, "maxLength": number.unsigned_abs(),
            "maxItems": 2, "minProperties": 1, "multipleOf": number, "pattern": "^[ab]+$", "format": "date",
            "x-kubernetes-preserve-unknown-fields": flags[1], "x-kubernetes-embedded-resource": flags[2]});
        if flags[3] {
            schema["default"] = default;
            schema["enum"] = json!(["a", 1, null]);
        }
        schema
    });
    checks.prop_recursive(3, 16, 3, |inner| {
        (inner.clone(), prop::collection::btree_map("[a-c]", inner, 0..3), 0..5).prop_map(|(below, fields, how)| {
            let properties = Value::Object(fields.into_iter().collect());
            match how {
                0 => json!({"type": "object", "properties": properties, "required": ["a"]}),
                1 => json!({"type": "object", "additionalProperties": below}),
                2 => json!({"type": "array", "items": below, "x-kubernetes-list-type": "set"}),
                3 => json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"],
                    "items": {"type": "object", "properties": properties}}),
                _ => json!({"type": "object", "properties": properties, "oneOf": [below.clone()], "not": below}),
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn whatever_the_schema_and_the_value(schema in schemas(), value in any_json(), old in any_json()) {
        let schema = Structural::of(&schema);
        let mut settled = value.clone();
        schema.prune_object(&mut settled);
        schema.prune_nulls(&mut settled);
        schema.set_defaults(&mut settled);
        // What a value that hasn't changed is said of: nothing.
        prop_assert!(schema.check(&value, Some(&value)).is_empty());
        // What changes is told of no more than all of it would be.
        prop_assert!(schema.check(&value, Some(&old)).len() <= schema.check(&value, None).len());
        let _ = (schema.repeated_elements(&value), schema.embedded_faults(&value));
    }

    #[test]
    fn applying_twice_is_applying_once(schema in schemas(), live in any_json(), config in any_json()) {
        use crate::form::Form;
        use crate::managed::{Context, apply};
        use crate::kind::Unowned;

        let form = Form::Custom(std::sync::Arc::new(Structural::of(&json!({"type": "object",
            "properties": {"spec": schema}}))));
        let object = |spec: Value| json!({"apiVersion": "x.io/v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec});
        let context = |now| Context { manager: "m", force: true, api_version: "x.io/v1", subresource: "", now,
            unowned: Unowned::Listed(&[]), reset: false, convert: None };
        let config = object(config);
        if let Ok(once) = apply(&form, Some(&object(live)), &config, &context("2026-01-01T00:00:00Z")) {
            let twice = apply(&form, Some(&once), &config, &context("2026-01-01T00:00:01Z"));
            prop_assert_eq!(twice.map(|twice| twice["spec"].clone()), Ok(once["spec"].clone()));
        }
    }
}
