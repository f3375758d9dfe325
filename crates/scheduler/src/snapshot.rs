//! What is where, kept by deltas: nodes, the pods on them, and pods whose binding is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::selector::Labels;

/// The cluster as the scheduler sees it. Nodes have a slot, so that looking at many of them is cheap.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    slots: Vec<NodeInfo>,
    by_name: BTreeMap<String, usize>,
    vacant: Vec<usize>,
    /// Where each pod is, by uid.
    places: BTreeMap<String, usize>,
    /// Slots of the nodes that are present, in the order in which they are looked at.
    order: Vec<usize>,
    /// Where the next look begins, so that all nodes get their turn.
    start: usize,
    /// Slots with a pod whose anti-affinity is required: few, and all pods have to look at them.
    shunning: BTreeSet<usize>,
    /// How many pods of one controller are on a slot.
    groups: BTreeMap<(String, String), BTreeMap<usize, i64>>,
    /// Pods that make room for themselves: preempted pods are going from that slot.
    nominated: BTreeMap<String, (usize, Arc<PodInfo>)>,
    /// Labels of namespaces, for affinity that selects namespaces.
    pub(crate) namespaces: BTreeMap<String, Labels>,
    /// Counts every change of a slot.
    clock: u64,
}

impl Snapshot {
    fn slot(&mut self, name: &str) -> usize {
        if let Some(slot) = self.by_name.get(name) {
            return *slot;
        }
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(NodeInfo::default());
            self.slots.len() - 1
        });
        self.slots[slot] = NodeInfo { name: name.to_owned(), ..NodeInfo::default() };
        self.by_name.insert(name.to_owned(), slot);
        self.touch(slot);
        slot
    }

    fn touch(&mut self, slot: usize) {
        self.clock += 1;
        self.slots[slot].version = self.clock;
    }

    fn leave_if_empty(&mut self, slot: usize) {
        if !self.slots[slot].present && self.slots[slot].pods.is_empty() {
            self.by_name.remove(&self.slots[slot].name);
            self.vacant.push(slot);
        }
    }

    /// A node was added or has changed. Says whether scheduling may come out another way now.
    pub(crate) fn set_node(&mut self, node: &Node) -> bool {
        let slot = self.slot(node.metadata.name.as_deref().unwrap_or_default());
        let new = !self.slots[slot].present;
        if new {
            self.order.push(slot);
        }
        let changed = self.slots[slot].set(node) || new;
        if changed {
            self.touch(slot);
        }
        changed
    }

    /// A node is gone.
    pub(crate) fn remove_node(&mut self, name: &str) {
        let Some(slot) = self.by_name.get(name).copied() else { return };
        self.slots[slot].present = false;
        self.touch(slot);
        self.order.retain(|known| *known != slot);
        self.start = 0;
        self.leave_if_empty(slot);
    }

    /// A pod is on a node, or will be.
    pub(crate) fn place(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.remove_pod(&pod.uid);
        let slot = self.slot(node);
        self.put(slot, pod);
    }

    fn put(&mut self, slot: usize, pod: Arc<PodInfo>) {
        self.places.insert(pod.uid.clone(), slot);
        self.nominated.remove(&pod.uid);
        if let Some(group) = pod.group.clone() {
            *self.groups.entry(group).or_default().entry(slot).or_default() += 1;
        }
        if !pod.anti_affinity.is_empty() {
            self.shunning.insert(slot);
        }
        self.slots[slot].add(pod);
        self.touch(slot);
    }

    /// A pod is gone, over, or wasn't bound after all. Brings it with its slot.
    pub(crate) fn remove_pod(&mut self, uid: &str) -> Option<(usize, Arc<PodInfo>)> {
        self.nominated.remove(uid);
        let slot = self.places.remove(uid)?;
        let pod = self.slots[slot].remove(uid)?;
        if let Some(group) = &pod.group
            && let Some(counts) = self.groups.get_mut(group)
        {
            if let Some(count) = counts.get_mut(&slot) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&slot);
                }
            }
            if counts.is_empty() {
                self.groups.remove(group);
            }
        }
        if !pod.anti_affinity.is_empty()
            && self.slots[slot].pods.values().all(|pod| pod.anti_affinity.is_empty())
        {
            self.shunning.remove(&slot);
        }
        self.touch(slot);
        self.leave_if_empty(slot);
        Some((slot, pod))
    }

    /// Puts back what [`Snapshot::remove_pod`] took out.
    pub(crate) fn put_back(&mut self, slot: usize, pod: Arc<PodInfo>) {
        self.put(slot, pod);
    }

    /// Takes in what the API says of a pod that has a node.
    pub(crate) fn set_pod(&mut self, pod: &Arc<Pod>) {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let over = crate::pod::is_over(pod);
        match pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
            _ if over => {
                self.remove_pod(uid);
            }
            Some(node) => self.place(Arc::new(PodInfo::new(pod.clone())), node),
            None => {}
        }
    }

    /// The pod will go to this node when others have left it; none takes that back.
    pub(crate) fn nominate(&mut self, pod: &Arc<PodInfo>, node: Option<&str>) {
        self.nominated.remove(&pod.uid);
        if let Some(node) = node {
            let slot = self.slot(node);
            self.nominated.insert(pod.uid.clone(), (slot, pod.clone()));
        }
    }

    /// Pods that are to go to this slot and may not be put out by one of this priority.
    pub(crate) fn nominated<'a>(
        &'a self,
        slot: usize,
        pod: &'a PodInfo,
    ) -> impl Iterator<Item = &'a Arc<PodInfo>> {
        self.nominated
            .values()
            .filter(move |(at, other)| {
                *at == slot && other.uid != pod.uid && other.priority() >= pod.priority()
            })
            .map(|(_, other)| other)
    }

    /// Whether anybody waits for room.
    pub(crate) fn has_nominated(&self) -> bool {
        !self.nominated.is_empty()
    }

    /// Slots of nodes that are present, from where the last look ended.
    pub(crate) fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        let (before, after) = self.order.split_at(self.start.min(self.order.len()));
        after.iter().chain(before).copied()
    }

    /// The node of a slot.
    pub(crate) fn at(&self, slot: usize) -> &NodeInfo {
        &self.slots[slot]
    }

    /// Nodes that are present, from where the last look ended.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.slots().map(|slot| &self.slots[slot])
    }

    /// Nodes with pods whose anti-affinity is required.
    pub(crate) fn shunning(&self) -> impl Iterator<Item = &NodeInfo> {
        self.shunning.iter().map(|slot| &self.slots[*slot]).filter(|node| node.present)
    }

    /// How many pods of the pod's controller are on each slot.
    pub(crate) fn group(&self, pod: &PodInfo) -> Option<&BTreeMap<usize, i64>> {
        self.groups.get(pod.group.as_ref()?)
    }

    /// How many nodes are present.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The slot of a node that is present.
    pub(crate) fn slot_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied().filter(|slot| self.slots[*slot].present)
    }

    /// So many nodes were looked at.
    pub(crate) fn advance(&mut self, looked_at: usize) {
        if !self.order.is_empty() {
            self.start = (self.start + looked_at) % self.order.len();
        }
    }
}
