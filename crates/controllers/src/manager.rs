//! Starts all controllers, each under its own name, over one set of caches.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cox_client::{Client, EventRecorder, SharedInformers};
use cox_env::Env;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::ReplicationController;

use crate::common::Context;

/// As upstream's `--max-endpoints-per-slice`.
const ENDPOINTS_PER_SLICE: usize = 100;

/// The controller that gives every namespace its service account, which pods need to be admitted.
pub const SERVICE_ACCOUNTS: &str = "serviceaccount-controller";

/// The controller that repairs the addresses of services, which upstream has in its API server.
pub const SERVICE_ADDRESSES: &str = "ipallocator-repair-controller";

/// Makes the API client of a controller, by its name.
pub type Clients = Arc<dyn Fn(&str) -> Client + Send + Sync>;

/// How the controllers are set up; the fields are upstream's flags of kube-controller-manager.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// Addresses of pods, of which every node gets a part.
    pub cluster_cidr: String,
    /// The certificate of the cluster's authority, for `kube-root-ca.crt`; empty publishes none.
    pub root_ca_pem: String,
    /// A node that is silent for so long becomes Unknown (`nodeMonitorGracePeriod`).
    pub node_monitor_grace_period: Duration,
    /// How many finished pods are kept (`terminatedPodGCThreshold`); 0 keeps all.
    pub terminated_pod_gc_threshold: usize,
    /// Which run (`controllers`): `*` all, `NAME` that one, `-NAME` not that one; the first that says decides.
    pub controllers: Vec<String>,
}

impl ControllerConfig {
    /// Whether a controller, by upstream's name, is to run.
    fn runs(&self, name: &str) -> bool {
        let said = self.controllers.iter().find_map(|entry| match entry.strip_prefix('-') {
            Some(not) => (not == name).then_some(false),
            None => (entry == name).then_some(true),
        });
        said.unwrap_or_else(|| self.controllers.iter().any(|entry| entry == "*"))
    }
}

impl Default for ControllerConfig {
    fn default() -> Self {
        ControllerConfig {
            cluster_cidr: "10.42.0.0/16".into(),
            root_ca_pem: String::new(),
            node_monitor_grace_period: Duration::from_secs(40),
            terminated_pod_gc_threshold: 12_500,
            controllers: vec!["*".into()],
        }
    }
}

/// Starts controllers. They end with the task group of the [`Env`] they were given.
pub struct ControllerManager {
    env: Env,
    clients: Clients,
    informers: SharedInformers,
    config: ControllerConfig,
}

impl ControllerManager {
    /// Starts those that the configuration names.
    pub fn start(env: Env, clients: Clients, config: ControllerConfig) {
        let informers = SharedInformers::new(clients("kube-controller-manager"), env.clone());
        let grace = config.node_monitor_grace_period;
        let cidr: Arc<str> = config.cluster_cidr.as_str().into();
        let threshold = config.terminated_pod_gc_threshold;
        let ca: Arc<str> = config.root_ca_pem.as_str().into();
        let manager = ControllerManager { env, clients, informers, config };
        manager.spawn("replicaset-controller", "replicaset-controller", crate::replicaset::run::<ReplicaSet>);
        manager.spawn(
            "replicationcontroller-controller",
            "replication-controller",
            crate::replicaset::run::<ReplicationController>,
        );
        manager.spawn("deployment-controller", "deployment-controller", crate::deployment::run);
        manager.spawn("daemonset-controller", "daemon-set-controller", crate::daemonset::run);
        manager.spawn("statefulset-controller", "statefulset-controller", crate::statefulset::run);
        manager.spawn("job-controller", "job-controller", crate::job::run);
        manager.spawn("cronjob-controller", "cronjob-controller", crate::cronjob::run);
        manager.spawn("resourcequota-controller", "resourcequota-controller", crate::resourcequota::run);
        manager.spawn("resourceclaim-controller", "resource-claim-controller", crate::resourceclaim::run);
        manager.spawn(
            "clusterrole-aggregation-controller",
            "clusterrole-aggregation-controller",
            crate::clusterroleaggregation::run,
        );
        manager.spawn("disruption-controller", "disruption-controller", crate::disruption::run);
        manager.spawn(
            "ttl-after-finished-controller",
            "ttl-after-finished-controller",
            crate::ttlafterfinished::run,
        );
        manager.spawn("endpoints-controller", "endpoint-controller", crate::endpoints::run);
        manager.spawn("endpointslice-controller", "endpointslice-controller", |context| {
            crate::endpointslice::run(context, ENDPOINTS_PER_SLICE)
        });
        manager.spawn(
            "persistentvolumeclaim-protection-controller",
            "pvc-protection-controller",
            crate::protection::claims,
        );
        manager.spawn(
            "persistentvolume-protection-controller",
            "pv-protection-controller",
            crate::protection::volumes,
        );
        manager.spawn(
            "volumeattributesclass-protection-controller",
            "volumeattributesclass-protection-controller",
            crate::protection::classes,
        );
        manager.spawn("namespace-controller", "namespace-controller", crate::namespace::run);
        manager.spawn("garbage-collector-controller", "generic-garbage-collector", crate::garbage::run);
        manager.spawn(SERVICE_ACCOUNTS, "service-account-controller", crate::serviceaccount::run);
        manager.spawn(SERVICE_ADDRESSES, "kube-apiserver", crate::serviceaddresses::run);
        manager.spawn("service-cidr-controller", "service-cidrs-controller", crate::servicecidrs::run);
        manager.spawn(
            "validatingadmissionpolicy-status-controller",
            "validatingadmissionpolicy-status-controller",
            crate::admissionpolicies::run,
        );
        manager.spawn("taint-eviction-controller", "node-controller", crate::tainteviction::run);
        manager.spawn("node-lifecycle-controller", "node-controller", |context| {
            crate::nodelifecycle::run(context, grace)
        });
        manager
            .spawn("node-ipam-controller", "node-controller", |context| crate::nodeipam::run(context, cidr));
        manager.spawn("pod-garbage-collector-controller", "pod-garbage-collector", |context| {
            crate::podgc::run(context, threshold)
        });
        if !ca.is_empty() {
            manager.spawn("root-ca-certificate-publisher-controller", "root-ca-cert-publisher", |context| {
                crate::rootca::run(context, ca)
            });
        }
    }

    /// `name` is upstream's name of the controller, `account` its service account, or the component that it is part
    /// of.
    fn spawn<F>(&self, name: &'static str, account: &'static str, run: impl FnOnce(Context) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if !self.config.runs(name) {
            return;
        }
        let client = (self.clients)(account);
        let context = Context {
            env: self.env.clone(),
            events: EventRecorder::new(client.clone(), &self.env, account, ""),
            client,
            informers: self.informers.clone(),
        };
        self.env.spawn(run(context));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_are_chosen_as_by_upstreams_flag() {
        let runs = |entries: &[&str], name: &str| {
            ControllerConfig {
                controllers: entries.iter().map(|&e| e.into()).collect(),
                ..Default::default()
            }
            .runs(name)
        };
        assert!(runs(&["*"], "job-controller"));
        assert!(!runs(&["*", "-job-controller"], "job-controller"));
        assert!(runs(&["job-controller"], "job-controller"));
        assert!(!runs(&["job-controller"], "cronjob-controller"));
    }
}
