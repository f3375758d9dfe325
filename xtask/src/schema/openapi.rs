//! Reads the JSON schemas.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use super::model::{Field, SIMPLE, Shape, Table, Type};

/// Reads `_definitions.json` of one Kubernetes version: the types, and the descriptions of those types that are
/// shapes of their own.
pub fn read(path: &Path) -> anyhow::Result<(Table, BTreeMap<String, String>)> {
    let document: Value =
        serde_json::from_slice(&std::fs::read(path).with_context(|| path.display().to_string())?)?;
    let definitions = document["$defs"].as_object().context("$defs")?;
    let mut table = Table::new();
    let mut shapes = BTreeMap::new();
    for (name, schema) in definitions {
        if SIMPLE.iter().any(|(.., known)| known == name) {
            shapes.insert(name.clone(), text(&schema["description"]));
            continue;
        }
        let mut ty = Type {
            gvk: gvk(&schema["x-kubernetes-group-version-kind"]),
            atomic: schema["x-kubernetes-map-type"] == "atomic",
            description: text(&schema["description"]),
            ..Type::default()
        };
        let required = texts(&schema["required"]);
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            let shape = shape(schema).with_context(|| format!("{name}.{field}"))?;
            ty.fields.insert(field.clone(), read_field(field, schema, shape, required.contains(field)));
        }
        table.insert(name.clone(), ty);
    }
    Ok((table, shapes))
}

fn read_field(name: &str, schema: &Value, shape: Shape, required: bool) -> Field {
    let mut field = Field::new(name, shape, required);
    field.list_type = text(&schema["x-kubernetes-list-type"]);
    field.list_keys = texts(&schema["x-kubernetes-list-map-keys"]);
    field.atomic = schema["x-kubernetes-map-type"].as_str().map(|word| word == "atomic");
    field.patch_strategy = text(&schema["x-kubernetes-patch-strategy"]);
    field.patch_key = text(&schema["x-kubernetes-patch-merge-key"]);
    field.description = text(&schema["description"]);
    field
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// Kinds that every group has (`Status`, `DeleteOptions`, ...) list all groups: theirs is `v1`.
fn gvk(value: &Value) -> Option<(String, String, String)> {
    let all = value.as_array()?;
    let chosen = match all.as_slice() {
        [one] => one,
        many => many.iter().find(|gvk| gvk["group"] == "" && gvk["version"] == "v1")?,
    };
    Some((text(&chosen["group"]), text(&chosen["version"]), text(&chosen["kind"])))
}

fn shape(schema: &Value) -> anyhow::Result<Shape> {
    if let Some(reference) = schema["$ref"].as_str() {
        return Ok(Shape::of_type(reference.rsplit('/').next().unwrap_or_default()));
    }
    // `null` stands beside the type, for absent fields.
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|word| *word != "null"),
        one => one.as_str(),
    };
    let format = schema["format"].as_str().unwrap_or_default();
    Ok(match (types, format) {
        (Some("string"), "byte") => Shape::simple("bytes")?,
        (Some("string"), _) => Shape::simple("string")?,
        (Some("integer"), "int64") => Shape::simple("int64")?,
        (Some("integer"), _) => Shape::simple("int32")?,
        (Some("number"), _) => Shape::simple("float")?,
        (Some("boolean"), _) => Shape::simple("bool")?,
        (Some("array"), _) => Shape::List(Box::new(shape(&schema["items"])?)),
        (Some("object"), _) if schema.get("additionalProperties").is_some_and(Value::is_object) => {
            Shape::Map(Box::new(shape(&schema["additionalProperties"])?))
        }
        (Some("object"), _) => Shape::simple("raw")?,
        _ => bail!("no shape for {schema}"),
    })
}
