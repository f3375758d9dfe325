use cox_client::fake::FakeApi;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::plan::node_of;
use super::run;
use crate::common::Context;
use crate::common::testing::{events, object, pass, world};

fn node(name: &str) -> Node {
    object(json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}}))
}

fn daemon(rolling: Value) -> DaemonSet {
    object(json!({"metadata": {"namespace": "ns", "name": "d"}, "spec": {
        "selector": {"matchLabels": {"app": "d"}}, "revisionHistoryLimit": 1,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
        "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}}}}))
}

async fn started(nodes: usize, rolling: Value) -> (FakeApi, Context) {
    let (api, context) = world();
    for number in 1..=nodes {
        api.put(&node(&format!("n{number}")));
    }
    api.put(&daemon(rolling));
    context.env.spawn(run(context.clone()));
    pass(&context, 1).await;
    (api, context)
}

/// Runs every pod where it belongs.
fn run_pods(api: &FakeApi, context: &Context) {
    let now = context.env.now();
    for pod in api.all::<Pod>() {
        let node = node_of(&pod).unwrap().to_owned();
        api.edit::<Pod>("ns", pod.metadata.name.as_deref().unwrap(), |pod| {
            pod.spec.as_mut().unwrap().node_name = Some(node);
            let status = pod.status.get_or_insert_default();
            status.phase = Some("Running".into());
            status.conditions = Some(vec![PodCondition {
                type_: "Ready".into(),
                status: "True".into(),
                last_transition_time: Some(Time(now)),
                ..PodCondition::default()
            }]);
        });
    }
}

fn images(api: &FakeApi) -> Vec<String> {
    let mut images: Vec<String> = api
        .all::<Pod>()
        .iter()
        .map(|pod| {
            let image = pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap();
            format!("{}={image}", node_of(pod).unwrap())
        })
        .collect();
    images.sort();
    images
}

fn set_image(api: &FakeApi, image: &str) {
    api.edit::<DaemonSet>("ns", "d", |set| {
        set.spec.as_mut().unwrap().template.spec.as_mut().unwrap().containers[0].image = Some(image.into());
    });
}

#[tokio::test(start_paused = true)]
async fn one_pod_on_every_node_that_fits() {
    let (api, context) = started(2, json!({"maxUnavailable": 1})).await;
    assert_eq!(images(&api), ["n1=a", "n2=a"]);
    let mut tainted = node("n3");
    tainted.spec.get_or_insert_default().taints =
        Some(vec![Taint { key: "k".into(), effect: "NoSchedule".into(), ..Taint::default() }]);
    api.put(&tainted);
    api.put(&node("n4"));
    pass(&context, 1).await;
    assert_eq!(images(&api), ["n1=a", "n2=a", "n4=a"]);
    run_pods(&api, &context);
    pass(&context, 1).await;
    let status = api.one::<DaemonSet>("ns", "d").unwrap().status.unwrap();
    assert_eq!(
        (status.desired_number_scheduled, status.number_ready, status.number_available),
        (3, 3, Some(3))
    );
    assert_eq!(status.updated_number_scheduled, Some(3));
    // A taint that evicts takes the pod away.
    api.edit::<Node>("", "n1", |node| {
        let taint = Taint { key: "k".into(), effect: "NoExecute".into(), ..Taint::default() };
        node.spec.get_or_insert_default().taints = Some(vec![taint]);
    });
    pass(&context, 1).await;
    let gone: Vec<Pod> =
        api.all::<Pod>().into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()).collect();
    assert_eq!(gone.len(), 1);
    assert_eq!(node_of(&gone[0]), Some("n1"));
}

#[tokio::test(start_paused = true)]
async fn failed_pods_are_replaced() {
    let (api, context) = started(1, json!({"maxUnavailable": 1})).await;
    let name = api.all::<Pod>()[0].metadata.name.clone().unwrap();
    api.edit::<Pod>("ns", &name, |pod| pod.status.get_or_insert_default().phase = Some("Failed".into()));
    pass(&context, 5).await;
    let pods = api.all::<Pod>();
    assert_eq!(pods.len(), 1);
    assert_ne!(pods[0].metadata.name.as_ref(), Some(&name));
    let message =
        format!("FailedDaemonPod: Found failed daemon pod ns/{name} on node n1, will try to kill it");
    assert!(events(&api).contains(&message));
}

#[tokio::test(start_paused = true)]
async fn updates_go_node_by_node_and_history_is_kept() {
    let (api, context) = started(3, json!({"maxUnavailable": 1})).await;
    run_pods(&api, &context);
    pass(&context, 1).await;
    for image in ["b", "c", "d"] {
        set_image(&api, image);
        for _ in 0..20 {
            pass(&context, 1).await;
            let dying: Vec<Pod> = api
                .all::<Pod>()
                .into_iter()
                .filter(|pod| pod.metadata.deletion_timestamp.is_some())
                .collect();
            assert!(dying.len() <= 1, "more than one node is without its pod");
            for pod in dying {
                api.remove::<Pod>("ns", pod.metadata.name.as_deref().unwrap());
            }
            pass(&context, 1).await;
            run_pods(&api, &context);
        }
        let expected: Vec<String> = (1..=3).map(|node| format!("n{node}={image}")).collect();
        assert_eq!(images(&api), expected);
    }
    let mut revisions: Vec<i64> = api.all::<ControllerRevision>().iter().map(|r| r.revision).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [3, 4]);
}

#[tokio::test(start_paused = true)]
async fn surging_updates_start_the_new_pod_first() {
    let (api, context) = started(2, json!({"maxSurge": 1, "maxUnavailable": 0})).await;
    run_pods(&api, &context);
    pass(&context, 1).await;
    set_image(&api, "b");
    pass(&context, 2).await;
    assert_eq!(images(&api).len(), 3, "one node has both");
    for _ in 0..10 {
        run_pods(&api, &context);
        pass(&context, 1).await;
        for pod in api.all::<Pod>().iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()) {
            api.remove::<Pod>("ns", pod.metadata.name.as_deref().unwrap());
        }
        pass(&context, 1).await;
        assert!(images(&api).len() >= 2);
    }
    assert_eq!(images(&api), ["n1=b", "n2=b"]);
}
