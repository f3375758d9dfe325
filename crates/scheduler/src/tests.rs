//! Tables of cases for filters, scores, the cycle and the queue.

use std::sync::Arc;
use std::time::Duration;

use cox_env::Chance;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use crate::cycle::{Memory, cycle};
use crate::pod::PodInfo;
use crate::preempt;
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
    for node in nodes {
        snapshot.set_node(node);
    }
    pods.iter().for_each(|pod| snapshot.set_pod(pod));
    snapshot
}

/// Where a pod goes, or the text of why it doesn't.
fn place(pod: Arc<Pod>, snapshot: &Snapshot) -> String {
    let outcome = cycle(&PodInfo::new(pod), snapshot, &Chance::from_seed(1), &mut Memory::default(), None);
    outcome
        .result
        .unwrap_or_else(|failed| text::unschedulable(&failed, text::Preemption::Helpless, text::Claims::None))
}

#[test]
fn each_filter_refuses_in_upstreams_words() {
    let taint = json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}});
    let cases: Vec<(Node, Value, &str)> = vec![
        (
            node("a", json!({})),
            asks("3"),
            "1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        ),
        (
            node("a", json!({"spec": {"unschedulable": true}})),
            json!({}),
            "1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        ),
        (node("a", taint), json!({}), "1 node(s) had untolerated taint(s)"),
        (
            node("a", json!({})),
            json!({"spec": {"nodeSelector": {"disk": "ssd"}}}),
            "1 node(s) didn't match Pod's node affinity/selector",
        ),
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
    let tainted = node(
        "t",
        json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}, "metadata": {"labels": {"disk": "ssd"}}}),
    );
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
    let anti = alike(
        json!({"spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        [{"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}]}}}}),
    );
    let nodes = [node("a", json!({})), node("b", json!({}))];
    assert_eq!(place(pod("p", anti.clone()), &cluster(&nodes, &[pod("x", on("a"))])), "b");
    let full = cluster(&nodes, &[pod("x", on("a")), pod("y", on("b"))]);
    assert!(place(pod("p", anti), &full).contains("2 node(s) didn't match pod anti-affinity rules"));
    let spread = alike(
        json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}]}}),
    );
    assert_eq!(place(pod("p", spread), &cluster(&nodes, &[pod("x", on("a"))])), "b");
    let soft = alike(
        json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}]}}),
    );
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
    let info = |name: &str, priority: i32| {
        Arc::new(PodInfo::new(pod(name, json!({"spec": {"priority": priority}}))))
    };
    let mut queue = Queue::default();
    queue.add(info("low", 0));
    queue.add(info("high", 5));
    queue.add(info("late", 5));
    let order: Vec<String> = std::iter::from_fn(|| queue.pop().map(|pod| pod.name.clone())).collect();
    assert_eq!(order, ["high", "late", "low"]);
    let second = Duration::from_secs;
    queue.failed("low", second(10));
    assert!(queue.pop().is_none());
    queue.changed(second(10), |_| true);
    assert!(queue.pop().is_none(), "not before its back-off is over");
    assert_eq!(queue.tick(second(10)), Some(second(11)));
    queue.tick(second(11));
    assert_eq!(queue.pop().map(|pod| pod.name.clone()).as_deref(), Some("low"));
    queue.failed("low", second(11));
    assert_eq!(queue.tick(second(20)), Some(second(311)), "nothing changed: it waits for the flush");
    queue.remove("low");
    assert_eq!(queue.tick(second(400)), None);
}

fn prioritized(name: &str, priority: i32, cpu: &str, node: &str, labels: Value) -> Arc<Pod> {
    let mut extra = asks(cpu);
    merge(&mut extra, json!({"metadata": {"labels": labels}, "spec": {"priority": priority}}));
    if !node.is_empty() {
        merge(&mut extra, json!({"spec": {"nodeName": node}}));
    }
    pod(name, extra)
}

/// The node and the victims of a preemption, or the text of why there is none.
fn preempted(pod: &Arc<Pod>, snapshot: &mut Snapshot, budgets: &[Arc<PodDisruptionBudget>]) -> String {
    let info = PodInfo::new(pod.clone());
    let outcome = cycle(&info, snapshot, &Chance::from_seed(1), &mut Memory::default(), None);
    let failed = outcome.result.expect_err("no room");
    let choice = preempt::choose(&info, snapshot, &failed.helped_by_preemption, budgets);
    choice.map_or("nobody".into(), |choice| {
        let victims: Vec<&str> = choice.victims.iter().map(|victim| victim.name.as_str()).collect();
        format!("{}: {}", choice.node, victims.join(" "))
    })
}

#[test]
fn preemption_takes_as_few_and_as_unimportant_pods_as_it_can() {
    let nodes = [node("a", json!({})), node("b", json!({}))];
    let pods = [
        prioritized("a1", 5, "1", "a", json!({})),
        prioritized("a2", 3, "1", "a", json!({})),
        prioritized("b1", 4, "1", "b", json!({"app": "b"})),
        prioritized("b2", 1, "1", "b", json!({})),
    ];
    let mut snapshot = cluster(&nodes, &pods);
    assert_eq!(preempted(&prioritized("p", 9, "1", "", json!({})), &mut snapshot, &[]), "b: b2");
    assert_eq!(preempted(&prioritized("p", 9, "2", "", json!({})), &mut snapshot, &[]), "b: b1 b2");
    assert_eq!(preempted(&prioritized("p", 4, "2", "", json!({})), &mut snapshot, &[]), "nobody");
    assert_eq!(preempted(&prioritized("p", 1, "1", "", json!({})), &mut snapshot, &[]), "nobody");
    let budget: PodDisruptionBudget = serde_json::from_value(json!({"metadata": {"name": "b", "namespace": "n"},
        "spec": {"selector": {"matchLabels": {"app": "b"}}}, "status": {"disruptionsAllowed": 0, "currentHealthy": 1,
            "desiredHealthy": 1, "expectedPods": 1}}))
    .expect("a budget");
    let budgets = [Arc::new(budget)];
    assert_eq!(preempted(&prioritized("p", 9, "2", "", json!({})), &mut snapshot, &budgets), "a: a1 a2");
    // Nothing of that has changed what is where.
    assert_eq!(snapshot.at(0).pods.len() + snapshot.at(1).pods.len(), 4);
    assert_eq!(snapshot.at(0).used.cpu_milli, 2000);
}

#[test]
fn room_that_was_made_is_kept_for_who_made_it() {
    let mut snapshot = cluster(&[node("a", json!({}))], &[]);
    let high = Arc::new(PodInfo::new(prioritized("high", 9, "2", "", json!({}))));
    snapshot.nominate(&high, Some("a"));
    assert!(place(prioritized("low", 1, "1", "", json!({})), &snapshot).contains("1 Insufficient cpu"));
    assert_eq!(place(prioritized("higher", 10, "1", "", json!({})), &snapshot), "a");
    assert_eq!(place(prioritized("high", 9, "2", "", json!({})), &snapshot), "a");
}

#[test]
fn remembered_verdicts_follow_the_nodes() {
    let mut memory = Memory::default();
    let mut snapshot = cluster(&[node("a", json!({})), node("b", json!({}))], &[]);
    let mut places = Vec::new();
    for number in 0..5 {
        let info = Arc::new(PodInfo::new(pod(&format!("p{number}"), asks("1"))));
        match cycle(&info, &snapshot, &Chance::from_seed(number), &mut memory, None).result {
            Ok(node) => {
                snapshot.place(info, &node);
                places.push(node);
            }
            Err(failed) => places.push(format!("{:?}", failed.reasons)),
        }
    }
    let on = |node: &str| places.iter().filter(|place| *place == node).count();
    assert_eq!((on("a"), on("b")), (2, 2), "{places:?}");
    assert_eq!(places[4], r#"{"Insufficient cpu": 2}"#);
    snapshot.set_node(&node("b", json!({"status": {"allocatable": {"cpu": "4"}}})));
    let info = PodInfo::new(pod("p5", asks("1")));
    assert_eq!(cycle(&info, &snapshot, &Chance::from_seed(1), &mut memory, None).result.unwrap(), "b");
}

mod shell {
    use super::*;
    use crate::{Scheduler, SchedulerConfig};
    use cox_client::fake::FakeApi;
    use cox_env::Env;

    async fn started() -> (FakeApi, Env) {
        let env = Env::simulated(1, "2026-01-01T00:00:00Z".parse().unwrap());
        let api = FakeApi::new(env.clone());
        api.put(&node("a", json!({})));
        Scheduler::start(env.clone(), api.client(), SchedulerConfig::default());
        env.sleep(Duration::from_secs(1)).await;
        (api, env)
    }

    fn nodes(api: &FakeApi) -> Vec<String> {
        api.all::<Pod>()
            .iter()
            .map(|pod| {
                let node = pod.spec.as_ref().unwrap().node_name.clone().unwrap_or("-".into());
                format!("{}={node}", pod.metadata.name.as_deref().unwrap())
            })
            .collect()
    }

    fn events(api: &FakeApi) -> Vec<String> {
        let mut texts: Vec<String> = api
            .all::<k8s_openapi::api::core::v1::Event>()
            .into_iter()
            .map(|event| format!("{}: {}", event.reason.unwrap(), event.message.unwrap()))
            .collect();
        texts.sort();
        texts
    }

    #[tokio::test(start_paused = true)]
    async fn pods_are_bound_and_told_of() {
        let (api, env) = started().await;
        api.put(&*pod("p", asks("1")));
        api.put(&*pod("other", json!({"spec": {"schedulerName": "mine"}})));
        api.put(&*pod("gated", json!({"spec": {"schedulingGates": [{"name": "g"}]}})));
        env.sleep(Duration::from_secs(1)).await;
        assert_eq!(nodes(&api), ["gated=-", "other=-", "p=a"]);
        assert_eq!(events(&api), ["Scheduled: Successfully assigned n/p to a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn room_that_comes_free_is_used() {
        let (api, env) = started().await;
        api.put(&*pod("big", asks("2")));
        env.sleep(Duration::from_secs(1)).await;
        api.put(&*pod("small", asks("1")));
        env.sleep(Duration::from_secs(30)).await;
        assert_eq!(nodes(&api), ["big=a", "small=-"]);
        let told = api.one::<Pod>("n", "small").unwrap().status.unwrap().conditions.unwrap().remove(0);
        assert_eq!((told.type_.as_str(), told.reason.as_deref()), ("PodScheduled", Some("Unschedulable")));
        assert!(told.last_transition_time.is_some());
        api.writes();
        env.sleep(Duration::from_secs(100)).await;
        assert!(api.writes().is_empty(), "nothing is tried while nothing changes");
        api.remove::<Pod>("n", "big");
        env.sleep(Duration::from_secs(1)).await;
        assert_eq!(nodes(&api), ["small=a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_lost_counts_the_pod_once() {
        let (api, env) = started().await;
        let through = api.clone();
        // The bind happens, but its answer is an error.
        api.fault(move |request| {
            let bind = request.subresource.as_deref() == Some("binding");
            bind.then(|| {
                through.edit::<Pod>("n", "p", |pod| pod.spec.as_mut().unwrap().node_name = Some("a".into()));
                cox_api::Status::new(500, cox_api::Reason::InternalError, "lost")
            })
        });
        api.put(&*pod("p", asks("1500m")));
        env.sleep(Duration::from_secs(1)).await;
        api.heal();
        api.put(&*pod("q", asks("1")));
        env.sleep(Duration::from_secs(30)).await;
        assert_eq!(nodes(&api), ["p=a", "q=-"]);
    }

    #[tokio::test(start_paused = true)]
    async fn important_pods_send_others_away_and_get_their_place() {
        let (api, env) = started().await;
        api.put(&*prioritized("low", 1, "2", "", json!({})));
        env.sleep(Duration::from_secs(1)).await;
        api.put(&*prioritized("high", 9, "2", "", json!({})));
        env.sleep(Duration::from_secs(2)).await;
        let low = api.one::<Pod>("n", "low").unwrap();
        assert!(low.metadata.deletion_timestamp.is_some());
        let reasons: Vec<_> =
            low.status.unwrap().conditions.unwrap().into_iter().filter_map(|c| c.reason).collect();
        assert_eq!(reasons, ["PreemptionByScheduler"]);
        let high = api.one::<Pod>("n", "high").unwrap();
        assert_eq!(high.status.unwrap().nominated_node_name.as_deref(), Some("a"));
        // Somebody less important doesn't take the room.
        api.put(&*prioritized("late", 5, "2", "", json!({})));
        api.remove::<Pod>("n", "low");
        env.sleep(Duration::from_secs(15)).await;
        assert_eq!(nodes(&api), ["high=a", "late=-"]);
        assert!(events(&api).contains(&"Preempted: Preempted by pod high on node a".into()));
    }
}
