//! Objects as rows of a table, and objects as their metadata alone.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables>

use cox_api::kind::{Column, DEFAULT_COLUMNS};
use cox_api::{Kind, Listing, Object};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::json::list_metadata;

/// What of an object stands in its row (`includeObject`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Include {
    None,
    Metadata,
    Object,
}

impl Include {
    /// Of the parameter.
    ///
    /// # Errors
    /// 400 for another word.
    pub fn parse(text: Option<&str>) -> Result<Include, cox_api::Status> {
        match text {
            None | Some("" | "Metadata") => Ok(Include::Metadata),
            Some("None") => Ok(Include::None),
            Some("Object") => Ok(Include::Object),
            Some(other) => Err(cox_api::Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

fn columns(columns: &[Column]) -> Value {
    columns
        .iter()
        .map(|column| {
            json!({"name": column.name, "type": column.kind, "format": column.format,
                "description": column.description, "priority": column.priority})
        })
        .collect()
}

/// Metadata alone.
pub fn metadata_of(value: &Value, version: &str) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": value.get("metadata").cloned().unwrap_or_else(|| json!({}))})
}

/// An object as a value, without the resourceVersion that it doesn't have yet.
pub fn value_of(object: &Object) -> Value {
    let mut value = object.value();
    if object.revision() == 0
        && let Some(metadata) = value["metadata"].as_object_mut()
    {
        metadata.remove("resourceVersion");
    }
    value
}

fn row(kind: &dyn Kind, value: &Value, include: Include, version: &str, now: Timestamp) -> Value {
    let mut row = json!({"cells": kind.row(value, now)});
    let conditions = kind.row_conditions(value);
    if !conditions.is_null() {
        row["conditions"] = conditions;
    }
    match include {
        Include::None => row["object"] = Value::Null,
        Include::Metadata => row["object"] = metadata_in_row(kind, value, version),
        Include::Object => row["object"] = value.clone(),
    }
    row
}

/// Annotations that are a field in the form that upstream makes rows of: group, plural, key.
const FIELDS_IN_ROWS: &[(&str, &str, &str)] =
    &[("apps", "daemonsets", "deprecated.daemonset.template.generation")];

fn metadata_in_row(kind: &dyn Kind, value: &Value, version: &str) -> Value {
    let mut partial = metadata_of(value, version);
    let info = kind.info();
    for (_, _, key) in
        FIELDS_IN_ROWS.iter().filter(|(group, plural, _)| (info.group, info.plural) == (*group, *plural))
    {
        if let Some(metadata) = partial["metadata"].as_object_mut()
            && let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut)
        {
            annotations.remove(*key);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    partial
}

/// A list as a table.
pub fn of_list(kind: &dyn Kind, listing: &Listing, include: Include, version: &str, now: Timestamp) -> Value {
    let mut values: Vec<Value> = listing.items.iter().map(value_of).collect();
    values.sort_by(|a, b| kind.compare_rows(a, b));
    let rows: Vec<Value> = values.iter().map(|value| row(kind, value, include, version, now)).collect();
    // The converter for kinds without columns of their own leaves an empty list out.
    let default = kind.columns() == DEFAULT_COLUMNS;
    let rows = if rows.is_empty() && default { Value::Null } else { Value::Array(rows) };
    json!({"kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": list_metadata(listing),
        "columnDefinitions": columns(kind.columns()), "rows": rows})
}

/// One object as a table.
pub fn of_object(
    kind: &dyn Kind,
    value: &Value,
    include: Include,
    version: &str,
    with_columns: bool,
    now: Timestamp,
) -> Value {
    let revision = value["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let mut table = json!({"kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": {},
        "columnDefinitions": if with_columns { columns(kind.columns()) } else { Value::Null },
        "rows": [row(kind, value, include, version, now)]});
    if !revision.is_empty() {
        table["metadata"]["resourceVersion"] = revision.into();
    }
    if !with_columns && let Some(table) = table.as_object_mut() {
        table.remove("columnDefinitions");
    }
    table
}

/// Columns of a Scale.
const SCALE_COLUMNS: &[Column] = &[
    Column {
        name: "Name",
        kind: "string",
        format: "",
        description: "Name of the scaled object.",
        priority: 0,
    },
    Column { name: "Desired", kind: "integer", format: "", description: "Replicas wanted.", priority: 0 },
    Column {
        name: "Available",
        kind: "integer",
        format: "",
        description: "Replicas there are.",
        priority: 0,
    },
    Column { name: "Age", kind: "string", format: "", description: "How old it is.", priority: 0 },
];

/// Columns of a ComponentStatus.
const COMPONENT_COLUMNS: &[Column] = &[
    Column { name: "Name", kind: "string", format: "name", description: "Name of the part.", priority: 0 },
    Column { name: "Status", kind: "string", format: "", description: "Whether it is well.", priority: 0 },
    Column { name: "Message", kind: "string", format: "", description: "What it answered.", priority: 0 },
    Column { name: "Error", kind: "string", format: "", description: "Why it isn't well.", priority: 0 },
];

/// The cells of something that isn't an object of a kind with columns.
fn cells(kind: &str, value: &Value, now: Timestamp) -> Value {
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    let created = &value["metadata"]["creationTimestamp"];
    match kind {
        "Scale" => {
            let number = |part: &str| value[part]["replicas"].as_i64().unwrap_or(0);
            json!([name, number("spec"), number("status"), cox_api::kind::age(created, now)])
        }
        "ComponentStatus" => {
            let conditions = value["conditions"].as_array().into_iter().flatten();
            let told = conditions.into_iter().find(|condition| condition["type"] == "Healthy");
            let word = match told.map(|condition| condition["status"] == "True") {
                Some(true) => "Healthy",
                Some(false) => "Unhealthy",
                None => "Unknown",
            };
            let part = |name: &str| told.and_then(|told| told[name].as_str()).unwrap_or_default();
            json!([name, word, part("message"), part("error")])
        }
        _ => json!([name, created]),
    }
}

/// Something that isn't an object of a kind with columns, or a list of such.
pub fn of_value(value: &Value, include: Include, version: &str, now: Timestamp) -> Value {
    let kind = value["kind"].as_str().unwrap_or_default();
    let (kind, items) = match kind.strip_suffix("List") {
        Some(kind) => (kind, value["items"].as_array().map_or(&[][..], Vec::as_slice)),
        None => (kind, std::slice::from_ref(value)),
    };
    let definitions = match kind {
        "Scale" => SCALE_COLUMNS,
        "ComponentStatus" => COMPONENT_COLUMNS,
        _ => DEFAULT_COLUMNS,
    };
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            let object = match include {
                Include::None => Value::Null,
                Include::Metadata => metadata_of(item, version),
                Include::Object => item.clone(),
            };
            json!({"cells": cells(kind, item, now), "object": object})
        })
        .collect();
    let mut metadata = json!({});
    if let Some(revision) = value["metadata"].get("resourceVersion") {
        metadata["resourceVersion"] = revision.clone();
    }
    json!({"kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
        "columnDefinitions": columns(definitions), "rows": rows})
}

/// A list of metadata alone.
pub fn metadata_list(listing: &Listing, version: &str) -> Value {
    let items: Vec<Value> =
        listing.items.iter().map(|object| metadata_of(&value_of(object), version)).collect();
    let items = if items.is_empty() { Value::Null } else { Value::Array(items) };
    json!({"kind": "PartialObjectMetadataList", "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": list_metadata(listing), "items": items})
}
