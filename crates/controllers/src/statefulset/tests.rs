use cox_client::fake::FakeApi;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::run;
use crate::common::Context;
use crate::common::testing::{events, object, pass, world};

fn set(replicas: i32, more: Value) -> StatefulSet {
    let mut spec = json!({"replicas": replicas, "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}}, "revisionHistoryLimit": 1,
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}}});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    object(json!({"metadata": {"namespace": "ns", "name": "db"}, "spec": spec}))
}

async fn started(replicas: i32, more: Value) -> (FakeApi, Context) {
    let (api, context) = world();
    api.put(&set(replicas, more));
    context.env.spawn(run(context.clone()));
    pass(&context, 1).await;
    (api, context)
}

fn names(api: &FakeApi) -> Vec<String> {
    api.all::<Pod>().iter().map(|pod| pod.metadata.name.clone().unwrap()).collect()
}

fn make_ready(api: &FakeApi, context: &Context, name: &str) {
    let now = context.env.now();
    api.edit::<Pod>("ns", name, |pod| {
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

async fn all_ready(api: &FakeApi, context: &Context) {
    for _ in 0..10 {
        for name in names(api) {
            make_ready(api, context, &name);
        }
        pass(context, 1).await;
    }
}

fn images(api: &FakeApi) -> Vec<String> {
    let image = |pod: &Pod| pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap();
    api.all::<Pod>().iter().map(image).collect()
}

fn set_image(api: &FakeApi, image: &str) {
    api.edit::<StatefulSet>("ns", "db", |set| {
        set.spec.as_mut().unwrap().template.spec.as_mut().unwrap().containers[0].image = Some(image.into());
    });
}

#[tokio::test(start_paused = true)]
async fn pods_come_one_after_another_with_name_and_claim() {
    let claims = json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]});
    let (api, context) = started(3, claims).await;
    assert_eq!(names(&api), ["db-0"]);
    pass(&context, 30).await;
    assert_eq!(names(&api), ["db-0"], "the next one waits for the first to be ready");
    make_ready(&api, &context, "db-0");
    pass(&context, 1).await;
    assert_eq!(names(&api), ["db-0", "db-1"]);
    all_ready(&api, &context).await;
    assert_eq!(names(&api), ["db-0", "db-1", "db-2"]);
    let pod = api.one::<Pod>("ns", "db-1").unwrap();
    let labels = pod.metadata.labels.unwrap();
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "db-1");
    assert_eq!(labels["apps.kubernetes.io/pod-index"], "1");
    let spec = pod.spec.unwrap();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("db-1"), Some("db")));
    let volume = &spec.volumes.unwrap()[0];
    assert_eq!(volume.persistent_volume_claim.as_ref().unwrap().claim_name, "data-db-1");
    assert_eq!(api.all::<PersistentVolumeClaim>().len(), 3);
    let status = api.one::<StatefulSet>("ns", "db").unwrap().status.unwrap();
    assert_eq!((status.replicas, status.ready_replicas, status.updated_replicas), (3, Some(3), Some(3)));
    assert_eq!(status.current_revision, status.update_revision);
    assert!(events(&api).contains(&"SuccessfulCreate: create Pod db-0 in StatefulSet db successful".into()));
}

#[tokio::test(start_paused = true)]
async fn scaling_down_goes_from_the_last_one() {
    let (api, context) = started(3, json!({})).await;
    all_ready(&api, &context).await;
    for name in names(&api) {
        api.edit::<Pod>("ns", &name, |pod| pod.spec.as_mut().unwrap().node_name = Some("n1".into()));
    }
    api.edit::<StatefulSet>("ns", "db", |set| set.spec.as_mut().unwrap().replicas = Some(1));
    pass(&context, 5).await;
    let dying = |api: &FakeApi| -> Vec<String> {
        let pods = api.all::<Pod>().into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_some());
        pods.map(|pod| pod.metadata.name.unwrap()).collect()
    };
    assert_eq!(dying(&api), ["db-2"], "one at a time");
    api.remove::<Pod>("ns", "db-2");
    pass(&context, 5).await;
    assert_eq!(dying(&api), ["db-1"]);
    api.remove::<Pod>("ns", "db-1");
    pass(&context, 5).await;
    assert_eq!((names(&api), dying(&api)), (vec!["db-0".to_owned()], vec![]));
}

#[tokio::test(start_paused = true)]
async fn updates_go_from_the_last_to_the_partition() {
    let partition =
        |n: i32| json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": n}}});
    let (api, context) = started(3, partition(1)).await;
    all_ready(&api, &context).await;
    set_image(&api, "b");
    pass(&context, 1).await;
    assert_eq!(images(&api), ["a", "a", "b"], "the last one first");
    pass(&context, 30).await;
    assert_eq!(images(&api), ["a", "a", "b"], "and nobody else before it is ready");
    all_ready(&api, &context).await;
    assert_eq!(images(&api), ["a", "b", "b"]);
    // Below the partition pods come back as they were.
    api.remove::<Pod>("ns", "db-0");
    pass(&context, 1).await;
    assert_eq!(images(&api), ["a", "b", "b"]);
    let status = api.one::<StatefulSet>("ns", "db").unwrap().status.unwrap();
    assert_ne!(status.current_revision, status.update_revision);
    api.edit::<StatefulSet>("ns", "db", |set| {
        let strategy = set.spec.as_mut().unwrap().update_strategy.as_mut().unwrap();
        strategy.rolling_update.as_mut().unwrap().partition = Some(0);
    });
    all_ready(&api, &context).await;
    assert_eq!(images(&api), ["b", "b", "b"]);
    let status = api.one::<StatefulSet>("ns", "db").unwrap().status.unwrap();
    assert_eq!(status.current_revision, status.update_revision);
    assert_eq!(api.all::<ControllerRevision>().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn parallel_sets_start_all_at_once_and_failed_pods_are_remade() {
    let (api, context) =
        started(3, json!({"podManagementPolicy": "Parallel", "ordinals": {"start": 5}})).await;
    assert_eq!(names(&api), ["db-5", "db-6", "db-7"]);
    let before = api.one::<Pod>("ns", "db-6").unwrap().metadata.uid;
    api.edit::<Pod>("ns", "db-6", |pod| pod.status.get_or_insert_default().phase = Some("Failed".into()));
    pass(&context, 2).await;
    let after = api.one::<Pod>("ns", "db-6").unwrap().metadata.uid;
    assert_ne!(before, after);
    assert!(
        events(&api).contains(&"RecreatingFailedPod: StatefulSet ns/db is recreating failed Pod db-6".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_not_gone_yet_keeps_its_place() {
    let (api, context) = started(1, json!({})).await;
    all_ready(&api, &context).await;
    api.edit::<Pod>("ns", "db-0", |pod| pod.spec.as_mut().unwrap().node_name = Some("n1".into()));
    context.client.delete::<Pod>("ns", "db-0", &Default::default()).await.unwrap();
    api.writes();
    pass(&context, 60).await;
    assert!(!api.writes().iter().any(|line| line.starts_with("create pods")), "at most one of an identity");
    api.remove::<Pod>("ns", "db-0");
    pass(&context, 1).await;
    assert_eq!(names(&api), ["db-0"]);
}
