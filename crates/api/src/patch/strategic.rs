//! Strategic merge patches: maps merge, lists merge or are replaced as the table says, directives say more.
//! Source: <https://git.k8s.io/community/contributors/devel/sig-api-machinery/strategic-merge-patch.md>

use serde_json::{Map, Value};

use super::directives::{
    DELETE_FROM_LIST, ORDER, PATCH, bad_patch_type, discard_nulls, retain_keys, without_directives,
};
use super::{go, list};
use crate::schema::{Field, MergeStrategy, Shape, TypeId};
use crate::status::{Reason, Status};

/// Merges a patch into an object of a type.
///
/// # Errors
/// 400 where the patch or its directives have the wrong form, 500 (as upstream has it) where list elements lack
/// their merge key or differ in kind, or an order contradicts the patch.
pub fn strategic(type_id: TypeId, object: &Value, patch: &Value) -> Result<Value, Status> {
    let Some(patch) = patch.as_object() else {
        return super::merge::merge(object, patch);
    };
    let object = object.as_object().cloned().unwrap_or_default();
    merge_map(object, patch.clone(), At::Type(type_id)).map(Value::Object)
}

/// Where in the table a map stands.
#[derive(Clone, Copy)]
pub(super) enum At {
    /// An object of a type.
    Type(TypeId),
    /// A map with free keys.
    Map(&'static Shape),
    /// Beyond the table.
    Free,
}

const REPLACED: MergeStrategy = MergeStrategy { merge: false, retain_keys: false, key: "" };

impl At {
    pub(super) fn of(shape: &Shape) -> At {
        match shape {
            Shape::Object(type_id) => At::Type(*type_id),
            Shape::Map(shape) => At::Map(shape),
            _ => At::Free,
        }
    }

    /// The place below a field, and how the field merges.
    fn below(self, key: &str) -> Result<(At, MergeStrategy), Status> {
        let (shape, merge): (&Shape, MergeStrategy) = match self {
            At::Type(type_id) => {
                let Field { shape, merge, .. } = type_id.field(key).ok_or_else(|| {
                    let name = type_id.name().rsplit('.').next().unwrap_or_default();
                    failed(format!("unable to find api field in struct {name} for the json field {key:?}"))
                })?;
                (shape, *merge)
            }
            At::Map(shape) => (shape, REPLACED),
            At::Free => return Ok((At::Free, REPLACED)),
        };
        Ok(match shape {
            Shape::List(element) => (At::of(element), merge),
            other => (At::of(other), merge),
        })
    }
}

/// An error that upstream passes on as it is: 500 without a reason.
pub(super) fn failed(message: String) -> Status {
    Status::new(500, Reason::Unknown, message)
}

pub(super) fn merge_map(
    mut object: Map<String, Value>,
    mut patch: Map<String, Value>,
    at: At,
) -> Result<Map<String, Value>, Status> {
    if let Some(directive) = patch.get(PATCH) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(bad_patch_type(directive, &patch)),
        };
    }
    retain_keys(&mut object, &mut patch)?;
    apply_orders(&mut object, &mut patch, at)?;
    for (key, change) in patch {
        let deleting = key.starts_with(DELETE_FROM_LIST);
        let key = if deleting { field_of(&key, DELETE_FROM_LIST, "primitive list")? } else { key };
        if change.is_null() {
            object.remove(&key);
            continue;
        }
        let Some(known) = object.get_mut(&key).filter(|known| go::type_name(known) == go::type_name(&change))
        else {
            if !deleting {
                take(&mut object, key, change);
            }
            continue;
        };
        match (known, change) {
            (Value::Object(known), Value::Object(change)) => {
                let (at, _) = at.below(&key)?;
                *known = merge_map(std::mem::take(known), change, at)?;
            }
            (Value::Array(known), Value::Array(change)) => {
                let (at, strategy) = at.below(&key)?;
                let merged = list::merge(std::mem::take(known), change, at, strategy, deleting)?;
                object.insert(key, Value::Array(merged));
            }
            (known, change) => *known = change,
        }
    }
    Ok(object)
}

/// Takes a value that has nothing to merge with.
fn take(object: &mut Map<String, Value>, key: String, mut change: Value) {
    discard_nulls(&mut change);
    match without_directives(change) {
        Some(change) => object.insert(key, change),
        None => object.remove(&key),
    };
}

/// Merges the lists whose order the patch gives, and takes them out of the patch.
fn apply_orders(
    object: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    at: At,
) -> Result<(), Status> {
    let keys: Vec<String> = patch.keys().filter(|key| key.starts_with(ORDER)).cloned().collect();
    for directive in keys {
        let Some(order) = patch.remove(&directive) else { continue };
        let order = as_list(order)?;
        let key = field_of(&directive, ORDER, "setElementOrder list")?;
        let known = object.get(&key).cloned().map(as_list).transpose()?;
        let change = patch.get(&key).cloned().map(as_list).transpose()?;
        let (below, strategy) = at.below(&key)?;
        list::check_order(change.as_deref().unwrap_or_default(), &order, strategy.key)?;
        let (before, merged) = match (known, change) {
            (Some(known), None) => (known.clone(), known),
            (None, Some(change)) => (Vec::new(), change.into_iter().filter_map(without_directives).collect()),
            (Some(known), Some(change)) => {
                (known.clone(), list::merge(known, change, below, strategy, false)?)
            }
            (None, None) => continue,
        };
        let ordered = list::in_order(merged, &order, &before, strategy.key)?;
        patch.remove(&key);
        object.insert(key, Value::Array(ordered));
    }
    Ok(())
}

/// The field that a directive such as `$setElementOrder/containers` is about.
fn field_of(directive: &str, prefix: &str, what: &str) -> Result<String, Status> {
    let field = directive.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
    field.map(str::to_owned).ok_or_else(|| Status::bad_request(format!("invalid patch format of {what}")))
}

fn as_list(value: Value) -> Result<Vec<Value>, Status> {
    match value {
        Value::Array(list) => Ok(list),
        other => {
            Err(failed(format!("expected a []interface {{}}, but received a {}", go::type_name(&other))))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::schema::type_of;

    fn pod() -> TypeId {
        type_of("", "v1", "Pod").unwrap()
    }

    fn patched(object: Value, patch: Value) -> Result<Value, Status> {
        strategic(pod(), &object, &patch)
    }

    fn containers(list: Value) -> Value {
        json!({"spec": {"containers": list}})
    }

    #[test]
    fn lists_merge_by_their_key() {
        let two =
            || containers(json!([{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "1"}]));
        for (patch, expected) in [
            (
                json!([{"name": "b", "image": "2"}]),
                json!([{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "2"}]),
            ),
            (json!([{"name": "a", "$patch": "delete"}]), json!([{"name": "b", "image": "1"}])),
            (
                json!([{"name": "c", "env": [{"name": "E", "$patch": "delete"}], "image": null}]),
                json!([{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "1"}, {"name": "c", "env": []}]),
            ),
            (json!([{"name": "c"}, {"$patch": "replace"}]), json!([{"name": "c"}])),
            (
                json!([{"name": "a", "args": ["y", "z"], "image": null}]),
                json!([{"name": "a", "args": ["y", "z"]}, {"name": "b", "image": "1"}]),
            ),
        ] {
            let mut expected = expected;
            let mut result = patched(two(), containers(patch.clone())).unwrap();
            // A list that was merged with new elements puts the patch's own first where the order is open.
            let by_name = |value: &mut Value| {
                value.as_array_mut().unwrap().sort_by_key(|each| each["name"].to_string());
            };
            by_name(&mut expected);
            by_name(&mut result["spec"]["containers"]);
            assert_eq!(result, containers(expected), "{patch}");
        }
    }

    #[test]
    fn orders_are_obeyed() {
        let object = containers(json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]));
        let patch = json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
            "containers": [{"name": "c", "image": "2"}]}});
        assert_eq!(
            patched(object, patch).unwrap(),
            containers(json!([{"name": "b"}, {"name": "c", "image": "2"}, {"name": "a"}]))
        );
    }

    #[test]
    fn scalars_merge_and_leave() {
        let object = json!({"metadata": {"finalizers": ["a", "b"]}});
        let merged = patched(object.clone(), json!({"metadata": {"finalizers": ["c", "a"]}})).unwrap();
        assert_eq!(merged, json!({"metadata": {"finalizers": ["c", "a", "b"]}}));
        let left = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}});
        assert_eq!(patched(object, left).unwrap(), json!({"metadata": {"finalizers": ["b"]}}));
    }

    #[test]
    fn maps_obey_directives() {
        let object = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"volumes": [{"name": "v", "emptyDir": {}}]}});
        let cases = [
            (
                json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}}}),
                "/metadata/labels",
                json!({"c": "3"}),
            ),
            (json!({"metadata": {"labels": {"$patch": "delete"}}}), "/metadata/labels", json!({})),
            (json!({"metadata": {"labels": {"a": null}}}), "/metadata/labels", json!({"b": "2"})),
            (
                json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]}}),
                "/spec/volumes/0",
                json!({"name": "v", "hostPath": {"path": "/"}}),
            ),
        ];
        for (patch, pointer, expected) in cases {
            let result = patched(object.clone(), patch.clone()).unwrap();
            assert_eq!(result.pointer(pointer), Some(&expected), "{patch}");
        }
    }

    #[test]
    fn faults_have_upstreams_words() {
        for (patch, code, message) in [
            (
                containers(json!([{"image": "x"}])),
                500,
                "map: map[image:x] does not contain declared merge key: name",
            ),
            (containers(json!(["a"])), 500, "list element types are not identical: [[map[name:a]] [a]]"),
            (json!({"spec": {"$retainKeys": "x"}}), 400, "invalid patch format of retainKeys"),
            (
                json!({"spec": {"$setElementOrder/containers": "x"}}),
                500,
                "expected a []interface {}, but received a string",
            ),
            (
                json!({"spec": {"$setElementOrder/containers": [{"name": "z"}], "containers": [{"name": "y"}]}}),
                500,
                "The order in patch list:\n[map[name:y]]\n doesn't match $setElementOrder list:\n[map[name:z]]\n",
            ),
            (
                containers(json!([{"name": "a", "$patch": "explode"}])),
                500,
                "unknown patch type: explode in map: map[$patch:explode name:a]",
            ),
        ] {
            let error = patched(containers(json!([{"name": "a"}])), patch.clone()).unwrap_err();
            assert_eq!((error.code(), error.message()), (code, message), "{patch}");
        }
        let patch = containers(json!([{"name": "a", "image": 5}]));
        let result = patched(json!({}), patch.clone()).unwrap();
        let misfit = super::super::misfit(pod(), &patch, &result).unwrap();
        assert_eq!(
            misfit.message(),
            " \"\" is invalid: patch: Invalid value: \"map[spec:map[containers:[map[image:5 name:a]]]]\": cannot convert int64 to string"
        );
    }

    proptest! {
        #[test]
        fn a_patch_twice_is_a_patch_once(old in prop::collection::btree_map("[a-d]", 0..9i32, 0..4),
            new in prop::collection::btree_map("[a-d]", prop::option::of(0..9i32), 0..4)) {
            let old: Vec<Value> = old.iter().map(|(name, at)| json!({"name": name, "image": at.to_string()})).collect();
            let new: Vec<Value> = new.iter().map(|(name, at)| match at {
                Some(at) => json!({"name": name, "image": at.to_string()}),
                None => json!({"name": name, "$patch": "delete"}),
            }).collect();
            let patch = containers(Value::Array(new));
            let once = patched(containers(Value::Array(old)), patch.clone()).unwrap();
            prop_assert_eq!(patched(once.clone(), patch).unwrap(), once);
        }
    }
}
