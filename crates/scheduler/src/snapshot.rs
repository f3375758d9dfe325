//! What is where, kept by deltas: nodes, the pods on them, and pods whose binding is under way.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::node::NodeInfo;
use crate::pod::PodInfo;

/// The cluster as the scheduler sees it.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    nodes: BTreeMap<String, NodeInfo>,
    /// Where each pod is, by uid.
    places: BTreeMap<String, String>,
    /// Names of the nodes that are present, in the order in which they are looked at.
    order: Vec<String>,
    /// Where the next look begins, so that all nodes get their turn.
    start: usize,
}

impl Snapshot {
    /// A node was added or has changed.
    pub(crate) fn set_node(&mut self, node: &Node) {
        let name = node.metadata.name.clone().unwrap_or_default();
        let info = self.nodes.entry(name.clone()).or_default();
        if !info.present {
            self.order.push(name);
        }
        info.set(node);
    }

    /// A node is gone.
    pub(crate) fn remove_node(&mut self, name: &str) {
        if let Some(info) = self.nodes.get_mut(name) {
            info.present = false;
            if info.pods.is_empty() {
                self.nodes.remove(name);
            }
        }
        self.order.retain(|known| known != name);
        self.start = 0;
    }

    /// A pod is on a node, or will be.
    pub(crate) fn place(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.remove_pod(&pod.uid);
        self.places.insert(pod.uid.clone(), node.to_owned());
        self.nodes.entry(node.to_owned()).or_default().add(pod);
    }

    /// A pod is gone, over, or wasn't bound after all.
    pub(crate) fn remove_pod(&mut self, uid: &str) {
        if let Some(node) = self.places.remove(uid)
            && let Some(info) = self.nodes.get_mut(&node)
        {
            info.remove(uid);
            if !info.present && info.pods.is_empty() {
                self.nodes.remove(&node);
            }
        }
    }

    /// Takes in what the API says of a pod that has a node.
    pub(crate) fn set_pod(&mut self, pod: &Arc<Pod>) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let over = matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
        match pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
            Some(node) if !over => self.place(Arc::new(PodInfo::new(pod.clone())), node),
            _ if over => self.remove_pod(&uid),
            _ => {}
        }
    }

    /// Nodes that are present, from where the last look ended.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        let (before, after) = self.order.split_at(self.start.min(self.order.len()));
        after.iter().chain(before).filter_map(|name| self.nodes.get(name))
    }

    /// How many nodes are present.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// A node by name, if it is present.
    pub(crate) fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.nodes.get(name).filter(|info| info.present)
    }

    /// So many nodes were looked at.
    pub(crate) fn advance(&mut self, looked_at: usize) {
        if !self.order.is_empty() {
            self.start = (self.start + looked_at) % self.order.len();
        }
    }
}
