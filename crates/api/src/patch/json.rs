//! JSON patches (RFC 6902) with the liberties of upstream's library: a replaced key need not exist, indexes
//! may be negative or have leading zeros, a missing value is null, and the first segment of a path is skipped
//! whatever it is.

use serde_json::{Map, Value};

use crate::patch::go;
use crate::schema::DEPTH_MAX;
use crate::status::{Reason, Status};

/// More operations in one patch are refused.
pub const OPERATIONS_MAX: usize = 10_000;

/// The copies of one patch may have so many bytes of JSON in all (upstream's `JSONPatchMaxCopyBytes`): each may
/// double the object.
pub const COPIED_BYTES_MAX: usize = 3 << 20;

/// Applies a list of operations.
///
/// # Errors
/// 400 where the patch isn't a list of operations, 413 for too many of them, 422 where one doesn't apply.
pub fn json(object: &Value, patch: &Value) -> Result<Value, Status> {
    json_where_tests_hold(object, patch)?.ok_or_else(inapplicable)
}

/// The same; none where a value that the patch tests is another one.
///
/// # Errors
/// As above, but not for such a test.
pub fn json_where_tests_hold(object: &Value, patch: &Value) -> Result<Option<Value>, Status> {
    let operations = decode(patch)?;
    let mut document = object.clone();
    let mut growth = Growth { copied: 0, depth: depth(object), differs: false };
    for operation in operations {
        if apply(&mut document, operation, &mut growth).is_none() {
            return if growth.differs { Ok(None) } else { Err(inapplicable()) };
        }
    }
    Ok(Some(document))
}

fn inapplicable() -> Status {
    let message = "the server rejected our request due to an error in our request";
    Status::new(422, Reason::Invalid, message).with_details(Value::Object(Map::new()))
}

fn decode(patch: &Value) -> Result<Vec<&Map<String, Value>>, Status> {
    let unfit = |value: &Value, wanted: &str| {
        let kind = go::json_kind(value);
        Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type {wanted}"
        ))
    };
    if patch.is_null() {
        return Ok(Vec::new());
    }
    let list = patch.as_array().ok_or_else(|| unfit(patch, "[]handlers.jsonPatchOp"))?;
    if list.len() > OPERATIONS_MAX {
        let message = format!(
            "Request entity is too large: The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            list.len()
        );
        return Err(Status::new(413, Reason::RequestEntityTooLarge, message));
    }
    list.iter()
        .map(|each| {
            let operation = each.as_object().ok_or_else(|| unfit(each, "handlers.jsonPatchOp"))?;
            for key in ["op", "path", "from"] {
                if let Some(value) = operation.get(key).filter(|value| !value.is_string() && !value.is_null()) {
                    let kind = go::json_kind(value);
                    return Err(Status::bad_request(format!(
                        "error decoding patch: json: cannot unmarshal {kind} into Go struct field jsonPatchOp.{key} of type string"
                    )));
                }
            }
            Ok(operation)
        })
        .collect()
}

/// What operations have made of the document so far.
struct Growth {
    /// Bytes of JSON that were copied.
    copied: usize,
    /// How deep it is nested at most.
    depth: usize,
    /// Whether a tested value was another one.
    differs: bool,
}

impl Growth {
    /// Counts a copy; none where it is one too many.
    fn copy(&mut self, value: &Value) -> Option<()> {
        let mut size = Size(0);
        serde_json::to_writer(&mut size, value).ok()?;
        self.copied = self.copied.saturating_add(size.0);
        (self.copied <= COPIED_BYTES_MAX).then_some(())
    }

    /// Takes note of a value that is put at a path; none where that is too deep.
    fn put(&mut self, path: &str, value: &Value) -> Option<()> {
        self.depth = self.depth.max(segments(path) + depth(value));
        (self.depth <= DEPTH_MAX).then_some(())
    }

    /// The same for a value that was there already: what it adds is known without looking at it.
    fn moved(&mut self, from: &str, path: &str, value: &Value) -> Option<()> {
        let deeper = self.depth + segments(path).saturating_sub(segments(from));
        if deeper > DEPTH_MAX {
            return self.put(path, value);
        }
        self.depth = deeper;
        Some(())
    }
}

/// Counts what is written.
struct Size(usize);

impl std::io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn segments(path: &str) -> usize {
    path.matches('/').count()
}

/// How many objects and lists are nested in each other at most.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Applies one operation; none where it doesn't apply.
fn apply(document: &mut Value, operation: &Map<String, Value>, growth: &mut Growth) -> Option<()> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str);
    let value = || operation.get("value").unwrap_or(&Value::Null);
    let path = text("path")?;
    match text("op")? {
        "add" => {
            growth.put(path, value())?;
            let (parent, key) = find(document, path)?;
            add(parent, &key, value().clone())
        }
        "replace" => {
            growth.put(path, value())?;
            if path.is_empty() {
                let value = value();
                return (value.is_object() || value.is_array()).then(|| *document = value.clone());
            }
            let (parent, key) = find(document, path)?;
            match parent {
                Value::Array(list) => {
                    let at = index(&key, list.len())?;
                    list[at] = value().clone();
                }
                other => {
                    other.as_object_mut()?.insert(key, value().clone());
                }
            }
            Some(())
        }
        "remove" => {
            let (parent, key) = find(document, path)?;
            remove(parent, &key).map(drop)
        }
        "move" => {
            let from = text("from")?;
            let (parent, key) = find(document, from)?;
            let moved = remove(parent, &key)?;
            growth.moved(from, path, &moved)?;
            let (parent, key) = find(document, path)?;
            add(parent, &key, moved)
        }
        "copy" => {
            let (parent, key) = find(document, text("from")?)?;
            let copied = get(parent, &key)?;
            growth.copy(copied)?;
            growth.put(path, copied)?;
            let copied = copied.clone();
            let (parent, key) = find(document, path)?;
            add(parent, &key, copied)
        }
        "test" => {
            let found = if path.is_empty() {
                document
            } else {
                let (parent, key) = find(document, path)?;
                get(parent, &key)?
            };
            growth.differs = found != value();
            (!growth.differs).then_some(())
        }
        _ => None,
    }
}

/// The object or list that holds the last segment of a path, and that segment.
fn find<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let mut segments = path.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"));
    let mut key = segments.next()?;
    let mut parent = document;
    for next in segments {
        parent = match parent {
            Value::Array(list) => {
                let at = index(&key, list.len())?;
                &mut list[at]
            }
            other => other.as_object_mut()?.get_mut(&key)?,
        };
        key = next;
    }
    (parent.is_object() || parent.is_array()).then_some((parent, key))
}

/// An index below `length`; negative ones count from the end.
fn index(key: &str, length: usize) -> Option<usize> {
    let at: i64 = key.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    let at = if at < 0 { at + length } else { at };
    usize::try_from(at).ok().filter(|_| at < length)
}

/// What is there; a key that isn't there is null.
fn get<'a>(parent: &'a Value, key: &str) -> Option<&'a Value> {
    match parent {
        Value::Array(list) => Some(&list[index(key, list.len())?]),
        other => Some(other.as_object()?.get(key).unwrap_or(&Value::Null)),
    }
}

fn add(parent: &mut Value, key: &str, value: Value) -> Option<()> {
    match parent {
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => {
            let at = index(key, list.len() + 1)?;
            list.insert(at, value);
        }
        other => {
            other.as_object_mut()?.insert(key.to_owned(), value);
        }
    }
    Some(())
}

fn remove(parent: &mut Value, key: &str) -> Option<Value> {
    match parent {
        Value::Array(list) => {
            let at = index(key, list.len())?;
            Some(list.remove(at))
        }
        other => other.as_object_mut()?.remove(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(patch: Value) -> Option<Value> {
        let object = json!({"a": 1, "b": {"c/d": [1, 2, 3]}, "e": null});
        super::json(&object, &patch).ok()
    }

    #[test]
    fn operations_change_objects_and_lists() {
        let list = |list: Value| Some(json!({"a": 1, "b": {"c/d": list}, "e": null}));
        let path = |end: &str| format!("/b/c~1d/{end}");
        assert_eq!(patched(json!([{"op": "add", "path": path("-"), "value": 4}])), list(json!([1, 2, 3, 4])));
        assert_eq!(patched(json!([{"op": "add", "path": path("1"), "value": 4}])), list(json!([1, 4, 2, 3])));
        assert_eq!(
            patched(json!([{"op": "replace", "path": path("-1"), "value": 4}])),
            list(json!([1, 2, 4]))
        );
        assert_eq!(
            patched(json!([{"op": "replace", "path": path("00"), "value": 4}])),
            list(json!([4, 2, 3]))
        );
        assert_eq!(patched(json!([{"op": "remove", "path": path("0")}])), list(json!([2, 3])));
        assert_eq!(
            patched(json!([{"op": "move", "from": path("0"), "path": path("-")}])),
            list(json!([2, 3, 1]))
        );
        assert_eq!(
            patched(json!([{"op": "copy", "from": "/a", "path": "/b"}, {"op": "remove", "path": "/e"}])),
            Some(json!({"a": 1, "b": 1}))
        );
        assert!(patched(json!([{"op": "replace", "path": "/zz", "value": 1}])).is_some());
        assert!(patched(json!([{"op": "test", "path": "/e", "value": null}])).is_some());
        assert_eq!(patched(json!([{"op": "replace", "path": "", "value": {}}])), Some(json!({})));
    }

    #[test]
    fn what_does_not_apply_is_an_error() {
        for operation in [
            json!({"op": "remove", "path": "/zz"}),
            json!({"op": "test", "path": "/a", "value": 2}),
            json!({"op": "add", "path": "/zz/y", "value": 2}),
            json!({"op": "add", "path": "/b/c~1d/4", "value": 2}),
            json!({"op": "replace", "path": "/b/c~1d/3", "value": 2}),
            json!({"op": "add", "path": "/b/c~1d/x", "value": 2}),
            json!({"op": "move", "from": "/zz", "path": "/y"}),
            json!({"op": "merge", "path": "/a"}),
            json!({"path": "/a"}),
        ] {
            let error =
                super::json(&json!({"a": 1, "b": {"c/d": [1, 2, 3]}}), &json!([operation])).unwrap_err();
            assert_eq!(error.code(), 422, "{operation}");
        }
        let error = super::json(&json!({}), &json!({"op": "add"})).unwrap_err();
        assert_eq!(
            error.message(),
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        );
    }
}
