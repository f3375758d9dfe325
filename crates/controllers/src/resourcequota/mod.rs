//! Resource quotas: what a namespace uses is counted, so that the API server can hold writes against it.

mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cox_api::kind::KindInfo;
use cox_client::{Informed, Key, Next, Queue, Reader, Result, Scope};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use parking_lot::RwLock;
use serde_json::Value;

use crate::common::context::Context;
use crate::common::owner::name;
use crate::common::{custom_kinds, pods, resources};
use usage::Amounts;

/// Keys looked at together, as upstream's `--concurrent-resource-quota-syncs`.
const WORKERS: usize = 5;
/// Everything is counted anew after this time, as upstream's `--resource-quota-sync-period`.
const RESYNC: Duration = Duration::from_secs(300);
/// What was made has been charged already: counting it can wait for what comes with it.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let quotas = context.informers.of::<ResourceQuota>();
    let queue = Queue::<Key>::new(context.env.clone(), "resourcequota");
    let itself = queue.clone();
    quotas.on_change(move |change| {
        let Some(quota) = &change.new else { return };
        // What the API server charges is no reason to count.
        let hard = |quota: &ResourceQuota| quota.spec.clone();
        if change.old.as_ref().is_none_or(|old| hard(old) != hard(quota)) {
            itself.add(Key::of(&**quota));
        }
    });
    let kinds: Vec<(&'static KindInfo, Informed)> = resources::deletable()
        .filter(|info| resources::is_namespaced(info) && info.kind != "Event")
        .map(|info| (info, context.informers.resource(resources::resource(info), Scope::everything())))
        .collect();
    let custom: Kinds = Arc::default();
    let (known, triggered, woken) = (custom.clone(), quotas.clone(), queue.clone());
    let come = move |info, informed: Informed| {
        if resources::is_namespaced(info) {
            known.write().push((info, informed.clone()));
            trigger(info, &informed, &triggered, &woken);
        }
    };
    let known = custom.clone();
    let go = move |info| known.write().retain(|(known, _)| *known != info);
    custom_kinds::follow(&context.informers, come, go);
    for (info, informed) in kinds.iter().filter(|(info, _)| info.kind != "Pod") {
        trigger(info, informed, &quotas, &queue);
    }
    on_pods(&context.informers.of::<Pod>(), &quotas, &queue);
    quotas.synced().await;
    for (_, informed) in &kinds {
        informed.synced().await;
    }
    let shell = Arc::new(Shell { context, quotas, kinds, custom });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

/// Looks at the quotas of a namespace that count this kind.
fn trigger(info: &'static KindInfo, informed: &Informed, quotas: &Reader<ResourceQuota>, queue: &Queue<Key>) {
    let (quotas, queue) = (quotas.clone(), queue.clone());
    informed.on_change(move |old, new| {
        let Some(object) = new.or(old) else { return };
        // Only Services use another amount after a change.
        if old.is_some() && new.is_some() && info.kind != "Service" {
            return;
        }
        for quota in quotas.in_namespace(object.namespace()) {
            let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
            if hard.is_some_and(|hard| usage::concerns(info, hard.keys())) {
                let key = Key::of(&*quota);
                if new.is_none() { queue.add(key) } else { queue.add_after(key, PAUSE) }
            }
        }
    });
}

fn on_pods(pods: &Reader<Pod>, quotas: &Reader<ResourceQuota>, queue: &Queue<Key>) {
    let (quotas, queue) = (quotas.clone(), queue.clone());
    pods.on_change(move |change| {
        let free = match (&change.old, &change.new) {
            (Some(old), Some(new)) if pods::is_terminal(old) == pods::is_terminal(new) => return,
            (None, Some(_)) => false,
            _ => true,
        };
        for quota in quotas.in_namespace(change.latest().metadata.namespace.as_deref().unwrap_or("")) {
            let key = Key::of(&*quota);
            if free { queue.add(key) } else { queue.add_after(key, PAUSE) }
        }
    });
}

struct Shell {
    context: Context,
    quotas: Reader<ResourceQuota>,
    kinds: Vec<(&'static KindInfo, Informed)>,
    custom: Kinds,
}

/// Kinds of definitions, as they come and go.
type Kinds = Arc<RwLock<Vec<(&'static KindInfo, Informed)>>>;

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(quota) = self.quotas.at(key) else { return Ok(Next::Done) };
        if quota.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Done);
        }
        let hard = quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
        let used = self.count(&quota, &hard, &key.namespace);
        let shown = |amount: Option<&cox_api::quantity::Quantity>| {
            Text(amount.map_or_else(|| "0".to_owned(), ToString::to_string))
        };
        let used: BTreeMap<String, Text> =
            hard.keys().map(|key| (key.clone(), shown(used.get(key)))).collect();
        let status = quota.status.as_ref();
        let same = status
            .is_some_and(|status| status.hard.as_ref() == Some(&hard) && status.used.as_ref() == Some(&used));
        if !same {
            let mut updated = (*quota).clone();
            let status = updated.status.get_or_insert_default();
            status.hard = Some(hard);
            status.used = Some(used);
            match self.context.client.update_status(&updated).await {
                Ok(written) => self.quotas.wait_until_seen_object(&written).await,
                Err(error) if error.is_not_found() => return Ok(Next::Done),
                Err(error) => return Err(error),
            }
        }
        Ok(Next::After(RESYNC))
    }

    fn count(&self, quota: &ResourceQuota, hard: &BTreeMap<String, Text>, namespace: &str) -> Amounts {
        let mut used = Amounts::new();
        let scopes = serde_json::to_value(quota).unwrap_or_default();
        let custom = self.custom.read().clone();
        let kinds = self.kinds.iter().chain(&custom);
        for (info, informed) in kinds.filter(|(info, _)| usage::concerns(info, hard.keys())) {
            let is_pod = info.kind == "Pod";
            for object in informed.in_namespace(namespace) {
                let object: Value = object.value();
                if usage::in_scopes(&scopes, is_pod, &object) {
                    usage::add(&mut used, &usage::of(info, &object));
                }
            }
        }
        tracing::trace!(quota = name(quota), "counted");
        used
    }
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::common::testing::{object, pass, pod, world};
    use cox_client::fake::FakeApi;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod, ResourceQuota};
    use serde_json::json;

    fn used(api: &FakeApi, quota: &str) -> Vec<String> {
        let status = api.one::<ResourceQuota>("ns", quota).unwrap().status.unwrap();
        assert_eq!(status.hard.unwrap().len(), status.used.as_ref().unwrap().len());
        status.used.unwrap().into_iter().map(|(key, amount)| format!("{key}={}", amount.0)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_is_counted() {
        let (api, context) = world();
        api.put::<ResourceQuota>(&object(json!({"metadata": {"namespace": "ns", "name": "all"},
            "spec": {"hard": {"pods": "5", "requests.cpu": "1", "configmaps": "3", "secrets": "1"}}})));
        api.put::<ResourceQuota>(&object(json!({"metadata": {"namespace": "ns", "name": "effortless"},
            "spec": {"hard": {"pods": "5"}, "scopes": ["BestEffort"]}})));
        let with_cpu = |name: &str| {
            pod(name).running("n").with(|pod| {
                pod.spec = serde_json::from_value(json!({"nodeName": "n", "containers": [{"name": "c",
                    "resources": {"requests": {"cpu": "250m"}}}]}))
                .unwrap();
            })
        };
        api.put(&with_cpu("a").build());
        api.put(&pod("b").running("n").build());
        context.env.spawn(run(context.clone()));
        pass(&context, 1).await;
        assert_eq!(used(&api, "all"), ["configmaps=0", "pods=2", "requests.cpu=250m", "secrets=0"]);
        assert_eq!(used(&api, "effortless"), ["pods=1"]);
        api.put(&with_cpu("c").build());
        api.put::<ConfigMap>(&object(json!({"metadata": {"namespace": "ns", "name": "m"}})));
        pass(&context, 1).await;
        assert_eq!(used(&api, "all"), ["configmaps=1", "pods=3", "requests.cpu=500m", "secrets=0"]);
        api.edit::<Pod>("ns", "c", |pod| pod.status.as_mut().unwrap().phase = Some("Failed".into()));
        api.remove::<Pod>("ns", "b");
        pass(&context, 1).await;
        assert_eq!(used(&api, "all"), ["configmaps=1", "pods=1", "requests.cpu=250m", "secrets=0"]);
        assert_eq!(used(&api, "effortless"), ["pods=0"]);
    }
}
