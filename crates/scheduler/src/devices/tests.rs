//! Tables of cases for allocation, and one pod all the way.

use std::sync::Arc;

use cox_env::Chance;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceSlice};
use serde_json::{Value, json};

use super::{Devices, Plan};
use crate::node::NodeInfo;

fn of<T: cox_client::Kind>(value: Value) -> T {
    serde_json::from_value(value).expect("the value fits the type")
}

fn node(name: &str) -> NodeInfo {
    let mut info = NodeInfo::default();
    let labels = json!({"kubernetes.io/hostname": name, "zone": "z1"});
    info.set(&of::<Node>(json!({"metadata": {"name": name, "labels": labels}})));
    info
}

/// Devices of driver `d` on a node, as (name, attributes and more).
fn slice(node: &str, devices: &[(&str, Value)]) -> Value {
    let devices: Vec<Value> = devices
        .iter()
        .map(|(name, more)| {
            let mut device = json!({"name": name});
            device.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            device
        })
        .collect();
    json!({"metadata": {"name": node}, "spec": {"driver": "d", "nodeName": node,
        "pool": {"name": node, "generation": 1, "resourceSliceCount": 1}, "devices": devices}})
}

fn model(name: &str) -> Value {
    json!({"attributes": {"model": {"string": name}}})
}

struct World {
    devices: Devices,
    claims: Vec<Arc<ResourceClaim>>,
}

impl World {
    fn new(slices: impl IntoIterator<Item = Value>) -> World {
        let mut devices = Devices::default();
        let class =
            |name: &str, spec: Value| of::<DeviceClass>(json!({"metadata": {"name": name}, "spec": spec}));
        let opaque = json!([{"opaque": {"driver": "d", "parameters": {"of": "class"}}}]);
        devices.set_class("any", Some(Arc::new(class("any", json!({})))));
        let selectors = json!([{"cel": {"expression": "device.attributes['d'].model == 'big'"}}]);
        devices.set_class(
            "big",
            Some(Arc::new(class("big", json!({"selectors": selectors, "config": opaque})))),
        );
        for slice in slices {
            let slice: ResourceSlice = of(slice);
            let name = slice.metadata.name.clone().unwrap();
            devices.set_slice(&name, Some(Arc::new(slice)));
        }
        World { devices, claims: Vec::new() }
    }

    fn claim(mut self, name: &str, devices: Value, status: Value) -> World {
        self.claims.push(Arc::new(of(json!({"metadata": {"namespace": "n", "name": name, "uid": name},
            "spec": {"devices": devices}, "status": status}))));
        self
    }

    fn plan(&mut self, claims: &[&str]) -> Result<Option<Plan>, String> {
        let entries: Vec<Value> =
            claims.iter().map(|name| json!({"name": name, "resourceClaimName": name})).collect();
        let pod: Pod = of(json!({"metadata": {"namespace": "n", "name": "p", "uid": "p"},
            "spec": {"containers": [], "resourceClaims": entries}}));
        let known = self.claims.clone();
        let find =
            |name: &str| known.iter().find(|claim| claim.metadata.name.as_deref() == Some(name)).cloned();
        self.devices.plan(&pod, find, || known.clone())
    }

    /// The devices of each request on node `a`, or why there are none.
    fn given(&mut self, claims: &[&str]) -> Result<Vec<String>, String> {
        let plan = self.plan(claims)?.expect("a plan");
        plan.check(&node("a")).map_err(|reasons| reasons.join(", "))?;
        let grants = plan.grants(&node("a"), jiff::Timestamp::UNIX_EPOCH, &Chance::from_seed(1));
        let results = grants.into_iter().flat_map(|grant| {
            let devices = grant.allocation.and_then(|allocation| allocation.devices);
            devices.and_then(|devices| devices.results).unwrap_or_default()
        });
        Ok(results.map(|result| format!("{}={}", result.request, result.device)).collect())
    }
}

fn exactly(name: &str, class: &str, more: Value) -> Value {
    let mut exactly = json!({"deviceClassName": class, "allocationMode": "ExactCount", "count": 1});
    exactly.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"name": name, "exactly": exactly})
}

fn all_of(name: &str, class: &str, more: Value) -> Value {
    let mut request = exactly(name, class, more);
    request["exactly"]["allocationMode"] = "All".into();
    request["exactly"]["count"] = 0.into();
    request
}

fn in_use(device: &str) -> Value {
    json!({"allocation": {"devices": {"results": [{"request": "r", "driver": "d", "pool": "a", "device": device}]}},
        "reservedFor": [{"resource": "pods", "name": "x", "uid": "x"}]})
}

const NONE: Result<&[&str], &str> = Err("cannot allocate all claims");

#[test]
fn requests_are_fulfilled_by_what_is_free() {
    let devices = [("g0", model("small")), ("g1", model("big")), ("g2", model("big"))];
    let small_or_big = json!({"name": "r", "firstAvailable": [
        {"name": "four", "deviceClassName": "big", "allocationMode": "ExactCount", "count": 4},
        {"name": "two", "deviceClassName": "big", "allocationMode": "ExactCount", "count": 2}]});
    let expression = |text: &str| json!({"selectors": [{"cel": {"expression": text}}]});
    let tolerant = json!({"tolerations": [{"key": "k", "operator": "Exists"}]});
    for (requests, used, expected) in [
        (json!([exactly("r", "any", json!({}))]), None, Ok(&["r=g0"][..])),
        (json!([exactly("r", "any", json!({}))]), Some("g0"), Ok(&["r=g1"])),
        (json!([exactly("r", "big", json!({"count": 2}))]), None, Ok(&["r=g1", "r=g2"])),
        (json!([exactly("r", "big", json!({"count": 2}))]), Some("g2"), NONE),
        // The first request takes what only it can do without.
        (
            json!([
                exactly("a", "any", json!({"count": 1})),
                exactly("b", "any", expression("device.attributes['d'].model == 'small'"))
            ]),
            None,
            Ok(&["a=g1", "b=g0"]),
        ),
        (json!([all_of("r", "big", json!({}))]), None, Ok(&["r=g1", "r=g2"])),
        (json!([all_of("r", "big", json!({}))]), Some("g1"), NONE),
        (json!([all_of("r", "any", expression("device.driver == 'other'"))]), None, NONE),
        (json!([all_of("r", "big", json!({"adminAccess": true}))]), Some("g1"), Ok(&["r=g1", "r=g2"])),
        (json!([small_or_big]), None, Ok(&["r/two=g1", "r/two=g2"])),
        (
            json!([exactly("r", "any", expression("device.attributes['d'].size > 1"))]),
            None,
            Err("claim n/c: selector #0: CEL runtime error: no such key: size"),
        ),
        (json!([exactly("r", "none", json!({}))]), None, Err("request r: device class none does not exist")),
        (json!([exactly("r", "any", tolerant)]), None, Ok(&["r=g0"])),
        (json!([]), None, Ok(&[])),
    ] {
        let mut world =
            World::new([slice("a", &devices)]).claim("c", json!({"requests": requests}), json!({}));
        if let Some(device) = used {
            world = world.claim("other", json!({}), in_use(device));
        }
        let expected = expected
            .map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            .map_err(str::to_owned);
        assert_eq!(world.given(&["c"]), expected, "{requests} {used:?}");
    }
}

#[test]
fn claims_of_one_pod_share_no_device() {
    let one = json!({"requests": [exactly("r", "any", json!({}))]});
    let mut world = World::new([slice("a", &[("g0", model("x"))])])
        .claim("c1", one.clone(), json!({}))
        .claim("c2", one.clone(), json!({}));
    assert_eq!(world.given(&["c1"]).unwrap(), ["r=g0"]);
    assert_eq!(world.given(&["c1", "c2"]).unwrap_err(), "cannot allocate all claims");
    // What was promised to one that isn't written yet is gone, too.
    let plan = world.plan(&["c1"]).unwrap().unwrap();
    let grants = plan.grants(&node("a"), jiff::Timestamp::UNIX_EPOCH, &Chance::from_seed(1));
    world.devices.promise("c1", grants[0].allocation.clone().unwrap());
    assert_eq!(world.given(&["c2"]).unwrap_err(), "cannot allocate all claims");
    assert_eq!(world.given(&["c1"]).unwrap_err(), "resource claim n/c1 is in the process of being allocated");
    world.devices.settle("c1");
    assert_eq!(world.given(&["c2"]).unwrap(), ["r=g0"]);
}

#[test]
fn constraints_keep_devices_together_or_apart() {
    let numa = |node: i64| json!({"attributes": {"numa": {"int": node}, "std.io/bus": {"string": format!("b{node}")}}});
    let devices = [("g0", numa(0)), ("g1", numa(1)), ("g2", numa(1)), ("g3", json!({}))];
    for (constraint, expected) in [
        (json!({"requests": ["r"], "matchAttribute": "d/numa"}), Ok(vec!["r=g1", "r=g2"])),
        (json!({"matchAttribute": "std.io/bus"}), Ok(vec!["r=g1", "r=g2"])),
        (json!({"distinctAttribute": "d/numa"}), Ok(vec!["r=g0", "r=g1"])),
        (json!({"matchAttribute": "d/none"}), Err("cannot allocate all claims".to_owned())),
        (json!({"requests": ["other"], "matchAttribute": "d/none"}), Ok(vec!["r=g0", "r=g1"])),
    ] {
        let claim =
            json!({"requests": [exactly("r", "any", json!({"count": 2}))], "constraints": [constraint]});
        let mut world = World::new([slice("a", &devices)]).claim("c", claim, json!({}));
        let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(world.given(&["c"]), expected, "{constraint}");
    }
}

#[test]
fn devices_are_where_their_nodes_are() {
    let with = |nodes: Value| {
        let mut slice = slice("a", &[("g0", json!({}))]);
        slice["spec"].as_object_mut().unwrap().remove("nodeName");
        slice["spec"].as_object_mut().unwrap().extend(nodes.as_object().unwrap().clone());
        slice
    };
    let zone = |zone: &str| {
        json!({"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "zone", "operator": "In", "values": [zone]}]}]}})
    };
    let named = json!({"nodeSelectorTerms": [{"matchFields": [
        {"key": "metadata.name", "operator": "In", "values": ["a"]}]}]});
    for (nodes, expected) in [
        (json!({"nodeName": "a"}), Some(named)),
        (json!({"nodeName": "b"}), None),
        (json!({"allNodes": true}), Some(Value::Null)),
        (zone("z1"), Some(zone("z1")["nodeSelector"].clone())),
        (zone("z2"), None),
    ] {
        let claim = json!({"requests": [exactly("r", "any", json!({}))]});
        let mut world = World::new([with(nodes.clone())]).claim("c", claim, json!({}));
        let plan = world.plan(&["c"]).unwrap().unwrap();
        assert_eq!(plan.check(&node("a")).is_ok(), expected.is_some(), "{nodes}");
        if let Some(expected) = expected {
            let grants = plan.grants(&node("a"), jiff::Timestamp::UNIX_EPOCH, &Chance::from_seed(1));
            let found = grants[0].allocation.clone().unwrap().node_selector;
            assert_eq!(serde_json::to_value(found).unwrap(), expected, "{nodes}");
        }
    }
}

#[test]
fn pools_count_by_their_newest_generation() {
    let claim = |request: Value| json!({"requests": [request]});
    let mut old = slice("old", &[("gone", json!({}))]);
    old["spec"]["nodeName"] = "a".into();
    old["spec"]["pool"] = json!({"name": "a", "generation": 0, "resourceSliceCount": 1});
    let mut half = slice("a", &[("g0", json!({}))]);
    half["spec"]["pool"]["resourceSliceCount"] = 2.into();
    let one = claim(exactly("r", "any", json!({})));
    let every = claim(all_of("r", "any", json!({})));
    let mut world =
        World::new([old, half]).claim("one", one.clone(), json!({})).claim("all", every, json!({}));
    assert_eq!(world.given(&["one"]).unwrap(), ["r=g0"]);
    assert_eq!(
        world.given(&["all"]).unwrap_err(),
        "claim n/all, request r: asks for all devices, but resource pool d/a is currently being updated"
    );
    let twice = slice("a", &[("g0", json!({})), ("g0", json!({}))]);
    let mut world = World::new([twice]).claim("one", one, json!({}));
    assert_eq!(world.given(&["one"]).unwrap_err(), "pool d/a is invalid: duplicate device name g0");
}

#[test]
fn tainted_devices_are_for_those_who_tolerate_it() {
    let tainted = |effect: &str| json!({"taints": [{"key": "k", "value": "v", "effect": effect}]});
    let tolerate = |toleration: Value| json!({"tolerations": [toleration]});
    for (effect, asked, free) in [
        ("NoSchedule", json!({}), false),
        ("NoExecute", json!({}), false),
        ("None", json!({}), true),
        ("NoSchedule", tolerate(json!({"operator": "Exists"})), true),
        ("NoSchedule", tolerate(json!({"key": "k", "operator": "Equal", "value": "v"})), true),
        ("NoSchedule", tolerate(json!({"key": "k", "operator": "Equal", "value": "w"})), false),
        ("NoSchedule", tolerate(json!({"key": "k", "operator": "Exists", "effect": "NoExecute"})), false),
    ] {
        let claim = json!({"requests": [exactly("r", "any", asked.clone())]});
        let mut world = World::new([slice("a", &[("g0", tainted(effect))])]).claim("c", claim, json!({}));
        assert_eq!(world.given(&["c"]).is_ok(), free, "{effect} {asked}");
    }
}

#[test]
fn devices_that_wait_for_conditions_are_left_alone() {
    let waits = json!({"bindingConditions": ["a"], "bindingFailureConditions": ["b"]});
    let claim = json!({"requests": [exactly("r", "any", json!({}))]});
    let mut world =
        World::new([slice("a", &[("g0", waits), ("g1", json!({}))])]).claim("c", claim, json!({}));
    assert_eq!(world.given(&["c"]).unwrap(), ["r=g1"]);
}

#[test]
fn shared_devices_have_a_capacity() {
    let shared = json!({"allowMultipleAllocations": true, "capacity": {"mem": {"value": "10",
        "requestPolicy": {"default": "2", "validRange": {"min": "2", "step": "2"}}}}});
    let asks = |mem: &str| json!({"requests": [exactly("r", "any", json!({"capacity": {"requests": {"mem": mem}}}))]});
    let taken = |mem: &str| {
        json!({"allocation": {"devices": {"results": [{"request": "r", "driver": "d", "pool": "a", "device": "g0",
            "shareID": "s", "consumedCapacity": {"mem": mem}}]}}})
    };
    for (asked, used, expected) in [
        (asks("3"), "0", Some("4")),
        (asks("3"), "6", Some("4")),
        (asks("3"), "8", None),
        (asks("11"), "0", None),
        (json!({"requests": [exactly("r", "any", json!({}))]}), "8", Some("2")),
        (
            json!({"requests": [exactly("r", "any", json!({"capacity": {"requests": {"other": "1"}}}))]}),
            "0",
            None,
        ),
    ] {
        let mut world = World::new([slice("a", &[("g0", shared.clone())])])
            .claim("c", asked.clone(), json!({}))
            .claim("other", json!({}), taken(used));
        let plan = world.plan(&["c"]).unwrap().unwrap();
        assert_eq!(plan.check(&node("a")).is_ok(), expected.is_some(), "{asked} {used}");
        if let Some(expected) = expected {
            let grants = plan.grants(&node("a"), jiff::Timestamp::UNIX_EPOCH, &Chance::from_seed(1));
            let allocation = serde_json::to_value(&grants[0].allocation).unwrap();
            let result = &allocation["devices"]["results"][0];
            assert_eq!(result["consumedCapacity"], json!({"mem": expected}), "{asked} {used}");
            assert!(result["shareID"].is_string());
        }
    }
}

#[test]
fn parts_of_a_device_draw_on_what_it_has() {
    let draws =
        |mem: &str| json!({"consumesCounters": [{"counterSet": "gpu", "counters": {"mem": {"value": mem}}}]});
    let mut parts = slice("a", &[("half0", draws("20")), ("half1", draws("20")), ("whole", draws("40"))]);
    parts["spec"]["pool"]["resourceSliceCount"] = 2.into();
    let mut counters = slice("counters", &[]);
    counters["spec"] = json!({"driver": "d", "nodeName": "a",
        "pool": {"name": "a", "generation": 1, "resourceSliceCount": 2},
        "sharedCounters": [{"name": "gpu", "counters": {"mem": {"value": "40"}}}]});
    for (count, used, expected) in [
        (1, None, Ok(vec!["r=half0"])),
        (2, None, Ok(vec!["r=half0", "r=half1"])),
        (3, None, Err("cannot allocate all claims".to_owned())),
        (1, Some("half0"), Ok(vec!["r=half1"])),
        (1, Some("whole"), Err("cannot allocate all claims".to_owned())),
    ] {
        let claim = json!({"requests": [exactly("r", "any", json!({"count": count}))]});
        let mut world = World::new([parts.clone(), counters.clone()]).claim("c", claim, json!({}));
        if let Some(device) = used {
            world = world.claim("other", json!({}), in_use(device));
        }
        let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(world.given(&["c"]), expected, "{count} {used:?}");
    }
}

#[test]
fn a_claim_that_was_given_devices_binds_the_pod_to_their_nodes() {
    let mut given = in_use("g0");
    given["allocation"]["nodeSelector"] = json!({"nodeSelectorTerms": [{"matchFields": [
        {"key": "metadata.name", "operator": "In", "values": ["a"]}]}]});
    let mut idle = given.clone();
    idle["reservedFor"] = json!([]);
    let mut world = World::new([]).claim("used", json!({}), given).claim("idle", json!({}), idle);
    let plan = world.plan(&["used"]).unwrap().unwrap();
    assert!(plan.check(&node("a")).is_ok());
    assert_eq!(plan.check(&node("b")).unwrap_err(), ["resourceclaim not available on the node"]);
    let pod: Pod = of(json!({"metadata": {"uid": "p"}}));
    let (a, b) = (node("a"), node("b"));
    assert!(plan.returnable(&pod, [&a, &b].into_iter()).is_none(), "somebody uses it");
    let plan = world.plan(&["idle"]).unwrap().unwrap();
    assert!(plan.returnable(&pod, [&a].into_iter()).is_none(), "it keeps the pod from no node");
    assert!(plan.returnable(&pod, [&a, &b].into_iter()).is_some());
}

#[test]
fn drivers_get_the_parameters_of_class_and_claim() {
    let opaque = |of: &str| json!({"driver": "d", "parameters": {"of": of}});
    let claim = json!({"requests": [exactly("r", "big", json!({})), exactly("s", "any", json!({}))], "config": [
        {"opaque": opaque("all")}, {"requests": ["s"], "opaque": opaque("s")}]});
    let mut world =
        World::new([slice("a", &[("g0", model("big")), ("g1", model("x"))])]).claim("c", claim, json!({}));
    let plan = world.plan(&["c"]).unwrap().unwrap();
    let grants = plan.grants(&node("a"), jiff::Timestamp::UNIX_EPOCH, &Chance::from_seed(1));
    let allocation = serde_json::to_value(&grants[0].allocation).unwrap();
    assert_eq!(
        allocation["devices"]["config"],
        json!([{"source": "FromClass", "requests": ["r"], "opaque": opaque("class")},
            {"source": "FromClaim", "opaque": opaque("all")},
            {"source": "FromClaim", "requests": ["s"], "opaque": opaque("s")}])
    );
    assert_eq!(allocation["allocationTimestamp"], "1970-01-01T00:00:00Z");
}

#[test]
fn what_is_missing_is_named() {
    let mut world = World::new([]);
    assert_eq!(world.plan(&["none"]).unwrap_err(), "resourceclaim \"none\" not found");
    let pod: Pod = of(json!({"metadata": {"namespace": "n", "name": "p"}, "spec": {"containers": [],
        "resourceClaims": [{"name": "c", "resourceClaimTemplateName": "t"}]}}));
    assert_eq!(
        world.devices.plan(&pod, |_| None, Vec::new).unwrap_err(),
        "waiting for resource claim controller to create the resourceclaim for pod n/p"
    );
    let plain: Pod = of(json!({"spec": {"containers": []}}));
    assert!(world.devices.plan(&plain, |_| None, Vec::new).unwrap().is_none());
}

mod shell {
    use std::time::Duration;

    use cox_client::fake::FakeApi;
    use cox_env::Env;

    use super::*;
    use crate::{Scheduler, SchedulerConfig};

    fn pod(name: &str) -> Pod {
        of(json!({"metadata": {"namespace": "n", "name": name, "uid": name}, "spec": {"containers": [],
            "resourceClaims": [{"name": "c", "resourceClaimName": name}]}, "status": {"phase": "Pending"}}))
    }

    fn claim(name: &str) -> ResourceClaim {
        of(json!({"metadata": {"namespace": "n", "name": name, "uid": format!("claim-{name}")},
            "spec": {"devices": {"requests": [exactly("r", "any", json!({}))]}}}))
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_is_bound_with_its_devices() {
        let env = Env::simulated(1, "2026-01-01T00:00:00Z".parse().unwrap());
        let api = FakeApi::new(env.clone());
        api.put::<Node>(&of(
            json!({"metadata": {"name": "a", "uid": "a"}, "status": {"allocatable": {"pods": "9"}}}),
        ));
        api.put::<DeviceClass>(&of(json!({"metadata": {"name": "any", "uid": "any"}, "spec": {}})));
        let mut devices = slice("a", &[("g0", json!({}))]);
        devices["metadata"]["uid"] = "s".into();
        api.put::<ResourceSlice>(&of(devices));
        api.put(&pod("p"));
        Scheduler::start(env.clone(), api.client(), SchedulerConfig::default());
        env.sleep(Duration::from_secs(2)).await;
        let node = |name: &str| api.one::<Pod>("n", name).unwrap().spec.unwrap().node_name;
        assert_eq!(node("p"), None, "its claim isn't there");
        api.put(&claim("p"));
        env.sleep(Duration::from_secs(2)).await;
        assert_eq!(node("p").as_deref(), Some("a"));
        let given = serde_json::to_value(api.one::<ResourceClaim>("n", "p").unwrap()).unwrap();
        assert_eq!(given["metadata"]["finalizers"], json!(["resource.kubernetes.io/delete-protection"]));
        assert_eq!(given["status"]["reservedFor"], json!([{"resource": "pods", "name": "p", "uid": "p"}]));
        assert_eq!(given["status"]["allocation"]["devices"]["results"][0]["device"], "g0");

        // There is no second device, until the first is given back.
        api.put(&claim("q"));
        api.put(&pod("q"));
        env.sleep(Duration::from_secs(2)).await;
        assert_eq!(node("q"), None);
        let conditions = api.one::<Pod>("n", "q").unwrap().status.unwrap().conditions.unwrap();
        let message = conditions[0].message.clone().unwrap();
        assert_eq!(
            message,
            "0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        );
        api.remove::<ResourceClaim>("n", "p");
        env.sleep(Duration::from_secs(10)).await;
        assert_eq!(node("q").as_deref(), Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_devices_elsewhere_are_given_back() {
        let env = Env::simulated(1, "2026-01-01T00:00:00Z".parse().unwrap());
        let api = FakeApi::new(env.clone());
        for (name, more) in [("a", json!({"unschedulable": true})), ("b", json!({}))] {
            api.put::<Node>(&of(json!({"metadata": {"name": name, "uid": name}, "spec": more,
                "status": {"allocatable": {"pods": "9"}}})));
            let mut devices = slice(name, &[("g0", json!({}))]);
            devices["metadata"]["uid"] = format!("slice-{name}").into();
            api.put::<ResourceSlice>(&of(devices));
        }
        api.put::<DeviceClass>(&of(json!({"metadata": {"name": "any", "uid": "any"}, "spec": {}})));
        let mut stuck = serde_json::to_value(claim("p")).unwrap();
        let mut status = in_use("g0");
        status["reservedFor"] = json!([]);
        status["allocation"]["nodeSelector"] = json!({"nodeSelectorTerms": [{"matchFields": [
            {"key": "metadata.name", "operator": "In", "values": ["a"]}]}]});
        stuck["status"] = status;
        api.put::<ResourceClaim>(&of(stuck));
        api.put(&pod("p"));
        Scheduler::start(env.clone(), api.client(), SchedulerConfig::default());
        env.sleep(Duration::from_secs(20)).await;
        assert_eq!(api.one::<Pod>("n", "p").unwrap().spec.unwrap().node_name.as_deref(), Some("b"));
    }
}
