//! Whether a schema is structural: a type at each place, and several schemas at once only for checks of values.
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>

use serde_json::{Value, json};

use super::schema::below;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::bad_text;
use crate::kinds::common::walk::{flag, get, list, map, text};

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Field,
    Item,
}

const JUNCTORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const OWN_METADATA: &str =
    "must not specify anything other than name and generateName, but metadata is implicitly specified";

/// Checks a schema.
pub fn validate(schema: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    place(schema, Level::Root, path, errors);
    completeness(schema, path, errors);
}

fn place(schema: &Value, level: Level, path: &Path<'_>, errors: &mut FieldErrors) {
    let kind = text(schema, "type");
    let type_path = path.child("type");
    let int_or_string = flag(schema, "x-kubernetes-int-or-string");
    let preserves = flag(schema, "x-kubernetes-preserve-unknown-fields");
    let embedded = flag(schema, "x-kubernetes-embedded-resource");
    if kind == "array" && !schema["items"].is_object() {
        errors.required(&path.child("items"), "must be specified");
    }
    if schema["items"].is_object() {
        place(&schema["items"], Level::Item, &path.child("items"), errors);
    }
    if schema["additionalProperties"].is_object() {
        place(&schema["additionalProperties"], Level::Field, &path.child("additionalProperties"), errors);
    }
    let properties_path = path.child("properties");
    for (name, schema) in map(schema, "properties") {
        // The metadata of a whole object has a rule of its own.
        if level != Level::Root || name != "metadata" {
            place(schema, Level::Field, &properties_path.key(name), errors);
        }
    }
    for (key, set) in
        [("x-kubernetes-preserve-unknown-fields", preserves), ("x-kubernetes-embedded-resource", embedded)]
    {
        if int_or_string && set {
            errors.invalid(
                &path.child(key),
                &true.into(),
                "must be false if x-kubernetes-int-or-string is true",
            );
        }
    }
    if int_or_string && !kind.is_empty() {
        errors.forbidden(&type_path, "must be empty if x-kubernetes-int-or-string is true");
    }
    nested(schema, int_or_string, path, errors);
    if embedded && kind != "object" {
        let words = "must be object if x-kubernetes-embedded-resource is true";
        if kind.is_empty() {
            errors.required(&type_path, words);
        } else {
            bad_text(errors, &type_path, kind, words);
        }
    } else if kind.is_empty() && !int_or_string && !preserves {
        errors.required(
            &type_path,
            match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            },
        );
    }
    if embedded && get(schema, "additionalProperties").is_some() {
        let words = "must not be used if x-kubernetes-embedded-resource is set";
        errors.forbidden(&path.child("additionalProperties"), words);
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        bad_text(errors, &type_path, kind, "must be object at the root");
    }
    if level == Level::Root || embedded {
        whole_object(schema, level, &properties_path, errors);
    }
    if embedded && !preserves && map(schema, "properties").is_empty() {
        let words = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.required(&properties_path, words);
    }
}

/// What a whole object has besides its own fields.
fn whole_object(schema: &Value, level: Level, path: &Path<'_>, errors: &mut FieldErrors) {
    let properties = map(schema, "properties");
    for name in ["kind", "apiVersion"] {
        if let Some(property) = properties.get(name)
            && text(property, "type") != "string"
        {
            let place = path.key(name);
            bad_text(errors, &place.child("type"), text(property, "type"), "must be string");
        }
    }
    let Some(metadata) = properties.get("metadata") else { return };
    let path = path.key("metadata");
    if text(metadata, "type") != "object" {
        bad_text(errors, &path.child("type"), text(metadata, "type"), "must be object");
    }
    if level == Level::Root {
        let mut rest = metadata.clone();
        if let Some(rest) = rest.as_object_mut() {
            rest.remove("type");
            rest.remove("default");
            rest.remove("description");
            if let Some(properties) = rest.get_mut("properties").and_then(Value::as_object_mut) {
                properties.remove("name");
                properties.remove("generateName");
                if properties.is_empty() {
                    rest.remove("properties");
                }
            }
        }
        if rest != json!({}) {
            errors.forbidden(&path, OWN_METADATA);
        }
    }
}

/// Schemas of junctors have no types, but for the two ways to say what int-or-string says.
fn nested(schema: &Value, int_or_string: bool, path: &Path<'_>, errors: &mut FieldErrors) {
    let both = json!([{"type": "integer"}, {"type": "string"}]);
    for key in JUNCTORS {
        if key == "anyOf" && int_or_string && schema["anyOf"] == both {
            continue;
        }
        let path = path.child(key);
        for (at, part) in list(schema, key).iter().enumerate() {
            let path = path.index(at);
            let says_both = key == "allOf" && at == 0 && int_or_string && part["anyOf"] == both;
            if !says_both {
                bare(part, &path, errors);
            }
        }
    }
    if schema["not"].is_object() {
        bare(&schema["not"], &path.child("not"), errors);
    }
}

/// A schema that only checks values.
fn bare(schema: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    const EMPTY: &str = "must be empty to be structural";
    const UNDEFINED: &str = "must be undefined to be structural";
    const FALSE: &str = "must be false to be structural";
    for (key, words) in [
        ("type", EMPTY),
        ("title", EMPTY),
        ("description", EMPTY),
        ("default", UNDEFINED),
        ("additionalProperties", UNDEFINED),
        ("nullable", FALSE),
        ("x-kubernetes-preserve-unknown-fields", FALSE),
        ("x-kubernetes-embedded-resource", FALSE),
        ("x-kubernetes-int-or-string", FALSE),
        ("x-kubernetes-list-map-keys", EMPTY),
        ("x-kubernetes-list-type", UNDEFINED),
        ("x-kubernetes-map-type", UNDEFINED),
        ("x-kubernetes-validations", EMPTY),
    ] {
        if get(schema, key).is_some() {
            errors.forbidden(&path.child(key), words);
        }
    }
    if map(schema, "properties").contains_key("metadata") {
        let path = path.child("properties");
        errors.forbidden(&path.key("metadata"), "must not be specified in a nested context");
    }
    below(schema, path, &mut |schema, path| bare(schema, path, errors));
}

/// What a check looks at must be described.
fn completeness(schema: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    for key in JUNCTORS {
        let part_path = path.child(key);
        for (at, part) in list(schema, key).iter().enumerate() {
            covers(schema, part, path, &part_path.index(at), errors);
        }
    }
    if schema["not"].is_object() {
        covers(schema, &schema["not"], path, &path.child("not"), errors);
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            completeness(&schema[key], &path.child(key), errors);
        }
    }
    let properties_path = path.child("properties");
    for (name, schema) in map(schema, "properties") {
        completeness(schema, &properties_path.key(name), errors);
    }
}

fn covers(schema: &Value, part: &Value, path: &Path<'_>, part_path: &Path<'_>, errors: &mut FieldErrors) {
    if part["items"].is_object() {
        let (path, part_path) = (path.child("items"), part_path.child("items"));
        if schema["items"].is_object() {
            covers(&schema["items"], &part["items"], &path, &part_path, errors);
        } else {
            errors.required(&path, format!("because it is defined in {part_path}"));
        }
    }
    let (properties, part_properties) = (path.child("properties"), part_path.child("properties"));
    for (name, part) in map(part, "properties") {
        let (path, part_path) = (properties.key(name), part_properties.key(name));
        match map(schema, "properties").get(name) {
            Some(schema) => covers(schema, part, &path, &part_path, errors),
            None => errors.required(&path, format!("because it is defined in {part_path}")),
        }
    }
    for key in JUNCTORS {
        let below = part_path.child(key);
        for (at, part) in list(part, key).iter().enumerate() {
            covers(schema, part, path, &below.index(at), errors);
        }
    }
    if part["not"].is_object() {
        covers(schema, &part["not"], path, &part_path.child("not"), errors);
    }
}
