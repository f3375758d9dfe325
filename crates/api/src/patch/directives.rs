//! The directives of strategic merge patches.

use serde_json::{Map, Value};

use super::go;
use super::strategic::failed;
use crate::status::Status;

/// What to do with a map or a list element: `replace`, `delete`, `merge`.
pub const PATCH: &str = "$patch";
/// The keys that may stay.
pub const RETAIN_KEYS: &str = "$retainKeys";
/// Scalars to take out of a list.
pub const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
/// The order of a list's elements.
pub const ORDER: &str = "$setElementOrder";

/// 500 for a directive that doesn't exist.
pub fn bad_patch_type(directive: &Value, map: &Map<String, Value>) -> Status {
    let map = go::show(&Value::Object(map.clone()));
    failed(format!("unknown patch type: {} in map: {map}", go::show(directive)))
}

/// Obeys `$retainKeys`: keys of the object that it doesn't name go away.
///
/// # Errors
/// 400 where it is no list, or the patch has keys that it doesn't name.
pub fn retain_keys(object: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Status> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let faulty = || Status::bad_request("invalid patch format of retainKeys");
    let retained = directive.as_array().ok_or_else(faulty)?;
    let stays = |key: &str| retained.iter().any(|each| each == key);
    for (key, value) in patch.iter() {
        let directive = key.starts_with(DELETE_FROM_LIST) || key.starts_with(ORDER);
        if !value.is_null() && !directive && !stays(key) {
            return Err(faulty());
        }
    }
    object.retain(|key, _| stays(key));
    Ok(())
}

/// Takes nulls out of maps, however deep.
pub fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// What is left of a value that has nothing to merge with: maps with a directive have nothing to say.
pub fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) => {
            if map.contains_key(PATCH) {
                return None;
            }
            let kept = map.into_iter().filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(list) => Some(Value::Array(list.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}
