//! What objects of a kind look like: a type of the schema table, or a structural schema of their definition.

use std::sync::Arc;

use serde_json::Value;

use crate::schema::{self, DecodeError, Decoded, Strictness, TypeId};
use crate::structural::Structural;

/// What objects of a kind look like.
#[derive(Clone, Debug)]
pub enum Form {
    /// A type of the table.
    Table(TypeId),
    /// A custom resource: any JSON, as far as its definition lets it.
    Custom(Arc<Structural>),
}

impl Form {
    /// Brings an object to normal form.
    pub fn normalize(&self, object: &mut Value) {
        match self {
            Form::Table(of) => schema::normalize(*of, object),
            // What a client wrote stays as it is; only the metadata has a form.
            Form::Custom(_) => {
                if let (Some(meta), Some(metadata)) = (schema::object_meta(), object.get_mut("metadata")) {
                    schema::normalize(meta, metadata);
                }
            }
        }
    }

    /// Checks a value that is parsed already, and brings it to normal form.
    ///
    /// # Errors
    /// The bare error, for callers that wrap it in other words.
    pub fn check(&self, value: Value, strictness: Strictness) -> Result<Decoded, DecodeError> {
        match self {
            Form::Table(of) => schema::check_value(*of, value, strictness),
            Form::Custom(schema) => check_custom(schema, value, Vec::new(), strictness),
        }
    }
}

/// Checks an object of a custom resource. `told`: what was wrong with its text already (keys that stood twice).
///
/// # Errors
/// As [`Form::check`].
pub fn check_custom(
    schema: &Structural,
    mut value: Value,
    mut told: Vec<String>,
    strictness: Strictness,
) -> Result<Decoded, DecodeError> {
    if let (Some(meta), Some(metadata)) = (schema::object_meta(), value.get_mut("metadata"))
        && !metadata.is_null()
    {
        let decoded = schema::check_value(meta, metadata.take(), strictness)
            .map_err(|error| error.below("metadata"))?;
        *metadata = decoded.value;
        told.extend(decoded.warnings.iter().map(|text| schema::below("metadata", text)));
    }
    let dropped = schema.prune_object(&mut value);
    told.extend(dropped.iter().map(|path| format!("unknown field {path:?}")));
    schema.prune_nulls(&mut value);
    if strictness == Strictness::Strict && !told.is_empty() {
        return Err(DecodeError::Strict(told));
    }
    let warnings = if strictness == Strictness::Warn { told } else { Vec::new() };
    Ok(Decoded { value, warnings })
}
