//! NetworkPolicies as the node's network enforces them.
//!
//! A task keeps the network at what the API says; pods and namespaces of the whole cluster are only followed once
//! there is a policy. A pod's worker asks the [`Gate`] before it gives the pod a network, so that no pod that a policy
//! selects starts open.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cox_client::{Client, ListOptions, Reader, Selector, SharedInformers, revision_of};
use cox_env::Env;
use cox_network::NodeNetwork;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use tokio::sync::{Notify, watch};

use crate::pod::spec;

/// Changes are collected this long, so that a rollout doesn't write the table once per pod.
const COLLECT: Duration = Duration::from_millis(5);
/// Until a refused state is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long a pod waits for its policies before its worker starts over.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is in force.
#[derive(Clone, Debug, Default)]
struct InForce {
    /// Policies up to this revision are.
    revision: u64,
    /// For these pods of the node, by uid; for all of them where there is no policy at all.
    pods: Option<BTreeSet<String>>,
}

/// Lets pods start once what policies say of them is in force.
pub(crate) struct Gate {
    env: Env,
    client: Client,
    in_force: watch::Receiver<InForce>,
}

/// Why a pod may not start yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error("network policies: {0}")]
    Api(#[from] cox_client::Error),
    #[error("network policies of the pod are not in force yet")]
    Late,
}

/// Starts to enforce policies on the pods of `node`, for as long as the component lives. `client` may read policies,
/// pods and namespaces of the whole cluster.
pub(crate) fn start(env: &Env, client: Client, network: NodeNetwork, node: String) -> Gate {
    let informers = SharedInformers::new(client.clone(), env.clone());
    let (sender, in_force) = watch::channel(InForce::default());
    env.spawn(run(env.clone(), informers, network, node, sender));
    Gate { env: env.clone(), client, in_force }
}

// === impl Gate ===

impl Gate {
    /// Waits until every policy that was there when the pod was made, and selects it, is in force for it.
    ///
    /// # Errors
    /// The policies can't be read, or it takes too long.
    pub(crate) async fn pass(&self, pod: &Pod) -> Result<(), Closed> {
        // The list, not a cache: that might not have seen the newest policy yet.
        let policies = self.client.list(spec::namespace(pod), &ListOptions::default()).await?;
        let selecting = policies.items.iter().filter(|policy| selects(policy, pod));
        let Some(revision) = selecting.map(|policy| revision_of(&**policy)).max() else { return Ok(()) };
        let mut in_force = self.in_force.clone();
        let uid = spec::uid(pod);
        let wanted = in_force.wait_for(|now| {
            now.revision >= revision && now.pods.as_ref().is_none_or(|pods| pods.contains(uid))
        });
        tokio::select! {
            result = wanted => result.map(|_| ()).map_err(|_| Closed::Late),
            () = self.env.sleep(PATIENCE) => Err(Closed::Late),
        }
    }
}

fn selects(policy: &NetworkPolicy, pod: &Pod) -> bool {
    let selector = policy.spec.as_ref().and_then(|spec| spec.pod_selector.clone()).unwrap_or_default();
    Selector::of(Some(&selector)).matches(&pod.metadata.labels)
}

/// Keeps the network at what the API says.
async fn run(
    env: Env,
    informers: SharedInformers,
    network: NodeNetwork,
    node: String,
    in_force: watch::Sender<InForce>,
) {
    let policies: Reader<NetworkPolicy> = informers.of();
    let changed = Arc::new(Notify::new());
    let notify = changed.clone();
    policies.on_change(move |_| notify.notify_one());
    policies.synced().await;
    let mut cluster: Option<(Reader<Pod>, Reader<Namespace>)> = None;
    loop {
        if cluster.is_none() && !policies.is_empty() {
            cluster = Some(follow(&informers, &changed).await);
        }
        let begun = env.elapsed();
        // Read before the policies are, so that they are at least as new.
        let revision = policies.revision();
        let mut desired = cox_network::Policies::default();
        let mut now = InForce { revision, pods: None };
        if let Some((pods, namespaces)) = &cluster {
            let pods = pods.list();
            desired = plan::plan(&policies.list(), &pods, &namespaces.list(), &node);
            let own = pods.iter().filter(|pod| spec::spec(pod).node_name.as_deref() == Some(&node));
            now.pods = Some(own.map(|pod| spec::uid(pod).to_owned()).collect());
        }
        match network.apply_policies(desired).await {
            Ok(_) => drop(in_force.send_replace(now)),
            Err(error) => {
                tracing::warn!(%error, "network policies");
                env.sleep(RETRY_AFTER).await;
                continue;
            }
        }
        let took = env.elapsed() - begun;
        changed.notified().await;
        // In a large cluster that changes all the time this takes half a core at most.
        env.sleep(COLLECT.max(took)).await;
    }
}

/// Follows pods and namespaces, as far as policies look at them.
async fn follow(informers: &SharedInformers, changed: &Arc<Notify>) -> (Reader<Pod>, Reader<Namespace>) {
    let pods: Reader<Pod> = informers.of();
    let namespaces: Reader<Namespace> = informers.of();
    let (pod, namespace) = (changed.clone(), changed.clone());
    pods.on_change(move |change| {
        // Most changes of pods are of their status.
        let (old, new) =
            (change.old.as_deref().map(plan::relevant), change.new.as_deref().map(plan::relevant));
        if old != new {
            pod.notify_one();
        }
    });
    namespaces.on_change(move |change| {
        let labels = |namespace: &Arc<Namespace>| namespace.metadata.labels.clone();
        if change.old.as_ref().map(labels) != change.new.as_ref().map(labels) {
            namespace.notify_one();
        }
    });
    pods.synced().await;
    namespaces.synced().await;
    (pods, namespaces)
}
