//! A node with the pods on it, assumed ones among them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Taint};

use crate::amounts::Amounts;
use crate::pod::PodInfo;
use crate::selector::Labels;

/// A node as filters and scores see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeInfo {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) taints: Vec<Taint>,
    pub(crate) unschedulable: bool,
    pub(crate) allocatable: Amounts,
    pub(crate) pods_max: i64,
    /// By uid.
    pub(crate) pods: BTreeMap<String, Arc<PodInfo>>,
    pub(crate) used: Amounts,
    pub(crate) used_score: Amounts,
    pub(crate) images: BTreeMap<String, i64>,
    /// Whether the API has the node; pods may be known before it, or after it is gone.
    pub(crate) present: bool,
    /// Changes with whatever filters and scores see.
    pub(crate) version: u64,
}

impl NodeInfo {
    /// Takes in what the API says of the node. Says whether filters may decide another way: a heartbeat changes
    /// nothing.
    pub(crate) fn set(&mut self, node: &Node) -> bool {
        let before = (
            std::mem::take(&mut self.labels),
            std::mem::take(&mut self.taints),
            self.unschedulable,
            std::mem::take(&mut self.allocatable),
            self.pods_max,
            std::mem::take(&mut self.images),
        );
        let status = node.status.as_ref();
        let allocatable = status.and_then(|status| status.allocatable.as_ref());
        self.name = node.metadata.name.clone().unwrap_or_default();
        self.labels = node.metadata.labels.clone().unwrap_or_default();
        self.taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        self.unschedulable = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
        self.allocatable = Amounts::read(allocatable);
        let pods = allocatable.and_then(|list| list.get("pods"));
        self.pods_max = pods
            .and_then(|pods| pods.0.parse::<cox_api::quantity::Quantity>().ok())
            .map_or(0, |pods| pods.value());
        self.images = status
            .and_then(|status| status.images.as_ref())
            .into_iter()
            .flatten()
            .flat_map(|image| {
                let size = image.size_bytes.unwrap_or(0);
                image.names.iter().flatten().map(move |name| (name.clone(), size))
            })
            .collect();
        self.present = true;
        before
            != (
                self.labels.clone(),
                self.taints.clone(),
                self.unschedulable,
                self.allocatable.clone(),
                self.pods_max,
                self.images.clone(),
            )
    }

    pub(crate) fn add(&mut self, pod: Arc<PodInfo>) {
        self.remove(&pod.uid);
        self.used.add(&pod.requests);
        self.used_score.add(&pod.score_requests);
        self.pods.insert(pod.uid.clone(), pod);
    }

    pub(crate) fn remove(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let pod = self.pods.remove(uid)?;
        self.used.subtract(&pod.requests);
        self.used_score.subtract(&pod.score_requests);
        Some(pod)
    }
}
