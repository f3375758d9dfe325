//! Validation of a version's schema as such: what of JSON Schema may be used, and how.

use serde_json::Value;

use super::{default_values, structural};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::bad_text;
use crate::kinds::common::walk::{flag, get, list, map, text, texts};
use crate::structural::{Structural, compile_pattern};

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];

/// Words of JSON Schema that can't be used.
const UNSUPPORTED: [&str; 6] =
    ["$ref", "definitions", "dependencies", "patternProperties", "additionalItems", "id"];

/// Checks a schema.
pub fn validate(schema: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let before = errors.0.len();
    walk(schema, path, errors);
    let unreadable = errors.0[before..]
        .iter()
        .any(|error| UNSUPPORTED.iter().any(|word| error.field.ends_with(&format!(".{word}"))));
    if unreadable {
        return;
    }
    let walked = errors.0.len();
    structural::validate(schema, path, errors);
    if errors.0.len() == walked {
        default_values::validate(&Structural::of(schema), path, errors);
    }
}

fn walk(schema: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    for word in UNSUPPORTED {
        if get(schema, word).is_some() {
            errors.forbidden(&path.child(word), format!("{word} is not supported"));
        }
    }
    let kind = text(schema, "type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.not_supported(&path.child("type"), &kind.into(), TYPES);
    }
    if flag(schema, "uniqueItems") {
        let words = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.forbidden(&path.child("uniqueItems"), words);
    }
    if schema["items"].is_array() {
        errors.forbidden(&path.child("items"), "items must be a schema object and not an array");
    }
    let additional = get(schema, "additionalProperties");
    if additional == Some(&Value::Bool(false)) {
        errors.forbidden(&path.child("additionalProperties"), "additionalProperties cannot be set to false");
    } else if additional.is_some() && !map(schema, "properties").is_empty() {
        let words = "additionalProperties and properties are mutual exclusive";
        errors.forbidden(&path.child("additionalProperties"), words);
    }
    let pattern = text(schema, "pattern");
    if let Err(error) = compile_pattern(pattern) {
        let words = format!(
            "must be a valid regular expression, but isn't: error parsing regexp: {}",
            in_gos_words(&error, pattern)
        );
        bad_text(errors, &path.child("pattern"), pattern, words);
    }
    lists(schema, path, errors);
    maps(schema, path, errors);
    below(schema, path, &mut |schema, path| walk(schema, path, errors));
}

/// Runs something on every schema that a schema has directly below it.
pub fn below(schema: &Value, path: &Path<'_>, run: &mut dyn FnMut(&Value, &Path<'_>)) {
    for key in ["items", "additionalProperties", "not"] {
        if schema[key].is_object() {
            run(&schema[key], &path.child(key));
        }
    }
    for key in ["properties", "definitions", "patternProperties"] {
        let path = path.child(key);
        for (name, schema) in map(schema, key) {
            run(schema, &path.key(name));
        }
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        let path = path.child(key);
        for (at, schema) in list(schema, key).iter().enumerate() {
            run(schema, &path.index(at));
        }
    }
}

/// What Go's reader of patterns says of the commonest faults.
fn in_gos_words(error: &regex::Error, pattern: &str) -> String {
    let words = error.to_string();
    if words.contains("unclosed group") {
        format!("missing closing ): `{pattern}`")
    } else if words.contains("unopened group") {
        format!("unexpected ): `{pattern}`")
    } else if words.contains("unclosed character class") {
        format!("missing closing ]: `{}`", pattern.find('[').map_or("", |at| &pattern[at..]))
    } else if words.contains("repetition operator missing expression") {
        let operator = pattern.chars().find(|letter| matches!(letter, '*' | '+' | '?')).unwrap_or('*');
        format!("missing argument to repetition operator: `{operator}`")
    } else {
        let last = words.lines().last().unwrap_or_default().trim();
        format!("{}: `{pattern}`", last.trim_start_matches("error: "))
    }
}

/// A type that another word asks for.
fn wants_type(schema: &Value, wanted: &str, words: &str, path: &Path<'_>, errors: &mut FieldErrors) {
    let kind = text(schema, "type");
    if kind.is_empty() {
        errors.required(&path.child("type"), words);
    } else if kind != wanted {
        bad_text(errors, &path.child("type"), kind, words);
    }
}

fn lists(schema: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let kind = text(schema, "x-kubernetes-list-type");
    let kind_path = path.child("x-kubernetes-list-type");
    let keys: Vec<&str> = texts(schema, "x-kubernetes-list-map-keys").collect();
    let keys_path = path.child("x-kubernetes-list-map-keys");
    if !kind.is_empty() {
        wants_type(schema, "array", "must be array if x-kubernetes-list-type is specified", path, errors);
        if !matches!(kind, "atomic" | "map" | "set") {
            errors.not_supported(&kind_path, &kind.into(), &["atomic", "map", "set"]);
        }
    }
    if !keys.is_empty() && kind != "map" {
        let words = "must be map if x-kubernetes-list-map-keys is non-empty";
        if kind.is_empty() {
            errors.required(&kind_path, words);
        } else {
            bad_text(errors, &kind_path, kind, words);
        }
    }
    let items = &schema["items"];
    let items_path = path.child("items");
    if kind == "set" && items.is_object() {
        let atomic = match text(items, "type") {
            "object" => text(items, "x-kubernetes-map-type") == "atomic",
            "array" => matches!(text(items, "x-kubernetes-list-type"), "" | "atomic"),
            _ => true,
        };
        if !atomic {
            let words = "must be atomic as item of a list with x-kubernetes-list-type=set";
            let key = if text(items, "type") == "object" {
                "x-kubernetes-map-type"
            } else {
                "x-kubernetes-list-type"
            };
            errors.forbidden(&items_path.child(key), words);
        }
    }
    if kind != "map" {
        return;
    }
    if keys.is_empty() {
        errors.required(&keys_path, "must not be empty if x-kubernetes-list-type is map");
    }
    if !items.is_object() {
        errors.required(&items_path, "must have a schema if x-kubernetes-list-type is map");
        return;
    }
    let words = "must be object if parent array's x-kubernetes-list-type is map";
    wants_type(items, "object", words, &items_path, errors);
    let properties_path = items_path.child("properties");
    for (at, key) in keys.iter().enumerate() {
        let key_path = keys_path.index(at);
        if keys[..at].contains(key) {
            errors.duplicate(&key_path, &(*key).into());
        }
        let Some(property) = map(items, "properties").get(*key) else {
            bad_text(errors, &key_path, key, "entries must all be names of item properties");
            continue;
        };
        let place = properties_path.key(key);
        if matches!(text(property, "type"), "array" | "object") {
            let words = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            bad_text(errors, &place.child("type"), text(property, "type"), words);
        }
        if get(property, "default").is_none() && !texts(items, "required").any(|name| name == *key) {
            let words = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.required(&place.child("default"), words);
        }
    }
}

fn maps(schema: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let kind = text(schema, "x-kubernetes-map-type");
    if kind.is_empty() {
        return;
    }
    wants_type(schema, "object", "must be object if x-kubernetes-map-type is specified", path, errors);
    if !matches!(kind, "atomic" | "granular") {
        let path = path.child("x-kubernetes-map-type");
        errors.not_supported(&path, &kind.into(), &["atomic", "granular"]);
    }
}
