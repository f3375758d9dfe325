//! Patches: JSON, merge, strategic, apply.

use std::time::Instant;

use cox_api::managed::{Context, apply, settle, track};
use cox_api::patch::{json, merge, strategic};
use cox_api::schema::{Strictness, TypeId, check_value, normalize, type_named, type_of};
use cox_api::{Form, Unowned};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::choices::{Choices, cases, decisions, kind};

/// A stored object: of its type, in normal form.
fn stored(of: TypeId, bytes: &[u8]) -> Value {
    let mut value = Choices::new(bytes).object(of, 0);
    normalize(of, &mut value);
    value
}

/// A patch: mostly an object of the type, with misfits and directives between.
fn patch(of: TypeId, bytes: &[u8], misfits: u8) -> Value {
    let mut choices = Choices::new(bytes);
    choices.misfits = misfits;
    choices.object(of, 0)
}

/// A kind that objects are stored of.
fn served() -> impl Strategy<Value = TypeId> {
    let kinds: Vec<TypeId> = cox_api::kinds::ALL.iter().map(|kind| kind.info().type_id()).collect();
    prop::sample::select(kinds)
}

fn context<'a>(manager: &'a str, now: &'a str) -> Context<'a> {
    Context {
        manager,
        force: true,
        api_version: "v1",
        subresource: "",
        now,
        unowned: Unowned::Listed(&[&["status"]]),
        reset: false,
        convert: None,
    }
}

/// Whether a list somewhere in a value has the same scalar twice, or objects with the same text in a field.
fn repeats(value: &Value) -> bool {
    let same = |a: &Value, b: &Value| match (a, b) {
        (Value::Object(a), b) => a.iter().any(|(key, value)| value.is_string() && b.get(key) == Some(value)),
        (a, b) => a == b,
    };
    match value {
        Value::Array(items) => {
            let twice = |at: usize| items[..at].iter().any(|other| same(&items[at], other));
            (0..items.len()).any(twice) || items.iter().any(repeats)
        }
        Value::Object(entries) => entries.values().any(repeats),
        _ => false,
    }
}

/// Whether a value has an empty map or list anywhere.
fn empties(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty() || items.iter().any(empties),
        Value::Object(entries) => entries.is_empty() || entries.values().any(empties),
        _ => false,
    }
}

const PATHS: [&str; 14] = [
    "",
    "/",
    "/a",
    "/a/b",
    "/a/b/0",
    "/a/b/-",
    "/a/b/-1",
    "/a/b/99",
    "/a~1b",
    "/a~0",
    "/spec",
    "/metadata/labels",
    "//",
    "a",
];

fn operation() -> impl Strategy<Value = Value> {
    let path = || prop_oneof![9 => prop::sample::select(&PATHS[..]).prop_map(Value::from), 1 => Just(Value::Null), 1 => Just(json!(5))];
    let value =
        prop_oneof![Just(json!(null)), Just(json!({"b": [1, {"c": 2}]})), Just(json!([])), Just(json!("x"))];
    let op = prop::sample::select(&["add", "remove", "replace", "move", "copy", "test", "merge"][..]);
    (op, path(), path(), value)
        .prop_map(|(op, path, from, value)| json!({"op": op, "path": path, "from": from, "value": value}))
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn json_patches_apply_or_not(operations in prop::collection::vec(operation(), 0..12)) {
        let object = json!({"a": {"b": [1, {"x": "y"}]}, "spec": {}, "a/b": null});
        let _ = json(&object, &operations.into());
    }

    #[test]
    fn merging_twice_is_merging_once(of in kind(), object in decisions(), change in decisions(), misfits in prop_oneof![Just(0u8), 3u8..20]) {
        let object = stored(of, &object);
        let patch = patch(of, &change, misfits);
        let Ok(once) = merge(&object, &patch) else { return Ok(()) };
        if misfits == 0 {
            prop_assert_eq!(merge(&once, &patch).ok(), Some(once.clone()));
        }
        let _ = check_value(of, once, Strictness::Strict);
    }

    #[test]
    fn merging_strategically_twice_is_once(of in kind(), object in decisions(), change in decisions(), misfits in prop_oneof![Just(0u8), 3u8..20]) {
        let object = stored(of, &object);
        let patch = patch(of, &change, misfits);
        let Ok(once) = strategic(of, &object, &patch) else { return Ok(()) };
        let _ = check_value(of, once.clone(), Strictness::Strict);
        if misfits == 0 {
            match strategic(of, &once, &patch) {
                // Elements without their key are taken into an empty list, and fit no other.
                Err(error) => prop_assert!(error.message().contains("does not contain declared merge key")),
                Ok(twice) => {
                    // A new list is taken as it is; elements that are one are so only when it is merged.
                    if !repeats(&patch) {
                        prop_assert_eq!(&twice, &once, "{} {} {}", of, object, patch);
                    }
                    let thrice = strategic(of, &twice, &patch).ok();
                    prop_assert_eq!(thrice, Some(twice), "{} {} {}", of, object, patch);
                }
            }
        }
    }

    #[test]
    fn directives_anywhere(object in decisions(), places in prop::collection::vec((0usize..8, 0usize..6), 1..4)) {
        let of = type_named("io.k8s.api.core.v1.PodSpec").unwrap();
        let object = stored(of, &object);
        let mut patch = json!({"containers": [{"name": "a", "ports": [{"containerPort": 1}]}], "volumes": [{"name": "v"}]});
        let values = [json!("replace"), json!("delete"), json!("merge"), json!(["a", null, {"name": "a"}]), json!(5), json!({})];
        for (key, value) in places {
            let (place, key) = [
                ("", "$patch"), ("", "$retainKeys"), ("", "$setElementOrder/containers"), ("", "$deleteFromPrimitiveList/x"),
                ("/containers/0", "$patch"), ("/containers/0", "$setElementOrder/ports"), ("/volumes/0", "$retainKeys"),
                ("", "$setElementOrder/"),
            ][key];
            if let Some(Value::Object(map)) = patch.pointer_mut(place) {
                map.insert(key.to_owned(), values[value].clone());
            }
        }
        let _ = strategic(of, &object, &patch);
    }

    #[test]
    fn applying_twice_is_applying_once(of in served(), live in decisions(), config in decisions(), other in decisions()) {
        let unmanaged = |bytes: &[u8]| {
            let mut value = Choices::new(bytes).object(of, 0);
            if value.get("metadata").is_none() {
                value["metadata"] = json!({});
            }
            value["metadata"]["managedFields"] = Value::Null;
            value["metadata"]["name"] = "x".into();
            value["metadata"]["uid"] = "u".into();
            value
        };
        // What comes back from the store.
        let stored = |value: Value| check_value(of, value, Strictness::Ignore).expect("of its type").value;
        let mut live = stored(unmanaged(&live));
        track(&Form::Table(of), None, &mut live, &context("somebody", "2026-01-01T00:00:00Z"));
        for config in [config, other] {
            let config = unmanaged(&config);
            let Ok(once) = apply(&Form::Table(of), Some(&live), &config, &context("me", "2026-01-01T00:00:01Z")) else { return Ok(()) };
            let once = stored(once);
            let twice = apply(&Form::Table(of), Some(&once), &config, &context("me", "2026-01-01T00:00:02Z")).expect("applies again");
            let mut twice = stored(twice);
            settle(&once, &mut twice);
            if empties(&config) {
                // An empty map is owned when it is applied and gone when it is stored: who else owns it loses it at
                // the next time, as upstream.
                let thrice = apply(&Form::Table(of), Some(&twice), &config, &context("me", "2026-01-01T00:00:03Z")).expect("applies again");
                let mut thrice = stored(thrice);
                settle(&twice, &mut thrice);
                prop_assert_eq!(&thrice, &twice, "{} {} to {}", of, config, live);
            } else {
                prop_assert_eq!(&twice, &once, "{} {} to {}", of, config, live);
            }
            live = twice;
        }
    }

    #[test]
    fn what_does_not_fit_is_not_applied(of in kind(), live in decisions(), config in decisions(), misfits in 2u8..12, managed in decisions()) {
        let mut live = stored(of, &live);
        if let Some(metadata) = live.get_mut("metadata").and_then(Value::as_object_mut) {
            let fields = Choices::new(&managed).any(0);
            metadata.insert("managedFields".into(), json!([{"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}]));
        }
        let _ = apply(&Form::Table(of), Some(&live), &patch(of, &config, misfits), &context("me", "2026-01-01T00:00:00Z"));
    }
}

/// Each copy doubles the object; forty would fill any memory.
#[test]
fn copies_in_a_json_patch_have_a_limit() {
    let started = Instant::now();
    let operations: Vec<Value> =
        (0..60).map(|at| json!({"op": "copy", "from": "/data", "path": format!("/data/{at}")})).collect();
    let error = json(&json!({"data": {"a": "x".repeat(1000)}}), &operations.into()).unwrap_err();
    assert_eq!(error.code(), 422);
    assert!(started.elapsed().as_secs() < 5);
    // What stays below is copied.
    let operations = json!([{"op": "copy", "from": "/data", "path": "/more"}]);
    assert!(json(&json!({"data": "x".repeat(1_000_000)}), &operations).is_ok());
}

/// An object that is moved into a new one again and again gets deeper than recursion over it can go.
#[test]
fn moves_in_a_json_patch_make_nothing_deep() {
    let mut operations = Vec::new();
    for _ in 0..3_333 {
        operations.push(json!({"op": "add", "path": "/b", "value": {}}));
        operations.push(json!({"op": "move", "from": "/a", "path": "/b/c"}));
        operations.push(json!({"op": "move", "from": "/b", "path": "/a"}));
    }
    let error = json(&json!({"a": 1}), &operations.into()).unwrap_err();
    assert_eq!(error.code(), 422);
    let mut path = String::new();
    let operations: Vec<Value> = (0..1_000)
        .map(|_| {
            path.push_str("/a");
            json!({"op": "add", "path": path, "value": {}})
        })
        .collect();
    assert_eq!(json(&json!({}), &operations.into()).unwrap_err().code(), 422);
}

/// Comparing a large object many times copies it never.
#[test]
fn tests_in_a_json_patch_are_cheap() {
    let started = Instant::now();
    let object = json!({"data": (0..20_000).map(|at| json!({"k": at})).collect::<Vec<_>>()});
    let operations = vec![json!({"op": "test", "path": "/none", "value": null}); 10_000];
    assert!(json(&object, &operations.into()).is_ok());
    let mut operations = vec![json!({"op": "add", "path": "/x", "value": {}}); 1];
    operations.extend(vec![json!({"op": "test", "path": "/x", "value": {}}); 2_000]);
    operations.push(json!({"op": "test", "path": "/data", "value": 1}));
    assert!(json(&object, &operations.into()).is_err());
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn a_long_list_merges_in_time() {
    let started = Instant::now();
    let of = type_of("", "v1", "Pod").expect("a known kind");
    let containers = |tag: &str| -> Vec<Value> {
        (0..5_000).map(|at| json!({"name": format!("c{at}"), "image": tag})).collect()
    };
    let object = json!({"spec": {"containers": containers("old")}});
    let merged = strategic(of, &object, &json!({"spec": {"containers": containers("new")}})).unwrap();
    assert_eq!(merged["spec"]["containers"][4_999]["image"], "new");
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    let started = Instant::now();
    let context = context("me", "2026-01-01T00:00:00Z");
    let live = apply(&Form::Table(of), None, &object, &context).unwrap();
    apply(&Form::Table(of), Some(&live), &json!({"spec": {"containers": containers("new")}}), &context)
        .unwrap();
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

/// A map that is emptied by one who applies stays another's for one time more, and then no longer.
#[test]
fn an_emptied_map_settles_at_the_second_time() {
    let of = type_of("", "v1", "ConfigMap").expect("a known kind");
    let stored = |value: Value| check_value(of, value, Strictness::Ignore).expect("of its type").value;
    let at = |second: u8| format!("2026-01-01T00:00:0{second}Z");
    let named = |data: Value| json!({"metadata": {"name": "x"}, "data": data});
    let mut live = stored(named(json!({"k": "theirs"})));
    track(&Form::Table(of), None, &mut live, &context("somebody", &at(0)));
    let managers = |live: &Value| -> Vec<String> {
        let entries = live["metadata"]["managedFields"].as_array().into_iter().flatten();
        entries.map(|entry| entry["manager"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let mut seen = Vec::new();
    for (second, data) in [json!({"k": "mine"}), json!({}), json!({}), json!({})].into_iter().enumerate() {
        let now = at(second as u8 + 1);
        let mut next = stored(
            apply(&Form::Table(of), Some(&live), &named(data), &context("me", &now)).expect("applies"),
        );
        settle(&live, &mut next);
        live = next;
        seen.push(managers(&live));
    }
    let both = vec!["me".to_owned(), "somebody".to_owned()];
    assert_eq!(seen, [both.clone(), both, vec!["me".to_owned()], vec!["me".to_owned()]]);
}
