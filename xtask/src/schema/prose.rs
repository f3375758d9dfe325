//! Packs the descriptions: one JSON object (type -> field -> text, the type's own under an empty name), deflated.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Map, Value, json};

use super::model::Table;

/// The packed descriptions.
pub fn pack(table: &Table, shapes: &BTreeMap<String, String>) -> anyhow::Result<Vec<u8>> {
    let mut all = Map::new();
    for (name, ty) in table {
        let mut texts = Map::new();
        if !ty.description.is_empty() {
            texts.insert(String::new(), ty.description.clone().into());
        }
        for (field_name, field) in ty.fields.iter().filter(|(_, field)| !field.description.is_empty()) {
            texts.insert(field_name.clone(), field.description.clone().into());
        }
        if !texts.is_empty() {
            all.insert(name.clone(), Value::Object(texts));
        }
    }
    for (name, text) in shapes.iter().filter(|(_, text)| !text.is_empty()) {
        all.insert(name.clone(), json!({"": text}));
    }
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&serde_json::to_vec(&Value::Object(all))?)?;
    Ok(encoder.finish()?)
}
