//! Cells of the columns that a definition names.
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#additional-printer-columns>

use jiff::Timestamp;
use serde_json::Value;

use super::path::JsonPath;
use crate::kind::human_duration;

/// Where a cell comes from, and the type of its column.
#[derive(Clone, Debug)]
pub struct Cell {
    pub path: JsonPath,
    pub kind: &'static str,
}

/// The row of an object.
pub fn row(cells: &[Cell], object: &Value, now: Timestamp) -> Vec<Value> {
    let name = object["metadata"]["name"].clone();
    std::iter::once(name).chain(cells.iter().map(|cell| of(cell, object, now))).collect()
}

fn of(cell: &Cell, object: &Value, now: Timestamp) -> Value {
    let Some(value) = cell.path.first(object) else { return Value::Null };
    match (cell.kind, value) {
        ("string", Value::String(_)) => value.clone(),
        ("string", Value::Null) => "<nil>".into(),
        ("string", other) => other.to_string().into(),
        ("integer", Value::Number(number)) => {
            number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)).into()
        }
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(time) => human_duration(now.as_second() - time.as_second()).into(),
            Err(_) => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}
