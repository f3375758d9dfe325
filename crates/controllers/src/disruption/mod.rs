//! PodDisruptionBudgets: their status says how many pods may be evicted now.

pub(crate) mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_client::{EventType, Key, Next, Queue, Reader, Result, Selector};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::common::context::Context;
use crate::common::owner::{controller_of, name, namespace};
use crate::common::{pods, trigger};

const WORKERS: usize = 4;

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let budgets = context.informers.of::<PodDisruptionBudget>();
    let pods = context.informers.of::<Pod>();
    let scales = Scales {
        sets: context.informers.of(),
        deployments: context.informers.of(),
        stateful: context.informers.of(),
        controllers: context.informers.of(),
    };
    let queue = Queue::<Key>::new(context.env.clone(), "disruption");
    trigger::on_itself(&budgets, &queue);
    let (all, on_pods) = (budgets.clone(), queue.clone());
    pods.on_change(move |change| {
        for pod in [&change.old, &change.new].into_iter().flatten() {
            for budget in all.in_namespace(namespace(&**pod)) {
                if selector(&budget).matches(&pod.metadata.labels) {
                    on_pods.add(Key::of(&*budget));
                }
            }
        }
    });
    scales.trigger(&budgets, &queue);
    for informer in [
        budgets.informed(),
        pods.informed(),
        scales.sets.informed(),
        scales.deployments.informed(),
        scales.stateful.informed(),
        scales.controllers.informed(),
    ] {
        informer.synced().await;
    }
    let shell = Arc::new(Shell { context, budgets, pods, scales });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

fn selector(budget: &PodDisruptionBudget) -> Selector {
    Selector::of(budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()))
}

/// The kinds that say how many pods there should be.
struct Scales {
    sets: Reader<ReplicaSet>,
    deployments: Reader<Deployment>,
    stateful: Reader<StatefulSet>,
    controllers: Reader<ReplicationController>,
}

impl Scales {
    /// A change of a size is a look at the namespace's budgets.
    fn trigger(&self, budgets: &Reader<PodDisruptionBudget>, queue: &Queue<Key>) {
        fn on<T: cox_client::Kind>(
            reader: &Reader<T>,
            size: impl Fn(&T) -> Option<i32> + Send + Sync + 'static,
            budgets: &Reader<PodDisruptionBudget>,
            queue: &Queue<Key>,
        ) {
            let (budgets, queue) = (budgets.clone(), queue.clone());
            reader.on_change(move |change| {
                if let (Some(old), Some(new)) = (&change.old, &change.new)
                    && size(old) == size(new)
                {
                    return;
                }
                for budget in budgets.in_namespace(namespace(&**change.latest())) {
                    queue.add(Key::of(&*budget));
                }
            });
        }
        on(&self.sets, |set| set.spec.as_ref()?.replicas, budgets, queue);
        on(&self.deployments, |deployment| deployment.spec.as_ref()?.replicas, budgets, queue);
        on(&self.stateful, |set| set.spec.as_ref()?.replicas, budgets, queue);
        on(&self.controllers, |controller| controller.spec.as_ref()?.replicas, budgets, queue);
    }

    /// The uid and size of what controls a pod in the end; a Deployment rather than its ReplicaSet.
    fn of(&self, pod: &Pod) -> std::result::Result<(String, i32), String> {
        let missing = || format!("found no controllers for pod {:?}", name(pod));
        let owner = controller_of(&pod.metadata).ok_or_else(missing)?;
        let size = |replicas: Option<i32>| replicas.unwrap_or(1);
        match owner.kind.as_str() {
            "ReplicaSet" => {
                let set = self.sets.by_uid(&owner.uid).ok_or_else(missing)?;
                let above = controller_of(&set.metadata).filter(|above| above.kind == "Deployment");
                match above.and_then(|above| self.deployments.by_uid(&above.uid)) {
                    Some(deployment) => Ok((
                        deployment.metadata.uid.clone().unwrap_or_default(),
                        size(deployment.spec.as_ref().and_then(|spec| spec.replicas)),
                    )),
                    None => Ok((owner.uid.clone(), size(set.spec.as_ref().and_then(|spec| spec.replicas)))),
                }
            }
            "StatefulSet" => {
                let set = self.stateful.by_uid(&owner.uid).ok_or_else(missing)?;
                Ok((owner.uid.clone(), size(set.spec.as_ref().and_then(|spec| spec.replicas))))
            }
            "ReplicationController" => {
                let controller = self.controllers.by_uid(&owner.uid).ok_or_else(missing)?;
                Ok((owner.uid.clone(), size(controller.spec.as_ref().and_then(|spec| spec.replicas))))
            }
            kind => Err(format!("{kind} {:?} has no scale that is known", owner.name)),
        }
    }

    fn total(&self, pods: &[Arc<Pod>]) -> std::result::Result<i32, String> {
        let mut sizes = BTreeMap::new();
        for pod in pods {
            let (uid, size) = self.of(pod)?;
            sizes.insert(uid, size);
        }
        Ok(sizes.values().sum())
    }
}

struct Shell {
    context: Context,
    budgets: Reader<PodDisruptionBudget>,
    pods: Reader<Pod>,
    scales: Scales,
}

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(budget) = self.budgets.at(key) else { return Ok(Next::Done) };
        if budget.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Done);
        }
        let mut matching = self.pods.selected(&key.namespace, &selector(&budget));
        matching.retain(|pod| !pods::is_terminal(pod));
        if matching.is_empty() {
            let message = "No matching pods found";
            self.context.events.event(&*budget, EventType::Normal, "NoPods", message);
        }
        let scale = self.scales.total(&matching);
        let (status, again) = plan::plan(&budget, &matching, scale, self.context.env.now());
        if let Some(status) = status {
            let updated = PodDisruptionBudget { status: Some(status), ..(*budget).clone() };
            match self.context.client.update_status(&updated).await {
                Ok(written) => self.budgets.wait_until_seen_object(&written).await,
                Err(error) if error.is_not_found() => return Ok(Next::Done),
                Err(error) => return Err(error),
            }
        }
        Ok(again.map_or(Next::Done, Next::After))
    }
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::common::testing::{at, object, pass, pod, world};
    use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
    use k8s_openapi::api::core::v1::Pod;
    use k8s_openapi::api::policy::v1::PodDisruptionBudget;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn the_deployment_says_how_many_pods_there_should_be() {
        let (api, context) = world();
        api.put::<Deployment>(&object(json!({"metadata": {"namespace": "ns", "name": "web", "uid": "d"},
            "spec": {"replicas": 4, "selector": {}, "template": {}}})));
        let set: ReplicaSet = object(json!({"metadata": {"namespace": "ns", "name": "web-1", "uid": "s",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d",
                "controller": true}]}, "spec": {"replicas": 2, "selector": {}}}));
        api.put(&set);
        for name in ["a", "b", "c"] {
            let pod = pod(name).labels(&[("app", "web")]).running("n").ready_at(at(0)).owner(&set);
            api.put::<Pod>(&pod.build());
        }
        api.put::<PodDisruptionBudget>(&object(json!({"metadata": {"namespace": "ns", "name": "b"},
            "spec": {"maxUnavailable": 2, "selector": {"matchLabels": {"app": "web"}}}})));
        context.env.spawn(run(context.clone()));
        pass(&context, 1).await;
        let told = || api.one::<PodDisruptionBudget>("ns", "b").unwrap().status.unwrap();
        assert_eq!((told().expected_pods, told().disruptions_allowed), (Some(4), Some(1)));
        api.edit::<Deployment>("ns", "web", |web| web.spec.as_mut().unwrap().replicas = Some(5));
        pass(&context, 1).await;
        assert_eq!((told().expected_pods, told().disruptions_allowed), (Some(5), Some(0)));
        let condition = told().conditions.unwrap().remove(0);
        assert_eq!(
            (condition.type_.as_str(), condition.reason.as_str()),
            ("DisruptionAllowed", "InsufficientPods")
        );
    }
}
