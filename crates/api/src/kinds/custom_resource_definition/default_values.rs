//! Whether the defaults of a schema fit it.

use crate::field::{FieldErrors, Path};
use crate::structural::{Additional, Structural};

/// Checks every default at and below a place.
pub fn validate(schema: &Structural, path: &Path<'_>, errors: &mut FieldErrors) {
    if let Some(default) = &schema.default {
        let place = path.child("default").to_string();
        let mut pruned = default.clone();
        if !schema.prune_value(&mut pruned).is_empty() {
            errors.invalid(&path.child("default"), default, "must not have unknown fields");
        }
        let mut filled = pruned;
        schema.set_defaults(&mut filled);
        for failure in schema.check(&filled, None) {
            errors.0.push(failure.into_error(&place));
        }
    }
    let properties = path.child("properties");
    for (name, schema) in &schema.properties {
        validate(schema, &properties.key(name), errors);
    }
    if let Some(items) = &schema.items {
        validate(items, &path.child("items"), errors);
    }
    if let Additional::Of(schema) = &schema.additional {
        validate(schema, &path.child("additionalProperties"), errors);
    }
}
