//! What users do to a world: made, changed, scaled, deleted at times drawn from the seed.

use std::time::Duration;

use cox_api::{PatchKind, Request, Resource, Status, Verb};
use cox_client::{Client, DeleteOptions, Kind, Result, resource_of};
use cox_env::Env;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use crate::kubelet::object;

const NAMESPACE: &str = "default";
/// Pods of the StatefulSet.
const DB_REPLICAS: u64 = 3;
/// How many evictions of them are asked for.
const EVICTIONS: u32 = 12;

fn template(app: &str, image: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

fn deployment(app: &str, replicas: u64, surge: &Value, unavailable: &Value) -> Deployment {
    object(json!({"metadata": {"namespace": NAMESPACE, "name": app}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template(app, "v1"),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}}))
}

/// Plays it. The user's own calls don't fail.
pub(crate) async fn play(env: Env, client: Client) -> Result<()> {
    let pause = || env.sleep(Duration::from_millis(500 + env.chance().below(8_000)));
    let replicas = 2 + env.chance().below(3);
    let (surge, unavailable) = match env.chance().below(4) {
        0 => (json!(1), json!(0)),
        1 => (json!(0), json!(1)),
        2 => (json!("25%"), json!("25%")),
        _ => (json!(2), json!(1)),
    };
    client.create(&deployment("web", replicas, &surge, &unavailable)).await?;
    let service = json!({"metadata": {"namespace": NAMESPACE, "name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    client.create::<Service>(&object(service)).await?;
    client.create(&deployment("doomed", 2, &json!(1), &json!(0))).await?;
    let completions = 3 + env.chance().below(3);
    let job = json!({"metadata": {"namespace": NAMESPACE, "name": "sum"}, "spec": {
        "completions": completions, "parallelism": 2, "backoffLimit": 100,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "v1"}]}}}});
    client.create::<Job>(&object(job)).await?;
    let set = json!({"metadata": {"namespace": NAMESPACE, "name": "set"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "set"}}, "template": template("set", "v1")}});
    client.create::<ReplicaSet>(&object(set)).await?;
    let db = json!({"metadata": {"namespace": NAMESPACE, "name": "db"}, "spec": {
        "serviceName": "db", "replicas": DB_REPLICAS, "selector": {"matchLabels": {"app": "db"}},
        "template": template("db", "v1")}});
    client.create::<StatefulSet>(&object(db)).await?;
    let budget = json!({"metadata": {"namespace": NAMESPACE, "name": "db"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "db"}}}});
    client.create::<PodDisruptionBudget>(&object(budget)).await?;
    env.spawn(evict(env.clone(), client.clone()));
    pause().await;
    edit::<Deployment>(&client, "web", json!({"spec": {"template": template("web", "v2")}})).await?;
    pause().await;
    let scaled = 1 + env.chance().below(6);
    edit::<Deployment>(&client, "web", json!({"spec": {"replicas": scaled}})).await?;
    pause().await;
    edit::<ReplicaSet>(&client, "set", json!({"spec": {"replicas": env.chance().below(4)}})).await?;
    client.delete::<Deployment>(NAMESPACE, "doomed", &DeleteOptions::default()).await?;
    pause().await;
    edit::<StatefulSet>(&client, "db", json!({"spec": {"template": template("db", "v2")}})).await?;
    edit::<Deployment>(&client, "web", json!({"spec": {"template": template("web", "v3")}})).await
}

/// Somebody who drains: asks for evictions, one after the other or close together, and takes no for an answer.
async fn evict(env: Env, client: Client) {
    for _ in 0..EVICTIONS {
        env.sleep(Duration::from_millis(env.chance().below(6_000))).await;
        let pod = format!("db-{}", env.chance().below(DB_REPLICAS));
        let _ = client.evict(NAMESPACE, &pod, &DeleteOptions::default()).await;
    }
}

async fn edit<T: Kind>(client: &Client, name: &str, patch: Value) -> Result<()> {
    client.patch::<T>(NAMESPACE, name, PatchKind::Strategic, patch).await.map(drop)
}

/// Whether an API answers at all: the namespace of everything here.
pub(crate) async fn reachable(client: &Client) -> std::result::Result<(), Status> {
    let namespaces: Resource = resource_of::<k8s_openapi::api::core::v1::Namespace>();
    client.call(Request::new(Verb::Get, namespaces).name(NAMESPACE)).await.map(drop)
}
