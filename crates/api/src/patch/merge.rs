//! Merge patches (RFC 7386).

use serde_json::Value;

use super::go;
use crate::status::Status;

/// Merges a patch into an object: nulls remove, objects merge, everything else replaces.
///
/// # Errors
/// 400 where the patch isn't an object.
pub fn merge(object: &Value, patch: &Value) -> Result<Value, Status> {
    match patch {
        Value::Object(_) => {
            let mut merged = object.clone();
            merge_into(&mut merged, patch);
            Ok(merged)
        }
        Value::Null => Err(Status::bad_request("Invalid JSON Patch")),
        other => Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            go::json_kind(other)
        ))),
    }
}

fn merge_into(value: &mut Value, patch: &Value) {
    let (Some(object), Some(changes)) = (value.as_object_mut(), patch.as_object()) else {
        let prune = !value.is_object();
        *value = patch.clone();
        if prune {
            drop_nulls(value);
        }
        return;
    };
    for (key, change) in changes {
        if change.is_null() {
            object.remove(key);
        } else if let Some(known) = object.get_mut(key).filter(|known| !known.is_null()) {
            merge_into(known, change);
        } else {
            let mut change = change.clone();
            drop_nulls(&mut change);
            object.insert(key.clone(), change);
        }
    }
}

/// Upstream's library takes nulls out of what is new, out of lists too.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => {
            list.retain(|value| !value.is_null());
            list.iter_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_merge_and_nulls_remove() {
        let object = json!({"a": {"b": "c", "d": 1}, "e": [1], "t": "x"});
        let patch =
            json!({"a": {"b": null, "n": {"x": null, "y": [null, 2]}}, "e": [{"z": null}], "t": {"u": 1}});
        assert_eq!(
            merge(&object, &patch).unwrap(),
            json!({"a": {"d": 1, "n": {"y": [2]}}, "e": [{}], "t": {"u": 1}})
        );
        assert_eq!(merge(&object, &json!(null)).unwrap_err().message(), "Invalid JSON Patch");
        assert_eq!(
            merge(&object, &json!([])).unwrap_err().message(),
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        );
    }
}
