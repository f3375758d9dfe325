use cox_client::fake::FakeApi;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::annotations::{REVISION, REVISION_HISTORY};
use super::{run, view};
use crate::common::Context;
use crate::common::owner::annotation;
use crate::common::testing::{events, object, pass, world};

fn deployment(replicas: i32, strategy: Value) -> Deployment {
    object(json!({"metadata": {"namespace": "ns", "name": "web"}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}}, "strategy": strategy,
        "progressDeadlineSeconds": 600, "revisionHistoryLimit": 2,
        "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "a"}]}}}}))
}

fn rolling(surge: i32, unavailable: i32) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

async fn started(deployment: Deployment) -> (FakeApi, Context) {
    let (api, context) = world();
    api.put(&deployment);
    context.env.spawn(run(context.clone()));
    context.env.spawn(crate::replicaset::run::<ReplicaSet>(context.clone()));
    pass(&context, 1).await;
    (api, context)
}

fn set_image(api: &FakeApi, image: &str) {
    api.edit::<Deployment>("ns", "web", |deployment| {
        let spec = deployment.spec.as_mut().unwrap();
        spec.template.spec.as_mut().unwrap().containers[0].image = Some(image.into());
        *deployment.metadata.generation.as_mut().unwrap() += 1;
    });
}

fn is_ready(pod: &Pod) -> bool {
    crate::common::pods::is_ready(pod)
}

/// Makes one unready pod ready; says whether there was one.
fn make_one_ready(api: &FakeApi, context: &Context) -> bool {
    let unready = api.all::<Pod>().into_iter().find(|pod| !is_ready(pod));
    let Some(pod) = unready else { return false };
    let now = context.env.now();
    api.edit::<Pod>("ns", pod.metadata.name.as_deref().unwrap(), |pod| {
        let status = pod.status.get_or_insert_default();
        status.phase = Some("Running".into());
        status.conditions.get_or_insert_default().push(PodCondition {
            type_: "Ready".into(),
            status: "True".into(),
            last_transition_time: Some(Time(now)),
            ..PodCondition::default()
        });
    });
    true
}

async fn settle(api: &FakeApi, context: &Context) {
    while make_one_ready(api, context) {
        pass(context, 1).await;
    }
}

fn sets(api: &FakeApi) -> Vec<ReplicaSet> {
    let mut sets = api.all::<ReplicaSet>();
    sets.sort_by_key(|set| annotation(&set.metadata, REVISION).map(str::to_owned));
    sets
}

fn condition(api: &FakeApi, kind: &str) -> (String, String, String) {
    let status = api.one::<Deployment>("ns", "web").unwrap().status.unwrap();
    let found = status.conditions.unwrap().into_iter().find(|condition| condition.type_ == kind).unwrap();
    (found.status, found.reason.unwrap_or_default(), found.message.unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn a_new_deployment_is_rolled_out_and_told() {
    let (api, context) = started(deployment(3, rolling(1, 0))).await;
    let set = sets(&api).remove(0);
    let name = set.metadata.name.clone().unwrap();
    let hash = set.metadata.labels.as_ref().unwrap()["pod-template-hash"].clone();
    assert_eq!(name, format!("web-{hash}"));
    assert_eq!(annotation(&set.metadata, "deployment.kubernetes.io/desired-replicas"), Some("3"));
    assert_eq!(annotation(&set.metadata, "deployment.kubernetes.io/max-replicas"), Some("4"));
    assert_eq!(annotation(&set.metadata, REVISION), Some("1"));
    assert_eq!(condition(&api, "Available").1, "MinimumReplicasUnavailable");
    assert_eq!(condition(&api, "Progressing").1, "ReplicaSetUpdated");
    settle(&api, &context).await;
    let told = api.one::<Deployment>("ns", "web").unwrap();
    assert_eq!(annotation(&told.metadata, REVISION), Some("1"));
    let status = told.status.unwrap();
    assert_eq!(
        (status.replicas, status.available_replicas, status.updated_replicas),
        (Some(3), Some(3), Some(3))
    );
    assert_eq!(status.unavailable_replicas, None);
    let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
    assert_eq!(condition(&api, "Progressing"), ("True".into(), "NewReplicaSetAvailable".into(), message));
    assert!(events(&api).contains(&format!("ScalingReplicaSet: Scaled up replica set {name} from 0 to 3")));
}

async fn roll_within_bounds(replicas: i32, surge: i32, unavailable: i32) {
    let (api, context) = started(deployment(replicas, rolling(surge, unavailable))).await;
    settle(&api, &context).await;
    set_image(&api, "b");
    let mut steps = 0;
    loop {
        pass(&context, 1).await;
        let pods = i32::try_from(api.all::<Pod>().len()).unwrap();
        let ready = i32::try_from(api.all::<Pod>().iter().filter(|pod| is_ready(pod)).count()).unwrap();
        let wanted = view::sum(&sets(&api), view::replicas_of);
        assert!(pods <= replicas + surge && wanted <= replicas + surge, "{pods} pods, {wanted} wanted");
        assert!(ready >= replicas - unavailable, "only {ready} are ready");
        steps += 1;
        assert!(steps < 200, "the rollout doesn't end");
        if !make_one_ready(&api, &context) {
            break;
        }
    }
    pass(&context, 5).await;
    let all = sets(&api);
    assert_eq!(all.iter().map(view::replicas_of).collect::<Vec<_>>(), [0, replicas]);
    assert_eq!(condition(&api, "Progressing").1, "NewReplicaSetAvailable");
    assert!(
        api.all::<Pod>()
            .iter()
            .all(|pod| { pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("b") })
    );
}

#[tokio::test(start_paused = true)]
async fn rollouts_stay_within_bounds() {
    for (replicas, surge, unavailable) in [(4, 1, 0), (4, 0, 1), (4, 2, 2), (1, 1, 0), (5, 5, 0), (3, 0, 3)] {
        roll_within_bounds(replicas, surge, unavailable).await;
    }
}

#[tokio::test(start_paused = true)]
async fn recreate_waits_for_the_old_pods() {
    let (api, context) = started(deployment(2, json!({"type": "Recreate"}))).await;
    for pod in api.all::<Pod>() {
        // On a node, so that deletion waits for the kubelet.
        api.edit::<Pod>("ns", pod.metadata.name.as_deref().unwrap(), |pod| {
            pod.spec.as_mut().unwrap().node_name = Some("n1".into());
        });
    }
    settle(&api, &context).await;
    set_image(&api, "b");
    pass(&context, 10).await;
    let old = api.all::<Pod>();
    assert_eq!(old.len(), 2);
    assert!(old.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()));
    assert_eq!(sets(&api).len(), 1, "no new ReplicaSet while old pods are there");
    for pod in old {
        api.remove::<Pod>("ns", pod.metadata.name.as_deref().unwrap());
    }
    pass(&context, 5).await;
    assert_eq!(sets(&api).len(), 2);
    assert_eq!(api.all::<Pod>().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn rolling_back_takes_the_old_set_up_again_with_a_new_revision() {
    let (api, context) = started(deployment(1, rolling(1, 0))).await;
    settle(&api, &context).await;
    for image in ["b", "a"] {
        set_image(&api, image);
        pass(&context, 5).await;
        settle(&api, &context).await;
        pass(&context, 5).await;
    }
    let all = sets(&api);
    assert_eq!(all.len(), 2);
    let revisions: Vec<_> = all.iter().map(|set| annotation(&set.metadata, REVISION).unwrap()).collect();
    assert_eq!(revisions, ["2", "3"]);
    assert_eq!(annotation(&all[1].metadata, REVISION_HISTORY), Some("1"));
    let told = api.one::<Deployment>("ns", "web").unwrap();
    assert_eq!(annotation(&told.metadata, REVISION), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn history_is_limited() {
    let (api, context) = started(deployment(1, rolling(1, 0))).await;
    settle(&api, &context).await;
    for image in ["b", "c", "d", "e"] {
        set_image(&api, image);
        pass(&context, 5).await;
        settle(&api, &context).await;
        pass(&context, 5).await;
    }
    let revisions: Vec<String> =
        sets(&api).iter().map(|set| annotation(&set.metadata, REVISION).unwrap().to_owned()).collect();
    assert_eq!(revisions, ["3", "4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_stands_still_misses_its_deadline() {
    let (api, context) = started(deployment(1, rolling(1, 0))).await;
    settle(&api, &context).await;
    set_image(&api, "b");
    pass(&context, 650).await;
    let (truth, reason, message) = condition(&api, "Progressing");
    assert_eq!((truth.as_str(), reason.as_str()), ("False", "ProgressDeadlineExceeded"));
    assert!(message.ends_with("has timed out progressing."), "{message}");
    settle(&api, &context).await;
    pass(&context, 5).await;
    assert_eq!(condition(&api, "Progressing").1, "NewReplicaSetAvailable");
}

#[tokio::test(start_paused = true)]
async fn scaling_in_mid_rollout_keeps_proportions() {
    let (api, context) = started(deployment(10, rolling(3, 2))).await;
    settle(&api, &context).await;
    set_image(&api, "b");
    pass(&context, 2).await;
    let before: Vec<i32> = sets(&api).iter().map(view::replicas_of).collect();
    assert_eq!(before, [8, 5]);
    api.edit::<Deployment>("ns", "web", |web| web.spec.as_mut().unwrap().replicas = Some(15));
    pass(&context, 2).await;
    let after: Vec<i32> = sets(&api).iter().map(view::replicas_of).collect();
    // Upstream's documented example.
    assert_eq!(after, [11, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_scales_but_rolls_nothing_out() {
    let (api, context) = started(deployment(2, rolling(1, 0))).await;
    settle(&api, &context).await;
    api.edit::<Deployment>("ns", "web", |web| web.spec.as_mut().unwrap().paused = Some(true));
    pass(&context, 1).await;
    assert_eq!(condition(&api, "Progressing").1, "DeploymentPaused");
    set_image(&api, "b");
    api.edit::<Deployment>("ns", "web", |web| web.spec.as_mut().unwrap().replicas = Some(4));
    pass(&context, 5).await;
    assert_eq!(sets(&api).iter().map(view::replicas_of).collect::<Vec<_>>(), [4]);
    api.edit::<Deployment>("ns", "web", |web| web.spec.as_mut().unwrap().paused = None);
    pass(&context, 1).await;
    settle(&api, &context).await;
    pass(&context, 5).await;
    assert_eq!(sets(&api).iter().map(view::replicas_of).collect::<Vec<_>>(), [0, 4]);
}
