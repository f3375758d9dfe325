//! Resource claims: those of templates are made for their pods, pods that have ended are taken out of claims, and
//! devices that nobody uses any more are given back. Devices are given by the scheduler.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/>

mod plan;

use std::sync::Arc;

use cox_api::PatchKind;
use cox_client::claims::{self, FINALIZER};
use cox_client::{DeleteOptions, Error, EventType, Key, Next, Queue, Reader, Result};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimTemplate};
use serde_json::{Value, json};

use crate::common::context::Context;
use crate::common::owner::{controller_of, name, namespace, refers_to, uid};
use plan::Need;

/// Keys looked at together, as upstream's `--concurrent-resource-claim-syncs`.
const WORKERS: usize = 50;

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let shell = Arc::new(Shell {
        pods: context.informers.of::<Pod>(),
        claims: context.informers.of::<ResourceClaim>(),
        templates: context.informers.of::<ResourceClaimTemplate>(),
        context: context.clone(),
    });
    let pods = Queue::<Key>::new(context.env.clone(), "resourceclaim-pods");
    let claims = Queue::<Key>::new(context.env.clone(), "resourceclaim-claims");
    on_pods(&shell, &pods, &claims);
    on_claims(&shell, &pods, &claims);
    shell.pods.synced().await;
    shell.claims.synced().await;
    shell.templates.synced().await;
    let other = shell.clone();
    let of_pods = pods.run(WORKERS, move |key| {
        let shell = shell.clone();
        async move { shell.sync_pod(&key).await }
    });
    let of_claims = claims.run(WORKERS, move |key| {
        let shell = other.clone();
        async move { shell.sync_claim(&key).await }
    });
    tokio::join!(of_pods, of_claims);
}

/// A pod is looked at, and the claims that it had or has.
fn on_pods(shell: &Shell, pods: &Queue<Key>, claims: &Queue<Key>) {
    let (pods, claims, known) = (pods.clone(), claims.clone(), shell.claims.clone());
    shell.pods.on_change(move |change| {
        for pod in [&change.old, &change.new].into_iter().flatten() {
            for (_, claim) in claims::of_pod(pod) {
                claim.name().into_iter().for_each(|name| claims.add(Key::new(namespace(&**pod), name)));
            }
        }
        match &change.new {
            Some(pod) if claims::of_pod(pod).next().is_some() => pods.add(Key::of(&**pod)),
            Some(_) => {}
            None => {
                // Also those that it owns and that its status never named.
                let gone = change.latest();
                known.owned_by(uid(&**gone)).iter().for_each(|claim| claims.add(Key::of(&**claim)));
            }
        }
    });
}

/// A claim is looked at, the pod that it was made for, and pods that wait on their nodes for its devices.
fn on_claims(shell: &Shell, pods: &Queue<Key>, claims: &Queue<Key>) {
    let (pods, claims, known) = (pods.clone(), claims.clone(), shell.pods.clone());
    shell.claims.on_change(move |change| {
        let claim = change.latest();
        claims.add(Key::of(&**claim));
        if let Some(owner) = controller_of(&claim.metadata).filter(|owner| refers_to::<Pod>(owner)) {
            pods.add(Key::new(namespace(&**claim), &owner.name));
        }
        let was = change.old.as_ref().is_some_and(|old| claims::is_allocated(old));
        if !was && change.new.as_ref().is_some_and(|new| claims::is_allocated(new)) {
            for pod in known.in_namespace(namespace(&**claim)) {
                if claims::of_pod(&pod).any(|(_, of)| of.name() == Some(name(&**claim))) {
                    pods.add(Key::of(&*pod));
                }
            }
        }
    });
}

struct Shell {
    context: Context,
    pods: Reader<Pod>,
    claims: Reader<ResourceClaim>,
    templates: Reader<ResourceClaimTemplate>,
}

impl Shell {
    async fn sync_pod(&self, key: &Key) -> Result<Next> {
        // A pod that has ended gets no claims any more: those it had are deleted.
        let needs = |pod: &Arc<Pod>| pod.metadata.deletion_timestamp.is_none() && !plan::is_done(pod);
        let Some(pod) = self.pods.at(key).filter(needs) else { return Ok(Next::Done) };
        let mut recorded = Vec::new();
        for (entry, known) in claims::of_pod(&pod) {
            let made = known.name().and_then(|name| self.claims.get(&key.namespace, name));
            let owned = self.claims.owned_by(uid(&*pod));
            let template = |name: &str| self.templates.get(&key.namespace, name);
            let name = match plan::need(&pod, entry, made.as_deref(), &owned, template) {
                Need::Nothing => continue,
                Need::Record(name) => Ok(name),
                Need::Claim(claim) => self.make(&claim).await,
                Need::Missing(what) => Err(Error::Other(what)),
            };
            match name {
                Ok(name) => recorded.push(json!({"name": entry.name, "resourceClaimName": name})),
                Err(error) => {
                    let message = format!("PodResourceClaim {}: {error}", entry.name);
                    self.context.events.event(
                        &*pod,
                        EventType::Warning,
                        "FailedResourceClaimCreation",
                        &message,
                    );
                    return Err(error);
                }
            }
        }
        if !recorded.is_empty() {
            let patch =
                json!({"metadata": {"uid": uid(&*pod)}, "status": {"resourceClaimStatuses": recorded}});
            let patched = self
                .context
                .client
                .patch_status::<Pod>(&key.namespace, &key.name, PatchKind::Strategic, patch)
                .await;
            match patched {
                Ok(written) => self.pods.wait_until_seen_object(&written).await,
                Err(error) if error.is_not_found() => return Ok(Next::Done),
                Err(error) => return Err(error),
            }
        }
        let claims: Vec<Arc<ResourceClaim>> = claims::of_pod(&pod)
            .filter_map(|(_, claim)| self.claims.get(&key.namespace, claim.name()?))
            .collect();
        for claim in plan::unreserved(&pod, &claims) {
            let mut users = plan::users(&claim).to_vec();
            users.push(plan::reference(&pod));
            self.write(&claim, "status", json!({"status": {"reservedFor": users}})).await?;
        }
        Ok(Next::Done)
    }

    /// Makes a claim, and waits until it is seen: another look at the pod finds it.
    async fn make(&self, claim: &ResourceClaim) -> Result<String> {
        match self.context.client.create(claim).await {
            Ok(made) => {
                self.claims.wait_until_seen_object(&made).await;
                Ok(name(&*made).to_owned())
            }
            Err(error) => Err(Error::Other(format!("create ResourceClaim : {error}"))),
        }
    }

    async fn sync_claim(&self, key: &Key) -> Result<Next> {
        let Some(claim) = self.claims.at(key) else { return Ok(Next::Done) };
        let mut valid = Vec::new();
        for user in plan::users(&claim) {
            if user.api_group.as_deref().is_some_and(|group| !group.is_empty()) || user.resource != "pods" {
                return Err(Error::Other(format!("unsupported ReservedFor entry: {user:?}")));
            }
            let known = self.pods.get(&key.namespace, &user.name);
            let uses = match plan::still_uses(user, known.as_deref()) {
                Some(uses) => uses,
                // The scheduler may know it already.
                None => {
                    let live = self.context.client.find::<Pod>(&key.namespace, &user.name).await?;
                    plan::still_uses(user, live.as_deref()).unwrap_or(false)
                }
            };
            if uses {
                valid.push(user.clone());
            }
        }
        let owner =
            controller_of(&claim.metadata).and_then(|owner| self.pods.get(&key.namespace, &owner.name));
        let release = plan::release(&claim, valid, owner.as_deref());
        let mut claim = claim;
        let mut status = serde_json::Map::new();
        if let Some(users) = &release.users {
            status.insert("reservedFor".into(), json!(users));
        }
        if release.deallocate {
            status.insert("allocation".into(), Value::Null);
        }
        if !status.is_empty() {
            claim = self.write(&claim, "status", json!({"status": status})).await?;
        }
        if release.unprotect {
            let left: Vec<&String> =
                claim.metadata.finalizers.iter().flatten().filter(|one| *one != FINALIZER).collect();
            let patch = json!({"metadata": {"finalizers": left}});
            self.write(&claim, "", patch).await?;
        }
        if release.delete {
            let deleted = self
                .context
                .client
                .delete::<ResourceClaim>(&key.namespace, &key.name, &DeleteOptions::uid(uid(&*claim)))
                .await;
            match deleted {
                Ok(_) => {}
                Err(error) if error.is_not_found() || error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Next::Done)
    }

    /// Writes a claim that is still as it was seen: the scheduler writes claims too.
    async fn write(&self, claim: &ResourceClaim, part: &str, mut patch: Value) -> Result<Arc<ResourceClaim>> {
        patch["metadata"]["uid"] = uid(claim).into();
        patch["metadata"]["resourceVersion"] = claim.metadata.resource_version.clone().into();
        let written = self
            .context
            .client
            .patch_with::<ResourceClaim>(
                namespace(claim),
                name(claim),
                part,
                PatchKind::Merge,
                patch,
                &Default::default(),
            )
            .await?;
        self.claims.wait_until_seen_object(&written).await;
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{events, object, pass, pod, world};
    use cox_client::fake::FakeApi;

    fn template() -> ResourceClaimTemplate {
        object(
            json!({"metadata": {"namespace": "ns", "name": "t"}, "spec": {"spec": {"devices": {"requests": [
            {"name": "r", "exactly": {"deviceClassName": "c"}}]}}}}),
        )
    }

    fn needy(name: &str) -> Pod {
        pod(name)
            .with(|pod| {
                pod.spec = serde_json::from_value(json!({"containers": [], "resourceClaims": [
                    {"name": "gpu", "resourceClaimTemplateName": "t"}]}))
                .unwrap();
            })
            .build()
    }

    fn claim(api: &FakeApi) -> ResourceClaim {
        let mut all = api.all::<ResourceClaim>();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_gets_its_claim_once() {
        let (api, context) = world();
        api.put(&needy("p"));
        context.env.spawn(run(context.clone()));
        pass(&context, 1).await;
        assert!(api.all::<ResourceClaim>().is_empty());
        assert!(
            events(&api)[0].starts_with(
                "FailedResourceClaimCreation: PodResourceClaim gpu: resource claim template \"t\": "
            ),
            "{:?}",
            events(&api)
        );
        api.put(&template());
        pass(&context, 10).await;
        let made = claim(&api);
        let name = made.metadata.name.clone().unwrap();
        assert!(name.starts_with("p-gpu-"), "{name}");
        let status = api.one::<Pod>("ns", "p").unwrap().status.unwrap().resource_claim_statuses.unwrap();
        assert_eq!(status[0].resource_claim_name.as_deref(), Some(&*name));
        // It is deleted by hand, and made again.
        api.remove::<ResourceClaim>("ns", &name);
        pass(&context, 10).await;
        assert_ne!(claim(&api).metadata.name.unwrap(), name);
    }

    #[tokio::test(start_paused = true)]
    async fn devices_go_back_when_the_pod_has_ended() {
        let (api, context) = world();
        api.put(&template());
        api.put(&needy("p"));
        context.env.spawn(run(context.clone()));
        pass(&context, 1).await;
        let name = claim(&api).metadata.name.unwrap();
        // As the scheduler does it.
        api.edit::<ResourceClaim>("ns", &name, |claim| {
            claim.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
            claim.status = serde_json::from_value(json!({"allocation": {"devices": {"results": []}},
                "reservedFor": [{"resource": "pods", "name": "p", "uid": "uid-p"}]}))
            .unwrap();
        });
        api.edit::<Pod>("ns", "p", |pod| pod.spec.as_mut().unwrap().node_name = Some("n".into()));
        pass(&context, 1).await;
        assert!(claims::is_allocated(&claim(&api)));
        api.edit::<Pod>("ns", "p", |pod| pod.status.as_mut().unwrap().phase = Some("Succeeded".into()));
        pass(&context, 10).await;
        assert!(api.all::<ResourceClaim>().is_empty());
        let writes = api.writes();
        let made = writes.iter().filter(|write| write.contains("create resourceclaims")).count();
        assert_eq!(made, 1, "{writes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shared_claim_stays_and_is_free_again() {
        let (api, context) = world();
        let mut user = needy("p");
        let claims = json!([{"name": "gpu", "resourceClaimName": "shared"}]);
        user.spec.as_mut().unwrap().resource_claims = serde_json::from_value(claims).unwrap();
        user.spec.as_mut().unwrap().node_name = Some("n".into());
        api.put(&user);
        api.put::<ResourceClaim>(&object(json!({"metadata": {"namespace": "ns", "name": "shared",
            "finalizers": [FINALIZER]}, "spec": {}, "status": {"allocation": {"devices": {"results": []}}}})));
        context.env.spawn(run(context.clone()));
        pass(&context, 1).await;
        // The pod came to its node without the scheduler.
        let users = claim(&api).status.unwrap().reserved_for.unwrap();
        assert_eq!(users[0].uid, "uid-p");
        api.remove::<Pod>("ns", "p");
        pass(&context, 1).await;
        let left = claim(&api);
        assert!(!claims::is_allocated(&left) && left.metadata.finalizers.unwrap_or_default().is_empty());
        assert!(left.status.unwrap().reserved_for.unwrap_or_default().is_empty());
    }
}
