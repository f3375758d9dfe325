//! Tables of cases for filters, scores, the cycle and the queue.

use std::sync::Arc;
use std::time::Duration;

use cox_env::Chance;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use crate::cycle::cycle;
use crate::pod::PodInfo;
use crate::queue::Queue;
use crate::snapshot::Snapshot;
use crate::text;

fn node(name: &str, extra: Value) -> Node {
    let mut node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {}, "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "10"}}});
    merge(&mut node, extra);
    serde_json::from_value(node).expect("a node")
}

fn pod(name: &str, extra: Value) -> Arc<Pod> {
    let mut pod = json!({"metadata": {"name": name, "namespace": "n", "uid": name, "labels": {}}, "spec": {"containers": [{"name": "c"}]}});
    merge(&mut pod, extra);
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

fn merge(base: &mut Value, extra: Value) {
    match (base, extra) {
        (Value::Object(base), Value::Object(extra)) => {
            for (key, value) in extra {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, extra) => *base = extra,
    }
}

fn asks(cpu: &str) -> Value {
    json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}})
}

fn cluster(nodes: &[Node], pods: &[Arc<Pod>]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    nodes.iter().for_each(|node| snapshot.set_node(node));
    pods.iter().for_each(|pod| snapshot.set_pod(pod));
    snapshot
}

/// Where a pod goes, or the text of why it doesn't.
fn place(pod: Arc<Pod>, snapshot: &Snapshot) -> String {
    let outcome = cycle(&PodInfo::new(pod), snapshot, &Chance::from_seed(1));
    outcome.result.unwrap_or_else(|failed| text::unschedulable(&failed))
}

#[test]
fn each_filter_refuses_in_upstreams_words() {
    let taint = json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}});
    let cases: Vec<(Node, Value, &str)> = vec![
        (node("a", json!({})), asks("3"), "1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."),
        (node("a", json!({"spec": {"unschedulable": true}})), json!({}), "1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."),
        (node("a", taint), json!({}), "1 node(s) had untolerated taint(s)"),
        (node("a", json!({})), json!({"spec": {"nodeSelector": {"disk": "ssd"}}}), "1 node(s) didn't match Pod's node affinity/selector"),
        (node("a", json!({"status": {"allocatable": {"pods": "0"}}})), json!({}), "1 Too many pods"),
    ];
    for (node, extra, expected) in cases {
        let said = place(pod("p", extra), &cluster(&[node], &[]));
        assert!(said.starts_with(&format!("0/1 nodes are available: {expected}")), "{said}");
    }
    assert_eq!(place(pod("p", json!({})), &cluster(&[], &[])), "no nodes available to schedule pods");
}

#[test]
fn what_is_tolerated_or_selected_is_allowed() {
    let tainted = node("t", json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}, "metadata": {"labels": {"disk": "ssd"}}}));
    let tolerant = json!({"spec": {"tolerations": [{"key": "k", "operator": "Exists"}], "nodeSelector": {"disk": "ssd"}}});
    assert_eq!(place(pod("p", tolerant), &cluster(&[tainted, node("a", json!({}))], &[])), "t");
    let wanted = json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}}}}});
    assert_eq!(place(pod("p", wanted), &cluster(&[node("a", json!({})), node("b", json!({}))], &[])), "b");
}

#[test]
fn ports_and_pods_on_a_node_count() {
    let port = |host: i32| json!({"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": host}]}]}});
    let mut there = port(80);
    merge(&mut there, json!({"spec": {"nodeName": "a"}}));
    let snapshot = cluster(&[node("a", json!({})), node("b", json!({}))], &[pod("x", there)]);
    assert_eq!(place(pod("p", port(80)), &snapshot), "b");
    let mut big = asks("1500m");
    merge(&mut big, json!({"spec": {"nodeName": "b"}}));
    let snapshot = cluster(&[node("a", json!({})), node("b", json!({}))], &[pod("x", big)]);
    assert_eq!(place(pod("p", asks("1")), &snapshot), "a");
}

#[test]
fn anti_affinity_and_spread_keep_pods_apart() {
    let alike = |extra: Value| {
        let mut pod = json!({"metadata": {"labels": {"app": "w"}}});
        merge(&mut pod, extra);
        pod
    };
    let on = |node: &str| alike(json!({"spec": {"nodeName": node}}));
    let selector = json!({"matchLabels": {"app": "w"}});
    let anti = alike(json!({"spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        [{"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}]}}}}));
    let nodes = [node("a", json!({})), node("b", json!({}))];
    assert_eq!(place(pod("p", anti.clone()), &cluster(&nodes, &[pod("x", on("a"))])), "b");
    let full = cluster(&nodes, &[pod("x", on("a")), pod("y", on("b"))]);
    assert!(place(pod("p", anti), &full).contains("2 node(s) didn't match pod anti-affinity rules"));
    let spread = alike(json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}]}}));
    assert_eq!(place(pod("p", spread), &cluster(&nodes, &[pod("x", on("a"))])), "b");
    let soft = alike(json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}]}}));
    assert_eq!(place(pod("p", soft), &cluster(&nodes, &[pod("x", on("a"))])), "b");
}

#[test]
fn affinity_draws_pods_together_and_lets_the_first_begin() {
    let near = json!({"metadata": {"labels": {"app": "w"}}, "spec": {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "w"}}}]}}}});
    let nodes = [node("a", json!({})), node("b", json!({}))];
    assert!(["a", "b"].contains(&place(pod("p", near.clone()), &cluster(&nodes, &[])).as_str()));
    let there = pod("x", json!({"metadata": {"labels": {"app": "w"}}, "spec": {"nodeName": "b"}}));
    assert_eq!(place(pod("p", near), &cluster(&nodes, &[there])), "b");
}

#[test]
fn the_queue_orders_backs_off_and_wakes() {
    let info = |name: &str, priority: i32| Arc::new(PodInfo::new(pod(name, json!({"spec": {"priority": priority}}))));
    let mut queue = Queue::default();
    queue.add(info("low", 0));
    queue.add(info("high", 5));
    queue.add(info("late", 5));
    let order: Vec<String> = std::iter::from_fn(|| queue.pop().map(|pod| pod.name.clone())).collect();
    assert_eq!(order, ["high", "late", "low"]);
    let second = Duration::from_secs;
    queue.failed("low", second(10));
    assert!(queue.pop().is_none());
    queue.changed(second(10));
    assert!(queue.pop().is_none(), "not before its back-off is over");
    assert_eq!(queue.tick(second(10)), Some(second(11)));
    queue.tick(second(11));
    assert_eq!(queue.pop().map(|pod| pod.name.clone()).as_deref(), Some("low"));
    queue.failed("low", second(11));
    assert_eq!(queue.tick(second(20)), Some(second(311)), "nothing changed: it waits for the flush");
    queue.remove("low");
    assert_eq!(queue.tick(second(400)), None);
}
