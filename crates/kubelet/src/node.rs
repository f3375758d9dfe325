//! What all parts of a kubelet share.

use std::path::PathBuf;
use std::sync::Arc;

use cox_client::{Client, Reader};
use cox_env::Env;
use cox_network::NodeNetwork;
use cox_runtime::Runtime;
use k8s_openapi::api::core::v1::{Pod, Service};

use crate::config::KubeletConfig;
use crate::events::Events;
use crate::pod::spec;
use crate::pod::status::NodeFacts;
use crate::policies::Gate;
use crate::userns::IdRanges;
use crate::volumes::Sources;

/// The node, for its parts.
pub(crate) struct Node {
    pub(crate) env: Env,
    pub(crate) config: KubeletConfig,
    pub(crate) client: Client,
    pub(crate) runtime: Arc<dyn Runtime>,
    /// None where the node has no pod network.
    pub(crate) network: Option<NodeNetwork>,
    /// Holds pods back until their policies are in force; there where the network is.
    pub(crate) policies: Option<Gate>,
    pub(crate) events: Events,
    pub(crate) pods: Reader<Pod>,
    pub(crate) services: Reader<Service>,
    pub(crate) sources: Box<dyn Sources>,
    pub(crate) id_ranges: IdRanges,
    pub(crate) facts: NodeFacts,
}

impl Node {
    /// A pod's directory.
    pub(crate) fn pod_dir(&self, uid: &str) -> PathBuf {
        self.config.root_dir.join("pods").join(uid)
    }

    /// A pod's log directory, named as upstream's.
    pub(crate) fn log_dir(&self, pod: &Pod) -> PathBuf {
        self.config.log_dir.join(format!("{}_{}_{}", spec::namespace(pod), spec::name(pod), spec::uid(pod)))
    }

    /// Services whose variables a pod of this namespace gets.
    pub(crate) async fn services_for(&self, namespace: &str) -> Vec<Arc<Service>> {
        self.services.synced().await;
        let mut services = self.services.in_namespace(namespace);
        if namespace != "default" {
            services.extend(self.services.get("default", "kubernetes"));
        }
        services
    }
}
