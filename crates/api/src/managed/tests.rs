//! Whole writes: what managers own afterwards.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Context, scale, settle};
use crate::form::Form;
use crate::kind::Unowned;
use crate::schema::{self, TypeId};

const NOW: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2026-01-01T00:00:01Z";

fn deployment() -> TypeId {
    schema::type_of("apps", "v1", "Deployment").expect("in the table")
}

fn config_map() -> TypeId {
    schema::type_of("", "v1", "ConfigMap").expect("in the table")
}

fn context<'a>(manager: &'a str, now: &'a str) -> Context<'a> {
    Context {
        manager,
        force: false,
        api_version: "v1",
        subresource: "",
        now,
        unowned: Unowned::Listed(&[&["status"]]),
        reset: false,
        convert: None,
    }
}

fn track(of: TypeId, old: Option<&Value>, new: &mut Value, context: &Context<'_>) {
    super::track(&Form::Table(of), old, new, context);
}

fn apply(
    of: TypeId,
    live: Option<&Value>,
    config: &Value,
    context: &Context<'_>,
) -> Result<Value, crate::status::Status> {
    super::apply(&Form::Table(of), live, config, context)
}

/// A written object as it comes back from the store.
fn stored(of: TypeId, mut object: Value) -> Value {
    schema::normalize(of, &mut object);
    object["metadata"]["uid"] = "u".into();
    object
}

/// A ConfigMap; without data it says nothing of data.
fn map(data: Value) -> Value {
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    if data != json!({}) {
        map["data"] = data;
    }
    map
}

fn created(manager: &str, data: Value) -> Value {
    let mut new = map(data);
    track(config_map(), None, &mut new, &context(manager, NOW));
    stored(config_map(), new)
}

fn applied(live: Option<&Value>, manager: &str, data: Value) -> Value {
    let result = apply(config_map(), live, &map(data), &context(manager, NOW)).expect("no conflict");
    stored(config_map(), result)
}

/// Managers, operations and fields, in short.
fn owners(object: &Value) -> Vec<(String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries
        .map(|entry| {
            let who = ["manager", "operation"].map(|key| entry[key].as_str().unwrap_or_default());
            (who.join(" "), entry["fieldsV1"].clone())
        })
        .collect()
}

fn owner(who: &str, fields: Value) -> (String, Value) {
    (who.to_owned(), fields)
}

#[test]
fn a_creator_owns_what_is_set_and_the_maps_it_opens() {
    let mut new = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "strategy": {"rollingUpdate": {"maxSurge": 1}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
                {"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}}},
        "status": {"replicas": 3}});
    schema::normalize(deployment(), &mut new);
    track(deployment(), None, &mut new, &context("m", NOW));
    assert_eq!(
        owners(&new),
        [owner(
            "m Update",
            json!({"f:spec": {
                "f:selector": {},
                "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}},
                "f:template": {
                    "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
                    "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {
                        ".": {}, "f:image": {}, "f:name": {}, "f:resources": {},
                        "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                            ".": {}, "f:containerPort": {}}}}}}}}})
        )]
    );
}

#[test]
fn an_update_takes_what_it_changes() {
    let old = created("one", json!({"a": "1", "b": "1"}));
    let mut new = old.clone();
    new["data"] = json!({"a": "2", "c": "1"});
    track(config_map(), Some(&old), &mut new, &context("two", LATER));
    assert_eq!(
        owners(&new),
        [
            owner("one Update", json!({"f:data": {}})),
            owner("two Update", json!({"f:data": {"f:a": {}, "f:c": {}}})),
        ]
    );
    // Who changes nothing owns nothing more, and at no other time.
    let mut same = new.clone();
    track(config_map(), Some(&new), &mut same, &context("three", LATER));
    assert_eq!(same, new);
}

#[test]
fn applying_conflicts_unless_the_value_is_the_same_or_forced() {
    let live = applied(None, "one", json!({"a": "1"}));
    let shared = applied(Some(&live), "two", json!({"a": "1"}));
    assert_eq!(owners(&shared).len(), 2);
    assert!(shared["metadata"]["managedFields"][0]["time"].is_null(), "nothing changed for the second");
    let status = apply(config_map(), Some(&live), &map(json!({"a": "2"})), &context("two", NOW)).unwrap_err();
    assert_eq!(status.message(), "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    assert_eq!(status.code(), 409);
    let forced = Context { force: true, ..context("two", NOW) };
    let taken = apply(config_map(), Some(&live), &map(json!({"a": "2"})), &forced).unwrap();
    assert_eq!(owners(&taken), [owner("two Apply", json!({"f:data": {"f:a": {}}}))]);
}

#[test]
fn several_conflicts_are_listed_by_manager() {
    let live = created("up", json!({"a": "1", "b": "1"}));
    let status =
        apply(config_map(), Some(&live), &map(json!({"a": "2", "b": "2"})), &context("x", NOW)).unwrap_err();
    assert_eq!(
        status.message(),
        "Apply failed with 2 conflicts: conflicts with \"up\" using v1:\n- .data.a\n- .data.b"
    );
    let causes = status.details().and_then(|details| details["causes"].as_array()).unwrap();
    assert_eq!(
        causes[1],
        json!({"reason": "FieldManagerConflict", "message": "conflict with \"up\" using v1", "field": ".data.b"})
    );
}

#[test]
fn what_is_no_longer_applied_goes_unless_another_owns_it() {
    let live = applied(None, "one", json!({"a": "1", "b": "1"}));
    let live = applied(Some(&live), "two", json!({"b": "1"}));
    let left = applied(Some(&live), "one", json!({}));
    assert_eq!(left["data"], json!({"b": "1"}));
    assert_eq!(owners(&left), [owner("two Apply", json!({"f:data": {"f:b": {}}}))]);
}

#[test]
fn applied_lists_merge_by_key_and_keep_order() {
    let of = schema::type_of("", "v1", "Service").unwrap();
    let service = |ports: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": ports}});
    let write = |live: Option<&Value>, manager: &str, ports: Value| {
        stored(of, apply(of, live, &service(ports), &context(manager, NOW)).unwrap())
    };
    let port = |number: i64| json!({"port": number, "protocol": "TCP"});
    let live = write(None, "one", json!([port(1), port(2)]));
    let live = write(Some(&live), "two", json!([port(3)]));
    let numbers = |object: &Value| -> Vec<i64> {
        object["spec"]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| port["port"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(numbers(&live), [1, 2, 3]);
    let live = write(Some(&live), "one", json!([port(2), port(1)]));
    assert_eq!(numbers(&live), [2, 3, 1]);
    let live = write(Some(&live), "one", json!([port(2)]));
    assert_eq!(numbers(&live), [2, 3]);
    let status = apply(of, Some(&live), &service(json!([port(9), port(9)])), &context("x", NOW)).unwrap_err();
    assert_eq!(
        status.message(),
        "failed to create typed patch object (/s; /v1, Kind=Service): .spec.ports: duplicate entries for key [port=9,protocol=\"TCP\"]"
    );
}

#[test]
fn kubectl_takes_over_from_client_side_apply() {
    let mut new = map(json!({"a": "1"}));
    let last = map(json!({"a": "1"})).to_string();
    let key = "kubectl.kubernetes.io/last-applied-configuration";
    new["metadata"]["annotations"] = json!({key: last});
    track(config_map(), None, &mut new, &context("kubectl-client-side-apply", NOW));
    let live = stored(config_map(), new);
    assert!(apply(config_map(), Some(&live), &map(json!({"a": "2"})), &context("other", NOW)).is_err());
    let result = apply(config_map(), Some(&live), &map(json!({"a": "2"})), &context("kubectl", NOW)).unwrap();
    assert_eq!(result["data"]["a"], "2");
    assert_eq!(result["metadata"]["annotations"][key], format!("{}\n", map(json!({"a": "2"}))));
}

#[test]
fn forgotten_owners_are_not_tracked_until_the_next_apply() {
    let old = created("one", json!({"a": "1"}));
    let mut new = old.clone();
    new["data"]["a"] = "2".into();
    track(config_map(), Some(&old), &mut new, &Context { reset: true, ..context("two", NOW) });
    assert!(owners(&new).is_empty());
    let again = apply(config_map(), Some(&new), &map(json!({"b": "1"})), &context("three", NOW)).unwrap();
    assert_eq!(
        owners(&again),
        [
            owner("three Apply", json!({"f:data": {"f:b": {}}})),
            owner("before-first-apply Update", json!({"f:data": {".": {}, "f:a": {}}})),
        ]
    );
}

#[test]
fn entries_by_hand_are_taken_unless_they_are_unreadable() {
    let old = created("one", json!({"a": "1"}));
    let by_hand = |entry: Value| {
        let mut new = old.clone();
        new["metadata"]["managedFields"] = json!([entry]);
        track(config_map(), Some(&old), &mut new, &context("x", NOW));
        owners(&new)
    };
    let entry = json!({"manager": "h", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:zz": {}}}});
    assert_eq!(by_hand(entry.clone()), [owner("h Apply", json!({"f:data": {"f:zz": {}}}))]);
    for (key, bad) in [("operation", "Glue"), ("fieldsType", "FieldsV9"), ("apiVersion", "")] {
        let mut faulty = entry.clone();
        faulty[key] = bad.into();
        assert_eq!(by_hand(faulty), owners(&old), "{key}");
    }
}

#[test]
fn the_oldest_of_many_updaters_are_merged() {
    let mut live = created("m0", json!({"k0": "1"}));
    for number in 1..13 {
        let mut new = live.clone();
        new["data"][format!("k{number}")] = "1".into();
        let (manager, now) = (format!("m{number}"), format!("2026-01-01T00:00:{number:02}Z"));
        track(config_map(), Some(&live), &mut new, &context(&manager, &now));
        live = new;
    }
    let owners = owners(&live);
    assert_eq!(owners.len(), 10);
    assert_eq!(
        owners[0],
        owner(
            "ancient-changes Update",
            json!({"f:data": {".": {}, "f:k0": {}, "f:k1": {}, "f:k2": {}, "f:k3": {}}})
        )
    );
}

#[test]
fn a_scale_owns_the_replicas() {
    let apps = |manager| Context { api_version: "apps/v1", ..context(manager, NOW) };
    let config = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 1, "paused": true}});
    let mut object = stored(deployment(), apply(deployment(), None, &config, &apps("one")).unwrap());
    let of = schema::type_of("autoscaling", "v1", "Scale").unwrap();
    let mut old = json!({"metadata": {"name": "d", "uid": "u"}, "spec": {"replicas": 1}});
    scale::to_scale(&object, &mut old, &["apps/v1"]);
    assert_eq!(owners(&old), [owner("one Apply", json!({"f:spec": {"f:replicas": {}}}))]);
    let mut new = old.clone();
    new["spec"]["replicas"] = 4.into();
    // The owners of a Scale stand in the object itself, so that they are sent along with the new one.
    track(
        of,
        Some(&old),
        &mut new,
        &Context { api_version: "autoscaling/v1", subresource: "scale", ..apps("hpa") },
    );
    scale::from_scale(&mut object, &new, "apps/v1", &["apps/v1"]);
    assert_eq!(
        owners(&object),
        [
            owner("one Apply", json!({"f:spec": {"f:paused": {}}})),
            owner("hpa Update", json!({"f:spec": {"f:replicas": {}}})),
        ]
    );
    assert_eq!(object["metadata"]["managedFields"][1]["subresource"], "scale");
}

#[test]
fn times_alone_are_no_change() {
    let old = created("one", json!({"a": "1"}));
    let mut new = old.clone();
    new["metadata"]["managedFields"][0]["time"] = LATER.into();
    settle(&old, &mut new);
    assert_eq!(new, old);
    new["metadata"]["managedFields"][0]["time"] = LATER.into();
    new["data"]["a"] = "2".into();
    settle(&old, &mut new);
    assert_eq!(new["metadata"]["managedFields"][0]["time"], LATER);
}

fn data() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", "[0-2]", 0..4).prop_map(|map| json!(map))
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(first in data(), second in data(), other in data()) {
        let force = |live: Option<&Value>, manager: &str, data: &Value| {
            let forced = Context { force: true, ..context(manager, NOW) };
            stored(config_map(), apply(config_map(), live, &map(data.clone()), &forced).unwrap())
        };
        let live = force(None, "one", &first);
        let live = force(Some(&live), "two", &other);
        let once = force(Some(&live), "one", &second);
        let twice = force(Some(&once), "one", &second);
        prop_assert_eq!(&twice, &once);
        // What is applied is there, and everything there is somebody's.
        let nothing = serde_json::Map::new();
        let there = once["data"].as_object().unwrap_or(&nothing);
        for (key, value) in second.as_object().unwrap() {
            prop_assert_eq!(there.get(key), Some(value));
        }
        for key in there.keys() {
            prop_assert!(second.get(key).is_some() || other.get(key).is_some(), "{} is nobody's", key);
        }
    }
}

#[test]
fn what_is_applied_as_empty_stays_when_its_content_goes() {
    let pod = schema::type_of("", "v1", "Pod").expect("in the table");
    let config = |empty_dir: Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"volumes": [{"name": "v", "emptyDir": empty_dir}]}})
    };
    let first =
        apply(pod, None, &config(json!({"medium": "Memory"})), &context("me", NOW)).expect("no conflict");
    let second = apply(pod, Some(&stored(pod, first)), &config(json!({})), &context("me", LATER))
        .expect("no conflict");
    assert_eq!(second["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
}
