//! Writes of the status subresource.

use serde_json::Value;

use super::walk::{ensure, get, keep, remove, set};

/// Of the metadata a status write changes the owners of fields alone.
pub fn keep_metadata(new: &mut Value, old: &Value) {
    let managed = get(&new["metadata"], "managedFields").cloned();
    let version = get(&new["metadata"], "resourceVersion").cloned();
    keep(new, old, "metadata");
    for (key, value) in [("managedFields", managed), ("resourceVersion", version)] {
        match value {
            Some(value) => set(ensure(new, "metadata"), key, value),
            None => drop(remove(ensure(new, "metadata"), key)),
        }
    }
}
