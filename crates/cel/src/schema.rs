//! The type of what a structural schema describes.
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>,
//! <https://kubernetes.io/docs/reference/using-api/cel/#type-integration>

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::escape::escape;
use crate::types::{Field, ObjectType, Type};

impl Type {
    /// The type of a structural schema (an `openAPIV3Schema` or a part of it). None where the schema gives no type to
    /// look into: expressions can't reach such a field. `root` and embedded resources have `apiVersion`, `kind` and
    /// the name in `metadata`, whatever the schema says.
    #[must_use]
    pub fn of_schema(schema: &Json, root: bool) -> Option<Type> {
        let flag = |name: &str| schema.get(name).and_then(Json::as_bool).unwrap_or_default();
        if flag("x-kubernetes-int-or-string") {
            return Some(Type::Dyn);
        }
        let resource = root || flag("x-kubernetes-embedded-resource");
        match schema.get("type").and_then(Json::as_str).unwrap_or_default() {
            "array" => Some(Type::list(Type::of_schema(schema.get("items")?, false)?)),
            "object" => match schema.get("additionalProperties") {
                Some(values @ Json::Object(_)) if schema.get("properties").is_none() => {
                    Some(Type::map(Type::String, Type::of_schema(values, false)?))
                }
                _ => {
                    let mut fields = properties(schema);
                    if resource {
                        with_type_meta(&mut fields);
                    }
                    // With nothing known about it an object can only be compared, unless it is a resource.
                    Some(Type::Object(Arc::new(ObjectType { name: "object".to_owned(), fields })))
                }
            },
            "string" => Some(match schema.get("format").and_then(Json::as_str) {
                Some("byte") => Type::Bytes,
                Some("duration") => Type::Duration,
                Some("date" | "date-time") => Type::Timestamp,
                _ => Type::String,
            }),
            "boolean" => Some(Type::Bool),
            "number" => Some(Type::Double),
            "integer" => Some(Type::Int),
            _ => None,
        }
    }
}

fn properties(schema: &Json) -> BTreeMap<String, Field> {
    let Some(Json::Object(properties)) = schema.get("properties") else { return BTreeMap::new() };
    properties
        .iter()
        .filter_map(|(name, schema)| {
            let of = Type::of_schema(schema, false)?;
            Some((escape(name)?, Field { json: name.clone(), of }))
        })
        .collect()
}

fn with_type_meta(fields: &mut BTreeMap<String, Field>) {
    let metadata = Type::object("object", [("name", Type::String), ("generateName", Type::String)]);
    for (name, of) in [("apiVersion", Type::String), ("kind", Type::String), ("metadata", metadata)] {
        fields.insert(name.to_owned(), Field { json: name.to_owned(), of });
    }
}
