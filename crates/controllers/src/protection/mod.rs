//! Claims, volumes and classes of volume attributes that are being deleted stay until nothing uses them: their
//! finalizer (given at creation by admission) goes with the last use.
//! Source: <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection>

mod plan;

use std::sync::Arc;

use cox_api::PatchKind;
use cox_client::{Key, Kind, ListOptions, Next, Queue, Reader, Result};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use serde_json::json;

use crate::common::context::Context;
use crate::common::owner::{namespace, uid};
use crate::common::trigger;

const WORKERS: usize = 1;

/// Runs the controller of claims for as long as the component lives.
pub(crate) async fn claims(context: Context) {
    let claims = context.informers.of::<PersistentVolumeClaim>();
    let pods = context.informers.of::<Pod>();
    let queue = Queue::<Key>::new(context.env.clone(), "pvc-protection");
    trigger::on_itself(&claims, &queue);
    let on_pods = queue.clone();
    pods.on_change(move |change| {
        for pod in [&change.old, &change.new].into_iter().flatten() {
            for claim in plan::claims_of(pod) {
                on_pods.add(Key::new(namespace(&**pod), &claim));
            }
        }
    });
    claims.synced().await;
    pods.synced().await;
    let known = claims.clone();
    run(context, claims, queue, "kubernetes.io/pvc-protection", move |context, key| {
        let (known, pods) = (known.clone(), pods.clone());
        async move {
            let Some(claim) = known.at(&key) else { return Ok(false) };
            if pods.in_namespace(&key.namespace).iter().any(|pod| plan::uses_claim(pod, &claim)) {
                return Ok(true);
            }
            // A pod may have been bound since the cache was filled.
            let live = context.client.list::<Pod>(&key.namespace, &ListOptions::default()).await?;
            Ok(live.items.iter().any(|pod| plan::uses_claim(pod, &claim)))
        }
    })
    .await;
}

/// Runs the controller of volumes for as long as the component lives.
pub(crate) async fn volumes(context: Context) {
    let volumes = context.informers.of::<PersistentVolume>();
    let queue = Queue::<Key>::new(context.env.clone(), "pv-protection");
    trigger::on_itself(&volumes, &queue);
    volumes.synced().await;
    let known = volumes.clone();
    run(context, volumes, queue, "kubernetes.io/pv-protection", move |_, key| {
        let used = known.at(&key).is_some_and(|volume| plan::is_bound(&volume));
        async move { Ok(used) }
    })
    .await;
}

/// Runs the controller of classes of volume attributes for as long as the component lives.
pub(crate) async fn classes(context: Context) {
    let classes = context.informers.of::<VolumeAttributesClass>();
    let claims = context.informers.of::<PersistentVolumeClaim>();
    let volumes = context.informers.of::<PersistentVolume>();
    let queue = Queue::<Key>::new(context.env.clone(), "vac-protection");
    trigger::on_itself(&classes, &queue);
    let on_claims = queue.clone();
    claims.on_change(move |change| {
        for claim in [&change.old, &change.new].into_iter().flatten() {
            for class in plan::classes_of_claim(claim) {
                on_claims.add(Key::new("", class));
            }
        }
    });
    let on_volumes = queue.clone();
    volumes.on_change(move |change| {
        for volume in [&change.old, &change.new].into_iter().flatten() {
            if let Some(class) = plan::class_of_volume(volume) {
                on_volumes.add(Key::new("", class));
            }
        }
    });
    for informer in [classes.informed(), claims.informed(), volumes.informed()] {
        informer.synced().await;
    }
    run(context, classes, queue, "kubernetes.io/vac-protection", move |_, key| {
        let used = claims.list().iter().any(|claim| plan::classes_of_claim(claim).contains(&&*key.name))
            || volumes.list().iter().any(|volume| plan::class_of_volume(volume) == Some(&*key.name));
        async move { Ok(used) }
    })
    .await;
}

/// Looks at objects that are being deleted and gives those up that nothing uses.
async fn run<T: Kind, U: Future<Output = Result<bool>> + Send + 'static>(
    context: Context,
    objects: Reader<T>,
    queue: Queue<Key>,
    finalizer: &'static str,
    is_used: impl Fn(Context, Key) -> U + Send + Sync + 'static,
) {
    let (objects, is_used) = (Arc::new(objects), Arc::new(is_used));
    queue
        .run(WORKERS, move |key| {
            let (context, objects, is_used) = (context.clone(), objects.clone(), is_used.clone());
            async move {
                let held = |object: &T| {
                    let metadata = object.metadata();
                    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
                    metadata.deletion_timestamp.is_some() && finalizers.iter().any(|one| one == finalizer)
                };
                let Some(object) = objects.at(&key).filter(|object| held(object)) else {
                    return Ok(Next::Done);
                };
                if is_used(context.clone(), key.clone()).await? {
                    return Ok(Next::Done);
                }
                release(&context, &key, &*object, finalizer).await
            }
        })
        .await;
}

async fn release<T: Kind>(context: &Context, key: &Key, object: &T, finalizer: &str) -> Result<Next> {
    let metadata = object.metadata();
    let finalizers = metadata.finalizers.iter().flatten().filter(|one| *one != finalizer);
    // Others may let go at the same time: what was seen has to be what is there.
    let patch = json!({"metadata": {"uid": uid(object), "resourceVersion": metadata.resource_version,
        "finalizers": finalizers.collect::<Vec<_>>()}});
    match context.client.patch::<T>(&key.namespace, &key.name, PatchKind::Merge, patch).await {
        Ok(_) => Ok(Next::Done),
        Err(error) if error.is_not_found() => Ok(Next::Done),
        // The newer one comes through the cache.
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{object, pass, world};

    #[tokio::test(start_paused = true)]
    async fn a_claim_stays_as_long_as_a_pod_that_uses_it() {
        let (api, context) = world();
        for name in ["used", "free"] {
            api.put::<PersistentVolumeClaim>(&object(json!({"metadata": {"namespace": "ns", "name": name,
                "finalizers": ["kubernetes.io/pvc-protection", "x.io/other"]}})));
        }
        let pod: Pod = object(
            json!({"metadata": {"namespace": "ns", "name": "p"}, "spec": {"nodeName": "n", "containers": [],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "used"}}]}}),
        );
        api.put(&pod);
        context.env.spawn(claims(context.clone()));
        pass(&context, 1).await;
        for name in ["used", "free"] {
            context.client.delete::<PersistentVolumeClaim>("ns", name, &Default::default()).await.unwrap();
        }
        pass(&context, 5).await;
        let finalizers =
            |name: &str| api.one::<PersistentVolumeClaim>("ns", name).unwrap().metadata.finalizers.unwrap();
        assert_eq!(finalizers("free"), ["x.io/other"]);
        assert_eq!(finalizers("used").len(), 2);
        api.remove::<Pod>("ns", "p");
        pass(&context, 5).await;
        assert_eq!(finalizers("used"), ["x.io/other"]);
    }

    #[tokio::test(start_paused = true)]
    async fn volumes_and_classes_go_with_their_last_use() {
        let (api, context) = world();
        let volume = |phase: &str| -> PersistentVolume {
            object(json!({"metadata": {"name": "v", "finalizers": ["kubernetes.io/pv-protection"]},
                "spec": {"volumeAttributesClassName": "gold"}, "status": {"phase": phase}}))
        };
        api.put(&volume("Bound"));
        api.put::<VolumeAttributesClass>(&object(
            json!({"metadata": {"name": "gold", "finalizers": ["kubernetes.io/vac-protection"]},
            "driverName": "d"}),
        ));
        context.env.spawn(volumes(context.clone()));
        context.env.spawn(classes(context.clone()));
        pass(&context, 1).await;
        context.client.delete::<PersistentVolume>("", "v", &Default::default()).await.unwrap();
        context.client.delete::<VolumeAttributesClass>("", "gold", &Default::default()).await.unwrap();
        pass(&context, 5).await;
        assert!(
            api.one::<PersistentVolume>("", "v").is_some()
                && api.one::<VolumeAttributesClass>("", "gold").is_some()
        );
        let status = json!({"status": {"phase": "Released"}});
        context.client.patch_status::<PersistentVolume>("", "v", PatchKind::Merge, status).await.unwrap();
        pass(&context, 5).await;
        assert!(api.one::<PersistentVolume>("", "v").is_none());
        assert!(api.one::<VolumeAttributesClass>("", "gold").is_none());
    }
}
