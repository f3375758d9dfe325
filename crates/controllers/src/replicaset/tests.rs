use std::sync::Arc;

use cox_api::{Reason, Status, Verb};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::plan::{Scale, scale};
use super::run;
use crate::common::Context;
use crate::common::owner::is_controlled_by;
use crate::common::testing::{at, events, object, pass, pod, world};
use cox_client::fake::FakeApi;

fn replica_set(replicas: i32) -> ReplicaSet {
    object(json!({"metadata": {"namespace": "ns", "name": "web"}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}}}}))
}

async fn started(replicas: i32) -> (FakeApi, Context) {
    let (api, context) = world();
    api.put(&replica_set(replicas));
    context.env.spawn(run::<ReplicaSet>(context.clone()));
    pass(&context, 1).await;
    (api, context)
}

#[test]
fn surplus_and_shortage() {
    let pods: Vec<Arc<Pod>> = (0..3).map(|n| Arc::new(pod(&format!("p{n}")).running("n").build())).collect();
    let none = || panic!("nothing has to be ranked");
    assert_eq!(scale(3, &pods, none, at(0)), Scale::Nothing);
    assert_eq!(scale(5, &pods, none, at(0)), Scale::Create(2));
    assert_eq!(scale(5000, &pods, none, at(0)), Scale::Create(500));
    assert_eq!(scale(0, &pods, none, at(0)), Scale::Delete(pods.clone()));
    let Scale::Delete(doomed) = scale(1, &pods, || pods.clone(), at(0)) else { panic!("no deletion") };
    assert_eq!(doomed.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn makes_pods_and_tells_of_them() {
    let (api, _) = started(3).await;
    let set = api.one::<ReplicaSet>("ns", "web").unwrap();
    let pods = api.all::<Pod>();
    assert_eq!(pods.len(), 3);
    for pod in &pods {
        assert!(is_controlled_by(&pod.metadata, &set));
        assert!(pod.metadata.name.as_ref().unwrap().starts_with("web-"));
    }
    assert_eq!(set.status.unwrap().replicas, 3);
    let told = events(&api);
    assert_eq!(told.len(), 3);
    assert!(told[0].starts_with("SuccessfulCreate: Created pod: web-"), "{}", told[0]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_cache_makes_no_pod_twice() {
    let (api, context) = world();
    api.put(&replica_set(3));
    context.env.spawn(run::<ReplicaSet>(context.clone()));
    context.informers.synced().await;
    api.hold_watches();
    for _ in 0..5 {
        pass(&context, 10).await;
        api.edit::<ReplicaSet>("ns", "web", |set| set.spec.as_mut().unwrap().replicas = Some(4));
    }
    api.release_watches();
    pass(&context, 10).await;
    assert_eq!(api.all::<Pod>().len(), 4);
    let created = api.writes().iter().filter(|line| line.starts_with("create pods ")).count();
    assert_eq!(created, 4);
}

#[tokio::test(start_paused = true)]
async fn scales_down_and_replaces_lost_pods() {
    let (api, context) = started(3).await;
    api.edit::<ReplicaSet>("ns", "web", |set| set.spec.as_mut().unwrap().replicas = Some(1));
    pass(&context, 1).await;
    let left = api.all::<Pod>();
    assert_eq!(left.len(), 1);
    api.remove::<Pod>("ns", left[0].metadata.name.as_deref().unwrap());
    pass(&context, 1).await;
    assert_eq!(api.all::<Pod>().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn adopts_orphans_and_releases_strangers() {
    let (api, context) = started(2).await;
    api.put(&pod("orphan").labels(&[("app", "web")]).build());
    pass(&context, 1).await;
    assert_eq!(api.all::<Pod>().len(), 2, "the orphan counts, so one pod is too many");
    let name = api.all::<Pod>()[0].metadata.name.clone().unwrap();
    api.edit::<Pod>("ns", &name, |pod| pod.metadata.labels = Some([("app".into(), "db".into())].into()));
    pass(&context, 1).await;
    let released = api.one::<Pod>("ns", &name).unwrap();
    assert!(released.metadata.owner_references.is_none_or(|owners| owners.is_empty()));
    assert_eq!(api.all::<Pod>().len(), 3, "released and replaced");
}

#[tokio::test(start_paused = true)]
async fn failures_show_in_condition_and_event() {
    let (api, context) = world();
    api.put(&replica_set(3));
    api.fault(|request| {
        (request.verb == Verb::Create && request.resource.plural == "pods")
            .then(|| Status::new(403, Reason::Forbidden, "pods is forbidden: exceeded quota"))
    });
    context.env.spawn(run::<ReplicaSet>(context.clone()));
    pass(&context, 30).await;
    let set = api.one::<ReplicaSet>("ns", "web").unwrap();
    let condition = set.status.unwrap().conditions.unwrap().remove(0);
    assert_eq!(
        (condition.type_.as_str(), condition.reason.as_deref()),
        ("ReplicaFailure", Some("FailedCreate"))
    );
    assert_eq!(events(&api), ["FailedCreate: Error creating: pods is forbidden: exceeded quota"]);
    api.heal();
    pass(&context, 60).await;
    assert_eq!(api.all::<Pod>().len(), 3);
    assert!(api.one::<ReplicaSet>("ns", "web").unwrap().status.unwrap().conditions.is_none());
}
