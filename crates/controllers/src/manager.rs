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
}

impl Default for ControllerConfig {
    fn default() -> Self {
        ControllerConfig {
            cluster_cidr: "10.42.0.0/16".into(),
            root_ca_pem: String::new(),
            node_monitor_grace_period: Duration::from_secs(40),
            terminated_pod_gc_threshold: 12_500,
        }
    }
}

/// Starts controllers. They end with the task group of the [`Env`] they were given.
pub struct ControllerManager {
    env: Env,
    clients: Clients,
    informers: SharedInformers,
}

impl ControllerManager {
    /// Starts all of them.
    pub fn start(env: Env, clients: Clients, config: ControllerConfig) {
        let informers = SharedInformers::new(clients("kube-controller-manager"), env.clone());
        let manager = ControllerManager { env, clients, informers };
        manager.spawn("replicaset-controller", crate::replicaset::run::<ReplicaSet>);
        manager.spawn("replication-controller", crate::replicaset::run::<ReplicationController>);
        manager.spawn("deployment-controller", crate::deployment::run);
        manager.spawn("daemon-set-controller", crate::daemonset::run);
        manager.spawn("statefulset-controller", crate::statefulset::run);
        manager.spawn("job-controller", crate::job::run);
        manager.spawn("cronjob-controller", crate::cronjob::run);
        manager.spawn("resourcequota-controller", crate::resourcequota::run);
        manager.spawn("disruption-controller", crate::disruption::run);
        manager.spawn("ttl-after-finished-controller", crate::ttlafterfinished::run);
        manager.spawn("endpoint-controller", crate::endpoints::run);
        manager.spawn("endpointslice-controller", |context| crate::endpointslice::run(context, ENDPOINTS_PER_SLICE));
        manager.spawn("namespace-controller", crate::namespace::run);
        manager.spawn("generic-garbage-collector", crate::garbage::run);
        manager.spawn("service-account-controller", crate::serviceaccount::run);
        manager.spawn("node-controller", crate::tainteviction::run);
        let grace = config.node_monitor_grace_period;
        manager.spawn("node-controller", |context| crate::nodelifecycle::run(context, grace));
        let cidr: Arc<str> = config.cluster_cidr.into();
        manager.spawn("node-controller", |context| crate::nodeipam::run(context, cidr));
        let threshold = config.terminated_pod_gc_threshold;
        manager.spawn("pod-garbage-collector", |context| crate::podgc::run(context, threshold));
        if !config.root_ca_pem.is_empty() {
            let ca: Arc<str> = config.root_ca_pem.into();
            manager.spawn("root-ca-cert-publisher", |context| crate::rootca::run(context, ca));
        }
    }

    fn spawn<F>(&self, name: &'static str, run: impl FnOnce(Context) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let client = (self.clients)(name);
        let context = Context {
            env: self.env.clone(),
            events: EventRecorder::new(client.clone(), &self.env, name, ""),
            client,
            informers: self.informers.clone(),
        };
        self.env.spawn(run(context));
    }
}
